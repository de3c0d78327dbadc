// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/fake_mqtt_client.h"

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/recording_listener.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class FakeMqttClientTest : public ::testing::Test {
 protected:
  FakeMqttClientTest() { client_.SetListener(&listener_); }

  void Connect() {
    client_.Connect();
    client_.AcceptConnection();
  }

  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
  RecordingListener listener_{&loop_};
  FakeMqttClient client_{&loop_};
};

TEST_F(FakeMqttClientTest, RecordsAndAnswers) {
  Connect();
  client_.BeginBatch();
  const auto first = client_.Publish({"a", "1", Qos::kAtLeastOnce, false});
  const auto second = client_.Publish({"b", "2", Qos::kAtMostOnce, true});
  client_.EndBatch();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(*first, *second);
  ASSERT_THAT(client_.publications(), SizeIs(2));
  EXPECT_EQ(client_.publications()[1].message.topic, "b");
  client_.Acknowledge(*second);
  client_.AcknowledgeAll();
  EXPECT_THAT(listener_.published, ElementsAre(*second, *first));

  const auto suback = client_.Subscribe("c/#", Qos::kExactlyOnce);
  client_.AnswerSubscribe(*suback, kSubackFailure);
  ASSERT_THAT(listener_.subacks, SizeIs(1));
  EXPECT_EQ(listener_.subacks[0].granted, kSubackFailure);
  client_.AnswerUnsubscribe(*client_.Unsubscribe("c/#"));
  EXPECT_THAT(listener_.unsubacks, SizeIs(1));
  client_.SendPing();
  client_.AnswerPing();
  EXPECT_EQ(listener_.ping_responses, 1);
  client_.Deliver({"d", "3"});
  EXPECT_THAT(listener_.messages, SizeIs(1));
  client_.SetWantsMore(false);
  EXPECT_FALSE(client_.WantsMore());
  EXPECT_TRUE(client_.IsOutputWaiting());
  client_.SetWantsMore(true);
  EXPECT_FALSE(client_.IsOutputWaiting());
  client_.SetOutputWaiting(true);
  EXPECT_TRUE(client_.IsOutputWaiting());
  EXPECT_EQ(listener_.writable, 1);
}

TEST_F(FakeMqttClientTest, DisconnectIsReportedByTheLoop) {
  Connect();
  client_.Disconnect();
  EXPECT_TRUE(absl::IsUnavailable(client_.Publish({"a", "1"}).status()));
  EXPECT_THAT(listener_.disconnects, SizeIs(0));
  loop_.RunUntilIdle();
  ASSERT_THAT(listener_.disconnects, SizeIs(1));
  EXPECT_EQ(listener_.disconnects[0].kind, DisconnectKind::kRequested);
  EXPECT_EQ(client_.state(), FakeMqttClient::State::kIdle);
}

TEST_F(FakeMqttClientTest, AbortAfterDisconnectIsReportedOnce) {
  Connect();
  client_.Disconnect();
  client_.Abort({DisconnectKind::kTimeout, "too late"});
  loop_.RunUntilIdle();
  ASSERT_THAT(listener_.disconnects, SizeIs(1));
  EXPECT_EQ(listener_.disconnects[0].text, "too late");
}

TEST_F(FakeMqttClientTest, TestEndsTheConnectionFirst) {
  Connect();
  client_.Abort({DisconnectKind::kRequested, "enough"});
  client_.EndConnection({DisconnectKind::kLost, "gone"});
  client_.Connect();
  loop_.RunUntilIdle();
  EXPECT_THAT(listener_.disconnects, SizeIs(1));
  EXPECT_EQ(client_.state(), FakeMqttClient::State::kConnecting);
}

TEST_F(FakeMqttClientTest, FailsWhenTold) {
  Connect();
  client_.SetSubmitStatus(absl::InvalidArgumentError("no"));
  EXPECT_TRUE(absl::IsInvalidArgument(client_.Publish({"a", "1"}).status()));
  client_.SetSubmitStatus(absl::OkStatus());
  EXPECT_TRUE(client_.Publish({"a", "1"}).ok());
}

TEST_F(FakeMqttClientTest, ObjectsToWhatIsNotAllowed) {
  EXPECT_NONFATAL_FAILURE(client_.Publish({"a", "1"}).IgnoreError(),
                          "without a connection");
  EXPECT_NONFATAL_FAILURE(client_.EndBatch(), "without a batch");
  client_.Connect();
  EXPECT_NONFATAL_FAILURE(client_.Connect(), "while not idle");
}

}  // namespace
}  // namespace kamailio_mqtt
