// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/outbox.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kamailio_mqtt {
namespace {

QosCounter Statistics::*DropCounter(PublishOutcome outcome) {
  switch (outcome) {
    case PublishOutcome::kDroppedExpired:
      return &Statistics::dropped_ttl;
    case PublishOutcome::kDroppedOldest:
      return &Statistics::dropped_oldest;
    case PublishOutcome::kDroppedRefused:
      return &Statistics::dropped_refused;
    case PublishOutcome::kDroppedShutdown:
      return &Statistics::dropped_shutdown;
    case PublishOutcome::kWithdrawn:
      return &Statistics::withdrawn;
    default:
      return &Statistics::dropped_invalid;
  }
}

}  // namespace

Outbox::Outbox(const OutboxOptions& options, Statistics* statistics,
               Observer* observer)
    : options_(options),
      window_(std::min(options.window, static_cast<size_t>(std::max<int64_t>(
                                           1, options.max_messages / 2)))),
      statistics_(statistics),
      observer_(observer) {}

int64_t Outbox::Size(const Message& message) {
  return static_cast<int64_t>(message.topic.size() + message.payload.size());
}

bool Outbox::ExceedsLimits() const {
  const auto messages = static_cast<int64_t>(waiting() + in_flight());
  return messages > options_.max_messages || bytes_ > options_.max_bytes;
}

bool Outbox::CanHold(const Message& message) const {
  return Size(message) <= options_.max_bytes;
}

bool Outbox::HasRoomFor(const Message& message) const {
  if (options_.policy == QueuePolicy::kDropOldest) return CanHold(message);
  const auto messages = static_cast<int64_t>(waiting() + in_flight());
  return messages < options_.max_messages &&
         bytes_ + Size(message) <= options_.max_bytes;
}

int64_t Outbox::Push(Message message, TimePoint now, bool withdrawable) {
  bytes_ += Size(message);
  statistics_->queued_bytes.Set(bytes_);
  statistics_->queued.Add(message.qos);
  statistics_->accepted.Add(message.qos);
  waiting_.push_back({next_id_++, std::move(message), now});
  const Entries::iterator entry = std::prev(waiting_.end());
  if (withdrawable) withdrawable_.emplace(entry->id, entry);
  Report(*entry, PublishOutcome::kAccepted);
  int64_t dropped = 0;
  if (options_.policy == QueuePolicy::kDropOldest) {
    for (; !waiting_.empty() && ExceedsLimits(); ++dropped) {
      DropFront(PublishOutcome::kDroppedOldest);
    }
  }
  return dropped;
}

const Message* Outbox::Next() const {
  if (waiting_.empty() || in_flight() >= window_ || !HasPacketIds()) {
    return nullptr;
  }
  const Message& message = waiting_.front().message;
  if (message.qos == Qos::kExactlyOnce &&
      exactly_once_in_flight_ >= options_.exactly_once_window) {
    return nullptr;
  }
  return &message;
}

bool Outbox::HasPacketIds() const {
  return in_flight_.empty() ||
         packet_ids_ - in_flight_.front().packet_ids_before < kPacketIds;
}

bool Outbox::IsWindowHalfEmpty() const {
  if (in_flight() > window_ / 2) return false;
  return waiting_.empty() ||
         waiting_.front().message.qos != Qos::kExactlyOnce ||
         exactly_once_in_flight_ <= options_.exactly_once_window / 2;
}

void Outbox::MarkSubmitted(PacketId packet_id) {
  const auto entry = waiting_.begin();
  withdrawable_.erase(entry->id);
  entry->submitted_before = submitted_;
  entry->packet_ids_before = packet_ids_++;
  entry->packet_id = packet_id;
  if (entry->message.qos == Qos::kAtMostOnce) ++submitted_;
  if (entry->message.qos == Qos::kExactlyOnce) ++exactly_once_in_flight_;
  in_flight_.splice(in_flight_.end(), waiting_, entry);
  in_flight_by_id_.try_emplace(packet_id, entry);
}

void Outbox::DropNext() { DropFront(PublishOutcome::kDroppedInvalid); }

bool Outbox::Withdraw(uint64_t id) {
  const auto found = withdrawable_.find(id);
  if (found == withdrawable_.end()) return false;
  Drop(found->second, PublishOutcome::kWithdrawn);
  return true;
}

void Outbox::DropRefused() { DropFront(PublishOutcome::kDroppedRefused); }

Outbox::Unconfirmed Outbox::unconfirmed() const {
  if (in_flight_.empty()) return {};
  const auto oldest = std::min_element(
      in_flight_.begin(), in_flight_.end(),
      [](const Entry& a, const Entry& b) { return a.id < b.id; });
  return {in_flight_.size(), oldest->id};
}

absl::optional<Outbox::Unacknowledged> Outbox::OldestUnacknowledged() const {
  for (const Entry& entry : in_flight_) {
    if (entry.message.qos != Qos::kAtMostOnce) {
      return Unacknowledged{entry.id, &entry.message, entry.accepted_at};
    }
  }
  return absl::nullopt;
}

bool Outbox::Confirm(PacketId packet_id) {
  const auto found = in_flight_by_id_.find(packet_id);
  if (found == in_flight_by_id_.end()) return false;
  const Entries::iterator entry = found->second;
  in_flight_by_id_.erase(found);

  const Message& message = entry->message;
  if (message.qos == Qos::kAtMostOnce) {
    statistics_->written.Add(message.qos);
    ++written_;
    Report(*entry, PublishOutcome::kWritten);
  } else {
    statistics_->acknowledged.Add(message.qos);
    proven_ = std::max(proven_, entry->submitted_before);
    Report(*entry, PublishOutcome::kAcknowledged);
  }
  if (message.qos == Qos::kExactlyOnce) --exactly_once_in_flight_;
  CountGone(message);
  in_flight_.erase(entry);
  if (in_flight_by_id_.size() < in_flight_.size()) {
    const auto next = std::find_if(
        in_flight_.begin(), in_flight_.end(),
        [&](const Entry& other) { return other.packet_id == packet_id; });
    if (next != in_flight_.end()) in_flight_by_id_.emplace(packet_id, next);
  }
  return true;
}

void Outbox::OnPingRequest() { written_before_ping_ = written_; }

void Outbox::OnPingResponse() {
  proven_ = std::max(proven_, written_before_ping_);
}

int64_t Outbox::OnConnectionClosed(bool cleanly) {
  Entries at_most_once;
  in_flight_by_id_.clear();
  for (auto it = in_flight_.begin(); it != in_flight_.end();) {
    const auto entry = it++;
    entry->submitted_before = 0;
    if (entry->message.qos == Qos::kAtMostOnce) {
      at_most_once.splice(at_most_once.end(), in_flight_, entry);
    } else {
      in_flight_by_id_.try_emplace(entry->packet_id, entry);
    }
  }
  Requeue(std::move(at_most_once));
  const int64_t unproven =
      cleanly ? 0 : std::max<int64_t>(0, written_ - proven_);
  statistics_->written.Add(Qos::kAtMostOnce, -unproven);
  statistics_->possibly_lost.Add(Qos::kAtMostOnce, unproven);
  submitted_ = written_ = written_before_ping_ = proven_ = 0;
  return unproven;
}

void Outbox::OnSessionLost() {
  in_flight_by_id_.clear();
  exactly_once_in_flight_ = 0;
  Requeue(std::exchange(in_flight_, {}));
}

void Outbox::Requeue(Entries entries) {
  const auto is_older = [](const Entry& a, const Entry& b) {
    return a.id < b.id;
  };
  entries.sort(is_older);
  waiting_.merge(entries, is_older);
}

int64_t Outbox::DropExpired(TimePoint now) {
  int64_t dropped = 0;
  for (absl::optional<TimePoint> expiry = NextExpiry();
       expiry.has_value() && *expiry <= now; expiry = NextExpiry()) {
    DropFront(PublishOutcome::kDroppedExpired);
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
  OnSessionLost();
  const auto count = static_cast<int64_t>(waiting_.size());
  while (!waiting_.empty()) DropFront(PublishOutcome::kDroppedShutdown);
  return count;
}

void Outbox::DropFront(PublishOutcome outcome) {
  Drop(waiting_.begin(), outcome);
}

void Outbox::Drop(Entries::iterator entry, PublishOutcome outcome) {
  (statistics_->*DropCounter(outcome)).Add(entry->message.qos);
  CountGone(entry->message);
  withdrawable_.erase(entry->id);
  Report(*entry, outcome);
  waiting_.erase(entry);
}

void Outbox::Report(const Entry& entry, PublishOutcome outcome) {
  if (observer_ != nullptr) {
    observer_->OnPublish(entry.id, entry.message, outcome);
  }
}

void Outbox::CountGone(const Message& message) {
  bytes_ -= Size(message);
  statistics_->queued_bytes.Set(bytes_);
  statistics_->queued.Add(message.qos, -1);
}

}  // namespace kamailio_mqtt
