// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/process_liveness.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

void RunUntilKilled() {
  for (;;) pause();
}

TEST(ProcessLivenessTest, ThisProcessRuns) {
  EXPECT_TRUE(ProcessMayStillRun(getpid(), TimeSinceBoot()));
}

TEST(ProcessLivenessTest, InitProcessRuns) {
  EXPECT_TRUE(ProcessMayStillRun(1, TimeSinceBoot()));
}

TEST(ProcessLivenessTest, StoppedProcessMayStillRun) {
  ForkedProcess child(RunUntilKilled);
  child.Signal(SIGSTOP);
  child.AwaitStop();
  EXPECT_TRUE(ProcessMayStillRun(child.pid(), TimeSinceBoot()));
}

TEST(ProcessLivenessTest, KilledProcessIsGoneBeforeAndAfterItsParentWaits) {
  ForkedProcess child(RunUntilKilled);
  const pid_t pid = child.pid();
  const std::chrono::nanoseconds now = TimeSinceBoot();
  child.Signal(SIGKILL);
  child.AwaitZombie();
  EXPECT_FALSE(ProcessMayStillRun(pid, now));
  child.Reap();
  EXPECT_FALSE(ProcessMayStillRun(pid, now));
}

TEST(ProcessLivenessTest, ProcessThatBeganLaterIsAnotherOne) {
  EXPECT_FALSE(ProcessMayStillRun(getpid(), std::chrono::nanoseconds(0)));
}

TEST(ProcessLivenessTest, ThreadMayOutliveTheFirstThread) {
  ForkedProcess child([] {
    std::thread(RunUntilKilled).detach();
    syscall(SYS_exit, 0);  // Ends the first thread only.
  });
  const std::string path = absl::StrCat("/proc/", child.pid(), "/stat");
  std::string stat;
  while (!absl::StrContains(stat, ") Z ")) {
    std::getline(std::ifstream(path), stat);
    ASSERT_THAT(stat, Not(IsEmpty()));
  }
  EXPECT_TRUE(ProcessMayStillRun(child.pid(), TimeSinceBoot()));
}

}  // namespace
}  // namespace kamailio_mqtt
