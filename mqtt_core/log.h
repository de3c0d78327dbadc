// SPDX-License-Identifier: GPL-3.0-or-later

// Where the core's log lines go. Lines never hold payloads or passwords.
#ifndef MQTT_CORE_LOG_H_
#define MQTT_CORE_LOG_H_

#include <string>

namespace kamailio_mqtt {

enum class LogLevel { kError, kWarning, kNotice, kInfo, kDebug };

// Thread-safe.
class Log {
 public:
  virtual ~Log() = default;
  // One event, one line, without a line end.
  virtual void Write(LogLevel level, const std::string& line) = 0;

  void Error(const std::string& line) { Write(LogLevel::kError, line); }
  void Warning(const std::string& line) { Write(LogLevel::kWarning, line); }
  void Notice(const std::string& line) { Write(LogLevel::kNotice, line); }
  void Info(const std::string& line) { Write(LogLevel::kInfo, line); }
  void Debug(const std::string& line) { Write(LogLevel::kDebug, line); }
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_LOG_H_
