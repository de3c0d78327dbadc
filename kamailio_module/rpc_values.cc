// SPDX-License-Identifier: GPL-3.0-or-later

#include "kamailio_module/rpc_values.h"

#include <google/protobuf/timestamp.pb.h>

#include <cstddef>

#include "absl/strings/string_view.h"

namespace kamailio_mqtt {
namespace {

namespace v1 = ::kamailio::mqtt::v1;

constexpr long kUnknown = -1;

mqtt_bytes ToBytes(absl::string_view text) {
  return {text.data(), text.size()};
}

absl::string_view Name(v1::ConnectionState state) {
  switch (state) {
    case v1::CONNECTION_STATE_CONNECTING:
      return "connecting";
    case v1::CONNECTION_STATE_CONNECTED:
      return "connected";
    case v1::CONNECTION_STATE_WAITING:
      return "waiting";
    case v1::CONNECTION_STATE_STOPPED:
      return "stopped";
    default:
      return "unknown";
  }
}

absl::string_view Name(v1::SubscriptionState state) {
  switch (state) {
    case v1::SUBSCRIPTION_STATE_PENDING:
      return "pending";
    case v1::SUBSCRIPTION_STATE_ACTIVE:
      return "active";
    case v1::SUBSCRIPTION_STATE_REFUSED:
      return "refused";
    default:
      return "unknown";
  }
}

absl::string_view Name(v1::SubscriptionOrigin origin) {
  switch (origin) {
    case v1::SUBSCRIPTION_ORIGIN_SCRIPT:
      return "script";
    case v1::SUBSCRIPTION_ORIGIN_CONTROL:
      return "control";
    default:
      return "unknown";
  }
}

// From `time` until `now`. The clocks of two processes may differ by a little.
long SecondsSince(const google::protobuf::Timestamp& time, WallTime now) {
  const auto until = std::chrono::system_clock::to_time_t(now);
  return until > time.seconds() ? until - time.seconds() : 0;
}

long SecondsUntil(const google::protobuf::Timestamp& time, WallTime now) {
  const auto from = std::chrono::system_clock::to_time_t(now);
  return time.seconds() > from ? time.seconds() - from : 0;
}

mqtt_queue_status ToBridge(const v1::Queue& queue) {
  return {static_cast<long>(queue.messages()),
          static_cast<long>(queue.max_messages()),
          static_cast<long>(queue.bytes()),
          static_cast<long>(queue.max_bytes())};
}

int FaultCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    default:
      return 500;
  }
}

}  // namespace

mqtt_status ToBridge(const v1::GetStatusResponse& status, WallTime now) {
  const v1::Connection& connection = status.connection();
  mqtt_status to = {};
  to.state = ToBytes(Name(connection.state()));
  to.state_seconds = SecondsSince(connection.state_time(), now);
  to.broker = ToBytes(connection.broker());
  to.client_id = ToBytes(connection.client_id());
  to.failed_attempts = static_cast<long>(connection.failed_attempts());
  to.disconnect_seconds = kUnknown;
  to.next_attempt_seconds = kUnknown;
  if (connection.has_last_disconnect_reason()) {
    to.disconnect_reason = ToBytes(connection.last_disconnect_reason());
  }
  if (connection.has_last_disconnect_time()) {
    to.disconnect_seconds =
        SecondsSince(connection.last_disconnect_time(), now);
  }
  if (connection.has_next_attempt_time()) {
    to.next_attempt_seconds = SecondsUntil(connection.next_attempt_time(), now);
  }
  to.uptime = SecondsSince(status.start_time(), now);
  to.subscriptions = static_cast<long>(status.subscription_count());
  to.publish_queue = ToBridge(status.publish_queue());
  to.inbound_queue = ToBridge(status.inbound_queue());
  return to;
}

mqtt_subscription ToBridge(const v1::Subscription& subscription, WallTime now) {
  mqtt_subscription to = {};
  to.topic_filter = ToBytes(subscription.topic_filter());
  to.state = ToBytes(Name(subscription.state()));
  to.requested_qos = static_cast<int>(subscription.requested_qos());
  to.granted_qos = subscription.has_granted_qos()
                       ? static_cast<int>(subscription.granted_qos())
                       : -1;
  if (subscription.has_refusal_reason()) {
    to.refusal_reason = ToBytes(subscription.refusal_reason());
  }
  to.origin = ToBytes(Name(subscription.origin()));
  to.messages_received = static_cast<long>(subscription.messages_received());
  to.payload_bytes_received =
      static_cast<long>(subscription.payload_bytes_received());
  to.last_message_seconds =
      subscription.has_last_message_time()
          ? SecondsSince(subscription.last_message_time(), now)
          : kUnknown;
  return to;
}

mqtt_fault ToFault(const absl::Status& status) {
  mqtt_fault fault = {FaultCode(status.code()), ""};
  const size_t length =
      status.message().copy(fault.text, sizeof(fault.text) - 1);
  fault.text[length] = '\0';
  return fault;
}

}  // namespace kamailio_mqtt
