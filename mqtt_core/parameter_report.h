// SPDX-License-Identifier: GPL-3.0-or-later

// Collects what is wrong with the module parameters: a line for each problem,
// naming the parameter, its value and the rule.
#ifndef MQTT_CORE_PARAMETER_REPORT_H_
#define MQTT_CORE_PARAMETER_REPORT_H_

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/quote.h"

namespace kamailio_mqtt {

class ParameterReport {
 public:
  static constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

  void Add(absl::string_view parameter, const absl::AlphaNum& value,
           absl::string_view rule) {
    problems_.push_back(absl::StrCat("parameter \"", parameter, "\": value ",
                                     Quote(value.Piece()), ": ", rule));
  }

  // For values that nobody is to see.
  void AddHidden(absl::string_view parameter, absl::string_view rule) {
    problems_.push_back(absl::StrCat("parameter \"", parameter, "\": ", rule));
  }

  // Adds what `status` says, unless it is OK. Returns whether it is.
  bool Check(absl::string_view parameter, absl::string_view value,
             const absl::Status& status) {
    if (!status.ok()) Add(parameter, value, status.message());
    return status.ok();
  }

  // `max` may be kUnlimited. Returns whether `value` is in the range.
  bool CheckRange(absl::string_view parameter, int64_t value, int64_t min,
                  int64_t max) {
    if (min <= value && value <= max) return true;
    Add(parameter, value,
        max == kUnlimited ? absl::StrCat("must be at least ", min)
                          : absl::StrCat("must be from ", min, " to ", max));
    return false;
  }

  bool CheckSwitch(absl::string_view parameter, int value) {
    if (value == 0 || value == 1) return true;
    Add(parameter, value, "must be 0 or 1");
    return false;
  }

  std::vector<std::string> Take() && { return std::move(problems_); }

 private:
  std::vector<std::string> problems_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_PARAMETER_REPORT_H_
