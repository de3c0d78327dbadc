// SPDX-License-Identifier: GPL-3.0-or-later

// An observer of a session for those who look elsewhere.
#ifndef MQTT_CORE_TESTING_NULL_SESSION_OBSERVER_H_
#define MQTT_CORE_TESTING_NULL_SESSION_OBSERVER_H_

#include <cstdint>
#include <string>

#include "mqtt_core/session.h"

namespace kamailio_mqtt {

class NullSessionObserver final : public Session::Observer {
 public:
  void OnConnected() override {}
  void OnDisconnected(const std::string&) override {}
  void OnMessage(InboundMessage) override {}
  void OnSubscriptionChanged(const Subscription&, bool) override {}
  void OnUnsubscribed(const std::string&) override {}
  void OnPublish(uint64_t, const Message&, PublishOutcome) override {}
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_NULL_SESSION_OBSERVER_H_
