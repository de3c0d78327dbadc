// SPDX-License-Identifier: GPL-3.0-or-later

// Where a message on its way to the broker has got to. kAccepted comes first,
// one of the others is the end.
#ifndef MQTT_CORE_PUBLISH_OUTCOME_H_
#define MQTT_CORE_PUBLISH_OUTCOME_H_

namespace kamailio_mqtt {

enum class PublishOutcome {
  kAccepted,         // in the queue
  kWritten,          // QoS 0: the socket has it
  kAcknowledged,     // QoS 1: PUBACK, QoS 2: PUBCOMP
  kDroppedExpired,   // older than its time to live
  kDroppedOldest,    // the oldest of a full queue
  kDroppedInvalid,   // the protocol library does not take it
  kDroppedRefused,   // the broker closed the connection for it, each time
  kDroppedShutdown,  // left when the time to drain had passed
  kWithdrawn,        // taken back by who published it
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_PUBLISH_OUTCOME_H_
