// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/leftover.h"

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/log.h"
#include "mqtt_core/message.h"
#include "mqtt_core/outbox.h"
#include "mqtt_core/request_sender.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LeftoverTest : public testing::Test {
 protected:
  void Send(int qos) {
    ASSERT_EQ(sender_.Publish("topic", "payload", qos, "").result,
              SendResult::kAccepted);
  }

  std::vector<std::string> Report() {
    FakeLog log;
    ReportLeftover(&state_, &log);
    EXPECT_EQ(log.lines(LogLevel::kError), log.lines());
    return log.lines();
  }

  SharedState state_ = SharedState::Create(4096).value();
  FakeClock clock_;
  RequestSender sender_{OutboxOptions(), &state_, &clock_};
};

TEST_F(LeftoverTest, NothingIsNotWorthALine) {
  EXPECT_THAT(Report(), IsEmpty());
}

TEST_F(LeftoverTest, CountsWhatWaitsInTheRing) {
  Send(0);
  Send(2);
  Send(2);
  EXPECT_THAT(Report(), ElementsAre("lost with the dispatcher process: 1 "
                                    "message(s) of QoS 0, 0 of QoS 1, 2 of "
                                    "QoS 2"));
}

TEST_F(LeftoverTest, CountsWhatIsQueued) {
  Outbox outbox(OutboxOptions(), &state_.statistics());
  outbox.Push({"topic", "payload", Qos::kAtLeastOnce, false}, clock_.Now());
  outbox.MarkSubmitted(1);
  outbox.Push({"topic", "payload", Qos::kAtLeastOnce, false}, clock_.Now());
  Send(1);
  EXPECT_THAT(Report(), ElementsAre("lost with the dispatcher process: 0 "
                                    "message(s) of QoS 0, 3 of QoS 1, 0 of "
                                    "QoS 2"));
}

TEST_F(LeftoverTest, WhatAStopHasDroppedIsCountedAlready) {
  Outbox outbox(OutboxOptions(), &state_.statistics());
  outbox.Push({"topic", "payload", Qos::kAtLeastOnce, false}, clock_.Now());
  outbox.DropAllForShutdown();
  EXPECT_THAT(Report(), IsEmpty());
}

TEST_F(LeftoverTest, WhatTheDispatcherHasTakenIsNotInTheRing) {
  Send(1);
  Send(1);
  RequestRingReader reader(&state_.ring());
  reader.Drain(1, [](absl::string_view) {});
  EXPECT_THAT(Report(), ElementsAre("lost with the dispatcher process: 0 "
                                    "message(s) of QoS 0, 1 of QoS 1, 0 of "
                                    "QoS 2"));
}

TEST_F(LeftoverTest, CountsOnlyMessages) {
  ASSERT_EQ(sender_.Subscribe("filter", 1).result, SendResult::kAccepted);
  ASSERT_EQ(sender_.Unsubscribe("filter").result, SendResult::kAccepted);
  ASSERT_EQ(state_.ring().TryPush({"no request"}),
            RequestRing::PushResult::kPushed);
  EXPECT_THAT(Report(), IsEmpty());
}

}  // namespace
}  // namespace kamailio_mqtt
