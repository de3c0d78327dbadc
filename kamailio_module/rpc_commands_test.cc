// SPDX-License-Identifier: GPL-3.0-or-later

#include "kamailio_module/rpc_commands.h"

#include <limits>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "control_api/local_server.h"
#include "control_api/testing/fake_control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/call_channel.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/log.h"
#include "mqtt_core/outbox.h"
#include "mqtt_core/request_sender.h"
#include "mqtt_core/shared_state.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr absl::nullopt_t kAbsent = absl::nullopt;
constexpr int kAll = std::numeric_limits<int>::max();

MATCHER_P2(Fails, code, text, "") {
  return arg.code() == code &&
         arg.message().substr(0, std::string(text).size()) == text;
}

auto Invalid(const char* text) {
  return Fails(absl::StatusCode::kInvalidArgument, text);
}

class RpcCommandsTest : public ::testing::Test {
 protected:
  RpcCommandsTest() {
    control_.RunThere([this] {
      server_ = std::make_unique<LocalServer>(
          channel_.receiving_fd(), control_.loop(), &control_, &clock_);
    });
  }
  ~RpcCommandsTest() override {
    control_.RunThere([this] { server_.reset(); });
  }

  const SteadyClock clock_;
  CallChannel channel_ = CallChannel::Create().value();
  FakeControl control_;
  std::unique_ptr<LocalServer> server_;
  SharedState state_ = SharedState::Create(1 << 16).value();
  RequestSender sender_{OutboxOptions(), &state_, &clock_};
  FakeLog log_;
  const RpcCommands commands_{&channel_, &sender_, &log_};
};

TEST_F(RpcCommandsTest, PublishFillsTheRing) {
  EXPECT_EQ(commands_.Publish("a", "payload", "1", "retain"), absl::OkStatus());
  EXPECT_EQ(commands_.Publish("a", "", kAbsent, kAbsent), absl::OkStatus());
  EXPECT_EQ(state_.ring().ApproximateSize().records, 2u);
}

TEST_F(RpcCommandsTest, PublishWithWrongArguments) {
  EXPECT_THAT(commands_.Publish(kAbsent, kAbsent, kAbsent, kAbsent),
              Invalid("topic: must be given"));
  EXPECT_THAT(commands_.Publish("a", kAbsent, kAbsent, kAbsent),
              Invalid("payload: must be given"));
  EXPECT_THAT(commands_.Publish("a/#", "x", kAbsent, kAbsent),
              Invalid("topic: wildcard"));
  EXPECT_THAT(commands_.Publish("\xff", "x", kAbsent, kAbsent),
              Invalid("topic: "));
  for (const char* qos : {"", "3", "-1", "01", "one", "1 "}) {
    EXPECT_THAT(commands_.Publish("a", "x", qos, kAbsent),
                Invalid("qos: must be 0, 1 or 2"));
  }
  EXPECT_THAT(commands_.Publish("a", "x", "0", "keep"),
              Invalid("option \"keep\" is unknown"));
  EXPECT_EQ(state_.ring().ApproximateSize().records, 0u);
}

TEST_F(RpcCommandsTest, EveryRefusalSaysWhy) {
  state_.variables().intake = IntakeState::kClosed;
  // The log would get one line of these.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(commands_.Publish("a", "x", kAbsent, kAbsent),
              absl::UnavailableError("the dispatcher is not running"));
  }
}

TEST_F(RpcCommandsTest, FullQueue) {
  OutboxOptions options;
  options.max_messages = 1;
  RequestSender sender(options, &state_, &clock_);
  const RpcCommands commands(&channel_, &sender, &log_);
  EXPECT_EQ(commands.Publish("a", "x", kAbsent, kAbsent), absl::OkStatus());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(
        commands.Publish("a", "x", kAbsent, kAbsent),
        Fails(absl::StatusCode::kResourceExhausted, "the queue is full"));
  }
}

TEST_F(RpcCommandsTest, RefusedSubscriptionIsAFailure) {
  FakeControl::World world;
  world.subscription.state = SubscriptionState::kRefused;
  world.subscription.refusal_reason = "not allowed";
  control_.set_world(world);
  EXPECT_THAT(commands_.Subscribe("a", "1").status(),
              Fails(absl::StatusCode::kFailedPrecondition,
                    "cannot subscribe: not allowed"));
}

TEST_F(RpcCommandsTest, WrongArguments) {
  EXPECT_THAT(commands_.Subscribe(kAbsent, kAbsent).status(),
              Invalid("topic_filter: must be given"));
  EXPECT_THAT(commands_.Subscribe("a#", kAbsent).status(),
              Invalid("topic_filter: "));
  EXPECT_THAT(commands_.Subscribe("a", "high").status(), Invalid("qos: "));
  EXPECT_THAT(commands_.Unsubscribe(kAbsent).status(),
              Invalid("topic_filter: must be given"));
  EXPECT_THAT(commands_.Reconnect("soon"),
              Invalid("mode: must be graceful or abrupt"));
  EXPECT_THAT(commands_.ListSubscriptions("a/+", kAll, 0).status(),
              Invalid("topic: wildcard"));
  EXPECT_THAT(commands_.ListSubscriptions(kAbsent, 0, 0).status(),
              Invalid("limit: must be above 0"));
  EXPECT_THAT(commands_.ListSubscriptions(kAbsent, kAll, -1).status(),
              Invalid("offset: must not be below 0"));
}

TEST_F(RpcCommandsTest, ModesOfReconnecting) {
  EXPECT_EQ(commands_.Reconnect(kAbsent), absl::OkStatus());
  EXPECT_EQ(control_.NextCall().mode, ReconnectMode::kGraceful);
  EXPECT_EQ(commands_.Reconnect("graceful"), absl::OkStatus());
  EXPECT_EQ(control_.NextCall().mode, ReconnectMode::kGraceful);
  EXPECT_EQ(commands_.Reconnect("abrupt"), absl::OkStatus());
  EXPECT_EQ(control_.NextCall().mode, ReconnectMode::kAbrupt);
}

TEST_F(RpcCommandsTest, ChangesAreLogged) {
  ASSERT_TRUE(commands_.Publish("a/b", "SECRET", "1", kAbsent).ok());
  EXPECT_FALSE(commands_.Publish("a\n", "SECRET", "1", kAbsent).ok());
  EXPECT_THAT(log_.lines(LogLevel::kInfo),
              ElementsAre("RPC: mqtt.publish \"a/b\"",
                          StartsWith("RPC: mqtt.publish \"a\\n\": topic: ")));
  ASSERT_TRUE(commands_.Subscribe("a/#", kAbsent).ok());
  ASSERT_TRUE(commands_.Unsubscribe("a/#").ok());
  ASSERT_TRUE(commands_.Reconnect(kAbsent).ok());
  EXPECT_FALSE(commands_.Reconnect("soon").ok());
  EXPECT_THAT(
      log_.lines(LogLevel::kNotice),
      ElementsAre("RPC: mqtt.subscribe \"a/#\"",
                  "RPC: mqtt.unsubscribe \"a/#\"", "RPC: mqtt.reconnect",
                  StartsWith("RPC: mqtt.reconnect \"soon\": mode: ")));
}

TEST_F(RpcCommandsTest, NotEveryChangeIsLogged) {
  for (int i = 0; i < 2 * kRpcLogBurst; ++i) {
    ASSERT_TRUE(commands_.Publish("a", "", kAbsent, kAbsent).ok());
  }
  EXPECT_GE(log_.lines().size(), static_cast<size_t>(kRpcLogBurst));
  EXPECT_LT(log_.lines().size(), static_cast<size_t>(2 * kRpcLogBurst));
}

TEST_F(RpcCommandsTest, QuestionsAreNotLogged) {
  ASSERT_TRUE(commands_.GetStatus().ok());
  ASSERT_TRUE(commands_.ListSubscriptions(kAbsent, kAll, 0).ok());
  EXPECT_THAT(log_.lines(), IsEmpty());
}

}  // namespace
}  // namespace kamailio_mqtt
