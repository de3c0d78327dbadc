// SPDX-License-Identifier: GPL-3.0-or-later

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "control_api/control_address.h"

namespace {

using ::kamailio_mqtt::ControlAddress;

void Check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<ControlAddress> address = ControlAddress::Parse(text);
  if (!address.ok()) {
    const absl::string_view message = address.status().message();
    Check(!message.empty());
    for (const char c : message) Check(absl::ascii_isprint(c));
    return 0;
  }
  Check(!(address->is_unix() && address->is_loopback()));
  if (address->is_unix()) Check(address->ToString() == text);
  // What it says of itself is the same address.
  const absl::StatusOr<ControlAddress> again =
      ControlAddress::Parse(address->ToString());
  Check(again.ok() && again->size() == address->size() &&
        std::memcmp(again->data(), address->data(), again->size()) == 0);
  return 0;
}
