// SPDX-License-Identifier: GPL-3.0-or-later

// Text from outside, as log lines and errors show it: in quotes, escaped, and
// no more than 128 bytes of it.
#ifndef MQTT_CORE_QUOTE_H_
#define MQTT_CORE_QUOTE_H_

#include <cstddef>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

inline std::string Quote(absl::string_view text) {
  constexpr size_t kShown = 128;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "...\"" : "\"");
}

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_QUOTE_H_
