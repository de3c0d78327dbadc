// SPDX-License-Identifier: GPL-3.0-or-later

// Lines of one kind that others can provoke at will: the first at once, of
// those that follow within some seconds one line, with their number.
//
// Thread safety: belongs to the event loop's thread.
#ifndef MQTT_CORE_LIMITED_LOG_H_
#define MQTT_CORE_LIMITED_LOG_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "mqtt_core/clock.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/log.h"

namespace kamailio_mqtt {

class LimitedLog {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);

  // `loop` and `log` outlive the object. All lines are of `level`; up to
  // `burst` of them in an interval are written as they come.
  LimitedLog(EventLoop* loop, Log* log, LogLevel level, int burst = 1);

  void Write(std::string line);

 private:
  void Flush();

  Log* const log_;
  const LogLevel level_;
  const int burst_;
  const std::unique_ptr<Timer> timer_;
  // Since the timer was started.
  int written_ = 0;
  int64_t unwritten_ = 0;
  std::string last_line_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_LIMITED_LOG_H_
