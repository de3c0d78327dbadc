// SPDX-License-Identifier: GPL-3.0-or-later

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/publish_options.h"

namespace {

using ::kamailio_mqtt::ParsePublishOptions;
using ::kamailio_mqtt::PublishOptions;

void Check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<PublishOptions> options = ParsePublishOptions(text);
  if (!options.ok()) {
    // What goes into a log is short and printable.
    const absl::string_view message = options.status().message();
    Check(!message.empty() && message.size() < 700);
    for (const char c : message) Check(absl::ascii_isprint(c));
    return 0;
  }
  // Blanks around the options do not count.
  const auto padded = ParsePublishOptions(absl::StrCat(" ", text, "\t"));
  Check(padded.ok() && padded->retain == options->retain);
  return 0;
}
