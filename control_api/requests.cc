// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/requests.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control_api/page_token.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

absl::Status Broken(absl::string_view field, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", rule));
}

// Puts the name of the field in front of what `status` says about its value.
absl::Status OfField(absl::string_view field, const absl::Status& status) {
  return status.ok() ? status : Broken(field, status.message());
}

absl::Status CheckTopicName(absl::string_view topic) {
  return OfField("topic", ValidateTopicName(topic));
}

absl::Status CheckTopicFilter(absl::string_view filter) {
  return OfField("topic_filter", ValidateTopicFilter(filter));
}

absl::Status CheckQos(uint32_t qos) {
  if (qos <= 2) return absl::OkStatus();
  return Broken("qos", absl::StrCat(qos, " must be 0, 1 or 2"));
}

// Of a message that is to be published or injected.
template <typename Request>
absl::Status CheckMessage(const Request& request) {
  absl::Status status = CheckTopicName(request.topic());
  status.Update(CheckQos(request.qos()));
  return status;
}

absl::Status AddKind(int index, int kind, Control::Interest* interest) {
  switch (kind) {
    case v1::EVENT_KIND_CONNECTION:
      interest->connection = true;
      return absl::OkStatus();
    case v1::EVENT_KIND_SUBSCRIPTION:
      interest->subscriptions = true;
      return absl::OkStatus();
    case v1::EVENT_KIND_MESSAGE:
      interest->messages = true;
      return absl::OkStatus();
    case v1::EVENT_KIND_PUBLISH:
      interest->publishes = true;
      return absl::OkStatus();
  }
  return Broken(absl::StrCat("kinds[", index, "]"),
                absl::StrCat(kind, " is not a kind of event"));
}

}  // namespace

absl::StatusOr<SubscriptionQuery> Parse(
    const v1::ListSubscriptionsRequest& request) {
  SubscriptionQuery query;
  if (request.page_size() != 0) {
    query.limit = std::min<size_t>(request.page_size(), kMaxPageSize);
  }
  if (!request.page_token().empty()) {
    const absl::StatusOr<uint64_t> after =
        DecodePageToken(request.page_token());
    if (!after.ok()) return OfField("page_token", after.status());
    query.after = *after;
  }
  if (!request.topic().empty()) {
    if (absl::Status status = CheckTopicName(request.topic()); !status.ok()) {
      return status;
    }
    query.topic = request.topic();
  }
  return query;
}

absl::StatusOr<WantedSubscription> Parse(const v1::SubscribeRequest& request) {
  absl::Status status = CheckTopicFilter(request.topic_filter());
  status.Update(CheckQos(request.qos()));
  if (!status.ok()) return status;
  return WantedSubscription{request.topic_filter(),
                            static_cast<Qos>(request.qos())};
}

absl::StatusOr<std::string> Parse(const v1::UnsubscribeRequest& request) {
  if (absl::Status status = CheckTopicFilter(request.topic_filter());
      !status.ok()) {
    return status;
  }
  return request.topic_filter();
}

absl::StatusOr<Message> Parse(const v1::PublishRequest& request) {
  if (absl::Status status = CheckMessage(request); !status.ok()) return status;
  return Message{request.topic(), request.payload(),
                 static_cast<Qos>(request.qos()), request.retain()};
}

absl::StatusOr<InboundMessage> Parse(const v1::InjectMessageRequest& request) {
  if (absl::Status status = CheckMessage(request); !status.ok()) return status;
  InboundMessage message;
  message.topic = request.topic();
  message.payload = request.payload();
  message.qos = static_cast<Qos>(request.qos());
  message.retain = request.retain();
  message.origin = Origin::kInjected;
  return message;
}

absl::StatusOr<ReconnectMode> Parse(const v1::ReconnectRequest& request) {
  switch (request.mode()) {
    case v1::RECONNECT_MODE_UNSPECIFIED:
    case v1::RECONNECT_MODE_GRACEFUL:
      return ReconnectMode::kGraceful;
    case v1::RECONNECT_MODE_ABRUPT:
      return ReconnectMode::kAbrupt;
    default:
      return Broken("mode", absl::StrCat(request.mode(),
                                         " is not a mode of reconnecting"));
  }
}

absl::StatusOr<EventSelection> Parse(const v1::WatchEventsRequest& request) {
  EventSelection selection;
  if (!request.kinds().empty()) {
    selection.interest = {false, false, false, false, false};
  }
  for (int i = 0; i < request.kinds_size(); ++i) {
    if (absl::Status status = AddKind(i, request.kinds(i), &selection.interest);
        !status.ok()) {
      return status;
    }
  }
  if (!request.topic_filter().empty()) {
    if (absl::Status status = CheckTopicFilter(request.topic_filter());
        !status.ok()) {
      return status;
    }
    selection.topic_filter = request.topic_filter();
  }
  selection.snapshot = request.snapshot();
  selection.interest.subscription_snapshot =
      selection.snapshot && selection.interest.subscriptions;
  selection.max_payload_bytes =
      std::min<size_t>(request.max_payload_bytes(), kMaxEventPayloadBytes);
  return selection;
}

}  // namespace kamailio_mqtt
