// SPDX-License-Identifier: GPL-3.0-or-later

// Owns a file descriptor.
//
// Not thread-safe.
#ifndef MQTT_CORE_FILE_DESCRIPTOR_H_
#define MQTT_CORE_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace kamailio_mqtt {

class FileDescriptor {
 public:
  // Without one: get() is -1.
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() { Close(); }

  int get() const { return fd_; }

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_FILE_DESCRIPTOR_H_
