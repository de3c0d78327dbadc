// SPDX-License-Identifier: GPL-3.0-or-later

// Finds the publish for which the broker closes the connection. MQTT 3.1.1 has
// no other way to refuse one (section 3.3.5), and a publish that was not
// confirmed is sent again first after every reconnect: what is behind it would
// never leave. At QoS 0 that is one that the socket has not taken: a large one,
// which the broker refuses by its first bytes.
//
// Two connections in a row that the broker closes soon after CONNACK, with the
// same message left as the oldest in flight, are the sign. From then on one
// message at a time is sent, the oldest first, once the connection has been
// quiet for a while. A message that is alone in flight when the broker closes
// three connections in a row is refused. This goes on until as many messages
// are confirmed or refused as were in flight at the sign.
//
// Another client with the same identifier closes connections too. That is no
// reason to drop a message: the break has to come after the message was sent
// and before it is confirmed, three times, each after another time of quiet;
// and a break with nothing in flight ends the search. So do keep-alive timeouts
// and connections that were aborted here; attempts that fail change nothing.
//
// What is possible at QoS 2: where more than QoS 0 is in flight, the search
// takes a session in which nothing is in flight, so the broker must forget the
// one it had. A message that the broker has got and not yet completed then
// arrives twice. Where the broker refuses a publish there is none: on the two
// connections before, what is older was completed, and what is newer never
// read. But a network that breaks both right after CONNACK looks the same.
//
// Thread safety: none.
#ifndef MQTT_CORE_REFUSAL_PROBE_H_
#define MQTT_CORE_REFUSAL_PROBE_H_

#include <cstddef>
#include <cstdint>

#include "mqtt_core/clock.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/outbox.h"

namespace kamailio_mqtt {

class RefusalProbe {
 public:
  // "Soon": after CONNACK, or in a search after a message was sent.
  static constexpr Duration kSoon = std::chrono::seconds(10);
  // The time of quiet before the first message of a search; so much longer with
  // each break for the same message.
  static constexpr Duration kQuiet = std::chrono::milliseconds(500);
  static constexpr int kBreaksToSearch = 2;
  static constexpr int kBreaksToRefuse = 3;

  enum class Verdict {
    kNothing,
    kSearching,  // a search begins
    kSuspect,    // the message in flight may be the one
    kRefused,    // it is
  };

  // One message at a time, and none in flight when a connection begins.
  bool is_searching() const { return left_ > 0; }

  // A CONNACK 0 has come. Returns how long to publish nothing.
  Duration OnConnected(TimePoint now);
  // In a search: its message was submitted, and confirmed.
  void OnSubmitted(TimePoint now) { submitted_at_ = now; }
  void OnConfirmed();
  // The connection has ended, with that in flight.
  Verdict OnDisconnected(DisconnectKind kind, TimePoint now,
                         const Outbox::Unconfirmed& unconfirmed);

 private:
  TimePoint connected_at_;
  TimePoint submitted_at_;
  size_t left_ = 0;  // messages to try in this search
  uint64_t suspect_ = 0;
  int breaks_ = 0;  // in a row, with the suspect
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_REFUSAL_PROBE_H_
