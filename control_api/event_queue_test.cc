// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/event_queue.h"

#include <chrono>
#include <variant>
#include <vector>

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::seconds;

class EventQueueTest : public ::testing::Test {
 protected:
  void Push(EventQueue& queue, int time, uint64_t publish_id,
            size_t bytes = 0) {
    queue.Push(TimePoint(seconds(time)), bytes, [&] {
      ++made_;
      return Event::Published{publish_id, {}, 0, PublishOutcome::kAccepted};
    });
  }

  // The id of the publish that comes next.
  static uint64_t PopPublish(EventQueue& queue) {
    const absl::optional<Event> event = queue.Pop();
    if (!event.has_value()) return 0;
    const auto* publish = std::get_if<Event::Published>(&event->what);
    return publish == nullptr ? 0 : publish->publish_id;
  }

  int made_ = 0;
};

TEST_F(EventQueueTest, GivesEventsInTheirOrder) {
  EventQueue queue({});
  EXPECT_FALSE(queue.Pop().has_value());
  Push(queue, 1, 10);
  Push(queue, 2, 20);
  EXPECT_EQ(PopPublish(queue), 10);
  EXPECT_EQ(PopPublish(queue), 20);
  EXPECT_FALSE(queue.Pop().has_value());
}

TEST_F(EventQueueTest, TheSnapshotComesFirstAndDoesNotCount) {
  EventQueue queue({1, 10000});
  const TimePoint synced_at(seconds(5));
  queue.Sync(synced_at, Event{synced_at, Event::Connected{}},
             std::vector<Subscription>(3));
  Push(queue, 6, 10);

  absl::optional<Event> event = queue.Pop();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(std::holds_alternative<Event::Connected>(event->what));
  for (int i = 0; i < 3; ++i) {
    event = queue.Pop();
    ASSERT_TRUE(event.has_value());
    EXPECT_TRUE(
        std::holds_alternative<Event::SubscriptionChanged>(event->what));
    EXPECT_EQ(event->time, synced_at);
  }
  event = queue.Pop();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(std::holds_alternative<Event::Synced>(event->what));
  EXPECT_EQ(PopPublish(queue), 10);
  EXPECT_FALSE(queue.Pop().has_value());
}

TEST_F(EventQueueTest, OneLostStandsForAllThatHadNoRoom) {
  EventQueue queue({2, 10000});
  for (int i = 1; i <= 5; ++i) Push(queue, i, i);
  EXPECT_EQ(made_, 2);
  EXPECT_EQ(PopPublish(queue), 1);
  // Still in the same gap.
  Push(queue, 6, 6);
  EXPECT_EQ(PopPublish(queue), 2);

  const absl::optional<Event> event = queue.Pop();
  ASSERT_TRUE(event.has_value());
  ASSERT_TRUE(std::holds_alternative<Event::Lost>(event->what));
  EXPECT_EQ(std::get<Event::Lost>(event->what).count, 4);
  EXPECT_EQ(event->time, TimePoint(seconds(3)));
  EXPECT_FALSE(queue.Pop().has_value());

  Push(queue, 7, 7);
  EXPECT_EQ(PopPublish(queue), 7);
}

TEST_F(EventQueueTest, BytesAreBounded) {
  EventQueue queue({1000, 10000});
  Push(queue, 1, 1, 4000);
  Push(queue, 2, 2, 4000);
  Push(queue, 3, 3, 4000);
  EXPECT_EQ(made_, 2);
  EXPECT_EQ(PopPublish(queue), 1);
  EXPECT_EQ(PopPublish(queue), 2);
  EXPECT_TRUE(queue.Pop().has_value());

  // All room is there again.
  Push(queue, 4, 4, 4000);
  Push(queue, 5, 5, 4000);
  EXPECT_EQ(PopPublish(queue), 4);
  EXPECT_EQ(PopPublish(queue), 5);
}

}  // namespace
}  // namespace kamailio_mqtt
