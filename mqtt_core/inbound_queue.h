// SPDX-License-Identifier: GPL-3.0-or-later

// Events on their way from the network thread to the script thread: bounded,
// so that a slow event route costs inbound messages, counted, and nothing else.
//
// Thread safety: Push(), Close() and WaitUntilIdle() may be called by any
// thread; Pop() by the script thread alone.
#ifndef MQTT_CORE_INBOUND_QUEUE_H_
#define MQTT_CORE_INBOUND_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mutex.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

struct ConnectedEvent {};
struct DisconnectedEvent {
  std::string reason;
};
using ScriptEvent =
    absl::variant<ConnectedEvent, DisconnectedEvent, InboundMessage>;

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

  // Waits for the next event; nullopt once the queue is closed. Calling it
  // says that the event before has been dealt with.
  absl::optional<ScriptEvent> Pop();

  // Ends Pop(). Messages that are left are dropped and counted. Returns how
  // many these are.
  size_t Close();

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

  // Whether the limits allow `next` beside what is there, or would if
  // at_most_once_ were empty.
  bool Fits(const InboundMessage& next, bool if_at_most_once_were_empty) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  List* Oldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ScriptEvent TakeFront(List* list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropFront(List* list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateGauge() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

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
