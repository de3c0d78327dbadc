// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/event_queue.h"

namespace kamailio_mqtt {

void EventQueue::Sync(TimePoint now, absl::optional<Event> connection,
                      std::vector<Subscription> subscriptions) {
  synced_at_ = now;
  connection_ = std::move(connection);
  subscriptions_ = std::move(subscriptions);
  sync_marker_ = true;
}

absl::optional<Event> EventQueue::Pop() {
  if (sync_marker_) return PopSnapshot();
  if (!events_.empty()) {
    Event event = std::move(events_.front().event);
    bytes_ -= events_.front().size;
    events_.pop_front();
    return event;
  }
  if (lost_ > 0) {
    return Event{lost_since_, Event::Lost{std::exchange(lost_, 0)}};
  }
  return absl::nullopt;
}

absl::optional<Event> EventQueue::PopSnapshot() {
  if (connection_.has_value()) {
    return std::exchange(connection_, absl::nullopt);
  }
  if (next_subscription_ < subscriptions_.size()) {
    return Event{synced_at_,
                 Event::SubscriptionChanged{
                     std::move(subscriptions_[next_subscription_++]), false}};
  }
  subscriptions_ = {};
  sync_marker_ = false;
  return Event{synced_at_, Event::Synced{}};
}

}  // namespace kamailio_mqtt
