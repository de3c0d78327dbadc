// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/call_channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

struct SocketPair {
  FileDescriptor first;
  FileDescriptor second;
};

// Keeps packets apart, tells when the other end has closed, never blocks.
absl::StatusOr<SocketPair> MakeSocketPair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                 fds) != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make a socket pair: ", strerror(errno)));
  }
  return SocketPair{FileDescriptor(fds[0]), FileDescriptor(fds[1])};
}

absl::Status NotRunning() {
  return absl::UnavailableError("the mqtt dispatcher is not running");
}

// Waits until `events` can be had of `fd`, or it has failed.
absl::Status WaitFor(int fd, short events, TimePoint deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - SteadyClock().Now());
    pollfd polled = {fd, events, 0};
    const int ready = poll(&polled, 1, std::max<int>(0, left.count()));
    if (ready > 0) return absl::OkStatus();
    if (ready == 0) return absl::DeadlineExceededError("no answer in time");
    if (errno != EINTR) {
      return absl::InternalError(absl::StrCat("poll: ", strerror(errno)));
    }
  }
}

// Sends `request` on `fd`, and `reply_fd` with it.
absl::Status Send(int fd, absl::string_view request, int reply_fd,
                  TimePoint deadline) {
  iovec part = {const_cast<char*>(request.data()), request.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(reply_fd))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(reply_fd));
  std::memcpy(CMSG_DATA(header), &reply_fd, sizeof(reply_fd));
  while (sendmsg(fd, &message, MSG_NOSIGNAL) < 0) {
    switch (errno) {
      case EINTR:
        break;
      case EAGAIN:  // The dispatcher has yet to read what others sent.
        if (absl::Status status = WaitFor(fd, POLLOUT, deadline);
            !status.ok()) {
          return status;
        }
        break;
      case EPIPE:
      case ECONNRESET:
        return NotRunning();
      default:
        return absl::ResourceExhaustedError(
            absl::StrCat("cannot ask the mqtt dispatcher: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Receive(int fd, TimePoint deadline) {
  if (absl::Status status = WaitFor(fd, POLLIN, deadline); !status.ok()) {
    return status;
  }
  std::string reply(kMaxCallBytes, '\0');
  const ssize_t size = recv(fd, &reply[0], reply.size(), MSG_TRUNC);
  if (size <= 0) return NotRunning();
  if (static_cast<size_t>(size) > reply.size()) {
    return absl::InternalError(absl::StrCat("an answer of ", size, " bytes"));
  }
  reply.resize(size);
  return reply;
}

}  // namespace

absl::StatusOr<CallChannel> CallChannel::Create() {
  absl::StatusOr<SocketPair> pair = MakeSocketPair();
  if (!pair.ok()) return pair.status();
  return CallChannel(std::move(pair->first), std::move(pair->second));
}

CallChannel::CallChannel(FileDescriptor calling_end,
                         FileDescriptor receiving_end)
    : calling_end_(std::move(calling_end)),
      receiving_end_(std::move(receiving_end)) {}

absl::StatusOr<std::string> CallChannel::Call(absl::string_view request,
                                              Duration limit) const {
  if (request.empty() || request.size() > kMaxCallBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request of ", request.size(), " bytes, must have 1 to ",
                     kMaxCallBytes));
  }
  const TimePoint deadline = SteadyClock().Now() + limit;
  absl::StatusOr<SocketPair> pair = MakeSocketPair();
  if (!pair.ok()) return pair.status();
  if (absl::Status status =
          Send(calling_end_.get(), request, pair->second.get(), deadline);
      !status.ok()) {
    return status;
  }
  // From now on only the dispatcher has it.
  pair->second.Close();
  return Receive(pair->first.get(), deadline);
}

}  // namespace kamailio_mqtt
