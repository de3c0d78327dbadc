// SPDX-License-Identifier: GPL-3.0-or-later
//
// The ring between processes, some of which are stopped or killed.

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/process_liveness.h"
#include "mqtt_core/request_ring.h"
#include "mqtt_core/shared_memory.h"
#include "mqtt_core/testing/forked_process.h"
#include "mqtt_core/testing/request_ring_test_peer.h"
#include "mqtt_core/wakeup.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Next = RequestRingReader::Next;
using PushResult = RequestRing::PushResult;

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

std::vector<std::string> Drain(RequestRingReader& reader, Next expected_next) {
  std::vector<std::string> records;
  const RequestRingReader::Result result = reader.Drain(
      kUnlimited,
      [&](absl::string_view record) { records.emplace_back(record); });
  EXPECT_EQ(result.next, expected_next);
  return records;
}

// Sleeps until there may be a record.  Returns false after the timeout.
bool AwaitRecord(Wakeup& wakeup, const RequestRingReader& reader,
                 int timeout_ms) {
  pollfd event = {wakeup.fd(), POLLIN, 0};
  wakeup.PrepareToSleep();
  const bool awoken =
      reader.HasWork() || poll(&event, /*nfds=*/1, timeout_ms) == 1;
  wakeup.FinishSleep();
  return awoken;
}

// A record whose contents follow from its producer and its number.
struct RecordId {
  uint32_t producer;
  uint32_t number;
};

std::string MakeRecord(RecordId id, size_t max_size) {
  std::minstd_rand random(id.producer * 1000003 + id.number);
  std::string record(sizeof(id) + random() % max_size, '\0');
  memcpy(record.data(), &id, sizeof(id));
  const char seed = random();
  for (size_t i = sizeof(id); i < record.size(); ++i) record[i] = seed + i;
  return record;
}

// Checks that records arrive whole, each producer's in order and without a gap.
class Inspector {
 public:
  Inspector(size_t producers, size_t max_size)
      : received_(producers), max_size_(max_size) {}

  void Inspect(absl::string_view record) {
    RecordId id;
    ASSERT_GE(record.size(), sizeof(id));
    memcpy(&id, record.data(), sizeof(id));
    ASSERT_LT(id.producer, received_.size());
    ASSERT_EQ(id.number, received_[id.producer]);
    ASSERT_TRUE(record == MakeRecord(id, max_size_));
    ++received_[id.producer];
  }

  uint32_t received(size_t producer) const { return received_[producer]; }

 private:
  std::vector<uint32_t> received_;
  const size_t max_size_;
};

// A page of memory that raises SIGSEGV when touched, in the process that closed
// it: brings a producer to a stop between two certain steps.
class Trap {
 public:
  // The page with `address` in it, which must live longer.
  explicit Trap(const void* address)
      : page_(reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(address) &
                                      -uintptr_t(getpagesize()))) {}

  void Close() const { mprotect(page_, getpagesize(), PROT_NONE); }
  void Open() const { mprotect(page_, getpagesize(), PROT_READ | PROT_WRITE); }

 private:
  char* const page_;
};

const Trap* sprung_trap;

// Runs `body` in a process of its own that stops itself in the closed trap, and
// goes on from there when continued.
ForkedProcess RunIntoTrap(const Trap& trap, const std::function<void()>& body) {
  return ForkedProcess([&] {
    sprung_trap = &trap;
    signal(SIGSEGV, [](int) {
      raise(SIGSTOP);
      sprung_trap->Open();
    });
    trap.Close();
    body();
  });
}

// The source of a record, to stop a producer while it copies.
class TrappedBytes {
 public:
  TrappedBytes() : memory_(SharedMemory::Create(kSize).value()) {}

  absl::string_view bytes() const {
    return absl::string_view(static_cast<const char*>(memory_.data()), kSize);
  }
  Trap trap() const { return Trap(memory_.data()); }

 private:
  static constexpr size_t kSize = 100;
  const SharedMemory memory_;
};

TEST(RequestRingProcessTest, KeepsEveryRecordOfSeveralProcesses) {
  constexpr uint32_t kProducers = 4;
  constexpr uint32_t kRecords = 50000;
  constexpr size_t kMaxSize = 200;
  RequestRing ring = RequestRing::Create(64 << 10).value();
  Wakeup wakeup = Wakeup::Create().value();
  std::vector<ForkedProcess> producers;
  for (uint32_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&] {
      for (uint32_t number = 0; number < kRecords; ++number) {
        const std::string record = MakeRecord({producer, number}, kMaxSize);
        while (ring.TryPush({record}) != PushResult::kPushed) sched_yield();
        wakeup.Notify();
      }
    });
  }

  RequestRingReader reader(&ring);
  Inspector inspector(kProducers, kMaxSize);
  uint64_t received = 0;
  for (;;) {
    received +=
        reader
            .Drain(kUnlimited,
                   [&](absl::string_view record) { inspector.Inspect(record); })
            .records;
    ASSERT_FALSE(HasFatalFailure());
    if (received == uint64_t{kProducers} * kRecords) break;
    // Nobody dies here, so every sleep ends with a wake-up.
    ASSERT_TRUE(AwaitRecord(wakeup, reader, /*timeout_ms=*/60000));
  }
  for (ForkedProcess& producer : producers) EXPECT_EQ(producer.Reap(), 0);

  EXPECT_THAT(Drain(reader, Next::kNothing), IsEmpty());
  const RequestRing::Counters counters = ring.counters();
  EXPECT_EQ(counters.pushed, received);
  EXPECT_EQ(counters.popped, received);
  EXPECT_EQ(counters.torn, 0u);
  EXPECT_EQ(counters.damaged, 0u);
}

TEST(RequestRingProcessTest, KilledInTheMiddleOfARecord) {
  RequestRing ring = RequestRing::Create(4096).value();
  std::vector<pid_t> asked;
  RequestRingReader reader(&ring,
                           [&](pid_t pid, std::chrono::nanoseconds known_at) {
                             asked.push_back(pid);
                             return ProcessMayStillRun(pid, known_at);
                           });
  const TrappedBytes source;
  const Trap trap = source.trap();
  ForkedProcess producer = RunIntoTrap(trap, [&] {
    ring.TryPush({"before"});
    ring.TryPush({"first part", source.bytes(), "last part"});
  });
  const pid_t pid = producer.pid();
  producer.AwaitStop();
  ASSERT_EQ(ring.TryPush({"after"}), PushResult::kPushed);
  EXPECT_THAT(Drain(reader, Next::kUnfinished), ElementsAre("before"));
  EXPECT_THAT(Drain(reader, Next::kUnfinished), IsEmpty());

  producer.Signal(SIGKILL);
  producer.AwaitZombie();
  EXPECT_THAT(Drain(reader, Next::kNothing), ElementsAre("after"));
  EXPECT_THAT(asked, ElementsAre(pid, pid));
  EXPECT_EQ(ring.counters().torn, 1u);
  producer.Reap();
}

TEST(RequestRingProcessTest, StoppedInTheMiddleOfARecord) {
  RequestRing ring = RequestRing::Create(4096).value();
  RequestRingReader reader(&ring);
  const TrappedBytes source;
  const Trap trap = source.trap();
  ForkedProcess producer = RunIntoTrap(trap, [&] {
    const PushResult result = ring.TryPush({"first", source.bytes(), "last"});
    _exit(result == PushResult::kPushed ? 0 : 1);
  });
  producer.AwaitStop();
  ASSERT_EQ(ring.TryPush({"after"}), PushResult::kPushed);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(reader.HasWork());
    EXPECT_THAT(Drain(reader, Next::kUnfinished), IsEmpty());
  }

  producer.Signal(SIGCONT);
  EXPECT_EQ(producer.Reap(), 0);
  EXPECT_TRUE(reader.HasWork());
  EXPECT_THAT(Drain(reader, Next::kNothing),
              ElementsAre("first" + std::string(100, '\0') + "last", "after"));
  EXPECT_EQ(ring.counters().torn, 0u);
}

TEST(RequestRingProcessTest, StoppedBetweenHeadAndWord) {
  RequestRing ring = RequestRing::Create(4 << 20).value();
  RequestRingReader reader(&ring);
  // To where head and words are in different pages, however large those are.
  constexpr uint64_t kPosition = 40000;
  for (uint64_t i = 0; i < kPosition; ++i) {
    ASSERT_EQ(ring.TryPush({""}), PushResult::kPushed);
    ASSERT_EQ(Drain(reader, Next::kNothing).size(), 1u);
  }
  const Trap trap(&RequestRingTestPeer::Word(ring, kPosition));
  ForkedProcess producer = RunIntoTrap(trap, [&] {
    _exit(ring.TryPush({"late"}) == PushResult::kPushed ? 0 : 1);
  });
  producer.AwaitStop();
  ASSERT_EQ(ring.TryPush({"meanwhile"}), PushResult::kPushed);
  ASSERT_THAT(Drain(reader, Next::kNothing), ElementsAre("meanwhile"));

  producer.Signal(SIGCONT);
  EXPECT_EQ(producer.Reap(), 0) << "the ring seemed full";
  EXPECT_THAT(Drain(reader, Next::kNothing), ElementsAre("late"));
}

// Kills producers while they push as fast as they can.  What any of them was
// told is pushed must arrive, whole and in order, whatever happens to the rest.
TEST(RequestRingProcessTest, KilledAtRandomMoments) {
  constexpr uint32_t kProducers = 100;
  constexpr uint32_t kAtATime = 2;
  constexpr size_t kMaxSize = 4000;
  RequestRing ring = RequestRing::Create(32 << 10).value();
  Wakeup wakeup = Wakeup::Create().value();
  const SharedMemory memory =
      SharedMemory::Create(kProducers * sizeof(std::atomic<uint32_t>)).value();
  auto* const accepted = static_cast<std::atomic<uint32_t>*>(memory.data());

  const auto start = [&](uint32_t producer) {
    return ForkedProcess([&ring, &wakeup, accepted, producer] {
      for (uint32_t number = 0;;) {
        const std::string record = MakeRecord({producer, number}, kMaxSize);
        const PushResult result = ring.TryPush({record});
        wakeup.Notify();
        if (result == PushResult::kPushed) {
          accepted[producer] = ++number;
        } else {
          sched_yield();
        }
      }
    });
  };

  RequestRingReader reader(&ring);
  Inspector inspector(kProducers, kMaxSize);
  const auto drain = [&] {
    const RequestRingReader::Result result = reader.Drain(
        100, [&](absl::string_view record) { inspector.Inspect(record); });
    // A killed producer may have left a record unfinished, or told nobody.
    if (result.next != Next::kRecord) {
      AwaitRecord(wakeup, reader, /*timeout_ms=*/1);
    }
    return result.next;
  };
  std::minstd_rand random(20240229);
  std::vector<ForkedProcess> running;
  for (uint32_t next = 0; next < kProducers; ++next) {
    running.push_back(start(next));
    if (running.size() < kAtATime) continue;
    // The oldest one has had its time once it got so far.
    const uint32_t oldest = next + 1 - kAtATime;
    const uint32_t target = random() % 20;
    while (inspector.received(oldest) < target) {
      drain();
      ASSERT_FALSE(HasFatalFailure());
    }
    running.front().Kill();
    running.erase(running.begin());
  }
  running.clear();
  while (drain() != Next::kNothing) ASSERT_FALSE(HasFatalFailure());

  for (uint32_t producer = 0; producer < kProducers; ++producer) {
    EXPECT_GE(inspector.received(producer), accepted[producer].load());
    // Killed after the last push, before it could note it.
    EXPECT_LE(inspector.received(producer), accepted[producer].load() + 1);
  }
  const RequestRing::Counters counters = ring.counters();
  EXPECT_EQ(counters.damaged, 0u);
  EXPECT_LE(counters.torn, kProducers);
  // A record may be missing in `pushed` only if its producer was killed at it.
  EXPECT_LE(counters.pushed, counters.popped + counters.torn);
  EXPECT_GE(counters.pushed + kProducers, counters.popped + counters.torn);
  EXPECT_EQ(ring.ApproximateSize().bytes, 0u);
}

}  // namespace
}  // namespace kamailio_mqtt
