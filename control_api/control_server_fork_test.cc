// SPDX-License-Identifier: GPL-3.0-or-later

// The control service in the processes of Kamailio: the first one listens, and
// one that it forks serves. A test of its own, since gRPC must not be in use
// before the fork.

#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "control_api/control_server.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "control_api/testing/fake_service.h"
#include "control_api/testing/raw_client.h"
#include "control_api/testing/short_directory.h"
#include "control_api/testing/watched_control.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

// Serves until SIGTERM.
void Serve(ControlListener listener) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  FakeLog log;
  WatchedControl control;
  ControlServer server(
      std::move(listener), {{{geteuid()}, {}}, {}}, &control, &log,
      [](EventLoop*) { return std::make_unique<FakeService>(); });
  server.Start();
  int signal;
  sigwait(&term, &signal);
  server.Stop(std::chrono::milliseconds(200));
}

TEST(ControlServerForkTest, TheFirstProcessListensAndAnotherServes) {
  const ShortDirectory directory;
  ControlSettings settings;
  settings.address = absl::StrCat("unix:", directory.Path("s"));
  absl::StatusOr<ControlListener> listener =
      ControlListener::Create(settings, geteuid(), getegid());
  ASSERT_TRUE(listener.ok()) << listener.status();
  const ControlAddress address = listener->address();

  // Who calls before anybody serves is served in the end.
  ForkedProcess server([&] { Serve(*std::move(listener)); });
  { const ControlListener own_copy = *std::move(listener); }
  v1::MqttControl::Stub stub(grpc::CreateChannel(
      address.ToString(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::GetStatusResponse response;
  const grpc::Status status = stub.GetStatus(&context, {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.versions().module(),
            absl::StrCat("uid ", geteuid(), ", pid ", getpid()));

  server.Signal(SIGTERM);
  EXPECT_EQ(server.Reap(), 0);
  EXPECT_EQ(RawClient(address).error(), ENOENT);
}

}  // namespace
}  // namespace kamailio_mqtt
