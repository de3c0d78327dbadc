// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/subscription_table.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Qos kQos0 = Qos::kAtMostOnce;
constexpr Qos kQos1 = Qos::kAtLeastOnce;
constexpr Qos kQos2 = Qos::kExactlyOnce;
constexpr auto kScript = SubscriptionOrigin::kScript;
constexpr auto kControl = SubscriptionOrigin::kControl;
constexpr auto kPending = SubscriptionState::kPending;
constexpr auto kActive = SubscriptionState::kActive;
constexpr auto kRefused = SubscriptionState::kRefused;

TimePoint Seconds(int seconds) {
  return TimePoint(std::chrono::seconds(seconds));
}

std::vector<std::string> Filters(const std::vector<Subscription>& list) {
  std::vector<std::string> filters;
  for (const Subscription& s : list) filters.push_back(s.filter);
  return filters;
}

std::vector<std::string> Unsent(const SubscriptionTable& table,
                                size_t limit = 1000) {
  std::vector<std::string> filters;
  for (const Subscription* s : table.PendingToSend(limit)) {
    filters.push_back(s->filter);
  }
  return filters;
}

TEST(SubscriptionTableTest, StartsEmpty) {
  SubscriptionTable table;
  EXPECT_EQ(table.Size(), 0u);
  EXPECT_EQ(table.InFlight(), 0u);
  EXPECT_EQ(table.Find("a"), nullptr);
  EXPECT_THAT(table.PendingToSend(), IsEmpty());
  EXPECT_THAT(table.MatchingFilters("a"), IsEmpty());
  EXPECT_EQ(table.RecordMessage("a", 1, Seconds(1)), 0u);
  EXPECT_THAT(table.List(0, 10).subscriptions, IsEmpty());
  EXPECT_FALSE(table.List(0, 10).more);
}

TEST(SubscriptionTableTest, ANewSubscriptionIsPending) {
  SubscriptionTable table;
  EXPECT_TRUE(table.Add("a/+", kQos1, kControl));
  const Subscription* s = table.Find("a/+");
  ASSERT_NE(s, nullptr);
  EXPECT_EQ(s->id, 1u);
  EXPECT_EQ(s->filter, "a/+");
  EXPECT_EQ(s->requested_qos, kQos1);
  EXPECT_EQ(s->origin, kControl);
  EXPECT_EQ(s->state, kPending);
  EXPECT_EQ(s->packet_id, 0);
  EXPECT_EQ(s->granted_qos, std::nullopt);
  EXPECT_EQ(s->refusal_code, std::nullopt);
  EXPECT_EQ(s->refusal_reason, "");
  EXPECT_EQ(s->messages, 0u);
  EXPECT_EQ(s->bytes, 0u);
  EXPECT_EQ(s->last_message, std::nullopt);
  EXPECT_THAT(Unsent(table), ElementsAre("a/+"));
  EXPECT_EQ(table.Size(), 1u);
}

TEST(SubscriptionTableTest, SubackGrants) {
  SubscriptionTable table;
  table.Add("a", kQos2, kScript);
  table.MarkSent("a", 7);
  EXPECT_THAT(Unsent(table), IsEmpty());
  EXPECT_EQ(table.InFlight(), 1u);
  EXPECT_EQ(table.Find("a")->packet_id, 7);
  EXPECT_EQ(table.Find("a")->state, kPending);

  const Subscription* s = table.OnSuback(7, 1);
  ASSERT_NE(s, nullptr);
  EXPECT_EQ(s, table.Find("a"));
  EXPECT_EQ(s->state, kActive);
  EXPECT_EQ(s->requested_qos, kQos2);
  EXPECT_EQ(s->granted_qos, kQos1);
  EXPECT_EQ(s->packet_id, 0);
  EXPECT_EQ(table.InFlight(), 0u);
}

TEST(SubscriptionTableTest, SubackRefuses) {
  for (const int code : {-1, 3, 0x7f, 0x80, 0x87, 0xff, 256}) {
    SubscriptionTable table;
    table.Add("a", kQos0, kScript);
    table.MarkSent("a", 7);
    const Subscription* s = table.OnSuback(7, code);
    ASSERT_NE(s, nullptr);
    EXPECT_EQ(s->state, kRefused);
    EXPECT_EQ(s->granted_qos, std::nullopt);
    EXPECT_EQ(s->refusal_code, code);
    EXPECT_EQ(s->packet_id, 0);
    EXPECT_THAT(Unsent(table), IsEmpty());
    EXPECT_EQ(table.InFlight(), 0u);
    EXPECT_EQ(table.Refused(), 1u);
  }
}

TEST(SubscriptionTableTest, ARefusalByTheBrokerNamesTheReturnCode) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  EXPECT_THAT(table.OnSuback(7, 0x80)->refusal_reason, HasSubstr("0x80"));
}

TEST(SubscriptionTableTest, WhatCannotBeSentIsRefusedWithoutACode) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkRefused("a", "too long for the broker");
  EXPECT_EQ(table.Find("a")->state, kRefused);
  EXPECT_EQ(table.Find("a")->refusal_code, std::nullopt);
  EXPECT_EQ(table.Find("a")->refusal_reason, "too long for the broker");
  EXPECT_THAT(Unsent(table), IsEmpty());
}

TEST(SubscriptionTableTest, MarkingWhatIsNotPendingHasNoEffect) {
  SubscriptionTable table;
  table.MarkSent("a", 7);
  table.MarkRefused("a", "no");
  EXPECT_EQ(table.Size(), 0u);
  EXPECT_EQ(table.InFlight(), 0u);

  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  table.OnSuback(7, 0);
  table.MarkSent("a", 8);
  table.MarkRefused("a", "no");
  EXPECT_EQ(table.Find("a")->state, kActive);
  EXPECT_EQ(table.InFlight(), 0u);
  EXPECT_EQ(table.OnSuback(8, 0x80), nullptr);
}

TEST(SubscriptionTableTest, UnknownSubackIsIgnored) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  EXPECT_EQ(table.OnSuback(1, 0), nullptr);
  EXPECT_EQ(table.OnSuback(0, 0), nullptr);
  EXPECT_EQ(table.Find("a")->state, kPending);
  table.MarkSent("a", 1);
  EXPECT_EQ(table.OnSuback(2, 0), nullptr);
  EXPECT_NE(table.OnSuback(1, 0), nullptr);
  EXPECT_EQ(table.OnSuback(1, 0x80), nullptr);
  EXPECT_EQ(table.Find("a")->state, kActive);
}

TEST(SubscriptionTableTest, TheSameQosAgainIsSentOnce) {
  SubscriptionTable table;
  EXPECT_TRUE(table.Add("a", kQos1, kScript));
  EXPECT_TRUE(table.Add("a", kQos1, kScript)) << "not sent yet";
  EXPECT_THAT(Unsent(table), ElementsAre("a"));
  table.MarkSent("a", 7);
  EXPECT_FALSE(table.Add("a", kQos1, kScript)) << "under way";
  table.OnSuback(7, 0);
  EXPECT_FALSE(table.Add("a", kQos1, kScript)) << "active";
  EXPECT_EQ(table.Find("a")->state, kActive);
  EXPECT_EQ(table.Find("a")->granted_qos, kQos0);
  EXPECT_THAT(Unsent(table), IsEmpty());
  EXPECT_EQ(table.Size(), 1u);
}

TEST(SubscriptionTableTest, AnotherQosIsSentAgain) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  EXPECT_TRUE(table.Add("a", kQos1, kScript)) << "not sent yet";
  EXPECT_EQ(table.Find("a")->requested_qos, kQos1);
  table.MarkSent("a", 7);
  EXPECT_TRUE(table.Add("a", kQos2, kScript)) << "under way";
  EXPECT_THAT(Unsent(table), ElementsAre("a"));
  EXPECT_EQ(table.OnSuback(7, 1), nullptr) << "answers a replaced request";
  EXPECT_EQ(table.Find("a")->state, kPending);

  table.MarkSent("a", 8);
  table.OnSuback(8, 2);
  EXPECT_TRUE(table.Add("a", kQos0, kScript)) << "active";
  EXPECT_EQ(table.Find("a")->state, kPending);
  EXPECT_EQ(table.Find("a")->granted_qos, std::nullopt);
  EXPECT_THAT(Unsent(table), ElementsAre("a"));
  EXPECT_EQ(table.Size(), 1u);
}

TEST(SubscriptionTableTest, AnswersComeInAnyOrderAfterAReplacement) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  table.Add("a", kQos1, kScript);
  table.MarkSent("a", 8);
  EXPECT_EQ(table.InFlight(), 1u);
  EXPECT_EQ(table.OnSuback(7, 0x80), nullptr);
  EXPECT_EQ(table.OnSuback(8, 1), table.Find("a"));
  EXPECT_EQ(table.Find("a")->granted_qos, kQos1);
}

TEST(SubscriptionTableTest, ARefusedOneMayBeAskedForAgain) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  table.OnSuback(7, 0x80);
  EXPECT_TRUE(table.Add("a", kQos0, kScript));
  EXPECT_EQ(table.Find("a")->state, kPending);
  EXPECT_EQ(table.Find("a")->refusal_code, std::nullopt);
  EXPECT_EQ(table.Find("a")->refusal_reason, "");
  EXPECT_THAT(Unsent(table), ElementsAre("a"));
  EXPECT_EQ(table.Refused(), 0u);
}

TEST(SubscriptionTableTest, TheNewestOriginCounts) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  EXPECT_FALSE(table.Add("a", kQos0, kControl));
  EXPECT_EQ(table.Find("a")->origin, kControl);
}

TEST(SubscriptionTableTest, RemoveTellsWhatWasKnown) {
  SubscriptionTable table;
  EXPECT_FALSE(table.Remove("a"));
  table.Add("a", kQos0, kScript);
  EXPECT_FALSE(table.Remove("a/#"));
  EXPECT_TRUE(table.Remove("a"));
  EXPECT_FALSE(table.Remove("a"));
  EXPECT_EQ(table.Size(), 0u);
  EXPECT_EQ(table.Find("a"), nullptr);
  EXPECT_THAT(Unsent(table), IsEmpty());
  EXPECT_THAT(table.MatchingFilters("a"), IsEmpty());
}

TEST(SubscriptionTableTest, RemoveTakesTheFilterOfItsOwnEntry) {
  SubscriptionTable table;
  table.Add("a/b/c", kQos0, kScript);
  EXPECT_TRUE(table.Remove(table.Find("a/b/c")->filter));
  EXPECT_EQ(table.Size(), 0u);
}

TEST(SubscriptionTableTest, AnAnswerForARemovedOneIsIgnored) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  table.Remove("a");
  EXPECT_EQ(table.InFlight(), 0u);
  EXPECT_EQ(table.OnSuback(7, 0), nullptr);

  table.Add("a", kQos0, kScript);
  EXPECT_EQ(table.OnSuback(7, 0), nullptr);
  EXPECT_EQ(table.Find("a")->state, kPending);
}

TEST(SubscriptionTableTest, AReusedPacketIdentifierBelongsToTheLast) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.Add("b", kQos0, kScript);
  table.MarkSent("a", 7);
  table.MarkSent("b", 7);
  EXPECT_THAT(Unsent(table), ElementsAre("a"));
  EXPECT_EQ(table.InFlight(), 1u);
  EXPECT_EQ(table.OnSuback(7, 0), table.Find("b"));
  EXPECT_EQ(table.Find("a")->state, kPending);
}

TEST(SubscriptionTableTest, ASubscriptionMayBeSentTwice) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.MarkSent("a", 7);
  table.MarkSent("a", 8);
  EXPECT_EQ(table.InFlight(), 1u);
  EXPECT_EQ(table.OnSuback(7, 0), nullptr);
  table.MarkSent("a", 8);
  EXPECT_EQ(table.InFlight(), 1u);
  EXPECT_EQ(table.OnSuback(8, 0), table.Find("a"));
}

TEST(SubscriptionTableTest, KnowsWhatTheSessionMayHave) {
  SubscriptionTable table;
  table.Add("a", kQos1, kScript);
  table.Add("b", kQos1, kScript);
  EXPECT_FALSE(table.Find("a")->in_session);
  table.MarkSent("a", 1);
  EXPECT_TRUE(table.Find("a")->in_session);
  table.OnSuback(1, 0x80);
  table.OnConnectionLost();
  EXPECT_TRUE(table.Find("a")->in_session);
  EXPECT_FALSE(table.Find("b")->in_session);
  table.Remove("a");
  table.Add("a", kQos1, kScript);
  EXPECT_FALSE(table.Find("a")->in_session);
  table.MarkInSession("a");
  EXPECT_TRUE(table.Find("a")->in_session);
  table.OnSessionLost();
  EXPECT_FALSE(table.Find("a")->in_session);
}

TEST(SubscriptionTableTest, ALostConnectionMakesAllPending) {
  SubscriptionTable table;
  table.Add("active", kQos0, kScript);
  table.Add("refused", kQos0, kScript);
  table.Add("sent", kQos0, kControl);
  table.Add("unsent", kQos0, kScript);
  table.MarkSent("active", 1);
  table.MarkSent("refused", 2);
  table.MarkSent("sent", 3);
  table.OnSuback(1, 0);
  table.OnSuback(2, 0x80);

  table.OnConnectionLost();
  EXPECT_THAT(Unsent(table),
              ElementsAre("active", "refused", "sent", "unsent"));
  EXPECT_EQ(table.InFlight(), 0u);
  for (const Subscription* s : table.PendingToSend()) {
    EXPECT_EQ(s->state, kPending);
    EXPECT_EQ(s->packet_id, 0);
    EXPECT_EQ(s->granted_qos, std::nullopt);
    EXPECT_EQ(s->refusal_code, std::nullopt);
    EXPECT_EQ(s->refusal_reason, "");
  }
  EXPECT_EQ(table.Find("sent")->origin, kControl);
  EXPECT_EQ(table.OnSuback(3, 0), nullptr) << "of the lost connection";
}

TEST(SubscriptionTableTest, AScriptThatSubscribesAgainDoesNotDisturbARestore) {
  SubscriptionTable table;
  table.Add("a", kQos1, kScript);
  table.MarkSent("a", 1);
  table.OnSuback(1, 1);
  table.OnConnectionLost();
  table.MarkSent("a", 1);
  EXPECT_FALSE(table.Add("a", kQos1, kScript));
  EXPECT_EQ(table.OnSuback(1, 1), table.Find("a"));
  EXPECT_FALSE(table.Add("a", kQos1, kScript));
  EXPECT_EQ(table.Find("a")->state, kActive);
}

TEST(SubscriptionTableTest, PendingToSendKeepsTheOrderOfFirstSubscription) {
  SubscriptionTable table;
  for (const char* filter : {"c", "a", "b", "d"}) {
    table.Add(filter, kQos0, kScript);
  }
  table.Add("c", kQos1, kScript);
  EXPECT_THAT(Unsent(table), ElementsAre("c", "a", "b", "d"));
  EXPECT_THAT(Unsent(table, 2), ElementsAre("c", "a"));
  EXPECT_THAT(Unsent(table, 0), IsEmpty());
  EXPECT_EQ(table.PendingToSend().size(), 4u);

  table.MarkSent("a", 1);
  EXPECT_THAT(Unsent(table, 2), ElementsAre("c", "b"));
  table.Remove("c");
  table.Add("c", kQos0, kScript);
  EXPECT_THAT(Unsent(table), ElementsAre("b", "d", "c"));
}

TEST(SubscriptionTableTest, ClearForgetsEverything) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.Add("b", kQos0, kScript);
  table.MarkSent("a", 1);
  table.Clear();
  EXPECT_EQ(table.Size(), 0u);
  EXPECT_EQ(table.InFlight(), 0u);
  EXPECT_THAT(Unsent(table), IsEmpty());
  EXPECT_EQ(table.Find("a"), nullptr);
  EXPECT_THAT(table.MatchingFilters("a"), IsEmpty());
  EXPECT_EQ(table.OnSuback(1, 0), nullptr);

  EXPECT_TRUE(table.Add("a", kQos0, kScript));
  EXPECT_EQ(table.Find("a")->id, 3u) << "a page token must not come back";
  EXPECT_THAT(table.MatchingFilters("a"), ElementsAre("a"));
}

TEST(SubscriptionTableTest, RecordMessageCountsTowardsAllMatches) {
  SubscriptionTable table;
  for (const char* filter : {"a/b", "a/+", "$share/g/a/#", "b/#"}) {
    table.Add(filter, kQos0, kScript);
  }
  EXPECT_EQ(table.RecordMessage("a/b", 10, Seconds(1)), 3u);
  EXPECT_EQ(table.RecordMessage("a/c", 5, Seconds(2)), 2u);
  EXPECT_EQ(table.RecordMessage("a/c", 0, Seconds(3)), 2u);
  EXPECT_EQ(table.RecordMessage("c", 1, Seconds(4)), 0u);

  EXPECT_EQ(table.Find("a/b")->messages, 1u);
  EXPECT_EQ(table.Find("a/b")->bytes, 10u);
  EXPECT_EQ(table.Find("a/b")->last_message, Seconds(1));
  for (const char* filter : {"a/+", "$share/g/a/#"}) {
    EXPECT_EQ(table.Find(filter)->messages, 3u) << filter;
    EXPECT_EQ(table.Find(filter)->bytes, 15u) << filter;
    EXPECT_EQ(table.Find(filter)->last_message, Seconds(3)) << filter;
  }
  EXPECT_EQ(table.Find("b/#")->messages, 0u);
  EXPECT_EQ(table.Find("b/#")->last_message, std::nullopt);
}

TEST(SubscriptionTableTest, CountersOutliveConnectionAndQos) {
  SubscriptionTable table;
  table.Add("a", kQos0, kScript);
  table.RecordMessage("a", 10, Seconds(1));
  table.OnConnectionLost();
  table.Add("a", kQos1, kScript);
  EXPECT_EQ(table.Find("a")->messages, 1u);
  EXPECT_EQ(table.Find("a")->bytes, 10u);
  table.Remove("a");
  table.Add("a", kQos1, kScript);
  EXPECT_EQ(table.Find("a")->messages, 0u);
}

TEST(SubscriptionTableTest, MatchingFiltersKeepsTheOrderOfFirstSubscription) {
  SubscriptionTable table;
  for (const char* filter : {"#", "z", "a/b", "$share/g/a/b", "a/+", "+/b"}) {
    table.Add(filter, kQos0, kScript);
  }
  EXPECT_THAT(table.MatchingFilters("a/b"),
              ElementsAre("#", "a/b", "$share/g/a/b", "a/+", "+/b"));
  EXPECT_THAT(table.MatchingFilters("$SYS/b"), IsEmpty());
}

TEST(SubscriptionTableTest, ListGivesPages) {
  SubscriptionTable table;
  for (const char* filter : {"d", "c", "b", "a"}) {
    table.Add(filter, kQos0, kScript);
  }
  const SubscriptionPage first = table.List(0, 2);
  EXPECT_THAT(Filters(first.subscriptions), ElementsAre("d", "c"));
  EXPECT_TRUE(first.more);
  const SubscriptionPage second = table.List(first.subscriptions.back().id, 2);
  EXPECT_THAT(Filters(second.subscriptions), ElementsAre("b", "a"));
  EXPECT_FALSE(second.more);
  EXPECT_THAT(Filters(table.List(0, 100).subscriptions),
              ElementsAre("d", "c", "b", "a"));
  EXPECT_THAT(table.List(100, 2).subscriptions, IsEmpty());
}

TEST(SubscriptionTableTest, PagesStayInStepWithChanges) {
  SubscriptionTable table;
  for (const char* filter : {"a", "b", "c"}) table.Add(filter, kQos0, kScript);
  const uint64_t after = table.List(0, 2).subscriptions.back().id;
  table.Remove("a");
  table.Remove("b");
  table.Add("d", kQos0, kScript);
  EXPECT_THAT(Filters(table.List(after, 10).subscriptions),
              ElementsAre("c", "d"));
}

TEST(SubscriptionTableTest, ListMatchingGivesPages) {
  SubscriptionTable table;
  for (const char* filter : {"a", "b", "+", "c", "#"}) {
    table.Add(filter, kQos0, kScript);
  }
  const SubscriptionPage first = table.ListMatching("a", 0, 2);
  EXPECT_THAT(Filters(first.subscriptions), ElementsAre("a", "+"));
  EXPECT_TRUE(first.more);
  const SubscriptionPage second =
      table.ListMatching("a", first.subscriptions.back().id, 2);
  EXPECT_THAT(Filters(second.subscriptions), ElementsAre("#"));
  EXPECT_FALSE(second.more);
  EXPECT_THAT(table.ListMatching("$x", 0, 2).subscriptions, IsEmpty());
}

// The same behaviour without an index: every operation looks at everything.
class NaiveTable {
 public:
  struct Entry : Subscription {
    bool sent = false;
  };

  bool Add(const std::string& filter, Qos qos, SubscriptionOrigin origin) {
    Entry* entry = Find(filter);
    const bool known = entry != nullptr;
    if (!known) {
      entry = &entries_.emplace_back();
      entry->id = next_id_++;
      entry->filter = filter;
    }
    entry->origin = origin;
    if (known && entry->requested_qos == qos &&
        (entry->state == kActive || entry->sent)) {
      return false;
    }
    entry->requested_qos = qos;
    MakePending(entry);
    return true;
  }

  bool Remove(const std::string& filter) {
    Entry* entry = Find(filter);
    if (entry == nullptr) return false;
    entries_.erase(entries_.begin() + (entry - entries_.data()));
    return true;
  }

  void Clear() { entries_.clear(); }

  void MarkSent(const std::string& filter, uint16_t packet_id) {
    Entry* entry = Find(filter);
    if (entry == nullptr || entry->state != kPending) return;
    for (Entry& other : entries_) {
      if (other.sent && other.packet_id == packet_id) MakePending(&other);
    }
    entry->sent = true;
    entry->packet_id = packet_id;
  }

  const Subscription* OnSuback(uint16_t packet_id, int return_code) {
    for (Entry& entry : entries_) {
      if (!entry.sent || entry.packet_id != packet_id) continue;
      MakePending(&entry);
      entry.state = return_code <= 2 ? kActive : kRefused;
      if (return_code <= 2) {
        entry.granted_qos = static_cast<Qos>(return_code);
      } else {
        entry.refusal_code = return_code;
      }
      return &entry;
    }
    return nullptr;
  }

  void OnConnectionLost() {
    for (Entry& entry : entries_) MakePending(&entry);
  }

  size_t RecordMessage(const std::string& topic, size_t bytes, TimePoint now) {
    size_t matched = 0;
    for (Entry& entry : entries_) {
      if (!TopicMatchesFilter(topic, entry.filter)) continue;
      ++matched;
      ++entry.messages;
      entry.bytes += bytes;
      entry.last_message = now;
    }
    return matched;
  }

  std::vector<std::string> MatchingFilters(const std::string& topic) const {
    std::vector<std::string> filters;
    for (const Entry& entry : entries_) {
      if (TopicMatchesFilter(topic, entry.filter)) {
        filters.push_back(entry.filter);
      }
    }
    return filters;
  }

  std::vector<std::string> Unsent() const {
    std::vector<std::string> filters;
    for (const Entry& entry : entries_) {
      if (entry.state == kPending && !entry.sent) {
        filters.push_back(entry.filter);
      }
    }
    return filters;
  }

  size_t InFlight() const {
    return std::count_if(entries_.begin(), entries_.end(),
                         [](const Entry& entry) { return entry.sent; });
  }

  size_t Refused() const {
    return std::count_if(
        entries_.begin(), entries_.end(),
        [](const Entry& entry) { return entry.state == kRefused; });
  }

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  Entry* Find(const std::string& filter) {
    for (Entry& entry : entries_) {
      if (entry.filter == filter) return &entry;
    }
    return nullptr;
  }

  static void MakePending(Entry* entry) {
    entry->state = kPending;
    entry->sent = false;
    entry->packet_id = 0;
    entry->granted_qos.reset();
    entry->refusal_code.reset();
  }

  std::vector<Entry> entries_;
  uint64_t next_id_ = 1;
};

void ExpectSame(const Subscription& actual, const Subscription& expected) {
  EXPECT_EQ(actual.id, expected.id);
  EXPECT_EQ(actual.filter, expected.filter);
  EXPECT_EQ(actual.requested_qos, expected.requested_qos);
  EXPECT_EQ(actual.origin, expected.origin);
  EXPECT_EQ(actual.state, expected.state);
  EXPECT_EQ(actual.packet_id, expected.packet_id);
  EXPECT_EQ(actual.granted_qos, expected.granted_qos);
  EXPECT_EQ(actual.refusal_code, expected.refusal_code);
  EXPECT_EQ(actual.refusal_reason.empty(), expected.state != kRefused);
  EXPECT_EQ(actual.messages, expected.messages);
  EXPECT_EQ(actual.bytes, expected.bytes);
  EXPECT_EQ(actual.last_message, expected.last_message);
}

void ExpectSame(const SubscriptionTable& actual, const NaiveTable& expected) {
  ASSERT_EQ(actual.Size(), expected.entries().size());
  EXPECT_EQ(actual.InFlight(), expected.InFlight());
  EXPECT_EQ(actual.Refused(), expected.Refused());
  EXPECT_EQ(Unsent(actual), expected.Unsent());
  const SubscriptionPage page = actual.List(0, actual.Size() + 1);
  EXPECT_FALSE(page.more);
  ASSERT_EQ(page.subscriptions.size(), expected.entries().size());
  for (size_t i = 0; i < page.subscriptions.size(); ++i) {
    ExpectSame(page.subscriptions[i], expected.entries()[i]);
    ExpectSame(*actual.Find(page.subscriptions[i].filter),
               expected.entries()[i]);
  }
}

class SubscriptionTableModelTest : public ::testing::TestWithParam<int> {
 protected:
  int Random(int below) {
    return std::uniform_int_distribution<int>(0, below - 1)(random_);
  }

  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Random(static_cast<int>(from.size()))];
  }

 private:
  std::mt19937 random_{static_cast<unsigned>(GetParam())};
};

TEST_P(SubscriptionTableModelTest, AgreesWithTheNaiveTable) {
  const std::vector<std::string> filters = {
      "a",     "a/b",          "a/+",          "a/#",     "+",   "#",
      "+/b",   "+/+",          "$share/g/a",   "$SYS/#",  "/",   "//",
      "a/b/c", "$share/g/a/b", "$share/h/a/b", "a/+/c/#", "+/#", "b"};
  const std::vector<std::string> topics = {
      "a", "b", "a/b", "a/b/c", "a/b/c/d", "/", "//", "$SYS/a", "a/", "c/b"};
  const std::vector<int> return_codes = {0, 1, 2, 0x80};
  SubscriptionTable table;
  NaiveTable naive;
  for (int step = 0; step < 3000; ++step) {
    const int operation = Random(100);
    const std::string& filter = Pick(filters);
    const std::string& topic = Pick(topics);
    // Few identifiers, so that they collide and come back.
    const auto packet_id = static_cast<uint16_t>(1 + Random(12));
    if (operation < 30) {
      const Qos qos = static_cast<Qos>(Random(3));
      const auto origin = Random(2) == 0 ? kScript : kControl;
      ASSERT_EQ(table.Add(filter, qos, origin), naive.Add(filter, qos, origin));
    } else if (operation < 55) {
      table.MarkSent(filter, packet_id);
      naive.MarkSent(filter, packet_id);
    } else if (operation < 75) {
      const int code = Pick(return_codes);
      const Subscription* actual = table.OnSuback(packet_id, code);
      const Subscription* expected = naive.OnSuback(packet_id, code);
      ASSERT_EQ(actual == nullptr, expected == nullptr);
      if (actual != nullptr) ExpectSame(*actual, *expected);
    } else if (operation < 85) {
      ASSERT_EQ(table.Remove(filter), naive.Remove(filter));
    } else if (operation < 96) {
      ASSERT_EQ(table.RecordMessage(topic, step, Seconds(step)),
                naive.RecordMessage(topic, step, Seconds(step)));
    } else if (operation < 99) {
      table.OnConnectionLost();
      naive.OnConnectionLost();
    } else if (Random(4) == 0) {
      table.Clear();
      naive.Clear();
    }
    ExpectSame(table, naive);
    ASSERT_EQ(table.MatchingFilters(topic), naive.MatchingFilters(topic));
    if (HasFailure()) FAIL() << "after step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SubscriptionTableModelTest,
                         ::testing::Range(1, 11));

TEST(SubscriptionTableTest, RestoresAHundredThousandInBatches) {
  constexpr int kSubscriptions = 100000;
  constexpr size_t kBatch = 500;
  SubscriptionTable table;
  for (int i = 0; i < kSubscriptions; ++i) {
    table.Add(absl::StrCat("sip/", i, "/+"), kQos1, kScript);
  }
  table.OnConnectionLost();
  int restored = 0;
  uint16_t packet_id = 0;
  for (auto batch = table.PendingToSend(kBatch); !batch.empty();
       batch = table.PendingToSend(kBatch)) {
    for (const Subscription* s : batch) {
      if (++packet_id == 0) ++packet_id;
      ASSERT_EQ(s->filter, absl::StrCat("sip/", restored++, "/+"));
      table.MarkSent(s->filter, packet_id);
      ASSERT_EQ(table.OnSuback(packet_id, 1), s);
    }
  }
  EXPECT_EQ(restored, kSubscriptions);
  EXPECT_THAT(table.MatchingFilters("sip/99999/call"),
              ElementsAre("sip/99999/+"));
}

}  // namespace
}  // namespace kamailio_mqtt
