// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request_ring.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/request_ring_test_peer.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Next = RequestRingReader::Next;
using Peer = RequestRingTestPeer;
using PushResult = RequestRing::PushResult;

constexpr size_t kCells = 8;
constexpr size_t kCapacity = RequestRing::kMinCapacity;
constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();
constexpr pid_t kOwner = 4194303;  // The largest process id of Linux.

RequestRing MakeRing(size_t capacity = kCapacity) {
  return RequestRing::Create(capacity).value();
}

// A record that takes just so many cells.
std::string RecordOfCells(size_t cells, char fill) {
  return std::string(cells * 64 - 8, fill);
}

RequestRingReader::Result DrainInto(RequestRingReader& reader,
                                    std::vector<std::string>& records,
                                    size_t max_records = kUnlimited) {
  return reader.Drain(max_records, [&](absl::string_view record) {
    records.emplace_back(record);
  });
}

std::vector<std::string> DrainAll(RequestRingReader& reader) {
  std::vector<std::string> records;
  EXPECT_EQ(DrainInto(reader, records).next, Next::kNothing);
  return records;
}

// Moves the empty ring's position on by `cells`.
void Turn(RequestRing& ring, RequestRingReader& reader, size_t cells) {
  for (size_t i = 0; i < cells; ++i) {
    ASSERT_EQ(ring.TryPush({"x"}), PushResult::kPushed);
    ASSERT_THAT(DrainAll(reader), SizeIs(1));
  }
}

TEST(RequestRingTest, ChecksAndRoundsTheCapacity) {
  EXPECT_EQ(RequestRing::Create(RequestRing::kMinCapacity - 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RequestRing::Create(RequestRing::kMaxCapacity + 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeRing(512).capacity(), 512u);
  EXPECT_EQ(MakeRing(513).capacity(), 1024u);
  EXPECT_EQ(MakeRing(RequestRing::kMaxCapacity).capacity(),
            RequestRing::kMaxCapacity);
}

TEST(RequestRingTest, NewRingIsEmpty) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  EXPECT_FALSE(reader.HasWork());
  EXPECT_THAT(DrainAll(reader), IsEmpty());
  EXPECT_EQ(ring.ApproximateSize().records, 0u);
  EXPECT_EQ(ring.ApproximateSize().bytes, 0u);
}

TEST(RequestRingTest, HandsRecordsOverInOrder) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  ASSERT_EQ(ring.TryPush({"first"}), PushResult::kPushed);
  ASSERT_EQ(ring.TryPush({"second"}), PushResult::kPushed);
  EXPECT_TRUE(reader.HasWork());
  EXPECT_THAT(DrainAll(reader), ElementsAre("first", "second"));
  EXPECT_FALSE(reader.HasWork());
}

TEST(RequestRingTest, JoinsThePartsOfARecord) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  const std::string binary("\0\xff\n", 3);
  ASSERT_EQ(ring.TryPush({"topic", absl::string_view(), binary, ""}),
            PushResult::kPushed);
  EXPECT_THAT(DrainAll(reader), ElementsAre("topic" + binary));
}

TEST(RequestRingTest, TakesEmptyRecords) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  ASSERT_EQ(ring.TryPush({}), PushResult::kPushed);
  ASSERT_EQ(ring.TryPush({""}), PushResult::kPushed);
  EXPECT_THAT(DrainAll(reader), ElementsAre("", ""));
}

TEST(RequestRingTest, RefusesOneByteMoreThanTheMaximum) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  const std::string largest(ring.MaxRecordSize(), 'x');
  EXPECT_EQ(ring.TryPush({largest, "y"}), PushResult::kTooLarge);
  EXPECT_EQ(ring.counters().pushed, 0u);
  EXPECT_EQ(ring.TryPush({largest}), PushResult::kPushed);
  EXPECT_THAT(DrainAll(reader), ElementsAre(largest));
}

TEST(RequestRingTest, TakesRecordsOfAMebibyte) {
  RequestRing ring = MakeRing(size_t{4} << 20);
  RequestRingReader reader(&ring);
  std::string record(size_t{1} << 20, '\0');
  for (size_t i = 0; i < record.size(); ++i) record[i] = i * 31 >> 3;
  for (int i = 0; i < 10; ++i) {
    record[0] = i;
    ASSERT_EQ(ring.TryPush({record}), PushResult::kPushed);
    ASSERT_THAT(DrainAll(reader), ElementsAre(record));
  }
}

TEST(RequestRingTest, EveryRecordFitsAtEveryOffset) {
  for (size_t offset = 0; offset < kCells; ++offset) {
    for (size_t cells = 1; cells <= kCells / 2; ++cells) {
      SCOPED_TRACE(absl::StrCat(cells, " cells at ", offset));
      RequestRing ring = MakeRing();
      RequestRingReader reader(&ring);
      Turn(ring, reader, offset);
      for (int lap = 0; lap < 3; ++lap) {
        const std::string record = RecordOfCells(cells, 'a' + lap);
        ASSERT_EQ(ring.TryPush({record}), PushResult::kPushed);
        ASSERT_EQ(ring.TryPush({"next"}), PushResult::kPushed);
        ASSERT_THAT(DrainAll(reader), ElementsAre(record, "next"));
      }
    }
  }
}

TEST(RequestRingTest, FullAtEveryOffset) {
  for (size_t offset = 0; offset < kCells; ++offset) {
    SCOPED_TRACE(offset);
    RequestRing ring = MakeRing();
    RequestRingReader reader(&ring);
    Turn(ring, reader, offset);

    std::vector<std::string> expected;
    for (size_t i = 0; i < kCells; ++i) {
      expected.push_back(RecordOfCells(1, 'a' + i));
      ASSERT_EQ(ring.TryPush({expected.back()}), PushResult::kPushed);
    }
    EXPECT_EQ(ring.ApproximateSize().records, kCells);
    EXPECT_EQ(ring.ApproximateSize().bytes, ring.capacity());
    EXPECT_EQ(ring.TryPush({""}), PushResult::kFull);

    std::vector<std::string> records;
    EXPECT_EQ(DrainInto(reader, records, /*max_records=*/1).next,
              Next::kRecord);
    EXPECT_EQ(ring.TryPush({RecordOfCells(2, 'y')}), PushResult::kFull);
    EXPECT_EQ(ring.TryPush({RecordOfCells(1, 'z')}), PushResult::kPushed);
    EXPECT_EQ(ring.TryPush({""}), PushResult::kFull);

    expected.push_back(RecordOfCells(1, 'z'));
    DrainInto(reader, records);
    EXPECT_EQ(records, expected);
  }
}

TEST(RequestRingTest, PaddingNeedsRoomForTheRecordBehindIt) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  Turn(ring, reader, 2);
  ASSERT_EQ(ring.TryPush({RecordOfCells(4, 'a')}), PushResult::kPushed);
  // Cells 6 and 7 are free, and 0 and 1.
  EXPECT_EQ(ring.TryPush({RecordOfCells(3, 'b')}), PushResult::kFull);
  EXPECT_EQ(ring.TryPush({RecordOfCells(2, 'c')}), PushResult::kPushed);
  EXPECT_EQ(ring.TryPush({RecordOfCells(2, 'd')}), PushResult::kPushed);
  EXPECT_THAT(DrainAll(reader),
              ElementsAre(RecordOfCells(4, 'a'), RecordOfCells(2, 'c'),
                          RecordOfCells(2, 'd')));
}

TEST(RequestRingTest, DrainGivesRoomBackBeforeItsEnd) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  while (ring.TryPush({"x"}) == PushResult::kPushed) {
  }
  size_t pushed_by_handler = 0;
  const auto handle = [&](absl::string_view record) {
    if (record == "x" && ring.TryPush({"y"}) == PushResult::kPushed) {
      ++pushed_by_handler;
    }
  };
  EXPECT_EQ(reader.Drain(kUnlimited, handle).records, kCells + kCells - 1);
  // None during the first record, whose cell is in use.
  EXPECT_EQ(pushed_by_handler, kCells - 1);
}

TEST(RequestRingTest, ARecordCountsUntilItIsHandled) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  for (size_t i = 0; i < kCells; ++i) {
    ASSERT_EQ(ring.TryPush({"x"}), PushResult::kPushed);
  }
  size_t left = kCells;
  uint64_t taken = ring.taken();
  reader.Drain(kUnlimited, [&](absl::string_view) {
    EXPECT_EQ(ring.ApproximateSize().records, left);
    EXPECT_EQ(ring.ApproximateSize().bytes, left * 64);
    --left;
    EXPECT_EQ(ring.taken(), taken++);
  });
  EXPECT_EQ(ring.ApproximateSize().records, 0u);
  EXPECT_EQ(ring.ApproximateSize().bytes, 0u);
  EXPECT_EQ(ring.taken(), taken);
}

TEST(RequestRingTest, SecondReaderGoesOnWhereTheFirstEnded) {
  RequestRing ring = MakeRing();
  ASSERT_EQ(ring.TryPush({"first"}), PushResult::kPushed);
  ASSERT_EQ(ring.TryPush({"second"}), PushResult::kPushed);
  std::vector<std::string> records;
  {
    RequestRingReader reader(&ring);
    DrainInto(reader, records, /*max_records=*/1);
  }
  RequestRingReader reader(&ring);
  DrainInto(reader, records);
  EXPECT_THAT(records, ElementsAre("first", "second"));
  EXPECT_EQ(ring.counters().popped, 2u);
}

TEST(RequestRingTest, RingAndItsRecordsSurviveAMove) {
  RequestRing ring = MakeRing();
  ASSERT_EQ(ring.TryPush({"record"}), PushResult::kPushed);
  RequestRing moved(std::move(ring));
  RequestRingReader reader(&moved);
  EXPECT_THAT(DrainAll(reader), ElementsAre("record"));
}

// What is left when the reader is gone.

std::vector<std::string> Queued(const RequestRing& ring) {
  std::vector<std::string> records;
  ring.ForEachQueued(
      [&](absl::string_view record) { records.emplace_back(record); });
  return records;
}

TEST(RequestRingQueuedTest, ShowsAllAndTakesNone) {
  for (size_t offset = 0; offset < kCells; ++offset) {
    SCOPED_TRACE(offset);
    RequestRing ring = MakeRing();
    RequestRingReader reader(&ring);
    Turn(ring, reader, offset);
    EXPECT_THAT(Queued(ring), IsEmpty());
    ASSERT_EQ(ring.TryPush({RecordOfCells(1, 'a')}), PushResult::kPushed);
    ASSERT_EQ(ring.TryPush({RecordOfCells(3, 'b')}), PushResult::kPushed);
    ASSERT_EQ(ring.TryPush({RecordOfCells(2, 'c')}), PushResult::kPushed);
    const std::vector<std::string> queued = Queued(ring);
    EXPECT_THAT(queued,
                ElementsAre(RecordOfCells(1, 'a'), RecordOfCells(3, 'b'),
                            RecordOfCells(2, 'c')));
    EXPECT_EQ(DrainAll(reader), queued);
    EXPECT_THAT(Queued(ring), IsEmpty());
  }
}

TEST(RequestRingQueuedTest, WhatTheReaderIsBusyWithIsTheFirst) {
  constexpr size_t kManyCells = 64;
  RequestRing ring = MakeRing(kManyCells * 64);
  RequestRingReader reader(&ring);
  size_t left = kManyCells;
  for (size_t i = 0; i < kManyCells; ++i) {
    ASSERT_EQ(ring.TryPush({absl::StrCat(i)}), PushResult::kPushed);
  }
  // The tail is behind most of the time.
  reader.Drain(kUnlimited, [&](absl::string_view record) {
    const std::vector<std::string> queued = Queued(ring);
    EXPECT_THAT(queued, SizeIs(left));
    EXPECT_EQ(queued.front(), record);
    --left;
  });
  EXPECT_THAT(Queued(ring), IsEmpty());
}

TEST(RequestRingQueuedTest, PassesOverWhatIsUnfinished) {
  RequestRing ring = MakeRing();
  ASSERT_EQ(ring.TryPush({"before"}), PushResult::kPushed);
  ASSERT_TRUE(Peer::TryClaim(ring, 100, kOwner).has_value());
  ASSERT_EQ(ring.TryPush({"behind"}), PushResult::kPushed);
  EXPECT_THAT(Queued(ring), ElementsAre("before", "behind"));
}

TEST(RequestRingQueuedTest, PassesOverWhatIsDamaged) {
  RequestRing ring = MakeRing();
  ASSERT_EQ(ring.TryPush({"first"}), PushResult::kPushed);
  ASSERT_EQ(ring.TryPush({"second"}), PushResult::kPushed);
  ASSERT_EQ(ring.TryPush({"third"}), PushResult::kPushed);
  Peer::RecordSize(ring, 0) = 1000;
  Peer::Word(ring, 1) = ~uint64_t{0};
  EXPECT_THAT(Queued(ring), ElementsAre("third"));
  Peer::Tail(ring) = 1000 * kCells;
  EXPECT_THAT(Queued(ring), IsEmpty());
}

// Producers that come to a stop between two steps.

struct Producers {
  bool MayStillRun(pid_t pid) {
    asked.push_back(pid);
    return alive;
  }
  RequestRingReader::OwnerCheck Check() {
    return [this](pid_t pid, std::chrono::nanoseconds) {
      return MayStillRun(pid);
    };
  }

  bool alive = true;
  std::vector<pid_t> asked;
};

TEST(RequestRingUnfinishedTest, LiveOwnerHoldsTheRecordsBehind) {
  Producers producers;
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring, producers.Check());
  const auto claim = Peer::TryClaim(ring, 4, kOwner);
  ASSERT_TRUE(claim.has_value());
  ASSERT_EQ(ring.TryPush({"behind"}), PushResult::kPushed);

  std::vector<std::string> records;
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(reader.HasWork());
    EXPECT_EQ(DrainInto(reader, records).next, Next::kUnfinished);
  }
  EXPECT_THAT(records, IsEmpty());
  // The first look at it is for free.
  EXPECT_THAT(producers.asked, ElementsAre(kOwner, kOwner));

  Peer::Write(ring, *claim, "slow");
  ASSERT_TRUE(Peer::Commit(ring, *claim));
  EXPECT_TRUE(reader.HasWork());
  EXPECT_THAT(DrainAll(reader), ElementsAre("slow", "behind"));
  EXPECT_EQ(ring.counters().torn, 0u);
}

TEST(RequestRingUnfinishedTest, DeadOwnersRecordIsSkippedByTheSecondDrain) {
  Producers producers;
  producers.alive = false;
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring, producers.Check());
  for (size_t lap = 1; lap <= 3 * kCells; ++lap) {
    ASSERT_TRUE(Peer::TryClaim(ring, 100, kOwner).has_value());
    ASSERT_EQ(ring.TryPush({"behind"}), PushResult::kPushed);
    std::vector<std::string> records;
    EXPECT_EQ(DrainInto(reader, records).next, Next::kUnfinished);
    EXPECT_EQ(DrainInto(reader, records).next, Next::kNothing);
    EXPECT_THAT(records, ElementsAre("behind"));
    EXPECT_EQ(ring.counters().torn, lap);
  }
  EXPECT_EQ(ring.ApproximateSize().records, 0u);
  EXPECT_EQ(ring.ApproximateSize().bytes, 0u);
}

TEST(RequestRingUnfinishedTest, RecordFinishedJustBeforeTheDeathOfItsOwner) {
  RequestRing ring = MakeRing();
  const auto claim = Peer::TryClaim(ring, 4, kOwner);
  ASSERT_TRUE(claim.has_value());
  RequestRingReader reader(&ring, [&](pid_t, std::chrono::nanoseconds) {
    Peer::Write(ring, *claim, "last");
    EXPECT_TRUE(Peer::Commit(ring, *claim));
    return false;
  });
  std::vector<std::string> records;
  EXPECT_EQ(DrainInto(reader, records).next, Next::kUnfinished);
  EXPECT_EQ(DrainInto(reader, records).next, Next::kNothing);
  EXPECT_THAT(records, ElementsAre("last"));
  EXPECT_EQ(ring.counters().torn, 0u);
}

TEST(RequestRingUnfinishedTest, EveryUnfinishedRecordIsMetAnew) {
  Producers producers;
  producers.alive = false;
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring, producers.Check());
  ASSERT_TRUE(Peer::TryClaim(ring, 1, kOwner).has_value());
  ASSERT_TRUE(Peer::TryClaim(ring, 1, kOwner - 1).has_value());
  std::vector<std::string> records;
  EXPECT_EQ(DrainInto(reader, records).next, Next::kUnfinished);
  EXPECT_EQ(DrainInto(reader, records).next, Next::kUnfinished);
  EXPECT_EQ(DrainInto(reader, records).next, Next::kNothing);
  EXPECT_THAT(producers.asked, ElementsAre(kOwner, kOwner - 1));
  EXPECT_EQ(ring.counters().torn, 2u);
}

TEST(RequestRingUnfinishedTest, ProducersMoveTheHeadForAnother) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  const auto claim = Peer::TryClaim(ring, 100, kOwner);
  ASSERT_TRUE(claim.has_value());
  Peer::Head(ring) = claim->position;
  ASSERT_EQ(ring.TryPush({"next"}), PushResult::kPushed);
  Peer::Write(ring, *claim, "first");
  ASSERT_TRUE(Peer::Commit(ring, *claim));
  EXPECT_THAT(DrainAll(reader), ElementsAre("first", "next"));
}

TEST(RequestRingUnfinishedTest, ReaderMovesTheHeadForADeadProducer) {
  Producers producers;
  producers.alive = false;
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring, producers.Check());
  const auto claim = Peer::TryClaim(ring, 100, kOwner);
  ASSERT_TRUE(claim.has_value());
  Peer::Head(ring) = claim->position;
  std::vector<std::string> records;
  EXPECT_EQ(DrainInto(reader, records).next, Next::kUnfinished);
  EXPECT_EQ(DrainInto(reader, records).next, Next::kNothing);
  ASSERT_EQ(ring.TryPush({"next"}), PushResult::kPushed);
  EXPECT_THAT(DrainAll(reader), ElementsAre("next"));
  EXPECT_EQ(Peer::Tail(ring), 3u);  // Cells: it was not reset instead.
}

TEST(RequestRingUnfinishedTest, ReaderMovesTheHeadPastPadding) {
  RequestRing ring = MakeRing();
  RequestRingReader reader(&ring);
  Turn(ring, reader, kCells - 1);
  const uint64_t padding = Peer::Head(ring);
  ASSERT_EQ(ring.TryPush({RecordOfCells(2, 'x')}), PushResult::kPushed);
  // As if the producer had been killed just after it claimed the padding.
  Peer::Word(ring, 0) = Peer::Word(ring, 1).load();
  Peer::Head(ring) = padding;

  EXPECT_THAT(DrainAll(reader), IsEmpty());
  ASSERT_EQ(ring.TryPush({RecordOfCells(2, 'y')}), PushResult::kPushed);
  EXPECT_THAT(DrainAll(reader), ElementsAre(RecordOfCells(2, 'y')));
  EXPECT_EQ(ring.counters().damaged, 0u);
}

// Memory overwritten by somebody who knows nothing of rings.

class RequestRingDamageTest : public testing::Test {
 protected:
  // After a drain the ring must work as a new one, and have counted the rest.
  void ExpectRepaired(uint64_t damaged) {
    EXPECT_EQ(ring_.counters().damaged, damaged);
    EXPECT_EQ(ring_.ApproximateSize().records, 0u);
    EXPECT_EQ(ring_.ApproximateSize().bytes, 0u);
    for (size_t i = 0; i < 3 * kCells; ++i) {
      ASSERT_EQ(ring_.TryPush({absl::StrCat(i)}), PushResult::kPushed);
      ASSERT_THAT(DrainAll(reader_), ElementsAre(absl::StrCat(i)));
    }
  }

  RequestRing ring_ = MakeRing();
  RequestRingReader reader_{&ring_};
};

TEST_F(RequestRingDamageTest, RecordLargerThanItsCells) {
  ASSERT_EQ(ring_.TryPush({"first"}), PushResult::kPushed);
  ASSERT_EQ(ring_.TryPush({"second"}), PushResult::kPushed);
  Peer::RecordSize(ring_, 0) = 57;
  EXPECT_THAT(DrainAll(reader_), ElementsAre("second"));
  ExpectRepaired(/*damaged=*/1);
}

TEST_F(RequestRingDamageTest, WordOfNoSense) {
  for (const uint64_t word : {~uint64_t{0}, uint64_t{1}, uint64_t{1} << 63}) {
    SCOPED_TRACE(word);
    RequestRing ring = MakeRing();
    RequestRingReader reader(&ring);
    ASSERT_EQ(ring.TryPush({"first"}), PushResult::kPushed);
    ASSERT_EQ(ring.TryPush({"second"}), PushResult::kPushed);
    Peer::Word(ring, 0) = word;
    EXPECT_TRUE(reader.HasWork());
    EXPECT_THAT(DrainAll(reader), IsEmpty());
    EXPECT_EQ(ring.counters().damaged, 2u);
    ASSERT_EQ(ring.TryPush({"third"}), PushResult::kPushed);
    EXPECT_THAT(DrainAll(reader), ElementsAre("third"));
  }
}

TEST_F(RequestRingDamageTest, RecordOfTooManyCells) {
  ASSERT_EQ(ring_.TryPush({"first"}), PushResult::kPushed);
  Peer::Word(ring_, 0) = Peer::ReadyWord(ring_, 0, kCells / 2 + 1);
  EXPECT_THAT(DrainAll(reader_), IsEmpty());
  ExpectRepaired(/*damaged=*/1);
}

TEST_F(RequestRingDamageTest, RecordAcrossTheEnd) {
  for (size_t i = 0; i < kCells; ++i) {
    ASSERT_EQ(ring_.TryPush({absl::StrCat(i)}), PushResult::kPushed);
  }
  Peer::Word(ring_, 7) = Peer::ReadyWord(ring_, 7, 2);
  EXPECT_THAT(DrainAll(reader_), SizeIs(kCells - 1));
  ExpectRepaired(/*damaged=*/1);
}

TEST_F(RequestRingDamageTest, RecordSeemsShorter) {
  ASSERT_EQ(ring_.TryPush({RecordOfCells(3, 'x')}), PushResult::kPushed);
  ASSERT_EQ(ring_.TryPush({"second"}), PushResult::kPushed);
  Peer::Word(ring_, 0) = Peer::ReadyWord(ring_, 0, 1);
  EXPECT_THAT(DrainAll(reader_), IsEmpty());
  ExpectRepaired(/*damaged=*/2);
}

TEST_F(RequestRingDamageTest, RecordSeemsLonger) {
  ASSERT_EQ(ring_.TryPush({"first"}), PushResult::kPushed);
  ASSERT_EQ(ring_.TryPush({"second"}), PushResult::kPushed);
  ASSERT_EQ(ring_.TryPush({"third"}), PushResult::kPushed);
  Peer::Word(ring_, 0) = Peer::ReadyWord(ring_, 0, 2);
  EXPECT_THAT(DrainAll(reader_), ElementsAre("first", "third"));
  EXPECT_EQ(ring_.counters().damaged, 0u);
}

TEST_F(RequestRingDamageTest, RecordOutOfNowhere) {
  Peer::Word(ring_, 0) = Peer::ReadyWord(ring_, 0, 2);
  EXPECT_THAT(DrainAll(reader_), ElementsAre(""));
  ExpectRepaired(/*damaged=*/0);
}

TEST_F(RequestRingDamageTest, WordWhereTheNextRecordGoes) {
  Peer::Word(ring_, 0) = ~uint64_t{0};
  EXPECT_EQ(ring_.TryPush({"x"}), PushResult::kFull);
  EXPECT_TRUE(reader_.HasWork());
  EXPECT_THAT(DrainAll(reader_), IsEmpty());
  ExpectRepaired(/*damaged=*/0);
}

TEST_F(RequestRingDamageTest, HeadAstray) {
  for (const uint64_t head :
       {uint64_t{1}, uint64_t{1000}, ~uint64_t{0}, uint64_t{1} << 63}) {
    SCOPED_TRACE(head);
    RequestRing ring = MakeRing();
    RequestRingReader reader(&ring);
    Peer::Head(ring) = head;
    ring.TryPush({"x"});
    EXPECT_THAT(DrainAll(reader), IsEmpty());
    for (size_t i = 0; i < 3 * kCells; ++i) {
      ASSERT_EQ(ring.TryPush({absl::StrCat(i)}), PushResult::kPushed);
      ASSERT_THAT(DrainAll(reader), ElementsAre(absl::StrCat(i)));
    }
  }
}

TEST_F(RequestRingDamageTest, TailAstray) {
  ASSERT_EQ(ring_.TryPush({"x"}), PushResult::kPushed);
  Peer::Tail(ring_) = 12345;
  EXPECT_THAT(DrainAll(reader_), ElementsAre("x"));
  ExpectRepaired(/*damaged=*/0);
}

TEST_F(RequestRingDamageTest, ProducerLearnsOfAResetUnderItsRecord) {
  const auto claim = Peer::TryClaim(ring_, 1, kOwner);
  ASSERT_TRUE(claim.has_value());
  Peer::Word(ring_, 0) = ~uint64_t{0};
  EXPECT_THAT(DrainAll(reader_), IsEmpty());
  EXPECT_FALSE(Peer::Commit(ring_, *claim));
  ExpectRepaired(/*damaged=*/1);
}

// Threads, few cells and much contention.

TEST(RequestRingThreadTest, KeepsEveryRecordAndTheOrderOfEachProducer) {
  constexpr int kProducers = 4;
  constexpr int kRecords = 20000;
  RequestRing ring = MakeRing(4096);
  RequestRingReader reader(&ring);

  std::vector<std::thread> producers;
  for (int producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&ring, producer] {
      const std::string fill(producer * 100, 'x');
      for (int i = 0; i < kRecords;) {
        const std::string header = absl::StrCat(producer, ":", i, ":");
        if (ring.TryPush({header, fill}) == PushResult::kPushed) {
          ++i;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }

  std::vector<int> next(kProducers, 0);
  int wrong = 0;
  size_t records = 0;
  while (records < size_t{kProducers} * kRecords) {
    const auto result = reader.Drain(100, [&](absl::string_view record) {
      const int producer = record[0] - '0';
      const std::string expected =
          absl::StrCat(producer, ":", next[producer]++, ":",
                       std::string(producer * 100, 'x'));
      if (record != expected) ++wrong;
    });
    records += result.records;
    if (result.next != Next::kRecord) std::this_thread::yield();
  }
  for (std::thread& producer : producers) producer.join();

  EXPECT_EQ(wrong, 0);
  EXPECT_THAT(DrainAll(reader), IsEmpty());
  EXPECT_EQ(next, std::vector<int>(kProducers, kRecords));
  EXPECT_EQ(ring.counters().pushed, uint64_t{kProducers} * kRecords);
  EXPECT_EQ(ring.counters().popped, uint64_t{kProducers} * kRecords);
  EXPECT_EQ(ring.counters().torn, 0u);
  EXPECT_EQ(ring.counters().damaged, 0u);
}

}  // namespace
}  // namespace kamailio_mqtt
