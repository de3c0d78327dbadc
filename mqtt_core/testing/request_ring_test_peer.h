// SPDX-License-Identifier: GPL-3.0-or-later
//
// Lets tests stop a producer between the steps of RequestRing::TryPush, and
// overwrite the ring's memory as a faulty process might.

#ifndef MQTT_CORE_TESTING_REQUEST_RING_TEST_PEER_H_
#define MQTT_CORE_TESTING_REQUEST_RING_TEST_PEER_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "mqtt_core/request_ring.h"

namespace kamailio_mqtt {

class RequestRingTestPeer {
 public:
  using Claim = RequestRing::Claim;

  // The steps of TryPush, in the name of any process.
  static absl::optional<Claim> TryClaim(RequestRing& ring, size_t size,
                                        pid_t owner) {
    return ring.TryClaim(size, owner);
  }
  static void Write(RequestRing& ring, const Claim& claim,
                    absl::string_view record) {
    ring.Write(claim, record.size(), {record});
  }
  static bool Commit(RequestRing& ring, const Claim& claim) {
    return ring.Commit(claim);
  }

  static std::atomic<uint64_t>& Head(RequestRing& ring) {
    return ring.indexes_->head;
  }
  static std::atomic<uint64_t>& Tail(RequestRing& ring) {
    return ring.indexes_->tail;
  }
  // Of the cell with the number `index`.
  static std::atomic<uint64_t>& Word(RequestRing& ring, uint64_t index) {
    return ring.WordAt(index);
  }
  // What Word(index) holds for a record of `cells` that is ready in lap 0.
  static uint64_t ReadyWord(RequestRing& ring, uint64_t index, uint64_t cells) {
    return ring.MakeWord(index, cells, /*owner=*/1, RequestRing::State::kReady);
  }
  // The size field of the record that begins in cell `index`.
  static std::atomic<uint64_t>& RecordSize(RequestRing& ring, uint64_t index) {
    return *reinterpret_cast<std::atomic<uint64_t>*>(ring.CellAt(index));
  }

  // Everything that processes share.
  static absl::Span<char> Memory(RequestRing& ring) {
    return absl::MakeSpan(static_cast<char*>(ring.memory_.data()),
                          ring.memory_.size());
  }
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_REQUEST_RING_TEST_PEER_H_
