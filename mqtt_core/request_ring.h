// SPDX-License-Identifier: GPL-3.0-or-later
//
// A bounded first-in first-out queue of byte records in shared memory, from
// many producers (processes, or threads of one) to one reader.

#ifndef MQTT_CORE_REQUEST_RING_H_
#define MQTT_CORE_REQUEST_RING_H_

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "mqtt_core/process_liveness.h"
#include "mqtt_core/shared_memory.h"

namespace kamailio_mqtt {

// The ring and its producers' side.  Made before the fork; every process then
// uses its own copy of this object.  Thread-safe; holds no lock and allocates
// nothing, so a producer can be killed at any instruction without harm to the
// others: it leaves nothing, or a record that the reader recognises as torn.
//
// A record occupies whole cells of 64 bytes, without a gap: where it would
// cross the end of the ring, a padding record fills the end.  For each cell
// there is a control word.  The word of a record's first cell tells how long
// the record is, who writes it and how far that is; one compare-and-swap claims
// the cells and publishes all of this, so that the length and the owner of an
// unfinished record are known whatever becomes of the owner.  The reader renews
// the words of what it has consumed for the next lap.  Hence every word is
// always either free for exactly the next record at its place, or describes
// that record.
class RequestRing {
 public:
  enum class PushResult {
    kPushed,
    kFull,      // There is no room now.
    kTooLarge,  // There is never room: larger than MaxRecordSize().
  };

  struct Size {
    uint64_t records;
    uint64_t bytes;  // Of the ring's capacity, not of the records' contents.
  };

  // Totals since the ring was made: pushed = popped + torn + damaged + queued.
  struct Counters {
    uint64_t pushed;   // By producers, unfinished records included.
    uint64_t popped;   // By the reader.
    uint64_t torn;     // Skipped: their producer died while writing.
    uint64_t damaged;  // Lost because something overwrote the ring's memory.
  };

  static constexpr size_t kMinCapacity = 512;
  static constexpr size_t kMaxCapacity = size_t{64} << 20;

  // Makes an empty ring.  `capacity` is in bytes, from kMinCapacity to
  // kMaxCapacity (otherwise InvalidArgument), and is rounded up to a power
  // of 2.
  static absl::StatusOr<RequestRing> Create(size_t capacity);

  RequestRing(RequestRing&&) = default;
  RequestRing& operator=(RequestRing&&) = default;

  // Appends one record, the concatenation of `parts`, which is copied once.
  // Takes part in no waiting: a full ring is reported at once.  Notify the
  // reader (wakeup.h) after any result but kTooLarge.
  PushResult TryPush(absl::Span<const absl::string_view> parts);

  // What is queued, the record that the reader handles included.  A moment's
  // view; a producer killed between claiming and counting a record leaves
  // `records` one too small, never `bytes`.  Who no longer sees a record here
  // sees what the reader's handler has done with it.
  Size ApproximateSize() const;

  // Grows with each record that the reader has done with.
  uint64_t taken() const {
    return indexes_->taken.load(std::memory_order_acquire);
  }

  Counters counters() const;

  // Shows every finished record that the reader has not consumed, in order.
  // For when the reader is gone, at whatever instruction: changes nothing, and
  // never reads outside the ring.
  void ForEachQueued(absl::FunctionRef<void(absl::string_view)> show) const;

  size_t capacity() const { return cell_count() * kCellSize; }

  // Half the capacity, less a header.  With more, a record and the padding
  // before it might not fit even into an empty ring.
  size_t MaxRecordSize() const;

 private:
  friend class RequestRingReader;
  friend class RequestRingTestPeer;

  static constexpr size_t kCellSize = 64;

  enum class State : uint64_t {
    kFree = 0,     // So that zero-filled memory is an empty ring.
    kClaimed = 1,  // Being written by its owner.
    kReady = 2,
    kPadding = 3,
  };

  // What the word of the cell at some position says of it.
  enum class Kind { kFree, kClaimed, kReady, kPadding, kDamaged };

  // On cache lines of their own, by who writes them.
  struct Indexes {
    // Producers: where the next record is claimed.  May lag behind by one
    // claim, whose word tells how far.
    alignas(64) std::atomic<uint64_t> head;
    std::atomic<uint64_t> pushed;

    // The reader: everything before the tail is consumed, and free for
    // producers.  Written for many records at once, as producers read it often.
    alignas(64) std::atomic<uint64_t> tail;

    // The reader, record by record: what ApproximateSize takes for consumed.
    alignas(64) std::atomic<uint64_t> taken;
    std::atomic<uint64_t> popped;
    std::atomic<uint64_t> torn;
    std::atomic<uint64_t> damaged;
  };

  // The cells of a record that is being written.
  struct Claim {
    uint64_t position;
    uint64_t word;
  };

  RequestRing(SharedMemory memory, uint64_t cell_count);

  // Positions count cells from the ring's making and never wrap.
  uint64_t cell_count() const { return mask_ + 1; }
  uint64_t IndexOf(uint64_t position) const { return position & mask_; }
  std::atomic<uint64_t>& WordAt(uint64_t position) const {
    return words_[IndexOf(position)];
  }
  char* CellAt(uint64_t position) const {
    return cells_ + IndexOf(position) * kCellSize;
  }

  // Control words, see request_ring.cc.
  uint64_t FreeWord(uint64_t position) const;
  uint64_t MakeWord(uint64_t position, uint64_t cells, pid_t owner,
                    State state) const;
  bool IsOccupiedBy(uint64_t position, uint64_t word) const;
  uint64_t CellsOf(uint64_t word) const;
  static pid_t OwnerOf(uint64_t word);
  static State StateOf(uint64_t word);

  Kind Classify(uint64_t position, uint64_t word) const;
  // The record whose valid word is `word`; nullopt if its size is damaged.
  absl::optional<absl::string_view> RecordAt(uint64_t position,
                                             uint64_t word) const;

  absl::optional<Claim> TryClaim(size_t size, pid_t owner);
  void Write(const Claim& claim, size_t size,
             absl::Span<const absl::string_view> parts);
  bool Commit(const Claim& claim);
  // Moves the head past the record at `position`, unless somebody has done it.
  void AdvanceHead(uint64_t position, uint64_t cells);

  SharedMemory memory_;
  // In memory_:
  Indexes* indexes_;
  std::atomic<uint64_t>* words_;
  char* cells_;

  uint64_t mask_;
};

// The consuming side: at most one per ring, used by one thread.  The ring must
// outlive it and stay where it is.
//
// Trusts nothing that other processes can write.  It never reads outside the
// ring, and memory that makes no sense is skipped and counted as damaged.
class RequestRingReader {
 public:
  enum class Next {
    kRecord,     // `max_records` are consumed and there may be more.
    kNothing,    // The ring is empty.
    kUnfinished  // A producer has not finished the next record.
  };

  struct Result {
    size_t records;  // Consumed by this call.
    Next next;
  };

  using Handler = absl::FunctionRef<void(absl::string_view)>;

  // Whether the process `owner`, known at a time since boot, may go on writing.
  using OwnerCheck = std::function<bool(pid_t, std::chrono::nanoseconds)>;

  explicit RequestRingReader(RequestRing* ring,
                             OwnerCheck may_still_run = ProcessMayStillRun);
  RequestRingReader(const RequestRingReader&) = delete;
  RequestRingReader& operator=(const RequestRingReader&) = delete;

  // Calls `handle` for each record in order, up to `max_records`, with a view
  // of it in the ring that is valid until `handle` returns.  ApproximateSize no
  // longer counts it from then on; the room is given back to the producers at
  // the latest when Drain returns.
  //
  // On kUnfinished, call again within some milliseconds even without a wake-up:
  // a record whose owner has died is found by the second call and skipped.  A
  // stopped owner holds the records behind its own until it goes on or ends.
  Result Drain(size_t max_records, Handler handle);

  // Whether Drain would make progress; the look that Wakeup asks for after
  // PrepareToSleep.
  bool HasWork() const;

 private:
  using Kind = RequestRing::Kind;

  bool IsEmpty(uint64_t free_word);
  bool OwnerMayStillRun(uint64_t word);
  // Frees the cells of the record at position_, whose valid word is `word`, and
  // counts it as taken.
  void Consume(uint64_t word);
  // The same for a record that was not written to its end.
  void Skip(uint64_t word);
  void PublishTaken();
  void PublishTail();
  // Starts anew with an empty ring; what was in it counts as damaged.
  void Reset();

  RequestRing* const ring_;
  const OwnerCheck may_still_run_;

  // Copies of what the reader alone writes in shared memory, where others might
  // overwrite it.
  uint64_t position_;
  uint64_t popped_;
  uint64_t torn_;
  uint64_t damaged_;

  uint64_t published_;  // The position that producers know.

  // The unfinished record that the last Drain met, and when it first did.
  absl::optional<uint64_t> unfinished_;
  std::chrono::nanoseconds unfinished_since_{0};
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_REQUEST_RING_H_
