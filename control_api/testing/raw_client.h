// SPDX-License-Identifier: GPL-3.0-or-later

// A connection to the control service's socket that speaks no gRPC.
//
// Thread safety: none.
#ifndef CONTROL_API_TESTING_RAW_CLIENT_H_
#define CONTROL_API_TESTING_RAW_CLIENT_H_

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "control_api/control_address.h"

namespace kamailio_mqtt {

class RawClient {
 public:
  explicit RawClient(const ControlAddress& address)
      : fd_(socket(address.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    error_ = connect(fd_, address.data(), address.size()) == 0 ? 0 : errno;
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), error_(other.error_) {}
  RawClient& operator=(RawClient&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(error_, other.error_);
    return *this;
  }
  ~RawClient() {
    if (fd_ >= 0) close(fd_);
  }

  // errno of connect(2); 0: connected.
  int error() const { return error_; }

  // Whether the other side has closed the connection already.
  bool IsClosed() const { return ReadsEnd(MSG_DONTWAIT); }
  // Waits until the other side says something; returns whether it closes the
  // connection.
  bool AwaitClosed() const { return ReadsEnd(0); }

 private:
  bool ReadsEnd(int flags) const {
    char byte;
    const ssize_t count = recv(fd_, &byte, 1, flags);
    return count == 0 || (count < 0 && errno == ECONNRESET);
  }

  int fd_;
  int error_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_RAW_CLIENT_H_
