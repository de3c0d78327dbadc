// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/connection_acceptor.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

// After an error that may last, of which the waiting connection would remind
// us without end.
constexpr Duration kPause = std::chrono::milliseconds(100);

// Of a socket; nothing for other files.
absl::optional<ino_t> InodeOf(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return absl::nullopt;
  }
  return status.st_ino;
}

}  // namespace

ConnectionAcceptor::ConnectionAcceptor(EventLoop* loop, Log* log,
                                       const ControlListener* listener,
                                       PeerPolicy policy,
                                       size_t max_connections,
                                       OnConnection on_connection)
    : listener_(listener),
      policy_(std::move(policy)),
      on_connection_(std::move(on_connection)),
      connections_(max_connections),
      refused_log_(loop, log, LogLevel::kWarning),
      limit_log_(loop, log, LogLevel::kWarning),
      error_log_(loop, log, LogLevel::kWarning),
      watch_(loop->Watch(listener->fd(), [this](bool, bool) { Accept(); })),
      resume_(loop->CreateTimer([this] { watch_->WaitFor(true, false); })) {
  watch_->WaitFor(true, false);
}

void ConnectionAcceptor::Accept() {
  const int fd =
      accept4(listener_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    if (!Admit(fd)) close(fd);
  } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
    PauseAfter(errno);
  }
}

void ConnectionAcceptor::PauseAfter(int error) {
  error_log_.Write(
      absl::StrCat("cannot accept a control connection: ",
                   absl::ErrnoToStatus(error, "accept").message()));
  watch_->WaitFor(false, false);
  resume_->Start(kPause);
}

bool ConnectionAcceptor::Admit(int fd) {
  absl::optional<PeerCredentials> peer;
  if (listener_->address().is_unix()) {
    absl::StatusOr<PeerCredentials> credentials = ReadPeerCredentials(fd);
    if (!credentials.ok()) {
      error_log_.Write(absl::StrCat("control connection refused: ",
                                    credentials.status().message()));
      return false;
    }
    if (!IsAllowed(*credentials, policy_)) {
      refused_log_.Write(
          absl::StrCat("control connection refused: uid ", credentials->uid,
                       ", pid ", credentials->pid,
                       " is neither root, Kamailio's user nor allowed by "
                       "control_user or control_group"));
      return false;
    }
    peer = *std::move(credentials);
  }
  const absl::optional<size_t> slot = FindFreeSlot();
  if (!slot.has_value()) {
    limit_log_.Write(absl::StrCat("control connection refused: there are ",
                                  connections_.size(), ", the limit"));
    return false;
  }
  const absl::optional<ino_t> inode = InodeOf(fd);
  if (!inode.has_value()) return false;
  connections_[*slot] = {fd, *inode};
  on_connection_(*slot, fd, peer);
  return true;
}

absl::optional<size_t> ConnectionAcceptor::FindFreeSlot() const {
  for (size_t slot = 0; slot < connections_.size(); ++slot) {
    const Connection& connection = connections_[slot];
    if (connection.fd < 0 || InodeOf(connection.fd) != connection.inode) {
      return slot;
    }
  }
  return absl::nullopt;
}

}  // namespace kamailio_mqtt
