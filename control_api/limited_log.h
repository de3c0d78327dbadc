// SPDX-License-Identifier: GPL-3.0-or-later

// Warnings of one kind that others can provoke at will: the first at once, of
// those that follow within some seconds one line, with their number.
//
// Thread safety: belongs to the event loop's thread.
#ifndef CONTROL_API_LIMITED_LOG_H_
#define CONTROL_API_LIMITED_LOG_H_

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

  // Both outlive the object.
  LimitedLog(EventLoop* loop, Log* log);

  void Warning(std::string line);

 private:
  void Flush();

  Log* const log_;
  const std::unique_ptr<Timer> timer_;
  int64_t unwritten_ = 0;
  std::string last_line_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_LIMITED_LOG_H_
