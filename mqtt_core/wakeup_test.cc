// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/wakeup.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "mqtt_core/shared_memory.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {

// Takes the steps of Notify one by one.
class WakeupTestPeer {
 public:
  static uint64_t Generation(const Wakeup& wakeup) {
    return *wakeup.generation_;
  }
  static void WriteEvent(Wakeup& wakeup) { wakeup.WriteEvent(); }
  static void EndGeneration(Wakeup& wakeup, uint64_t generation) {
    wakeup.EndGeneration(generation);
  }
};

namespace {

constexpr int kDeadlineMs = 60000;

bool IsReadable(const Wakeup& wakeup, int timeout_ms = 0) {
  pollfd event = {wakeup.fd(), POLLIN, 0};
  return poll(&event, 1, timeout_ms) == 1;
}

// How many writes there were since the last count.
uint64_t CountEvents(const Wakeup& wakeup) {
  uint64_t events = 0;
  return read(wakeup.fd(), &events, sizeof(events)) > 0 ? events : 0;
}

TEST(WakeupTest, NobodyWritesWhileTheConsumerIsAwake) {
  Wakeup wakeup = Wakeup::Create().value();
  wakeup.Notify();
  EXPECT_EQ(CountEvents(wakeup), 0u);
  wakeup.PrepareToSleep();
  wakeup.FinishSleep();
  wakeup.Notify();
  EXPECT_EQ(CountEvents(wakeup), 0u);
}

TEST(WakeupTest, OneWriteForEachSleep) {
  Wakeup wakeup = Wakeup::Create().value();
  for (int sleep = 0; sleep < 3; ++sleep) {
    wakeup.PrepareToSleep();
    EXPECT_FALSE(IsReadable(wakeup));
    for (int i = 0; i < 100; ++i) wakeup.Notify();
    EXPECT_TRUE(IsReadable(wakeup));
    EXPECT_EQ(CountEvents(wakeup), 1u);
    wakeup.FinishSleep();
  }
}

TEST(WakeupTest, EachCallTwice) {
  Wakeup wakeup = Wakeup::Create().value();
  for (int sleep = 0; sleep < 3; ++sleep) {
    wakeup.PrepareToSleep();
    wakeup.PrepareToSleep();
    wakeup.Notify();
    EXPECT_EQ(CountEvents(wakeup), 1u);
    wakeup.FinishSleep();
    wakeup.FinishSleep();
    wakeup.Notify();
    EXPECT_EQ(CountEvents(wakeup), 0u);
  }
}

TEST(WakeupTest, FinishSleepDrains) {
  Wakeup wakeup = Wakeup::Create().value();
  wakeup.PrepareToSleep();
  wakeup.Notify();
  ASSERT_TRUE(IsReadable(wakeup));
  wakeup.FinishSleep();
  EXPECT_FALSE(IsReadable(wakeup));
  wakeup.PrepareToSleep();
  EXPECT_FALSE(IsReadable(wakeup));
}

TEST(WakeupTest, ProducerKilledBeforeItEndsTheGeneration) {
  Wakeup wakeup = Wakeup::Create().value();
  wakeup.PrepareToSleep();
  WakeupTestPeer::WriteEvent(wakeup);
  EXPECT_TRUE(IsReadable(wakeup));
  // Others go on signalling, and the next sleep is as any other.
  wakeup.Notify();
  EXPECT_EQ(CountEvents(wakeup), 2u);
  wakeup.FinishSleep();
  wakeup.PrepareToSleep();
  EXPECT_FALSE(IsReadable(wakeup));
  wakeup.Notify();
  EXPECT_TRUE(IsReadable(wakeup));
}

TEST(WakeupTest, LateProducerDoesNotClearALaterSleep) {
  Wakeup wakeup = Wakeup::Create().value();
  wakeup.PrepareToSleep();
  const uint64_t generation = WakeupTestPeer::Generation(wakeup);
  WakeupTestPeer::WriteEvent(wakeup);
  wakeup.FinishSleep();
  wakeup.PrepareToSleep();
  WakeupTestPeer::EndGeneration(wakeup, generation);
  wakeup.Notify();
  EXPECT_TRUE(IsReadable(wakeup));
}

TEST(WakeupTest, FullEventCounterDoesNotBlock) {
  Wakeup wakeup = Wakeup::Create().value();
  const uint64_t fill = ~uint64_t{0} - 1;
  ASSERT_EQ(write(wakeup.fd(), &fill, sizeof(fill)), ssize_t{sizeof(fill)});
  wakeup.PrepareToSleep();
  wakeup.Notify();
  EXPECT_TRUE(IsReadable(wakeup));
}

TEST(WakeupTest, NotifyKeepsErrno) {
  Wakeup wakeup = Wakeup::Create().value();
  const uint64_t fill = ~uint64_t{0} - 1;
  ASSERT_EQ(write(wakeup.fd(), &fill, sizeof(fill)), ssize_t{sizeof(fill)});
  wakeup.PrepareToSleep();
  errno = ENOENT;
  wakeup.Notify();
  EXPECT_EQ(errno, ENOENT);
}

TEST(WakeupTest, MoveHandsTheDescriptorOver) {
  Wakeup wakeup = Wakeup::Create().value();
  const int fd = wakeup.fd();
  wakeup.PrepareToSleep();
  Wakeup moved(std::move(wakeup));
  EXPECT_EQ(moved.fd(), fd);
  moved.Notify();
  EXPECT_TRUE(IsReadable(moved));
  moved.FinishSleep();

  Wakeup other = Wakeup::Create().value();
  other = std::move(moved);
  EXPECT_EQ(other.fd(), fd);
  other.PrepareToSleep();
  other.Notify();
  EXPECT_TRUE(IsReadable(other));
}

// The simplest queue: how many records there are.
using Count = std::atomic<uint64_t>;

// Consumes `total` records and sleeps whenever there is none.
void ConsumeAll(Wakeup& wakeup, Count& published, Count& consumed,
                uint64_t total) {
  while (consumed < total) {
    consumed = published.load();
    if (consumed == total) break;
    wakeup.PrepareToSleep();
    if (published == consumed) {
      ASSERT_TRUE(IsReadable(wakeup, kDeadlineMs));
    }
    wakeup.FinishSleep();
  }
}

TEST(WakeupThreadTest, NoWakeupIsLostToManyProducers) {
  constexpr int kProducers = 3;
  constexpr uint64_t kRecords = 20000;
  Wakeup wakeup = Wakeup::Create().value();
  Count published(0);
  Count consumed(0);
  std::vector<std::thread> producers;
  for (int i = 0; i < kProducers; ++i) {
    producers.emplace_back([&] {
      for (uint64_t record = 0; record < kRecords; ++record) {
        // So that the consumer catches up, and sleeps, again and again.
        while (published > consumed + kProducers) sched_yield();
        ++published;
        wakeup.Notify();
      }
    });
  }
  ConsumeAll(wakeup, published, consumed, kProducers * kRecords);
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(consumed, kProducers * kRecords);
}

TEST(WakeupProcessTest, ProducerKilledWhileItWritesTheEvent) {
  Wakeup wakeup = Wakeup::Create().value();
  wakeup.PrepareToSleep();
  ForkedProcess producer([&] {
    // To write into a pipe that nobody reads is deadly.
    signal(SIGPIPE, SIG_DFL);
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], wakeup.fd()) < 0) _exit(1);
    close(ends[0]);
    wakeup.Notify();
  });
  const int status = producer.Reap();
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE) << status;
  EXPECT_FALSE(IsReadable(wakeup));
  wakeup.Notify();
  EXPECT_TRUE(IsReadable(wakeup));
}

// With a single record under way at a time, every wake-up counts.
TEST(WakeupProcessTest, NoWakeupIsLostToAProcessThatWaitsForEachRecord) {
  constexpr uint64_t kRecords = 20000;
  Wakeup wakeup = Wakeup::Create().value();
  const SharedMemory memory = SharedMemory::Create(2 * sizeof(Count)).value();
  Count* const counts = static_cast<Count*>(memory.data());
  Count& published = counts[0];
  Count& consumed = counts[1];
  ForkedProcess producer([&] {
    for (uint64_t record = 0; record < kRecords; ++record) {
      ++published;
      wakeup.Notify();
      while (consumed <= record) sched_yield();
    }
  });
  ConsumeAll(wakeup, published, consumed, kRecords);
  EXPECT_EQ(producer.Reap(), 0);
  EXPECT_EQ(consumed, kRecords);
}

}  // namespace
}  // namespace kamailio_mqtt
