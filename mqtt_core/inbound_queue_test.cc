// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/inbound_queue.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Qos kQos0 = Qos::kAtMostOnce;
constexpr Qos kQos1 = Qos::kAtLeastOnce;
constexpr Qos kQos2 = Qos::kExactlyOnce;
constexpr seconds kDeadline(30);

InboundMessage Message(const std::string& topic, Qos qos = kQos0,
                       const std::string& payload = "") {
  InboundMessage message;
  message.topic = topic;
  message.payload = payload;
  message.qos = qos;
  return message;
}

std::string Describe(const ScriptEvent& event) {
  if (std::holds_alternative<ConnectedEvent>(event)) return "+";
  if (const auto* disconnected = std::get_if<DisconnectedEvent>(&event)) {
    return "-" + disconnected->reason;
  }
  return std::get<InboundMessage>(event).topic;
}

TimePoint Deadline() { return SteadyClock().Now() + kDeadline; }

class InboundQueueTest : public ::testing::Test {
 protected:
  void Make(size_t max_messages, size_t max_bytes = 1 << 20) {
    queue_ = std::make_unique<InboundQueue>(
        InboundQueue::Limits{max_messages, max_bytes}, &statistics_);
  }

  // Pops what is there.
  std::vector<std::string> PopAll() {
    std::vector<std::string> events;
    queue_->Push(DisconnectedEvent{"end"});
    for (;;) {
      events.push_back(Describe(*queue_->Pop()));
      if (events.back() == "-end") break;
    }
    events.pop_back();
    return events;
  }

  void ExpectGauges(int64_t messages, int64_t bytes) {
    EXPECT_EQ(statistics_.inbound_queued.Get(), messages);
    EXPECT_EQ(statistics_.inbound_queued_bytes.Get(), bytes);
  }

  int64_t Dropped(Qos qos) { return statistics_.inbound_dropped.Get(qos); }

  Statistics statistics_;
  std::unique_ptr<InboundQueue> queue_ = std::make_unique<InboundQueue>(
      InboundQueue::Limits{100, 1 << 20}, &statistics_);
};

TEST_F(InboundQueueTest, KeepsTheOrderOfAllKinds) {
  queue_->Push(ConnectedEvent{});
  queue_->Push(Message("a", kQos0));
  queue_->Push(Message("b", kQos1));
  queue_->Push(Message("c", kQos0));
  queue_->Push(Message("d", kQos2));
  queue_->Push(DisconnectedEvent{"why"});
  queue_->Push(Message("e", kQos0));
  EXPECT_THAT(PopAll(), ElementsAre("+", "a", "b", "c", "d", "-why", "e"));
}

TEST_F(InboundQueueTest, HandsTheWholeMessageOver) {
  InboundMessage message = Message("topic", kQos2, std::string("\0\xff", 2));
  message.retain = true;
  message.duplicate = true;
  message.packet_id = 77;
  message.origin = Origin::kInjected;
  queue_->Push(message);
  const InboundMessage popped = std::get<InboundMessage>(*queue_->Pop());
  EXPECT_EQ(popped.topic, "topic");
  EXPECT_EQ(popped.payload, std::string("\0\xff", 2));
  EXPECT_EQ(popped.qos, kQos2);
  EXPECT_TRUE(popped.retain);
  EXPECT_TRUE(popped.duplicate);
  EXPECT_EQ(popped.packet_id, 77);
  EXPECT_EQ(popped.origin, Origin::kInjected);
}

TEST_F(InboundQueueTest, TheGaugesCountMessagesAndNothingElse) {
  queue_->Push(ConnectedEvent{});
  ExpectGauges(0, 0);
  queue_->Push(Message("a", kQos0));
  queue_->Push(Message("bb", kQos1));
  ExpectGauges(2, 3);
  queue_->Pop();
  ExpectGauges(2, 3);
  queue_->Pop();
  ExpectGauges(1, 2);
  queue_->Pop();
  ExpectGauges(0, 0);
}

TEST_F(InboundQueueTest, TakesExactlyTheLimit) {
  Make(2);
  EXPECT_EQ(queue_->Push(Message("a")), 0u);
  EXPECT_EQ(queue_->Push(Message("b")), 0u);
  EXPECT_EQ(queue_->Push(Message("c")), 1u);
  EXPECT_EQ(Dropped(kQos0), 1);
  EXPECT_THAT(PopAll(), ElementsAre("a", "b"));
  EXPECT_EQ(queue_->Push(Message("d")), 0u);
}

TEST_F(InboundQueueTest, TakesExactlyTheLimitOfBytes) {
  Make(100, 10);
  EXPECT_EQ(queue_->Push(Message("a", kQos0, "123")), 0u);
  EXPECT_EQ(queue_->Push(Message("b", kQos0, "12345")), 0u);
  EXPECT_EQ(queue_->Push(Message("c", kQos0)), 1u);
  queue_->Pop();
  EXPECT_EQ(queue_->Push(Message("d", kQos0, "1234")), 1u);
  EXPECT_EQ(queue_->Push(Message("e", kQos0, "123")), 0u);
  EXPECT_THAT(PopAll(), ElementsAre("b", "e"));
}

TEST_F(InboundQueueTest, HigherQosTakesThePlaceOfTheOldestOfQos0) {
  Make(3);
  queue_->Push(Message("old", kQos0));
  queue_->Push(Message("kept", kQos1));
  queue_->Push(Message("new", kQos0));
  EXPECT_EQ(queue_->Push(Message("one", kQos1)), 1u);
  EXPECT_EQ(queue_->Push(Message("two", kQos2)), 1u);
  EXPECT_EQ(Dropped(kQos0), 2);
  EXPECT_EQ(queue_->Push(Message("three", kQos1)), 1u);
  EXPECT_EQ(Dropped(kQos1), 1);
  EXPECT_EQ(queue_->Push(Message("four", kQos2)), 1u);
  EXPECT_EQ(Dropped(kQos2), 1);
  EXPECT_EQ(queue_->Push(Message("five", kQos0)), 1u);
  EXPECT_EQ(Dropped(kQos0), 3);
  EXPECT_THAT(PopAll(), ElementsAre("kept", "one", "two"));
}

TEST_F(InboundQueueTest, ALargeMessageTakesThePlaceOfSeveral) {
  Make(100, 10);
  for (const char* topic : {"a", "b", "c", "d", "e"}) {
    queue_->Push(Message(topic, kQos0, "1"));
  }
  EXPECT_EQ(queue_->Push(Message("x", kQos1, "12345")), 3u);
  EXPECT_EQ(Dropped(kQos0), 3);
  EXPECT_EQ(Dropped(kQos1), 0);
  EXPECT_THAT(PopAll(), ElementsAre("d", "e", "x"));
}

TEST_F(InboundQueueTest, NothingIsDroppedForAMessageThatCannotFit) {
  Make(100, 10);
  queue_->Push(Message("a", kQos0, "1"));
  queue_->Push(Message("b", kQos1, "1234567"));
  EXPECT_EQ(queue_->Push(Message("x", kQos1, "12")), 1u);
  EXPECT_EQ(queue_->Push(Message("y", kQos1, "1234567890")), 1u);
  EXPECT_EQ(Dropped(kQos0), 0);
  EXPECT_EQ(Dropped(kQos1), 2);
  EXPECT_THAT(PopAll(), ElementsAre("a", "b"));
}

TEST_F(InboundQueueTest, AMessageAboveTheLimitIsDroppedEvenWhenEmpty) {
  Make(100, 10);
  EXPECT_EQ(queue_->Push(Message("x", kQos1, "1234567890")), 1u);
  EXPECT_EQ(Dropped(kQos1), 1);
  EXPECT_THAT(PopAll(), IsEmpty());
}

TEST_F(InboundQueueTest, ConnectionEventsAreAlwaysTaken) {
  Make(1, 10);
  queue_->Push(Message("a", kQos1, "123456789"));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(queue_->Push(DisconnectedEvent{"a reason of some length"}), 0u);
    EXPECT_EQ(queue_->Push(ConnectedEvent{}), 0u);
  }
  EXPECT_EQ(PopAll().size(), 201u);
  EXPECT_EQ(statistics_.inbound_dropped.Total(), 0);
}

TEST_F(InboundQueueTest, ConnectionEventsDoNotTakeRoomFromMessages) {
  Make(2);
  for (int i = 0; i < 10; ++i) queue_->Push(ConnectedEvent{});
  EXPECT_EQ(queue_->Push(Message("a", kQos0)), 0u);
  EXPECT_EQ(queue_->Push(Message("b", kQos1)), 0u);
}

TEST_F(InboundQueueTest, CloseDropsAndCountsTheRest) {
  queue_->Push(ConnectedEvent{});
  queue_->Push(Message("a", kQos0));
  queue_->Push(Message("b", kQos1));
  queue_->Push(Message("c", kQos2));
  EXPECT_EQ(queue_->Close(), 3u);
  for (const Qos qos : {kQos0, kQos1, kQos2}) EXPECT_EQ(Dropped(qos), 1);
  EXPECT_EQ(statistics_.inbound_queued.Get(), 0);
  EXPECT_FALSE(queue_->Pop().has_value());
  EXPECT_FALSE(queue_->Pop().has_value());
  EXPECT_EQ(queue_->Close(), 0u);
}

TEST_F(InboundQueueTest, NothingIsTakenOnceClosed) {
  queue_->Push(Message("a", kQos0));
  queue_->Close();
  EXPECT_EQ(queue_->Push(Message("b", kQos1)), 1u);
  EXPECT_EQ(Dropped(kQos1), 1);
  EXPECT_EQ(queue_->Push(ConnectedEvent{}), 0u);
  EXPECT_FALSE(queue_->Pop().has_value());
}

TEST_F(InboundQueueTest, PopWaitsForAnEvent) {
  std::future<std::string> popped =
      std::async(std::launch::async, [&] { return Describe(*queue_->Pop()); });
  ASSERT_TRUE(queue_->WaitUntilIdle(Deadline()));
  queue_->Push(Message("a"));
  EXPECT_EQ(popped.get(), "a");
}

TEST_F(InboundQueueTest, CloseEndsAPopThatWaits) {
  std::future<bool> popped =
      std::async(std::launch::async, [&] { return queue_->Pop().has_value(); });
  ASSERT_TRUE(queue_->WaitUntilIdle(Deadline()));
  queue_->Close();
  EXPECT_FALSE(popped.get());
}

TEST_F(InboundQueueTest, IsNotIdleBeforeTheFirstPop) {
  EXPECT_FALSE(queue_->WaitUntilIdle(SteadyClock().Now() + milliseconds(1)));
  EXPECT_FALSE(queue_->WaitUntilIdle(SteadyClock().Now() - seconds(1)));
}

TEST_F(InboundQueueTest, IsNotIdleWhileAnEventIsDealtWith) {
  queue_->Push(Message("a"));
  queue_->Pop();
  EXPECT_FALSE(queue_->WaitUntilIdle(SteadyClock().Now() + milliseconds(1)));
  queue_->Close();
  EXPECT_FALSE(queue_->WaitUntilIdle(SteadyClock().Now() + milliseconds(1)));
}

TEST_F(InboundQueueTest, IsIdlePastTheEnd) {
  queue_->Close();
  queue_->Pop();
  EXPECT_TRUE(queue_->WaitUntilIdle(SteadyClock().Now() - seconds(1)));
}

// The one who waits until idle must be woken by the Pop(), with the queue open
// or closed: it would otherwise sleep until its deadline.
TEST_F(InboundQueueTest, WaitUntilIdleIsWokenByPop) {
  for (const bool close : {false, true}) {
    SCOPED_TRACE(close);
    Make(100);
    queue_->Push(Message("a"));
    queue_->Pop();
    std::promise<void> end_route;
    std::thread script([&] {
      end_route.get_future().wait();
      while (queue_->Pop().has_value()) {
      }
    });
    if (close) queue_->Close();
    std::future<bool> idle = std::async(std::launch::async, [&] {
      return queue_->WaitUntilIdle(SteadyClock().Now() + std::chrono::hours(1));
    });
    end_route.set_value();
    EXPECT_EQ(idle.wait_for(kDeadline), std::future_status::ready);
    queue_->Close();
    script.join();
    EXPECT_TRUE(idle.get());
  }
}

// Producers and the script thread at once: each producer's messages arrive in
// its order, and every message is either popped or counted as dropped.
TEST_F(InboundQueueTest, LosesNothingBetweenThreads) {
  constexpr int kProducers = 3;
  constexpr int kMessages = 5000;
  Make(64);
  std::vector<std::thread> producers;
  for (int producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([this, producer] {
      for (int i = 0; i < kMessages; ++i) {
        InboundMessage message =
            Message(absl::StrCat(producer), static_cast<Qos>(producer));
        message.payload = absl::StrCat(i);
        queue_->Push(std::move(message));
      }
    });
  }
  std::vector<int> last(kProducers, -1);
  int64_t popped = 0;
  std::thread script([&] {
    while (absl::optional<ScriptEvent> event = queue_->Pop()) {
      const auto& message = std::get<InboundMessage>(*event);
      const int number = std::stoi(message.payload);
      int& before = last[static_cast<size_t>(std::stoi(message.topic))];
      EXPECT_GT(number, before);
      before = number;
      ++popped;
    }
  });
  for (std::thread& producer : producers) producer.join();
  queue_->Close();
  script.join();
  EXPECT_EQ(popped + statistics_.inbound_dropped.Total(),
            kProducers * kMessages);
  EXPECT_EQ(statistics_.inbound_queued.Get(), 0);
}

// Against a plain list, with random pushes and pops.
TEST_F(InboundQueueTest, AgreesWithAModel) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    constexpr size_t kMaxMessages = 8;
    constexpr size_t kMaxBytes = 200;
    Statistics statistics;
    InboundQueue queue({kMaxMessages, kMaxBytes}, &statistics);

    struct Entry {
      std::string topic;
      absl::optional<Qos> qos;  // of a message
      size_t size;
    };
    std::vector<Entry> model;
    const auto messages = [&] {
      return std::count_if(model.begin(), model.end(),
                           [](const Entry& e) { return e.qos.has_value(); });
    };
    const auto fits = [&](size_t size, bool without_qos0) {
      size_t bytes = size;
      size_t count = 1;
      for (const Entry& entry : model) {
        if (!entry.qos || (without_qos0 && *entry.qos == kQos0)) continue;
        bytes += entry.size;
        ++count;
      }
      return count <= kMaxMessages && bytes <= kMaxBytes;
    };
    size_t dropped = 0;

    for (int step = 0; step < 5000; ++step) {
      const uint32_t choice = random() % 10;
      if (choice < 4 && !model.empty()) {
        EXPECT_EQ(Describe(*queue.Pop()), model.front().topic);
        model.erase(model.begin());
      } else if (choice == 4) {
        const std::string reason = absl::StrCat(step);
        EXPECT_EQ(queue.Push(DisconnectedEvent{reason}), 0u);
        model.push_back({"-" + reason, absl::nullopt, 0});
      } else {
        const Qos qos = static_cast<Qos>(random() % 3);
        const std::string topic = absl::StrCat(step);
        const std::string payload(random() % 60, 'x');
        const size_t size = topic.size() + payload.size();
        size_t expected = 0;
        if (!fits(size, qos != kQos0)) {
          expected = 1;
        } else {
          for (; !fits(size, false); ++expected) {
            model.erase(
                std::find_if(model.begin(), model.end(),
                             [](const Entry& e) { return e.qos == kQos0; }));
          }
          model.push_back({topic, qos, size});
        }
        dropped += expected;
        EXPECT_EQ(queue.Push(Message(topic, qos, payload)), expected);
      }
      ASSERT_EQ(statistics.inbound_queued.Get(), messages());
      ASSERT_EQ(statistics.inbound_dropped.Total(), int64_t(dropped));
    }
  }
}

}  // namespace
}  // namespace kamailio_mqtt
