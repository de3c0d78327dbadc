// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/inbound_queue.h"

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
  MutexLock lock(&mutex_);
  List* list = &others_;
  size_t dropped = 0;
  if (const auto* message = absl::get_if<InboundMessage>(&event)) {
    const bool at_most_once = message->qos == Qos::kAtMostOnce;
    if (closed_ || !Fits(*message, !at_most_once)) {
      statistics_->inbound_dropped.Add(message->qos);
      return 1;
    }
    for (; !Fits(*message, false); ++dropped) {
      DropFront(&at_most_once_);
    }
    if (at_most_once) list = &at_most_once_;
    ++list->messages;
    list->bytes += Size(*message);
    UpdateGauge();
  }
  if (closed_) return 0;
  list->events.push_back(Queued{next_order_++, std::move(event)});
  changed_.SignalAll();
  return dropped;
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
  const size_t dropped = at_most_once_.messages + others_.messages;
  for (List* list : {&at_most_once_, &others_}) {
    while (!list->events.empty()) DropFront(list);
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
  if (const auto* message = absl::get_if<InboundMessage>(&event)) {
    --list->messages;
    list->bytes -= Size(*message);
    UpdateGauge();
  }
  return event;
}

void InboundQueue::DropFront(List* list) {
  const ScriptEvent event = TakeFront(list);
  if (const auto* message = absl::get_if<InboundMessage>(&event)) {
    statistics_->inbound_dropped.Add(message->qos);
  }
}

void InboundQueue::UpdateGauge() {
  statistics_->inbound_queued.Set(
      static_cast<int64_t>(at_most_once_.messages + others_.messages));
}

}  // namespace kamailio_mqtt
