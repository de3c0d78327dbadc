// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/inbound_queue.h"

#include <algorithm>
#include <utility>

namespace kamailio_mqtt {
namespace {

size_t Size(const InboundMessage& message) {
  return message.topic.size() + message.payload.size();
}

}  // namespace

InboundQueue::InboundQueue(const Limits& limits, Statistics* statistics)
    : limits_(limits), statistics_(statistics) {}

size_t InboundQueue::Push(ScriptEvent event) {
  const size_t dropped = Add(std::move(event));
  // Not under the lock: the script thread would wake up to wait for it.
  changed_.SignalAll();
  return dropped;
}

size_t InboundQueue::Add(ScriptEvent event) {
  MutexLock lock(&mutex_);
  List* list = &others_;
  size_t dropped = 0;
  if (const auto* message = std::get_if<InboundMessage>(&event)) {
    const bool at_most_once = message->qos == Qos::kAtMostOnce;
    if (closed_ || !Fits(*message, !at_most_once)) {
      statistics_->inbound_dropped.Add(message->qos);
      return 1;
    }
    for (; !Fits(*message, false); ++dropped) {
      DropFront(&at_most_once_);
    }
    if (at_most_once) list = &at_most_once_;
  }
  if (closed_) return 0;
  Append(std::move(event), list);
  return dropped;
}

bool InboundQueue::PushInjected(InjectedEvent event) {
  {
    MutexLock lock(&mutex_);
    if (closed_ || !Fits(event.message, false)) return false;
    Append(std::move(event), &others_);
  }
  changed_.SignalAll();
  return true;
}

bool InboundQueue::Withdraw(uint64_t call) {
  MutexLock lock(&mutex_);
  std::deque<Queued>& events = others_.events;
  const auto found =
      std::find_if(events.begin(), events.end(), [call](const Queued& queued) {
        const auto* injected = std::get_if<InjectedEvent>(&queued.event);
        return injected != nullptr && injected->call == call;
      });
  if (found == events.end()) return false;
  CountGone(found->event, &others_);
  events.erase(found);
  return true;
}

void InboundQueue::Append(ScriptEvent event, List* list) {
  if (const InboundMessage* message = MessageOf(event)) {
    ++list->messages;
    list->bytes += Size(*message);
    UpdateGauges();
  }
  list->events.push_back(Queued{next_order_++, std::move(event)});
}

absl::optional<ScriptEvent> InboundQueue::Pop() {
  MutexLock lock(&mutex_);
  waiting_ = true;
  idle_.SignalAll();
  while (!closed_ && Oldest()->events.empty()) changed_.Wait(&mutex_);
  if (closed_) return absl::nullopt;
  waiting_ = false;
  return TakeFront(Oldest());
}

size_t InboundQueue::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
  size_t dropped = 0;
  for (List* list : {&at_most_once_, &others_}) {
    while (!list->events.empty()) dropped += DropFront(list);
  }
  changed_.SignalAll();
  return dropped;
}

bool InboundQueue::WaitUntilIdle(TimePoint deadline) {
  MutexLock lock(&mutex_);
  while (!waiting_ && idle_.WaitUntil(&mutex_, deadline)) {
  }
  return waiting_;
}

bool InboundQueue::Fits(const InboundMessage& next,
                        bool if_at_most_once_were_empty) const {
  size_t messages = others_.messages;
  size_t bytes = others_.bytes;
  if (!if_at_most_once_were_empty) {
    messages += at_most_once_.messages;
    bytes += at_most_once_.bytes;
  }
  return messages < limits_.max_messages &&
         bytes + Size(next) <= limits_.max_bytes;
}

InboundQueue::List* InboundQueue::Oldest() {
  if (others_.events.empty()) return &at_most_once_;
  if (at_most_once_.events.empty()) return &others_;
  return at_most_once_.events.front().order < others_.events.front().order
             ? &at_most_once_
             : &others_;
}

ScriptEvent InboundQueue::TakeFront(List* list) {
  ScriptEvent event = std::move(list->events.front().event);
  list->events.pop_front();
  CountGone(event, list);
  return event;
}

void InboundQueue::CountGone(const ScriptEvent& event, List* list) {
  const InboundMessage* message = MessageOf(event);
  if (message == nullptr) return;
  --list->messages;
  list->bytes -= Size(*message);
  UpdateGauges();
}

const InboundMessage* InboundQueue::MessageOf(const ScriptEvent& event) {
  if (const auto* injected = std::get_if<InjectedEvent>(&event)) {
    return &injected->message;
  }
  return std::get_if<InboundMessage>(&event);
}

size_t InboundQueue::DropFront(List* list) {
  const ScriptEvent event = TakeFront(list);
  const auto* message = std::get_if<InboundMessage>(&event);
  if (message == nullptr) return 0;
  statistics_->inbound_dropped.Add(message->qos);
  return 1;
}

void InboundQueue::UpdateGauges() {
  statistics_->inbound_queued.Set(
      static_cast<int64_t>(at_most_once_.messages + others_.messages));
  statistics_->inbound_queued_bytes.Set(
      static_cast<int64_t>(at_most_once_.bytes + others_.bytes));
}

}  // namespace kamailio_mqtt
