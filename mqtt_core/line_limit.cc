// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/line_limit.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

// The generic cell rate algorithm. A turn is repeated only where another line
// was admitted meanwhile, so there are `burst` turns at most in an interval.
absl::optional<std::string> LineLimit::Admit(TimePoint now, int burst) {
  const int64_t time = now.time_since_epoch().count();
  int64_t over = over_.load();
  int64_t begin;
  do {
    begin = std::max(over, time);
    if (begin - time > (burst - 1) * kInterval.count()) {
      left_out_.fetch_add(1);
      return absl::nullopt;
    }
  } while (!over_.compare_exchange_weak(over, begin + kInterval.count()));
  const int64_t left_out = left_out_.exchange(0);
  if (left_out == 0) return "";
  return absl::StrCat(" (", left_out, " more before it)");
}

}  // namespace kamailio_mqtt
