// SPDX-License-Identifier: GPL-3.0-or-later

// What Kamailio's processes share with the dispatcher: made in the main process
// before any fork, used by all of them afterwards.
#ifndef MQTT_CORE_SHARED_STATE_H_
#define MQTT_CORE_SHARED_STATE_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "mqtt_core/line_limit.h"
#include "mqtt_core/request_ring.h"
#include "mqtt_core/shared_memory.h"
#include "mqtt_core/statistics.h"
#include "mqtt_core/wakeup.h"

namespace kamailio_mqtt {

// Whether requests are taken. Before the dispatcher runs they wait in the ring.
enum class IntakeState : uint32_t { kOpen, kClosed };

// Zero-filled memory is a valid start.
struct SharedVariables {
  Statistics statistics;
  std::atomic<IntakeState> intake;
  LineLimit invalid_lines;  // about calls that are wrong
  LineLimit refusal_lines;  // about calls that cannot be taken
};

class SharedState {
 public:
  // `ring_capacity` in bytes.
  static absl::StatusOr<SharedState> Create(size_t ring_capacity);

  SharedVariables& variables() const {
    return *static_cast<SharedVariables*>(memory_.data());
  }
  Statistics& statistics() const { return variables().statistics; }
  RequestRing& ring() { return ring_; }
  Wakeup& wakeup() { return wakeup_; }

 private:
  SharedState(SharedMemory memory, RequestRing ring, Wakeup wakeup);

  SharedMemory memory_;
  RequestRing ring_;
  Wakeup wakeup_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_SHARED_STATE_H_
