// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/shared_state.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;

constexpr size_t kRingCapacity = 4096;

TEST(SharedStateTest, StartsOpenAndEmpty) {
  SharedState state = SharedState::Create(kRingCapacity).value();
  EXPECT_EQ(state.variables().intake.load(), IntakeState::kOpen);
  EXPECT_NE(state.variables().refusal_lines.Admit(TimePoint(), 1),
            absl::nullopt);
  for (const NamedCounter& named : ListCounters(state.statistics())) {
    EXPECT_EQ(named.counter->Get(), 0) << named.name;
  }
  EXPECT_EQ(state.ring().capacity(), kRingCapacity);
  EXPECT_EQ(state.ring().ApproximateSize().records, 0u);
  EXPECT_GE(state.wakeup().fd(), 0);
}

TEST(SharedStateTest, ReportsAnImpossibleCapacity) {
  EXPECT_EQ(SharedState::Create(0).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SharedState::Create(RequestRing::kMaxCapacity + 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(SharedStateTest, KeepsEverythingWhenMoved) {
  SharedState first = SharedState::Create(kRingCapacity).value();
  first.statistics().connects.Add(3);
  ASSERT_EQ(first.ring().TryPush({"record"}), RequestRing::PushResult::kPushed);
  const int fd = first.wakeup().fd();

  SharedState second = std::move(first);
  EXPECT_EQ(second.statistics().connects.Get(), 3);
  EXPECT_EQ(second.ring().ApproximateSize().records, 1u);
  EXPECT_EQ(second.wakeup().fd(), fd);
}

TEST(SharedStateTest, ProcessesShareTheVariables) {
  SharedState state = SharedState::Create(kRingCapacity).value();
  for (int i = 0; i < 3; ++i) {
    ForkedProcess child([&] {
      state.statistics().accepted.Add(Qos::kAtLeastOnce, 2);
      state.variables().refusal_lines.Admit(TimePoint(), 2);
    });
    EXPECT_EQ(child.Reap(), 0);
  }
  EXPECT_EQ(state.statistics().accepted.Get(Qos::kAtLeastOnce), 6);
  EXPECT_EQ(state.variables().refusal_lines.Admit(TimePoint(), 2),
            absl::nullopt);

  ForkedProcess child(
      [&] { state.variables().intake.store(IntakeState::kClosed); });
  EXPECT_EQ(child.Reap(), 0);
  EXPECT_EQ(state.variables().intake.load(), IntakeState::kClosed);
}

TEST(SharedStateTest, ProcessesShareTheRing) {
  SharedState state = SharedState::Create(kRingCapacity).value();
  ForkedProcess child([&] { state.ring().TryPush({"from", " ", "child"}); });
  EXPECT_EQ(child.Reap(), 0);
  RequestRingReader reader(&state.ring());
  std::vector<std::string> records;
  reader.Drain(10,
               [&](absl::string_view record) { records.emplace_back(record); });
  EXPECT_THAT(records, ElementsAre("from child"));
}

TEST(SharedStateTest, TwoStatesHaveNothingInCommon) {
  SharedState one = SharedState::Create(kRingCapacity).value();
  SharedState other = SharedState::Create(kRingCapacity).value();
  one.statistics().connects.Add();
  one.ring().TryPush({"record"});
  EXPECT_EQ(other.statistics().connects.Get(), 0);
  EXPECT_EQ(other.ring().ApproximateSize().records, 0u);
  EXPECT_NE(other.wakeup().fd(), one.wakeup().fd());
}

}  // namespace
}  // namespace kamailio_mqtt
