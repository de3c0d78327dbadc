// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/session.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/limited_log.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/fake_mqtt_client.h"
#include "mqtt_core/testing/ledger.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using State = Session::State;

constexpr Qos kQos0 = Qos::kAtMostOnce;
constexpr Qos kQos1 = Qos::kAtLeastOnce;
constexpr Qos kQos2 = Qos::kExactlyOnce;
constexpr auto kScript = SubscriptionOrigin::kScript;

constexpr char kBroker[] = "broker.example:1883";
constexpr char kPayload[] = "do-not-log-me";

// A client whose DISCONNECT never leaves.
class StuckClient : public FakeMqttClient {
 public:
  using FakeMqttClient::FakeMqttClient;
  void Disconnect() override {
    if (stuck) {
      ++stuck_disconnects;
    } else {
      FakeMqttClient::Disconnect();
    }
  }

  bool stuck = false;
  int stuck_disconnects = 0;
};

class RecordingObserver : public Session::Observer {
 public:
  void OnConnected() override {
    events.push_back("connected");
    if (on_connected) on_connected();
  }
  void OnDisconnected(const std::string& reason) override {
    events.push_back("disconnected: " + reason);
  }
  void OnMessage(InboundMessage message) override {
    events.push_back("message: " + message.topic);
    messages.push_back(std::move(message));
  }
  void OnSubscriptionChanged(const Subscription& subscription,
                             bool removed) override {
    subscriptions.push_back(subscription.filter + (removed ? " removed" : ""));
  }
  void OnUnsubscribed(const std::string&) override {
    events.push_back("unsubscribed");
  }
  void OnPublish(uint64_t, const Message&, PublishOutcome outcome) override {
    outcomes.push_back(outcome);
  }

  std::vector<std::string> events;
  std::vector<InboundMessage> messages;
  std::vector<std::string> subscriptions;
  std::vector<PublishOutcome> outcomes;
  std::function<void()> on_connected;  // as an event route would
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { options_.broker = kBroker; }

  ~SessionTest() override {
    ExpectLedgerBalances(statistics_);
    EXPECT_THAT(log_.lines(), Each(Not(HasSubstr(kPayload))));
    EXPECT_EQ(statistics_.connected.Get(),
              session().state() == State::kConnected ? 1 : 0);
    EXPECT_EQ(session().next_attempt().has_value(),
              session().state() == State::kWaiting);
    EXPECT_EQ(session().status().next_attempt, session().next_attempt());
    const SubscriptionTable& subscriptions = session().subscriptions();
    EXPECT_EQ(statistics_.subscriptions.Get(),
              static_cast<int64_t>(subscriptions.Size()));
    EXPECT_EQ(statistics_.subscriptions_refused_now.Get(),
              static_cast<int64_t>(subscriptions.Refused()));
  }

  // With the options as they are at the first call.
  Session& session() {
    if (session_ == nullptr) {
      session_ = std::make_unique<Session>(
          options_,
          ReconnectPolicy(reconnect_delay_, reconnect_delay_,
                          [] { return 0.5; }),
          Session::Environment{&loop_, &clock_, &client_, &statistics_, &log_,
                               &observer_});
    }
    return *session_;
  }

  void Start() {
    session().Start();
    loop_.RunUntilIdle();
  }
  void Accept() {
    client_.AcceptConnection();
    loop_.RunUntilIdle();
  }
  void Connect() {
    Start();
    Accept();
  }
  // Ends the connection or the attempt.
  void End(DisconnectKind kind, const std::string& reason) {
    client_.EndConnection({kind, reason});
    loop_.RunUntilIdle();
  }
  void Lose() { End(DisconnectKind::kLost, "connection reset"); }
  void FailAttempt() {
    End(DisconnectKind::kUnreachable, "connection refused");
  }
  // Waits for the next attempt, which succeeds.
  void Reconnect() {
    ASSERT_EQ(session().state(), State::kWaiting);
    loop_.Advance(*session().next_attempt() - clock_.Now());
    Accept();
  }

  void Queue(const std::string& topic, Qos qos = kQos1) {
    session().Publish({topic, kPayload, qos});
  }
  void Publish(const std::string& topic, Qos qos = kQos1) {
    Queue(topic, qos);
    session().Submit();
    loop_.RunUntilIdle();
  }
  void Subscribe(const std::string& filter, Qos qos = kQos0) {
    session().Subscribe(filter, qos, kScript);
  }

  // What was submitted on the present or last connection.
  std::vector<std::string> Published() const {
    std::vector<std::string> topics;
    for (const auto& publication : client_.publications()) {
      topics.push_back(publication.message.topic);
    }
    return topics;
  }
  std::vector<std::string> Subscribed() const {
    std::vector<std::string> filters;
    for (const auto& subscription : client_.subscriptions()) {
      filters.push_back(subscription.filter);
    }
    return filters;
  }
  // The state of the subscription to `filter`.
  SubscriptionState StateOf(const std::string& filter) {
    const Subscription* subscription = session().subscriptions().Find(filter);
    EXPECT_NE(subscription, nullptr) << filter;
    return subscription == nullptr ? SubscriptionState::kRefused
                                   : subscription->state;
  }
  void GrantAll() {
    const std::vector<FakeMqttClient::Subscription> asked =
        client_.subscriptions();
    for (const auto& subscription : asked) {
      client_.AnswerSubscribe(subscription.packet_id,
                              static_cast<int>(subscription.qos));
    }
  }

  void Stop(Duration timeout) {
    session().Stop(timeout, [this] { ++stopped_; });
    loop_.RunUntilIdle();
  }

  std::vector<std::string> Errors() { return log_.lines(LogLevel::kError); }
  std::vector<std::string> Warnings() { return log_.lines(LogLevel::kWarning); }

  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
  StuckClient client_{&loop_};
  Statistics statistics_;
  FakeLog log_;
  RecordingObserver observer_;
  SessionOptions options_;
  Duration reconnect_delay_ = seconds(3);
  int stopped_ = 0;

 private:
  std::unique_ptr<Session> session_;
};

// Connecting.

TEST_F(SessionTest, AnyThreadSeesAStatusOfOneMoment) {
  Start();
  std::atomic<bool> done{false};
  int64_t seen = 0;
  std::thread reader([&, session = &session()] {
    do {
      const ConnectionStatus status = session->status();
      EXPECT_EQ(status.next_attempt.has_value(),
                status.state == ConnectionState::kWaiting);
      EXPECT_EQ(status.last_disconnect_reason.has_value(),
                status.failed_attempts > 0);
      EXPECT_LE(seen, status.failed_attempts);
      seen = status.failed_attempts;
    } while (!done);
  });
  for (int attempt = 0; attempt < 1000; ++attempt) {
    client_.EndConnection({DisconnectKind::kUnreachable, "no route"});
    loop_.RunUntilIdle();
    loop_.Advance(reconnect_delay_);
  }
  done = true;
  reader.join();
}

TEST_F(SessionTest, IsIdleUntilStarted) {
  EXPECT_EQ(session().state(), State::kIdle);
  loop_.Advance(hours(1));
  EXPECT_EQ(client_.connect_calls(), 0);
}

TEST_F(SessionTest, StartConnects) {
  Start();
  EXPECT_EQ(session().state(), State::kConnecting);
  EXPECT_EQ(client_.connect_calls(), 1);
  EXPECT_THAT(observer_.events, IsEmpty());
  EXPECT_EQ(statistics_.connects.Get(), 0);
}

TEST_F(SessionTest, IsConnectedOnceAccepted) {
  Connect();
  EXPECT_EQ(session().state(), State::kConnected);
  EXPECT_THAT(observer_.events, ElementsAre("connected"));
  EXPECT_EQ(statistics_.connects.Get(), 1);
  EXPECT_EQ(statistics_.connected.Get(), 1);
  EXPECT_THAT(log_.lines(LogLevel::kNotice), ElementsAre(HasSubstr(kBroker)));
}

TEST_F(SessionTest, AFailedAttemptIsTriedAgainAfterThreeSeconds) {
  Start();
  FailAttempt();
  EXPECT_EQ(session().state(), State::kWaiting);
  EXPECT_EQ(session().next_attempt(), clock_.Now() + seconds(3));
  loop_.Advance(seconds(3) - nanoseconds(1));
  EXPECT_EQ(session().state(), State::kWaiting);
  EXPECT_EQ(client_.connect_calls(), 1);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(session().state(), State::kConnecting);
  EXPECT_EQ(client_.connect_calls(), 2);
  EXPECT_FALSE(session().next_attempt().has_value());
}

TEST_F(SessionTest, AFailedAttemptIsNoDisconnectedEvent) {
  Start();
  for (const DisconnectKind kind :
       {DisconnectKind::kUnreachable, DisconnectKind::kTimeout,
        DisconnectKind::kRefused, DisconnectKind::kBadCredentials,
        DisconnectKind::kIdentifierRejected, DisconnectKind::kProtocolError}) {
    End(kind, "no");
    loop_.Advance(seconds(60));
  }
  EXPECT_THAT(observer_.events, IsEmpty());
  EXPECT_EQ(statistics_.connect_failures.Get(), 6);
  EXPECT_EQ(statistics_.disconnects.Get(), 0);
  EXPECT_EQ(statistics_.connects.Get(), 0);
}

TEST_F(SessionTest, AnAttemptSucceedsAfterFailures) {
  Start();
  for (int i = 0; i < 5; ++i) {
    FailAttempt();
    loop_.Advance(seconds(3));
  }
  Accept();
  EXPECT_EQ(session().state(), State::kConnected);
  EXPECT_THAT(observer_.events, ElementsAre("connected"));
  EXPECT_EQ(statistics_.connect_failures.Get(), 5);
}

TEST_F(SessionTest, ALostConnectionIsToldAndMadeAgain) {
  Connect();
  End(DisconnectKind::kKeepAliveTimeout, "no answer");
  EXPECT_EQ(session().state(), State::kWaiting);
  EXPECT_EQ(session().next_attempt(), clock_.Now() + seconds(3));
  EXPECT_THAT(observer_.events,
              ElementsAre("connected", "disconnected: no answer"));
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
  EXPECT_EQ(statistics_.connected.Get(), 0);
  EXPECT_EQ(statistics_.connect_failures.Get(), 0);
  EXPECT_THAT(Warnings(),
              ElementsAre(AllOf(HasSubstr(kBroker), HasSubstr("no answer"),
                                HasSubstr("next attempt in 3.0 s"))));
  Reconnect();
  EXPECT_THAT(observer_.events,
              ElementsAre("connected", "disconnected: no answer", "connected"));
  EXPECT_EQ(statistics_.connects.Get(), 2);
}

TEST_F(SessionTest, TheDelayIsConfigurableAndReadable) {
  reconnect_delay_ = seconds(3600);
  Start();
  FailAttempt();
  EXPECT_EQ(session().next_attempt(), clock_.Now() + seconds(3600));
  EXPECT_THAT(Errors(), ElementsAre(HasSubstr("next attempt in 3600.0 s")));
}

TEST_F(SessionTest, TheSameFailureIsOneErrorLine) {
  Start();
  for (int i = 0; i < 10; ++i) {
    FailAttempt();
    loop_.Advance(seconds(3));
  }
  EXPECT_THAT(Errors(), ElementsAre(AllOf(HasSubstr(kBroker),
                                          HasSubstr("connection refused"),
                                          HasSubstr("next attempt in 3.0 s"))));
  EXPECT_THAT(log_.lines(LogLevel::kDebug), SizeIs(9));
}

TEST_F(SessionTest, AnotherFailureIsAnotherErrorLine) {
  Start();
  FailAttempt();
  loop_.Advance(seconds(3));
  End(DisconnectKind::kTimeout, "no CONNACK");
  loop_.Advance(seconds(3));
  End(DisconnectKind::kTimeout, "no CONNACK");
  EXPECT_THAT(Errors(), ElementsAre(HasSubstr("connection refused"),
                                    HasSubstr("no CONNACK")));
}

TEST_F(SessionTest, AConnectionMakesAFailureNewsAgain) {
  Start();
  FailAttempt();
  Reconnect();
  Lose();
  loop_.Advance(seconds(3));
  FailAttempt();
  EXPECT_THAT(Errors(), SizeIs(2));
}

TEST_F(SessionTest, RefusedCredentialsBackOffToAMinute) {
  Start();
  std::vector<Duration> delays;
  for (int i = 0; i < 7; ++i) {
    End(DisconnectKind::kBadCredentials, "bad user name or password");
    delays.push_back(*session().next_attempt() - clock_.Now());
    loop_.Advance(delays.back());
  }
  EXPECT_THAT(delays,
              ElementsAre(seconds(3), seconds(6), seconds(12), seconds(24),
                          seconds(48), seconds(60), seconds(60)));
  EXPECT_THAT(Errors(), ElementsAre(HasSubstr("bad user name or password")));
  EXPECT_THAT(observer_.events, IsEmpty());
}

TEST_F(SessionTest, ASeriesOfTakeOversBacksOff) {
  Connect();
  std::vector<Duration> delays;
  for (int i = 0; i < 7; ++i) {
    loop_.Advance(seconds(1));
    Lose();
    delays.push_back(*session().next_attempt() - clock_.Now());
    Reconnect();
  }
  EXPECT_THAT(delays,
              ElementsAre(seconds(3), seconds(6), seconds(12), seconds(24),
                          seconds(48), seconds(60), seconds(60)));
  EXPECT_EQ(statistics_.disconnects.Get(), 7);
}

// Publishing.

TEST_F(SessionTest, NothingIsSubmittedBeforeConnack) {
  Publish("idle");
  Start();
  Publish("connecting");
  FailAttempt();
  Publish("waiting");
  loop_.Advance(seconds(3));
  EXPECT_THAT(Published(), IsEmpty());
  EXPECT_EQ(statistics_.queued.Total(), 3);
  Accept();
  EXPECT_THAT(Published(), ElementsAre("idle", "connecting", "waiting"));
}

TEST_F(SessionTest, PublishesAtOnceWhenConnected) {
  Connect();
  session().Publish({"topic", kPayload, kQos2, true});
  EXPECT_THAT(Published(), IsEmpty()) << "before Submit()";
  session().Submit();
  ASSERT_THAT(client_.publications(), SizeIs(1));
  const Message& message = client_.publications()[0].message;
  EXPECT_EQ(message.topic, "topic");
  EXPECT_EQ(message.payload, kPayload);
  EXPECT_EQ(message.qos, kQos2);
  EXPECT_TRUE(message.retain);
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.acknowledged.Get(kQos2), 1);
  EXPECT_TRUE(session().outbox().empty());
}

TEST_F(SessionTest, ASeriesIsOneBatch) {
  Connect();
  const int batches = client_.batches();
  for (int i = 0; i < 10; ++i) Queue(absl::StrCat(i));
  session().Submit();
  EXPECT_THAT(Published(), SizeIs(10));
  EXPECT_EQ(client_.batches(), batches + 1);
}

TEST_F(SessionTest, CountsEachQos) {
  Connect();
  for (const Qos qos : kEveryQos) Publish("topic", qos);
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.written.Get(kQos0), 1);
  EXPECT_EQ(statistics_.acknowledged.Get(kQos1), 1);
  EXPECT_EQ(statistics_.acknowledged.Get(kQos2), 1);
  EXPECT_EQ(statistics_.queued.Total(), 0);
}

TEST_F(SessionTest, TheWindowIsRefilledWhenHalfEmpty) {
  options_.outbox.window = 10;
  Connect();
  for (int i = 0; i < 30; ++i) Queue(absl::StrCat(i));
  session().Submit();
  EXPECT_THAT(Published(), SizeIs(10));
  for (int i = 0; i < 4; ++i) client_.AcknowledgeNext();
  EXPECT_THAT(Published(), SizeIs(10));
  client_.AcknowledgeNext();
  EXPECT_THAT(Published(), SizeIs(15));
  client_.AcknowledgeAll();
  EXPECT_THAT(Published(), SizeIs(30));
  EXPECT_EQ(statistics_.acknowledged.Total(), 30);
}

TEST_F(SessionTest, WaitsWhileTheSocketTakesNoMore) {
  Connect();
  client_.SetWantsMore(false);
  Publish("a");
  Publish("b");
  EXPECT_THAT(Published(), IsEmpty());
  client_.SetWantsMore(true);
  EXPECT_THAT(Published(), ElementsAre("a", "b"));
}

TEST_F(SessionTest, AMessageThatCannotBeSentIsDroppedCountedAndLogged) {
  Connect();
  client_.SetSubmitStatus(absl::InvalidArgumentError("payload too large"));
  Publish("bad", kQos2);
  EXPECT_EQ(statistics_.dropped_invalid.Get(kQos2), 1);
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("1 message(s) dropped")));
  EXPECT_TRUE(session().outbox().empty());
  client_.SetSubmitStatus(absl::OkStatus());
  Publish("good");
  EXPECT_THAT(Published(), ElementsAre("good"));
}

TEST_F(SessionTest, AMessageThatTheLibraryDoesNotTakeNowIsKept) {
  Connect();
  client_.SetSubmitStatus(absl::UnavailableError("no connection"));
  Publish("a");
  Publish("b");
  EXPECT_EQ(statistics_.queued.Total(), 2);
  Lose();
  client_.SetSubmitStatus(absl::OkStatus());
  Reconnect();
  EXPECT_THAT(Published(), ElementsAre("a", "b"));
}

TEST_F(SessionTest, WhatWasNotConfirmedIsSentAgainFirstAndInOrder) {
  Connect();
  for (const char* topic : {"a", "b", "c", "d"}) Publish(topic);
  client_.Acknowledge(client_.publications()[1].packet_id);
  Lose();
  Publish("e");
  Reconnect();
  EXPECT_THAT(Published(), ElementsAre("a", "c", "d", "e"));
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.acknowledged.Total(), 5);
}

TEST_F(SessionTest, ALateConfirmationIsIgnored) {
  Connect();
  Publish("a");
  client_.AcknowledgeNext();
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  Lose();
  Reconnect();
  Publish("b");
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  EXPECT_EQ(session().outbox().in_flight(), 1u);
}

TEST_F(SessionTest, QosZeroThatWasWrittenToABrokenConnectionIsPossiblyLost) {
  Connect();
  for (const char* topic : {"a", "b"}) Publish(topic, kQos0);
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.written.Get(kQos0), 2);
  Lose();
  EXPECT_EQ(statistics_.written.Get(kQos0), 0);
  EXPECT_EQ(statistics_.possibly_lost.Get(kQos0), 2);
  EXPECT_THAT(Warnings(), Contains(HasSubstr("2 message(s) of QoS 0")));
}

TEST_F(SessionTest, APingProvesThatNothingWasLost) {
  Connect();
  Publish("a", kQos0);
  client_.AcknowledgeAll();
  client_.SendPing();
  Publish("b", kQos0);
  client_.AcknowledgeAll();
  client_.AnswerPing();
  Lose();
  EXPECT_EQ(statistics_.written.Get(kQos0), 1);
  EXPECT_EQ(statistics_.possibly_lost.Get(kQos0), 1);
}

TEST_F(SessionTest, AnAcknowledgementProvesThatNothingWasLost) {
  Connect();
  Publish("a", kQos0);
  Publish("b", kQos1);
  client_.AcknowledgeAll();
  Lose();
  EXPECT_EQ(statistics_.possibly_lost.Total(), 0);
  EXPECT_EQ(statistics_.written.Get(kQos0), 1);
}

TEST_F(SessionTest, DropOldestMakesRoomAndIsLoggedOnceASecond) {
  options_.outbox.policy = QueuePolicy::kDropOldest;
  options_.outbox.max_messages = 10;
  for (int i = 0; i < 1000; ++i) {
    Publish(absl::StrCat(i));
    loop_.Advance(milliseconds(1));
  }
  EXPECT_EQ(statistics_.dropped_oldest.Total(), 990);
  EXPECT_EQ(statistics_.queued.Total(), 10);
  EXPECT_THAT(log_.lines(), ElementsAre(StartsWith("1 message(s) dropped")));
  loop_.Advance(seconds(1));
  EXPECT_THAT(log_.lines(), ElementsAre(StartsWith("1 message(s) dropped"),
                                        StartsWith("989 message(s) dropped")));
  Connect();
  EXPECT_THAT(Published(), ElementsAre("990", "991", "992", "993", "994"));
}

// Time to live.

class SessionTtlTest : public SessionTest {
 protected:
  SessionTtlTest() { options_.outbox.time_to_live = seconds(10); }
  int64_t Expired() { return statistics_.dropped_ttl.Total(); }
};

TEST_F(SessionTtlTest, AMessageExpiresByItself) {
  Publish("a");
  loop_.Advance(seconds(10) - nanoseconds(1));
  EXPECT_EQ(Expired(), 0);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(Expired(), 1);
  EXPECT_TRUE(session().outbox().empty());
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("queue_ttl")));
}

TEST_F(SessionTtlTest, EachExpiresInItsTime) {
  for (int i = 0; i < 5; ++i) {
    Publish(absl::StrCat(i));
    loop_.Advance(seconds(2));
  }
  for (int expired = 1; expired <= 5; ++expired) {
    EXPECT_EQ(Expired(), expired);
    loop_.Advance(seconds(2));
  }
}

TEST_F(SessionTtlTest, ManyExpiredAreAFewLines) {
  for (int i = 0; i < 1000; ++i) {
    Publish(absl::StrCat(i));
    loop_.Advance(milliseconds(1));
  }
  loop_.Advance(seconds(20));
  EXPECT_EQ(Expired(), 1000);
  EXPECT_THAT(log_.lines(), ElementsAre(StartsWith("1 message(s)"),
                                        StartsWith("999 message(s)")));
}

TEST_F(SessionTtlTest, AnExpiredMessageIsNotSubmitted) {
  Start();
  Publish("old");
  clock_.Advance(seconds(6));
  Publish("young");
  // The connection is there before the timer has its turn.
  clock_.Advance(seconds(4));
  client_.AcceptConnection();
  EXPECT_THAT(Published(), ElementsAre("young"));
  EXPECT_EQ(Expired(), 1);
}

TEST_F(SessionTtlTest, WhatIsInFlightDoesNotExpire) {
  Connect();
  Publish("a");
  loop_.Advance(seconds(20));
  EXPECT_EQ(Expired(), 0);
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
}

TEST_F(SessionTtlTest, WhatWaitsBehindTheWindowExpires) {
  options_.outbox.window = 1;
  Connect();
  Publish("a");
  Publish("b");
  loop_.Advance(seconds(10));
  EXPECT_EQ(Expired(), 1);
  client_.AcknowledgeAll();
  EXPECT_THAT(Published(), ElementsAre("a"));
}

TEST_F(SessionTtlTest, WhatWaitsAgainKeepsItsTime) {
  Connect();
  Publish("a");
  loop_.Advance(seconds(4));
  Publish("b");
  // Nothing waits any more when the timer of the first is due.
  loop_.Advance(seconds(6));
  Lose();
  EXPECT_EQ(Expired(), 1) << "when it waits again";
  loop_.Advance(seconds(3));
  FailAttempt();
  loop_.Advance(seconds(1) - nanoseconds(1));
  EXPECT_EQ(Expired(), 1);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(Expired(), 2) << "by the timer";
}

// Subscriptions.

TEST_F(SessionTest, SubscribesAtOnceWhenConnected) {
  Connect();
  Subscribe("a/#", kQos1);
  ASSERT_THAT(Subscribed(), ElementsAre("a/#"));
  EXPECT_EQ(client_.subscriptions()[0].qos, kQos1);
  EXPECT_EQ(StateOf("a/#"), SubscriptionState::kPending);
  GrantAll();
  EXPECT_EQ(StateOf("a/#"), SubscriptionState::kActive);
}

TEST_F(SessionTest, SubscribingAgainSendsOnlyWhatIsNew) {
  Connect();
  Subscribe("a");
  Subscribe("a");
  GrantAll();
  Subscribe("a");
  EXPECT_THAT(Subscribed(), ElementsAre("a"));
  Subscribe("a", kQos2);
  EXPECT_THAT(Subscribed(), ElementsAre("a", "a"));
  EXPECT_EQ(client_.subscriptions()[1].qos, kQos2);
}

TEST_F(SessionTest, SubscriptionsMadeBeforeAreSentOnceConnected) {
  Subscribe("idle");
  Start();
  Subscribe("connecting");
  FailAttempt();
  Subscribe("waiting");
  loop_.Advance(seconds(3));
  EXPECT_THAT(Subscribed(), IsEmpty());
  Accept();
  EXPECT_THAT(Subscribed(), ElementsAre("idle", "connecting", "waiting"));
}

TEST_F(SessionTest, SubscriptionsPrecedeQueuedMessages) {
  Queue("a");
  Subscribe("f");
  Queue("b");
  Subscribe("g");
  Connect();
  ASSERT_THAT(Subscribed(), ElementsAre("f", "g"));
  ASSERT_THAT(Published(), ElementsAre("a", "b"));
  // Packet identifiers count up in the order of submission.
  EXPECT_LT(client_.subscriptions().back().packet_id,
            client_.publications().front().packet_id);
}

TEST_F(SessionTest, SubscriptionsAreRestoredBeforeTheNextMessage) {
  Connect();
  Subscribe("f", kQos1);
  Subscribe("g", kQos2);
  GrantAll();
  Publish("in flight");
  Lose();
  EXPECT_EQ(StateOf("f"), SubscriptionState::kPending);
  Publish("queued");
  Reconnect();
  ASSERT_THAT(Subscribed(), ElementsAre("f", "g"));
  EXPECT_EQ(client_.subscriptions()[0].qos, kQos1);
  EXPECT_EQ(client_.subscriptions()[1].qos, kQos2);
  ASSERT_THAT(Published(), ElementsAre("in flight", "queued"));
  EXPECT_LT(client_.subscriptions().back().packet_id,
            client_.publications().front().packet_id);
}

TEST_F(SessionTest, ARestoredSubscriptionIsInOneBatch) {
  for (int i = 0; i < 100; ++i) Subscribe(absl::StrCat("f", i));
  Start();
  const int batches = client_.batches();
  Accept();
  EXPECT_THAT(Subscribed(), SizeIs(100));
  EXPECT_LE(client_.batches(), batches + 2);
}

TEST_F(SessionTest, AScriptThatSubscribesAgainDoesNoHarm) {
  observer_.on_connected = [this] {
    Subscribe("f", kQos1);
    Subscribe("g", kQos1);
  };
  Connect();
  EXPECT_THAT(Subscribed(), ElementsAre("f", "g"));
  GrantAll();
  Lose();
  Reconnect();
  EXPECT_THAT(Subscribed(), ElementsAre("f", "g"));
  GrantAll();
  Subscribe("f", kQos1);
  EXPECT_THAT(Subscribed(), ElementsAre("f", "g"));
}

TEST_F(SessionTest, WithoutResubscribeSubscriptionsEndWithTheConnection) {
  options_.resubscribe = false;
  Connect();
  Subscribe("f");
  GrantAll();
  Lose();
  EXPECT_EQ(session().subscriptions().Size(), 0u);
  Reconnect();
  EXPECT_THAT(Subscribed(), IsEmpty());
}

TEST_F(SessionTest, WithoutResubscribeTheScriptMaySubscribeAgain) {
  options_.resubscribe = false;
  observer_.on_connected = [this] { Subscribe("f"); };
  Connect();
  EXPECT_THAT(Subscribed(), ElementsAre("f"));
  Lose();
  Reconnect();
  EXPECT_THAT(Subscribed(), ElementsAre("f"));
}

TEST_F(SessionTest, WithoutResubscribeRequestsStillWaitForAConnection) {
  options_.resubscribe = false;
  Subscribe("before");
  Start();
  FailAttempt();
  Reconnect();
  EXPECT_THAT(Subscribed(), ElementsAre("before"));
  Lose();
  Subscribe("while waiting");
  loop_.Advance(seconds(3));
  FailAttempt();
  Reconnect();
  EXPECT_THAT(Subscribed(), ElementsAre("while waiting"));
}

TEST_F(SessionTest, ManyRefusedSubscriptionsGiveFewLines) {
  constexpr int kSubscriptions = 500;
  Connect();
  for (int i = 0; i < kSubscriptions; ++i) Subscribe(absl::StrCat("f/", i));
  for (int i = 0; i < kSubscriptions; ++i) {
    client_.AnswerSubscribe(client_.subscriptions()[i].packet_id,
                            kSubackFailure);
  }
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), kSubscriptions);
  const size_t lines = Warnings().size();
  EXPECT_GT(lines, 1);
  EXPECT_LT(lines, kSubscriptions / 2);
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(Warnings(), SizeIs(lines + 1));
  EXPECT_THAT(Warnings().back(),
              AllOf(HasSubstr("\"f/499\""),
                    HasSubstr(absl::StrCat("(the last of ",
                                           kSubscriptions - lines, " "))));
}

TEST_F(SessionTest, ARefusedSubscriptionIsLoggedAndCounted) {
  Connect();
  Subscribe("for\nbidden/#");
  client_.AnswerSubscribe(client_.subscriptions()[0].packet_id, kSubackFailure);
  EXPECT_EQ(StateOf("for\nbidden/#"), SubscriptionState::kRefused);
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), 1);
  EXPECT_THAT(Warnings(), ElementsAre(AllOf(HasSubstr("\"for\\nbidden/#\""),
                                            HasSubstr("0x80"))));
  Lose();
  Reconnect();
  EXPECT_THAT(Subscribed(), ElementsAre("for\nbidden/#"));
}

TEST_F(SessionTest, WhatIsRefusedNowIsToldForThePresentConnection) {
  const auto answer = [this](int index, int granted) {
    client_.AnswerSubscribe(client_.subscriptions()[index].packet_id, granted);
    return statistics_.subscriptions_refused_now.Get();
  };
  Connect();
  for (const char* filter : {"a", "b", "c"}) Subscribe(filter);
  EXPECT_EQ(answer(0, kSubackFailure), 1);
  EXPECT_EQ(answer(1, 0), 1);
  EXPECT_EQ(answer(2, kSubackFailure), 2);
  session().Unsubscribe("c");
  EXPECT_EQ(statistics_.subscriptions_refused_now.Get(), 1);
  Subscribe("a");
  EXPECT_EQ(statistics_.subscriptions_refused_now.Get(), 0);
  EXPECT_EQ(answer(3, kSubackFailure), 1);
  Lose();
  EXPECT_EQ(statistics_.subscriptions_refused_now.Get(), 0);
  Reconnect();
  EXPECT_EQ(answer(0, kSubackFailure), 1);
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), 4);
}

TEST_F(SessionTest, ASubscriptionThatCannotBeSentIsLoggedAndCounted) {
  Connect();
  client_.SetSubmitStatus(absl::InvalidArgumentError("too long"));
  Subscribe("f");
  EXPECT_EQ(StateOf("f"), SubscriptionState::kRefused);
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), 1);
  EXPECT_EQ(statistics_.subscriptions_refused_now.Get(), 1);
  EXPECT_THAT(Warnings(),
              ElementsAre(AllOf(HasSubstr("\"f\""), HasSubstr("too long"))));
}

TEST_F(SessionTest, SubscriptionsThatCannotBeSentHoldNothingUp) {
  for (int i = 0; i < 2500; ++i) Subscribe(absl::StrCat("f", i));
  Start();
  client_.SetSubmitStatus(absl::InvalidArgumentError("no"));
  Accept();
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), 2500);
  client_.SetSubmitStatus(absl::OkStatus());
  Publish("a");
  EXPECT_THAT(Published(), ElementsAre("a"));
}

TEST_F(SessionTest, ASubscriptionThatTheLibraryDoesNotTakeNowIsKept) {
  Connect();
  client_.SetSubmitStatus(absl::UnavailableError("no connection"));
  Subscribe("f");
  EXPECT_EQ(StateOf("f"), SubscriptionState::kPending);
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), 0);
  client_.SetSubmitStatus(absl::OkStatus());
  Publish("a");
  EXPECT_THAT(Published(), IsEmpty()) << "not before the subscription";
  Lose();
  Reconnect();
  EXPECT_THAT(Subscribed(), ElementsAre("f"));
  EXPECT_THAT(Published(), ElementsAre("a"));
}

TEST_F(SessionTest, ThousandsOfSubscriptionsAreSentAsTheBrokerAnswers) {
  constexpr size_t kSubscriptions = 2500;
  for (size_t i = 0; i < kSubscriptions; ++i) Subscribe(absl::StrCat("f", i));
  Queue("message");
  Connect();
  EXPECT_THAT(Subscribed(), SizeIs(1000));
  for (size_t i = 0; i < kSubscriptions; ++i) {
    const size_t sent = client_.subscriptions().size();
    ASSERT_LT(i, sent);
    EXPECT_EQ(Published().empty(), sent < kSubscriptions);
    client_.AnswerSubscribe(client_.subscriptions()[i].packet_id, 0);
  }
  EXPECT_THAT(Subscribed(), SizeIs(kSubscriptions));
  EXPECT_THAT(Published(), ElementsAre("message"));
  for (size_t i = 0; i < kSubscriptions; ++i) {
    ASSERT_EQ(client_.subscriptions()[i].filter, absl::StrCat("f", i));
    ASSERT_EQ(StateOf(absl::StrCat("f", i)), SubscriptionState::kActive);
  }
}

TEST_F(SessionTest, UnsubscribesAtOnceWhenConnected) {
  Connect();
  Subscribe("f");
  GrantAll();
  session().Unsubscribe("f");
  ASSERT_THAT(client_.unsubscriptions(), SizeIs(1));
  EXPECT_EQ(client_.unsubscriptions()[0].filter, "f");
  EXPECT_EQ(session().subscriptions().Size(), 0u);
  client_.AnswerUnsubscribe(client_.unsubscriptions()[0].packet_id);
  Lose();
  Reconnect();
  EXPECT_THAT(Subscribed(), IsEmpty());
}

TEST_F(SessionTest, UnsubscribingWithoutAConnectionSendsNothing) {
  Subscribe("f");
  Subscribe("g");
  session().Unsubscribe("f");
  Connect();
  EXPECT_THAT(Subscribed(), ElementsAre("g"));
  EXPECT_THAT(client_.unsubscriptions(), IsEmpty());
}

// With a broker that keeps the session.
class SessionKeptTest : public SessionTest {
 protected:
  SessionKeptTest() { client_.SetKeepsSession(true); }

  std::vector<std::string> Unsubscribed() const {
    std::vector<std::string> filters;
    for (const auto& unsubscription : client_.unsubscriptions()) {
      filters.push_back(unsubscription.filter);
    }
    return filters;
  }
};

TEST_F(SessionKeptTest, WhatIsInFlightIsTheClientsToFinish) {
  Connect();
  for (const Qos qos : {kQos2, kQos1}) Publish("a", qos);
  Lose();
  Publish("b");
  EXPECT_EQ(session().outbox().in_flight(), 2u);
  EXPECT_EQ(statistics_.queued.Total(), 3);
  Reconnect();
  EXPECT_THAT(Published(), ElementsAre("b"));
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.acknowledged.Total(), 3);
}

TEST_F(SessionKeptTest, QosZeroIsSentAgain) {
  Connect();
  Publish("a", kQos1);
  Publish("b", kQos0);
  Lose();
  Reconnect();
  EXPECT_THAT(Published(), ElementsAre("b"));
}

TEST_F(SessionKeptTest, ASessionLostWhileConnectingSendsAllAgain) {
  Connect();
  Publish("a", kQos1);
  Publish("b", kQos0);
  Publish("c", kQos2);
  Lose();
  Publish("d");
  loop_.Advance(reconnect_delay_);
  client_.LoseSession();
  Accept();
  EXPECT_THAT(Published(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(SessionKeptTest, AStopWaitsForWhatIsInFlight) {
  Connect();
  Publish("a", kQos2);
  Lose();
  Stop(seconds(3));
  EXPECT_EQ(session().state(), State::kConnecting);
  Accept();
  EXPECT_EQ(stopped_, 0);
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
}

TEST_F(SessionKeptTest, WhatIsInFlightAtTheEndIsCounted) {
  Connect();
  Publish("a", kQos2);
  Lose();
  Stop(seconds(1));
  loop_.Advance(seconds(1));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.dropped_shutdown.Get(kQos2), 1);
}

TEST_F(SessionKeptTest, UnsubscribingWithoutAConnectionIsSentLater) {
  Connect();
  for (const char* filter : {"f", "g", "h"}) Subscribe(filter);
  GrantAll();
  Lose();
  for (const char* filter : {"f", "g"}) session().Unsubscribe(filter);
  Subscribe("g");
  Reconnect();
  EXPECT_THAT(Unsubscribed(), ElementsAre("f"));
  EXPECT_THAT(Subscribed(), ElementsAre("h", "g"));
}

TEST_F(SessionKeptTest, WhatTheBrokerNeverKnewIsNotUnsubscribedFrom) {
  Connect();
  Lose();
  for (int i = 0; i < 10000; ++i) {
    const std::string filter = absl::StrCat("f", i);
    Subscribe(filter);
    session().Unsubscribe(filter);
  }
  Subscribe("left");
  Stop(seconds(3));
  EXPECT_THAT(Unsubscribed(), IsEmpty());
}

TEST_F(SessionKeptTest, WhatTheBrokerMayKnowIsUnsubscribedFromInTheEnd) {
  Connect();
  Subscribe("f");
  Subscribe("g");
  // Never answered.
  Lose();
  for (int i = 0; i < 3; ++i) {
    session().Unsubscribe("f");
    Subscribe("f");
  }
  session().Unsubscribe("f");
  Reconnect();
  EXPECT_THAT(Unsubscribed(), ElementsAre("f"));
  EXPECT_THAT(Subscribed(), ElementsAre("g"));
  // Neither is this; and what is wanted again in vain remains known.
  client_.SetSubmitStatus(absl::UnavailableError("no connection"));
  Subscribe("f");
  Lose();
  session().Unsubscribe("f");
  client_.SetSubmitStatus(absl::OkStatus());
  Reconnect();
  EXPECT_THAT(Unsubscribed(), ElementsAre("f"));
}

TEST_F(SessionKeptTest, ASessionThatIsLostKnowsNoSubscriptions) {
  Connect();
  Subscribe("f");
  GrantAll();
  Lose();
  client_.LoseSession();
  session().Unsubscribe("f");
  Reconnect();
  EXPECT_THAT(Unsubscribed(), IsEmpty());
}

TEST_F(SessionKeptTest, AnUnsubscribeThatWasNotAnsweredIsSentAgain) {
  Connect();
  for (const char* filter : {"f", "g", "h"}) Subscribe(filter);
  GrantAll();
  for (const char* filter : {"f", "g", "h"}) session().Unsubscribe(filter);
  client_.AnswerUnsubscribe(client_.unsubscriptions()[0].packet_id);
  Subscribe("h");
  Lose();
  Reconnect();
  EXPECT_THAT(Unsubscribed(), ElementsAre("g"));
  client_.AnswerUnsubscribe(client_.unsubscriptions()[0].packet_id);
  Lose();
  Reconnect();
  EXPECT_THAT(Unsubscribed(), IsEmpty());
}

TEST_F(SessionKeptTest, ALostSessionHasNothingToUnsubscribeFrom) {
  Connect();
  Subscribe("f");
  GrantAll();
  Lose();
  session().Unsubscribe("f");
  client_.LoseSession();
  Reconnect();
  EXPECT_THAT(Unsubscribed(), IsEmpty());
}

TEST_F(SessionKeptTest, ThousandsAreUnsubscribedAsTheBrokerAnswers) {
  Connect();
  constexpr int kFilters = 2500;
  for (int i = 0; i < kFilters; ++i) Subscribe(absl::StrCat("f", i));
  while (session().subscriptions().InFlight() > 0) GrantAll();
  Lose();
  for (int i = 0; i < kFilters; ++i) {
    session().Unsubscribe(absl::StrCat("f", i));
  }
  Reconnect();
  EXPECT_LT(client_.unsubscriptions().size(), size_t{kFilters});
  for (size_t i = 0; i < client_.unsubscriptions().size(); ++i) {
    client_.AnswerUnsubscribe(client_.unsubscriptions()[i].packet_id);
  }
  EXPECT_EQ(client_.unsubscriptions().size(), size_t{kFilters});
}

// With a broker that closes the connection for one message.
class SessionRefusalTest : public SessionTest,
                           public ::testing::WithParamInterface<bool> {
 protected:
  SessionRefusalTest() { client_.SetKeepsSession(GetParam()); }

  // Two connections that break with all of them in flight.
  void BeginSearch(const std::vector<std::string>& topics) {
    Connect();
    for (const std::string& topic : topics) Publish(topic, kQos2);
    Lose();
    Reconnect();
    Lose();
    EXPECT_THAT(log_.lines(LogLevel::kInfo),
                ElementsAre(HasSubstr("one at a time")));
  }

  // A connection until its time of quiet is over.
  void ReconnectAndWait() {
    Reconnect();
    EXPECT_THAT(Published(), IsEmpty());
    loop_.Advance(seconds(2));
  }
};

TEST_P(SessionRefusalTest, TheMessageIsDroppedAndTheOthersLeave) {
  BeginSearch({"bad", "good", "better"});
  const TimePoint begin = clock_.Now();
  for (int i = 0; i < 3; ++i) {
    ReconnectAndWait();
    EXPECT_THAT(Published(), ElementsAre("bad"));
    EXPECT_THAT(Warnings(), Each(Not(HasSubstr("dropped"))));
    Lose();
  }
  EXPECT_EQ(statistics_.dropped_refused.Get(kQos2), 1);
  EXPECT_THAT(Warnings(), Contains(HasSubstr("dropped a publish to \"bad\"")));
  EXPECT_LT(clock_.Now() - begin, 7 * reconnect_delay_);

  ReconnectAndWait();
  EXPECT_THAT(Published(), ElementsAre("good"));
  client_.AcknowledgeNext();
  EXPECT_THAT(Published(), ElementsAre("good", "better"));
  client_.AcknowledgeNext();
  EXPECT_EQ(statistics_.acknowledged.Get(kQos2), 2);
  // All that were in flight were tried.
  for (const char* topic : {"d", "e"}) Publish(topic);
  EXPECT_EQ(session().outbox().in_flight(), 2u);
}

TEST_P(SessionRefusalTest, OlderMessagesLeaveFirst) {
  BeginSearch({"good", "bad", "better"});
  ReconnectAndWait();
  client_.AcknowledgeNext();
  EXPECT_THAT(Published(), ElementsAre("good", "bad"));
  Lose();
  for (int i = 0; i < 2; ++i) {
    ReconnectAndWait();
    EXPECT_THAT(Published(), ElementsAre("bad"));
    Lose();
  }
  EXPECT_EQ(statistics_.dropped_refused.Total(), 1);
  ReconnectAndWait();
  EXPECT_THAT(Published(), ElementsAre("better"));
}

TEST_P(SessionRefusalTest, QosZeroBehindItLeaves) {
  BeginSearch({"bad", "good"});
  Publish("zero", kQos0);
  for (int i = 0; i < 3; ++i) {
    ReconnectAndWait();
    Lose();
  }
  ReconnectAndWait();
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.written.Total(), 1);
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  EXPECT_EQ(statistics_.dropped_refused.Total(), 1);
}

// One that is never written: the broker refuses it by its first bytes.
TEST_P(SessionRefusalTest, QosZeroIsDroppedToo) {
  Connect();
  Publish("bad", kQos0);
  for (int i = 0; i < 2; ++i) {
    Lose();
    Reconnect();
  }
  Publish("good");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(statistics_.dropped_refused.Total(), 0);
    loop_.Advance(seconds(2));
    EXPECT_THAT(Published(), ElementsAre("bad"));
    Lose();
    Reconnect();
  }
  EXPECT_EQ(statistics_.dropped_refused.Get(kQos0), 1);
  EXPECT_THAT(Warnings(), Contains(HasSubstr("dropped a publish to \"bad\"")));
  loop_.Advance(seconds(2));
  EXPECT_THAT(Published(), ElementsAre("good"));
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  // No message that the broker had was in flight.
  EXPECT_EQ(client_.drop_session_calls(), 0);
}

// The broker may be so quick that the library has not even taken it.
TEST_P(SessionRefusalTest, QosZeroThatBreaksTheConnectionIsDroppedToo) {
  Start();
  Queue("bad", kQos0);
  Queue("good");
  client_.SetSubmitStatus(absl::UnavailableError("connection reset"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(statistics_.dropped_refused.Total(), 0);
    Accept();
    loop_.Advance(seconds(2));
    Lose();
    loop_.Advance(*session().next_attempt() - clock_.Now());
  }
  EXPECT_EQ(statistics_.dropped_refused.Get(kQos0), 1);
  client_.SetSubmitStatus(absl::OkStatus());
  Accept();
  loop_.Advance(seconds(2));
  EXPECT_THAT(Published(), ElementsAre("good"));
}

TEST_P(SessionRefusalTest, QosZeroOnABadLinkIsNotDropped) {
  Connect();
  Publish("large", kQos0);
  for (int i = 0; i < 10; ++i) {
    loop_.Advance(RefusalProbe::kSoon + milliseconds(1));
    Lose();
    Reconnect();
  }
  for (int i = 0; i < 10; ++i) {
    Publish(absl::StrCat(i), kQos0);
    client_.AcknowledgeNext();
    Lose();
    Reconnect();
  }
  EXPECT_EQ(statistics_.dropped_refused.Total(), 0);
  EXPECT_THAT(log_.lines(LogLevel::kInfo), IsEmpty());
}

// Nothing is in flight when the other client takes the session over.
TEST_P(SessionRefusalTest, TakeOversDropNothing) {
  Connect();
  Publish("a");
  for (int i = 0; i < 30; ++i) {
    Lose();
    Reconnect();
  }
  EXPECT_EQ(statistics_.dropped_refused.Total(), 0);
  EXPECT_EQ(statistics_.queued.Total(), 1);
  EXPECT_GT(clock_.Now().time_since_epoch(), seconds(20 * 60));
}

TEST_P(SessionRefusalTest, ABreakWhileItIsQuietEndsTheSearch) {
  BeginSearch({"a", "b"});
  for (int i = 0; i < 2; ++i) {
    ReconnectAndWait();
    Lose();
  }
  Reconnect();
  Lose();
  Reconnect();
  EXPECT_THAT(Published(), ElementsAre("a", "b"));
}

TEST_P(SessionRefusalTest, TheBrokerForgetsOnlyForTheSearch) {
  Connect();
  Publish("a");
  Lose();
  EXPECT_EQ(client_.drop_session_calls(), 0);
  Reconnect();
  Lose();
  const int calls = client_.drop_session_calls();
  EXPECT_EQ(calls, GetParam() ? 1 : 0);
  ReconnectAndWait();
  client_.AcknowledgeAll();
  Publish("b");
  Lose();
  EXPECT_EQ(client_.drop_session_calls(), calls);
}

TEST_P(SessionRefusalTest, AStopInTheSearchCountsWhatIsLeft) {
  BeginSearch({"a", "b"});
  ReconnectAndWait();
  Stop(seconds(3));
  loop_.Advance(seconds(3));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 2);
}

INSTANTIATE_TEST_SUITE_P(Broker, SessionRefusalTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "KeepsSessions" : "Forgets";
                         });

// With a broker that keeps acknowledgements back.
class SessionUnacknowledgedTest : public SessionTest,
                                  public ::testing::WithParamInterface<bool> {
 protected:
  SessionUnacknowledgedTest() { client_.SetKeepsSession(GetParam()); }

  Duration Timeout() const { return options_.acknowledge_timeout; }
  void Acknowledge(size_t publication) {
    client_.Acknowledge(client_.publications()[publication].packet_id);
  }
};

TEST_P(SessionUnacknowledgedTest, AMessageThatIsKeptBackIsSentAgain) {
  options_.outbox.window = 4;
  Connect();
  loop_.Advance(seconds(7));
  for (const Qos qos : {kQos0, kQos1, kQos2, kQos1, kQos1}) {
    Publish(absl::StrCat("qos", static_cast<int>(qos)), qos);
  }
  Acknowledge(0);
  Acknowledge(2);
  loop_.Advance(2 * Timeout() - nanoseconds(1));
  EXPECT_EQ(session().state(), State::kConnected);
  EXPECT_THAT(Warnings(), IsEmpty());
  loop_.Advance(nanoseconds(1));
  EXPECT_THAT(
      Warnings(),
      ElementsAre(AllOf(HasSubstr("\"qos1\""), HasSubstr("60.0 s ago")),
                  HasSubstr("lost: the broker has not acknowledged a publish "
                            "for 30.0 s; next attempt in 3.0 s")));
  EXPECT_THAT(observer_.events,
              ElementsAre("connected",
                          "disconnected: the broker has not acknowledged a "
                          "publish for 30.0 s"));
  EXPECT_EQ(statistics_.disconnects.Get(), 1);

  Reconnect();
  EXPECT_EQ(session().outbox().in_flight(), 3u);
  client_.AcknowledgeAll();
  EXPECT_EQ(statistics_.acknowledged.Total(), 4);
  loop_.Advance(hours(1));
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
}

TEST_P(SessionUnacknowledgedTest, AsLongAsTheOldestChangesNothingIsKeptBack) {
  Connect();
  for (int i = 0; i < 20; ++i) Publish(absl::StrCat(i));
  for (int i = 0; i < 20; ++i) {
    loop_.Advance(Timeout() + seconds(1));
    client_.AcknowledgeNext();
  }
  EXPECT_EQ(statistics_.disconnects.Get(), 0);
  EXPECT_THAT(Warnings(), IsEmpty());
}

// As a large message on a slow link does.
TEST_P(SessionUnacknowledgedTest, WhatIsOnItsWayIsNotKeptBack) {
  Connect();
  Publish("large");
  client_.SetOutputWaiting(true);
  loop_.Advance(hours(1));
  EXPECT_EQ(statistics_.disconnects.Get(), 0);
  client_.SetOutputWaiting(false);
  loop_.Advance(Timeout());
  EXPECT_EQ(statistics_.disconnects.Get(), 0);
  loop_.Advance(Timeout());
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
}

// A busy connection always has something on its way.
TEST_P(SessionUnacknowledgedTest, WhatIsPassedOverIsKeptBack) {
  Connect();
  client_.SetOutputWaiting(true);
  Publish("kept back");
  loop_.Advance(Timeout());
  Publish("later");
  Acknowledge(1);
  loop_.Advance(Timeout() - nanoseconds(1));
  EXPECT_EQ(statistics_.disconnects.Get(), 0);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
}

TEST_P(SessionUnacknowledgedTest, WithNothingInFlightNoTimerRuns) {
  Connect();
  Publish("zero", kQos0);
  EXPECT_EQ(loop_.NextTimerDue(), absl::nullopt);
  Publish("one");
  client_.AcknowledgeAll();
  EXPECT_EQ(loop_.NextTimerDue(), Timeout());
  loop_.Advance(Timeout());
  EXPECT_EQ(loop_.NextTimerDue(), absl::nullopt);
  Publish("two", kQos2);
  EXPECT_EQ(loop_.NextTimerDue(), Timeout());
  Lose();
  EXPECT_EQ(loop_.NextTimerDue(), reconnect_delay_);
}

TEST_P(SessionUnacknowledgedTest, EachConnectionHasItsTime) {
  Connect();
  Publish("a");
  loop_.Advance(Timeout() + seconds(20));
  Lose();
  Reconnect();
  loop_.Advance(2 * Timeout() - nanoseconds(1));
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(statistics_.disconnects.Get(), 2);
}

TEST_P(SessionUnacknowledgedTest, ItIsNotForgottenBehindALaterOne) {
  Connect();
  Publish("kept back");
  for (int i = 0; i < 2; ++i) {
    loop_.Advance(Timeout() - seconds(1));
    Publish("later");
    Acknowledge(i + 1);
    EXPECT_EQ(statistics_.disconnects.Get(), 0);
  }
  loop_.Advance(seconds(2));
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
}

TEST_P(SessionUnacknowledgedTest, ItIsNotTakenForARefusal) {
  Connect();
  Publish("a", kQos2);
  for (int i = 0; i < 10; ++i) {
    loop_.Advance(2 * Timeout());
    ASSERT_EQ(statistics_.disconnects.Get(), i + 1);
    EXPECT_EQ(session().next_attempt(), clock_.Now() + reconnect_delay_);
    Reconnect();
    EXPECT_EQ(session().outbox().in_flight(), 1u);
  }
  EXPECT_EQ(client_.drop_session_calls(), 0);
  EXPECT_EQ(statistics_.dropped_refused.Total(), 0);
}

TEST_P(SessionUnacknowledgedTest, AReconnectThatIsUnderWayIsLeftAlone) {
  client_.stuck = true;
  Connect();
  Publish("a");
  loop_.Advance(2 * Timeout() - seconds(1));
  session().Reconnect(ReconnectMode::kGraceful);
  loop_.Advance(seconds(2));
  EXPECT_THAT(observer_.events, Contains(HasSubstr("reconnect requested")));
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_P(SessionUnacknowledgedTest, AStopGoesOnOnTheNextConnection) {
  Connect();
  Publish("a");
  Stop(hours(1));
  loop_.Advance(2 * Timeout());
  EXPECT_EQ(statistics_.disconnects.Get(), 1);
  Reconnect();
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
}

INSTANTIATE_TEST_SUITE_P(Broker, SessionUnacknowledgedTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "KeepsSessions" : "Forgets";
                         });

TEST_F(SessionTest, UnsubscribingFromSomethingUnknownIsSaid) {
  Connect();
  session().Unsubscribe("un\nknown");
  EXPECT_THAT(client_.unsubscriptions(), IsEmpty());
  EXPECT_THAT(log_.lines(LogLevel::kInfo),
              ElementsAre(HasSubstr("\"un\\nknown\"")));
}

TEST_F(SessionTest, ALateSubackIsIgnored) {
  Connect();
  Subscribe("f");
  session().Unsubscribe("f");
  client_.AnswerSubscribe(client_.subscriptions()[0].packet_id, kSubackFailure);
  EXPECT_EQ(statistics_.subscriptions_refused.Get(), 0);
}

TEST_F(SessionTest, MessagesArePassedOnAndCounted) {
  Connect();
  Subscribe("f/#");
  Subscribe("g");
  InboundMessage message;
  message.topic = "f/1";
  message.payload = "12345";
  message.qos = kQos2;
  message.retain = true;
  message.packet_id = 17;
  client_.Deliver(message);
  ASSERT_THAT(observer_.messages, SizeIs(1));
  EXPECT_EQ(observer_.messages[0].topic, "f/1");
  EXPECT_EQ(observer_.messages[0].payload, "12345");
  EXPECT_EQ(observer_.messages[0].packet_id, 17);
  EXPECT_TRUE(observer_.messages[0].retain);
  EXPECT_EQ(statistics_.received.Get(kQos2), 1);
  const Subscription* matched = session().subscriptions().Find("f/#");
  EXPECT_EQ(matched->messages, 1u);
  EXPECT_EQ(matched->bytes, 5u);
  EXPECT_EQ(matched->last_message, clock_.Now());
  EXPECT_EQ(session().subscriptions().Find("g")->messages, 0u);
}

// Stopping.

class SessionStopTest : public SessionTest {
 protected:
  ~SessionStopTest() override {
    // Stopped for good.
    EXPECT_EQ(stopped_, 1);
    EXPECT_EQ(session().state(), State::kStopped);
    EXPECT_EQ(client_.state(), FakeMqttClient::State::kIdle);
    EXPECT_EQ(statistics_.queued.Total(), 0);
    const int connect_calls = client_.connect_calls();
    const size_t lines = log_.lines().size();
    loop_.Advance(hours(1));
    EXPECT_EQ(client_.connect_calls(), connect_calls);
    EXPECT_THAT(log_.lines(), SizeIs(lines));
    EXPECT_EQ(stopped_, 1);
  }
};

TEST_F(SessionStopTest, Idle) {
  Stop(seconds(3));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(client_.connect_calls(), 0);
}

TEST_F(SessionStopTest, IdleWithABacklogConnectsToDeliverIt) {
  Queue("a");
  Stop(seconds(3));
  EXPECT_EQ(stopped_, 0);
  Accept();
  EXPECT_THAT(Published(), ElementsAre("a"));
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(client_.disconnect_calls(), 1);
}

TEST_F(SessionStopTest, ConnectingEndsTheAttempt) {
  Start();
  Stop(seconds(3));
  EXPECT_EQ(stopped_, 1);
  EXPECT_THAT(client_.aborts(), SizeIs(1));
  EXPECT_EQ(client_.aborts()[0].kind, DisconnectKind::kRequested);
  EXPECT_EQ(statistics_.connect_failures.Get(), 0);
  EXPECT_THAT(Errors(), IsEmpty());
}

TEST_F(SessionStopTest, ConnectingWithABacklogWaitsForTheConnection) {
  Start();
  Publish("a");
  Stop(seconds(3));
  EXPECT_EQ(session().state(), State::kConnecting);
  loop_.Advance(seconds(2));
  Accept();
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(SessionStopTest, ConnectingWithABacklogEndsAtTheDeadline) {
  Start();
  Publish("a");
  Publish("b", kQos0);
  Stop(seconds(3));
  loop_.Advance(seconds(3) - nanoseconds(1));
  EXPECT_EQ(stopped_, 0);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(stopped_, 1);
  EXPECT_THAT(client_.aborts(), SizeIs(1));
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 2);
  EXPECT_THAT(Warnings(), ElementsAre(AllOf(HasSubstr("2 message(s)"),
                                            HasSubstr("drain_timeout"))));
}

TEST_F(SessionStopTest, ConnectedDisconnectsAtOnce) {
  Connect();
  Subscribe("f");
  Stop(seconds(3));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_THAT(client_.aborts(), IsEmpty());
  EXPECT_THAT(observer_.events, ElementsAre("connected"));
  EXPECT_EQ(statistics_.disconnects.Get(), 0);
  EXPECT_EQ(statistics_.connected.Get(), 0);
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(SessionStopTest, ACleanStopLosesNothingThatWasWritten) {
  Connect();
  Publish("a", kQos0);
  client_.AcknowledgeAll();
  Stop(seconds(3));
  EXPECT_EQ(statistics_.written.Get(kQos0), 1);
  EXPECT_EQ(statistics_.possibly_lost.Total(), 0);
}

TEST_F(SessionStopTest, ConnectedWithABacklogDrainsIt) {
  options_.outbox.window = 4;
  Connect();
  for (int i = 0; i < 20; ++i)
    Publish(absl::StrCat(i), static_cast<Qos>(i % 3));
  Stop(seconds(3));
  EXPECT_EQ(client_.disconnect_calls(), 0);
  while (session().outbox().in_flight() > 1) client_.AcknowledgeNext();
  EXPECT_EQ(client_.disconnect_calls(), 0);
  client_.AcknowledgeNext();
  loop_.RunUntilIdle();
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_THAT(Published(), SizeIs(20));
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 0);
}

TEST_F(SessionStopTest, WhatIsPublishedWhileItDrainsIsDelivered) {
  Connect();
  Publish("a");
  Stop(seconds(3));
  Publish("b");
  EXPECT_THAT(Published(), ElementsAre("a", "b"));
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(statistics_.acknowledged.Total(), 2);
}

TEST_F(SessionStopTest, AtTheDeadlineItDisconnectsAndCountsTheRest) {
  options_.outbox.window = 2;
  Connect();
  for (int i = 0; i < 5; ++i) Publish(absl::StrCat(i));
  Stop(seconds(3));
  client_.AcknowledgeNext();
  loop_.Advance(seconds(3));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(client_.disconnect_calls(), 1) << "the will must not fire";
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 4);
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("4 message(s)")));
  EXPECT_THAT(observer_.events, ElementsAre("connected"));
}

TEST_F(SessionStopTest, ATimeoutOfZeroStillDisconnects) {
  Connect();
  Publish("a");
  Stop(Duration::zero());
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 1);
}

TEST_F(SessionStopTest, ADisconnectThatIsStuckEndsAtTheDeadline) {
  client_.stuck = true;
  Connect();
  Stop(seconds(3));
  EXPECT_EQ(client_.stuck_disconnects, 1);
  loop_.Advance(seconds(3) - nanoseconds(1));
  EXPECT_EQ(stopped_, 0);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(client_.stuck_disconnects, 1);
  EXPECT_THAT(client_.aborts(), SizeIs(1));
}

TEST_F(SessionStopTest, ADisconnectThatIsStuckAfterTheDeadlineHasALittleTime) {
  client_.stuck = true;
  Connect();
  Publish("a");
  Publish("b", kQos0);
  client_.Acknowledge(client_.publications()[1].packet_id);
  Stop(seconds(3));
  loop_.Advance(seconds(3));
  EXPECT_EQ(client_.stuck_disconnects, 1);
  EXPECT_THAT(client_.aborts(), IsEmpty());
  loop_.Advance(milliseconds(250));
  EXPECT_EQ(stopped_, 1);
  EXPECT_THAT(client_.aborts(), SizeIs(1));
  EXPECT_EQ(statistics_.dropped_shutdown.Get(kQos1), 1);
  EXPECT_EQ(statistics_.possibly_lost.Get(kQos0), 1);
}

TEST_F(SessionStopTest, NothingIsSubmittedAfterDisconnect) {
  client_.stuck = true;
  Connect();
  Stop(seconds(3));
  ASSERT_EQ(client_.stuck_disconnects, 1);
  Publish("late");
  Subscribe("late");
  EXPECT_THAT(Published(), IsEmpty());
  EXPECT_THAT(Subscribed(), IsEmpty());
  loop_.Advance(seconds(3));
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 1);
}

TEST_F(SessionStopTest, AConnectionThatBreaksInDisconnectIsNotClean) {
  client_.stuck = true;
  Connect();
  Publish("a", kQos0);
  client_.AcknowledgeAll();
  Stop(seconds(3));
  Lose();
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.possibly_lost.Get(kQos0), 1);
}

TEST_F(SessionStopTest, WaitingIsOverAtOnce) {
  Start();
  FailAttempt();
  Stop(seconds(3));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(client_.connect_calls(), 1);
}

TEST_F(SessionStopTest, WaitingWithABacklogConnectsAtOnce) {
  Start();
  FailAttempt();
  Publish("a");
  Stop(seconds(3));
  EXPECT_EQ(session().state(), State::kConnecting);
  EXPECT_EQ(client_.connect_calls(), 2);
  Accept();
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
  EXPECT_EQ(client_.disconnect_calls(), 1);
}

TEST_F(SessionStopTest, WaitingWithABacklogGoesOnTryingToTheDeadline) {
  reconnect_delay_ = seconds(1);
  Start();
  FailAttempt();
  Publish("a");
  Stop(seconds(3));
  FailAttempt();
  loop_.Advance(seconds(1));
  FailAttempt();
  loop_.Advance(seconds(1));
  FailAttempt();
  EXPECT_EQ(client_.connect_calls(), 4);
  EXPECT_EQ(stopped_, 0);
  EXPECT_EQ(session().state(), State::kWaiting);
  clock_.Advance(seconds(1) - nanoseconds(1));
  loop_.RunUntilIdle();
  EXPECT_EQ(stopped_, 0);
  loop_.Advance(nanoseconds(1));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 1);
}

TEST_F(SessionStopTest, ALossWhileItDrainsIsMended) {
  Connect();
  Publish("a");
  Stop(seconds(10));
  Lose();
  EXPECT_THAT(observer_.events,
              ElementsAre("connected", "disconnected: connection reset"));
  EXPECT_EQ(session().state(), State::kWaiting);
  Reconnect();
  EXPECT_THAT(Published(), ElementsAre("a"));
  client_.AcknowledgeAll();
  loop_.RunUntilIdle();
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.acknowledged.Total(), 1);
}

TEST_F(SessionStopTest, AnExpiredBacklogEndsTheDraining) {
  options_.outbox.time_to_live = seconds(2);
  options_.outbox.window = 1;
  Connect();
  Publish("a");
  Publish("b");
  Stop(hours(1));
  client_.AcknowledgeNext();
  EXPECT_EQ(client_.disconnect_calls(), 0);
  client_.SetWantsMore(false);
  Lose();
  loop_.Advance(seconds(2));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.dropped_ttl.Total(), 1);
}

TEST_F(SessionStopTest, ABacklogThatExpiresWhileConnectedEndsTheDraining) {
  options_.outbox.time_to_live = seconds(2);
  Connect();
  client_.SetWantsMore(false);
  Publish("a");
  Stop(hours(1));
  EXPECT_EQ(client_.disconnect_calls(), 0);
  loop_.Advance(seconds(2));
  EXPECT_EQ(client_.disconnect_calls(), 1);
}

TEST_F(SessionStopTest, ABacklogThatCannotBeSentEndsTheDraining) {
  Connect();
  client_.SetWantsMore(false);
  Publish("a");
  Stop(hours(1));
  EXPECT_EQ(client_.disconnect_calls(), 0);
  client_.SetSubmitStatus(absl::InvalidArgumentError("no"));
  client_.SetWantsMore(true);
  loop_.RunUntilIdle();
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(statistics_.dropped_invalid.Total(), 1);
}

TEST_F(SessionStopTest, WhatIsPublishedAfterTheStopIsCountedAndLogged) {
  Connect();
  Stop(seconds(3));
  Publish("late");
  EXPECT_EQ(statistics_.accepted.Total(), 1);
  EXPECT_EQ(statistics_.dropped_shutdown.Total(), 1);
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("1 message(s)")));
}

TEST_F(SessionStopTest, LossesAreLoggedBeforeTheEnd) {
  options_.outbox.policy = QueuePolicy::kDropOldest;
  options_.outbox.max_messages = 2;
  for (int i = 0; i < 10; ++i) Queue(absl::StrCat(i));
  Start();
  Stop(seconds(0));
  EXPECT_EQ(stopped_, 1);
  EXPECT_EQ(statistics_.dropped_oldest.Total(), 8);
  EXPECT_THAT(Warnings(), Contains(StartsWith("1 message(s) dropped")));
  EXPECT_THAT(Warnings(), Contains(StartsWith("7 message(s) dropped")));
  EXPECT_THAT(Warnings(), Contains(HasSubstr("2 message(s) not delivered")));
}

TEST_F(SessionTest, AStopEndsTheSubscriptionsOfAKeptSession) {
  client_.SetKeepsSession(true);
  Connect();
  Subscribe("a/#");
  Subscribe("b");
  GrantAll();
  Stop(seconds(3));
  ASSERT_THAT(client_.unsubscriptions(), SizeIs(2));
  EXPECT_EQ(client_.disconnect_calls(), 0);
  client_.AnswerUnsubscribe(client_.unsubscriptions()[0].packet_id);
  EXPECT_EQ(client_.disconnect_calls(), 0);
  client_.AnswerUnsubscribe(client_.unsubscriptions()[1].packet_id);
  loop_.RunUntilIdle();
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(stopped_, 1);
  EXPECT_THAT(log_.lines(LogLevel::kInfo), IsEmpty());
}

TEST_F(SessionTest, AStopDoesNotWaitForSubscriptionsForEver) {
  client_.SetKeepsSession(true);
  Connect();
  Subscribe("a");
  Stop(seconds(3));
  loop_.Advance(seconds(3));
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(stopped_, 1);
  EXPECT_THAT(log_.lines(LogLevel::kInfo),
              ElementsAre(HasSubstr("the broker keeps the subscriptions")));
}

TEST_F(SessionTest, AStopLeavesTheSubscriptionsOfACleanSession) {
  Connect();
  Subscribe("a");
  GrantAll();
  Stop(seconds(3));
  EXPECT_THAT(client_.unsubscriptions(), IsEmpty());
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(stopped_, 1);
}

// Everything at once.

class SessionLifeTest : public SessionTest,
                        public ::testing::WithParamInterface<uint32_t> {
 protected:
  ~SessionLifeTest() override { EXPECT_EQ(stopped_, 1); }

  // Notes what the present connection has submitted, and that it was in order.
  void NotePublications() {
    int before = -1;
    for (const auto& publication : client_.publications()) {
      const int number = std::stoi(publication.message.topic);
      EXPECT_GT(number, before);
      before = number;
      delivered_.insert(number);
    }
  }

  std::set<int> delivered_;
};

// Whatever happens to the connection and the session, nothing is lost, the
// order holds and the ledger balances.
TEST_P(SessionLifeTest, LosesNothing) {
  std::mt19937 random(GetParam());
  options_.outbox.window = 8;
  int published = 0;
  Start();
  for (int step = 0; step < 3000; ++step) {
    const bool connected = client_.state() == FakeMqttClient::State::kConnected;
    switch (random() % 12) {
      case 0:
        if (client_.state() == FakeMqttClient::State::kIdle) {
          if (random() % 4 == 0) client_.LoseSession();
          break;
        }
        NotePublications();
        client_.SetKeepsSession(random() % 4 > 0);
        if (connected) {
          Lose();
        } else {
          FailAttempt();
        }
        break;
      case 1:
        loop_.Advance(milliseconds(random() % 3000));
        break;
      case 2:
      case 3:
        if (client_.state() == FakeMqttClient::State::kConnecting) Accept();
        break;
      case 4:
        client_.SetWantsMore(random() % 2 == 0);
        break;
      case 5:
        Subscribe(absl::StrCat("f", random() % 5),
                  static_cast<Qos>(random() % 3));
        break;
      case 6:
        session().Unsubscribe(absl::StrCat("f", random() % 5));
        break;
      case 7:
      case 8:
      case 9:
        Queue(absl::StrCat(published++), static_cast<Qos>(random() % 3));
        if (random() % 2 == 0) session().Submit();
        break;
      default:
        for (uint32_t i = random() % 8; i > 0 && connected; --i) {
          if (client_.unacknowledged().empty()) break;
          client_.AcknowledgeNext();
        }
    }
    ExpectLedgerBalances(statistics_);
    ASSERT_LE(session().outbox().in_flight(), 8u);
    ASSERT_EQ(statistics_.queued.Total(),
              static_cast<int64_t>(session().outbox().waiting() +
                                   session().outbox().in_flight()));
    if (HasFailure()) return;
  }
  while (session().state() != State::kConnected) {
    if (client_.state() == FakeMqttClient::State::kConnecting) Accept();
    loop_.Advance(seconds(1));
  }
  client_.SetWantsMore(true);
  client_.AcknowledgeAll();
  NotePublications();
  Stop(seconds(3));
  const std::vector<FakeMqttClient::Unsubscription> unsubscriptions =
      client_.unsubscriptions();
  for (const auto& unsubscription : unsubscriptions) {
    if (client_.state() != FakeMqttClient::State::kConnected) break;
    client_.AnswerUnsubscribe(unsubscription.packet_id);
  }
  loop_.RunUntilIdle();

  EXPECT_EQ(delivered_.size(), static_cast<size_t>(published));
  for (const Qos qos : {kQos1, kQos2}) {
    EXPECT_EQ(statistics_.acknowledged.Get(qos), statistics_.accepted.Get(qos));
  }
  EXPECT_EQ(
      statistics_.written.Get(kQos0) + statistics_.possibly_lost.Get(kQos0),
      statistics_.accepted.Get(kQos0));
}

INSTANTIATE_TEST_SUITE_P(Seeds, SessionLifeTest,
                         ::testing::Range(uint32_t{1}, uint32_t{21}));

}  // namespace
}  // namespace kamailio_mqtt
