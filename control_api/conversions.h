// SPDX-License-Identifier: GPL-3.0-or-later

// What Control tells, as messages of the control API.
//
// Thread-safe: free functions without state. Points in time are converted with
// `now`, a reading of both clocks.
#ifndef CONTROL_API_CONVERSIONS_H_
#define CONTROL_API_CONVERSIONS_H_

#include <cstddef>

#include "control_api/event.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "control_api/timestamps.h"
#include "mqtt_core/connection_status.h"
#include "mqtt_core/control.h"
#include "mqtt_core/publish_outcome.h"
#include "mqtt_core/subscription_table.h"

namespace kamailio_mqtt {

namespace v1 = ::kamailio::mqtt::v1;

v1::Connection ToProto(const ConnectionStatus& status, const ClockReading& now);
v1::Queue ToProto(const QueueStatus& status);
v1::Subscription ToProto(const Subscription& subscription,
                         const ClockReading& now);
v1::PublishOutcome ToProto(PublishOutcome outcome);

// All that it says, without versions and counters.
v1::GetStatusResponse ToProto(const DispatcherStatus& status,
                              const ClockReading& now);
// As many subscriptions as fit a response of gRPC, or as have `max_bytes`; at
// least one if there is one.
v1::ListSubscriptionsResponse ToProto(const SubscriptionPage& page,
                                      const ClockReading& now);
v1::ListSubscriptionsResponse ToProto(const SubscriptionPage& page,
                                      const ClockReading& now,
                                      size_t max_bytes);
// As many of the filters as fit a response.
v1::InjectMessageResponse ToProto(const InjectResult& result);

v1::WatchEventsResponse ToProto(const Event& event, const ClockReading& now);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONVERSIONS_H_
