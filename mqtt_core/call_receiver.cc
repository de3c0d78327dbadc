// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/call_receiver.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "mqtt_core/call_channel.h"

namespace kamailio_mqtt {
namespace {

// Then the loop's other work has its turn.
constexpr int kMaxCallsInARow = 16;

// Takes the descriptors that came with `message`; returns the first.
FileDescriptor TakeDescriptor(msghdr* message) {
  FileDescriptor first;
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
      FileDescriptor owner(fd);
      if (first.get() < 0) first = std::move(owner);
    }
  }
  return first;
}

// A caller sends nothing more: all there can be to read is the end.
bool IsGone(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  return poll(&polled, 1, 0) != 0;
}

}  // namespace

CallReceiver::CallReceiver(int receiving_fd, EventLoop* loop, Handler* handler)
    : receiving_fd_(receiving_fd),
      loop_(loop),
      handler_(handler),
      watch_(loop->Watch(receiving_fd, [this](bool, bool) { OnReadable(); })) {
  watch_->WaitFor(/*readable=*/true, /*writable=*/false);
}

CallReceiver::~CallReceiver() {
  // For other processes that have this end, too: one that was forked without
  // being told about this module.
  shutdown(receiving_fd_, SHUT_RDWR);
  std::string request;
  FileDescriptor reply_end;
  while (Receive(&request, &reply_end)) reply_end.Close();
}

void CallReceiver::OnReadable() {
  for (int i = 0; i < kMaxCallsInARow; ++i) {
    std::string request;
    FileDescriptor reply_end;
    if (!Receive(&request, &reply_end)) return;
    if (reply_end.get() < 0 || IsGone(reply_end.get())) continue;
    Add(std::move(reply_end), request);
  }
}

bool CallReceiver::Receive(std::string* request, FileDescriptor* reply_end) {
  request->resize(kMaxCallBytes);
  iovec part = {&(*request)[0], request->size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = recvmsg(receiving_fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return false;
  FileDescriptor descriptor = TakeDescriptor(&message);
  if (size == 0 && descriptor.get() < 0) return false;  // It was shut down.
  const bool is_call = size > 0 && (message.msg_flags & MSG_TRUNC) == 0;
  if (is_call) *reply_end = std::move(descriptor);
  request->resize(size);
  return true;
}

void CallReceiver::Add(FileDescriptor reply_end, const std::string& request) {
  const CallId id = ++last_call_;
  Call& call = calls_[id];
  call.watch = loop_->Watch(reply_end.get(), [this, id](bool, bool) {
    calls_.erase(id);
    handler_->OnCallerGone(id);
  });
  call.reply_end = std::move(reply_end);
  call.watch->WaitFor(/*readable=*/true, /*writable=*/false);
  handler_->OnCall(id, request);
}

void CallReceiver::Reply(CallId call, absl::string_view reply) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  // Where it fails the caller sees the end.
  (void)!send(found->second.reply_end.get(), reply.data(), reply.size(),
              MSG_DONTWAIT | MSG_NOSIGNAL);
  calls_.erase(found);
}

}  // namespace kamailio_mqtt
