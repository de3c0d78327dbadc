// SPDX-License-Identifier: GPL-3.0-or-later

// Load on the control service: a stream of events that is never read, and
// GetStatus calls at a steady rate, one at a time.
//
//   control_load SOCKET RATE
//
// Runs until the end of standard input, and prints
// {"calls": N, "failed": N, "seconds": S}.

#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "tools/bench_run/time_stamp.h"

namespace kamailio_mqtt {
namespace {

namespace api = ::kamailio::mqtt::v1;

constexpr int64_t kSecond = 1000000000;

// Waits until `due`; false: standard input has ended.
bool WaitUntil(int64_t due) {
  const int64_t left = std::max<int64_t>(due - NowNanoseconds(), 0);
  const timespec timeout = {left / kSecond, left % kSecond};
  pollfd poll = {STDIN_FILENO, POLLIN, 0};
  return ppoll(&poll, 1, &timeout, nullptr) == 0;
}

void Run(const std::string& socket, int64_t rate) {
  grpc::ChannelArguments arguments;
  // The default, made of the path, is no valid HTTP/2 authority.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  const std::unique_ptr<api::MqttControl::Stub> stub =
      api::MqttControl::NewStub(grpc::CreateCustomChannel(
          absl::StrCat("unix:", socket), grpc::InsecureChannelCredentials(),
          arguments));

  grpc::ClientContext stream_context;
  const auto stream =
      stub->WatchEvents(&stream_context, api::WatchEventsRequest());

  int64_t calls = 0;
  int64_t failed = 0;
  const int64_t begin = NowNanoseconds();
  while (WaitUntil(begin + calls * kSecond / rate)) {
    grpc::ClientContext context;
    api::GetStatusResponse response;
    ++calls;
    if (!stub->GetStatus(&context, api::GetStatusRequest(), &response).ok()) {
      ++failed;
    }
  }
  const double seconds = 1e-9 * (NowNanoseconds() - begin);
  std::puts(absl::StrCat("{\"calls\": ", calls, ", \"failed\": ", failed,
                         ", \"seconds\": ", seconds, "}")
                .c_str());
  stream_context.TryCancel();
}

}  // namespace
}  // namespace kamailio_mqtt

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: control_load SOCKET RATE\n", stderr);
    return 2;
  }
  kamailio_mqtt::Run(argv[1], std::atoi(argv[2]));
  return 0;
}
