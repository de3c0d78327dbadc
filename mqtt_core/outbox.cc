// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/outbox.h"

#include <algorithm>
#include <utility>

namespace kamailio_mqtt {

Outbox::Outbox(const OutboxOptions& options, Statistics* statistics)
    : options_(options),
      window_(std::min(options.window, static_cast<size_t>(std::max<int64_t>(
                                           1, options.max_messages / 2)))),
      statistics_(statistics) {}

int64_t Outbox::Size(const Message& message) {
  return static_cast<int64_t>(message.topic.size() + message.payload.size());
}

bool Outbox::ExceedsLimits() const {
  const auto messages = static_cast<int64_t>(waiting() + in_flight());
  return messages > options_.max_messages || bytes_ > options_.max_bytes;
}

int64_t Outbox::Push(Message message, TimePoint now) {
  bytes_ += Size(message);
  statistics_->queued_bytes.Set(bytes_);
  statistics_->queued.Add(message.qos);
  statistics_->accepted.Add(message.qos);
  waiting_.push_back({std::move(message), now});
  int64_t dropped = 0;
  if (options_.policy == QueuePolicy::kDropOldest) {
    for (; !waiting_.empty() && ExceedsLimits(); ++dropped) {
      DropFront(&Statistics::dropped_oldest);
    }
  }
  return dropped;
}

const Message* Outbox::Next() const {
  if (waiting_.empty() || in_flight() >= window_) return nullptr;
  const Message& message = waiting_.front().message;
  if (message.qos == Qos::kExactlyOnce &&
      exactly_once_in_flight_ >= options_.exactly_once_window) {
    return nullptr;
  }
  return &message;
}

bool Outbox::IsWindowHalfEmpty() const {
  if (in_flight() > window_ / 2) return false;
  return waiting_.empty() ||
         waiting_.front().message.qos != Qos::kExactlyOnce ||
         exactly_once_in_flight_ <= options_.exactly_once_window / 2;
}

void Outbox::MarkSubmitted(PacketId packet_id) {
  const auto entry = waiting_.begin();
  entry->submitted_before = submitted_;
  if (entry->message.qos == Qos::kAtMostOnce) ++submitted_;
  if (entry->message.qos == Qos::kExactlyOnce) ++exactly_once_in_flight_;
  in_flight_.splice(in_flight_.end(), waiting_, entry);
  in_flight_by_id_[packet_id] = entry;
}

void Outbox::DropNext() { DropFront(&Statistics::dropped_invalid); }

bool Outbox::Confirm(PacketId packet_id) {
  const auto found = in_flight_by_id_.find(packet_id);
  if (found == in_flight_by_id_.end()) return false;
  const Entries::iterator entry = found->second;
  in_flight_by_id_.erase(found);

  const Message& message = entry->message;
  if (message.qos == Qos::kAtMostOnce) {
    statistics_->written.Add(message.qos);
    ++written_;
  } else {
    statistics_->acknowledged.Add(message.qos);
    proven_ = std::max(proven_, entry->submitted_before);
  }
  if (message.qos == Qos::kExactlyOnce) --exactly_once_in_flight_;
  CountGone(message);
  in_flight_.erase(entry);
  return true;
}

void Outbox::OnPingRequest() { written_before_ping_ = written_; }

void Outbox::OnPingResponse() {
  proven_ = std::max(proven_, written_before_ping_);
}

int64_t Outbox::OnConnectionClosed(bool cleanly) {
  RequeueInFlight();
  const int64_t unproven =
      cleanly ? 0 : std::max<int64_t>(0, written_ - proven_);
  statistics_->written.Add(Qos::kAtMostOnce, -unproven);
  statistics_->possibly_lost.Add(Qos::kAtMostOnce, unproven);
  submitted_ = written_ = written_before_ping_ = proven_ = 0;
  return unproven;
}

void Outbox::RequeueInFlight() {
  waiting_.splice(waiting_.begin(), in_flight_);
  in_flight_by_id_.clear();
  exactly_once_in_flight_ = 0;
}

int64_t Outbox::DropExpired(TimePoint now) {
  int64_t dropped = 0;
  for (absl::optional<TimePoint> expiry = NextExpiry();
       expiry.has_value() && *expiry <= now; expiry = NextExpiry()) {
    DropFront(&Statistics::dropped_ttl);
    ++dropped;
  }
  return dropped;
}

absl::optional<TimePoint> Outbox::NextExpiry() const {
  if (options_.time_to_live == Duration::zero() || waiting_.empty()) {
    return absl::nullopt;
  }
  return waiting_.front().accepted_at + options_.time_to_live;
}

int64_t Outbox::DropAllForShutdown() {
  RequeueInFlight();
  const auto count = static_cast<int64_t>(waiting_.size());
  while (!waiting_.empty()) DropFront(&Statistics::dropped_shutdown);
  return count;
}

void Outbox::DropFront(QosCounter Statistics::*counter) {
  const Message& message = waiting_.front().message;
  (statistics_->*counter).Add(message.qos);
  CountGone(message);
  waiting_.pop_front();
}

void Outbox::CountGone(const Message& message) {
  bytes_ -= Size(message);
  statistics_->queued_bytes.Set(bytes_);
  statistics_->queued.Add(message.qos, -1);
}

}  // namespace kamailio_mqtt
