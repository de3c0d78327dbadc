// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/subscription_table.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace kamailio_mqtt {
namespace {

// Appends `subscription` unless `page` is full.
bool Append(const Subscription& subscription, size_t limit,
            SubscriptionPage* page) {
  page->more = page->subscriptions.size() >= limit;
  if (page->more) return false;
  page->subscriptions.push_back(subscription);
  return true;
}

}  // namespace

bool SubscriptionTable::Add(absl::string_view filter, Qos qos,
                            SubscriptionOrigin origin) {
  Subscription* subscription = FindMutable(filter);
  if (subscription == nullptr) {
    subscription = &subscriptions_[++last_id_];
    subscription->id = last_id_;
    subscription->filter = std::string(filter);
    by_filter_.emplace(subscription->filter, subscription);
    trie_.Insert(filter, subscription);
  }
  subscription->origin = origin;
  const bool asked = subscription->packet_id != 0 ||
                     subscription->state == SubscriptionState::kActive;
  if (asked && subscription->requested_qos == qos) return false;
  subscription->requested_qos = qos;
  Reset(subscription);
  return true;
}

bool SubscriptionTable::Remove(absl::string_view filter) {
  Subscription* subscription = FindMutable(filter);
  if (subscription == nullptr) return false;
  LeaveState(subscription);
  trie_.Erase(filter, subscription);
  by_filter_.erase(filter);
  subscriptions_.erase(subscription->id);
  return true;
}

void SubscriptionTable::Clear() {
  in_flight_.clear();
  unsent_.clear();
  refused_.clear();
  trie_ = FilterTrie<Subscription*>();
  by_filter_.clear();
  subscriptions_.clear();
}

std::vector<const Subscription*> SubscriptionTable::PendingToSend(
    size_t limit) const {
  std::vector<const Subscription*> pending;
  pending.reserve(std::min(limit, unsent_.size()));
  for (const uint64_t id : unsent_) {
    if (pending.size() >= limit) break;
    pending.push_back(&subscriptions_.at(id));
  }
  return pending;
}

void SubscriptionTable::MarkSent(absl::string_view filter, uint16_t packet_id) {
  Subscription* subscription = FindMutable(filter);
  if (subscription == nullptr ||
      subscription->state != SubscriptionState::kPending) {
    return;
  }
  const auto former = in_flight_.find(packet_id);
  if (former != in_flight_.end()) Reset(former->second);
  LeaveState(subscription);
  subscription->packet_id = packet_id;
  subscription->in_session = true;
  in_flight_.emplace(packet_id, subscription);
}

void SubscriptionTable::MarkInSession(absl::string_view filter) {
  FindMutable(filter)->in_session = true;
}

void SubscriptionTable::MarkRefused(absl::string_view filter,
                                    absl::string_view reason) {
  Subscription* subscription = FindMutable(filter);
  if (subscription == nullptr ||
      subscription->state != SubscriptionState::kPending) {
    return;
  }
  Refuse(subscription, std::nullopt, reason);
}

const Subscription* SubscriptionTable::OnSuback(uint16_t packet_id,
                                                int return_code) {
  const auto found = in_flight_.find(packet_id);
  if (found == in_flight_.end()) return nullptr;
  Subscription* subscription = found->second;
  if (IsValidQos(return_code)) {
    LeaveState(subscription);
    subscription->state = SubscriptionState::kActive;
    subscription->granted_qos = static_cast<Qos>(return_code);
  } else {
    Refuse(subscription, return_code,
           absl::StrFormat("refused by the broker with return code 0x%02x",
                           return_code));
  }
  return subscription;
}

void SubscriptionTable::OnConnectionLost() {
  for (auto& [id, subscription] : subscriptions_) Reset(&subscription);
}

void SubscriptionTable::OnSessionLost() {
  for (auto& [id, subscription] : subscriptions_) {
    subscription.in_session = false;
  }
}

size_t SubscriptionTable::RecordMessage(absl::string_view topic,
                                        size_t payload_bytes, TimePoint now) {
  size_t matched = 0;
  trie_.Match(topic, [&](Subscription* subscription) {
    ++matched;
    ++subscription->messages;
    subscription->bytes += payload_bytes;
    subscription->last_message = now;
  });
  return matched;
}

std::vector<std::string> SubscriptionTable::MatchingFilters(
    absl::string_view topic) const {
  std::vector<std::string> filters;
  for (const Subscription* subscription : Matching(topic)) {
    filters.push_back(subscription->filter);
  }
  return filters;
}

const Subscription* SubscriptionTable::Find(absl::string_view filter) const {
  return FindMutable(filter);
}

SubscriptionPage SubscriptionTable::List(uint64_t after, size_t limit) const {
  SubscriptionPage page;
  for (auto it = subscriptions_.upper_bound(after);
       it != subscriptions_.end() && Append(it->second, limit, &page); ++it) {
  }
  return page;
}

std::vector<Subscription> SubscriptionTable::All() const {
  return List(0, std::numeric_limits<size_t>::max()).subscriptions;
}

SubscriptionPage SubscriptionTable::ListMatching(absl::string_view topic,
                                                 uint64_t after,
                                                 size_t limit) const {
  SubscriptionPage page;
  for (const Subscription* subscription : Matching(topic)) {
    if (subscription->id <= after) continue;
    if (!Append(*subscription, limit, &page)) break;
  }
  return page;
}

Subscription* SubscriptionTable::FindMutable(absl::string_view filter) const {
  const auto found = by_filter_.find(filter);
  return found == by_filter_.end() ? nullptr : found->second;
}

void SubscriptionTable::Reset(Subscription* subscription) {
  LeaveState(subscription);
  subscription->state = SubscriptionState::kPending;
  subscription->granted_qos.reset();
  subscription->refusal_code.reset();
  subscription->refusal_reason.clear();
  unsent_.insert(unsent_.end(), subscription->id);
}

void SubscriptionTable::LeaveState(Subscription* subscription) {
  unsent_.erase(subscription->id);
  refused_.erase(subscription->id);
  if (subscription->packet_id == 0) return;
  in_flight_.erase(subscription->packet_id);
  subscription->packet_id = 0;
}

void SubscriptionTable::Refuse(Subscription* subscription,
                               std::optional<int> code,
                               absl::string_view reason) {
  LeaveState(subscription);
  subscription->state = SubscriptionState::kRefused;
  subscription->refusal_code = code;
  subscription->refusal_reason = std::string(reason);
  refused_.insert(subscription->id);
}

std::vector<const Subscription*> SubscriptionTable::Matching(
    absl::string_view topic) const {
  std::vector<const Subscription*> matching;
  trie_.Match(topic, [&](const Subscription* subscription) {
    matching.push_back(subscription);
  });
  std::sort(matching.begin(), matching.end(),
            [](const Subscription* a, const Subscription* b) {
              return a->id < b->id;
            });
  return matching;
}

}  // namespace kamailio_mqtt
