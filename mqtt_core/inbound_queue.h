// SPDX-License-Identifier: GPL-3.0-or-later

// Events on their way from the network thread to the script thread: bounded,
// so that a slow event route costs inbound messages, counted, and nothing else.
//
// Thread safety: any thread may call anything but Pop(), which is for the
// script thread alone.
#ifndef MQTT_CORE_INBOUND_QUEUE_H_
#define MQTT_CORE_INBOUND_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mutex.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

struct ConnectedEvent {};
struct DisconnectedEvent {
  std::string reason;
};
// A message that the control service has made.
struct InjectedEvent {
  uint64_t call = 0;  // names it; unique
  InboundMessage message;
};
using ScriptEvent = std::variant<ConnectedEvent, DisconnectedEvent,
                                 InboundMessage, InjectedEvent>;

class InboundQueue {
 public:
  struct Limits {
    size_t max_messages = 10000;
    size_t max_bytes = 64 << 20;
  };

  InboundQueue(const Limits& limits, Statistics* statistics);
  InboundQueue(const InboundQueue&) = delete;
  InboundQueue& operator=(const InboundQueue&) = delete;

  // Connection events are always taken. A message that finds the queue full
  // takes the place of the oldest of QoS 0 if its own QoS is higher and they
  // leave enough room; else it is dropped. Every message dropped is counted.
  // Returns how many these are. Once the queue is closed nothing is taken.
  size_t Push(ScriptEvent event);

  // Takes an injected message, unless the queue is full: it takes nobody's
  // place. Returns whether it was taken.
  bool PushInjected(InjectedEvent event);
  // Takes an injected message back. False: its event route has begun, or it was
  // dropped in Close().
  bool Withdraw(uint64_t call);

  // Waits for the next event; nullopt once the queue is closed. Calling it
  // says that the event before has been dealt with.
  absl::optional<ScriptEvent> Pop();

  // Ends Pop(). What is left is dropped, and what came from the broker counted.
  // Returns how many messages that is.
  size_t Close();

  const Limits& limits() const { return limits_; }

  // Waits until the script thread is inside Pop() or past the end, at most
  // until `deadline`. Returns whether it is.
  bool WaitUntilIdle(TimePoint deadline);

 private:
  struct Queued {
    uint64_t order;
    ScriptEvent event;
  };
  struct List {
    std::deque<Queued> events;
    size_t messages = 0;
    size_t bytes = 0;
  };

  // The message of an event that holds one, or nullptr.
  static const InboundMessage* MessageOf(const ScriptEvent& event);

  // Whether the limits allow `next` beside what is there, or would if
  // at_most_once_ were empty.
  bool Fits(const InboundMessage& next, bool if_at_most_once_were_empty) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Push(), without waking the script thread.
  size_t Add(ScriptEvent event);
  void Append(ScriptEvent event, List* list)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  List* Oldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ScriptEvent TakeFront(List* list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns how many messages from the broker that dropped: one or none.
  size_t DropFront(List* list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountGone(const ScriptEvent& event, List* list)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateGauges() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  Statistics* const statistics_;

  Mutex mutex_;
  CondVar changed_;  // something to pop, or closed
  CondVar idle_;     // waiting_
  // Messages of QoS 0 apart from all else, so that the oldest of them is at
  // hand; `order` says which of the two fronts came first.
  List at_most_once_ ABSL_GUARDED_BY(mutex_);
  List others_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_order_ ABSL_GUARDED_BY(mutex_) = 0;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;  // the script thread, in Pop()
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_INBOUND_QUEUE_H_
