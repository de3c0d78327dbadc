// SPDX-License-Identifier: GPL-3.0-or-later

// The input is a sequence of steps, each a letter and its argument bytes:
//   p SIZE            push a record
//   c SIZE            claim a record, in the name of a process of its own
//   f WHICH           finish one of the claimed records
//   k WHICH           kill the owner of one of them
//   d MAX             drain up to so many records
//   x OFFSET(2) BITS  flip bits somewhere in the shared memory
// Up to the first flip the ring must do exactly what a plain queue does; then
// it must stay within its memory, and work again once its owners are dead.

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "mqtt_core/request_ring.h"
#include "mqtt_core/testing/request_ring_test_peer.h"

namespace {

using ::kamailio_mqtt::RequestRing;
using ::kamailio_mqtt::RequestRingReader;
using Next = RequestRingReader::Next;
using Peer = ::kamailio_mqtt::RequestRingTestPeer;
using PushResult = RequestRing::PushResult;

constexpr size_t kCellSize = 64;
constexpr size_t kHeaderSize = 8;

void Check(bool condition) {
  if (!condition) std::abort();
}

// The steps still to take.  Reads zeros past the end.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }

  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const uint8_t byte = bytes_.front();
    bytes_.remove_prefix(1);
    return byte;
  }

 private:
  absl::Span<const uint8_t> bytes_;
};

// What the ring should hold.
struct Entry {
  enum class Kind { kPadding, kReady, kClaimed, kDead };

  Kind kind;
  uint64_t cells;
  std::string record;
  absl::optional<Peer::Claim> claim;
  pid_t owner = 0;
};

class RingAndModel {
 public:
  void Step(Input& input) {
    switch (input.Byte()) {
      case 'p':
        Push(input.Byte());
        break;
      case 'c':
        Claim(input.Byte());
        break;
      case 'f':
        Finish(PickClaimed(input.Byte()));
        break;
      case 'k':
        Kill(PickClaimed(input.Byte()));
        break;
      case 'd':
        Drain(input.Byte());
        break;
      case 'x': {
        const size_t offset = input.Byte() << 8 | input.Byte();
        Damage(offset, input.Byte());
        break;
      }
    }
    if (!damaged_) CheckCounters();
    CheckQueued();
  }

  // Ends all owners; whatever has happened, the ring must then come to be empty
  // and take and hand over records.
  void Finish() {
    while (Entry* entry = PickClaimed(0)) Kill(entry);
    DrainUntilEmpty();
    for (int attempt = 0; attempt < 10; ++attempt) {
      last_.clear();
      ring_.TryPush({"recovered"});
      DrainUntilEmpty();
      if (last_ == "recovered") return;
      Check(damaged_);
    }
    Check(false);
  }

 private:
  std::string NewRecord(size_t size) {
    std::string record(size, '\0');
    std::iota(record.begin(), record.end(), static_cast<char>(++records_));
    return record;
  }

  // Whether the model has room; if so, adds the entries of a record.
  bool Add(const std::string& record, Entry::Kind kind) {
    const uint64_t ring_cells = ring_.capacity() / kCellSize;
    const uint64_t cells =
        (kHeaderSize + record.size() + kCellSize - 1) / kCellSize;
    const uint64_t to_end = ring_cells - head_ % ring_cells;
    const uint64_t padding = cells > to_end ? to_end : 0;
    if (head_ + padding + cells - tail_ > ring_cells) return false;
    if (padding > 0) {
      entries_.push_back({Entry::Kind::kPadding, padding, "", {}});
    }
    entries_.push_back({kind, cells, record, {}});
    head_ += padding + cells;
    ++pushed_;
    return true;
  }

  void Push(size_t size) {
    const std::string record = NewRecord(size);
    const absl::string_view parts(record);
    const PushResult result =
        ring_.TryPush({parts.substr(0, size / 3), parts.substr(size / 3)});
    if (damaged_) return;
    if (size > ring_.MaxRecordSize()) {
      Check(result == PushResult::kTooLarge);
    } else {
      Check((result == PushResult::kPushed) ==
            Add(record, Entry::Kind::kReady));
    }
  }

  void Claim(size_t size) {
    if (size > ring_.MaxRecordSize()) return;
    const std::string record = NewRecord(size);
    const pid_t owner = ++last_owner_;
    const absl::optional<Peer::Claim> claim =
        Peer::TryClaim(ring_, size, owner);
    if (damaged_) {
      if (claim.has_value()) {
        entries_.push_back({Entry::Kind::kClaimed, 0, record, claim, owner});
        alive_.insert(owner);
      }
      return;
    }
    Check(claim.has_value() == Add(record, Entry::Kind::kClaimed));
    if (claim.has_value()) {
      entries_.back().claim = claim;
      entries_.back().owner = owner;
      alive_.insert(owner);
    }
  }

  Entry* PickClaimed(size_t which) {
    std::vector<Entry*> claimed;
    for (Entry& entry : entries_) {
      if (entry.kind == Entry::Kind::kClaimed) claimed.push_back(&entry);
    }
    return claimed.empty() ? nullptr : claimed[which % claimed.size()];
  }

  void Finish(Entry* entry) {
    if (entry == nullptr) return;
    Peer::Write(ring_, *entry->claim, entry->record);
    const bool committed = Peer::Commit(ring_, *entry->claim);
    Check(committed || damaged_);
    entry->kind = Entry::Kind::kReady;
    alive_.erase(entry->owner);
  }

  void Kill(Entry* entry) {
    if (entry == nullptr) return;
    entry->kind = Entry::Kind::kDead;
    alive_.erase(entry->owner);
  }

  void Damage(size_t offset, uint8_t bits) {
    const absl::Span<char> memory = Peer::Memory(ring_);
    memory[offset % memory.size()] ^= bits;
    damaged_ = true;
  }

  Next Drain(size_t max_records) {
    const RequestRingReader::Result result = reader_.Drain(
        max_records, [this](absl::string_view record) { Receive(record); });
    if (damaged_) return result.next;

    PopUntil(Peer::Tail(ring_));
    switch (result.next) {
      case Next::kRecord:
        Check(result.records == max_records);
        break;
      case Next::kNothing:
        Check(entries_.empty());
        break;
      case Next::kUnfinished:
        Check(entries_.front().kind == Entry::Kind::kClaimed ||
              entries_.front().kind == Entry::Kind::kDead);
        break;
    }
    return result.next;
  }

  void DrainUntilEmpty() {
    // Two for each unfinished record, of which there is at most one in a cell.
    for (size_t i = 0; i < 2 * ring_.capacity() / kCellSize + 2; ++i) {
      if (Drain(100000) == Next::kNothing) return;
    }
    Check(false);
  }

  void CheckIsInside(absl::string_view record) {
    const absl::Span<const char> memory = Peer::Memory(ring_);
    Check(record.data() >= memory.data() &&
          record.data() + record.size() <= memory.data() + memory.size());
  }

  void Receive(absl::string_view record) {
    CheckIsInside(record);
    last_ = std::string(record);
    if (damaged_ || last_ == "recovered") return;
    while (!entries_.empty() && entries_.front().kind != Entry::Kind::kReady) {
      PopSkipped();
    }
    Check(!entries_.empty() && record == entries_.front().record);
    ++popped_;
    Pop();
  }

  void PopUntil(uint64_t tail) {
    while (tail_ < tail && !entries_.empty()) PopSkipped();
  }

  void PopSkipped() {
    Check(entries_.front().kind == Entry::Kind::kPadding ||
          entries_.front().kind == Entry::Kind::kDead);
    if (entries_.front().kind == Entry::Kind::kDead) ++torn_;
    Pop();
  }

  void Pop() {
    tail_ += entries_.front().cells;
    entries_.pop_front();
  }

  void CheckCounters() {
    const RequestRing::Counters counters = ring_.counters();
    Check(counters.pushed == pushed_);
    Check(counters.popped == popped_);
    Check(counters.torn == torn_);
    Check(counters.damaged == 0);
    Check(ring_.ApproximateSize().records == pushed_ - popped_ - torn_);
    Check(ring_.ApproximateSize().bytes == (head_ - tail_) * kCellSize);
  }

  void CheckQueued() {
    std::vector<std::string> queued;
    ring_.ForEachQueued([&](absl::string_view record) {
      CheckIsInside(record);
      queued.emplace_back(record);
    });
    if (damaged_) return;
    std::vector<std::string> expected;
    for (const Entry& entry : entries_) {
      if (entry.kind == Entry::Kind::kReady) expected.push_back(entry.record);
    }
    Check(queued == expected);
  }

  RequestRing ring_ = RequestRing::Create(RequestRing::kMinCapacity).value();
  RequestRingReader reader_{&ring_,
                            [this](pid_t pid, std::chrono::nanoseconds) {
                              return alive_.count(pid) == 1;
                            }};

  std::deque<Entry> entries_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;
  uint64_t pushed_ = 0;
  uint64_t popped_ = 0;
  uint64_t torn_ = 0;

  std::set<pid_t> alive_;
  pid_t last_owner_ = 0;
  uint64_t records_ = 0;  // Made so far.
  std::string last_;      // The last record received.
  bool damaged_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  RingAndModel ring;
  Input input(data, size);
  while (!input.empty()) ring.Step(input);
  ring.Finish();
  return 0;
}
