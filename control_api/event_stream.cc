// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/event_stream.h"

#include <algorithm>
#include <utility>

#include "control_api/conversions.h"
#include "control_api/event.h"
#include "control_api/owed_answer.h"
#include "control_api/statuses.h"
#include "control_api/timestamps.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

Event::Disconnected ToEvent(const ConnectionStatus& status) {
  return {status.last_disconnect_reason.value_or(""), status.next_attempt};
}

}  // namespace

EventStream::EventStream(grpc::CallbackServerContext* context,
                         const Environment& environment,
                         std::shared_ptr<ActiveCalls> active_calls,
                         Quota::Share share, EventSelection selection,
                         const EventQueue::Limits& limits)
    : context_(context),
      environment_(environment),
      active_calls_(std::move(active_calls)),
      share_(std::move(share)),
      selection_(std::move(selection)),
      queue_(limits) {}

void EventStream::Start() {
  // In this order, as the end of the stream also ends the watch.
  environment_.control->Watch(shared_from_this(), selection_.interest);
  if (!active_calls_->Add(shared_from_this())) Stop();
}

void EventStream::OnSynced(const ConnectionStatus& connection,
                           std::vector<Subscription> subscriptions) {
  const TimePoint now = environment_.clock->Now();
  absl::optional<Event> event;
  if (selection_.snapshot && selection_.interest.connection) {
    event.emplace().time = now;
    if (connection.state == ConnectionState::kConnected) {
      event->what = Event::Connected{};
    } else {
      event->what = ToEvent(connection);
    }
  }
  {
    MutexLock lock(&mutex_);
    queue_.Sync(now, std::move(event), std::move(subscriptions));
    if (writing_) return;
    writing_ = true;
  }
  PostWriteNext();
}

void EventStream::OnConnected() {
  Push(0, [] { return Event::Connected{}; });
}

void EventStream::OnDisconnected(const ConnectionStatus& status) {
  Push(status.last_disconnect_reason.value_or("").size(),
       [&] { return ToEvent(status); });
}

void EventStream::OnSubscriptionChanged(const Subscription& subscription,
                                        bool removed) {
  Push(subscription.filter.size() + subscription.refusal_reason.size(), [&] {
    return Event::SubscriptionChanged{subscription, removed};
  });
}

void EventStream::OnMessage(const InboundMessage& message) {
  if (!IsSelected(message.topic)) return;
  const size_t shown = ShownBytes(message.payload);
  Push(message.topic.size() + shown, [&] {
    return Event::MessageReceived{
        {message.topic, message.payload.substr(0, shown), message.qos,
         message.retain, message.duplicate, message.packet_id, message.origin},
        message.payload.size()};
  });
}

void EventStream::OnPublish(uint64_t publish_id, const Message& message,
                            PublishOutcome outcome) {
  if (!IsSelected(message.topic)) return;
  const size_t shown = ShownBytes(message.payload);
  Push(message.topic.size() + shown, [&] {
    return Event::Published{publish_id,
                            {message.topic, message.payload.substr(0, shown),
                             message.qos, message.retain},
                            message.payload.size(),
                            outcome};
  });
}

void EventStream::Stop() { End(StoppingStatus()); }

void EventStream::Abandon() {
  End(StoppingStatus());
  WriteNext();
}

void EventStream::OnWriteDone(bool ok) {
  if (!ok) End(CancellationStatus(*context_));
  WriteNext();
}

void EventStream::OnCancel() { End(CancellationStatus(*context_)); }

void EventStream::OnDone() {
  // It may be the last that holds this object.
  const std::shared_ptr<ActiveCalls> active_calls = active_calls_;
  active_calls->Remove(this);
}

template <typename Make>
void EventStream::Push(size_t bytes, Make make) {
  const TimePoint now = environment_.clock->Now();
  {
    MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    queue_.Push(now, bytes, std::move(make));
    if (writing_) return;
    writing_ = true;
  }
  PostWriteNext();
}

bool EventStream::IsSelected(const std::string& topic) const {
  return !selection_.topic_filter.has_value() ||
         TopicMatchesFilter(topic, *selection_.topic_filter);
}

size_t EventStream::ShownBytes(const std::string& payload) const {
  return std::min(payload.size(), selection_.max_payload_bytes);
}

void EventStream::End(const grpc::Status& status) {
  bool finish = false;
  {
    MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    end_ = status;
    finish = !std::exchange(writing_, true);
  }
  environment_.control->Unwatch(shared_from_this());
  if (finish) Finish(status);
}

void EventStream::PostWriteNext() {
  environment_.loop->Post(
      [owed = OwedAnswer<EventStream>(shared_from_this())]() mutable {
        owed.Take()->WriteNext();
      });
}

void EventStream::WriteNext() {
  absl::optional<grpc::Status> end;
  absl::optional<Event> event;
  {
    MutexLock lock(&mutex_);
    end = end_;
    if (!end.has_value()) {
      event = queue_.Pop();
      writing_ = event.has_value();
    }
  }
  if (end.has_value()) {
    Finish(*end);
  } else if (event.has_value()) {
    response_ = ToProto(*event, ReadClocks(*environment_.clock));
    StartWrite(&response_);
  }
}

}  // namespace kamailio_mqtt
