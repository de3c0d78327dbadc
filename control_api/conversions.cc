// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/conversions.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "control_api/page_token.h"

namespace kamailio_mqtt {
namespace {

// Clients take messages of up to 4 MiB, unless told otherwise. This many bytes
// in lists leave room for all else, the cost of encoding included.
constexpr size_t kMaxListBytes = size_t{2} << 20;

v1::ConnectionState ToProto(ConnectionState state) {
  switch (state) {
    case ConnectionState::kConnecting:
      return v1::CONNECTION_STATE_CONNECTING;
    case ConnectionState::kConnected:
      return v1::CONNECTION_STATE_CONNECTED;
    case ConnectionState::kWaiting:
      return v1::CONNECTION_STATE_WAITING;
    case ConnectionState::kStopped:
      return v1::CONNECTION_STATE_STOPPED;
  }
  return v1::CONNECTION_STATE_UNSPECIFIED;
}

v1::SubscriptionState ToProto(SubscriptionState state) {
  switch (state) {
    case SubscriptionState::kPending:
      return v1::SUBSCRIPTION_STATE_PENDING;
    case SubscriptionState::kActive:
      return v1::SUBSCRIPTION_STATE_ACTIVE;
    case SubscriptionState::kRefused:
      return v1::SUBSCRIPTION_STATE_REFUSED;
  }
  return v1::SUBSCRIPTION_STATE_UNSPECIFIED;
}

v1::SubscriptionOrigin ToProto(SubscriptionOrigin origin) {
  switch (origin) {
    case SubscriptionOrigin::kScript:
      return v1::SUBSCRIPTION_ORIGIN_SCRIPT;
    case SubscriptionOrigin::kControl:
      return v1::SUBSCRIPTION_ORIGIN_CONTROL;
  }
  return v1::SUBSCRIPTION_ORIGIN_UNSPECIFIED;
}

v1::MessageOrigin ToProto(Origin origin) {
  switch (origin) {
    case Origin::kBroker:
      return v1::MESSAGE_ORIGIN_BROKER;
    case Origin::kInjected:
      return v1::MESSAGE_ORIGIN_INJECTED;
  }
  return v1::MESSAGE_ORIGIN_UNSPECIFIED;
}

v1::RouteResult ToProto(RunStatus status) {
  switch (status) {
    case RunStatus::kNoRoute:
      return v1::ROUTE_RESULT_NO_ROUTE;
    case RunStatus::kDone:
      return v1::ROUTE_RESULT_DONE;
    case RunStatus::kFailed:
      return v1::ROUTE_RESULT_FAILED;
  }
  return v1::ROUTE_RESULT_UNSPECIFIED;
}

// The messages for both directions have these fields in common.
template <typename CoreMessage, typename ProtoMessage>
void FillMessage(const CoreMessage& message, size_t payload_size,
                 ProtoMessage* proto) {
  proto->set_topic(message.topic);
  proto->set_payload(message.payload);
  proto->set_payload_size(payload_size);
  proto->set_qos(static_cast<uint32_t>(message.qos));
  proto->set_retain(message.retain);
}

// Sets the member of the oneof for each kind of event.
class EventFiller {
 public:
  EventFiller(const ClockReading& now, v1::WatchEventsResponse* response)
      : now_(now), response_(response) {}

  void operator()(const Event::Connected&) const {
    response_->mutable_connected();
  }
  void operator()(const Event::Disconnected& event) const {
    v1::Disconnected* const proto = response_->mutable_disconnected();
    proto->set_reason(event.reason);
    if (event.next_attempt.has_value()) {
      *proto->mutable_next_attempt_time() =
          ToTimestamp(*event.next_attempt, now_);
    }
  }
  void operator()(const Event::SubscriptionChanged& event) const {
    v1::SubscriptionChanged* const proto =
        response_->mutable_subscription_changed();
    *proto->mutable_subscription() =
        kamailio_mqtt::ToProto(event.subscription, now_);
    proto->set_removed(event.removed);
  }
  void operator()(const Event::MessageReceived& event) const {
    v1::MessageReceived* const proto = response_->mutable_message_received();
    FillMessage(event.message, event.payload_size, proto);
    proto->set_origin(ToProto(event.message.origin));
  }
  void operator()(const Event::Published& event) const {
    v1::PublishEvent* const proto = response_->mutable_publish();
    proto->set_publish_id(event.publish_id);
    FillMessage(event.message, event.payload_size, proto);
    proto->set_outcome(kamailio_mqtt::ToProto(event.outcome));
  }
  void operator()(const Event::Synced&) const { response_->mutable_synced(); }
  void operator()(const Event::Lost& event) const {
    response_->mutable_lost()->set_count(event.count);
  }

 private:
  const ClockReading& now_;
  v1::WatchEventsResponse* const response_;
};

}  // namespace

v1::Connection ToProto(const ConnectionStatus& status,
                       const ClockReading& now) {
  v1::Connection proto;
  proto.set_state(ToProto(status.state));
  *proto.mutable_state_time() = ToTimestamp(status.since, now);
  proto.set_broker(status.broker);
  proto.set_client_id(status.client_id);
  proto.set_failed_attempts(status.failed_attempts);
  if (status.last_disconnect_reason.has_value()) {
    proto.set_last_disconnect_reason(*status.last_disconnect_reason);
  }
  if (status.last_disconnect.has_value()) {
    *proto.mutable_last_disconnect_time() =
        ToTimestamp(*status.last_disconnect, now);
  }
  if (status.next_attempt.has_value()) {
    *proto.mutable_next_attempt_time() = ToTimestamp(*status.next_attempt, now);
  }
  return proto;
}

v1::Queue ToProto(const QueueStatus& status) {
  v1::Queue proto;
  proto.set_messages(status.messages);
  proto.set_max_messages(status.max_messages);
  proto.set_bytes(status.bytes);
  proto.set_max_bytes(status.max_bytes);
  return proto;
}

v1::Subscription ToProto(const Subscription& subscription,
                         const ClockReading& now) {
  v1::Subscription proto;
  proto.set_topic_filter(subscription.filter);
  proto.set_requested_qos(static_cast<uint32_t>(subscription.requested_qos));
  if (subscription.granted_qos.has_value()) {
    proto.set_granted_qos(static_cast<uint32_t>(*subscription.granted_qos));
  }
  proto.set_state(ToProto(subscription.state));
  if (subscription.state == SubscriptionState::kRefused) {
    proto.set_refusal_reason(subscription.refusal_reason);
  }
  proto.set_origin(ToProto(subscription.origin));
  proto.set_messages_received(subscription.messages);
  proto.set_payload_bytes_received(subscription.bytes);
  if (subscription.last_message.has_value()) {
    *proto.mutable_last_message_time() =
        ToTimestamp(*subscription.last_message, now);
  }
  return proto;
}

v1::PublishOutcome ToProto(PublishOutcome outcome) {
  switch (outcome) {
    case PublishOutcome::kAccepted:
      return v1::PUBLISH_OUTCOME_ACCEPTED;
    case PublishOutcome::kWritten:
      return v1::PUBLISH_OUTCOME_WRITTEN;
    case PublishOutcome::kAcknowledged:
      return v1::PUBLISH_OUTCOME_ACKNOWLEDGED;
    case PublishOutcome::kDroppedExpired:
      return v1::PUBLISH_OUTCOME_DROPPED_EXPIRED;
    case PublishOutcome::kDroppedOldest:
      return v1::PUBLISH_OUTCOME_DROPPED_OLDEST;
    case PublishOutcome::kDroppedInvalid:
      return v1::PUBLISH_OUTCOME_DROPPED_INVALID;
    case PublishOutcome::kDroppedRefused:
      return v1::PUBLISH_OUTCOME_DROPPED_REFUSED;
    case PublishOutcome::kDroppedShutdown:
      return v1::PUBLISH_OUTCOME_DROPPED_SHUTDOWN;
    case PublishOutcome::kWithdrawn:
      return v1::PUBLISH_OUTCOME_WITHDRAWN;
  }
  return v1::PUBLISH_OUTCOME_UNSPECIFIED;
}

v1::GetStatusResponse ToProto(const DispatcherStatus& status,
                              const ClockReading& now) {
  v1::GetStatusResponse proto;
  *proto.mutable_start_time() = ToTimestamp(status.started, now);
  *proto.mutable_connection() = ToProto(status.connection, now);
  *proto.mutable_publish_queue() = ToProto(status.publish_queue);
  *proto.mutable_inbound_queue() = ToProto(status.inbound_queue);
  proto.set_subscription_count(status.subscriptions);
  return proto;
}

v1::ListSubscriptionsResponse ToProto(const SubscriptionPage& page,
                                      const ClockReading& now) {
  return ToProto(page, now, kMaxListBytes);
}

v1::ListSubscriptionsResponse ToProto(const SubscriptionPage& page,
                                      const ClockReading& now,
                                      size_t max_bytes) {
  v1::ListSubscriptionsResponse proto;
  size_t bytes = 0;
  uint64_t last_id = 0;
  for (const Subscription& subscription : page.subscriptions) {
    v1::Subscription listed = ToProto(subscription, now);
    bytes += listed.ByteSizeLong();
    if (bytes > max_bytes && last_id != 0) break;
    *proto.add_subscriptions() = std::move(listed);
    last_id = subscription.id;
  }
  const bool cut = static_cast<size_t>(proto.subscriptions_size()) <
                   page.subscriptions.size();
  if (cut || page.more) proto.set_next_page_token(EncodePageToken(last_id));
  return proto;
}

v1::InjectMessageResponse ToProto(const InjectResult& result) {
  v1::InjectMessageResponse proto;
  proto.set_result(ToProto(result.status));
  *proto.mutable_run_time() = ToProto(result.run_time);
  proto.set_matching_subscription_count(result.matching_filters.size());
  size_t bytes = 0;
  for (const std::string& filter : result.matching_filters) {
    // At most 5 bytes encode tag and size.
    bytes += filter.size() + 5;
    if (bytes > kMaxListBytes) break;
    proto.add_matching_topic_filters(filter);
  }
  return proto;
}

v1::WatchEventsResponse ToProto(const Event& event, const ClockReading& now) {
  v1::WatchEventsResponse proto;
  *proto.mutable_time() = ToTimestamp(event.time, now);
  std::visit(EventFiller(now, &proto), event.what);
  return proto;
}

}  // namespace kamailio_mqtt
