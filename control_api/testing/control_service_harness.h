// SPDX-License-Identifier: GPL-3.0-or-later

// A gRPC server with the control service over a fake dispatcher, and a client
// of it, both in the test's process.
//
// Thread safety: belongs to the test's thread; stub() may be used by any.
#ifndef CONTROL_API_TESTING_CONTROL_SERVICE_HARNESS_H_
#define CONTROL_API_TESTING_CONTROL_SERVICE_HARNESS_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control_api/control_service.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "control_api/testing/fake_control.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/statistics.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {

class ControlServiceHarness {
 public:
  ControlServiceHarness()
      : counters_(ListCounters(statistics_)),
        control_(std::make_unique<FakeControl>()),
        service_({control_.get(), &loop_, &log_, &clock_, &counters_, &limits_,
                  ControlService::Versions{"1.2.3", "5.6.3", "2.0.11"}}),
        thread_([this] { loop_.Run(); }) {
    // Not an in-process channel: that one crashes when a client calls after the
    // server has shut down.
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(service_.service());
    server_ = builder.BuildAndStart();
    channel_ = grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                   grpc::InsecureChannelCredentials());
    stub_ = v1::MqttControl::NewStub(channel_);
  }

  ~ControlServiceHarness() {
    Shutdown();
    control_.reset();
    loop_.Stop();
    thread_.join();
  }

  FakeControl& control() { return *control_; }
  ControlService& service() { return service_; }
  ControlService::Limits& limits() { return limits_; }
  FakeLog& log() { return log_; }
  Statistics& statistics() { return statistics_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }
  v1::MqttControl::Stub& stub() { return *stub_; }

  // Stops the service; returns when all its calls are done.
  void Shutdown() {
    service_.Stop();
    // Streams whose client does not read are cut.
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::seconds(1));
    server_->Wait();
  }

 private:
  EvLoop loop_;
  FakeLog log_;
  SteadyClock clock_;
  Statistics statistics_;
  const std::vector<NamedCounter> counters_;
  ControlService::Limits limits_;
  std::unique_ptr<FakeControl> control_;
  ControlService service_;
  std::thread thread_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::MqttControl::Stub> stub_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_CONTROL_SERVICE_HARNESS_H_
