// SPDX-License-Identifier: GPL-3.0-or-later

// Exhaustive inputs for tests.
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_TESTING_STRINGS_OVER_H_
#define MQTT_CORE_TESTING_STRINGS_OVER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

// All strings of up to `max_size` of the characters of `alphabet`, the empty
// one included, shorter ones first.
inline std::vector<std::string> StringsOver(absl::string_view alphabet,
                                            size_t max_size) {
  std::vector<std::string> strings = {""};
  for (size_t i = 0; strings[i].size() < max_size; ++i) {
    for (const char c : alphabet) strings.push_back(strings[i] + c);
  }
  return strings;
}

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_STRINGS_OVER_H_
