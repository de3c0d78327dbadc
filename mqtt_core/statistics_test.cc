// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/statistics.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAreArray;
using ::testing::MatchesRegex;

// The structure holds counters and nothing else.
constexpr size_t kCounters = sizeof(Statistics) / sizeof(Counter);

int64_t Value(const Statistics& statistics, const std::string& name) {
  for (const NamedCounter& named : ListCounters(statistics)) {
    if (named.name == name) return named.counter->Get();
  }
  ADD_FAILURE() << "no counter " << name;
  return -1;
}

TEST(CounterTest, AddsAndSets) {
  Counter counter;
  EXPECT_EQ(counter.Get(), 0);
  counter.Add();
  counter.Add(4);
  EXPECT_EQ(counter.Get(), 5);
  counter.Add(-7);
  EXPECT_EQ(counter.Get(), -2);
  counter.Set(9);
  EXPECT_EQ(counter.Get(), 9);
}

TEST(CounterTest, LosesNothingBetweenThreads) {
  constexpr int kThreads = 4;
  constexpr int kTimes = 10000;
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kTimes; ++j) counter.Add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.Get(), kThreads * kTimes);
}

TEST(QosCounterTest, CountsEachQosByItself) {
  QosCounter counter;
  counter.Add(Qos::kAtMostOnce);
  counter.Add(Qos::kAtLeastOnce, 20);
  counter.Add(Qos::kExactlyOnce, 300);
  counter.Add(Qos::kExactlyOnce, -100);
  EXPECT_EQ(counter.Get(Qos::kAtMostOnce), 1);
  EXPECT_EQ(counter.Get(Qos::kAtLeastOnce), 20);
  EXPECT_EQ(counter.Get(Qos::kExactlyOnce), 200);
  EXPECT_EQ(counter.Total(), 221);
}

TEST(StatisticsTest, ZeroFilledMemoryIsAValidStart) {
  alignas(Statistics) char zeros[sizeof(Statistics)] = {};
  const Statistics fresh;
  EXPECT_EQ(std::memcmp(&fresh, zeros, sizeof(zeros)), 0);
}

TEST(StatisticsTest, ListsEveryCounterOnce) {
  const Statistics statistics;
  const auto* const first = reinterpret_cast<const Counter*>(&statistics);
  std::set<const Counter*> listed;
  for (const NamedCounter& named : ListCounters(statistics)) {
    EXPECT_TRUE(listed.insert(named.counter).second) << named.name;
  }
  std::set<const Counter*> all;
  for (size_t i = 0; i < kCounters; ++i) all.insert(first + i);
  EXPECT_EQ(listed, all);
}

TEST(StatisticsTest, NamesAreDistinctAndFitKamailio) {
  const Statistics statistics;
  std::set<std::string> names;
  for (const NamedCounter& named : ListCounters(statistics)) {
    EXPECT_TRUE(names.insert(named.name).second) << named.name;
    EXPECT_THAT(named.name, MatchesRegex("[a-z][a-z0-9_]*"));
  }
}

TEST(StatisticsTest, NamesTellQosAndMeaning) {
  Statistics statistics;
  statistics.accepted.Add(Qos::kAtMostOnce, 10);
  statistics.accepted.Add(Qos::kExactlyOnce, 12);
  statistics.acknowledged.Add(Qos::kAtLeastOnce, 21);
  statistics.possibly_lost.Add(Qos::kAtMostOnce, 30);
  statistics.refused_queue_full.Add(41);
  statistics.connected.Set(1);
  EXPECT_EQ(Value(statistics, "accepted_qos0"), 10);
  EXPECT_EQ(Value(statistics, "accepted_qos1"), 0);
  EXPECT_EQ(Value(statistics, "accepted_qos2"), 12);
  EXPECT_EQ(Value(statistics, "acknowledged_qos1"), 21);
  EXPECT_EQ(Value(statistics, "possibly_lost_qos0"), 30);
  EXPECT_EQ(Value(statistics, "refused_queue_full"), 41);
  EXPECT_EQ(Value(statistics, "connected"), 1);
}

TEST(StatisticsTest, TheOrderIsStable) {
  const Statistics one;
  Statistics other;
  other.connects.Add();
  std::vector<std::string> names;
  std::vector<std::string> others;
  for (const NamedCounter& named : ListCounters(one)) {
    names.push_back(named.name);
  }
  for (const NamedCounter& named : ListCounters(other)) {
    others.push_back(named.name);
  }
  EXPECT_THAT(others, ElementsAreArray(names));
}

}  // namespace
}  // namespace kamailio_mqtt
