// SPDX-License-Identifier: GPL-3.0-or-later

#include "kamailio_module/rpc_values.h"

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

namespace v1 = ::kamailio::mqtt::v1;

constexpr WallTime kNow{std::chrono::seconds(1000)};

absl::string_view Text(mqtt_bytes bytes) { return {bytes.data, bytes.size}; }

TEST(RpcValuesTest, StatusWhileConnected) {
  v1::GetStatusResponse status;
  status.mutable_start_time()->set_seconds(100);
  v1::Connection* const connection = status.mutable_connection();
  connection->set_state(v1::CONNECTION_STATE_CONNECTED);
  connection->mutable_state_time()->set_seconds(990);
  connection->set_broker("b:1883");
  connection->set_client_id("c");
  status.set_subscription_count(3);
  v1::Queue* const queue = status.mutable_publish_queue();
  queue->set_messages(1);
  queue->set_max_messages(2);
  queue->set_bytes(3);
  queue->set_max_bytes(4);
  status.mutable_inbound_queue()->set_messages(5);
  const mqtt_status shown = ToBridge(status, kNow);
  EXPECT_EQ(Text(shown.state), "connected");
  EXPECT_EQ(shown.state_seconds, 10);
  EXPECT_EQ(Text(shown.broker), "b:1883");
  EXPECT_EQ(Text(shown.client_id), "c");
  EXPECT_EQ(shown.uptime, 900);
  EXPECT_EQ(shown.subscriptions, 3);
  EXPECT_EQ(shown.publish_queue.messages, 1);
  EXPECT_EQ(shown.publish_queue.max_messages, 2);
  EXPECT_EQ(shown.publish_queue.bytes, 3);
  EXPECT_EQ(shown.publish_queue.max_bytes, 4);
  EXPECT_EQ(shown.inbound_queue.messages, 5);
  EXPECT_EQ(shown.disconnect_reason.data, nullptr);
  EXPECT_EQ(shown.disconnect_seconds, -1);
  EXPECT_EQ(shown.next_attempt_seconds, -1);
}

TEST(RpcValuesTest, StatusWhileWaiting) {
  v1::GetStatusResponse status;
  v1::Connection* const connection = status.mutable_connection();
  connection->set_state(v1::CONNECTION_STATE_WAITING);
  connection->set_failed_attempts(7);
  connection->set_last_disconnect_reason("refused");
  connection->mutable_last_disconnect_time()->set_seconds(998);
  connection->mutable_next_attempt_time()->set_seconds(1005);
  const mqtt_status shown = ToBridge(status, kNow);
  EXPECT_EQ(Text(shown.state), "waiting");
  EXPECT_EQ(shown.failed_attempts, 7);
  EXPECT_EQ(Text(shown.disconnect_reason), "refused");
  EXPECT_EQ(shown.disconnect_seconds, 2);
  EXPECT_EQ(shown.next_attempt_seconds, 5);
}

// What was true when it was asked may be over by now.
TEST(RpcValuesTest, TimesAreNeverBelowZero) {
  v1::GetStatusResponse status;
  v1::Connection* const connection = status.mutable_connection();
  connection->mutable_state_time()->set_seconds(1001);
  connection->mutable_next_attempt_time()->set_seconds(999);
  const mqtt_status shown = ToBridge(status, kNow);
  EXPECT_EQ(shown.state_seconds, 0);
  EXPECT_EQ(shown.next_attempt_seconds, 0);
}

TEST(RpcValuesTest, ActiveSubscription) {
  v1::Subscription subscription;
  subscription.set_topic_filter("a/#");
  subscription.set_state(v1::SUBSCRIPTION_STATE_ACTIVE);
  subscription.set_requested_qos(2);
  subscription.set_granted_qos(1);
  subscription.set_origin(v1::SUBSCRIPTION_ORIGIN_SCRIPT);
  subscription.set_messages_received(3);
  subscription.set_payload_bytes_received(40);
  subscription.mutable_last_message_time()->set_seconds(994);
  const mqtt_subscription shown = ToBridge(subscription, kNow);
  EXPECT_EQ(Text(shown.topic_filter), "a/#");
  EXPECT_EQ(Text(shown.state), "active");
  EXPECT_EQ(shown.requested_qos, 2);
  EXPECT_EQ(shown.granted_qos, 1);
  EXPECT_EQ(Text(shown.origin), "script");
  EXPECT_EQ(shown.messages_received, 3);
  EXPECT_EQ(shown.payload_bytes_received, 40);
  EXPECT_EQ(shown.last_message_seconds, 6);
  EXPECT_EQ(shown.refusal_reason.data, nullptr);
}

TEST(RpcValuesTest, RefusedSubscription) {
  v1::Subscription subscription;
  subscription.set_state(v1::SUBSCRIPTION_STATE_REFUSED);
  subscription.set_refusal_reason("not allowed");
  subscription.set_origin(v1::SUBSCRIPTION_ORIGIN_CONTROL);
  const mqtt_subscription shown = ToBridge(subscription, kNow);
  EXPECT_EQ(Text(shown.state), "refused");
  EXPECT_EQ(Text(shown.refusal_reason), "not allowed");
  EXPECT_EQ(Text(shown.origin), "control");
  EXPECT_EQ(shown.granted_qos, -1);
  EXPECT_EQ(shown.last_message_seconds, -1);
}

TEST(RpcValuesTest, Faults) {
  EXPECT_EQ(ToFault(absl::InvalidArgumentError("")).code, 400);
  EXPECT_EQ(ToFault(absl::NotFoundError("")).code, 404);
  EXPECT_EQ(ToFault(absl::UnavailableError("")).code, 500);
  EXPECT_EQ(ToFault(absl::DeadlineExceededError("")).code, 500);
  EXPECT_STREQ(ToFault(absl::UnavailableError("not there")).text, "not there");
}

TEST(RpcValuesTest, LongFaultIsCut) {
  const mqtt_fault fault =
      ToFault(absl::UnavailableError(std::string(1000, 'x')));
  EXPECT_EQ(fault.text, std::string(sizeof(fault.text) - 1, 'x'));
}

}  // namespace
}  // namespace kamailio_mqtt
