// SPDX-License-Identifier: GPL-3.0-or-later

// What open event streams cost the network thread for each message that is
// published: with `range(0)` of them, read by nobody or at once.

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmark/benchmark.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "control_api/testing/control_service_harness.h"
#include "control_api/testing/fake_control.h"
#include "mqtt_core/control.h"
#include "mqtt_core/message.h"

namespace kamailio_mqtt {
namespace {

// Events in a series: what happens for each message, twice.
constexpr int kSeries = 1000;

class Reader {
 public:
  Reader(v1::MqttControl::Stub* stub, bool reads)
      : stream_(stub->WatchEvents(&context_, v1::WatchEventsRequest())) {
    if (reads) thread_ = std::thread([this] { Read(); });
  }
  ~Reader() {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
    Read();
    stream_->Finish();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  void Read() {
    v1::WatchEventsResponse event;
    while (stream_->Read(&event)) {
    }
  }

  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>> stream_;
  std::thread thread_;
};

void BM_Publish(benchmark::State& state, bool reads) {
  ControlServiceHarness harness;
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < state.range(0); ++i) {
    readers.push_back(std::make_unique<Reader>(&harness.stub(), reads));
  }
  harness.control().WaitForWatchers(readers.size());
  const Message message = {"sip/proxy-12/calls/state", std::string(200, 'x'),
                           Qos::kAtMostOnce, /*retain=*/false};
  uint64_t id = 0;
  for (auto _ : state) {
    harness.control().Emit([&](Control::Watcher& watcher) {
      for (int i = 0; i < kSeries; ++i) {
        watcher.OnPublish(++id, message, PublishOutcome::kAccepted);
        watcher.OnPublish(id, message, PublishOutcome::kWritten);
      }
    });
  }
  state.SetItemsProcessed(state.iterations() * kSeries);
}
BENCHMARK_CAPTURE(BM_Publish, NeverRead, false)
    ->Arg(0)
    ->Arg(1)
    ->Arg(10)
    ->UseRealTime();
BENCHMARK_CAPTURE(BM_Publish, ReadAtOnce, true)
    ->Arg(0)
    ->Arg(1)
    ->Arg(10)
    ->UseRealTime();

}  // namespace
}  // namespace kamailio_mqtt
