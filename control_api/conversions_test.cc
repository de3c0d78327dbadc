// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/conversions.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control_api/page_token.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::seconds;

// Now, both clocks show 1,000 s, so that points in time keep their seconds.
const ClockReading kNow = {
    TimePoint(seconds(1000)),
    std::chrono::system_clock::time_point(seconds(1000))};

TEST(ConversionsTest, Connection) {
  ConnectionStatus status;
  status.state = ConnectionState::kWaiting;
  status.since = TimePoint(seconds(900));
  status.broker = "b:1883";
  status.client_id = "c";
  status.failed_attempts = 3;
  v1::Connection proto = ToProto(status, kNow);
  EXPECT_EQ(proto.state(), v1::CONNECTION_STATE_WAITING);
  EXPECT_EQ(proto.state_time().seconds(), 900);
  EXPECT_EQ(proto.broker(), "b:1883");
  EXPECT_EQ(proto.client_id(), "c");
  EXPECT_EQ(proto.failed_attempts(), 3);
  EXPECT_FALSE(proto.has_last_disconnect_reason());
  EXPECT_FALSE(proto.has_last_disconnect_time());
  EXPECT_FALSE(proto.has_next_attempt_time());

  status.last_disconnect_reason = "refused";
  status.last_disconnect = TimePoint(seconds(901));
  status.next_attempt = TimePoint(seconds(1002));
  proto = ToProto(status, kNow);
  EXPECT_EQ(proto.last_disconnect_reason(), "refused");
  EXPECT_EQ(proto.last_disconnect_time().seconds(), 901);
  EXPECT_EQ(proto.next_attempt_time().seconds(), 1002);

  status.state = ConnectionState::kConnecting;
  EXPECT_EQ(ToProto(status, kNow).state(), v1::CONNECTION_STATE_CONNECTING);
  status.state = ConnectionState::kConnected;
  EXPECT_EQ(ToProto(status, kNow).state(), v1::CONNECTION_STATE_CONNECTED);
  status.state = ConnectionState::kStopped;
  EXPECT_EQ(ToProto(status, kNow).state(), v1::CONNECTION_STATE_STOPPED);
}

TEST(ConversionsTest, Status) {
  DispatcherStatus status;
  status.started = TimePoint(seconds(5));
  status.connection.broker = "b:1883";
  status.publish_queue = {1, 2, 3, 4};
  status.inbound_queue = {5, 6, 7, 8};
  status.subscriptions = 9;
  const v1::GetStatusResponse proto = ToProto(status, kNow);
  EXPECT_EQ(proto.start_time().seconds(), 5);
  EXPECT_EQ(proto.connection().broker(), "b:1883");
  EXPECT_EQ(proto.publish_queue().messages(), 1);
  EXPECT_EQ(proto.publish_queue().max_messages(), 2);
  EXPECT_EQ(proto.publish_queue().bytes(), 3);
  EXPECT_EQ(proto.publish_queue().max_bytes(), 4);
  EXPECT_EQ(proto.inbound_queue().messages(), 5);
  EXPECT_EQ(proto.inbound_queue().max_messages(), 6);
  EXPECT_EQ(proto.inbound_queue().bytes(), 7);
  EXPECT_EQ(proto.inbound_queue().max_bytes(), 8);
  EXPECT_EQ(proto.subscription_count(), 9);
}

TEST(ConversionsTest, Subscription) {
  Subscription subscription;
  subscription.filter = "a/#";
  subscription.requested_qos = Qos::kExactlyOnce;
  subscription.messages = 10;
  subscription.bytes = 20;
  v1::Subscription proto = ToProto(subscription, kNow);
  EXPECT_EQ(proto.topic_filter(), "a/#");
  EXPECT_EQ(proto.requested_qos(), 2);
  EXPECT_EQ(proto.state(), v1::SUBSCRIPTION_STATE_PENDING);
  EXPECT_EQ(proto.origin(), v1::SUBSCRIPTION_ORIGIN_SCRIPT);
  EXPECT_FALSE(proto.has_granted_qos());
  EXPECT_FALSE(proto.has_refusal_reason());
  EXPECT_EQ(proto.messages_received(), 10);
  EXPECT_EQ(proto.payload_bytes_received(), 20);
  EXPECT_FALSE(proto.has_last_message_time());

  subscription.state = SubscriptionState::kActive;
  subscription.granted_qos = Qos::kAtMostOnce;
  subscription.origin = SubscriptionOrigin::kControl;
  subscription.last_message = TimePoint(seconds(999));
  proto = ToProto(subscription, kNow);
  EXPECT_EQ(proto.state(), v1::SUBSCRIPTION_STATE_ACTIVE);
  EXPECT_TRUE(proto.has_granted_qos());
  EXPECT_EQ(proto.granted_qos(), 0);
  EXPECT_EQ(proto.origin(), v1::SUBSCRIPTION_ORIGIN_CONTROL);
  EXPECT_EQ(proto.last_message_time().seconds(), 999);

  subscription.state = SubscriptionState::kRefused;
  subscription.refusal_reason = "not allowed";
  proto = ToProto(subscription, kNow);
  EXPECT_EQ(proto.state(), v1::SUBSCRIPTION_STATE_REFUSED);
  EXPECT_EQ(proto.refusal_reason(), "not allowed");
}

TEST(ConversionsTest, PublishOutcomes) {
  EXPECT_EQ(ToProto(PublishOutcome::kAccepted), v1::PUBLISH_OUTCOME_ACCEPTED);
  EXPECT_EQ(ToProto(PublishOutcome::kWritten), v1::PUBLISH_OUTCOME_WRITTEN);
  EXPECT_EQ(ToProto(PublishOutcome::kAcknowledged),
            v1::PUBLISH_OUTCOME_ACKNOWLEDGED);
  EXPECT_EQ(ToProto(PublishOutcome::kDroppedExpired),
            v1::PUBLISH_OUTCOME_DROPPED_EXPIRED);
  EXPECT_EQ(ToProto(PublishOutcome::kDroppedOldest),
            v1::PUBLISH_OUTCOME_DROPPED_OLDEST);
  EXPECT_EQ(ToProto(PublishOutcome::kDroppedInvalid),
            v1::PUBLISH_OUTCOME_DROPPED_INVALID);
  EXPECT_EQ(ToProto(PublishOutcome::kDroppedRefused),
            v1::PUBLISH_OUTCOME_DROPPED_REFUSED);
  EXPECT_EQ(ToProto(PublishOutcome::kDroppedShutdown),
            v1::PUBLISH_OUTCOME_DROPPED_SHUTDOWN);
  EXPECT_EQ(ToProto(PublishOutcome::kWithdrawn), v1::PUBLISH_OUTCOME_WITHDRAWN);
}

TEST(ConversionsTest, RouteResults) {
  EXPECT_EQ(ToProto(InjectResult{RunStatus::kNoRoute, {}, {}}).result(),
            v1::ROUTE_RESULT_NO_ROUTE);
  EXPECT_EQ(ToProto(InjectResult{RunStatus::kDone, {}, {}}).result(),
            v1::ROUTE_RESULT_DONE);
  EXPECT_EQ(ToProto(InjectResult{RunStatus::kFailed, {}, {}}).result(),
            v1::ROUTE_RESULT_FAILED);
}

// `count` subscriptions of `filter_bytes` each, with the ids from 1.
SubscriptionPage MakePage(size_t count, size_t filter_bytes) {
  SubscriptionPage page;
  for (size_t i = 1; i <= count; ++i) {
    Subscription subscription;
    subscription.id = i;
    subscription.filter = std::string(filter_bytes, 'x');
    page.subscriptions.push_back(subscription);
  }
  return page;
}

TEST(ConversionsTest, ThePageTokenIsThatOfTheLastSubscription) {
  SubscriptionPage page = MakePage(3, 10);
  EXPECT_EQ(ToProto(page, kNow).next_page_token(), "");
  page.more = true;
  EXPECT_EQ(ToProto(page, kNow).next_page_token(), EncodePageToken(3));
  EXPECT_EQ(ToProto(SubscriptionPage(), kNow).next_page_token(), "");
}

TEST(ConversionsTest, PagesAndListsFitTheMessageSizeOfClients) {
  constexpr size_t kClientLimit = size_t{4} << 20;
  const SubscriptionPage page = MakePage(1000, 65535);
  const v1::ListSubscriptionsResponse list = ToProto(page, kNow);
  EXPECT_LT(list.ByteSizeLong(), kClientLimit);
  EXPECT_GT(list.subscriptions_size(), 10);
  EXPECT_EQ(list.next_page_token(), EncodePageToken(list.subscriptions_size()));

  InjectResult result;
  result.matching_filters =
      std::vector<std::string>(1000, std::string(65535, 'x'));
  const v1::InjectMessageResponse injected = ToProto(result);
  EXPECT_LT(injected.ByteSizeLong(), kClientLimit);
  EXPECT_GT(injected.matching_topic_filters_size(), 10);
  EXPECT_EQ(injected.matching_subscription_count(), 1000);
}

TEST(ConversionsTest, EventsHaveTheirTime) {
  const v1::WatchEventsResponse lost =
      ToProto(Event{TimePoint(seconds(3)), Event::Lost{7}}, kNow);
  EXPECT_EQ(lost.time().seconds(), 3);
  EXPECT_EQ(lost.lost().count(), 7);

  const v1::WatchEventsResponse disconnected =
      ToProto(Event{TimePoint(seconds(4)),
                    Event::Disconnected{"why", TimePoint(seconds(1001))}},
              kNow);
  EXPECT_EQ(disconnected.disconnected().reason(), "why");
  EXPECT_EQ(disconnected.disconnected().next_attempt_time().seconds(), 1001);

  EXPECT_TRUE(ToProto(Event{TimePoint(seconds(5)), Event::Synced{}}, kNow)
                  .has_synced());
}

}  // namespace
}  // namespace kamailio_mqtt
