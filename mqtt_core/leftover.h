// SPDX-License-Identifier: GPL-3.0-or-later

// What a dispatcher that was killed leaves behind: accepted messages that have
// come to no end, neither sent nor counted as dropped.
#ifndef MQTT_CORE_LEFTOVER_H_
#define MQTT_CORE_LEFTOVER_H_

#include "mqtt_core/log.h"
#include "mqtt_core/shared_state.h"

namespace kamailio_mqtt {

// Logs how many messages of each QoS are lost, if any: those in the
// dispatcher's queue, in flight included, and those still on their way to it.
// After a stop there are none: what it could not send counts as dropped.
//
// For one thread, once every other process that uses `state` has ended, be it
// killed at any instruction. Neither waits nor trusts what is in the shared
// memory. A message that the dispatcher was just taking over counts twice.
void ReportLeftover(SharedState* state, Log* log);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_LEFTOVER_H_
