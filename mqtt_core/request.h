// SPDX-License-Identifier: GPL-3.0-or-later

// What a script call asks of the dispatcher, as a record of the request ring:
//
//   RequestHeader, topic (name or filter), payload
//
// Both ends run the same build on the same machine: the header is copied as it
// stands in memory. The decoder trusts none of it.
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_REQUEST_H_
#define MQTT_CORE_REQUEST_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "mqtt_core/message.h"

namespace kamailio_mqtt {

enum class RequestType : uint8_t { kPublish, kSubscribe, kUnsubscribe };

struct RequestHeader {
  RequestType type;
  Qos qos;
  uint8_t retain;  // 0 or 1
  uint8_t reserved = 0;
  uint32_t topic_size;

  absl::string_view bytes() const {
    return absl::string_view(reinterpret_cast<const char*>(this),
                             sizeof(*this));
  }
};

// Views into a record.
struct Request {
  RequestType type;
  Qos qos;
  bool retain;
  absl::string_view topic;
  absl::string_view payload;
};

// nullopt where `record` is no request.
absl::optional<Request> DecodeRequest(absl::string_view record);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_REQUEST_H_
