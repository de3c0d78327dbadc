// SPDX-License-Identifier: GPL-3.0-or-later

// How often a line that scripts or peers can provoke at will is logged: some in
// a row, then one a second. Those that are left out are counted.
//
// Thread safety: thread-safe, without a lock; processes may share it. Zero-
// filled memory is a valid start.
#ifndef MQTT_CORE_LINE_LIMIT_H_
#define MQTT_CORE_LINE_LIMIT_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "absl/types/optional.h"
#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

class LineLimit {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(1);

  // Where a line may be logged now: what to append to it, which says how many
  // were left out before, or is empty. Nothing where it is one too many.
  // `burst`, always the same, is how many may come in a row.
  absl::optional<std::string> Admit(TimePoint now, int burst);

 private:
  // When, by the monotonic clock in nanoseconds, the lines so far would have
  // been over at one in an interval.
  std::atomic<int64_t> over_{0};
  std::atomic<int64_t> left_out_{0};
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_LINE_LIMIT_H_
