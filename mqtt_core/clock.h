// SPDX-License-Identifier: GPL-3.0-or-later

// The monotonic clock. Timeouts, back-off and times to live are measured with
// it, so a jump of the wall clock has no effect on them.
#ifndef MQTT_CORE_CLOCK_H_
#define MQTT_CORE_CLOCK_H_

#include <chrono>

namespace kamailio_mqtt {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

class SteadyClock : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_CLOCK_H_
