// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/limited_log.h"

#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::nanoseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LimitedLogTest : public testing::Test {
 protected:
  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
  FakeLog log_;
  LimitedLog limited_{&loop_, &log_};
};

TEST_F(LimitedLogTest, TheFirstComesAtOnceAndAlone) {
  limited_.Warning("a");
  EXPECT_THAT(log_.lines(LogLevel::kWarning), ElementsAre("a"));
  loop_.Advance(10 * LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(), ElementsAre("a"));
}

TEST_F(LimitedLogTest, WhatFollowsIsSummedUp) {
  for (const char* line : {"a", "b", "c", "d"}) limited_.Warning(line);
  loop_.Advance(LimitedLog::kInterval - nanoseconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre("a"));
  loop_.Advance(nanoseconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre("a", "d (the last of 3 such events)"));
}

TEST_F(LimitedLogTest, ASummaryCountsAsALine) {
  limited_.Warning("a");
  limited_.Warning("b");
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(), ElementsAre("a", "b"));
  log_.Clear();
  limited_.Warning("c");
  EXPECT_THAT(log_.lines(), IsEmpty());
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(), ElementsAre("c"));
}

TEST_F(LimitedLogTest, AfterAQuietIntervalTheNextComesAtOnce) {
  limited_.Warning("a");
  loop_.Advance(LimitedLog::kInterval);
  limited_.Warning("b");
  EXPECT_THAT(log_.lines(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace kamailio_mqtt
