// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/fake_event_loop.h"

#include <chrono>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

class FakeEventLoopTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
};

TEST_F(FakeEventLoopTest, RunsTasksWhenAsked) {
  std::vector<int> order;
  loop_.Post([&] {
    loop_.Post([&] { order.push_back(2); });
    order.push_back(1);
  });
  EXPECT_THAT(order, ElementsAre());
  loop_.RunUntilIdle();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_F(FakeEventLoopTest, ClockDrivesTimers) {
  std::vector<int> order;
  const auto second = loop_.CreateTimer([&] { order.push_back(2); });
  const auto first = loop_.CreateTimer([&] {
    order.push_back(1);
    loop_.Post([&] { order.push_back(10); });
  });
  second->Start(seconds(2));
  first->Start(seconds(1));
  EXPECT_EQ(loop_.NextTimerDue(), seconds(1));
  const TimePoint begin = clock_.Now();
  loop_.Advance(seconds(1));
  EXPECT_THAT(order, ElementsAre(1, 10));
  loop_.Advance(seconds(5));
  EXPECT_THAT(order, ElementsAre(1, 10, 2));
  EXPECT_EQ(clock_.Now() - begin, seconds(6));
  EXPECT_EQ(loop_.NextTimerDue(), absl::nullopt);
}

TEST_F(FakeEventLoopTest, TimerSeesTheTimeItIsDue) {
  const TimePoint begin = clock_.Now();
  int left = 3;
  std::unique_ptr<Timer> timer;
  timer = loop_.CreateTimer([&] {
    EXPECT_EQ(clock_.Now() - begin, seconds(4 - left));
    if (--left > 0) timer->Start(seconds(1));
  });
  timer->Start(seconds(1));
  loop_.Advance(seconds(10));
  EXPECT_EQ(left, 0);
}

TEST_F(FakeEventLoopTest, StoppedAndDestroyedTimersDoNotFire) {
  const auto stopped = loop_.CreateTimer([] { FAIL(); });
  stopped->Start(seconds(1));
  stopped->Stop();
  EXPECT_FALSE(stopped->IsRunning());
  loop_.CreateTimer([] { FAIL(); })->Start(seconds(1));
  loop_.Advance(seconds(2));
}

TEST_F(FakeEventLoopTest, TimerDestroysItself) {
  std::unique_ptr<Timer> timer;
  timer = loop_.CreateTimer([&timer] { timer.reset(); });
  timer->Start(seconds(1));
  loop_.Advance(seconds(1));
  EXPECT_EQ(timer, nullptr);
}

TEST_F(FakeEventLoopTest, TestMakesDescriptorsReady) {
  std::vector<bool> seen;
  auto watch = loop_.Watch(7, [&](bool readable, bool writable) {
    seen = {readable, writable};
  });
  EXPECT_FALSE(loop_.SetReady(7, true, true));
  watch->WaitFor(true, false);
  EXPECT_TRUE(loop_.IsWaitingToRead(7));
  EXPECT_FALSE(loop_.IsWaitingToWrite(7));
  EXPECT_TRUE(loop_.SetReady(7, true, true));
  EXPECT_THAT(seen, ElementsAre(true, false));
  EXPECT_FALSE(loop_.SetReady(8, true, true));
  watch.reset();
  EXPECT_FALSE(loop_.SetReady(7, true, true));
}

class CountingGate : public SleepGate {
 public:
  bool MaySleep() override { return ++asked >= 3; }
  void OnAwake() override { ++awake; }
  int asked = 0;
  int awake = 0;
};

TEST_F(FakeEventLoopTest, AsksTheGateUntilItMaySleep) {
  CountingGate gate;
  loop_.SetSleepGate(&gate);
  loop_.RunUntilIdle();
  EXPECT_EQ(gate.asked, 3);
  EXPECT_EQ(gate.awake, 1);
  loop_.SetSleepGate(nullptr);
  loop_.RunUntilIdle();
  EXPECT_EQ(gate.asked, 3);
}

TEST_F(FakeEventLoopTest, StopEndsRun) {
  std::vector<int> order;
  loop_.Post([&] {
    order.push_back(1);
    loop_.Stop();
  });
  loop_.Post([&] { order.push_back(2); });
  loop_.Run();
  EXPECT_THAT(order, ElementsAre(1));
  loop_.Run();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

}  // namespace
}  // namespace kamailio_mqtt
