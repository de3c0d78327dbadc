// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a producer pays for one record, and how many records a second pass from
// several producer processes to a reader that sleeps when it has nothing to do.

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "mqtt_core/request_ring.h"
#include "mqtt_core/wakeup.h"

namespace kamailio_mqtt {
namespace {

constexpr size_t kCapacity = size_t{8} << 20;

void Discard(absl::string_view record) { benchmark::DoNotOptimize(record); }

// One process: TryPush and Notify while the reader is awake, and the reader's
// share, each without the other's cache misses.
void BM_PushAndNotify(benchmark::State& state) {
  RequestRing ring = RequestRing::Create(kCapacity).value();
  RequestRingReader reader(&ring);
  Wakeup wakeup = Wakeup::Create().value();
  const std::string record(state.range(0), 'x');
  for (auto _ : state) {
    if (ring.TryPush({record}) != RequestRing::PushResult::kPushed) {
      state.PauseTiming();
      while (reader.Drain(1000000, Discard).records != 0) {
      }
      state.ResumeTiming();
      continue;
    }
    wakeup.Notify();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PushAndNotify)->Arg(64)->Arg(200)->Arg(256)->Arg(1024);

void BM_Drain(benchmark::State& state) {
  RequestRing ring = RequestRing::Create(kCapacity).value();
  RequestRingReader reader(&ring);
  const std::string record(state.range(0), 'x');
  for (auto _ : state) {
    if (reader.Drain(1, Discard).records == 1) continue;
    state.PauseTiming();
    while (ring.TryPush({record}) == RequestRing::PushResult::kPushed) {
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Drain)->Arg(64)->Arg(256)->Arg(1024);

[[noreturn]] void Produce(RequestRing* ring, Wakeup* wakeup,
                          const std::string& record) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // Should the benchmark be interrupted.
  for (;;) {
    const RequestRing::PushResult result = ring->TryPush({record});
    wakeup->Notify();
    if (result != RequestRing::PushResult::kPushed) sched_yield();
  }
}

// Throughput from `range(0)` processes with records of `range(1)` bytes.
void BM_Processes(benchmark::State& state) {
  RequestRing ring = RequestRing::Create(kCapacity).value();
  Wakeup wakeup = Wakeup::Create().value();
  const std::string record(state.range(1), 'x');
  std::vector<pid_t> producers(state.range(0));
  for (pid_t& producer : producers) {
    producer = fork();
    if (producer == 0) Produce(&ring, &wakeup, record);
  }

  RequestRingReader reader(&ring);
  uint64_t records = 0;
  uint64_t sleeps = 0;
  for (auto _ : state) {
    const RequestRingReader::Result result = reader.Drain(1024, Discard);
    records += result.records;
    if (result.next == RequestRingReader::Next::kRecord) continue;
    wakeup.PrepareToSleep();
    if (!reader.HasWork()) {
      ++sleeps;
      const bool unfinished =
          result.next == RequestRingReader::Next::kUnfinished;
      pollfd event = {wakeup.fd(), POLLIN, 0};
      poll(&event, 1, unfinished ? 1 : 1000);
    }
    wakeup.FinishSleep();
  }
  state.SetItemsProcessed(records);
  state.SetBytesProcessed(records * record.size());
  state.counters["sleeps"] =
      benchmark::Counter(sleeps, benchmark::Counter::kIsRate);

  for (pid_t producer : producers) {
    kill(producer, SIGKILL);
    waitpid(producer, nullptr, 0);
  }
}
BENCHMARK(BM_Processes)
    ->ArgNames({"processes", "bytes"})
    ->ArgsProduct({{1, 2, 4}, {64, 256, 1024}})
    ->UseRealTime();

}  // namespace
}  // namespace kamailio_mqtt
