// SPDX-License-Identifier: GPL-3.0-or-later

// The socket on which the control service listens.
//
// Kamailio's main process makes it, while it has the privileges that the owner
// of the file may ask for. The process that serves inherits it and Remove()s it
// at the end; every other one destroys its copy after the fork, since a socket
// that anybody holds open takes connections.
//
// Thread safety: none.
#ifndef CONTROL_API_CONTROL_LISTENER_H_
#define CONTROL_API_CONTROL_LISTENER_H_

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control_api/control_address.h"
#include "control_api/control_settings.h"

namespace kamailio_mqtt {

class ControlListener {
 public:
  // For settings without a problem and with an address. `own_user` and
  // `own_group` are those that Kamailio will run as. A Unix socket that nobody
  // listens on is replaced, and has its mode from the first instant. Changes
  // the process' umask for that instant: other threads must not make files.
  //
  // The errors name the parameter, its value and the reason.
  static absl::StatusOr<ControlListener> Create(const ControlSettings& settings,
                                                uid_t own_user,
                                                gid_t own_group);

  ControlListener(ControlListener&& other) noexcept;
  ControlListener& operator=(ControlListener&& other) noexcept;
  // Closes the descriptor.
  ~ControlListener();

  // Non-blocking, closed on exec; -1 after Remove().
  int fd() const { return fd_; }
  // With the port that it got.
  const ControlAddress& address() const { return address_; }

  // Ends listening, and unlinks the socket's file unless another has taken its
  // place.
  void Remove();

 private:
  ControlListener(int fd, const ControlAddress& address)
      : fd_(fd), address_(address) {}

  static absl::StatusOr<ControlListener> Bind(const ControlAddress& address,
                                              mode_t mode);
  absl::Status BindUnix(mode_t mode);
  absl::Status BindTcp();
  absl::Status Open(uid_t user, gid_t group);

  int fd_;
  ControlAddress address_;
  // The socket's file.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_LISTENER_H_
