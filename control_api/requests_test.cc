// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/requests.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control_api/page_token.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using ::testing::StartsWith;

// What is wrong with `request`; empty if nothing is.
template <typename Request>
std::string Complaint(const Request& request) {
  const absl::Status status = Parse(request).status();
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ParseListSubscriptionsTest, AbsentFieldsMeanTheFirstPageOfAll) {
  const auto query = Parse(v1::ListSubscriptionsRequest());
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->after, 0);
  EXPECT_EQ(query->limit, 1000);
  EXPECT_FALSE(query->topic.has_value());
}

TEST(ParseListSubscriptionsTest, Fields) {
  v1::ListSubscriptionsRequest request;
  request.set_page_size(7);
  request.set_page_token(EncodePageToken(42));
  request.set_topic("a/b");
  const auto query = Parse(request);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->after, 42);
  EXPECT_EQ(query->limit, 7);
  EXPECT_EQ(query->topic, "a/b");

  request.set_page_size(1001);
  EXPECT_EQ(Parse(request)->limit, 1000);
  request.set_topic("a/+");
  EXPECT_THAT(Complaint(request), StartsWith("topic: wildcard '+' at byte 2"));
  request.set_page_token("42");
  EXPECT_THAT(Complaint(request), StartsWith("page_token: "));
}

TEST(ParseSubscribeTest, Fields) {
  v1::SubscribeRequest request;
  EXPECT_EQ(Complaint(request), "topic_filter: must not be empty");
  request.set_topic_filter("a/#");
  ASSERT_TRUE(Parse(request).ok());
  EXPECT_EQ(Parse(request)->filter, "a/#");
  EXPECT_EQ(Parse(request)->qos, Qos::kAtMostOnce);
  request.set_qos(2);
  EXPECT_EQ(Parse(request)->qos, Qos::kExactlyOnce);
  request.set_qos(3);
  EXPECT_EQ(Complaint(request), "qos: 3 must be 0, 1 or 2");
  request.set_qos(4294967295);
  EXPECT_EQ(Complaint(request), "qos: 4294967295 must be 0, 1 or 2");
}

TEST(ParseUnsubscribeTest, Fields) {
  v1::UnsubscribeRequest request;
  EXPECT_EQ(Complaint(request), "topic_filter: must not be empty");
  request.set_topic_filter("a/+");
  EXPECT_EQ(Parse(request).value(), "a/+");
}

TEST(ParsePublishTest, Fields) {
  v1::PublishRequest request;
  EXPECT_EQ(Complaint(request), "topic: must not be empty");
  request.set_topic("a");
  request.set_payload("b");
  request.set_qos(1);
  request.set_retain(true);
  const absl::StatusOr<Message> message = Parse(request);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->topic, "a");
  EXPECT_EQ(message->payload, "b");
  EXPECT_EQ(message->qos, Qos::kAtLeastOnce);
  EXPECT_TRUE(message->retain);
  request.set_qos(3);
  EXPECT_THAT(Complaint(request), StartsWith("qos: 3 "));
}

TEST(ParseInjectMessageTest, Fields) {
  v1::InjectMessageRequest request;
  EXPECT_EQ(Complaint(request), "topic: must not be empty");
  request.set_topic("a");
  request.set_payload("b");
  request.set_qos(2);
  request.set_retain(true);
  const absl::StatusOr<InboundMessage> message = Parse(request);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->topic, "a");
  EXPECT_EQ(message->payload, "b");
  EXPECT_EQ(message->qos, Qos::kExactlyOnce);
  EXPECT_TRUE(message->retain);
  EXPECT_FALSE(message->duplicate);
  EXPECT_EQ(message->origin, Origin::kInjected);
  request.set_qos(3);
  EXPECT_THAT(Complaint(request), StartsWith("qos: 3 "));
}

TEST(ParseReconnectTest, Modes) {
  v1::ReconnectRequest request;
  EXPECT_EQ(Parse(request).value(), ReconnectMode::kGraceful);
  request.set_mode(v1::RECONNECT_MODE_GRACEFUL);
  EXPECT_EQ(Parse(request).value(), ReconnectMode::kGraceful);
  request.set_mode(v1::RECONNECT_MODE_ABRUPT);
  EXPECT_EQ(Parse(request).value(), ReconnectMode::kAbrupt);
  request.set_mode(static_cast<v1::ReconnectMode>(-1));
  EXPECT_EQ(Complaint(request), "mode: -1 is not a mode of reconnecting");
}

TEST(ParseWatchEventsTest, AbsentFieldsMeanAllEventsWithoutPayload) {
  const auto selection = Parse(v1::WatchEventsRequest());
  ASSERT_TRUE(selection.ok());
  EXPECT_TRUE(selection->interest.connection);
  EXPECT_TRUE(selection->interest.subscriptions);
  EXPECT_TRUE(selection->interest.messages);
  EXPECT_TRUE(selection->interest.publishes);
  EXPECT_FALSE(selection->interest.subscription_snapshot);
  EXPECT_FALSE(selection->snapshot);
  EXPECT_FALSE(selection->topic_filter.has_value());
  EXPECT_EQ(selection->max_payload_bytes, 0);
}

TEST(ParseWatchEventsTest, Fields) {
  v1::WatchEventsRequest request;
  request.add_kinds(v1::EVENT_KIND_CONNECTION);
  request.add_kinds(v1::EVENT_KIND_MESSAGE);
  request.set_topic_filter("a/#");
  request.set_snapshot(true);
  request.set_max_payload_bytes(100000);
  auto selection = Parse(request);
  ASSERT_TRUE(selection.ok());
  EXPECT_TRUE(selection->interest.connection);
  EXPECT_FALSE(selection->interest.subscriptions);
  EXPECT_TRUE(selection->interest.messages);
  EXPECT_FALSE(selection->interest.publishes);
  EXPECT_FALSE(selection->interest.subscription_snapshot);
  EXPECT_TRUE(selection->snapshot);
  EXPECT_EQ(selection->topic_filter, "a/#");
  EXPECT_EQ(selection->max_payload_bytes, 65536);

  request.add_kinds(v1::EVENT_KIND_SUBSCRIPTION);
  selection = Parse(request);
  ASSERT_TRUE(selection.ok());
  EXPECT_TRUE(selection->interest.subscription_snapshot);

  request.set_topic_filter("#/a");
  EXPECT_THAT(Complaint(request), StartsWith("topic_filter: "));
  request.add_kinds(static_cast<v1::EventKind>(9));
  EXPECT_EQ(Complaint(request), "kinds[3]: 9 is not a kind of event");
}

}  // namespace
}  // namespace kamailio_mqtt
