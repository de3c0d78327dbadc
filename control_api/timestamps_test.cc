// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/timestamps.h"

#include <chrono>

#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

class TimestampsTest : public ::testing::Test {
 protected:
  const ClockReading now_ = {TimePoint(seconds(50)),
                             system_clock::time_point(seconds(1000))};
};

TEST_F(TimestampsTest, PastAndFuture) {
  EXPECT_EQ(ToTimestamp(now_.monotonic, now_).seconds(), 1000);
  EXPECT_EQ(ToTimestamp(now_.monotonic, now_).nanos(), 0);

  const auto past = ToTimestamp(now_.monotonic - milliseconds(1250), now_);
  EXPECT_EQ(past.seconds(), 998);
  EXPECT_EQ(past.nanos(), 750000000);

  const auto future = ToTimestamp(now_.monotonic + nanoseconds(1), now_);
  EXPECT_EQ(future.seconds(), 1000);
  EXPECT_EQ(future.nanos(), 1);
}

TEST_F(TimestampsTest, NanosecondsCountUpwardsBefore1970) {
  const auto time = ToTimestamp(now_.monotonic - milliseconds(1000250), now_);
  EXPECT_EQ(time.seconds(), -1);
  EXPECT_EQ(time.nanos(), 750000000);
}

TEST_F(TimestampsTest, Durations) {
  EXPECT_EQ(ToProto(milliseconds(2750)).seconds(), 2);
  EXPECT_EQ(ToProto(milliseconds(2750)).nanos(), 750000000);
  EXPECT_EQ(ToProto(milliseconds(-2750)).seconds(), -2);
  EXPECT_EQ(ToProto(milliseconds(-2750)).nanos(), -750000000);
}

TEST_F(TimestampsTest, ReadsBothClocks) {
  const FakeClock clock;
  const auto before = system_clock::now();
  const ClockReading reading = ReadClocks(clock);
  EXPECT_EQ(reading.monotonic, clock.Now());
  EXPECT_GE(reading.wall, before);
  EXPECT_LE(reading.wall, system_clock::now());
}

}  // namespace
}  // namespace kamailio_mqtt
