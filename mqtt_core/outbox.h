// SPDX-License-Identifier: GPL-3.0-or-later

// Accepted messages on their way to the broker: they wait here, bounded, and
// not in the protocol library. A message is `waiting` until it is submitted to
// the library and `in flight` until that is confirmed. A lost connection makes
// what is in flight at QoS 0 wait again, at the front. QoS 1 and 2 stay in
// flight, since the library may go on with them on the next connection, until
// they are confirmed or the session is lost: then they wait again too, all in
// the order of acceptance.
//
// A packet identifier must not be used again while its message is in flight
// (MQTT 3.1.1 section 2.3.1), and libmosquitto counts through all 65,535
// without looking. So nothing is submitted, at any QoS, when so many were used
// since the oldest message in flight that this one's would soon come up.
//
// What is in flight neither expires nor makes room for newer messages, with or
// without a connection: the broker may have it.
//
// Thread safety: none; the network thread owns it. The gauges and counters
// that it keeps in Statistics can be read by anyone.
#ifndef MQTT_CORE_OUTBOX_H_
#define MQTT_CORE_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <list>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/publish_outcome.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

enum class QueuePolicy { kReject, kDropOldest };

struct OutboxOptions {
  int64_t max_messages = 100000;  // waiting and in flight
  int64_t max_bytes = 64 << 20;   // of their topics and payloads
  QueuePolicy policy = QueuePolicy::kReject;
  Duration time_to_live = Duration::zero();  // zero: no limit
  size_t window = 256;                       // messages in flight
  // Of these, messages of QoS 2. While as many of them are unreleased as it
  // allows, 20 by default, a mosquitto takes no QoS 1 either: it disconnects
  // or, worse, acknowledges and drops. MQTT 3.1.1 has no way to tell what a
  // broker allows, so this stays below.
  size_t exactly_once_window = 16;
};

class Outbox {
 public:
  using PacketId = MqttClient::PacketId;

  // How many identifiers may be used while a message is in flight. The rest is
  // for those that the protocol library uses and nobody counts here: a call
  // that fails takes one, too.
  static constexpr int64_t kPacketIds = 60000;

  class Observer {
   public:
    virtual ~Observer() = default;
    // A message got somewhere: kAccepted first, its end later. Called from
    // within the method that brings it there. Ids count up from 1.
    virtual void OnPublish(uint64_t id, const Message& message,
                           PublishOutcome outcome) = 0;
  };

  // Statistics and observer outlive the outbox. There may be no observer.
  Outbox(const OutboxOptions& options, Statistics* statistics,
         Observer* observer = nullptr);
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Takes a message over and counts it as accepted. Under kReject the limits
  // were checked where the message was accepted (RequestSender), so it is
  // taken whatever they are. Under kDropOldest the oldest that wait are dropped
  // until the limits are met; where what is in flight leaves no room, that is
  // the message itself. Returns how many were dropped.
  // A `withdrawable` message can be taken back until it is submitted.
  int64_t Push(Message message, TimePoint now, bool withdrawable = false);
  // The id of the message that is pushed next.
  uint64_t next_id() const { return next_id_; }
  // Whether the limits allow one more of that size: kDropOldest makes room.
  bool HasRoomFor(const Message& message) const;
  // Whether it fits when nothing else is there.
  bool CanHold(const Message& message) const;

  // Takes a message back. False: it was submitted, or is gone.
  bool Withdraw(uint64_t id);

  // The message to submit next; null when nothing waits, the window is full or
  // packet identifiers have run out. Valid until the next call of a method that
  // is not const.
  const Message* Next() const;
  // What Next() returned was submitted under `packet_id`. Of messages in flight
  // under the same one, the oldest is confirmed first.
  void MarkSubmitted(PacketId packet_id);
  // A SUBSCRIBE or UNSUBSCRIBE was: they share the identifiers. These two may
  // have one that a message is in flight under, since the answers differ.
  void CountPacketId() { ++packet_ids_; }
  // What Next() returned can never be sent.
  void DropNext();
  // The broker refuses what Next() returned: it closes the connection for it.
  void DropRefused();

  // What is in flight: at QoS 0, what is not written.
  struct Unconfirmed {
    size_t count = 0;
    uint64_t oldest = 0;  // tells messages apart
  };
  Unconfirmed unconfirmed() const;

  // The message of QoS 1 or 2 that was submitted before all others that are in
  // flight; nullopt if there is none. `message` is valid until the next call of
  // a method that is not const.
  struct Unacknowledged {
    uint64_t id;
    const Message* message;
    TimePoint accepted_at;
  };
  absl::optional<Unacknowledged> OldestUnacknowledged() const;

  // Confirms a message in flight; false when there is none of that identifier.
  bool Confirm(PacketId packet_id);

  // A PINGREQ was sent, and answered: whatever was written before it was sent
  // has been handled by the broker.
  void OnPingRequest();
  void OnPingResponse();

  // The connection is gone: QoS 0 in flight waits again. Unless it was
  // closed `cleanly`, with DISCONNECT after everything else, QoS 0 messages
  // that were written and of which nothing proves that the broker handled them
  // count as possibly lost from now on. Returns how many these are.
  int64_t OnConnectionClosed(bool cleanly);
  // Nothing in flight will be confirmed: all of it waits again.
  void OnSessionLost();

  // Drops what has reached its time to live. Returns how many.
  int64_t DropExpired(TimePoint now);
  // When the next waiting message expires; nullopt when none will.
  absl::optional<TimePoint> NextExpiry() const;

  // Drops everything, counted as dropped at shutdown. Returns how many.
  int64_t DropAllForShutdown();

  const OutboxOptions& options() const { return options_; }
  int64_t bytes() const { return bytes_; }
  size_t waiting() const { return waiting_.size(); }
  size_t in_flight() const { return in_flight_.size(); }
  // Whether there is room for submitting more in one go: half of the window
  // and, where the next message is of QoS 2, half of theirs.
  bool IsWindowHalfEmpty() const;
  bool empty() const { return waiting_.empty() && in_flight_.empty(); }

 private:
  struct Entry {
    uint64_t id;  // counts up with each message accepted
    Message message;
    TimePoint accepted_at;
    // submitted_ and packet_ids_ when it was submitted itself.
    int64_t submitted_before = 0;
    int64_t packet_ids_before = 0;
    PacketId packet_id = 0;
  };
  using Entries = std::list<Entry>;

  static int64_t Size(const Message& message);
  // Makes what was in flight wait.
  void Requeue(Entries entries);
  void DropFront(PublishOutcome outcome);
  void Drop(Entries::iterator entry, PublishOutcome outcome);
  void CountGone(const Message& message);
  void Report(const Entry& entry, PublishOutcome outcome);
  bool ExceedsLimits() const;
  bool HasPacketIds() const;

  const OutboxOptions options_;
  // Under a low limit, half of it: so that new messages can displace old ones.
  const size_t window_;
  Statistics* const statistics_;
  Observer* const observer_;
  uint64_t next_id_ = 1;
  int64_t bytes_ = 0;
  Entries waiting_;    // by id
  Entries in_flight_;  // in the order of submission
  absl::flat_hash_map<PacketId, Entries::iterator> in_flight_by_id_;
  int64_t packet_ids_ = 0;  // used in all
  size_t exactly_once_in_flight_ = 0;
  // Withdrawable messages that were never submitted, by id.
  absl::flat_hash_map<uint64_t, Entries::iterator> withdrawable_;
  // QoS 0 messages on this connection: submitted, written to the socket,
  // written before the last PINGREQ, and known to have been handled. They are
  // written in the order of submission and the broker handles packets in the
  // order of the connection, so its answer to one of them proves all that were
  // submitted before it.
  int64_t submitted_ = 0;
  int64_t written_ = 0;
  int64_t written_before_ping_ = 0;
  int64_t proven_ = 0;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_OUTBOX_H_
