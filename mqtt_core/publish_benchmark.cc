// SPDX-License-Identifier: GPL-3.0-or-later

// What a publish costs on its way from the script call to the client, without
// the client: the worker's share and the dispatcher's.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/request_intake.h"
#include "mqtt_core/request_sender.h"
#include "mqtt_core/session.h"
#include "mqtt_core/shared_state.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/null_session_observer.h"

namespace kamailio_mqtt {
namespace {

constexpr char kTopic[] = "sip/proxy-12/calls/state";
// Requests in a series; they fit into the ring.
constexpr int kSeries = 4096;

// Takes everything, and confirms it when it is told. FakeMqttClient would keep
// it all.
class TakingClient final : public MqttClient {
 public:
  void AcceptConnection() { listener_->OnConnected(); }
  void ConfirmAll() {
    while (!submitted_.empty()) {
      confirmed_.swap(submitted_);
      for (const PacketId packet_id : confirmed_) {
        listener_->OnPublished(packet_id);
      }
      confirmed_.clear();
    }
  }

  void SetListener(Listener* listener) override { listener_ = listener; }
  absl::StatusOr<PacketId> Publish(const Message& message) override {
    benchmark::DoNotOptimize(message.payload.data());
    if (++last_packet_id_ == 0) ++last_packet_id_;
    submitted_.push_back(last_packet_id_);
    return last_packet_id_;
  }
  bool IsSessionKept() const override { return false; }
  bool WantsMore() const override { return true; }
  bool IsOutputWaiting() const override { return false; }

  // A session that only publishes calls none of these.
  void Connect() override {}
  void Disconnect() override {}
  void DropSession() override {}
  void Abort(DisconnectReason) override {}
  absl::StatusOr<PacketId> Subscribe(const std::string&, Qos) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<PacketId> Unsubscribe(const std::string&) override {
    return absl::UnimplementedError("");
  }
  void BeginBatch() override {}
  void EndBatch() override {}

 private:
  Listener* listener_ = nullptr;
  PacketId last_packet_id_ = 0;
  std::vector<PacketId> submitted_;
  std::vector<PacketId> confirmed_;
};

// A worker and a dispatcher that is connected.
class Path {
 public:
  Path()
      : state_(SharedState::Create(size_t{8} << 20).value()),
        loop_(&loop_clock_),
        session_(SessionOptions(),
                 ReconnectPolicy(std::chrono::seconds(3),
                                 std::chrono::seconds(3), [] { return 0.5; }),
                 {&loop_, &clock_, &client_, &state_.statistics(), &log_,
                  &observer_}),
        intake_(&state_, &loop_, &session_, &log_),
        sender_(OutboxOptions(), &state_, &clock_) {
    session_.Start();
    client_.AcceptConnection();
  }

  void Send(const std::string& payload, int qos) {
    for (int i = 0; i < kSeries; ++i) {
      benchmark::DoNotOptimize(sender_.Publish(kTopic, payload, qos, ""));
    }
  }

  void Dispatch() {
    while (state_.statistics().accepted.Total() < accepted_ + kSeries) {
      loop_.RunUntilIdle();
    }
    client_.ConfirmAll();
    accepted_ += kSeries;
  }

 private:
  SteadyClock clock_;
  FakeClock loop_clock_;
  FakeLog log_;
  SharedState state_;
  FakeEventLoop loop_;
  TakingClient client_;
  NullSessionObserver observer_;
  Session session_;
  RequestIntake intake_;
  RequestSender sender_;
  int64_t accepted_ = 0;
};

// mqtt_publish, but for Kamailio's script, while the dispatcher is awake.
void BM_Worker(benchmark::State& state) {
  Path path;
  const std::string payload(state.range(0), 'x');
  for (auto _ : state) {
    path.Send(payload, /*qos=*/0);
    state.PauseTiming();
    path.Dispatch();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kSeries);
}
BENCHMARK(BM_Worker)->Arg(10)->Arg(200)->Arg(1000);

// From the ring to the client and its confirmation.
void BM_Dispatcher(benchmark::State& state) {
  Path path;
  const std::string payload(state.range(1), 'x');
  for (auto _ : state) {
    state.PauseTiming();
    path.Send(payload, state.range(0));
    state.ResumeTiming();
    path.Dispatch();
  }
  state.SetItemsProcessed(state.iterations() * kSeries);
}
BENCHMARK(BM_Dispatcher)
    ->ArgNames({"qos", "bytes"})
    ->ArgsProduct({{0, 1, 2}, {10, 200, 1000}});

}  // namespace
}  // namespace kamailio_mqtt
