// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request_intake.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/request_sender.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/fake_mqtt_client.h"
#include "mqtt_core/testing/null_session_observer.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RequestIntakeTest : public ::testing::Test {
 protected:
  RequestIntakeTest()
      : state_(SharedState::Create(1 << 20).value()),
        loop_(&clock_),
        client_(&loop_),
        session_(SessionOptions(),
                 ReconnectPolicy(std::chrono::seconds(3),
                                 std::chrono::seconds(3), [] { return 0.5; }),
                 {&loop_, &clock_, &client_, &state_.statistics(), &log_,
                  &observer_}),
        sender_(OutboxOptions(), &state_, &clock_) {}

  void Connect() {
    session_.Start();
    loop_.RunUntilIdle();
    client_.AcceptConnection();
    loop_.RunUntilIdle();
  }

  SendResult Publish(const std::string& topic) {
    return sender_.Publish(topic, "payload", 1, "").result;
  }

  std::vector<std::string> PublishedTopics() const {
    std::vector<std::string> topics;
    for (const auto& publication : client_.publications()) {
      topics.push_back(publication.message.topic);
    }
    return topics;
  }

  FakeClock clock_;
  FakeLog log_;
  SharedState state_;
  FakeEventLoop loop_;
  FakeMqttClient client_;
  NullSessionObserver observer_;
  Session session_;
  RequestSender sender_;
};

TEST_F(RequestIntakeTest, TakesWhatWasSentBeforeItWasThere) {
  EXPECT_EQ(Publish("early"), SendResult::kAccepted);
  RequestIntake intake(&state_, &loop_, &session_, &log_);
  Connect();
  EXPECT_THAT(PublishedTopics(), ElementsAre("early"));
}

TEST_F(RequestIntakeTest, WakesForARequest) {
  RequestIntake intake(&state_, &loop_, &session_, &log_);
  Connect();
  ASSERT_TRUE(loop_.IsWaitingToRead(state_.wakeup().fd()));
  EXPECT_EQ(Publish("one"), SendResult::kAccepted);
  EXPECT_TRUE(loop_.SetReady(state_.wakeup().fd(), true, false));
  loop_.RunUntilIdle();
  EXPECT_THAT(PublishedTopics(), ElementsAre("one"));
}

TEST_F(RequestIntakeTest, KeepsTheOrderAndEveryAttribute) {
  RequestIntake intake(&state_, &loop_, &session_, &log_);
  Connect();
  const std::string binary("\0\xff\n", 3);
  EXPECT_EQ(sender_.Publish("a", binary, 2, "retain").result,
            SendResult::kAccepted);
  EXPECT_EQ(sender_.Publish("b", "", 0, "").result, SendResult::kAccepted);
  EXPECT_EQ(sender_.Subscribe("c/#", 1).result, SendResult::kAccepted);
  loop_.RunUntilIdle();

  ASSERT_EQ(client_.publications().size(), 2u);
  const Message& first = client_.publications()[0].message;
  EXPECT_EQ(first.topic, "a");
  EXPECT_EQ(first.payload, binary);
  EXPECT_EQ(first.qos, Qos::kExactlyOnce);
  EXPECT_TRUE(first.retain);
  const Message& second = client_.publications()[1].message;
  EXPECT_EQ(second.payload, "");
  EXPECT_FALSE(second.retain);
  ASSERT_EQ(client_.subscriptions().size(), 1u);
  EXPECT_EQ(client_.subscriptions()[0].filter, "c/#");
  EXPECT_EQ(client_.subscriptions()[0].qos, Qos::kAtLeastOnce);

  client_.AnswerSubscribe(client_.subscriptions()[0].packet_id, 1);
  EXPECT_EQ(sender_.Unsubscribe("c/#").result, SendResult::kAccepted);
  loop_.RunUntilIdle();
  ASSERT_EQ(client_.unsubscriptions().size(), 1u);
  EXPECT_EQ(client_.unsubscriptions()[0].filter, "c/#");
}

TEST_F(RequestIntakeTest, TakesMoreThanABatch) {
  RequestIntake intake(&state_, &loop_, &session_, &log_);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(Publish("topic"), SendResult::kAccepted);
  }
  loop_.RunUntilIdle();
  EXPECT_EQ(session_.outbox().waiting(), 1000u);
  EXPECT_EQ(state_.statistics().accepted.Get(Qos::kAtLeastOnce), 1000);
}

TEST_F(RequestIntakeTest, ClosingTakesTheRestAndRefusesMore) {
  RequestIntake intake(&state_, &loop_, &session_, &log_);
  ASSERT_EQ(Publish("last"), SendResult::kAccepted);
  intake.Close();
  EXPECT_EQ(session_.outbox().waiting(), 1u);
  EXPECT_EQ(Publish("too late"), SendResult::kNotRunning);
  EXPECT_EQ(state_.statistics().refused_not_running.Get(), 1);
}

TEST_F(RequestIntakeTest, SurvivesARecordThatIsNoRequest) {
  RequestIntake intake(&state_, &loop_, &session_, &log_);
  ASSERT_EQ(state_.ring().TryPush({"?"}), RequestRing::PushResult::kPushed);
  ASSERT_EQ(Publish("next"), SendResult::kAccepted);
  loop_.RunUntilIdle();
  EXPECT_EQ(session_.outbox().waiting(), 1u);
  EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr("makes no sense")));
}

}  // namespace
}  // namespace kamailio_mqtt
