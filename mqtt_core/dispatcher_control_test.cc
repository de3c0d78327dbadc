// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/dispatcher_control.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/fake_mqtt_client.h"
#include "mqtt_core/testing/ledger.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Qos kQos0 = Qos::kAtMostOnce;
constexpr Qos kQos1 = Qos::kAtLeastOnce;
constexpr char kPayload[] = "do-not-log-me";

// How a call ended, or has not.
template <typename Result>
struct Answer {
  std::vector<absl::StatusOr<Result>> results;

  bool pending() const { return results.empty(); }
  absl::StatusCode code() const {
    EXPECT_EQ(results.size(), 1u);
    return results.empty() ? absl::StatusCode::kUnknown
                           : results.front().status().code();
  }
  std::string message() const {
    return std::string(results.front().status().message());
  }
  const Result& operator*() const { return *results.front(); }
  const Result* operator->() const { return &*results.front(); }
};

template <typename Result>
Control::Done<Result> Into(std::shared_ptr<Answer<Result>> answer) {
  return [answer](absl::StatusOr<Result> result) {
    answer->results.push_back(std::move(result));
  };
}

template <typename Result>
std::shared_ptr<Answer<Result>> NewAnswer() {
  return std::make_shared<Answer<Result>>();
}

class RecordingWatcher : public Control::Watcher {
 public:
  void OnSynced(const ConnectionStatus& connection,
                std::vector<Subscription> subscriptions) override {
    Add(absl::StrCat("synced ", static_cast<int>(connection.state), " ",
                     subscriptions.size()));
  }
  void OnConnected() override { Add("connected"); }
  void OnDisconnected(const ConnectionStatus& status) override {
    Add(absl::StrCat("disconnected: ", *status.last_disconnect_reason));
  }
  void OnSubscriptionChanged(const Subscription& subscription,
                             bool removed) override {
    Add(absl::StrCat(subscription.filter, " ",
                     removed
                         ? "removed"
                         : absl::StrCat(static_cast<int>(subscription.state))));
  }
  void OnMessage(const InboundMessage& message) override {
    Add(absl::StrCat("message ", message.topic));
  }
  void OnPublish(uint64_t publish_id, const Message& message,
                 PublishOutcome outcome) override {
    Add(absl::StrCat("publish ", publish_id, " ", message.topic, " ",
                     static_cast<int>(outcome)));
  }

  std::vector<std::string> Take() { return std::exchange(events_, {}); }

 private:
  void Add(std::string event) { events_.push_back(std::move(event)); }

  std::vector<std::string> events_;
};

// The session under control, with its client and its loop in the test's hands.
class DispatcherControlTest : public ::testing::Test,
                              private Session::Observer {
 protected:
  DispatcherControlTest() {
    options_.broker = "broker.example:1883";
    options_.client_id = "sip-1";
    options_.outbox.max_messages = 3;
    options_.outbox.max_bytes = 1000;
  }

  ~DispatcherControlTest() override {
    ExpectLedgerBalances(statistics_);
    EXPECT_THAT(log_.lines(), Each(Not(HasSubstr(kPayload))));
  }

  void Start() {
    session_ = std::make_unique<Session>(
        options_, ReconnectPolicy(seconds(3), seconds(3), [] { return 0.5; }),
        Session::Environment{&loop_, &clock_, &client_, &statistics_, &log_,
                             this});
    control_ = std::make_unique<DispatcherControl>(
        &loop_, &clock_, &statistics_, session_.get(), &inbound_);
    session_->Start();
    loop_.RunUntilIdle();
  }
  void Accept() {
    client_.AcceptConnection();
    loop_.RunUntilIdle();
  }
  void StartConnected() {
    Start();
    Accept();
  }
  void Lose() {
    client_.EndConnection({DisconnectKind::kLost, "connection reset"});
    loop_.RunUntilIdle();
  }

  std::shared_ptr<Answer<Subscription>> Subscribe(const std::string& filter,
                                                  bool wait) {
    auto answer = NewAnswer<Subscription>();
    last_call_ = control_->Subscribe(filter, kQos1, wait, Into(answer));
    loop_.RunUntilIdle();
    return answer;
  }
  absl::Status* Unsubscribe(const std::string& filter, bool wait) {
    statuses_.push_back(
        std::make_unique<absl::Status>(absl::UnknownError("pending")));
    absl::Status* const status = statuses_.back().get();
    last_call_ = control_->Unsubscribe(
        filter, wait, [status](absl::Status result) { *status = result; });
    loop_.RunUntilIdle();
    return status;
  }
  std::shared_ptr<Answer<PublishOutcome>> Publish(
      const std::string& topic, bool wait, Qos qos = kQos1,
      const std::string& payload = kPayload) {
    auto answer = NewAnswer<PublishOutcome>();
    last_call_ =
        control_->Publish({topic, payload, qos, false}, wait, Into(answer));
    loop_.RunUntilIdle();
    return answer;
  }
  std::shared_ptr<Answer<InjectResult>> Inject(const std::string& topic) {
    auto answer = NewAnswer<InjectResult>();
    InboundMessage message;
    message.topic = topic;
    message.payload = kPayload;
    last_call_ = control_->Inject(message, Into(answer));
    loop_.RunUntilIdle();
    return answer;
  }
  std::shared_ptr<Answer<ConnectionStatus>> Reconnect(ReconnectMode mode,
                                                      bool wait) {
    auto answer = NewAnswer<ConnectionStatus>();
    last_call_ = control_->Reconnect(mode, wait, Into(answer));
    loop_.RunUntilIdle();
    return answer;
  }
  void CancelLast() {
    control_->Cancel(last_call_);
    loop_.RunUntilIdle();
  }
  DispatcherStatus Status() { return control_->GetStatus(); }
  std::shared_ptr<RecordingWatcher> Watch(Control::Interest interest) {
    auto watcher = std::make_shared<RecordingWatcher>();
    control_->Watch(watcher, interest);
    loop_.RunUntilIdle();
    return watcher;
  }

  // Answers the newest SUBSCRIBE.
  void AnswerSubscribe(int granted) {
    client_.AnswerSubscribe(client_.subscriptions().back().packet_id, granted);
    loop_.RunUntilIdle();
  }

  // What the script thread would do with the next event.
  InjectedEvent TakeInjected() {
    return std::get<InjectedEvent>(*inbound_.Pop());
  }

  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
  FakeMqttClient client_{&loop_};
  Statistics statistics_;
  FakeLog log_;
  SessionOptions options_;
  InboundQueue inbound_{{2, 1000}, &statistics_};
  std::unique_ptr<Session> session_;
  std::unique_ptr<DispatcherControl> control_;
  Control::CallId last_call_ = 0;
  std::vector<std::unique_ptr<absl::Status>> statuses_;

 private:
  // Session::Observer, as the dispatcher passes it on
  void OnConnected() override { control_->OnConnected(); }
  void OnDisconnected(const std::string&) override {
    control_->OnDisconnected();
  }
  void OnMessage(InboundMessage message) override {
    control_->OnMessage(message);
  }
  void OnSubscriptionChanged(const Subscription& subscription,
                             bool removed) override {
    control_->OnSubscriptionChanged(subscription, removed);
  }
  void OnUnsubscribed(const std::string& filter) override {
    control_->OnUnsubscribed(filter);
  }
  void OnPublish(uint64_t id, const Message& message,
                 PublishOutcome outcome) override {
    control_->OnPublish(id, message, outcome);
  }
};

// Status.

TEST_F(DispatcherControlTest, StatusTellsTheConnection) {
  Start();
  EXPECT_EQ(Status().connection.state, ConnectionState::kConnecting);
  EXPECT_EQ(Status().connection.broker, "broker.example:1883");
  EXPECT_EQ(Status().connection.client_id, "sip-1");
  EXPECT_FALSE(Status().connection.last_disconnect_reason.has_value());

  client_.EndConnection({DisconnectKind::kUnreachable, "no route"});
  const TimePoint failed_at = clock_.Now();
  loop_.RunUntilIdle();
  loop_.Advance(seconds(1));
  EXPECT_EQ(Status().connection.state, ConnectionState::kWaiting);
  EXPECT_EQ(Status().connection.failed_attempts, 1);
  EXPECT_EQ(Status().connection.last_disconnect_reason, "no route");
  EXPECT_EQ(Status().connection.last_disconnect, failed_at);
  EXPECT_EQ(Status().connection.since, failed_at);
  EXPECT_EQ(Status().connection.next_attempt, failed_at + seconds(3));

  loop_.Advance(seconds(2));
  Accept();
  EXPECT_EQ(Status().connection.state, ConnectionState::kConnected);
  EXPECT_EQ(Status().connection.since, clock_.Now());
  EXPECT_EQ(Status().connection.failed_attempts, 0);
  EXPECT_EQ(Status().connection.last_disconnect_reason, "no route");
  EXPECT_FALSE(Status().connection.next_attempt.has_value());
}

TEST_F(DispatcherControlTest, StatusTellsTheQueues) {
  Start();
  Publish("a", false);
  Publish("b", false);
  Inject("c");
  const DispatcherStatus status = Status();
  EXPECT_EQ(status.publish_queue.messages, 2);
  EXPECT_EQ(status.publish_queue.max_messages, 3);
  EXPECT_EQ(status.publish_queue.bytes,
            2 * static_cast<int64_t>(1 + sizeof(kPayload) - 1));
  EXPECT_EQ(status.publish_queue.max_bytes, 1000);
  EXPECT_EQ(status.inbound_queue.messages, 1);
  EXPECT_EQ(status.inbound_queue.max_messages, 2);
  EXPECT_EQ(status.inbound_queue.max_bytes, 1000);
}

TEST_F(DispatcherControlTest, ListsSubscriptions) {
  Start();
  Subscribe("a/+", false);
  Subscribe("b", false);
  Subscribe("a/b", false);
  auto all = NewAnswer<SubscriptionPage>();
  control_->ListSubscriptions(0, 2, absl::nullopt, Into(all));
  auto matching = NewAnswer<SubscriptionPage>();
  control_->ListSubscriptions(0, 10, std::string("a/b"), Into(matching));
  loop_.RunUntilIdle();
  ASSERT_EQ((*all)->subscriptions.size(), 2u);
  EXPECT_TRUE((*all)->more);
  EXPECT_EQ((*all)->subscriptions[0].filter, "a/+");
  EXPECT_EQ((*all)->subscriptions[0].origin, SubscriptionOrigin::kControl);
  ASSERT_EQ((*matching)->subscriptions.size(), 2u);
  EXPECT_EQ((*matching)->subscriptions[1].filter, "a/b");
}

// Subscribe.

TEST_F(DispatcherControlTest, SubscribeWaitsForTheGrant) {
  StartConnected();
  const auto answer = Subscribe("a", true);
  EXPECT_TRUE(answer->pending());
  AnswerSubscribe(1);
  EXPECT_EQ((**answer).state, SubscriptionState::kActive);
  EXPECT_EQ((**answer).granted_qos, kQos1);
  EXPECT_FALSE(Subscribe("a", true)->pending());
}

TEST_F(DispatcherControlTest, SubscribeReportsTheRefusal) {
  StartConnected();
  const auto answer = Subscribe("a", true);
  AnswerSubscribe(kSubackFailure);
  EXPECT_EQ((**answer).state, SubscriptionState::kRefused);
  EXPECT_THAT((**answer).refusal_reason, HasSubstr("0x80"));
}

TEST_F(DispatcherControlTest, SubscribeWithoutWaitingNeedsNoConnection) {
  Start();
  const auto answer = Subscribe("a", false);
  EXPECT_EQ((**answer).state, SubscriptionState::kPending);
}

TEST_F(DispatcherControlTest, SubscribeDoesNotWaitWithoutAConnection) {
  Start();
  EXPECT_EQ(Subscribe("a", true)->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Status().subscriptions, 0u);
}

TEST_F(DispatcherControlTest, SubscribeOutlivesALostConnection) {
  StartConnected();
  const auto answer = Subscribe("a", true);
  Lose();
  EXPECT_TRUE(answer->pending());
  loop_.Advance(seconds(3));
  Accept();
  AnswerSubscribe(0);
  EXPECT_EQ((**answer).granted_qos, kQos0);
}

TEST_F(DispatcherControlTest, ANewSubscriptionIsTakenBack) {
  StartConnected();
  const auto answer = Subscribe("a", true);
  CancelLast();
  EXPECT_EQ(answer->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Status().subscriptions, 0u);
  EXPECT_EQ(client_.unsubscriptions().size(), 1u);
}

TEST_F(DispatcherControlTest, AnotherOnesSubscriptionIsNotTakenBack) {
  StartConnected();
  session_->Subscribe("a", kQos0, SubscriptionOrigin::kScript);
  Subscribe("a", true);
  CancelLast();
  EXPECT_EQ(Status().subscriptions, 1u);

  Subscribe("b", true);
  const Control::CallId first = last_call_;
  const auto second = Subscribe("b", true);
  control_->Cancel(first);
  loop_.RunUntilIdle();
  EXPECT_EQ(Status().subscriptions, 2u);
  AnswerSubscribe(1);
  EXPECT_EQ((**second).state, SubscriptionState::kActive);
}

TEST_F(DispatcherControlTest, SubscribeIsAbortedByUnsubscribe) {
  StartConnected();
  const auto answer = Subscribe("a", true);
  Unsubscribe("a", false);
  EXPECT_EQ(answer->code(), absl::StatusCode::kAborted);
}

TEST_F(DispatcherControlTest, SubscribeIsAbortedWhereNothingIsRestored) {
  options_.resubscribe = false;
  StartConnected();
  const auto answer = Subscribe("a", true);
  Lose();
  EXPECT_EQ(answer->code(), absl::StatusCode::kAborted);
}

// Unsubscribe.

TEST_F(DispatcherControlTest, UnsubscribeWaitsForTheBroker) {
  StartConnected();
  Subscribe("a", false);
  AnswerSubscribe(1);
  const absl::Status* status = Unsubscribe("a", true);
  EXPECT_EQ(status->code(), absl::StatusCode::kUnknown);
  client_.AnswerUnsubscribe(client_.unsubscriptions().back().packet_id);
  EXPECT_TRUE(status->ok());
}

TEST_F(DispatcherControlTest, UnsubscribeOfNothingIsNotFound) {
  StartConnected();
  EXPECT_EQ(Unsubscribe("a", true)->code(), absl::StatusCode::kNotFound);
}

TEST_F(DispatcherControlTest, UnsubscribeWaitsForNobodyWithoutAConnection) {
  Start();
  Subscribe("a", false);
  EXPECT_TRUE(Unsubscribe("a", true)->ok());
}

TEST_F(DispatcherControlTest, UnsubscribeIsDoneWhenTheConnectionIsLost) {
  StartConnected();
  Subscribe("a", false);
  const absl::Status* status = Unsubscribe("a", true);
  Lose();
  EXPECT_TRUE(status->ok());
}

// Publish.

TEST_F(DispatcherControlTest, PublishIsAcceptedWithoutAConnection) {
  Start();
  EXPECT_EQ(**Publish("a", false), PublishOutcome::kAccepted);
}

TEST_F(DispatcherControlTest, PublishWaitsForTheAcknowledgement) {
  StartConnected();
  const auto answer = Publish("a", true);
  EXPECT_TRUE(answer->pending());
  client_.AcknowledgeAll();
  EXPECT_EQ(**answer, PublishOutcome::kAcknowledged);
}

TEST_F(DispatcherControlTest, PublishWaitsUntilWritten) {
  StartConnected();
  const auto answer = Publish("a", true, kQos0);
  client_.AcknowledgeAll();
  EXPECT_EQ(**answer, PublishOutcome::kWritten);
}

TEST_F(DispatcherControlTest, PublishDoesNotWaitWithoutAConnection) {
  Start();
  const auto answer = Publish("a", true);
  EXPECT_EQ(answer->code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(answer->message(), HasSubstr("broker.example:1883"));
  EXPECT_EQ(Status().publish_queue.messages, 0);
}

TEST_F(DispatcherControlTest, PublishOutlivesALostConnection) {
  StartConnected();
  const auto answer = Publish("a", true);
  Lose();
  loop_.Advance(seconds(3));
  Accept();
  client_.AcknowledgeAll();
  EXPECT_EQ(**answer, PublishOutcome::kAcknowledged);
}

TEST_F(DispatcherControlTest, PublishIntoAFullQueueIsRefused) {
  Start();
  for (int i = 0; i < 3; ++i) Publish("a", false);
  EXPECT_EQ(Publish("a", false)->code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DispatcherControlTest, PublishOfWhatNeverFitsIsInvalid) {
  Start();
  EXPECT_EQ(Publish("a", false, kQos1, std::string(1000, 'x'))->code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(DispatcherControlTest, PublishReportsThatItWasDisplaced) {
  options_.outbox.policy = QueuePolicy::kDropOldest;
  StartConnected();
  client_.SetWantsMore(false);
  const auto answer = Publish("a", true);
  for (int i = 0; i < 3; ++i) Publish("b", false);
  EXPECT_EQ(**answer, PublishOutcome::kDroppedOldest);
}

TEST_F(DispatcherControlTest, AWaitingPublishIsTakenBack) {
  StartConnected();
  client_.SetWantsMore(false);
  const auto answer = Publish("a", true);
  CancelLast();
  EXPECT_EQ(answer->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Status().publish_queue.messages, 0);
  EXPECT_EQ(statistics_.withdrawn.Get(kQos1), 1);
}

TEST_F(DispatcherControlTest, APublishInFlightIsNotTakenBack) {
  StartConnected();
  const auto answer = Publish("a", true);
  CancelLast();
  EXPECT_EQ(answer->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Status().publish_queue.messages, 1);
  Lose();
  CancelLast();
  EXPECT_EQ(Status().publish_queue.messages, 1);
  EXPECT_EQ(statistics_.withdrawn.Get(kQos1), 0);
}

TEST_F(DispatcherControlTest, AStopReportsWhatWasDropped) {
  StartConnected();
  const auto answer = Publish("a", true);
  session_->Stop(milliseconds(10), [] {});
  loop_.Advance(seconds(1));
  EXPECT_EQ(**answer, PublishOutcome::kDroppedShutdown);
}

// Inject.

TEST_F(DispatcherControlTest, InjectReportsTheRun) {
  Start();
  Subscribe("a/#", false);
  Subscribe("b", false);
  const auto answer = Inject("a/1");
  EXPECT_TRUE(answer->pending());
  const InjectedEvent event = TakeInjected();
  EXPECT_EQ(event.message.topic, "a/1");
  EXPECT_EQ(event.message.payload, kPayload);
  EXPECT_EQ(event.message.origin, Origin::kInjected);
  control_->OnInjectedRun(event.call, RunStatus::kDone, milliseconds(5));
  EXPECT_EQ((**answer).status, RunStatus::kDone);
  EXPECT_EQ((**answer).run_time, milliseconds(5));
  EXPECT_THAT((**answer).matching_filters, ElementsAre("a/#"));
}

TEST_F(DispatcherControlTest, InjectIntoAFullQueueIsRefused) {
  Start();
  Inject("a");
  Inject("a");
  EXPECT_EQ(Inject("a")->code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DispatcherControlTest, AnInjectedMessageIsTakenBack) {
  Start();
  const auto answer = Inject("a");
  CancelLast();
  EXPECT_EQ(answer->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Status().inbound_queue.messages, 0);
  EXPECT_EQ(statistics_.inbound_queued.Get(), 0);
}

TEST_F(DispatcherControlTest, ARouteThatRunsIsNotTakenBack) {
  Start();
  const auto answer = Inject("a");
  const InjectedEvent event = TakeInjected();
  CancelLast();
  EXPECT_EQ(answer->code(), absl::StatusCode::kCancelled);
  control_->OnInjectedRun(event.call, RunStatus::kDone, milliseconds(5));
  EXPECT_EQ(answer->results.size(), 1u);
}

// Reconnect.

TEST_F(DispatcherControlTest, ReconnectsGracefully) {
  StartConnected();
  const auto answer = Reconnect(ReconnectMode::kGraceful, true);
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(client_.connect_calls(), 2);
  EXPECT_TRUE(answer->pending());
  Accept();
  EXPECT_EQ((**answer).state, ConnectionState::kConnected);
  EXPECT_EQ((**answer).last_disconnect_reason, "reconnect requested");
  EXPECT_EQ(statistics_.connect_failures.Get(), 0);
  EXPECT_THAT(log_.lines(LogLevel::kWarning), IsEmpty());
}

TEST_F(DispatcherControlTest, ReconnectsAbruptly) {
  StartConnected();
  Publish("a", false);
  const auto answer = Reconnect(ReconnectMode::kAbrupt, false);
  EXPECT_NE((**answer).state, ConnectionState::kStopped);
  EXPECT_EQ(client_.disconnect_calls(), 0);
  EXPECT_EQ(client_.aborts().size(), 1u);
  Accept();
  EXPECT_EQ(client_.publications().back().message.topic, "a");
}

TEST_F(DispatcherControlTest, QosZeroIsUncertainAfterAnAbruptReconnectOnly) {
  StartConnected();
  Publish("a", false, kQos0);
  client_.AcknowledgeAll();
  Reconnect(ReconnectMode::kGraceful, false);
  EXPECT_EQ(statistics_.possibly_lost.Get(kQos0), 0);
  Accept();
  Publish("a", false, kQos0);
  client_.AcknowledgeAll();
  Reconnect(ReconnectMode::kAbrupt, false);
  EXPECT_EQ(statistics_.possibly_lost.Get(kQos0), 1);
}

TEST_F(DispatcherControlTest, ReconnectEndsTheWait) {
  StartConnected();
  Lose();
  EXPECT_EQ(Status().connection.state, ConnectionState::kWaiting);
  Reconnect(ReconnectMode::kGraceful, false);
  EXPECT_EQ(Status().connection.state, ConnectionState::kConnecting);
}

TEST_F(DispatcherControlTest, ReconnectEndsTheAttempt) {
  Start();
  Reconnect(ReconnectMode::kAbrupt, false);
  EXPECT_EQ(client_.connect_calls(), 2);
  EXPECT_EQ(Status().connection.failed_attempts, 0);
  EXPECT_THAT(log_.lines(LogLevel::kError), IsEmpty());
}

TEST_F(DispatcherControlTest, ReconnectIsUnavailableOnceStopped) {
  StartConnected();
  control_->Close();
  EXPECT_EQ(Reconnect(ReconnectMode::kAbrupt, false)->code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(DispatcherControlTest, NothingIsChangedOnceClosed) {
  StartConnected();
  Subscribe("a", false);
  control_->Close();
  EXPECT_EQ(Subscribe("b", false)->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Unsubscribe("a", false)->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Publish("a", false)->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Inject("a")->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Status().subscriptions, 1u);
}

// Watching.

TEST_F(DispatcherControlTest, AWatcherIsToldWhatHappens) {
  Start();
  Subscribe("a", false);
  const auto watcher = Watch({true, true, true, true, true});
  EXPECT_THAT(watcher->Take(), ElementsAre("synced 0 1"));
  Accept();
  AnswerSubscribe(1);
  EXPECT_THAT(watcher->Take(), ElementsAre("connected", "a 1"));
  Publish("p", false);
  client_.AcknowledgeAll();
  EXPECT_THAT(watcher->Take(), ElementsAre("publish 1 p 0", "publish 1 p 2"));
  Inject("i");
  EXPECT_THAT(watcher->Take(), ElementsAre("message i"));
  Unsubscribe("a", false);
  EXPECT_THAT(watcher->Take(), ElementsAre("a removed"));
  Lose();
  EXPECT_THAT(watcher->Take(), ElementsAre("disconnected: connection reset"));
}

TEST_F(DispatcherControlTest, AWatcherIsToldWhatItWants) {
  StartConnected();
  const auto watcher = Watch({false, false, true, false, false});
  watcher->Take();
  Subscribe("a", false);
  Publish("p", false);
  Inject("i");
  Lose();
  EXPECT_THAT(watcher->Take(), ElementsAre("message i"));
}

TEST_F(DispatcherControlTest, AForcedReconnectIsOneOfEach) {
  StartConnected();
  const auto watcher = Watch({});
  watcher->Take();
  Reconnect(ReconnectMode::kAbrupt, false);
  Accept();
  EXPECT_THAT(watcher->Take(),
              ElementsAre("disconnected: reconnect requested", "connected"));
}

TEST_F(DispatcherControlTest, NobodyIsToldAfterUnwatch) {
  StartConnected();
  const auto watcher = Watch({});
  const auto other = Watch({});
  watcher->Take();
  other->Take();
  control_->Unwatch(watcher);
  loop_.RunUntilIdle();
  Lose();
  EXPECT_THAT(watcher->Take(), IsEmpty());
  EXPECT_THAT(other->Take(), ElementsAre("disconnected: connection reset"));
  EXPECT_EQ(watcher.use_count(), 1);
}

}  // namespace
}  // namespace kamailio_mqtt
