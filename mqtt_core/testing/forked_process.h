// SPDX-License-Identifier: GPL-3.0-or-later
//
// A process that a test forks to run a function in, ended at the latest with
// its object.

#ifndef MQTT_CORE_TESTING_FORKED_PROCESS_H_
#define MQTT_CORE_TESTING_FORKED_PROCESS_H_

#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <utility>

#include "gtest/gtest.h"

namespace kamailio_mqtt {

class ForkedProcess {
 public:
  // Forks; the child runs `body` and exits with 0.  It is killed if the test
  // itself is, by a time limit say, and so leaves nothing behind.
  explicit ForkedProcess(const std::function<void()>& body) {
    const pid_t test = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != test) _exit(1);
      body();
      _exit(0);
    }
    EXPECT_GT(pid_, 0);
  }
  ForkedProcess(ForkedProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)) {}
  ForkedProcess& operator=(ForkedProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~ForkedProcess() {
    if (pid_ > 0) Kill();
  }

  pid_t pid() const { return pid_; }

  void Signal(int signal) { EXPECT_EQ(kill(pid_, signal), 0); }

  // Waits until the child has been stopped by a signal.
  void AwaitStop() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, WUNTRACED), pid_);
    EXPECT_TRUE(WIFSTOPPED(status));
  }

  // Waits until the child has ended, and leaves it a zombie.
  void AwaitZombie() {
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, pid_, &info, WEXITED | WNOWAIT), 0);
  }

  // Waits until the child has ended; returns its status as waitpid does.
  int Reap() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return status;
  }

  void Kill() {
    Signal(SIGKILL);
    Reap();
  }

 private:
  pid_t pid_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_FORKED_PROCESS_H_
