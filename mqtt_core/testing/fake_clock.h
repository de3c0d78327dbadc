// SPDX-License-Identifier: GPL-3.0-or-later

// A clock that stands still until a test moves it.
#ifndef MQTT_CORE_TESTING_FAKE_CLOCK_H_
#define MQTT_CORE_TESTING_FAKE_CLOCK_H_

#include <atomic>

#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

// Thread-safe.
class FakeClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(now_.load()); }

  void Advance(Duration duration) { now_ = now_.load() + duration; }

 private:
  // Not zero, so that a forgotten "never" does not pass for "now".
  std::atomic<Duration> now_{std::chrono::hours(1000)};
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_FAKE_CLOCK_H_
