// SPDX-License-Identifier: GPL-3.0-or-later
//
// Wakes the one consumer of a shared-memory queue, across processes, with at
// most about one system call for each time that it slept.

#ifndef MQTT_CORE_WAKEUP_H_
#define MQTT_CORE_WAKEUP_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "mqtt_core/shared_memory.h"

namespace kamailio_mqtt {

// Made before the fork.  Then any number of threads of any of the processes
// may call Notify; one thread of one process is the consumer and calls the
// rest, in this order (either twice in a row does no harm):
//
//   for (;;) {
//     <consume until the queue is empty>
//     wakeup.PrepareToSleep();
//     if (<the queue is still empty>) <poll(2) wakeup.fd() for reading>
//     wakeup.FinishSleep();
//   }
//
// Why no wake-up is lost.  The generation is odd while the consumer sleeps, or
// is about to, and nobody has signalled it yet.  A producer publishes a record
// and then reads the generation; the consumer makes the generation odd and then
// looks for a record.  All four are sequentially consistent operations (that is
// what Notify and PrepareToSleep ask of the queue), so at least one side sees
// the other: the consumer finds the record, or the producer an odd generation.
// Who finds it odd writes the eventfd first and makes the generation even only
// then.  A producer killed before the write leaves the generation odd for the
// next one; killed after it, it has woken the consumer.  Who finds it even may
// rely on a consumer that is awake or has been signalled, and which looks at
// the queue before it next sleeps.
//
// A producer delayed between write and exchange cannot clear a later sleep: the
// exchange asks for the very generation it signalled.  Its late write, or one
// that FinishSleep did not drain, makes a later poll return at once, no more.
//
// What stays: a producer killed between publishing and Notify has told nobody.
// The record waits for the next Notify or for the consumer's next look, so a
// consumer should also look now and then by a timer (a second is often enough).
class Wakeup {
 public:
  // Fails with ResourceExhausted when the system gives no descriptor or memory.
  static absl::StatusOr<Wakeup> Create();

  Wakeup(Wakeup&& other) noexcept;
  Wakeup& operator=(Wakeup&& other) noexcept;
  ~Wakeup();

  // Wakes the consumer if it sleeps.  Call it after publishing with a
  // sequentially consistent operation.  Never blocks; without a sleeping
  // consumer it is a single load.  Keeps errno.
  void Notify() {
    const uint64_t generation = generation_->load(std::memory_order_seq_cst);
    if (IsAsleep(generation)) {
      WriteEvent();
      EndGeneration(generation);
    }
  }

  // Consumer only.  Announces the sleep.  Look at the queue again after it,
  // with a sequentially consistent load, and skip the sleep if it is not empty.
  void PrepareToSleep();

  // Consumer only.  Takes the announcement back and drains fd().  Look at the
  // queue after it.
  void FinishSleep();

  // A descriptor that is readable once somebody has notified the sleeper.  Only
  // for polling.  Owned by this object.
  int fd() const { return fd_; }

 private:
  friend class WakeupTestPeer;

  Wakeup(SharedMemory memory, int fd);

  static bool IsAsleep(uint64_t generation) { return generation % 2 == 1; }
  void WriteEvent();
  void EndGeneration(uint64_t generation);

  SharedMemory memory_;
  std::atomic<uint64_t>* generation_;  // In memory_.
  int fd_;
  // The consumer's own copy: nobody else begins a sleep.
  uint64_t last_generation_ = 0;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_WAKEUP_H_
