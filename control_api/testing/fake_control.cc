// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/testing/fake_control.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

// Passes on what a watcher is interested in.
class InterestFilter final : public Control::Watcher {
 public:
  InterestFilter(Control::Watcher* watcher, const Control::Interest& interest)
      : watcher_(watcher), interest_(interest) {}

  void OnSynced(const ConnectionStatus& connection,
                std::vector<Subscription> subscriptions) override {
    watcher_->OnSynced(connection, std::move(subscriptions));
  }
  void OnConnected() override {
    if (interest_.connection) watcher_->OnConnected();
  }
  void OnDisconnected(const ConnectionStatus& status) override {
    if (interest_.connection) watcher_->OnDisconnected(status);
  }
  void OnSubscriptionChanged(const Subscription& subscription,
                             bool removed) override {
    if (!interest_.subscriptions) return;
    watcher_->OnSubscriptionChanged(subscription, removed);
  }
  void OnMessage(const InboundMessage& message) override {
    if (interest_.messages) watcher_->OnMessage(message);
  }
  void OnPublish(uint64_t publish_id, const Message& message,
                 PublishOutcome outcome) override {
    if (!interest_.publishes) return;
    watcher_->OnPublish(publish_id, message, outcome);
  }

 private:
  Control::Watcher* const watcher_;
  const Control::Interest& interest_;
};

}  // namespace

FakeControl::FakeControl() : thread_([this] { loop_.Run(); }) {}

FakeControl::~FakeControl() {
  // Not at once: calls that were made before have come.
  loop_.Post([this] { loop_.Stop(); });
  thread_.join();
}

void FakeControl::set_world(World world) {
  MutexLock lock(&mutex_);
  world_ = std::move(world);
}

FakeControl::World FakeControl::world() const {
  MutexLock lock(&mutex_);
  return world_;
}

void FakeControl::AnswerAtOnce(absl::Status status) {
  MutexLock lock(&mutex_);
  answer_at_once_ = std::move(status);
}

void FakeControl::HoldCalls() {
  MutexLock lock(&mutex_);
  answer_at_once_.reset();
}

void FakeControl::Answer(CallId call, absl::Status status) {
  RunThere([&] {
    auto waiting = waiting_.extract(call);
    if (!waiting.empty()) waiting.mapped()(status);
  });
}

void FakeControl::DropCalls() {
  RunThere([&] { waiting_.clear(); });
}

FakeControl::Call FakeControl::NextCall() {
  MutexLock lock(&mutex_);
  Await([this]()
            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !calls_.empty(); });
  Call call = std::move(calls_.front());
  calls_.pop_front();
  return call;
}

void FakeControl::WaitUntilCancelled(CallId call) {
  MutexLock lock(&mutex_);
  Await([this, call]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::find(cancelled_.begin(), cancelled_.end(), call) !=
           cancelled_.end();
  });
}

size_t FakeControl::watchers() {
  MutexLock lock(&mutex_);
  return watchers_;
}

void FakeControl::WaitForWatchers(size_t count) {
  MutexLock lock(&mutex_);
  Await([this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return watchers_ == count;
  });
}

void FakeControl::Emit(std::function<void(Watcher&)> event) {
  RunThere([&] {
    for (const Watching& watching : watching_) {
      InterestFilter filter(watching.watcher.get(), watching.interest);
      event(filter);
    }
  });
}

DispatcherStatus FakeControl::GetStatus() const { return world().status; }

void FakeControl::ListSubscriptions(uint64_t after, size_t limit,
                                    absl::optional<std::string> topic,
                                    Done<SubscriptionPage> done) {
  Call call;
  call.method = Method::kListSubscriptions;
  call.topic = topic.value_or("");
  call.after = after;
  call.limit = limit;
  Add(std::move(call), std::move(done),
      [=] { return Page(after, limit, topic); });
}

Control::CallId FakeControl::Subscribe(std::string filter, Qos qos, bool wait,
                                       Done<Subscription> done) {
  Call call;
  call.method = Method::kSubscribe;
  call.topic = std::move(filter);
  call.qos = qos;
  call.wait = wait;
  return Add(std::move(call), std::move(done),
             [this] { return world().subscription; });
}

Control::CallId FakeControl::Unsubscribe(
    std::string filter, bool wait,
    absl::AnyInvocable<void(absl::Status)> done) {
  Call call;
  call.method = Method::kUnsubscribe;
  call.topic = std::move(filter);
  call.wait = wait;
  return AddAnswerer(std::move(call), std::move(done));
}

Control::CallId FakeControl::Publish(Message message, bool wait,
                                     Done<PublishOutcome> done) {
  Call call;
  call.method = Method::kPublish;
  call.topic = std::move(message.topic);
  call.payload = std::move(message.payload);
  call.qos = message.qos;
  call.retain = message.retain;
  call.wait = wait;
  return Add(std::move(call), std::move(done),
             [this] { return world().outcome; });
}

Control::CallId FakeControl::Inject(InboundMessage message,
                                    Done<InjectResult> done) {
  Call call;
  call.method = Method::kInject;
  call.topic = std::move(message.topic);
  call.payload = std::move(message.payload);
  call.qos = message.qos;
  call.retain = message.retain;
  call.origin = message.origin;
  return Add(std::move(call), std::move(done),
             [this] { return world().inject_result; });
}

Control::CallId FakeControl::Reconnect(ReconnectMode mode, bool wait,
                                       Done<ConnectionStatus> done) {
  Call call;
  call.method = Method::kReconnect;
  call.mode = mode;
  call.wait = wait;
  return Add(std::move(call), std::move(done),
             [this] { return world().status.connection; });
}

void FakeControl::Cancel(CallId call) {
  loop_.Post([this, call] {
    auto waiting = waiting_.extract(call);
    if (!waiting.empty()) waiting.mapped()(absl::CancelledError("taken back"));
    MutexLock lock(&mutex_);
    cancelled_.push_back(call);
    changed_.SignalAll();
  });
}

void FakeControl::Watch(std::shared_ptr<Watcher> watcher, Interest interest) {
  loop_.Post([this, watcher = std::move(watcher), interest] {
    const World world = this->world();
    watcher->OnSynced(world.status.connection,
                      interest.subscription_snapshot
                          ? world.subscriptions
                          : std::vector<Subscription>());
    watching_.push_back({watcher, interest});
    MutexLock lock(&mutex_);
    watchers_ = watching_.size();
    changed_.SignalAll();
  });
}

void FakeControl::Unwatch(std::shared_ptr<Watcher> watcher) {
  loop_.Post([this, watcher = std::move(watcher)] {
    watching_.erase(std::remove_if(watching_.begin(), watching_.end(),
                                   [&](const Watching& watching) {
                                     return watching.watcher == watcher;
                                   }),
                    watching_.end());
    MutexLock lock(&mutex_);
    watchers_ = watching_.size();
    changed_.SignalAll();
  });
}

template <typename Result, typename MakeResult>
Control::CallId FakeControl::Add(Call call, Done<Result> done,
                                 MakeResult make_result) {
  return AddAnswerer(std::move(call), [done = std::move(done), make_result](
                                          const absl::Status& status) mutable {
    if (status.ok()) {
      done(make_result());
    } else {
      done(status);
    }
  });
}

Control::CallId FakeControl::AddAnswerer(Call call, Answerer answer) {
  {
    MutexLock lock(&mutex_);
    call.id = ++last_id_;
  }
  const CallId id = call.id;
  loop_.Post(
      [this, call = std::move(call), answer = std::move(answer)]() mutable {
        OnCall(std::move(call), std::move(answer));
      });
  return id;
}

void FakeControl::OnCall(Call call, Answerer answer) {
  absl::optional<absl::Status> status;
  {
    MutexLock lock(&mutex_);
    status = answer_at_once_;
  }
  if (status.has_value()) {
    answer(*std::move(status));
  } else {
    waiting_.emplace(call.id, std::move(answer));
  }
  MutexLock lock(&mutex_);
  calls_.push_back(std::move(call));
  changed_.SignalAll();
}

SubscriptionPage FakeControl::Page(uint64_t after, size_t limit,
                                   const absl::optional<std::string>& topic) {
  SubscriptionPage page;
  for (const Subscription& subscription : world().subscriptions) {
    if (subscription.id <= after) continue;
    if (topic.has_value() && !TopicMatchesFilter(*topic, subscription.filter)) {
      continue;
    }
    page.more = page.subscriptions.size() == limit;
    if (page.more) break;
    page.subscriptions.push_back(subscription);
  }
  return page;
}

void FakeControl::Await(const std::function<bool()>& condition) {
  const TimePoint deadline = SteadyClock().Now() + std::chrono::minutes(1);
  while (!condition()) {
    if (!changed_.WaitUntil(&mutex_, deadline) && !condition()) {
      std::fputs("FakeControl: what a test waits for does not happen\n",
                 stderr);
      std::abort();
    }
  }
}

void FakeControl::RunThere(std::function<void()> task) {
  bool has_run = false;
  loop_.Post([&] {
    task();
    MutexLock lock(&mutex_);
    has_run = true;
    changed_.SignalAll();
  });
  MutexLock lock(&mutex_);
  Await([&] { return has_run; });
}

}  // namespace kamailio_mqtt
