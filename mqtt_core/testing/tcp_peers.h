// SPDX-License-Identifier: GPL-3.0-or-later

// Servers on 127.0.0.1 that do not behave like one.
//
// Thread safety: each on one thread, save Send() and SendUntilClosed().
#ifndef MQTT_CORE_TESTING_TCP_PEERS_H_
#define MQTT_CORE_TESTING_TCP_PEERS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/file_descriptor.h"

namespace kamailio_mqtt {

// Listens, with a backlog so full that SYNs are dropped: who connects waits for
// minutes.
class FullListener {
 public:
  FullListener();

  int port() const { return port_; }
  // connect(2); returns errno, 0 where it succeeds.
  int ConnectBlocking() const;

 private:
  FileDescriptor listener_;
  int port_ = 0;
  std::vector<FileDescriptor> waiting_;
};

// Accepts one connection after the other and says what the test tells it to.
class ScriptedServer {
 public:
  explicit ScriptedServer(EventLoop* loop);

  int port() const { return port_; }
  // Whether somebody is connected.
  bool connected() const { return connection_.get() >= 0; }
  // What the present or last connection has sent, and whether it has closed its
  // side (not with RST).
  const std::string& received() const { return received_; }
  bool at_end() const { return at_end_; }

  // Called when something was received, or the connection was accepted.
  std::function<void()> on_change = [] {};

  // Blocks until the kernel has taken it all. On any thread.
  void Send(absl::string_view bytes);
  // The same, or until the peer has closed the connection.
  void SendUntilClosed(absl::string_view bytes);
  void StopReading();
  void StartReading();
  void Close();
  // With RST.
  void Reset();

 private:
  // Returns what the kernel has not taken.
  absl::string_view SendSome(absl::string_view bytes);
  void Accept();
  void Receive();

  EventLoop* const loop_;
  FileDescriptor listener_;
  int port_ = 0;
  FileDescriptor connection_;
  std::unique_ptr<IoWatch> listener_watch_;
  std::unique_ptr<IoWatch> connection_watch_;
  std::string received_;
  bool at_end_ = false;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_TCP_PEERS_H_
