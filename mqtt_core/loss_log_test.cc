// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/loss_log.h"

#include <chrono>
#include <memory>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class LossLogTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
  FakeLog log_;
  LossLog loss_log_{&loop_, &log_};
};

TEST_F(LossLogTest, NoLossNoLine) {
  loss_log_.Add(Loss::kExpired, 0);
  loss_log_.Flush();
  loop_.Advance(seconds(10));
  EXPECT_THAT(log_.lines(), IsEmpty());
  EXPECT_FALSE(loop_.NextTimerDue().has_value());
}

TEST_F(LossLogTest, TheFirstLossIsLoggedAtOnceAsAWarning) {
  loss_log_.Add(Loss::kExpired, 3);
  EXPECT_THAT(
      log_.lines(LogLevel::kWarning),
      ElementsAre(AllOf(StartsWith("3 message(s)"), HasSubstr("queue_ttl"))));
  EXPECT_THAT(log_.lines(), SizeIs(1));
}

TEST_F(LossLogTest, EachKindSaysWhy) {
  for (const auto& [loss, why] :
       {std::pair(Loss::kExpired, "older than queue_ttl"),
        std::pair(Loss::kOldest, "the oldest made room"),
        std::pair(Loss::kInvalid, "not valid in MQTT"),
        std::pair(Loss::kPossiblyLost, "QoS 0 possibly lost"),
        std::pair(Loss::kInbound, "event routes are too slow")}) {
    log_.Clear();
    loss_log_.Add(loss, 1);
    EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr(why)));
    loop_.Advance(seconds(2));
  }
}

TEST_F(LossLogTest, WhatFollowsIsSummedUpOnceASecond) {
  loss_log_.Add(Loss::kOldest, 1);
  log_.Clear();
  for (int i = 0; i < 1000; ++i) loss_log_.Add(Loss::kOldest, 2);
  EXPECT_THAT(log_.lines(), IsEmpty());
  loop_.Advance(milliseconds(999));
  EXPECT_THAT(log_.lines(), IsEmpty());
  loop_.Advance(milliseconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre(StartsWith("2000 message(s)")));
}

TEST_F(LossLogTest, AStreamOfLossesIsALineASecond) {
  for (int i = 0; i < 10000; ++i) {
    loss_log_.Add(Loss::kOldest, 1);
    loop_.Advance(milliseconds(1));
  }
  EXPECT_THAT(log_.lines(), SizeIs(11));
}

TEST_F(LossLogTest, KindsAreSummedUpApart) {
  loss_log_.Add(Loss::kOldest, 1);
  log_.Clear();
  loss_log_.Add(Loss::kInvalid, 2);
  loss_log_.Add(Loss::kExpired, 3);
  loop_.Advance(seconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre(StartsWith("3 message(s)"),
                                        StartsWith("2 message(s)")));
}

TEST_F(LossLogTest, AQuietSecondEndsTheRateLimit) {
  loss_log_.Add(Loss::kOldest, 1);
  loop_.Advance(seconds(1));
  EXPECT_FALSE(loop_.NextTimerDue().has_value());
  loss_log_.Add(Loss::kOldest, 1);
  EXPECT_THAT(log_.lines(), SizeIs(2));
}

TEST_F(LossLogTest, ASummaryIsFollowedByAQuietSecondToo) {
  loss_log_.Add(Loss::kOldest, 1);
  loss_log_.Add(Loss::kOldest, 2);
  loop_.Advance(seconds(1));
  EXPECT_THAT(log_.lines(), SizeIs(2));
  loss_log_.Add(Loss::kOldest, 4);
  EXPECT_THAT(log_.lines(), SizeIs(2));
  loop_.Advance(seconds(1));
  EXPECT_THAT(log_.lines(), SizeIs(3));
}

TEST_F(LossLogTest, FlushSaysWhatIsLeft) {
  loss_log_.Add(Loss::kOldest, 1);
  loss_log_.Add(Loss::kOldest, 5);
  loss_log_.Flush();
  EXPECT_THAT(log_.lines(), ElementsAre(StartsWith("1 message(s)"),
                                        StartsWith("5 message(s)")));
  loop_.Advance(seconds(5));
  EXPECT_THAT(log_.lines(), SizeIs(2));
}

TEST_F(LossLogTest, MayGoWhileItsTimerRuns) {
  auto loss_log = std::make_unique<LossLog>(&loop_, &log_);
  loss_log->Add(Loss::kOldest, 1);
  EXPECT_TRUE(loop_.NextTimerDue().has_value());
  loss_log.reset();
  EXPECT_FALSE(loop_.NextTimerDue().has_value());
}

}  // namespace
}  // namespace kamailio_mqtt
