// SPDX-License-Identifier: GPL-3.0-or-later

// The dispatcher's side of Control: brings calls to the session, remembers who
// waits for what, and tells watchers what happens.
//
// Thread safety: the methods of Control are for any thread, all others for the
// network thread.
#ifndef MQTT_CORE_DISPATCHER_CONTROL_H_
#define MQTT_CORE_DISPATCHER_CONTROL_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/inbound_queue.h"
#include "mqtt_core/message.h"
#include "mqtt_core/session.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

class DispatcherControl final : public Control {
 public:
  // All outlive it.
  DispatcherControl(EventLoop* loop, const Clock* clock,
                    const Statistics* statistics, Session* session,
                    InboundQueue* inbound);
  DispatcherControl(const DispatcherControl&) = delete;
  DispatcherControl& operator=(const DispatcherControl&) = delete;

  // Control
  DispatcherStatus GetStatus() const override;
  void ListSubscriptions(uint64_t after, size_t limit,
                         absl::optional<std::string> topic,
                         Done<SubscriptionPage> done) override;
  CallId Subscribe(std::string filter, Qos qos, bool wait,
                   Done<Subscription> done) override;
  CallId Unsubscribe(std::string filter, bool wait,
                     absl::AnyInvocable<void(absl::Status)> done) override;
  CallId Publish(Message message, bool wait,
                 Done<PublishOutcome> done) override;
  CallId Inject(InboundMessage message, Done<InjectResult> done) override;
  CallId Reconnect(ReconnectMode mode, bool wait,
                   Done<ConnectionStatus> done) override;
  void Cancel(CallId call) override;
  void Watch(std::shared_ptr<Watcher> watcher, Interest interest) override;
  void Unwatch(std::shared_ptr<Watcher> watcher) override;

  // From now on nothing is changed any more: such calls get Unavailable.
  void Close() { closed_ = true; }

  // What happens to the session, as it tells its observer.
  void OnConnected();
  void OnDisconnected();
  void OnMessage(const InboundMessage& message);
  void OnSubscriptionChanged(const Subscription& subscription, bool removed);
  void OnUnsubscribed(const std::string& filter);
  void OnPublish(uint64_t publish_id, const Message& message,
                 PublishOutcome outcome);
  // The event route of an injected message has run.
  void OnInjectedRun(CallId call, RunStatus status, Duration run_time);

 private:
  struct Watching {
    std::shared_ptr<Watcher> watcher;
    Interest interest;
  };
  struct PendingSubscribe {
    CallId call;
    bool is_new;  // there was no such subscription before
    Done<Subscription> done;
  };
  struct PendingUnsubscribe {
    CallId call;
    absl::AnyInvocable<void(absl::Status)> done;
  };
  struct PendingPublish {
    CallId call;
    Done<PublishOutcome> done;
  };
  struct PendingInject {
    CallId call;
    std::vector<std::string> matching_filters;
    Done<InjectResult> done;
  };
  struct PendingReconnect {
    CallId call;
    Done<ConnectionStatus> done;
  };

  // The same on the network thread.
  void DoSubscribe(CallId call, const std::string& filter, Qos qos, bool wait,
                   Done<Subscription> done);
  void DoUnsubscribe(CallId call, const std::string& filter, bool wait,
                     absl::AnyInvocable<void(absl::Status)> done);
  void DoPublish(CallId call, Message message, bool wait,
                 Done<PublishOutcome> done);
  void DoInject(CallId call, InboundMessage message, Done<InjectResult> done);
  void DoReconnect(CallId call, ReconnectMode mode, bool wait,
                   Done<ConnectionStatus> done);
  void DoCancel(CallId call);
  void CancelSubscribe(const std::string& filter, bool is_new);

  // Not OK while nothing can be changed, or while nobody can be waited for.
  absl::Status CheckOpen() const;
  absl::Status CheckConnected() const;
  void UpdateInterest();
  template <typename Tell>
  void TellWatchers(bool Interest::*interest, Tell tell);

  EventLoop* const loop_;
  const Clock* const clock_;
  const Statistics* const statistics_;
  Session* const session_;
  InboundQueue* const inbound_;
  const TimePoint started_;
  std::atomic<CallId> last_call_{0};

  bool closed_ = false;
  std::vector<Watching> watching_;
  Interest any_interest_;  // of those that watch
  // Calls that wait, by what they wait for.
  std::multimap<std::string, PendingSubscribe> subscribes_;      // by filter
  std::multimap<std::string, PendingUnsubscribe> unsubscribes_;  // by filter
  std::map<uint64_t, PendingPublish> publishes_;  // by publish id
  std::map<CallId, PendingInject> injections_;
  std::map<CallId, PendingReconnect> reconnects_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_DISPATCHER_CONTROL_H_
