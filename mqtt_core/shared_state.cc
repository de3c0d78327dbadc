// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/shared_state.h"

#include <new>
#include <utility>

namespace kamailio_mqtt {

absl::StatusOr<SharedState> SharedState::Create(size_t ring_capacity) {
  absl::StatusOr<SharedMemory> memory =
      SharedMemory::Create(sizeof(SharedVariables));
  if (!memory.ok()) return memory.status();
  new (memory->data()) SharedVariables();
  absl::StatusOr<RequestRing> ring = RequestRing::Create(ring_capacity);
  if (!ring.ok()) return ring.status();
  absl::StatusOr<Wakeup> wakeup = Wakeup::Create();
  if (!wakeup.ok()) return wakeup.status();
  return SharedState(*std::move(memory), *std::move(ring), *std::move(wakeup));
}

SharedState::SharedState(SharedMemory memory, RequestRing ring, Wakeup wakeup)
    : memory_(std::move(memory)),
      ring_(std::move(ring)),
      wakeup_(std::move(wakeup)) {}

}  // namespace kamailio_mqtt
