// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/broker_health.h"

#include <utility>

namespace kamailio_mqtt {

std::shared_ptr<BrokerHealth> BrokerHealth::Watch(Control* control,
                                                  Report report) {
  auto health = std::make_shared<BrokerHealth>(std::move(report));
  Control::Interest interest;
  interest.subscriptions = false;
  interest.messages = false;
  interest.publishes = false;
  control->Watch(health, interest);
  return health;
}

void BrokerHealth::Detach() {
  MutexLock lock(&mutex_);
  report_ = nullptr;
}

void BrokerHealth::OnSynced(const ConnectionStatus& connection,
                            std::vector<Subscription>) {
  Tell(connection.state == ConnectionState::kConnected);
}

void BrokerHealth::Tell(bool connected) {
  MutexLock lock(&mutex_);
  if (report_ != nullptr) report_(connected);
}

}  // namespace kamailio_mqtt
