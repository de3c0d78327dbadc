// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control_api/account.h"
#include "control_api/socket_place.h"

namespace kamailio_mqtt {
namespace {

absl::Status Error(absl::string_view text) {
  return absl::FailedPreconditionError(text);
}

absl::Status SystemError(absl::string_view text) {
  return absl::ErrnoToStatus(errno, text);
}

// What the person is to read.
absl::Status Explain(absl::string_view parameter, absl::string_view value,
                     const absl::Status& status) {
  return absl::Status(
      status.code(),
      absl::StrCat("parameter \"", parameter, "\": value \"",
                   absl::CHexEscape(value), "\": ", status.message()));
}

int NewSocket(int family) {
  return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// Makes room for a socket at `address`.
absl::Status RemoveStaleSocket(const ControlAddress& address) {
  const std::string path = address.unix_path();
  const absl::StatusOr<bool> exists = SocketExists(path);
  if (!exists.ok()) return exists.status();
  if (!*exists) return absl::OkStatus();
  const int fd = NewSocket(AF_UNIX);
  if (fd < 0) return SystemError("cannot be connected to");
  const absl::Cleanup closer = [fd] { close(fd); };
  // EAGAIN: so many wait for the one who listens.
  if (connect(fd, address.data(), address.size()) == 0 || errno == EAGAIN) {
    return Error(
        "another process listens there: is this Kamailio running already?");
  }
  if (errno != ECONNREFUSED) {
    return SystemError("is there already, and may be in use");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return SystemError("cannot be replaced");
  }
  return absl::OkStatus();
}

bool SetOption(int fd, int level, int option) {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

}  // namespace

absl::Status ControlListener::BindUnix(mode_t mode) {
  const absl::Status room = RemoveStaleSocket(address_);
  if (!room.ok()) return room;
  // bind() makes the file.
  const mode_t previous = umask(~mode & ACCESSPERMS);
  const bool bound = bind(fd_, address_.data(), address_.size()) == 0;
  umask(previous);
  struct stat status;
  if (!bound || lstat(address_.unix_path().c_str(), &status) != 0) {
    return SystemError("cannot be created");
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return absl::OkStatus();
}

absl::Status ControlListener::BindTcp() {
  if (!SetOption(fd_, SOL_SOCKET, SO_REUSEADDR) ||
      !SetOption(fd_, IPPROTO_TCP, TCP_NODELAY) ||  // connections inherit it
      (address_.data()->sa_family == AF_INET6 &&
       !SetOption(fd_, IPPROTO_IPV6, IPV6_V6ONLY)) ||
      bind(fd_, address_.data(), address_.size()) != 0) {
    return SystemError("cannot be listened on");
  }
  absl::StatusOr<ControlAddress> bound = ControlAddress::OfSocket(fd_);
  if (!bound.ok()) return bound.status();
  address_ = *bound;
  return absl::OkStatus();
}

absl::Status ControlListener::Open(uid_t user, gid_t group) {
  if (address_.is_unix() &&
      lchown(address_.unix_path().c_str(), user, group) != 0) {
    return SystemError(
        absl::StrCat("cannot be given to user ", user, " and group ", group));
  }
  // Nobody could connect so far.
  if (listen(fd_, SOMAXCONN) != 0) return SystemError("cannot be listened on");
  return absl::OkStatus();
}

absl::StatusOr<ControlListener> ControlListener::Bind(
    const ControlAddress& address, mode_t mode) {
  ControlListener listener(NewSocket(address.data()->sa_family), address);
  if (listener.fd_ < 0) return SystemError("no socket");
  const absl::Status bound =
      address.is_unix() ? listener.BindUnix(mode) : listener.BindTcp();
  if (!bound.ok()) return bound;
  return listener;
}

absl::StatusOr<ControlListener> ControlListener::Create(
    const ControlSettings& settings, uid_t own_user, gid_t own_group) {
  const absl::StatusOr<uid_t> user =
      settings.user.has_value() ? FindUser(*settings.user) : own_user;
  if (!user.ok()) {
    return Explain("control_user", *settings.user, user.status());
  }
  const absl::StatusOr<gid_t> group =
      settings.group.has_value() ? FindGroup(*settings.group) : own_group;
  if (!group.ok()) {
    return Explain("control_group", *settings.group, group.status());
  }
  const absl::StatusOr<ControlAddress> address =
      ControlAddress::Parse(settings.address);
  if (!address.ok()) {
    return Explain("control_address", settings.address, address.status());
  }
  absl::StatusOr<ControlListener> listener = Bind(*address, settings.mode);
  if (!listener.ok()) {
    return Explain("control_address", settings.address, listener.status());
  }

  const absl::Status open = listener->Open(*user, *group);
  if (!open.ok()) {
    listener->Remove();
    return Explain("control_address", settings.address, open);
  }
  return listener;
}

ControlListener::ControlListener(ControlListener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      address_(other.address_),
      device_(other.device_),
      inode_(other.inode_) {}

ControlListener& ControlListener::operator=(ControlListener&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

ControlListener::~ControlListener() {
  if (fd_ >= 0) close(fd_);
}

void ControlListener::Remove() {
  if (fd_ < 0) return;
  if (address_.is_unix()) {
    const std::string path = address_.unix_path();
    struct stat status;
    // What cannot be unlinked is stale, and is replaced by the next instance.
    if (lstat(path.c_str(), &status) == 0 && status.st_dev == device_ &&
        status.st_ino == inode_) {
      unlink(path.c_str());
    }
  }
  close(std::exchange(fd_, -1));
}

}  // namespace kamailio_mqtt
