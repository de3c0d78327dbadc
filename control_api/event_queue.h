// SPDX-License-Identifier: GPL-3.0-or-later

// What one reader of events has yet to read: a snapshot, if it wants one, then
// Synced, then the events since. Of these it keeps a bounded number; where a
// reader is too slow it loses events, and reads one Lost in their place, which
// also makes room for all that follow.
//
// Not thread-safe.
#ifndef CONTROL_API_EVENT_QUEUE_H_
#define CONTROL_API_EVENT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/types/optional.h"
#include "control_api/event.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/subscription_table.h"

namespace kamailio_mqtt {

class EventQueue {
 public:
  struct Limits {
    size_t max_events = 1000;
    size_t max_bytes = size_t{4} << 20;
  };

  explicit EventQueue(const Limits& limits) : limits_(limits) {}

  // The state at `now`, which does not count against the limits. Once, before
  // all events.
  void Sync(TimePoint now, absl::optional<Event> connection,
            std::vector<Subscription> subscriptions);

  // Adds `make()`, an event of `now` with that many bytes of text and payload;
  // without room it is not made, but lost.
  template <typename Make>
  void Push(TimePoint now, size_t bytes, Make make) {
    const size_t size = sizeof(Entry) + bytes;
    if (!HasRoom(size)) {
      if (lost_ == 0) lost_since_ = now;
      ++lost_;
      return;
    }
    events_.push_back({Event{now, make()}, size});
    bytes_ += size;
  }

  // The next event to read, or none.
  absl::optional<Event> Pop();

 private:
  struct Entry {
    Event event;
    size_t size;
  };

  // Once events are lost, all are until the reader has been told.
  bool HasRoom(size_t size) const {
    return lost_ == 0 && events_.size() < limits_.max_events &&
           bytes_ + size <= limits_.max_bytes;
  }
  absl::optional<Event> PopSnapshot();

  const Limits limits_;

  // The snapshot.
  TimePoint synced_at_;
  absl::optional<Event> connection_;
  std::vector<Subscription> subscriptions_;
  size_t next_subscription_ = 0;
  bool sync_marker_ = false;

  std::deque<Entry> events_;
  size_t bytes_ = 0;  // Of events_.
  uint64_t lost_ = 0;
  TimePoint lost_since_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_EVENT_QUEUE_H_
