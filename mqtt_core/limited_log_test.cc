// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/limited_log.h"

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
  LimitedLog limited_{&loop_, &log_, LogLevel::kWarning};
};

TEST_F(LimitedLogTest, TheFirstComesAtOnceAndAlone) {
  limited_.Write("a");
  EXPECT_THAT(log_.lines(LogLevel::kWarning), ElementsAre("a"));
  loop_.Advance(10 * LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(), ElementsAre("a"));
}

TEST_F(LimitedLogTest, WhatFollowsIsSummedUp) {
  for (const char* line : {"a", "b", "c", "d"}) limited_.Write(line);
  loop_.Advance(LimitedLog::kInterval - nanoseconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre("a"));
  loop_.Advance(nanoseconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre("a", "d (the last of 3 such events)"));
}

TEST_F(LimitedLogTest, ASummaryCountsAsALine) {
  limited_.Write("a");
  limited_.Write("b");
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(), ElementsAre("a", "b"));
  log_.Clear();
  limited_.Write("c");
  EXPECT_THAT(log_.lines(), IsEmpty());
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(), ElementsAre("c"));
}

TEST_F(LimitedLogTest, AfterAQuietIntervalTheNextComesAtOnce) {
  limited_.Write("a");
  loop_.Advance(LimitedLog::kInterval);
  limited_.Write("b");
  EXPECT_THAT(log_.lines(), ElementsAre("a", "b"));
}

TEST_F(LimitedLogTest, ABurstComesLineByLine) {
  LimitedLog limited(&loop_, &log_, LogLevel::kInfo, 3);
  for (const char* line : {"a", "b", "c", "d", "e"}) limited.Write(line);
  EXPECT_THAT(log_.lines(LogLevel::kInfo), ElementsAre("a", "b", "c"));
  loop_.Advance(LimitedLog::kInterval);
  log_.Clear();
  for (const char* line : {"f", "g", "h"}) limited.Write(line);
  EXPECT_THAT(log_.lines(LogLevel::kInfo), ElementsAre("f", "g"));
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(LogLevel::kInfo), ElementsAre("f", "g", "h"));
}

}  // namespace
}  // namespace kamailio_mqtt
