// SPDX-License-Identifier: GPL-3.0-or-later

// A log that keeps its lines for the test to read.
#ifndef MQTT_CORE_TESTING_FAKE_LOG_H_
#define MQTT_CORE_TESTING_FAKE_LOG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "mqtt_core/log.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

// Thread-safe.
class FakeLog : public Log {
 public:
  void Write(LogLevel level, const std::string& line) override {
    MutexLock lock(&mutex_);
    entries_.emplace_back(level, line);
  }

  // In the order of writing, of all levels or of one.
  std::vector<std::string> lines() const {
    MutexLock lock(&mutex_);
    std::vector<std::string> lines;
    for (const auto& [level, line] : entries_) lines.push_back(line);
    return lines;
  }
  std::vector<std::string> lines(LogLevel wanted) const {
    MutexLock lock(&mutex_);
    std::vector<std::string> lines;
    for (const auto& [level, line] : entries_) {
      if (level == wanted) lines.push_back(line);
    }
    return lines;
  }

  void Clear() {
    MutexLock lock(&mutex_);
    entries_.clear();
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> entries_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_FAKE_LOG_H_
