// SPDX-License-Identifier: GPL-3.0-or-later

// A program that runs beside a test, and is killed with the object.
//
// Thread safety: none.
#ifndef MQTT_CORE_TESTING_CHILD_PROCESS_H_
#define MQTT_CORE_TESTING_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace kamailio_mqtt {

class ChildProcess {
 public:
  // `arguments` begin with the program's path; its output goes to `log_path`.
  ChildProcess(std::vector<std::string> arguments, const std::string& log_path);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool IsRunning();
  void Signal(int signal);

 private:
  pid_t pid_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_CHILD_PROCESS_H_
