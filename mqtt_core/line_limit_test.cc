// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/line_limit.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::Eq;
using ::testing::Optional;

class LineLimitTest : public testing::Test {
 protected:
  absl::optional<std::string> Admit(int burst) {
    return limit_.Admit(clock_.Now(), burst);
  }

  FakeClock clock_;
  LineLimit limit_;
};

TEST_F(LineLimitTest, WithoutABurstOneASecond) {
  EXPECT_THAT(Admit(1), Optional(Eq("")));
  EXPECT_EQ(Admit(1), absl::nullopt);
  clock_.Advance(LineLimit::kInterval - nanoseconds(1));
  EXPECT_EQ(Admit(1), absl::nullopt);
  clock_.Advance(nanoseconds(1));
  EXPECT_THAT(Admit(1), Optional(Eq(" (2 more before it)")));
  clock_.Advance(LineLimit::kInterval);
  EXPECT_THAT(Admit(1), Optional(Eq("")));
}

TEST_F(LineLimitTest, ABurstAndThenOneASecond) {
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Admit(5), Optional(Eq("")));
  for (int i = 0; i < 7; ++i) EXPECT_EQ(Admit(5), absl::nullopt);
  clock_.Advance(LineLimit::kInterval);
  EXPECT_THAT(Admit(5), Optional(Eq(" (7 more before it)")));
  EXPECT_EQ(Admit(5), absl::nullopt);
}

TEST_F(LineLimitTest, AfterAQuietTimeTheBurstIsThereAgain) {
  for (int i = 0; i < 5; ++i) Admit(5);
  clock_.Advance(hours(1));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Admit(5), Optional(Eq("")));
  EXPECT_EQ(Admit(5), absl::nullopt);
}

TEST_F(LineLimitTest, InTheLongRunOneASecond) {
  int lines = 0;
  for (int i = 0; i < 100'000; ++i) {
    if (Admit(5).has_value()) ++lines;
    clock_.Advance(milliseconds(1));
  }
  EXPECT_EQ(lines, 5 + 99);
}

TEST_F(LineLimitTest, ThreadsTogetherHaveOneBurst) {
  std::atomic<int> lines{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, &lines] {
      for (int i = 0; i < 1000; ++i) {
        if (Admit(50).has_value()) ++lines;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines, 50);
  clock_.Advance(LineLimit::kInterval);
  EXPECT_THAT(Admit(50), Optional(Eq(" (3950 more before it)")));
}

}  // namespace
}  // namespace kamailio_mqtt
