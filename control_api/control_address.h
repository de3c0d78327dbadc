// SPDX-License-Identifier: GPL-3.0-or-later

// An address on which the control service can listen.
#ifndef CONTROL_API_CONTROL_ADDRESS_H_
#define CONTROL_API_CONTROL_ADDRESS_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

// What sun_path holds, with the byte that ends it (unix(7)).
inline constexpr size_t kMaxUnixPathBytes = sizeof(sockaddr_un::sun_path) - 1;

class ControlAddress {
 public:
  // "unix:/absolute/path", "127.0.0.1:50051", "[::1]:50051" or
  // "localhost:50051", which is 127.0.0.1. Other names are not looked up. Port
  // 0 stands for any free port.
  //
  // InvalidArgument: what was expected, without the text itself.
  static absl::StatusOr<ControlAddress> Parse(absl::string_view text);

  // The address that the socket `fd` is bound to.
  static absl::StatusOr<ControlAddress> OfSocket(int fd);

  bool is_unix() const { return storage_.ss_family == AF_UNIX; }
  // Whether only this machine can reach it, by TCP.
  bool is_loopback() const;

  // Only if is_unix().
  std::string unix_path() const;

  // In the form that Parse() takes.
  std::string ToString() const;

  // For bind(2) and connect(2).
  const sockaddr* data() const;
  socklen_t size() const { return size_; }

 private:
  ControlAddress() = default;

  sockaddr_storage storage_ = {};
  socklen_t size_ = 0;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_ADDRESS_H_
