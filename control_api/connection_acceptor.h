// SPDX-License-Identifier: GPL-3.0-or-later

// Takes the connections to the control service's socket, refuses those of
// processes that may not call, and those above the limit.
//
// Thread safety: belongs to the event loop's thread.
#ifndef CONTROL_API_CONNECTION_ACCEPTOR_H_
#define CONTROL_API_CONNECTION_ACCEPTOR_H_

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "control_api/control_listener.h"
#include "control_api/peer_policy.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/limited_log.h"
#include "mqtt_core/log.h"

namespace kamailio_mqtt {

class ConnectionAcceptor {
 public:
  // Gets the connection's descriptor to own: non-blocking, closed on exec.
  // `slot`, below `max_connections`, is its own until the descriptor is closed.
  // `peer` is empty over TCP.
  using OnConnection = std::function<void(
      size_t slot, int fd, const absl::optional<PeerCredentials>& peer)>;

  // The pointers outlive the object. `policy` is for Unix sockets.
  ConnectionAcceptor(EventLoop* loop, Log* log, const ControlListener* listener,
                     PeerPolicy policy, size_t max_connections,
                     OnConnection on_connection);

 private:
  // A connection, as far as can be known of a descriptor that another owns:
  // its number may long belong to another file, its inode does not.
  struct Connection {
    int fd = -1;
    ino_t inode = 0;
  };

  void Accept();
  void PauseAfter(int error);
  // Returns whether the connection was handed over.
  bool Admit(int fd);
  absl::optional<size_t> FindFreeSlot() const;

  const ControlListener* const listener_;
  const PeerPolicy policy_;
  const OnConnection on_connection_;
  std::vector<Connection> connections_;  // by slot
  LimitedLog refused_log_;
  LimitedLog limit_log_;
  LimitedLog error_log_;
  const std::unique_ptr<IoWatch> watch_;
  const std::unique_ptr<Timer> resume_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONNECTION_ACCEPTOR_H_
