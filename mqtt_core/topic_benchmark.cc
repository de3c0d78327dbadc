// SPDX-License-Identifier: GPL-3.0-or-later

// What a topic costs: its checks, and finding its subscriptions among many.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "mqtt_core/subscription_table.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

constexpr char kFilter[] = "sip/proxy-12/registrations/+/alice@example.com";
constexpr char kTopic[] = "sip/proxy-12/registrations/7/alice@example.com";

void BM_ValidateTopicName(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ValidateTopicName(kTopic));
}
BENCHMARK(BM_ValidateTopicName);

void BM_ValidateTopicFilter(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ValidateTopicFilter(kFilter));
}
BENCHMARK(BM_ValidateTopicFilter);

void BM_ValidateLongestTopicName(benchmark::State& state) {
  const std::string topic(65535, 'a');
  for (auto _ : state) benchmark::DoNotOptimize(ValidateTopicName(topic));
  state.SetBytesProcessed(state.iterations() * topic.size());
}
BENCHMARK(BM_ValidateLongestTopicName);

void BM_TopicMatchesFilter(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(TopicMatchesFilter(kTopic, kFilter));
  }
}
BENCHMARK(BM_TopicMatchesFilter);

std::string FilterOf(int64_t i) {
  return absl::StrCat("sip/proxy-", i % 100, "/calls/", i, "/+");
}

void FillTable(int64_t size, SubscriptionTable* table) {
  for (int64_t i = 0; i < size; ++i) {
    table->Add(FilterOf(i), Qos::kAtLeastOnce, SubscriptionOrigin::kScript);
  }
}

std::vector<std::string> TopicsFor(int64_t subscriptions) {
  std::vector<std::string> topics;
  constexpr int64_t kTopics = 1024;
  for (int64_t i = 0; i < kTopics; ++i) {
    const int64_t subscription = i * 7919 % subscriptions;
    topics.push_back(absl::StrCat("sip/proxy-", subscription % 100, "/calls/",
                                  subscription, "/state"));
  }
  return topics;
}

// One match for each message, whatever the number of subscriptions.
void BM_RecordMessage(benchmark::State& state) {
  SubscriptionTable table;
  FillTable(state.range(0), &table);
  const std::vector<std::string> topics = TopicsFor(state.range(0));
  size_t next = 0;
  size_t matched = 0;
  for (auto _ : state) {
    matched += table.RecordMessage(topics[next], 200, TimePoint());
    next = (next + 1) % topics.size();
  }
  state.counters["matches/message"] =
      static_cast<double>(matched) / state.iterations();
}
BENCHMARK(BM_RecordMessage)->RangeMultiplier(10)->Range(10, 100000);

// The same by comparing with each filter, for the ratio.
void BM_MatchOneByOne(benchmark::State& state) {
  std::vector<std::string> filters;
  for (int64_t i = 0; i < state.range(0); ++i) filters.push_back(FilterOf(i));
  const std::vector<std::string> topics = TopicsFor(state.range(0));
  size_t next = 0;
  for (auto _ : state) {
    size_t matched = 0;
    for (const std::string& filter : filters) {
      matched += TopicMatchesFilter(topics[next], filter) ? 1 : 0;
    }
    benchmark::DoNotOptimize(matched);
    next = (next + 1) % topics.size();
  }
}
BENCHMARK(BM_MatchOneByOne)->RangeMultiplier(10)->Range(10, 100000);

void BM_AddAll(benchmark::State& state) {
  for (auto _ : state) {
    SubscriptionTable table;
    FillTable(state.range(0), &table);
    benchmark::DoNotOptimize(table.Size());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_AddAll)->RangeMultiplier(10)->Range(10, 100000);

void BM_RestoreAll(benchmark::State& state) {
  SubscriptionTable table;
  FillTable(state.range(0), &table);
  for (auto _ : state) {
    table.OnConnectionLost();
    uint16_t packet_id = 0;
    for (const Subscription* subscription : table.PendingToSend()) {
      if (++packet_id == 0) ++packet_id;
      table.MarkSent(subscription->filter, packet_id);
      table.OnSuback(packet_id, 1);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_RestoreAll)->RangeMultiplier(10)->Range(10, 100000);

}  // namespace
}  // namespace kamailio_mqtt
