// SPDX-License-Identifier: GPL-3.0-or-later
//
// Anonymous memory shared by a process and the children it forks afterwards.

#ifndef MQTT_CORE_SHARED_MEMORY_H_
#define MQTT_CORE_SHARED_MEMORY_H_

#include <cstddef>

#include "absl/status/statusor.h"

namespace kamailio_mqtt {

// Owns one zero-filled, page-aligned mapping.  Children inherit it at the same
// address; each process unmaps its own view, and the memory goes back to the
// system when the last view is gone, however its processes end.
//
// Pages are taken from the system when first touched, so a large mapping costs
// only what is used of it.
class SharedMemory {
 public:
  // Maps `size` bytes.  Fails with InvalidArgument when `size` is 0 and with
  // ResourceExhausted when the system refuses the mapping.
  static absl::StatusOr<SharedMemory> Create(size_t size);

  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  SharedMemory(void* data, size_t size) : data_(data), size_(size) {}

  void* data_;
  size_t size_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_SHARED_MEMORY_H_
