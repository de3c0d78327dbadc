// SPDX-License-Identifier: GPL-3.0-or-later

// What can be asked of a running dispatcher from outside the routing script:
// the control service's view of it.
//
// Thread safety: any thread may call. GetStatus() answers on the spot; all else
// happens on the network thread, in the order of the calls, and so do the
// callbacks: they must not block.
//
// Error handling: a `done` is called once, unless the dispatcher stops before;
// then it is destroyed, at the latest with the dispatcher. Topics and topic
// filters are valid (topic.h).
#ifndef MQTT_CORE_CONTROL_H_
#define MQTT_CORE_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/connection_status.h"
#include "mqtt_core/message.h"
#include "mqtt_core/publish_outcome.h"
#include "mqtt_core/subscription_table.h"

namespace kamailio_mqtt {

struct QueueStatus {
  int64_t messages = 0;
  int64_t max_messages = 0;
  int64_t bytes = 0;  // topics and payloads
  int64_t max_bytes = 0;
};

struct DispatcherStatus {
  TimePoint started;
  ConnectionStatus connection;
  QueueStatus publish_queue;  // in flight included
  QueueStatus inbound_queue;  // messages that wait for their event route
  int64_t subscriptions = 0;
};

enum class RunStatus { kNoRoute, kDone, kFailed };

struct InjectResult {
  RunStatus status = RunStatus::kNoRoute;
  Duration run_time = Duration::zero();
  // The subscriptions by which the broker would have sent the message.
  std::vector<std::string> matching_filters;
};

class Control {
 public:
  template <typename Result>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Result>)>;

  // Names a call that can be cancelled; unique in the process.
  using CallId = uint64_t;

  // Is told what happens. Called on the network thread, must not block; what
  // the references refer to is valid for the call.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    // The state at the moment from which on events are reported.
    virtual void OnSynced(const ConnectionStatus& connection,
                          std::vector<Subscription> subscriptions) = 0;
    virtual void OnConnected() = 0;
    // `status` says why, and when the next attempt is due. An established
    // connection was lost.
    virtual void OnDisconnected(const ConnectionStatus& status) = 0;
    virtual void OnSubscriptionChanged(const Subscription& subscription,
                                       bool removed) = 0;
    virtual void OnMessage(const InboundMessage& message) = 0;
    virtual void OnPublish(uint64_t publish_id, const Message& message,
                           PublishOutcome outcome) = 0;
  };

  // What a watcher wants to be told; the rest costs nothing.
  struct Interest {
    bool connection = true;
    bool subscriptions = true;
    bool messages = true;
    bool publishes = true;
    // Whether OnSynced() is to hold the subscriptions.
    bool subscription_snapshot = false;
  };

  virtual ~Control() = default;

  // What a callback has told, and what came before it, is in it.
  virtual DispatcherStatus GetStatus() const = 0;

  // Subscriptions with an id above `after`, at most `limit` (at least 1) of
  // them; only those that match `topic`, if there is one.
  virtual void ListSubscriptions(uint64_t after, size_t limit,
                                 absl::optional<std::string> topic,
                                 Done<SubscriptionPage> done) = 0;

  // With `wait`, done when the broker has granted or refused it. Unavailable:
  // to wait, but not connected; nothing was changed. Aborted: unsubscribed
  // meanwhile.
  virtual CallId Subscribe(std::string filter, Qos qos, bool wait,
                           Done<Subscription> done) = 0;

  // With `wait`, done when the broker has confirmed it, at once without a
  // connection. NotFound: there is no such subscription.
  virtual CallId Unsubscribe(std::string filter, bool wait,
                             absl::AnyInvocable<void(absl::Status)> done) = 0;

  // With `wait`, done when the end is known, else with kAccepted.
  // ResourceExhausted: the queue is full. InvalidArgument: it can never hold
  // the message. Unavailable: to wait, but not connected; nothing was queued.
  virtual CallId Publish(Message message, bool wait,
                         Done<PublishOutcome> done) = 0;

  // Runs the event route of a message that the broker has not sent. Done when
  // it has run. ResourceExhausted: the inbound queue is full.
  virtual CallId Inject(InboundMessage message, Done<InjectResult> done) = 0;

  // Connects anew, at once. With `wait`, done when connected.
  virtual CallId Reconnect(ReconnectMode mode, bool wait,
                           Done<ConnectionStatus> done) = 0;

  // Gives a call up, unless it is done: takes back what can be taken back (a
  // new subscription that the broker has not answered, a publish that has not
  // been submitted, an injected message whose route has not begun). Its `done`
  // gets Cancelled.
  virtual void Cancel(CallId call) = 0;

  // Calls OnSynced(), and from then on reports what happens, until Unwatch()
  // has taken effect.
  virtual void Watch(std::shared_ptr<Watcher> watcher, Interest interest) = 0;
  virtual void Unwatch(std::shared_ptr<Watcher> watcher) = 0;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_CONTROL_H_
