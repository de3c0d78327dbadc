// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/shared_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

absl::StatusOr<SharedMemory> SharedMemory::Create(size_t size) {
  if (size == 0) {
    return absl::InvalidArgumentError(
        "shared memory: size is 0, must be at least 1 byte");
  }
  void* const data =
      mmap(/*addr=*/nullptr, size, PROT_READ | PROT_WRITE,
           MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, /*fd=*/-1, /*offset=*/0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "shared memory: cannot map ", size, " bytes: ", strerror(errno)));
  }
  return SharedMemory(data, size);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace kamailio_mqtt
