// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/outbox.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/ledger.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

constexpr Qos kQos0 = Qos::kAtMostOnce;
constexpr Qos kQos1 = Qos::kAtLeastOnce;
constexpr Qos kQos2 = Qos::kExactlyOnce;

class OutboxTest : public ::testing::Test {
 protected:
  ~OutboxTest() override { ExpectLedgerBalances(statistics_); }

  // With options_ as they are at the first call.
  Outbox& outbox() {
    if (outbox_ == nullptr) {
      outbox_ = std::make_unique<Outbox>(options_, &statistics_);
    }
    return *outbox_;
  }

  int64_t Push(const std::string& topic, Qos qos = kQos1,
               const std::string& payload = "") {
    return outbox().Push({topic, payload, qos}, clock_.Now());
  }

  // Submits the next message, and returns its topic.
  std::string Submit(Outbox::PacketId packet_id) {
    const Message* message = outbox().Next();
    if (message == nullptr) {
      ADD_FAILURE() << "nothing to submit";
      return "";
    }
    const std::string topic = message->topic;
    outbox().MarkSubmitted(packet_id);
    return topic;
  }

  // Submits all that the window allows; identifiers count from `first`.
  std::vector<std::string> SubmitAll(Outbox::PacketId first = 1) {
    std::vector<std::string> topics;
    while (outbox().Next() != nullptr) topics.push_back(Submit(first++));
    return topics;
  }

  // The connection is lost, and what is in flight with it.
  void LoseSession() {
    outbox().OnSessionLost();
    outbox().OnConnectionClosed(false);
  }

  FakeClock clock_;
  OutboxOptions options_;
  Statistics statistics_;

 private:
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, StartsEmpty) {
  EXPECT_TRUE(outbox().empty());
  EXPECT_EQ(outbox().Next(), nullptr);
  EXPECT_FALSE(outbox().NextExpiry().has_value());
  EXPECT_TRUE(outbox().IsWindowHalfEmpty());
  EXPECT_FALSE(outbox().Confirm(1));
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 0);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 0);
  EXPECT_EQ(outbox().DropAllForShutdown(), 0);
}

TEST_F(OutboxTest, KeepsTheWholeMessage) {
  const std::string binary("\0\xff", 2);
  outbox().Push({"topic", binary, kQos2, true}, clock_.Now());
  const Message* message = outbox().Next();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(message->topic, "topic");
  EXPECT_EQ(message->payload, binary);
  EXPECT_EQ(message->qos, kQos2);
  EXPECT_TRUE(message->retain);
}

TEST_F(OutboxTest, SubmitsInOrder) {
  for (const char* topic : {"a", "b", "c"}) Push(topic);
  EXPECT_THAT(SubmitAll(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(outbox().waiting(), 0u);
  EXPECT_EQ(outbox().in_flight(), 3u);
  EXPECT_FALSE(outbox().empty());
}

TEST_F(OutboxTest, AMessageIsNextUntilItIsSubmitted) {
  Push("a");
  Push("b");
  EXPECT_EQ(outbox().Next()->topic, "a");
  EXPECT_EQ(outbox().Next()->topic, "a");
  outbox().MarkSubmitted(1);
  EXPECT_EQ(outbox().Next()->topic, "b");
}

TEST_F(OutboxTest, TheWindowBoundsWhatIsInFlight) {
  options_.window = 3;
  for (int i = 0; i < 5; ++i) Push(absl::StrCat(i));
  EXPECT_THAT(SubmitAll(1), ElementsAre("0", "1", "2"));
  EXPECT_TRUE(outbox().Confirm(2));
  EXPECT_THAT(SubmitAll(11), ElementsAre("3"));
  EXPECT_TRUE(outbox().Confirm(1));
  EXPECT_TRUE(outbox().Confirm(11));
  EXPECT_THAT(SubmitAll(21), ElementsAre("4"));
}

TEST_F(OutboxTest, TellsWhenTheWindowIsHalfEmpty) {
  options_.window = 4;
  for (int i = 0; i < 4; ++i) Push(absl::StrCat(i));
  SubmitAll();
  EXPECT_FALSE(outbox().IsWindowHalfEmpty());
  outbox().Confirm(1);
  EXPECT_FALSE(outbox().IsWindowHalfEmpty());
  outbox().Confirm(2);
  EXPECT_TRUE(outbox().IsWindowHalfEmpty());
  outbox().Confirm(3);
  EXPECT_TRUE(outbox().IsWindowHalfEmpty());
}

TEST_F(OutboxTest, AWindowOfOneIsHalfEmptyWhenEmpty) {
  options_.window = 1;
  Push("a");
  SubmitAll();
  EXPECT_FALSE(outbox().IsWindowHalfEmpty());
  outbox().Confirm(1);
  EXPECT_TRUE(outbox().IsWindowHalfEmpty());
}

TEST_F(OutboxTest, QosTwoHasASmallerWindow) {
  options_.window = 4;
  options_.exactly_once_window = 2;
  for (const char* topic : {"a", "b"}) Push(topic, kQos1);
  for (const char* topic : {"c", "d", "e"}) Push(topic, kQos2);
  Push("f", kQos1);
  EXPECT_THAT(SubmitAll(1), ElementsAre("a", "b", "c", "d"));
  outbox().Confirm(1);
  outbox().Confirm(2);
  // Not even the QoS 1 message: the order holds.
  EXPECT_EQ(outbox().Next(), nullptr);
  EXPECT_FALSE(outbox().IsWindowHalfEmpty());
  outbox().Confirm(4);
  EXPECT_TRUE(outbox().IsWindowHalfEmpty());
  EXPECT_THAT(SubmitAll(11), ElementsAre("e", "f"));
}

TEST_F(OutboxTest, QosTwoThatIsNotReleasedHoldsUpNoOther) {
  options_.window = 4;
  options_.exactly_once_window = 2;
  for (const char* topic : {"a", "b"}) Push(topic, kQos2);
  for (const char* topic : {"c", "d", "e"}) Push(topic, kQos1);
  EXPECT_THAT(SubmitAll(1), ElementsAre("a", "b", "c", "d"));
  outbox().Confirm(3);
  EXPECT_FALSE(outbox().IsWindowHalfEmpty());
  outbox().Confirm(4);
  EXPECT_TRUE(outbox().IsWindowHalfEmpty());
  EXPECT_THAT(SubmitAll(11), ElementsAre("e"));
}

TEST_F(OutboxTest, ALostSessionEmptiesBothWindows) {
  options_.exactly_once_window = 2;
  for (const char* topic : {"a", "b", "c"}) Push(topic, kQos2);
  EXPECT_THAT(SubmitAll(1), ElementsAre("a", "b"));
  LoseSession();
  EXPECT_THAT(SubmitAll(1), ElementsAre("a", "b"));
}

TEST_F(OutboxTest, ALowLimitLeavesHalfOfItForWhatWaits) {
  options_.max_messages = 10;
  for (int i = 0; i < 10; ++i) Push(absl::StrCat(i));
  EXPECT_EQ(SubmitAll().size(), 5u);
}

TEST_F(OutboxTest, TheLowestLimitStillLetsOneLeave) {
  options_.max_messages = 1;
  Push("a");
  EXPECT_EQ(SubmitAll().size(), 1u);
}

TEST_F(OutboxTest, CountsFromAcceptedToConfirmed) {
  Push("0", kQos0, "xx");
  Push("1", kQos1, "yyy");
  Push("2", kQos2, "zzzz");
  for (const Qos qos : kEveryQos) {
    EXPECT_EQ(statistics_.accepted.Get(qos), 1);
    EXPECT_EQ(statistics_.queued.Get(qos), 1);
  }
  EXPECT_EQ(statistics_.queued_bytes.Get(), 12);

  SubmitAll();
  EXPECT_EQ(statistics_.queued.Total(), 3);
  EXPECT_EQ(statistics_.queued_bytes.Get(), 12);

  EXPECT_TRUE(outbox().Confirm(1));
  EXPECT_EQ(statistics_.written.Get(kQos0), 1);
  EXPECT_TRUE(outbox().Confirm(2));
  EXPECT_EQ(statistics_.acknowledged.Get(kQos1), 1);
  EXPECT_EQ(statistics_.queued_bytes.Get(), 5);
  EXPECT_TRUE(outbox().Confirm(3));
  EXPECT_EQ(statistics_.acknowledged.Get(kQos2), 1);
  EXPECT_EQ(statistics_.queued.Total(), 0);
  EXPECT_EQ(statistics_.queued_bytes.Get(), 0);
  EXPECT_TRUE(outbox().empty());
}

TEST_F(OutboxTest, ConfirmsInAnyOrder) {
  for (int i = 0; i < 6; ++i) Push(absl::StrCat(i), i % 2 == 0 ? kQos1 : kQos2);
  SubmitAll();
  for (const Outbox::PacketId id : {4, 1, 6, 2, 5, 3}) {
    EXPECT_TRUE(outbox().Confirm(id));
    EXPECT_FALSE(outbox().Confirm(id)) << "twice";
  }
  EXPECT_TRUE(outbox().empty());
  EXPECT_EQ(statistics_.acknowledged.Total(), 6);
}

TEST_F(OutboxTest, IgnoresAnUnknownConfirmation) {
  Push("a");
  Push("b");
  Submit(1);
  EXPECT_FALSE(outbox().Confirm(2));
  EXPECT_EQ(outbox().in_flight(), 1u);
  EXPECT_EQ(statistics_.acknowledged.Total(), 0);
}

TEST_F(OutboxTest, AConfirmedIdentifierMayBeUsedAgain) {
  for (int i = 0; i < 3; ++i) {
    Push(absl::StrCat(i));
    EXPECT_EQ(Submit(7), absl::StrCat(i));
    EXPECT_TRUE(outbox().Confirm(7));
  }
  EXPECT_EQ(statistics_.acknowledged.Total(), 3);
}

TEST_F(OutboxTest, AnIdentifierUsedTwiceLosesNoMessage) {
  Push("a");
  Push("b");
  Submit(7);
  Submit(7);
  EXPECT_TRUE(outbox().Confirm(7));
  EXPECT_EQ(outbox().OldestUnacknowledged()->message->topic, "b");
  EXPECT_TRUE(outbox().Confirm(7));
  EXPECT_FALSE(outbox().Confirm(7));
  EXPECT_TRUE(outbox().empty());
}

TEST_F(OutboxTest, AnIdentifierUsedTwiceIsThatOfTheNewerOneWhenTheOlderWaits) {
  Push("zero", kQos0);
  Push("a");
  Submit(7);
  Submit(7);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 0);
  EXPECT_EQ(outbox().waiting(), 1u);
  EXPECT_TRUE(outbox().Confirm(7));
  EXPECT_EQ(statistics_.acknowledged.Get(kQos1), 1);
  EXPECT_THAT(SubmitAll(), ElementsAre("zero"));
}

// The broker acknowledges one message late, or never.
TEST_F(OutboxTest, NoIdentifierIsUsedAgainWhileItsMessageIsInFlight) {
  Push("stuck");
  Submit(1);
  for (int64_t i = 1; i < Outbox::kPacketIds - 1000; ++i) {
    Push(absl::StrCat(i), static_cast<Qos>(i % 3));
    Submit(static_cast<Outbox::PacketId>(i + 1));
    ASSERT_TRUE(outbox().Confirm(static_cast<Outbox::PacketId>(i + 1)));
  }
  for (int i = 0; i < 999; ++i) outbox().CountPacketId();
  Push("last");
  Push("zero", kQos0);
  EXPECT_THAT(SubmitAll(Outbox::kPacketIds), ElementsAre("last"));
  outbox().Confirm(Outbox::kPacketIds);
  EXPECT_EQ(outbox().Next(), nullptr);
  outbox().Confirm(1);
  EXPECT_THAT(SubmitAll(), ElementsAre("zero"));
}

TEST_F(OutboxTest, IdentifiersComeBackWithTheSession) {
  Push("stuck");
  Submit(1);
  for (int64_t i = 0; i < Outbox::kPacketIds; ++i) outbox().CountPacketId();
  Push("a");
  EXPECT_EQ(outbox().Next(), nullptr);
  outbox().OnConnectionClosed(false);
  EXPECT_EQ(outbox().Next(), nullptr);
  LoseSession();
  EXPECT_THAT(SubmitAll(), ElementsAre("stuck", "a"));
}

TEST_F(OutboxTest, ALostSessionPutsWhatIsInFlightBackInOrder) {
  options_.window = 4;
  for (int i = 0; i < 6; ++i) Push(absl::StrCat(i));
  SubmitAll();
  outbox().Confirm(3);
  LoseSession();
  EXPECT_EQ(outbox().in_flight(), 0u);
  EXPECT_EQ(outbox().waiting(), 5u);
  EXPECT_EQ(statistics_.queued.Total(), 5);
  EXPECT_THAT(SubmitAll(), ElementsAre("0", "1", "3", "4"));
  for (const Outbox::PacketId id : {1, 2, 3, 4}) outbox().Confirm(id);
  EXPECT_THAT(SubmitAll(), ElementsAre("5"));
}

TEST_F(OutboxTest, IdentifiersOfALostSessionMeanNothing) {
  Push("a");
  Submit(1);
  LoseSession();
  EXPECT_FALSE(outbox().Confirm(1));
  Submit(9);
  EXPECT_FALSE(outbox().Confirm(1));
  EXPECT_TRUE(outbox().Confirm(9));
}

TEST_F(OutboxTest, RepeatedLossesKeepTheOrder) {
  options_.window = 3;
  for (int i = 0; i < 5; ++i) Push(absl::StrCat(i));
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(SubmitAll(), ElementsAre("0", "1", "2"));
    LoseSession();
  }
  EXPECT_EQ(statistics_.accepted.Total(), 5);
  EXPECT_EQ(statistics_.queued.Total(), 5);
}

TEST_F(OutboxTest, ALostConnectionPutsOnlyQos0Back) {
  Push("a", kQos2);
  Push("b", kQos0);
  Push("c", kQos1);
  Push("d", kQos0);
  SubmitAll();
  EXPECT_EQ(outbox().OnConnectionClosed(false), 0);
  EXPECT_EQ(outbox().in_flight(), 2u);
  EXPECT_EQ(statistics_.queued.Total(), 4);
  EXPECT_FALSE(outbox().Confirm(2));
  EXPECT_THAT(SubmitAll(10), ElementsAre("b", "d"));
  for (const Outbox::PacketId id : {1, 3, 10, 11}) {
    EXPECT_TRUE(outbox().Confirm(id));
  }
  EXPECT_TRUE(outbox().empty());
}

TEST_F(OutboxTest, WhatStaysInFlightFillsTheWindows) {
  options_.window = 3;
  options_.exactly_once_window = 2;
  for (const char* topic : {"a", "b", "c", "d"}) Push(topic, kQos2);
  EXPECT_THAT(SubmitAll(1), ElementsAre("a", "b"));
  outbox().OnConnectionClosed(false);
  EXPECT_EQ(outbox().Next(), nullptr);
  outbox().Confirm(1);
  EXPECT_THAT(SubmitAll(3), ElementsAre("c"));
}

TEST_F(OutboxTest, ASessionLostLaterPutsAllBackInTheOrderOfAcceptance) {
  options_.window = 4;
  for (const char* topic : {"0", "1", "2", "3", "4", "5"}) {
    Push(topic, *topic % 2 == 0 ? kQos1 : kQos0);
  }
  EXPECT_THAT(SubmitAll(1), ElementsAre("0", "1", "2", "3"));
  outbox().OnConnectionClosed(false);
  EXPECT_THAT(SubmitAll(5), ElementsAre("1", "3"));
  LoseSession();
  EXPECT_THAT(SubmitAll(), ElementsAre("0", "1", "2", "3"));
}

TEST_F(OutboxTest, WithoutAConnectionWhatIsInFlightDoesNotExpire) {
  options_.time_to_live = seconds(10);
  Push("a", kQos2);
  SubmitAll();
  outbox().OnConnectionClosed(false);
  clock_.Advance(seconds(11));
  EXPECT_FALSE(outbox().NextExpiry().has_value());
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 0);
  outbox().OnSessionLost();
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 1);
}

TEST_F(OutboxTest, KnowsWhatIsUnconfirmed) {
  EXPECT_EQ(outbox().unconfirmed().count, 0u);
  for (const Qos qos : {kQos0, kQos2, kQos1}) Push("a", qos);
  EXPECT_EQ(outbox().unconfirmed().count, 0u);
  SubmitAll();
  EXPECT_EQ(outbox().unconfirmed().count, 3u);
  const uint64_t oldest = outbox().unconfirmed().oldest;
  outbox().OnConnectionClosed(false);
  EXPECT_EQ(outbox().unconfirmed().count, 2u);
  EXPECT_GT(outbox().unconfirmed().oldest, oldest);
  SubmitAll(10);
  EXPECT_EQ(outbox().unconfirmed().oldest, oldest);
  outbox().Confirm(10);
  outbox().Confirm(2);
  EXPECT_EQ(outbox().unconfirmed().count, 1u);
  EXPECT_GT(outbox().unconfirmed().oldest, oldest + 1);
}

TEST_F(OutboxTest, KnowsTheOldestThatIsNotAcknowledged) {
  Push("zero", kQos0);
  SubmitAll();
  EXPECT_FALSE(outbox().OldestUnacknowledged().has_value());
  for (const Qos qos : {kQos2, kQos1}) Push("a", qos);
  EXPECT_FALSE(outbox().OldestUnacknowledged().has_value());
  const TimePoint accepted_at = clock_.Now();
  clock_.Advance(seconds(1));
  SubmitAll(2);
  const auto first = outbox().OldestUnacknowledged();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->message->qos, kQos2);
  EXPECT_EQ(first->accepted_at, accepted_at);
  outbox().Confirm(2);
  const auto second = outbox().OldestUnacknowledged();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->message->qos, kQos1);
  EXPECT_NE(second->id, first->id);
  LoseSession();
  EXPECT_FALSE(outbox().OldestUnacknowledged().has_value());
}

TEST_F(OutboxTest, DropsWhatIsRefused) {
  Push("a", kQos1);
  Push("b");
  outbox().DropRefused();
  EXPECT_EQ(statistics_.dropped_refused.Get(kQos1), 1);
  EXPECT_THAT(SubmitAll(), ElementsAre("b"));
}

TEST_F(OutboxTest, DropsWhatCannotBeSent) {
  Push("a", kQos2);
  Push("b");
  outbox().DropNext();
  EXPECT_EQ(statistics_.dropped_invalid.Get(kQos2), 1);
  EXPECT_EQ(outbox().Next()->topic, "b");
}

TEST_F(OutboxTest, WithoutATimeToLiveNothingExpires) {
  Push("a");
  clock_.Advance(std::chrono::hours(24 * 365));
  EXPECT_FALSE(outbox().NextExpiry().has_value());
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 0);
}

TEST_F(OutboxTest, ExpiresExactlyAtTheTimeToLive) {
  options_.time_to_live = seconds(10);
  const TimePoint start = clock_.Now();
  Push("a", kQos2);
  EXPECT_EQ(outbox().NextExpiry(), start + seconds(10));
  EXPECT_EQ(outbox().DropExpired(start + seconds(10) - nanoseconds(1)), 0);
  EXPECT_EQ(outbox().DropExpired(start + seconds(10)), 1);
  EXPECT_EQ(statistics_.dropped_ttl.Get(kQos2), 1);
  EXPECT_TRUE(outbox().empty());
  EXPECT_FALSE(outbox().NextExpiry().has_value());
}

TEST_F(OutboxTest, ExpiresTheOldOnesOnly) {
  options_.time_to_live = seconds(10);
  for (int i = 0; i < 5; ++i) {
    Push(absl::StrCat(i));
    clock_.Advance(seconds(1));
  }
  // Accepted 5, 4, 3, 2 and 1 seconds ago.
  clock_.Advance(seconds(7));
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 3);
  EXPECT_EQ(outbox().NextExpiry(), clock_.Now() + seconds(1));
  EXPECT_THAT(SubmitAll(), ElementsAre("3", "4"));
}

TEST_F(OutboxTest, WhatIsInFlightDoesNotExpireBeforeItWaitsAgain) {
  options_.time_to_live = seconds(10);
  Push("a");
  clock_.Advance(seconds(4));
  Push("b");
  SubmitAll();
  EXPECT_FALSE(outbox().NextExpiry().has_value());
  clock_.Advance(seconds(8));
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 0);

  // Their times are still those of acceptance.
  LoseSession();
  EXPECT_EQ(outbox().NextExpiry(), clock_.Now() - seconds(2));
  EXPECT_EQ(outbox().DropExpired(clock_.Now()), 1);
  EXPECT_EQ(outbox().NextExpiry(), clock_.Now() + seconds(2));
  EXPECT_THAT(SubmitAll(), ElementsAre("b"));
}

TEST_F(OutboxTest, UnderRejectEverythingPushedIsTaken) {
  options_.max_messages = 2;
  options_.max_bytes = 3;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Push(absl::StrCat(i), kQos1, "xyz"), 0);
  EXPECT_EQ(outbox().waiting(), 5u);
}

TEST_F(OutboxTest, DropsTheOldestAboveTheLimitOfMessages) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_messages = 3;
  EXPECT_EQ(Push("a", kQos0), 0);
  EXPECT_EQ(Push("b", kQos1), 0);
  EXPECT_EQ(Push("c", kQos2), 0);
  EXPECT_EQ(Push("d", kQos0), 1);
  EXPECT_EQ(Push("e", kQos0), 1);
  EXPECT_EQ(statistics_.dropped_oldest.Get(kQos0), 1);
  EXPECT_EQ(statistics_.dropped_oldest.Get(kQos1), 1);
  EXPECT_EQ(statistics_.accepted.Total(), 5);
  LoseSession();
  EXPECT_EQ(outbox().Next()->topic, "c");
}

TEST_F(OutboxTest, DropsTheOldestAboveTheLimitOfBytes) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_bytes = 10;
  Push("a", kQos1, "1");
  Push("b", kQos1, "123");
  EXPECT_EQ(Push("c", kQos1, "123"), 0);
  EXPECT_EQ(statistics_.queued_bytes.Get(), 10);
  EXPECT_EQ(Push("d", kQos1, "12"), 2);
  EXPECT_EQ(statistics_.queued_bytes.Get(), 7);
  EXPECT_THAT(SubmitAll(), ElementsAre("c", "d"));
}

TEST_F(OutboxTest, ALargeMessageDisplacesAllThatWait) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_bytes = 10;
  for (const char* topic : {"a", "b", "c"}) Push(topic);
  EXPECT_EQ(Push("d", kQos1, "123456789"), 3);
  EXPECT_THAT(SubmitAll(), ElementsAre("d"));
}

TEST_F(OutboxTest, AMessageAboveTheLimitCannotStay) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_bytes = 10;
  EXPECT_EQ(Push("a", kQos1, "1234567890"), 1);
  EXPECT_TRUE(outbox().empty());
  EXPECT_EQ(statistics_.queued_bytes.Get(), 0);
  EXPECT_EQ(statistics_.dropped_oldest.Total(), 1);
}

TEST_F(OutboxTest, WhatIsInFlightIsNotDroppedForNewMessages) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_messages = 4;
  for (int i = 0; i < 4; ++i) Push(absl::StrCat(i));
  EXPECT_THAT(SubmitAll(), ElementsAre("0", "1"));
  EXPECT_EQ(Push("4"), 1);
  EXPECT_EQ(Push("5"), 1);
  EXPECT_EQ(Push("6"), 1);
  LoseSession();
  EXPECT_THAT(SubmitAll(), ElementsAre("0", "1"));
  EXPECT_EQ(Push("7"), 1);
  outbox().Confirm(1);
  outbox().Confirm(2);
  EXPECT_THAT(SubmitAll(), ElementsAre("6", "7"));
}

TEST_F(OutboxTest, WhereWhatIsInFlightLeavesNoRoomTheNewMessageGoes) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_bytes = 10;
  Push("a", kQos1, "12345678");
  SubmitAll();
  EXPECT_EQ(Push("b", kQos1, "1"), 1);
  EXPECT_EQ(outbox().waiting(), 0u);
  EXPECT_EQ(Push("c", kQos1), 0);
  EXPECT_EQ(outbox().waiting(), 1u);
}

TEST_F(OutboxTest, ShutdownDropsEverything) {
  Push("a", kQos0);
  Push("b", kQos1);
  Push("c", kQos2);
  Submit(1);
  Submit(2);
  EXPECT_EQ(outbox().DropAllForShutdown(), 3);
  EXPECT_TRUE(outbox().empty());
  EXPECT_FALSE(outbox().Confirm(1));
  for (const Qos qos : kEveryQos) {
    EXPECT_EQ(statistics_.dropped_shutdown.Get(qos), 1);
  }
  EXPECT_EQ(statistics_.queued_bytes.Get(), 0);
}

// What becomes of QoS 0 messages that were written to a connection.
class OutboxProofTest : public OutboxTest {
 protected:
  // Submits, and reports as written, a message of QoS 0.
  void Write() {
    Push("written", kQos0);
    Submit(++last_id_);
    EXPECT_TRUE(outbox().Confirm(last_id_));
  }
  // Submits a message of QoS 1 or 2.
  Outbox::PacketId SubmitOf(Qos qos) {
    Push("acknowledged", qos);
    Submit(++last_id_);
    return last_id_;
  }

  int64_t Written() { return statistics_.written.Get(kQos0); }
  int64_t PossiblyLost() { return statistics_.possibly_lost.Get(kQos0); }

 private:
  Outbox::PacketId last_id_ = 0;
};

TEST_F(OutboxProofTest, WithoutAnyAnswerAllMayBeLost) {
  for (int i = 0; i < 3; ++i) Write();
  EXPECT_EQ(Written(), 3);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 3);
  EXPECT_EQ(Written(), 0);
  EXPECT_EQ(PossiblyLost(), 3);
}

TEST_F(OutboxProofTest, ACleanCloseLosesNothing) {
  for (int i = 0; i < 3; ++i) Write();
  EXPECT_EQ(outbox().OnConnectionClosed(true), 0);
  EXPECT_EQ(Written(), 3);
  EXPECT_EQ(PossiblyLost(), 0);
}

TEST_F(OutboxProofTest, APingProvesWhatWasWrittenBeforeIt) {
  for (int i = 0; i < 3; ++i) Write();
  outbox().OnPingRequest();
  for (int i = 0; i < 2; ++i) Write();
  outbox().OnPingResponse();
  EXPECT_EQ(outbox().OnConnectionClosed(false), 2);
  EXPECT_EQ(Written(), 3);
  EXPECT_EQ(PossiblyLost(), 2);
}

TEST_F(OutboxProofTest, APingWithoutAnAnswerProvesNothing) {
  Write();
  outbox().OnPingRequest();
  EXPECT_EQ(outbox().OnConnectionClosed(false), 1);
}

TEST_F(OutboxProofTest, EachPingProvesMore) {
  for (int i = 0; i < 4; ++i) {
    Write();
    outbox().OnPingRequest();
    Write();
    outbox().OnPingResponse();
  }
  EXPECT_EQ(outbox().OnConnectionClosed(false), 1);
}

TEST_F(OutboxProofTest, AnAcknowledgementProvesWhatWasSubmittedBefore) {
  for (const Qos qos : {kQos1, kQos2}) {
    Write();
    Write();
    const Outbox::PacketId id = SubmitOf(qos);
    Write();
    outbox().Confirm(id);
    EXPECT_EQ(outbox().OnConnectionClosed(false), 1);
  }
  EXPECT_EQ(Written(), 4);
  EXPECT_EQ(PossiblyLost(), 2);
}

// In a batch, writing is reported after all were submitted.
TEST_F(OutboxProofTest, AnAcknowledgementProvesWhatWasWrittenMeanwhile) {
  Push("a", kQos0);
  Push("b", kQos0);
  Push("c", kQos1);
  Push("d", kQos0);
  SubmitAll();
  for (const Outbox::PacketId id : {1, 2, 4, 3}) outbox().Confirm(id);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 1);
  EXPECT_EQ(Written(), 2);
}

TEST_F(OutboxProofTest, AnOlderProofTakesNothingBack) {
  const Outbox::PacketId early = SubmitOf(kQos1);
  Write();
  const Outbox::PacketId late = SubmitOf(kQos2);
  outbox().Confirm(late);
  outbox().Confirm(early);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 0);
  EXPECT_EQ(Written(), 1);
}

TEST_F(OutboxProofTest, AProofIsOfOneConnection) {
  Write();
  outbox().OnPingRequest();
  outbox().OnConnectionClosed(false);
  Write();
  outbox().OnPingResponse();
  EXPECT_EQ(outbox().OnConnectionClosed(false), 1);
  EXPECT_EQ(PossiblyLost(), 2);
}

TEST_F(OutboxProofTest, WhatIsRequeuedIsNotLost) {
  Push("a", kQos0);
  SubmitAll();
  EXPECT_EQ(outbox().OnConnectionClosed(false), 0);
  EXPECT_EQ(outbox().waiting(), 1u);
  EXPECT_EQ(PossiblyLost(), 0);
}

TEST_F(OutboxProofTest, HigherQosIsNeverPossiblyLost) {
  const Outbox::PacketId id = SubmitOf(kQos1);
  outbox().Confirm(id);
  SubmitOf(kQos2);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 0);
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  EXPECT_EQ(outbox().in_flight(), 1u);
}

TEST_F(OutboxProofTest, WhatWasSentOnAnEarlierConnectionProvesNothing) {
  Write();
  const Outbox::PacketId id = SubmitOf(kQos1);
  outbox().OnConnectionClosed(true);
  Write();
  outbox().Confirm(id);
  EXPECT_EQ(outbox().OnConnectionClosed(false), 1);
}

// The outbox as the specification has it, one record a message, nothing
// clever. Messages are told apart by their topics, which are numbers.
class Model {
 public:
  enum class State { kWaiting, kInFlight, kWritten, kEnded };

  struct Entry {
    Qos qos;
    int64_t size;
    TimePoint accepted_at;
    State state = State::kWaiting;
    Outbox::PacketId packet_id = 0;
    bool is_resumed = false;  // in flight since an earlier connection
    bool before_ping = false;
    bool proven = false;
  };

  Model(const OutboxOptions& options, size_t window)
      : options_(options), window_(window) {}

  int64_t Push(Qos qos, int64_t size, TimePoint now) {
    ++totals_.accepted[Index(qos)];
    entries_.push_back({qos, size, now});
    order_.push_back(entries_.size() - 1);
    int64_t dropped = 0;
    if (options_.policy == QueuePolicy::kDropOldest) {
      while (Waiting() > 0 && (Queued() > options_.max_messages ||
                               Bytes() > options_.max_bytes)) {
        End(First(State::kWaiting), &totals_.dropped_oldest);
        ++dropped;
      }
    }
    return dropped;
  }

  // The number of the message to submit next, -1: none.
  int64_t Next() const {
    if (Waiting() == 0 || InFlight() >= static_cast<int64_t>(window_)) {
      return -1;
    }
    const size_t next = First(State::kWaiting);
    if (entries_[next].qos == kQos2 &&
        InFlight(kQos2) >= static_cast<int64_t>(options_.exactly_once_window)) {
      return -1;
    }
    return static_cast<int64_t>(next);
  }
  void Submit(Outbox::PacketId packet_id) {
    Entry& entry = entries_[First(State::kWaiting)];
    entry.state = State::kInFlight;
    entry.is_resumed = false;
    entry.packet_id = packet_id;
  }
  void DropNext() { End(First(State::kWaiting), &totals_.dropped_invalid); }

  // The messages that the broker or the socket may confirm now: QoS 0 is
  // written in order, and the broker answers what is written.
  std::vector<size_t> Confirmable() const {
    std::vector<size_t> confirmable;
    for (const size_t index : order_) {
      if (entries_[index].state != State::kInFlight) continue;
      confirmable.push_back(index);
      if (entries_[index].qos == kQos0) break;
    }
    return confirmable;
  }
  Outbox::PacketId PacketIdOf(size_t index) const {
    return entries_[index].packet_id;
  }
  bool IsInUse(Outbox::PacketId packet_id) const {
    return std::any_of(order_.begin(), order_.end(), [&](size_t index) {
      return entries_[index].state == State::kInFlight &&
             entries_[index].packet_id == packet_id;
    });
  }
  void Confirm(size_t index) {
    if (entries_[index].qos == kQos0) {
      entries_[index].state = State::kWritten;
      ++totals_.written[0];
      return;
    }
    for (const size_t before : order_) {
      if (before == index || entries_[index].is_resumed) break;
      if (entries_[before].state == State::kWritten) {
        entries_[before].proven = true;
      }
    }
    End(index, &totals_.acknowledged);
  }

  void PingRequest() {
    for (const size_t index : order_) {
      entries_[index].before_ping = entries_[index].state == State::kWritten;
    }
  }
  void PingResponse() {
    for (const size_t index : order_) {
      if (entries_[index].before_ping) entries_[index].proven = true;
    }
  }
  int64_t Close(bool cleanly) {
    int64_t unproven = 0;
    const std::deque<size_t> order = order_;
    for (const size_t index : order) {
      Entry& entry = entries_[index];
      if (entry.state == State::kInFlight) {
        if (entry.qos == kQos0) entry.state = State::kWaiting;
        entry.is_resumed = true;
      }
      if (entry.state != State::kWritten) continue;
      if (!cleanly && !entry.proven) {
        ++unproven;
        --totals_.written[0];
        ++totals_.possibly_lost[0];
      }
      entry.state = State::kEnded;
      order_.erase(std::find(order_.begin(), order_.end(), index));
    }
    return unproven;
  }

  void LoseSession() {
    for (Entry& entry : entries_) {
      if (entry.state == State::kInFlight) entry.state = State::kWaiting;
    }
  }

  int64_t DropExpired(TimePoint now) {
    int64_t dropped = 0;
    if (options_.time_to_live == Duration::zero()) return 0;
    const std::deque<size_t> order = order_;
    for (const size_t index : order) {
      if (entries_[index].state == State::kWaiting &&
          now - entries_[index].accepted_at >= options_.time_to_live) {
        End(index, &totals_.dropped_ttl);
        ++dropped;
      }
    }
    return dropped;
  }

  int64_t DropAll() {
    const int64_t queued = Queued();
    const std::deque<size_t> order = order_;
    for (const size_t index : order) {
      if (IsQueued(entries_[index])) End(index, &totals_.dropped_shutdown);
    }
    return queued;
  }

  int64_t Waiting() const { return Count(State::kWaiting); }
  int64_t InFlight() const { return Count(State::kInFlight); }
  int64_t InFlight(Qos qos) const {
    return std::count_if(order_.begin(), order_.end(), [&](size_t index) {
      return entries_[index].state == State::kInFlight &&
             entries_[index].qos == qos;
    });
  }
  int64_t Queued() const { return Waiting() + InFlight(); }
  int64_t Bytes() const {
    int64_t bytes = 0;
    for (const size_t index : order_) {
      if (IsQueued(entries_[index])) bytes += entries_[index].size;
    }
    return bytes;
  }

  // Compares all counters.
  void Check(const Statistics& statistics) const {
    for (const Qos qos : kEveryQos) {
      const size_t i = Index(qos);
      const auto queued =
          std::count_if(order_.begin(), order_.end(), [&](size_t index) {
            return entries_[index].qos == qos && IsQueued(entries_[index]);
          });
      EXPECT_EQ(statistics.queued.Get(qos), queued);
      EXPECT_EQ(statistics.accepted.Get(qos), totals_.accepted[i]);
      EXPECT_EQ(statistics.written.Get(qos), totals_.written[i]);
      EXPECT_EQ(statistics.acknowledged.Get(qos), totals_.acknowledged[i]);
      EXPECT_EQ(statistics.dropped_ttl.Get(qos), totals_.dropped_ttl[i]);
      EXPECT_EQ(statistics.dropped_oldest.Get(qos), totals_.dropped_oldest[i]);
      EXPECT_EQ(statistics.dropped_invalid.Get(qos),
                totals_.dropped_invalid[i]);
      EXPECT_EQ(statistics.dropped_shutdown.Get(qos),
                totals_.dropped_shutdown[i]);
      EXPECT_EQ(statistics.possibly_lost.Get(qos), totals_.possibly_lost[i]);
    }
    EXPECT_EQ(statistics.queued_bytes.Get(), Bytes());
  }

 private:
  using PerQos = std::array<int64_t, 3>;
  struct Totals {
    PerQos accepted{}, written{}, acknowledged{}, dropped_ttl{},
        dropped_oldest{}, dropped_invalid{}, dropped_shutdown{},
        possibly_lost{};
  };

  static size_t Index(Qos qos) { return static_cast<size_t>(qos); }
  static bool IsQueued(const Entry& entry) {
    return entry.state == State::kWaiting || entry.state == State::kInFlight;
  }
  int64_t Count(State state) const {
    return std::count_if(order_.begin(), order_.end(), [&](size_t index) {
      return entries_[index].state == state;
    });
  }
  size_t First(State state) const {
    return *std::find_if(order_.begin(), order_.end(), [&](size_t index) {
      return entries_[index].state == state;
    });
  }
  void End(size_t index, PerQos* total) {
    ++(*total)[Index(entries_[index].qos)];
    entries_[index].state = State::kEnded;
    order_.erase(std::find(order_.begin(), order_.end(), index));
  }

  const OutboxOptions options_;
  const size_t window_;
  std::vector<Entry> entries_;
  std::deque<size_t> order_;  // of acceptance, without those that ended
  Totals totals_;
};

struct ModelCase {
  const char* name;
  OutboxOptions options;
  size_t window;  // as the outbox makes it of the options
};

class OutboxModelTest : public ::testing::TestWithParam<ModelCase> {
 protected:
  void Run(uint32_t seed) {
    std::mt19937 random(seed);
    Statistics statistics;
    Outbox outbox(GetParam().options, &statistics);
    Model model(GetParam().options, GetParam().window);
    FakeClock clock;
    Outbox::PacketId packet_id = 0;
    int64_t pushed = 0;

    for (int step = 0; step < 4000; ++step) {
      SCOPED_TRACE(step);
      switch (const uint32_t choice = random() % 100) {
        case 0:
          EXPECT_EQ(outbox.OnConnectionClosed(false), model.Close(false));
          break;
        case 1:
          EXPECT_EQ(outbox.OnConnectionClosed(true), model.Close(true));
          if (random() % 2 == 0) break;
          outbox.OnSessionLost();
          model.LoseSession();
          break;
        case 2:
          outbox.OnPingRequest();
          model.PingRequest();
          break;
        case 3:
          outbox.OnPingResponse();
          model.PingResponse();
          break;
        case 4:
          if (model.Next() < 0) break;
          outbox.DropNext();
          model.DropNext();
          break;
        case 5:
        case 6:
          clock.Advance(seconds(random() % 3));
          EXPECT_EQ(outbox.DropExpired(clock.Now()),
                    model.DropExpired(clock.Now()));
          break;
        default:
          if (choice < 35) {
            const Qos qos = static_cast<Qos>(random() % 3);
            const std::string topic = absl::StrCat(pushed++);
            const std::string payload(random() % 50, 'x');
            const auto size =
                static_cast<int64_t>(topic.size() + payload.size());
            EXPECT_EQ(outbox.Push({topic, payload, qos}, clock.Now()),
                      model.Push(qos, size, clock.Now()));
          } else if (choice < 65) {
            if (model.Next() < 0) break;
            do {
              packet_id = packet_id % 20 + 1;
            } while (model.IsInUse(packet_id));
            outbox.MarkSubmitted(packet_id);
            model.Submit(packet_id);
          } else {
            const std::vector<size_t> confirmable = model.Confirmable();
            if (confirmable.empty()) break;
            const size_t index = confirmable[random() % confirmable.size()];
            EXPECT_TRUE(outbox.Confirm(model.PacketIdOf(index)));
            model.Confirm(index);
          }
      }
      const Message* next = outbox.Next();
      ASSERT_EQ(next == nullptr ? -1 : std::stoll(next->topic), model.Next());
      ASSERT_EQ(static_cast<int64_t>(outbox.waiting()), model.Waiting());
      ASSERT_EQ(static_cast<int64_t>(outbox.in_flight()), model.InFlight());
      ASSERT_EQ(outbox.empty(), model.Queued() == 0);
      model.Check(statistics);
      ExpectLedgerBalances(statistics);
      if (GetParam().options.policy == QueuePolicy::kDropOldest) {
        ASSERT_LE(model.Queued(), GetParam().options.max_messages);
        ASSERT_LE(model.Bytes(), GetParam().options.max_bytes);
      }
      if (HasFailure()) return;
    }
    EXPECT_EQ(outbox.DropAllForShutdown(), model.DropAll());
    model.Check(statistics);
    ExpectLedgerBalances(statistics);
    EXPECT_TRUE(outbox.empty());
  }
};

TEST_P(OutboxModelTest, AgreesWithTheModel) {
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Run(seed);
    if (HasFailure()) return;
  }
}

OutboxOptions ModelOptions(int64_t max_messages, int64_t max_bytes,
                           QueuePolicy policy, Duration time_to_live,
                           size_t window) {
  OutboxOptions options;
  options.max_messages = max_messages;
  options.max_bytes = max_bytes;
  options.policy = policy;
  options.time_to_live = time_to_live;
  options.window = window;
  options.exactly_once_window = 2;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Options, OutboxModelTest,
    ::testing::Values(
        ModelCase{"Reject",
                  ModelOptions(1000, 100000, QueuePolicy::kReject,
                               Duration::zero(), 8),
                  8},
        ModelCase{
            "RejectWithTtl",
            ModelOptions(1000, 100000, QueuePolicy::kReject, seconds(5), 4), 4},
        ModelCase{"DropOldestByCount",
                  ModelOptions(12, 100000, QueuePolicy::kDropOldest,
                               Duration::zero(), 8),
                  6},
        ModelCase{"DropOldestByBytes",
                  ModelOptions(1000, 200, QueuePolicy::kDropOldest,
                               Duration::zero(), 8),
                  8},
        ModelCase{
            "DropOldestWithTtl",
            ModelOptions(30, 400, QueuePolicy::kDropOldest, seconds(3), 3), 3},
        ModelCase{
            "WindowOfOne",
            ModelOptions(1000, 100000, QueuePolicy::kReject, seconds(9), 1),
            1}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kamailio_mqtt
