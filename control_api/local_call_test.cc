// SPDX-License-Identifier: GPL-3.0-or-later

// LocalClient and LocalServer, on a real channel and over a fake Control.

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "control_api/local_client.h"
#include "control_api/local_protocol.h"
#include "control_api/local_server.h"
#include "control_api/testing/fake_control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/call_channel.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/testing/open_descriptors.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Method = FakeControl::Method;

constexpr Duration kLong = std::chrono::minutes(1);
constexpr size_t kAll = 1000000;

class LocalCallTest : public ::testing::Test {
 protected:
  LocalCallTest() {
    control_.RunThere([this] {
      server_ = std::make_unique<LocalServer>(
          channel_.receiving_fd(), control_.loop(), &control_, &clock_);
    });
  }
  ~LocalCallTest() override { StopServer(); }

  void StopServer() {
    control_.RunThere([this] { server_.reset(); });
  }

  // Subscriptions with the filters t/1, t/2 and so on.
  void MakeSubscriptions(size_t count, size_t filter_bytes = 0) {
    FakeControl::World world;
    for (size_t i = 1; i <= count; ++i) {
      Subscription subscription;
      subscription.id = i;
      subscription.filter = absl::StrCat("t/", i);
      subscription.filter.resize(
          std::max(subscription.filter.size(), filter_bytes), 'x');
      world.subscriptions.push_back(subscription);
    }
    control_.set_world(std::move(world));
  }

  static std::vector<std::string> Filters(
      const absl::StatusOr<std::vector<v1::Subscription>>& subscriptions) {
    std::vector<std::string> filters;
    for (const v1::Subscription& subscription : subscriptions.value()) {
      filters.push_back(subscription.topic_filter());
    }
    return filters;
  }

  const SteadyClock clock_;
  CallChannel channel_ = CallChannel::Create().value();
  FakeControl control_;
  std::unique_ptr<LocalServer> server_;
  const LocalClient client_{&channel_};
};

TEST_F(LocalCallTest, Status) {
  FakeControl::World world;
  world.status.connection.state = ConnectionState::kWaiting;
  world.status.connection.broker = "broker:1883";
  world.status.publish_queue.messages = 7;
  world.status.subscriptions = 3;
  control_.set_world(world);
  const v1::GetStatusResponse status = client_.GetStatus().value();
  EXPECT_EQ(status.connection().state(), v1::CONNECTION_STATE_WAITING);
  EXPECT_EQ(status.connection().broker(), "broker:1883");
  EXPECT_EQ(status.publish_queue().messages(), 7u);
  EXPECT_EQ(status.subscription_count(), 3u);
}

TEST_F(LocalCallTest, AllSubscriptions) {
  MakeSubscriptions(5000);
  const std::vector<std::string> filters =
      Filters(client_.ListSubscriptions("", kAll, 0));
  ASSERT_THAT(filters, SizeIs(5000));
  for (size_t i = 0; i < filters.size(); ++i) {
    ASSERT_EQ(filters[i], absl::StrCat("t/", i + 1));
  }
}

TEST_F(LocalCallTest, NoSubscription) {
  EXPECT_THAT(client_.ListSubscriptions("", kAll, 0).value(), SizeIs(0));
}

TEST_F(LocalCallTest, SubscriptionsWithTheLongestFilters) {
  MakeSubscriptions(20, 65535);
  EXPECT_THAT(client_.ListSubscriptions("", kAll, 0).value(), SizeIs(20));
}

TEST_F(LocalCallTest, SomeSubscriptions) {
  MakeSubscriptions(600);
  EXPECT_THAT(Filters(client_.ListSubscriptions("", 2, 0)),
              ElementsAre("t/1", "t/2"));
  EXPECT_THAT(Filters(client_.ListSubscriptions("", 3, 499)),
              ElementsAre("t/500", "t/501", "t/502"));
  EXPECT_THAT(Filters(client_.ListSubscriptions("", 3, 599)),
              ElementsAre("t/600"));
  EXPECT_THAT(Filters(client_.ListSubscriptions("", 3, 600)), ElementsAre());
}

TEST_F(LocalCallTest, SubscriptionsThatMatchATopic) {
  MakeSubscriptions(9);
  EXPECT_THAT(Filters(client_.ListSubscriptions("t/3", kAll, 0)),
              ElementsAre("t/3"));
  EXPECT_TRUE(absl::IsInvalidArgument(
      client_.ListSubscriptions("t/#", kAll, 0).status()));
}

TEST_F(LocalCallTest, SubscribeWaitsForTheBroker) {
  FakeControl::World world;
  world.subscription.filter = "a/#";
  world.subscription.state = SubscriptionState::kActive;
  world.subscription.granted_qos = Qos::kAtMostOnce;
  control_.set_world(world);
  const v1::Subscription subscription = client_.Subscribe("a/#", 1).value();
  EXPECT_EQ(subscription.state(), v1::SUBSCRIPTION_STATE_ACTIVE);
  EXPECT_EQ(subscription.granted_qos(), 0u);
  const FakeControl::Call call = control_.NextCall();
  EXPECT_EQ(call.method, Method::kSubscribe);
  EXPECT_EQ(call.topic, "a/#");
  EXPECT_EQ(call.qos, Qos::kAtLeastOnce);
  EXPECT_TRUE(call.wait);
}

TEST_F(LocalCallTest, SubscribeWithoutAConnectionDoesNotWait) {
  control_.HoldCalls();
  auto subscription = std::async(
      std::launch::async, [this] { return client_.Subscribe("a/#", 1); });
  const FakeControl::Call first = control_.NextCall();
  EXPECT_TRUE(first.wait);
  control_.Answer(first.id, absl::UnavailableError("not connected"));
  const FakeControl::Call second = control_.NextCall();
  EXPECT_FALSE(second.wait);
  control_.Answer(second.id);
  EXPECT_EQ(subscription.get().value().state(), v1::SUBSCRIPTION_STATE_PENDING);
}

TEST_F(LocalCallTest, SubscribeWhileKamailioStops) {
  control_.AnswerAtOnce(absl::UnavailableError("Kamailio is stopping"));
  EXPECT_EQ(client_.Subscribe("a", 0).status(),
            absl::UnavailableError("Kamailio is stopping"));
}

TEST_F(LocalCallTest, Unsubscribe) {
  EXPECT_EQ(client_.Unsubscribe("a/#").value(), UnsubscribeResult::kDone);
  const FakeControl::Call call = control_.NextCall();
  EXPECT_EQ(call.method, Method::kUnsubscribe);
  EXPECT_EQ(call.topic, "a/#");
  EXPECT_TRUE(call.wait);
  control_.AnswerAtOnce(absl::NotFoundError("there is none"));
  EXPECT_EQ(client_.Unsubscribe("a/#").status(),
            absl::NotFoundError("there is none"));
}

TEST_F(LocalCallTest, UnsubscribeDoesNotNeedTheBrokersAnswer) {
  for (const absl::Status& answer :
       {absl::NotFoundError("the first call has ended it"), absl::OkStatus()}) {
    control_.HoldCalls();
    auto result = std::async(std::launch::async,
                             [this] { return client_.Unsubscribe("a/#"); });
    const FakeControl::Call first = control_.NextCall();
    EXPECT_TRUE(first.wait);
    const FakeControl::Call second = control_.NextCall();
    EXPECT_FALSE(second.wait);
    EXPECT_EQ(second.topic, "a/#");
    control_.Answer(second.id, answer);
    EXPECT_EQ(result.get().value(), UnsubscribeResult::kUnconfirmed);
  }
}

TEST_F(LocalCallTest, UnsubscribeNeedsTheDispatchersAnswer) {
  control_.HoldCalls();
  const TimePoint begin = clock_.Now();
  EXPECT_EQ(client_.Unsubscribe("a/#").status(),
            absl::DeadlineExceededError(
                "no answer of the mqtt dispatcher within 2 s"));
  EXPECT_GE(clock_.Now() - begin, kLocalCallTimeout);
}

TEST_F(LocalCallTest, Reconnect) {
  EXPECT_EQ(client_.Reconnect(v1::RECONNECT_MODE_ABRUPT), absl::OkStatus());
  const FakeControl::Call call = control_.NextCall();
  EXPECT_EQ(call.method, Method::kReconnect);
  EXPECT_EQ(call.mode, ReconnectMode::kAbrupt);
  EXPECT_FALSE(call.wait);
}

TEST_F(LocalCallTest, BadRequestsAreNotSent) {
  StopServer();
  const std::string not_utf8 = "a/\xff";
  EXPECT_TRUE(absl::IsInvalidArgument(client_.Subscribe(not_utf8, 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_.Subscribe("a#", 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_.Subscribe("", 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_.Subscribe("a", 3).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client_.Unsubscribe(not_utf8).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      client_.ListSubscriptions(not_utf8, kAll, 0).status()));
}

TEST_F(LocalCallTest, WithoutAServer) {
  StopServer();
  EXPECT_TRUE(absl::IsUnavailable(client_.GetStatus().status()));
  EXPECT_TRUE(absl::IsUnavailable(client_.Subscribe("a", 0).status()));
}

TEST_F(LocalCallTest, NoAnswerInTimeTakesTheCallBack) {
  control_.HoldCalls();
  const TimePoint begin = clock_.Now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(client_.Subscribe("a", 0).status()));
  EXPECT_GE(clock_.Now() - begin, kLocalCallTimeout);
  control_.WaitUntilCancelled(control_.NextCall().id);
}

TEST_F(LocalCallTest, TheStopEndsCallsThatWait) {
  control_.HoldCalls();
  auto status = std::async(std::launch::async,
                           [this] { return client_.Unsubscribe("a"); });
  control_.NextCall();
  StopServer();
  EXPECT_TRUE(absl::IsUnavailable(status.get().status()));
}

TEST_F(LocalCallTest, TooManyCalls) {
  control_.HoldCalls();
  v1::UnsubscribeRequest request;
  request.set_topic_filter("a");
  const std::string call =
      EncodeLocalRequest(LocalMethod::kUnsubscribe, request);
  std::vector<std::thread> callers;
  for (size_t i = 0; i < kMaxLocalCalls; ++i) {
    callers.emplace_back([&] { EXPECT_TRUE(channel_.Call(call, kLong).ok()); });
  }
  std::vector<Control::CallId> held;
  while (held.size() < kMaxLocalCalls) held.push_back(control_.NextCall().id);
  EXPECT_THAT(client_.GetStatus().status().message(),
              HasSubstr("calls already"));
  for (Control::CallId id : held) control_.Answer(id);
  for (std::thread& caller : callers) caller.join();
  control_.AnswerAtOnce();
  EXPECT_TRUE(client_.GetStatus().ok());
}

TEST_F(LocalCallTest, RequestsThatTheClientDoesNotMake) {
  const auto ask = [this](const std::string& request) {
    v1::SubscribeResponse response;
    return DecodeLocalReply(channel_.Call(request, kLong).value(), &response);
  };
  EXPECT_TRUE(absl::IsUnimplemented(ask(std::string(1, '\0'))));
  EXPECT_TRUE(absl::IsUnimplemented(ask("\x7f")));
  v1::SubscribeRequest request;
  EXPECT_TRUE(absl::IsInvalidArgument(
      ask(EncodeLocalRequest(LocalMethod::kSubscribe, request))));
  EXPECT_TRUE(absl::IsInvalidArgument(
      ask(EncodeLocalRequest(LocalMethod::kSubscribe, request) + "\xff")));
}

TEST_F(LocalCallTest, LeavesNoDescriptors) {
  const int open_before = CountOpenDescriptors();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client_.GetStatus().ok());
  control_.RunThere([] {});  // The server has closed the last one.
  EXPECT_EQ(CountOpenDescriptors(), open_before);
}

}  // namespace
}  // namespace kamailio_mqtt
