// SPDX-License-Identifier: GPL-3.0-or-later

// The subscriptions that are wanted, and what the broker said to each
// (MQTT 3.1.1 sections 3.8 and 3.9).
//
// Not thread-safe: belongs to the network thread. Sends nothing itself; it
// tells its owner what to send. Filters given to it are valid (see topic.h).
#ifndef MQTT_CORE_SUBSCRIPTION_TABLE_H_
#define MQTT_CORE_SUBSCRIPTION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/filter_trie.h"
#include "mqtt_core/message.h"

namespace kamailio_mqtt {

enum class SubscriptionState {
  kPending,  // The broker has not answered, or was not asked yet.
  kActive,   // Granted on the present connection.
  kRefused,  // Refused on the present connection.
};

// Who asked for a subscription.
enum class SubscriptionOrigin { kScript, kControl };

struct Subscription {
  // Counts up with each filter that is new to the table, from 1; gives the
  // order of first subscription.
  uint64_t id = 0;
  std::string filter;
  Qos requested_qos = Qos::kAtMostOnce;
  SubscriptionOrigin origin = SubscriptionOrigin::kScript;
  SubscriptionState state = SubscriptionState::kPending;
  // The packet identifier of the SUBSCRIBE under way; 0 if there is none.
  uint16_t packet_id = 0;
  // Whether the broker's session may have it: a SUBSCRIBE was sent in it, on
  // the present connection or an earlier one.
  bool in_session = false;
  // While active.
  std::optional<Qos> granted_qos;
  // While refused: the return code of the SUBACK, absent if the SUBSCRIBE never
  // reached the broker, and the reason in words.
  std::optional<int> refusal_code;
  std::string refusal_reason;
  // What has come in on topics that the filter matches, over all connections;
  // bytes are those of payloads.
  uint64_t messages = 0;
  uint64_t bytes = 0;
  std::optional<TimePoint> last_message;
};

// Part of the table, in the order of first subscription.
struct SubscriptionPage {
  std::vector<Subscription> subscriptions;
  // Whether more follow; they come with the id of the last one as `after`.
  bool more = false;
};

class SubscriptionTable {
 public:
  SubscriptionTable() = default;
  SubscriptionTable(const SubscriptionTable&) = delete;
  SubscriptionTable& operator=(const SubscriptionTable&) = delete;

  // Wants `filter` with `qos`. The newest request for a filter replaces those
  // before, be it under way, granted or refused; an answer that still comes
  // for one of them is ignored.
  //
  // Returns whether a SUBSCRIBE must be sent, so that the subscription is now
  // among PendingToSend(). That is not so if the same QoS has been granted or
  // asked for on the present connection.
  bool Add(absl::string_view filter, Qos qos, SubscriptionOrigin origin);

  // Wants `filter` no longer. Returns whether it was in the table.
  bool Remove(absl::string_view filter);

  // Forgets all subscriptions. Ids go on from where they are.
  void Clear();

  // Up to `limit` subscriptions for which a SUBSCRIBE must be sent, in the
  // order of first subscription. Valid until a subscription is removed.
  std::vector<const Subscription*> PendingToSend(
      size_t limit = std::numeric_limits<size_t>::max()) const;

  // A SUBSCRIBE for `filter` is under way with `packet_id`, which is not 0.
  // No effect if `filter` is not pending. Another subscription with the same
  // packet identifier has waited for so long that identifiers are used again:
  // it must be sent once more.
  void MarkSent(absl::string_view filter, uint16_t packet_id);

  // The broker's session may have `filter`, which is in the table, from an
  // earlier subscription.
  void MarkInSession(absl::string_view filter);

  // `filter` cannot be sent to the broker, for `reason`. No effect if it is not
  // pending.
  void MarkRefused(absl::string_view filter, absl::string_view reason);

  // The broker answered the SUBSCRIBE with `packet_id`: `return_code` is the
  // granted QoS, or 0x80 for a failure. Returns the subscription, which is
  // active or refused now, or nullptr if none waits for this answer. Valid
  // until the subscription is removed.
  const Subscription* OnSuback(uint16_t packet_id, int return_code);

  // Nothing is granted, refused or under way any longer: all subscriptions must
  // be sent again.
  void OnConnectionLost();

  // The broker's session has none of them any longer.
  void OnSessionLost();

  // Counts a message that came in for `topic` at `now` with `payload_bytes`
  // towards every subscription that it matches. Returns how many these are.
  size_t RecordMessage(absl::string_view topic, size_t payload_bytes,
                       TimePoint now);

  // The filters that match `topic`, in the order of first subscription.
  std::vector<std::string> MatchingFilters(absl::string_view topic) const;

  // The subscription for `filter`, or nullptr. Valid until it is removed.
  const Subscription* Find(absl::string_view filter) const;

  // Up to `limit` (at least 1) subscriptions with an id above `after`.
  SubscriptionPage List(uint64_t after, size_t limit) const;

  // All subscriptions, in the order of first subscription.
  std::vector<Subscription> All() const;

  // As List, of the subscriptions that match `topic`.
  SubscriptionPage ListMatching(absl::string_view topic, uint64_t after,
                                size_t limit) const;

  size_t Size() const { return subscriptions_.size(); }

  // How many are refused.
  size_t Refused() const { return refused_.size(); }

  // How many SUBSCRIBEs wait for their answer.
  size_t InFlight() const { return in_flight_.size(); }

 private:
  Subscription* FindMutable(absl::string_view filter) const;
  // Makes `subscription` wait to be sent, whatever it was before.
  void Reset(Subscription* subscription);
  // Takes `subscription` out of those that wait, to be sent or for an answer,
  // and of those that are refused.
  void LeaveState(Subscription* subscription);
  void Refuse(Subscription* subscription, std::optional<int> code,
              absl::string_view reason);
  std::vector<const Subscription*> Matching(absl::string_view topic) const;

  // A map does not move its elements: the indexes below point to them.
  std::map<uint64_t, Subscription> subscriptions_;
  uint64_t last_id_ = 0;
  absl::flat_hash_map<absl::string_view, Subscription*> by_filter_;
  FilterTrie<Subscription*> trie_;
  // A subscription that is not active is in exactly one of these.
  std::set<uint64_t> unsent_;                               // By id.
  absl::flat_hash_map<uint16_t, Subscription*> in_flight_;  // By packet id.
  std::set<uint64_t> refused_;                              // By id.
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_SUBSCRIPTION_TABLE_H_
