// SPDX-License-Identifier: GPL-3.0-or-later

// A dispatcher without a broker, for tests of what is built on Control: it
// records calls, answers them at once or when it is told, and shows watchers
// what a test makes happen. As in the real one, all of that happens on a
// network thread of its own.
//
// Thread-safe.
#ifndef CONTROL_API_TESTING_FAKE_CONTROL_H_
#define CONTROL_API_TESTING_FAKE_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class FakeControl final : public Control {
 public:
  enum class Method {
    kListSubscriptions,
    kSubscribe,
    kUnsubscribe,
    kPublish,
    kInject,
    kReconnect,
  };

  // A call, with those of its arguments that its method has.
  struct Call {
    Method method = Method::kListSubscriptions;
    CallId id = 0;
    std::string topic;  // or filter
    std::string payload;
    Qos qos = Qos::kAtMostOnce;
    bool retain = false;
    bool wait = false;
    ReconnectMode mode = ReconnectMode::kGraceful;
    Origin origin = Origin::kBroker;
    uint64_t after = 0;
    size_t limit = 0;
  };

  // What calls are answered with where they are not refused.
  struct World {
    DispatcherStatus status;
    std::vector<Subscription> subscriptions;  // by id, also of OnSynced()
    Subscription subscription;                // of Subscribe()
    PublishOutcome outcome = PublishOutcome::kAccepted;
    InjectResult inject_result;
  };

  FakeControl();
  // `done`s that wait are destroyed.
  ~FakeControl() override;

  // The network thread's.
  EventLoop* loop() { return &loop_; }
  // Runs `task` on the network thread, and returns when it has run.
  void RunThere(std::function<void()> task);

  void set_world(World world);

  // Calls are answered with `status` as soon as they come; that is how it
  // starts, with OK.
  void AnswerAtOnce(absl::Status status = absl::OkStatus());
  // Calls wait for Answer().
  void HoldCalls();
  void Answer(CallId call, absl::Status status = absl::OkStatus());
  // Destroys the `done`s that wait.
  void DropCalls();

  // The next call in their order; waits for it.
  Call NextCall();
  // Returns when `call` was cancelled.
  void WaitUntilCancelled(CallId call);

  size_t watchers();
  void WaitForWatchers(size_t count);
  // Has something happen; returns when all watchers that are interested have
  // been told.
  void Emit(std::function<void(Watcher&)> event);

  // Control:
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

 private:
  // Calls the `done`, with a result if the status is OK.
  using Answerer = absl::AnyInvocable<void(absl::Status)>;

  struct Watching {
    std::shared_ptr<Watcher> watcher;
    Interest interest;
  };

  template <typename Result, typename MakeResult>
  CallId Add(Call call, Done<Result> done, MakeResult make_result);
  CallId AddAnswerer(Call call, Answerer answer);
  void OnCall(Call call, Answerer answer);
  SubscriptionPage Page(uint64_t after, size_t limit,
                        const absl::optional<std::string>& topic);
  World world() const;
  // Waits for `condition`, with a generous deadline.
  void Await(const std::function<bool()>& condition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Of the network thread.
  EvLoop loop_;
  std::map<CallId, Answerer> waiting_;
  std::vector<Watching> watching_;

  mutable Mutex mutex_;
  CondVar changed_;
  World world_ ABSL_GUARDED_BY(mutex_);
  absl::optional<absl::Status> answer_at_once_ ABSL_GUARDED_BY(mutex_) =
      absl::OkStatus();
  CallId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Call> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<CallId> cancelled_ ABSL_GUARDED_BY(mutex_);
  size_t watchers_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_FAKE_CONTROL_H_
