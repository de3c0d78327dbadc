// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/ev_loop.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using ::testing::ElementsAre;

class EvLoopTest : public ::testing::Test {
 protected:
  EvLoopTest() {
    deadline_ = loop_.CreateTimer([this] {
      ADD_FAILURE() << "the loop was not stopped";
      loop_.Stop();
    });
    deadline_->Start(minutes(1));
  }

  EvLoop loop_;
  std::unique_ptr<Timer> deadline_;
};

class SocketPair {
 public:
  SocketPair() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()),
              0);
  }
  ~SocketPair() {
    close(ends_[0]);
    close(ends_[1]);
  }

  int end(int i) const { return ends_[i]; }
  void MakeReadable() { EXPECT_EQ(write(ends_[1], "x", 1), 1); }
  void Drain() {
    char byte;
    EXPECT_EQ(read(ends_[0], &byte, 1), 1);
  }

 private:
  std::array<int, 2> ends_;
};

TEST_F(EvLoopTest, RunsTasksInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) {
    loop_.Post([&order, i] { order.push_back(i); });
  }
  loop_.Post([this] { loop_.Stop(); });
  loop_.Run();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
}

TEST_F(EvLoopTest, RunsTasksThatTasksPost) {
  std::vector<int> order;
  loop_.Post([&] {
    loop_.Post([&] {
      order.push_back(2);
      loop_.Stop();
    });
    order.push_back(1);
  });
  loop_.Run();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_F(EvLoopTest, KeepsTheOrderOfEachThread) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 5000;
  std::array<int, kThreads> next = {};
  int left = kThreads * kTasks;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kTasks; ++i) {
        loop_.Post([&, thread, i] {
          EXPECT_EQ(next[thread]++, i);
          if (--left == 0) loop_.Stop();
        });
      }
    });
  }
  loop_.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(left, 0);
}

TEST_F(EvLoopTest, StopBeforeRunMakesItReturn) {
  loop_.Stop();
  loop_.Run();
}

TEST_F(EvLoopTest, StopFromAnotherThread) {
  std::thread thread([this] { loop_.Stop(); });
  loop_.Run();
  thread.join();
}

TEST_F(EvLoopTest, RunsAgain) {
  loop_.Post([this] { loop_.Stop(); });
  loop_.Run();
  bool ran = false;
  loop_.Post([&] {
    ran = true;
    loop_.Stop();
  });
  loop_.Run();
  EXPECT_TRUE(ran);
}

TEST_F(EvLoopTest, RunsTheTasksBesideStop) {
  bool ran = false;
  loop_.Post([this] { loop_.Stop(); });
  loop_.Post([&] { ran = true; });
  loop_.Run();
  EXPECT_TRUE(ran);
}

TEST(EvLoopLifeTest, DestroysTasksThatDidNotRun) {
  const auto held = std::make_shared<int>(1);
  {
    EvLoop loop;
    loop.Post([held] { FAIL(); });
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(EvLoopLifeTest, DestroysTimersHeldByTasks) {
  EvLoop loop;
  std::unique_ptr<Timer> timer = loop.CreateTimer([] {});
  timer->Start(minutes(1));
  loop.Post([timer = std::move(timer)] { FAIL(); });
}

TEST_F(EvLoopTest, DestroysWhatATaskHoldsAfterIt) {
  const auto held = std::make_shared<int>(1);
  loop_.Post([held] {});
  loop_.Post([&] {
    EXPECT_EQ(held.use_count(), 1);
    loop_.Stop();
  });
  loop_.Run();
}

TEST_F(EvLoopTest, KnowsItsThread) {
  EXPECT_FALSE(loop_.IsInLoopThread());
  std::thread other;
  loop_.Post([&] {
    EXPECT_TRUE(loop_.IsInLoopThread());
    other = std::thread([&] {
      EXPECT_FALSE(loop_.IsInLoopThread());
      loop_.Stop();
    });
  });
  loop_.Run();
  other.join();
  EXPECT_FALSE(loop_.IsInLoopThread());
}

TEST_F(EvLoopTest, TimersFireInTheOrderTheyAreDue) {
  std::vector<int> order;
  const auto second = loop_.CreateTimer([&] {
    order.push_back(2);
    loop_.Stop();
  });
  const auto first = loop_.CreateTimer([&] { order.push_back(1); });
  second->Start(milliseconds(20));
  first->Start(milliseconds(10));
  const TimePoint begin = SteadyClock().Now();
  loop_.Run();
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_GE(SteadyClock().Now() - begin, milliseconds(20));
}

TEST_F(EvLoopTest, TimerFiresOncePerStart) {
  int fired = 0;
  const auto timer = loop_.CreateTimer([&] { ++fired; });
  const auto later = loop_.CreateTimer([this] { loop_.Stop(); });
  EXPECT_FALSE(timer->IsRunning());
  timer->Start(Duration::zero());
  EXPECT_TRUE(timer->IsRunning());
  later->Start(milliseconds(20));
  loop_.Run();
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer->IsRunning());
}

TEST_F(EvLoopTest, TimerIsSetAnew) {
  bool early = true;
  const auto timer = loop_.CreateTimer([&] {
    EXPECT_FALSE(early);
    loop_.Stop();
  });
  const auto between = loop_.CreateTimer([&] { early = false; });
  timer->Start(Duration::zero());
  timer->Start(milliseconds(30));
  between->Start(milliseconds(10));
  loop_.Run();
}

TEST_F(EvLoopTest, StoppedTimerDoesNotFire) {
  const auto timer = loop_.CreateTimer([] { FAIL(); });
  const auto later = loop_.CreateTimer([this] { loop_.Stop(); });
  timer->Start(milliseconds(1));
  timer->Stop();
  timer->Stop();
  later->Start(milliseconds(20));
  loop_.Run();
}

TEST_F(EvLoopTest, TimerRestartsItself) {
  int left = 3;
  std::unique_ptr<Timer> timer;
  timer = loop_.CreateTimer([&] {
    if (--left == 0) {
      loop_.Stop();
    } else {
      timer->Start(milliseconds(1));
    }
  });
  timer->Start(milliseconds(1));
  loop_.Run();
  EXPECT_EQ(left, 0);
}

TEST_F(EvLoopTest, TimerDestroysItself) {
  std::unique_ptr<Timer> timer;
  const std::string held = "longer than what a string keeps inside itself";
  timer = loop_.CreateTimer([this, &timer, held] {
    timer.reset();
    EXPECT_EQ(held.size(), 45u);
    loop_.Stop();
  });
  timer->Start(Duration::zero());
  loop_.Run();
  EXPECT_EQ(timer, nullptr);
}

TEST_F(EvLoopTest, TimersThatAreDueTogetherDestroyEachOther) {
  std::array<std::unique_ptr<Timer>, 2> timers;
  int fired = 0;
  for (int i = 0; i < 2; ++i) {
    timers[i] = loop_.CreateTimer([&, i] {
      ++fired;
      timers[1 - i].reset();
      loop_.Stop();
    });
    timers[i]->Start(Duration::zero());
  }
  loop_.Run();
  EXPECT_EQ(fired, 1);
}

TEST_F(EvLoopTest, DelayCountsFromTheCallNotFromTheIteration) {
  const auto timer = loop_.CreateTimer([this] { loop_.Stop(); });
  TimePoint begin;
  loop_.Post([&] {
    const TimePoint until = SteadyClock().Now() + milliseconds(40);
    while (SteadyClock().Now() < until) {
    }
    begin = SteadyClock().Now();
    timer->Start(milliseconds(30));
  });
  loop_.Run();
  EXPECT_GE(SteadyClock().Now() - begin, milliseconds(30));
}

TEST_F(EvLoopTest, WatchReportsLevels) {
  SocketPair pair;
  pair.MakeReadable();
  int calls = 0;
  const auto watch =
      loop_.Watch(pair.end(0), [&](bool readable, bool writable) {
        EXPECT_TRUE(readable);
        EXPECT_FALSE(writable);
        if (++calls < 3) return;
        pair.Drain();
        loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
      });
  watch->WaitFor(true, false);
  loop_.Run();
  EXPECT_EQ(calls, 3);
}

TEST_F(EvLoopTest, NewWatchWaitsForNothing) {
  SocketPair pair;
  pair.MakeReadable();
  const auto watch = loop_.Watch(pair.end(0), [](bool, bool) { FAIL(); });
  const auto timer = loop_.CreateTimer([this] { loop_.Stop(); });
  timer->Start(milliseconds(5));
  loop_.Run();
}

TEST_F(EvLoopTest, WatchChangesWhatItWaitsFor) {
  SocketPair pair;
  std::vector<std::string> seen;
  std::unique_ptr<IoWatch> watch;
  watch = loop_.Watch(pair.end(0), [&](bool readable, bool writable) {
    if (writable) {
      seen.push_back("writable");
      watch->WaitFor(true, false);
      pair.MakeReadable();
    } else if (readable) {
      seen.push_back("readable");
      watch->WaitFor(false, false);
      loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
    }
  });
  watch->WaitFor(false, true);
  loop_.Run();
  EXPECT_THAT(seen, ElementsAre("writable", "readable"));
}

TEST_F(EvLoopTest, WatchReportsReadableAndWritableTogether) {
  SocketPair pair;
  pair.MakeReadable();
  const auto watch =
      loop_.Watch(pair.end(0), [&](bool readable, bool writable) {
        EXPECT_TRUE(readable);
        EXPECT_TRUE(writable);
        loop_.Stop();
      });
  watch->WaitFor(true, true);
  loop_.Run();
}

TEST_F(EvLoopTest, WatchDestroysItself) {
  SocketPair pair;
  pair.MakeReadable();
  int calls = 0;
  std::unique_ptr<IoWatch> watch;
  const std::string held = "longer than what a string keeps inside itself";
  watch = loop_.Watch(pair.end(0), [&, held](bool, bool) {
    watch.reset();
    EXPECT_EQ(held.size(), 45u);
    ++calls;
    loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
  });
  watch->WaitFor(true, false);
  loop_.Run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EvLoopTest, WatchesThatAreReadyTogetherDestroyEachOther) {
  std::array<SocketPair, 2> pairs;
  std::array<std::unique_ptr<IoWatch>, 2> watches;
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    pairs[i].MakeReadable();
    watches[i] = loop_.Watch(pairs[i].end(0), [&, i](bool, bool) {
      ++calls;
      watches[1 - i].reset();
      watches[i]->WaitFor(false, false);
      loop_.Stop();
    });
    watches[i]->WaitFor(true, false);
  }
  loop_.Run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EvLoopTest, DescriptorIsClosedAndUsedAgain) {
  for (int i = 0; i < 3; ++i) {
    SocketPair pair;
    pair.MakeReadable();
    const auto watch =
        loop_.Watch(pair.end(0), [this](bool, bool) { loop_.Stop(); });
    watch->WaitFor(true, false);
    loop_.Run();
  }
}

// What select(2) cannot do.
TEST_F(EvLoopTest, TakesLargeDescriptors) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  SocketPair pair;
  const int large = fcntl(pair.end(0), F_DUPFD_CLOEXEC, 3000);
  ASSERT_GE(large, 3000);
  pair.MakeReadable();
  {
    const auto watch = loop_.Watch(large, [this](bool, bool) { loop_.Stop(); });
    watch->WaitFor(true, false);
    loop_.Run();
  }
  close(large);
}

class FakeGate : public SleepGate {
 public:
  bool MaySleep() override {
    ++asked;
    return may_sleep();
  }
  void OnAwake() override {
    ++awake;
    on_awake();
  }

  std::function<bool()> may_sleep = [] { return true; };
  std::function<void()> on_awake = [] {};
  int asked = 0;
  int awake = 0;
};

TEST_F(EvLoopTest, GateKeepsTheLoopAwake) {
  FakeGate gate;
  gate.may_sleep = [&] {
    if (gate.asked == 1000) loop_.Stop();
    return false;
  };
  loop_.SetSleepGate(&gate);
  loop_.Run();
  EXPECT_EQ(gate.asked, 1000);
  EXPECT_EQ(gate.awake, 0);
}

TEST_F(EvLoopTest, PollsDescriptorsWhileTheGateIsShut) {
  FakeGate gate;
  gate.may_sleep = [] { return false; };
  loop_.SetSleepGate(&gate);
  SocketPair pair;
  const auto watch =
      loop_.Watch(pair.end(0), [this](bool, bool) { loop_.Stop(); });
  watch->WaitFor(true, false);
  const auto timer = loop_.CreateTimer([&] { pair.MakeReadable(); });
  timer->Start(milliseconds(5));
  loop_.Run();
  EXPECT_GT(gate.asked, 1);
}

TEST_F(EvLoopTest, GateHearsOfEachSleepBeforeAnyCallback) {
  FakeGate gate;
  loop_.SetSleepGate(&gate);
  const auto timer = loop_.CreateTimer([&] {
    EXPECT_EQ(gate.awake, gate.asked);
    EXPECT_GE(gate.awake, 1);
    loop_.Stop();
  });
  timer->Start(milliseconds(10));
  loop_.Run();
  EXPECT_EQ(gate.awake, gate.asked);
}

TEST_F(EvLoopTest, LoopSleepsWhenTheGateOpens) {
  FakeGate gate;
  gate.may_sleep = [&] { return gate.asked > 10; };
  loop_.SetSleepGate(&gate);
  const auto timer = loop_.CreateTimer([this] { loop_.Stop(); });
  timer->Start(milliseconds(100));
  loop_.Run();
  // A loop that does not sleep asks many thousand times.
  EXPECT_LT(gate.asked, 100);
  EXPECT_EQ(gate.awake, gate.asked - 10);
}

TEST_F(EvLoopTest, PostWhileAskedIsNotSleptThrough) {
  FakeGate gate;
  gate.may_sleep = [&] {
    if (gate.asked == 1) loop_.Post([this] { loop_.Stop(); });
    return true;
  };
  loop_.SetSleepGate(&gate);
  loop_.Run();
  EXPECT_EQ(gate.asked, 1);
}

TEST_F(EvLoopTest, GateIsRemovedFromItsOwnCallbacks) {
  FakeGate shut;
  shut.may_sleep = [this] {
    loop_.SetSleepGate(nullptr);
    return false;
  };
  loop_.SetSleepGate(&shut);
  loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
  loop_.Run();
  EXPECT_EQ(shut.asked, 1);
  EXPECT_EQ(shut.awake, 0);

  FakeGate open;
  open.on_awake = [this] { loop_.SetSleepGate(nullptr); };
  loop_.SetSleepGate(&open);
  loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
  loop_.Run();
  EXPECT_EQ(open.awake, 1);
}

}  // namespace
}  // namespace kamailio_mqtt
