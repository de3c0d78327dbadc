// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/wakeup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

// A lock behind an atomic would be a lock that a killed process can hold.
static_assert(std::atomic<uint64_t>::is_always_lock_free);

absl::StatusOr<Wakeup> Wakeup::Create() {
  absl::StatusOr<SharedMemory> memory =
      SharedMemory::Create(sizeof(std::atomic<uint64_t>));
  if (!memory.ok()) return memory.status();
  const int fd = eventfd(/*count=*/0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("wakeup: cannot make an eventfd: ", strerror(errno)));
  }
  return Wakeup(*std::move(memory), fd);
}

Wakeup::Wakeup(SharedMemory memory, int fd)
    : memory_(std::move(memory)),
      generation_(new (memory_.data()) std::atomic<uint64_t>(0)),
      fd_(fd) {}

Wakeup::Wakeup(Wakeup&& other) noexcept
    : memory_(std::move(other.memory_)),
      generation_(other.generation_),
      fd_(std::exchange(other.fd_, -1)),
      last_generation_(other.last_generation_) {}

Wakeup& Wakeup::operator=(Wakeup&& other) noexcept {
  memory_ = std::move(other.memory_);
  std::swap(generation_, other.generation_);
  std::swap(fd_, other.fd_);
  std::swap(last_generation_, other.last_generation_);
  return *this;
}

Wakeup::~Wakeup() {
  if (fd_ >= 0) close(fd_);
}

void Wakeup::PrepareToSleep() {
  last_generation_ = (last_generation_ + 1) | 1;  // The next odd one.
  generation_->store(last_generation_, std::memory_order_seq_cst);
}

void Wakeup::FinishSleep() {
  last_generation_ = (last_generation_ | 1) + 1;  // The next even one.
  generation_->store(last_generation_, std::memory_order_seq_cst);
  uint64_t events;
  while (read(fd_, &events, sizeof(events)) < 0 && errno == EINTR) {
  }
}

void Wakeup::WriteEvent() {
  const int saved_errno = errno;
  const uint64_t one = 1;
  // EAGAIN means that the counter is full, hence fd() is readable already.
  while (write(fd_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  errno = saved_errno;
}

void Wakeup::EndGeneration(uint64_t generation) {
  generation_->compare_exchange_strong(generation, generation + 1,
                                       std::memory_order_seq_cst);
}

}  // namespace kamailio_mqtt
