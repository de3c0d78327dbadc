// SPDX-License-Identifier: GPL-3.0-or-later
//
// Whether another process of this machine is gone for good.

#ifndef MQTT_CORE_PROCESS_LIVENESS_H_
#define MQTT_CORE_PROCESS_LIVENESS_H_

#include <sys/types.h>

#include <chrono>

namespace kamailio_mqtt {

// Time since the machine's start, sleep included: the clock by which the kernel
// notes when a process began.
std::chrono::nanoseconds TimeSinceBoot();

// True unless it is certain that the process that was known as `pid` at
// `known_at` (a TimeSinceBoot) will never execute another instruction:
//   - no process has that number, or
//   - the one that has it began after `known_at`, so the number was used again,
//   or
//   - it is a zombie, not yet waited for by its parent, without a live thread.
// A stopped process may still run.  So may one that cannot be examined.
//
// Thread-safe.  Costs some microseconds.
bool ProcessMayStillRun(pid_t pid, std::chrono::nanoseconds known_at);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_PROCESS_LIVENESS_H_
