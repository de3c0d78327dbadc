// SPDX-License-Identifier: GPL-3.0-or-later

// The input is a record of the request ring.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "mqtt_core/request.h"

namespace {

using ::kamailio_mqtt::DecodeRequest;
using ::kamailio_mqtt::Request;
using ::kamailio_mqtt::RequestHeader;

void Check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view record(reinterpret_cast<const char*>(data), size);
  const absl::optional<Request> request = DecodeRequest(record);
  if (!request.has_value()) return 0;
  // Nothing is left over or made up: encoded again it is the same record, but
  // for the reserved byte.
  const RequestHeader header = {
      request->type, request->qos, request->retain ? uint8_t{1} : uint8_t{0},
      static_cast<uint8_t>(record[offsetof(RequestHeader, reserved)]),
      static_cast<uint32_t>(request->topic.size())};
  Check(absl::StrCat(header.bytes(), request->topic, request->payload) ==
        record);
  return 0;
}
