// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_service.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "control_api/statuses.h"
#include "control_api/testing/control_service_harness.h"
#include "control_api/testing/fake_control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/control.h"
#include "mqtt_core/log.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::minutes;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Method = FakeControl::Method;

MATCHER_P2(IsStatus, code, text, "") {
  return arg.error_code() == code &&
         arg.error_message().find(text) != std::string::npos;
}

// A log line about a call of this test.
auto Logged(const std::string& call) {
  return AllOf(StartsWith("control API: ipv4:127.0.0.1:"),
               EndsWith(": " + call));
}

// A call in a thread of its own, that can be cancelled.
template <typename Request, typename Response>
class BackgroundCall {
 public:
  using StubMethod = grpc::Status (v1::MqttControl::Stub::*)(
      grpc::ClientContext*, const Request&, Response*);

  BackgroundCall(v1::MqttControl::Stub& stub, StubMethod method,
                 Request request, milliseconds timeout = minutes(1))
      : request_(std::move(request)) {
    context_.set_deadline(std::chrono::system_clock::now() + timeout);
    status_ = std::async(std::launch::async, [this, &stub, method] {
      return (stub.*method)(&context_, request_, &response_);
    });
  }

  void Cancel() { context_.TryCancel(); }
  // Waits for it.
  grpc::Status status() { return status_.get(); }
  const Response& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  const Request request_;
  Response response_;
  std::future<grpc::Status> status_;
};

class ControlServiceTest : public ::testing::Test {
 protected:
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::MqttControl::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + minutes(1));
    return (harness_.stub().*method)(&context, request, response);
  }

  grpc::Status Subscribe(const std::string& filter, uint32_t qos, bool wait) {
    v1::SubscribeRequest request;
    request.set_topic_filter(filter);
    request.set_qos(qos);
    request.set_wait(wait);
    return Call(&Stub::Subscribe, request, &subscribe_response_);
  }

  grpc::Status Unsubscribe(const std::string& filter) {
    v1::UnsubscribeRequest request;
    request.set_topic_filter(filter);
    request.set_wait(true);
    v1::UnsubscribeResponse response;
    return Call(&Stub::Unsubscribe, request, &response);
  }

  static v1::PublishRequest PublishRequest(const std::string& topic) {
    v1::PublishRequest request;
    request.set_topic(topic);
    request.set_payload("a secret");
    request.set_qos(1);
    request.set_retain(true);
    request.set_wait(true);
    return request;
  }

  grpc::Status Publish(const v1::PublishRequest& request) {
    return Call(&Stub::Publish, request, &publish_response_);
  }

  grpc::Status Inject(const std::string& topic, uint32_t qos) {
    v1::InjectMessageRequest request;
    request.set_topic(topic);
    request.set_payload("a secret");
    request.set_qos(qos);
    request.set_retain(true);
    return Call(&Stub::InjectMessage, request, &inject_response_);
  }

  grpc::Status Reconnect(v1::ReconnectMode mode) {
    v1::ReconnectRequest request;
    request.set_mode(mode);
    request.set_wait(true);
    return Call(&Stub::Reconnect, request, &reconnect_response_);
  }

  grpc::Status List(const v1::ListSubscriptionsRequest& request) {
    list_response_.Clear();
    return Call(&Stub::ListSubscriptions, request, &list_response_);
  }

  grpc::Status GetStatus() {
    return Call(&Stub::GetStatus, v1::GetStatusRequest(), &status_response_);
  }

  FakeControl& control() { return harness_.control(); }

  using Stub = v1::MqttControl::Stub;
  ControlServiceHarness harness_;
  v1::SubscribeResponse subscribe_response_;
  v1::PublishResponse publish_response_;
  v1::InjectMessageResponse inject_response_;
  v1::ReconnectResponse reconnect_response_;
  v1::ListSubscriptionsResponse list_response_;
  v1::GetStatusResponse status_response_;
};

using PublishCall = BackgroundCall<v1::PublishRequest, v1::PublishResponse>;

Subscription MakeSubscription(uint64_t id, const std::string& filter) {
  Subscription subscription;
  subscription.id = id;
  subscription.filter = filter;
  return subscription;
}

TEST_F(ControlServiceTest, GetStatusTellsStateVersionsAndCounters) {
  FakeControl::World world;
  world.status.started = SteadyClock().Now();
  world.status.connection.state = ConnectionState::kConnected;
  world.status.connection.broker = "broker.example.org:1883";
  world.status.publish_queue.max_messages = 7;
  world.status.subscriptions = 3;
  control().set_world(world);
  harness_.statistics().connects.Add(5);

  ASSERT_TRUE(GetStatus().ok());

  EXPECT_EQ(status_response_.versions().module(), "1.2.3");
  EXPECT_EQ(status_response_.versions().kamailio(), "5.6.3");
  EXPECT_EQ(status_response_.versions().libmosquitto(), "2.0.11");
  EXPECT_EQ(status_response_.versions().grpc(), grpc::Version());
  EXPECT_EQ(status_response_.connection().state(),
            v1::CONNECTION_STATE_CONNECTED);
  EXPECT_EQ(status_response_.connection().broker(), "broker.example.org:1883");
  EXPECT_EQ(status_response_.publish_queue().max_messages(), 7);
  EXPECT_EQ(status_response_.subscription_count(), 3);
  EXPECT_EQ(status_response_.counters().at("connects"), 5);
  EXPECT_EQ(status_response_.counters().size(),
            ListCounters(harness_.statistics()).size());
  EXPECT_THAT(harness_.log().lines(), IsEmpty());
}

TEST_F(ControlServiceTest, ListsSubscriptionsByPages) {
  FakeControl::World world;
  world.subscriptions = {MakeSubscription(4, "a/#"), MakeSubscription(6, "b"),
                         MakeSubscription(9, "a/b")};
  control().set_world(world);
  v1::ListSubscriptionsRequest request;
  request.set_page_size(2);

  ASSERT_TRUE(List(request).ok());
  ASSERT_EQ(list_response_.subscriptions_size(), 2);
  EXPECT_EQ(list_response_.subscriptions(0).topic_filter(), "a/#");
  EXPECT_EQ(list_response_.subscriptions(1).topic_filter(), "b");

  request.set_page_token(list_response_.next_page_token());
  ASSERT_TRUE(List(request).ok());
  ASSERT_EQ(list_response_.subscriptions_size(), 1);
  EXPECT_EQ(list_response_.subscriptions(0).topic_filter(), "a/b");
  EXPECT_THAT(list_response_.next_page_token(), IsEmpty());
}

TEST_F(ControlServiceTest, ListsTheSubscriptionsThatMatchATopic) {
  FakeControl::World world;
  world.subscriptions = {MakeSubscription(1, "a/#"), MakeSubscription(2, "b")};
  control().set_world(world);
  v1::ListSubscriptionsRequest request;
  request.set_topic("b");

  ASSERT_TRUE(List(request).ok());
  ASSERT_EQ(list_response_.subscriptions_size(), 1);
  EXPECT_EQ(list_response_.subscriptions(0).topic_filter(), "b");
  EXPECT_EQ(control().NextCall().limit, 1000);
}

TEST_F(ControlServiceTest, ListRefusesForeignPageTokens) {
  v1::ListSubscriptionsRequest request;
  request.set_page_token("2");
  EXPECT_THAT(List(request),
              IsStatus(StatusCode::INVALID_ARGUMENT, "page_token: "));
}

TEST_F(ControlServiceTest, Subscribes) {
  FakeControl::World world;
  world.subscription = MakeSubscription(1, "a/#");
  world.subscription.state = SubscriptionState::kActive;
  world.subscription.granted_qos = Qos::kAtLeastOnce;
  control().set_world(world);

  ASSERT_TRUE(Subscribe("a/#", 2, true).ok());

  const FakeControl::Call call = control().NextCall();
  EXPECT_EQ(call.method, Method::kSubscribe);
  EXPECT_EQ(call.topic, "a/#");
  EXPECT_EQ(call.qos, Qos::kExactlyOnce);
  EXPECT_TRUE(call.wait);
  EXPECT_EQ(subscribe_response_.subscription().topic_filter(), "a/#");
  EXPECT_EQ(subscribe_response_.subscription().granted_qos(), 1);
  EXPECT_THAT(harness_.log().lines(LogLevel::kNotice),
              ElementsAre(Logged("Subscribe \"a/#\"")));
}

TEST_F(ControlServiceTest, UnsubscribesAndReportsWhatDoesNotExist) {
  ASSERT_TRUE(Unsubscribe("a/#").ok());
  const FakeControl::Call call = control().NextCall();
  EXPECT_EQ(call.method, Method::kUnsubscribe);
  EXPECT_EQ(call.topic, "a/#");
  EXPECT_TRUE(call.wait);

  control().AnswerAtOnce(absl::NotFoundError("no such subscription"));
  EXPECT_THAT(Unsubscribe("b"),
              IsStatus(StatusCode::NOT_FOUND, "no such subscription"));
  EXPECT_THAT(harness_.log().lines(LogLevel::kNotice),
              ElementsAre(Logged("Unsubscribe \"a/#\""),
                          Logged("Unsubscribe \"b\": "
                                 "NOT_FOUND: no such subscription")));
}

TEST_F(ControlServiceTest, Publishes) {
  FakeControl::World world;
  world.outcome = PublishOutcome::kAcknowledged;
  control().set_world(world);

  ASSERT_TRUE(Publish(PublishRequest("a/b")).ok());

  const FakeControl::Call call = control().NextCall();
  EXPECT_EQ(call.method, Method::kPublish);
  EXPECT_EQ(call.topic, "a/b");
  EXPECT_EQ(call.payload, "a secret");
  EXPECT_EQ(call.qos, Qos::kAtLeastOnce);
  EXPECT_TRUE(call.retain);
  EXPECT_TRUE(call.wait);
  EXPECT_EQ(publish_response_.outcome(), v1::PUBLISH_OUTCOME_ACKNOWLEDGED);
  EXPECT_THAT(harness_.log().lines(LogLevel::kInfo),
              ElementsAre(Logged("Publish \"a/b\"")));
}

TEST_F(ControlServiceTest, InjectsMessages) {
  FakeControl::World world;
  world.inject_result = {RunStatus::kDone, milliseconds(1500), {"a/#", "+/b"}};
  control().set_world(world);

  ASSERT_TRUE(Inject("a/b", 2).ok());

  const FakeControl::Call call = control().NextCall();
  EXPECT_EQ(call.method, Method::kInject);
  EXPECT_EQ(call.topic, "a/b");
  EXPECT_EQ(call.payload, "a secret");
  EXPECT_EQ(call.qos, Qos::kExactlyOnce);
  EXPECT_TRUE(call.retain);
  EXPECT_EQ(call.origin, Origin::kInjected);
  EXPECT_EQ(inject_response_.result(), v1::ROUTE_RESULT_DONE);
  EXPECT_EQ(inject_response_.run_time().seconds(), 1);
  EXPECT_EQ(inject_response_.run_time().nanos(), 500000000);
  EXPECT_THAT(inject_response_.matching_topic_filters(),
              ElementsAre("a/#", "+/b"));
  EXPECT_EQ(inject_response_.matching_subscription_count(), 2);
  EXPECT_THAT(harness_.log().lines(LogLevel::kInfo),
              ElementsAre(Logged("InjectMessage \"a/b\"")));
}

TEST_F(ControlServiceTest, Reconnects) {
  FakeControl::World world;
  world.status.connection.state = ConnectionState::kConnected;
  control().set_world(world);

  ASSERT_TRUE(Reconnect(v1::RECONNECT_MODE_ABRUPT).ok());

  const FakeControl::Call call = control().NextCall();
  EXPECT_EQ(call.method, Method::kReconnect);
  EXPECT_EQ(call.mode, ReconnectMode::kAbrupt);
  EXPECT_TRUE(call.wait);
  EXPECT_EQ(reconnect_response_.connection().state(),
            v1::CONNECTION_STATE_CONNECTED);
  EXPECT_THAT(harness_.log().lines(LogLevel::kNotice),
              ElementsAre(Logged("Reconnect RECONNECT_MODE_ABRUPT")));
}

TEST_F(ControlServiceTest, RefusesRequestsThatBreakARule) {
  EXPECT_THAT(Subscribe("a/#/b", 0, false),
              IsStatus(StatusCode::INVALID_ARGUMENT, "topic_filter: "));
  EXPECT_THAT(Unsubscribe(""), IsStatus(StatusCode::INVALID_ARGUMENT,
                                        "topic_filter: must not be empty"));
  EXPECT_THAT(Publish(PublishRequest("a/+")),
              IsStatus(StatusCode::INVALID_ARGUMENT, "topic: "));
  EXPECT_THAT(Inject("a", 3), IsStatus(StatusCode::INVALID_ARGUMENT,
                                       "qos: 3 must be 0, 1 or 2"));
  EXPECT_THAT(Reconnect(static_cast<v1::ReconnectMode>(7)),
              IsStatus(StatusCode::INVALID_ARGUMENT, "mode: 7 "));

  // Nothing of it has got to Control.
  ASSERT_TRUE(List(v1::ListSubscriptionsRequest()).ok());
  EXPECT_EQ(control().NextCall().method, Method::kListSubscriptions);
  EXPECT_THAT(
      harness_.log().lines(LogLevel::kNotice),
      ElementsAre(HasSubstr("Subscribe \"a/#/b\": INVALID_ARGUMENT: topic"),
                  HasSubstr("Unsubscribe \"\": INVALID_ARGUMENT: topic"),
                  HasSubstr("Reconnect 7: INVALID_ARGUMENT: mode")));
}

TEST_F(ControlServiceTest, PassesOnWhatControlRefuses) {
  const std::vector<std::pair<absl::Status, StatusCode>> cases = {
      {absl::InvalidArgumentError("too large"), StatusCode::INVALID_ARGUMENT},
      {absl::ResourceExhaustedError("full"), StatusCode::RESOURCE_EXHAUSTED},
      {absl::UnavailableError("no connection"), StatusCode::UNAVAILABLE},
      {absl::AbortedError("unsubscribed"), StatusCode::ABORTED}};
  for (const auto& [status, code] : cases) {
    control().AnswerAtOnce(status);
    EXPECT_THAT(Publish(PublishRequest("a")),
                IsStatus(code, std::string(status.message())));
    EXPECT_THAT(Subscribe("a", 0, true),
                IsStatus(code, std::string(status.message())));
  }
}

TEST_F(ControlServiceTest, NeverLogsPayloads) {
  ASSERT_TRUE(Publish(PublishRequest("a")).ok());
  ASSERT_TRUE(Inject("a", 0).ok());
  Publish(PublishRequest("#"));
  control().AnswerAtOnce(absl::ResourceExhaustedError("full"));
  Publish(PublishRequest("a"));
  ASSERT_EQ(harness_.log().lines().size(), 4);
  for (const std::string& line : harness_.log().lines()) {
    EXPECT_THAT(line, Not(HasSubstr("secret")));
  }
}

TEST_F(ControlServiceTest, LogsTopicsEscapedAndCut) {
  Publish(PublishRequest(absl::StrCat("a\n", std::string(1000, 'x'))));
  ASSERT_EQ(harness_.log().lines().size(), 1);
  EXPECT_THAT(harness_.log().lines()[0], HasSubstr("Publish \"a\\nxxx"));
  EXPECT_THAT(harness_.log().lines()[0], HasSubstr("xxx...\": "));
  EXPECT_LT(harness_.log().lines()[0].size(), 400);
}

TEST_F(ControlServiceTest, ManyCallsGiveFewLines) {
  constexpr int kCalls = 2 * ControlService::kLogBurst;
  for (int i = 0; i < kCalls; ++i)
    ASSERT_TRUE(Publish(PublishRequest("a")).ok());
  const size_t lines = harness_.log().lines(LogLevel::kInfo).size();
  EXPECT_GE(lines, static_cast<size_t>(ControlService::kLogBurst));
  EXPECT_LT(lines, static_cast<size_t>(kCalls));
  // Of another kind, and not drowned in these.
  ASSERT_TRUE(Subscribe("a", 0, true).ok());
  EXPECT_THAT(harness_.log().lines(LogLevel::kNotice), SizeIs(1));
}

TEST_F(ControlServiceTest, ACancelledCallIsTakenBack) {
  control().HoldCalls();
  PublishCall call(harness_.stub(), &Stub::Publish, PublishRequest("a"));
  const Control::CallId id = control().NextCall().id;
  call.Cancel();
  control().WaitUntilCancelled(id);
  EXPECT_EQ(call.status().error_code(), StatusCode::CANCELLED);
  harness_.Shutdown();
  EXPECT_THAT(harness_.log().lines(),
              ElementsAre(HasSubstr("Publish \"a\": CANCELLED: ")));
}

TEST_F(ControlServiceTest, ACallIsTakenBackAtItsDeadline) {
  control().HoldCalls();
  PublishCall call(harness_.stub(), &Stub::Publish, PublishRequest("a"),
                   milliseconds(200));
  control().WaitUntilCancelled(control().NextCall().id);
  EXPECT_EQ(call.status().error_code(), StatusCode::DEADLINE_EXCEEDED);
  harness_.Shutdown();
  EXPECT_THAT(harness_.log().lines(),
              ElementsAre(AnyOf(HasSubstr("\"a\": CANCELLED: "),
                                HasSubstr("\"a\": DEADLINE_EXCEEDED: "))));
}

TEST_F(ControlServiceTest, ACallWhoseAnswerWillNeverComeEnds) {
  control().HoldCalls();
  PublishCall call(harness_.stub(), &Stub::Publish, PublishRequest("a"));
  control().NextCall();
  control().DropCalls();
  EXPECT_THAT(call.status(),
              IsStatus(StatusCode::UNAVAILABLE, "Kamailio is stopping"));
}

TEST_F(ControlServiceTest, StopEndsCallsInFlightAndAllLaterOnes) {
  control().HoldCalls();
  PublishCall call(harness_.stub(), &Stub::Publish, PublishRequest("a"));
  const Control::CallId id = control().NextCall().id;

  harness_.service().Stop();
  EXPECT_THAT(call.status(),
              IsStatus(StatusCode::UNAVAILABLE, "Kamailio is stopping"));
  EXPECT_THAT(Publish(PublishRequest("b")),
              IsStatus(StatusCode::UNAVAILABLE, "Kamailio is stopping"));
  // What comes too late does no harm.
  control().Answer(id);
}

TEST_F(ControlServiceTest, WaitingCallsAreBoundedAndOthersGoOn) {
  // All but one are taken.
  std::vector<Quota::Share> taken;
  for (int i = 1; i < harness_.limits().waiting_calls.limit(); ++i) {
    taken.push_back(harness_.limits().waiting_calls.Take());
  }
  control().HoldCalls();
  PublishCall call(harness_.stub(), &Stub::Publish, PublishRequest("a"));
  const Control::CallId id = control().NextCall().id;

  EXPECT_THAT(Publish(PublishRequest("b")),
              IsStatus(StatusCode::RESOURCE_EXHAUSTED,
                       "there are 1000 waiting calls already"));
  EXPECT_THAT(Inject("b", 0), IsStatus(StatusCode::RESOURCE_EXHAUSTED, "1000"));
  control().AnswerAtOnce();
  EXPECT_TRUE(GetStatus().ok());
  EXPECT_TRUE(Subscribe("a", 0, false).ok());

  control().Answer(id);
  EXPECT_TRUE(call.status().ok());
}

TEST_F(ControlServiceTest, ManyClientsAtOnce) {
  constexpr int kThreads = 8;
  constexpr int kCallsEach = 200;
  FakeControl::World world;
  world.subscriptions = {MakeSubscription(1, "a/#")};
  control().set_world(world);
  std::atomic<int> succeeded{0};
  std::atomic<int> given_up{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCallsEach; ++i) {
        grpc::ClientContext context;
        grpc::Status status;
        switch ((t + i) % 4) {
          case 0: {
            v1::GetStatusResponse response;
            status = harness_.stub().GetStatus(&context, {}, &response);
            break;
          }
          case 1: {
            v1::PublishResponse response;
            status = harness_.stub().Publish(&context, PublishRequest("a"),
                                             &response);
            break;
          }
          case 2: {
            // A race between the answer and the cancellation.
            v1::PublishResponse response;
            std::thread canceller([&context] { context.TryCancel(); });
            status = harness_.stub().Publish(&context, PublishRequest("a"),
                                             &response);
            canceller.join();
            break;
          }
          case 3: {
            v1::WatchEventsRequest request;
            request.set_snapshot(true);
            auto reader = harness_.stub().WatchEvents(&context, request);
            v1::WatchEventsResponse event;
            while (reader->Read(&event) && !event.has_synced()) {
            }
            context.TryCancel();
            status = reader->Finish();
            break;
          }
        }
        if (status.ok()) {
          ++succeeded;
        } else if (status.error_code() == StatusCode::CANCELLED) {
          ++given_up;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(succeeded + given_up, kThreads * kCallsEach);
  EXPECT_GE(succeeded, kThreads * kCallsEach / 2);
  control().WaitForWatchers(0);
}

TEST_F(ControlServiceTest, StopsWhileClientsCall) {
  constexpr int kThreads = 4;
  FakeLog ends;  // of the calls that failed
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      grpc::Status status;
      while (status.ok()) {
        grpc::ClientContext context;
        v1::PublishResponse response;
        status =
            harness_.stub().Publish(&context, PublishRequest("a"), &response);
      }
      ends.Error(Describe(status));
    });
  }
  for (int i = 0; i < 100; ++i) control().NextCall();
  harness_.service().Stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(ends.lines(), SizeIs(kThreads));
  EXPECT_THAT(ends.lines(), Each("UNAVAILABLE: Kamailio is stopping"));
}

}  // namespace
}  // namespace kamailio_mqtt
