// SPDX-License-Identifier: GPL-3.0-or-later

// The requests of the control API, checked and as Control takes them.
//
// Thread-safe: free functions without state. Errors are InvalidArgument; their
// text begins with the name of the field and says which rule it breaks.
#ifndef CONTROL_API_REQUESTS_H_
#define CONTROL_API_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "mqtt_core/control.h"
#include "mqtt_core/message.h"

namespace kamailio_mqtt {

namespace v1 = ::kamailio::mqtt::v1;

inline constexpr size_t kMaxPageSize = 1000;
inline constexpr size_t kMaxEventPayloadBytes = 65536;

struct SubscriptionQuery {
  uint64_t after = 0;
  size_t limit = kMaxPageSize;
  absl::optional<std::string> topic;
};

struct WantedSubscription {
  std::string filter;
  Qos qos;
};

// What a stream of events is to show.
struct EventSelection {
  // By kinds. `subscription_snapshot` is set as far as they allow.
  Control::Interest interest;
  bool snapshot = false;
  // Of messages and publishes.
  absl::optional<std::string> topic_filter;
  size_t max_payload_bytes = 0;
};

absl::StatusOr<SubscriptionQuery> Parse(
    const v1::ListSubscriptionsRequest& request);
absl::StatusOr<WantedSubscription> Parse(const v1::SubscribeRequest& request);
// The filter.
absl::StatusOr<std::string> Parse(const v1::UnsubscribeRequest& request);
absl::StatusOr<Message> Parse(const v1::PublishRequest& request);
absl::StatusOr<InboundMessage> Parse(const v1::InjectMessageRequest& request);
absl::StatusOr<ReconnectMode> Parse(const v1::ReconnectRequest& request);
absl::StatusOr<EventSelection> Parse(const v1::WatchEventsRequest& request);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_REQUESTS_H_
