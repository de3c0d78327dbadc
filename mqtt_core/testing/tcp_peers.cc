// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/tcp_peers.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

FileDescriptor Listen(int backlog) {
  FileDescriptor listener(
      socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in address = Loopback(0);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0);
  EXPECT_EQ(listen(listener.get(), backlog), 0);
  return listener;
}

int PortOf(const FileDescriptor& descriptor) {
  sockaddr_in address;
  socklen_t size = sizeof(address);
  EXPECT_EQ(getsockname(descriptor.get(), reinterpret_cast<sockaddr*>(&address),
                        &size),
            0);
  return ntohs(address.sin_port);
}

// Returns errno.
int Connect(const FileDescriptor& descriptor, int port) {
  const sockaddr_in address = Loopback(port);
  return connect(descriptor.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)) == 0
             ? 0
             : errno;
}

bool Waits(const FileDescriptor& descriptor) {
  pollfd connecting = {descriptor.get(), POLLOUT, 0};
  return poll(&connecting, 1, 200) == 0;
}

}  // namespace

FullListener::FullListener() : listener_(Listen(0)), port_(PortOf(listener_)) {
  do {
    waiting_.emplace_back(
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(Connect(waiting_.back(), port_), EINPROGRESS);
  } while (!Waits(waiting_.back()));
}

int FullListener::ConnectBlocking() const {
  return Connect(FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
                 port_);
}

ScriptedServer::ScriptedServer(EventLoop* loop)
    : loop_(loop), listener_(Listen(16)), port_(PortOf(listener_)) {
  listener_watch_ =
      loop_->Watch(listener_.get(), [this](bool, bool) { Accept(); });
  listener_watch_->WaitFor(true, false);
}

void ScriptedServer::Accept() {
  Close();
  connection_ =
      FileDescriptor(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  received_.clear();
  at_end_ = false;
  connection_watch_ =
      loop_->Watch(connection_.get(), [this](bool, bool) { Receive(); });
  connection_watch_->WaitFor(true, false);
  on_change();
}

void ScriptedServer::Receive() {
  char buffer[65536];
  const ssize_t size =
      recv(connection_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (size > 0) {
    received_.append(buffer, static_cast<size_t>(size));
  } else {
    at_end_ = size == 0;
    StopReading();
  }
  on_change();
}

absl::string_view ScriptedServer::SendSome(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size =
        send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) break;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return bytes;
}

void ScriptedServer::Send(absl::string_view bytes) {
  EXPECT_TRUE(SendSome(bytes).empty());
}

void ScriptedServer::SendUntilClosed(absl::string_view bytes) {
  SendSome(bytes);
}

void ScriptedServer::StopReading() { connection_watch_->WaitFor(false, false); }

void ScriptedServer::StartReading() { connection_watch_->WaitFor(true, false); }

void ScriptedServer::Close() {
  connection_watch_.reset();
  connection_ = FileDescriptor();
}

void ScriptedServer::Reset() {
  const linger at_once = {1, 0};
  setsockopt(connection_.get(), SOL_SOCKET, SO_LINGER, &at_once,
             sizeof(at_once));
  Close();
}

}  // namespace kamailio_mqtt
