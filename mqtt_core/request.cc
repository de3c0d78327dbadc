// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request.h"

#include <cstring>

namespace kamailio_mqtt {

absl::optional<Request> DecodeRequest(absl::string_view record) {
  RequestHeader header;
  if (record.size() < sizeof(header)) return absl::nullopt;
  std::memcpy(&header, record.data(), sizeof(header));
  record.remove_prefix(sizeof(header));
  if (header.type > RequestType::kUnsubscribe ||
      header.qos > Qos::kExactlyOnce || header.retain > 1 ||
      header.topic_size > record.size()) {
    return absl::nullopt;
  }
  return Request{header.type, header.qos, header.retain == 1,
                 record.substr(0, header.topic_size),
                 record.substr(header.topic_size)};
}

}  // namespace kamailio_mqtt
