// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/dispatcher_control.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/outbox.h"

namespace kamailio_mqtt {
namespace {

constexpr Control::Interest kNoInterest = {false, false, false, false, false};

// Takes the entry of `call` out of a map of pending calls and gives it to
// `cancel`, if it is there.
template <typename Map, typename Cancel>
bool CancelIn(Map* pending, Control::CallId call, Cancel cancel) {
  const auto found = std::find_if(
      pending->begin(), pending->end(),
      [call](const auto& entry) { return entry.second.call == call; });
  if (found == pending->end()) return false;
  auto entry = pending->extract(found);
  cancel(entry.key(), entry.mapped());
  entry.mapped().done(absl::CancelledError("the call was given up"));
  return true;
}

}  // namespace

DispatcherControl::DispatcherControl(EventLoop* loop, const Clock* clock,
                                     const Statistics* statistics,
                                     Session* session, InboundQueue* inbound)
    : loop_(loop),
      clock_(clock),
      statistics_(statistics),
      session_(session),
      inbound_(inbound),
      started_(clock->Now()),
      any_interest_(kNoInterest) {}

DispatcherStatus DispatcherControl::GetStatus() const {
  const OutboxOptions& outbox = session_->outbox().options();
  const InboundQueue::Limits& inbound = inbound_->limits();
  DispatcherStatus status;
  status.started = started_;
  status.connection = session_->status();
  status.publish_queue.messages = statistics_->queued.Total();
  status.publish_queue.max_messages = outbox.max_messages;
  status.publish_queue.bytes = statistics_->queued_bytes.Get();
  status.publish_queue.max_bytes = outbox.max_bytes;
  status.inbound_queue.messages = statistics_->inbound_queued.Get();
  status.inbound_queue.max_messages =
      static_cast<int64_t>(inbound.max_messages);
  status.inbound_queue.bytes = statistics_->inbound_queued_bytes.Get();
  status.inbound_queue.max_bytes = static_cast<int64_t>(inbound.max_bytes);
  status.subscriptions = statistics_->subscriptions.Get();
  return status;
}

void DispatcherControl::ListSubscriptions(uint64_t after, size_t limit,
                                          absl::optional<std::string> topic,
                                          Done<SubscriptionPage> done) {
  loop_->Post([this, after, limit, topic = std::move(topic),
               done = std::move(done)]() mutable {
    const SubscriptionTable& table = session_->subscriptions();
    done(topic.has_value() ? table.ListMatching(*topic, after, limit)
                           : table.List(after, limit));
  });
}

Control::CallId DispatcherControl::Subscribe(std::string filter, Qos qos,
                                             bool wait,
                                             Done<Subscription> done) {
  const CallId call = ++last_call_;
  loop_->Post([this, call, filter = std::move(filter), qos, wait,
               done = std::move(done)]() mutable {
    DoSubscribe(call, filter, qos, wait, std::move(done));
  });
  return call;
}

Control::CallId DispatcherControl::Unsubscribe(
    std::string filter, bool wait,
    absl::AnyInvocable<void(absl::Status)> done) {
  const CallId call = ++last_call_;
  loop_->Post([this, call, filter = std::move(filter), wait,
               done = std::move(done)]() mutable {
    DoUnsubscribe(call, filter, wait, std::move(done));
  });
  return call;
}

Control::CallId DispatcherControl::Publish(Message message, bool wait,
                                           Done<PublishOutcome> done) {
  const CallId call = ++last_call_;
  loop_->Post([this, call, message = std::move(message), wait,
               done = std::move(done)]() mutable {
    DoPublish(call, std::move(message), wait, std::move(done));
  });
  return call;
}

Control::CallId DispatcherControl::Inject(InboundMessage message,
                                          Done<InjectResult> done) {
  const CallId call = ++last_call_;
  loop_->Post([this, call, message = std::move(message),
               done = std::move(done)]() mutable {
    DoInject(call, std::move(message), std::move(done));
  });
  return call;
}

Control::CallId DispatcherControl::Reconnect(ReconnectMode mode, bool wait,
                                             Done<ConnectionStatus> done) {
  const CallId call = ++last_call_;
  loop_->Post([this, call, mode, wait, done = std::move(done)]() mutable {
    DoReconnect(call, mode, wait, std::move(done));
  });
  return call;
}

void DispatcherControl::Cancel(CallId call) {
  loop_->Post([this, call] { DoCancel(call); });
}

void DispatcherControl::Watch(std::shared_ptr<Watcher> watcher,
                              Interest interest) {
  loop_->Post([this, watcher = std::move(watcher), interest]() mutable {
    std::vector<Subscription> subscriptions;
    if (interest.subscription_snapshot) {
      subscriptions = session_->subscriptions().All();
    }
    watcher->OnSynced(session_->status(), std::move(subscriptions));
    watching_.push_back({std::move(watcher), interest});
    UpdateInterest();
  });
}

void DispatcherControl::Unwatch(std::shared_ptr<Watcher> watcher) {
  loop_->Post([this, watcher = std::move(watcher)] {
    watching_.erase(std::remove_if(watching_.begin(), watching_.end(),
                                   [&](const Watching& watching) {
                                     return watching.watcher == watcher;
                                   }),
                    watching_.end());
    UpdateInterest();
  });
}

void DispatcherControl::UpdateInterest() {
  any_interest_ = kNoInterest;
  for (const Watching& watching : watching_) {
    any_interest_.connection |= watching.interest.connection;
    any_interest_.subscriptions |= watching.interest.subscriptions;
    any_interest_.messages |= watching.interest.messages;
    any_interest_.publishes |= watching.interest.publishes;
  }
}

absl::Status DispatcherControl::CheckOpen() const {
  if (!closed_) return absl::OkStatus();
  return absl::UnavailableError("Kamailio is stopping");
}

absl::Status DispatcherControl::CheckConnected() const {
  const ConnectionStatus status = session_->status();
  if (status.state == ConnectionState::kConnected) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("not connected to broker ", status.broker,
                   status.last_disconnect_reason.has_value() ? ": " : "",
                   status.last_disconnect_reason.value_or("")));
}

void DispatcherControl::DoSubscribe(CallId call, const std::string& filter,
                                    Qos qos, bool wait,
                                    Done<Subscription> done) {
  absl::Status status = CheckOpen();
  if (wait) status.Update(CheckConnected());
  if (!status.ok()) {
    done(status);
    return;
  }
  const SubscriptionTable& table = session_->subscriptions();
  const bool is_new = table.Find(filter) == nullptr;
  session_->Subscribe(filter, qos, SubscriptionOrigin::kControl);
  const Subscription* subscription = table.Find(filter);
  if (wait && subscription->state == SubscriptionState::kPending) {
    subscribes_.emplace(filter,
                        PendingSubscribe{call, is_new, std::move(done)});
  } else {
    done(*subscription);
  }
}

void DispatcherControl::DoUnsubscribe(
    CallId call, const std::string& filter, bool wait,
    absl::AnyInvocable<void(absl::Status)> done) {
  absl::Status status = CheckOpen();
  if (status.ok() && !session_->Unsubscribe(filter)) {
    status = absl::NotFoundError("there is no subscription with that filter");
  }
  if (status.ok() && wait && session_->state() == Session::State::kConnected) {
    unsubscribes_.emplace(filter, PendingUnsubscribe{call, std::move(done)});
  } else {
    done(status);
  }
}

// Workers look at the limits before they accept; what they have accepted and
// the ring still holds may come on top.
void DispatcherControl::DoPublish(CallId call, Message message, bool wait,
                                  Done<PublishOutcome> done) {
  const Outbox& outbox = session_->outbox();
  absl::Status status = CheckOpen();
  if (wait) status.Update(CheckConnected());
  if (!outbox.CanHold(message)) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("the message is larger than queue_max_bytes, ",
                     outbox.options().max_bytes)));
  } else if (!outbox.HasRoomFor(message)) {
    status.Update(absl::ResourceExhaustedError("the queue is full"));
  }
  if (!status.ok()) {
    done(status);
    return;
  }
  if (wait) {
    publishes_.emplace(outbox.next_id(), PendingPublish{call, std::move(done)});
  }
  session_->Publish(std::move(message), /*withdrawable=*/wait);
  session_->Submit();
  if (!wait) done(PublishOutcome::kAccepted);
}

void DispatcherControl::DoInject(CallId call, InboundMessage message,
                                 Done<InjectResult> done) {
  message.origin = Origin::kInjected;
  std::vector<std::string> matching_filters =
      session_->subscriptions().MatchingFilters(message.topic);
  absl::Status status = CheckOpen();
  if (status.ok() && !inbound_->PushInjected({call, message})) {
    status = absl::ResourceExhaustedError(
        "the queue of messages that wait for their event route is full");
  }
  if (!status.ok()) {
    done(status);
    return;
  }
  injections_.emplace(
      call, PendingInject{call, std::move(matching_filters), std::move(done)});
  OnMessage(message);
}

void DispatcherControl::DoReconnect(CallId call, ReconnectMode mode, bool wait,
                                    Done<ConnectionStatus> done) {
  absl::Status status = CheckOpen();
  if (status.ok() && !session_->Reconnect(mode)) {
    status = absl::UnavailableError("the session has stopped");
  }
  if (!status.ok()) {
    done(status);
  } else if (wait) {
    reconnects_.emplace(call, PendingReconnect{call, std::move(done)});
  } else {
    done(session_->status());
  }
}

void DispatcherControl::DoCancel(CallId call) {
  CancelIn(&subscribes_, call,
           [this](const std::string& filter, const PendingSubscribe& pending) {
             CancelSubscribe(filter, pending.is_new);
           }) ||
      CancelIn(&publishes_, call,
               [this](uint64_t publish_id, const PendingPublish&) {
                 session_->Withdraw(publish_id);
               }) ||
      CancelIn(&injections_, call,
               [this](CallId id, const PendingInject&) {
                 inbound_->Withdraw(id);
               }) ||
      CancelIn(&unsubscribes_, call, [](auto, const auto&) {}) ||
      CancelIn(&reconnects_, call, [](auto, const auto&) {});
}

// The subscription goes only if nobody else has asked for it meanwhile.
void DispatcherControl::CancelSubscribe(const std::string& filter,
                                        bool is_new) {
  const Subscription* subscription = session_->subscriptions().Find(filter);
  if (is_new && subscription != nullptr &&
      subscription->state == SubscriptionState::kPending &&
      subscription->origin == SubscriptionOrigin::kControl &&
      subscribes_.count(filter) == 0) {
    session_->Unsubscribe(filter);
  }
}

template <typename Tell>
void DispatcherControl::TellWatchers(bool Interest::*interest, Tell tell) {
  if (!(any_interest_.*interest)) return;
  for (const Watching& watching : watching_) {
    if (watching.interest.*interest) tell(*watching.watcher);
  }
}

void DispatcherControl::OnConnected() {
  TellWatchers(&Interest::connection,
               [](Watcher& watcher) { watcher.OnConnected(); });
  for (auto& [call, pending] : std::exchange(reconnects_, {})) {
    pending.done(session_->status());
  }
}

void DispatcherControl::OnDisconnected() {
  TellWatchers(&Interest::connection, [this](Watcher& watcher) {
    watcher.OnDisconnected(session_->status());
  });
  // The subscriptions are gone with the connection, or are told to the broker
  // with the next one.
  for (auto& [filter, pending] : std::exchange(unsubscribes_, {})) {
    pending.done(absl::OkStatus());
  }
}

void DispatcherControl::OnMessage(const InboundMessage& message) {
  TellWatchers(&Interest::messages,
               [&](Watcher& watcher) { watcher.OnMessage(message); });
}

void DispatcherControl::OnSubscriptionChanged(const Subscription& subscription,
                                              bool removed) {
  TellWatchers(&Interest::subscriptions, [&](Watcher& watcher) {
    watcher.OnSubscriptionChanged(subscription, removed);
  });
  if (!removed && subscription.state == SubscriptionState::kPending) return;
  const auto [begin, end] = subscribes_.equal_range(subscription.filter);
  for (auto it = begin; it != end; ++it) {
    if (removed) {
      it->second.done(absl::AbortedError("unsubscribed meanwhile"));
    } else {
      it->second.done(subscription);
    }
  }
  subscribes_.erase(begin, end);
}

void DispatcherControl::OnUnsubscribed(const std::string& filter) {
  const auto [begin, end] = unsubscribes_.equal_range(filter);
  for (auto it = begin; it != end; ++it) it->second.done(absl::OkStatus());
  unsubscribes_.erase(begin, end);
}

void DispatcherControl::OnPublish(uint64_t publish_id, const Message& message,
                                  PublishOutcome outcome) {
  TellWatchers(&Interest::publishes, [&](Watcher& watcher) {
    watcher.OnPublish(publish_id, message, outcome);
  });
  if (outcome == PublishOutcome::kAccepted || publishes_.empty()) return;
  auto pending = publishes_.extract(publish_id);
  if (!pending.empty()) pending.mapped().done(outcome);
}

void DispatcherControl::OnInjectedRun(CallId call, RunStatus status,
                                      Duration run_time) {
  auto pending = injections_.extract(call);
  if (pending.empty()) return;
  pending.mapped().done(InjectResult{
      status, run_time, std::move(pending.mapped().matching_filters)});
}

}  // namespace kamailio_mqtt
