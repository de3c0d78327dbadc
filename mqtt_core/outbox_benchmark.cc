// SPDX-License-Identifier: GPL-3.0-or-later

// What the outbox costs a message, in time and in memory, however many wait.

#include <malloc.h>

#include <cstdint>
#include <string>

#include "benchmark/benchmark.h"
#include "mqtt_core/outbox.h"

namespace kamailio_mqtt {
namespace {

// As the request intake makes them: with no room to spare.
Message MakeMessage(Qos qos) {
  return {"sip/proxy-12/calls/state", std::string(200, 'x'), qos,
          /*retain=*/false};
}

OutboxOptions Unlimited() {
  OutboxOptions options;
  options.max_messages = INT64_MAX;
  options.max_bytes = INT64_MAX;
  return options;
}

void Fill(int64_t count, Qos qos, Outbox* outbox) {
  for (int64_t i = 0; i < count; ++i) {
    outbox->Push(MakeMessage(qos), TimePoint());
  }
}

// From acceptance to the confirmation, behind `range(0)` that wait.
void BM_Message(benchmark::State& state, Qos qos) {
  Statistics statistics;
  Outbox outbox(Unlimited(), &statistics);
  Fill(state.range(0), qos, &outbox);
  Outbox::PacketId packet_id = 0;
  for (auto _ : state) {
    outbox.Push(MakeMessage(qos), TimePoint());
    if (++packet_id == 0) ++packet_id;
    benchmark::DoNotOptimize(outbox.Next());
    outbox.MarkSubmitted(packet_id);
    outbox.Confirm(packet_id);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_Message, QoS0, Qos::kAtMostOnce)
    ->RangeMultiplier(10)
    ->Range(1, 100000);
BENCHMARK_CAPTURE(BM_Message, QoS1, Qos::kAtLeastOnce)
    ->RangeMultiplier(10)
    ->Range(1, 100000);

// The oldest of `range(0)` makes room for each.
void BM_DropOldest(benchmark::State& state) {
  Statistics statistics;
  OutboxOptions options;
  options.policy = QueuePolicy::kDropOldest;
  options.max_messages = state.range(0);
  Outbox outbox(options, &statistics);
  Fill(state.range(0), Qos::kAtLeastOnce, &outbox);
  for (auto _ : state) {
    outbox.Push(MakeMessage(Qos::kAtLeastOnce), TimePoint());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_DropOldest)->RangeMultiplier(10)->Range(10, 100000);

// A session is lost and a window full of messages waits again.
void BM_SessionLost(benchmark::State& state) {
  Statistics statistics;
  Outbox outbox(Unlimited(), &statistics);
  Fill(state.range(0), Qos::kAtLeastOnce, &outbox);
  for (auto _ : state) {
    Outbox::PacketId packet_id = 0;
    while (outbox.Next() != nullptr) outbox.MarkSubmitted(++packet_id);
    outbox.OnConnectionClosed(/*cleanly=*/false);
    outbox.OnSessionLost();
  }
}
BENCHMARK(BM_SessionLost)->RangeMultiplier(10)->Range(10, 100000);

// Bytes that a message takes beyond its topic and payload.
void BM_Memory(benchmark::State& state) {
  const auto allocated = [] {
    return static_cast<double>(mallinfo2().uordblks);
  };
  const Message message = MakeMessage(Qos::kAtMostOnce);
  const double content = message.topic.size() + message.payload.size();
  double bytes = 0;
  for (auto _ : state) {
    Statistics statistics;
    Outbox outbox(Unlimited(), &statistics);
    const double before = allocated();
    Fill(state.range(0), Qos::kAtMostOnce, &outbox);
    bytes = (allocated() - before) / state.range(0);
  }
  state.counters["bytes/message"] = bytes - content;
}
BENCHMARK(BM_Memory)->Arg(100000);

}  // namespace
}  // namespace kamailio_mqtt
