// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request_ring.h"

#include <pthread.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

// A lock behind an atomic would be a lock that a killed process can hold.
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// A control word, in a ring of 2^b cells:
//
//   bits 63 .. 24+b   lap: the position's bits 39 .. b
//   bits 23+b .. 24   cells of the record, 1 .. 2^(b-1)
//   bits 23 .. 2      process id of the owner
//   bits 1 .. 0       State
//
// The budget: Linux keeps process ids below 2^22.  Of a position, the low b
// bits are the index of the word's cell, which need not be stored, and the
// count of cells takes just their place.  With the lap a word so tells the
// position to 40 bits whatever b is (at most 20: 64 MiB).  A compare-and-swap
// by a producer that was delayed could hit a wrong record only if exactly a
// multiple of 2^40 cells, 64 TiB of records, went by in the meantime.
constexpr int kOwnerShift = 2;
constexpr int kCellsShift = 24;
constexpr uint64_t kStateMask = (uint64_t{1} << kOwnerShift) - 1;
constexpr uint64_t kOwnerMask =
    (uint64_t{1} << (kCellsShift - kOwnerShift)) - 1;

// A record in its cells: its size, then its bytes.
using RecordHeader = std::atomic<uint64_t>;

// getpid without a system call.  Written when no other thread runs.
pid_t process_id = 0;

void NoteProcessId() { process_id = getpid(); }

uint64_t RoundUpToPowerOf2(uint64_t value) {
  uint64_t power = 1;
  while (power < value) power *= 2;
  return power;
}

}  // namespace

absl::StatusOr<RequestRing> RequestRing::Create(size_t capacity) {
  if (capacity < kMinCapacity || capacity > kMaxCapacity) {
    return absl::InvalidArgumentError(absl::StrCat(
        "request ring: capacity is ", capacity, " bytes, must be from ",
        kMinCapacity, " to ", kMaxCapacity));
  }
  static const int atfork_error = [] {
    NoteProcessId();
    return pthread_atfork(/*prepare=*/nullptr, /*parent=*/nullptr,
                          /*child=*/NoteProcessId);
  }();
  if (atfork_error != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("request ring: pthread_atfork: ", strerror(atfork_error)));
  }
  const uint64_t cell_count = RoundUpToPowerOf2(capacity) / kCellSize;
  absl::StatusOr<SharedMemory> memory = SharedMemory::Create(
      sizeof(Indexes) + cell_count * (sizeof(*words_) + kCellSize));
  if (!memory.ok()) return memory.status();
  return RequestRing(*std::move(memory), cell_count);
}

RequestRing::RequestRing(SharedMemory memory, uint64_t cell_count)
    : memory_(std::move(memory)), mask_(cell_count - 1) {
  // The words stay the zero-filled pages they are, each a kFree of lap 0.
  char* next = static_cast<char*>(memory_.data());
  indexes_ = new (next) Indexes();
  next += sizeof(Indexes);
  words_ = reinterpret_cast<std::atomic<uint64_t>*>(next);
  next += cell_count * sizeof(*words_);
  cells_ = next;
}

size_t RequestRing::MaxRecordSize() const {
  return capacity() / 2 - sizeof(RecordHeader);
}

RequestRing::Size RequestRing::ApproximateSize() const {
  // What the reader counts comes first, so that it is never ahead of the rest.
  const uint64_t taken = this->taken();
  const uint64_t gone = indexes_->popped.load(std::memory_order_acquire) +
                        indexes_->torn.load(std::memory_order_relaxed) +
                        indexes_->damaged.load(std::memory_order_relaxed);
  const uint64_t head = indexes_->head.load(std::memory_order_acquire);
  const uint64_t pushed = indexes_->pushed.load(std::memory_order_relaxed);
  return {pushed > gone ? pushed - gone : 0,
          head > taken ? (head - taken) * kCellSize : 0};
}

RequestRing::Counters RequestRing::counters() const {
  return {indexes_->pushed.load(std::memory_order_relaxed),
          indexes_->popped.load(std::memory_order_relaxed),
          indexes_->torn.load(std::memory_order_relaxed),
          indexes_->damaged.load(std::memory_order_relaxed)};
}

void RequestRing::ForEachQueued(
    absl::FunctionRef<void(absl::string_view)> show) const {
  // The reader may have got further than the tail says.  What it has consumed
  // is free for the next lap, which makes no sense in this one.
  uint64_t position = indexes_->tail.load(std::memory_order_acquire);
  uint64_t cells = 0;
  for (uint64_t passed = 0; passed < cell_count(); passed += cells) {
    const uint64_t word = WordAt(position).load(std::memory_order_acquire);
    const Kind kind = Classify(position, word);
    if (kind == Kind::kReady) {
      const absl::optional<absl::string_view> record = RecordAt(position, word);
      if (record.has_value()) show(*record);
    }
    cells = kind == Kind::kFree || kind == Kind::kDamaged ? 1 : CellsOf(word);
    position += cells;
  }
}

uint64_t RequestRing::FreeWord(uint64_t position) const {
  return (position & ~mask_) << kCellsShift;
}

uint64_t RequestRing::MakeWord(uint64_t position, uint64_t cells, pid_t owner,
                               State state) const {
  return FreeWord(position) | cells << kCellsShift |
         static_cast<uint64_t>(owner) << kOwnerShift |
         static_cast<uint64_t>(state);
}

bool RequestRing::IsOccupiedBy(uint64_t position, uint64_t word) const {
  const uint64_t lap_mask = ~mask_ << kCellsShift;
  return StateOf(word) != State::kFree && CellsOf(word) != 0 &&
         (word & lap_mask) == FreeWord(position);
}

uint64_t RequestRing::CellsOf(uint64_t word) const {
  return word >> kCellsShift & mask_;
}

pid_t RequestRing::OwnerOf(uint64_t word) {
  return static_cast<pid_t>(word >> kOwnerShift & kOwnerMask);
}

RequestRing::State RequestRing::StateOf(uint64_t word) {
  return static_cast<State>(word & kStateMask);
}

RequestRing::Kind RequestRing::Classify(uint64_t position,
                                        uint64_t word) const {
  if (word == FreeWord(position)) return Kind::kFree;
  const uint64_t cells = CellsOf(word);
  if (!IsOccupiedBy(position, word) || cells > cell_count() / 2 ||
      cells > cell_count() - IndexOf(position)) {
    return Kind::kDamaged;
  }
  switch (StateOf(word)) {
    case State::kClaimed:
      return Kind::kClaimed;
    case State::kReady:
      return Kind::kReady;
    case State::kPadding:
      return Kind::kPadding;
    case State::kFree:
      break;
  }
  return Kind::kDamaged;
}

absl::optional<absl::string_view> RequestRing::RecordAt(uint64_t position,
                                                        uint64_t word) const {
  const char* const cell = CellAt(position);
  const uint64_t size = reinterpret_cast<const RecordHeader*>(cell)->load(
      std::memory_order_relaxed);
  const uint64_t room = CellsOf(word) * kCellSize - sizeof(RecordHeader);
  if (size > room) return absl::nullopt;
  return absl::string_view(cell + sizeof(RecordHeader), size);
}

RequestRing::PushResult RequestRing::TryPush(
    absl::Span<const absl::string_view> parts) {
  size_t size = 0;
  for (absl::string_view part : parts) size += part.size();
  if (size > MaxRecordSize()) return PushResult::kTooLarge;

  const absl::optional<Claim> claim = TryClaim(size, process_id);
  if (!claim.has_value()) return PushResult::kFull;
  Write(*claim, size, parts);
  return Commit(*claim) ? PushResult::kPushed : PushResult::kFull;
}

absl::optional<RequestRing::Claim> RequestRing::TryClaim(size_t size,
                                                         pid_t owner) {
  const uint64_t record_cells =
      (sizeof(RecordHeader) + size + kCellSize - 1) / kCellSize;
  // Each turn but the last means that another producer got further.
  for (;;) {
    const uint64_t position = indexes_->head.load(std::memory_order_acquire);
    // Before the word: if that is still free for `position`, then the reader
    // has not passed it, and `tail` is not beyond.
    const uint64_t tail = indexes_->tail.load(std::memory_order_acquire);
    std::atomic<uint64_t>& word = WordAt(position);
    uint64_t seen = word.load(std::memory_order_acquire);
    if (IsOccupiedBy(position, seen)) {
      // Its owner was slow, or killed, before it could move the head.
      AdvanceHead(position, CellsOf(seen));
      continue;
    }
    if (seen != FreeWord(position)) {
      // Of another lap: not consumed yet, or `position` is out of date.
      if (indexes_->head.load(std::memory_order_acquire) != position) continue;
      return absl::nullopt;
    }
    const uint64_t cells_to_end = cell_count() - IndexOf(position);
    const bool pad = record_cells > cells_to_end;
    const uint64_t padding_cells = pad ? cells_to_end : 0;
    if (position + padding_cells + record_cells - tail > cell_count()) {
      return absl::nullopt;
    }
    const uint64_t cells = pad ? padding_cells : record_cells;
    const uint64_t claimed = MakeWord(position, cells, owner,
                                      pad ? State::kPadding : State::kClaimed);
    if (!word.compare_exchange_strong(seen, claimed,
                                      std::memory_order_seq_cst)) {
      continue;
    }
    AdvanceHead(position, cells);
    if (pad) continue;
    indexes_->pushed.fetch_add(1, std::memory_order_relaxed);
    return Claim{position, claimed};
  }
}

void RequestRing::Write(const Claim& claim, size_t size,
                        absl::Span<const absl::string_view> parts) {
  char* const cell = CellAt(claim.position);
  reinterpret_cast<RecordHeader*>(cell)->store(size, std::memory_order_relaxed);
  char* out = cell + sizeof(RecordHeader);
  for (absl::string_view part : parts) {
    if (part.empty()) continue;
    memcpy(out, part.data(), part.size());
    out += part.size();
  }
}

bool RequestRing::Commit(const Claim& claim) {
  // Fails only if the reader has reset the damaged ring since the claim.
  // Sequentially consistent for the sake of Wakeup.
  uint64_t expected = claim.word;
  const uint64_t ready =
      (claim.word & ~kStateMask) | static_cast<uint64_t>(State::kReady);
  return WordAt(claim.position)
      .compare_exchange_strong(expected, ready, std::memory_order_seq_cst);
}

void RequestRing::AdvanceHead(uint64_t position, uint64_t cells) {
  indexes_->head.compare_exchange_strong(position, position + cells,
                                         std::memory_order_acq_rel);
}

RequestRingReader::RequestRingReader(RequestRing* ring,
                                     OwnerCheck may_still_run)
    : ring_(ring),
      may_still_run_(std::move(may_still_run)),
      position_(ring->indexes_->tail.load(std::memory_order_acquire)),
      popped_(ring->indexes_->popped.load(std::memory_order_relaxed)),
      torn_(ring->indexes_->torn.load(std::memory_order_relaxed)),
      damaged_(ring->indexes_->damaged.load(std::memory_order_relaxed)),
      published_(position_) {}

RequestRingReader::Result RequestRingReader::Drain(size_t max_records,
                                                   Handler handle) {
  Result result{/*records=*/0, Next::kRecord};
  while (result.records < max_records && result.next == Next::kRecord) {
    const uint64_t word =
        ring_->WordAt(position_).load(std::memory_order_acquire);
    switch (ring_->Classify(position_, word)) {
      case Kind::kFree:
        if (IsEmpty(word)) result.next = Next::kNothing;
        break;
      case Kind::kClaimed:
        if (OwnerMayStillRun(word)) {
          result.next = Next::kUnfinished;
        } else if (word ==
                   ring_->WordAt(position_).load(std::memory_order_acquire)) {
          // Nor did the owner finish the record just before it died.
          ++torn_;
          Skip(word);
        }
        break;
      case Kind::kReady:
        if (const absl::optional<absl::string_view> record =
                ring_->RecordAt(position_, word)) {
          handle(*record);
          ++result.records;
          ++popped_;
        } else {
          ++damaged_;
        }
        Consume(word);
        break;
      case Kind::kPadding:
        Skip(word);
        break;
      case Kind::kDamaged:
        Reset();
        break;
    }
  }
  PublishTail();
  return result;
}

bool RequestRingReader::HasWork() const {
  // Sequentially consistent for the sake of Wakeup.
  const Kind kind = ring_->Classify(
      position_, ring_->WordAt(position_).load(std::memory_order_seq_cst));
  return kind != Kind::kFree && kind != Kind::kClaimed;
}

bool RequestRingReader::IsEmpty(uint64_t free_word) {
  if (ring_->indexes_->head.load(std::memory_order_acquire) == position_) {
    return true;
  }
  // The head passes a cell only after the claim of it.  Either that came just
  // now, or head and word contradict each other.
  if (ring_->WordAt(position_).load(std::memory_order_acquire) == free_word) {
    Reset();
  }
  return false;
}

bool RequestRingReader::OwnerMayStillRun(uint64_t word) {
  if (unfinished_ != position_) {
    // Most likely its owner is in the middle of copying: not worth a look yet.
    unfinished_ = position_;
    unfinished_since_ = TimeSinceBoot();
    return true;
  }
  return may_still_run_(RequestRing::OwnerOf(word), unfinished_since_);
}

void RequestRingReader::Skip(uint64_t word) {
  // Its producer may have been killed before it moved the head, and once the
  // word is renewed it no longer tells the others where to go on.
  ring_->AdvanceHead(position_, ring_->CellsOf(word));
  Consume(word);
}

void RequestRingReader::Consume(uint64_t word) {
  const uint64_t end = position_ + ring_->CellsOf(word);
  const uint64_t next_lap = ring_->FreeWord(position_ + ring_->cell_count());
  for (; position_ != end; ++position_) {
    ring_->WordAt(position_).store(next_lap, std::memory_order_release);
  }
  PublishTaken();
  if (position_ - published_ >= ring_->cell_count() / 8) PublishTail();
}

void RequestRingReader::PublishTaken() {
  RequestRing::Indexes& indexes = *ring_->indexes_;
  indexes.popped.store(popped_, std::memory_order_release);
  indexes.torn.store(torn_, std::memory_order_relaxed);
  indexes.damaged.store(damaged_, std::memory_order_relaxed);
  indexes.taken.store(position_, std::memory_order_release);
}

void RequestRingReader::PublishTail() {
  ring_->indexes_->tail.store(position_, std::memory_order_release);
  published_ = position_;
}

void RequestRingReader::Reset() {
  RequestRing::Indexes& indexes = *ring_->indexes_;
  // The beginning of a lap of which no producer under way can have a word.
  position_ = ((position_ | ring_->mask_) + 1) + ring_->cell_count();
  const uint64_t free_word = ring_->FreeWord(position_);
  for (uint64_t i = 0; i < ring_->cell_count(); ++i) {
    ring_->WordAt(i).store(free_word, std::memory_order_release);
  }
  indexes.head.store(position_, std::memory_order_release);
  const uint64_t pushed = indexes.pushed.load(std::memory_order_relaxed);
  const uint64_t accounted = popped_ + torn_ + damaged_;
  if (pushed > accounted) damaged_ += pushed - accounted;
  PublishTaken();
  PublishTail();
}

}  // namespace kamailio_mqtt
