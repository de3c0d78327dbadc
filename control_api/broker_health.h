// SPDX-License-Identifier: GPL-3.0-or-later

// Follows whether there is a connection to the broker.
//
// Thread safety: the report is made on Control's network thread. Detach() may
// be called by any other.
#ifndef CONTROL_API_BROKER_HEALTH_H_
#define CONTROL_API_BROKER_HEALTH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "mqtt_core/control.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class BrokerHealth final : public Control::Watcher {
 public:
  // Must not block.
  using Report = std::function<void(bool connected)>;

  // Reports the state, and from then on its changes. Control may keep the
  // result for longer than whoever made it.
  static std::shared_ptr<BrokerHealth> Watch(Control* control, Report report);

  explicit BrokerHealth(Report report) : report_(std::move(report)) {}

  // After that, nothing is reported.
  void Detach();

  void OnSynced(const ConnectionStatus& connection,
                std::vector<Subscription> subscriptions) override;
  void OnConnected() override { Tell(true); }
  void OnDisconnected(const ConnectionStatus&) override { Tell(false); }
  void OnSubscriptionChanged(const Subscription&, bool) override {}
  void OnMessage(const InboundMessage&) override {}
  void OnPublish(uint64_t, const Message&, PublishOutcome) override {}

 private:
  void Tell(bool connected);

  Mutex mutex_;
  Report report_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_BROKER_HEALTH_H_
