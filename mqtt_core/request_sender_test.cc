// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request_sender.h"

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Outcome = RequestSender::Outcome;

constexpr auto kAccepted = SendResult::kAccepted;
constexpr auto kInvalid = SendResult::kInvalid;
constexpr auto kQueueFull = SendResult::kQueueFull;
constexpr auto kNotRunning = SendResult::kNotRunning;

// A request that owns what it holds.
struct Received {
  RequestType type;
  Qos qos;
  bool retain;
  std::string topic;
  std::string payload;
};

class RequestSenderTest : public ::testing::Test {
 protected:
  RequestSender MakeSender() {
    return RequestSender(options_, &state_, &clock_);
  }

  // What the senders have put into the ring, which is empty then.
  std::vector<Received> Receive() {
    std::vector<Received> received;
    reader_.Drain(SIZE_MAX, [&](absl::string_view record) {
      const absl::optional<Request> request = DecodeRequest(record);
      ASSERT_TRUE(request.has_value());
      received.push_back({request->type, request->qos, request->retain,
                          std::string(request->topic),
                          std::string(request->payload)});
    });
    return received;
  }

  const Statistics& statistics() { return state_.statistics(); }
  // Plays the outbox that holds `messages` of `bytes` together.
  void SetQueued(int64_t messages, int64_t bytes) {
    state_.statistics().queued.Add(Qos::kAtLeastOnce,
                                   messages - statistics().queued.Total());
    state_.statistics().queued_bytes.Set(bytes);
  }
  void Close() { state_.variables().intake.store(IntakeState::kClosed); }

  FakeClock clock_;
  OutboxOptions options_;
  SharedState state_ = SharedState::Create(1 << 20).value();
  RequestRingReader reader_{&state_.ring()};
};

void ExpectAccepted(const Outcome& outcome) {
  EXPECT_EQ(outcome.result, kAccepted);
  EXPECT_EQ(outcome.problem, "");
}

TEST_F(RequestSenderTest, PublishCarriesEverything) {
  RequestSender sender = MakeSender();
  const std::string binary("\0\xff\n", 3);
  for (const int qos : {0, 1, 2}) {
    for (const bool retain : {false, true}) {
      ExpectAccepted(
          sender.Publish("a/b", binary, qos, retain ? "retain" : ""));
      const std::vector<Received> received = Receive();
      ASSERT_THAT(received, SizeIs(1));
      EXPECT_EQ(received[0].type, RequestType::kPublish);
      EXPECT_EQ(received[0].qos, static_cast<Qos>(qos));
      EXPECT_EQ(received[0].retain, retain);
      EXPECT_EQ(received[0].topic, "a/b");
      EXPECT_EQ(received[0].payload, binary);
    }
  }
}

TEST_F(RequestSenderTest, TakesAnEmptyPayloadAndALargeOne) {
  RequestSender sender = MakeSender();
  ExpectAccepted(sender.Publish("t", "", 0, ""));
  const std::string large(400000, 'x');
  ExpectAccepted(sender.Publish("t", large, 0, ""));
  const std::vector<Received> received = Receive();
  ASSERT_THAT(received, SizeIs(2));
  EXPECT_EQ(received[0].payload, "");
  EXPECT_EQ(received[1].payload, large);
}

TEST_F(RequestSenderTest, TakesTheLongestTopic) {
  RequestSender sender = MakeSender();
  const std::string longest(65535, 't');
  ExpectAccepted(sender.Publish(longest, "", 0, ""));
  EXPECT_EQ(sender.Publish(longest + "t", "", 0, "").result, kInvalid);
  const std::vector<Received> received = Receive();
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].topic, longest);
}

TEST_F(RequestSenderTest, SubscribeAndUnsubscribeCarryTheirFilter) {
  RequestSender sender = MakeSender();
  ExpectAccepted(sender.Subscribe("a/+/#", 2));
  ExpectAccepted(sender.Unsubscribe("$share/group/b"));
  const std::vector<Received> received = Receive();
  ASSERT_THAT(received, SizeIs(2));
  EXPECT_EQ(received[0].type, RequestType::kSubscribe);
  EXPECT_EQ(received[0].topic, "a/+/#");
  EXPECT_EQ(received[0].qos, Qos::kExactlyOnce);
  EXPECT_EQ(received[0].payload, "");
  EXPECT_EQ(received[1].type, RequestType::kUnsubscribe);
  EXPECT_EQ(received[1].topic, "$share/group/b");
}

TEST_F(RequestSenderTest, KeepsTheOrderOfCalls) {
  RequestSender sender = MakeSender();
  for (int i = 0; i < 100; ++i) {
    ExpectAccepted(sender.Publish(absl::StrCat(i), "", i % 3, ""));
  }
  const std::vector<Received> received = Receive();
  ASSERT_THAT(received, SizeIs(100));
  for (size_t i = 0; i < 100; ++i)
    EXPECT_EQ(received[i].topic, absl::StrCat(i));
}

TEST_F(RequestSenderTest, RefusesInvalidTopicNames) {
  RequestSender sender = MakeSender();
  int64_t refused = 0;
  for (const std::string& topic :
       {std::string(), std::string("a/+"), std::string("a/#"),
        std::string("a\0b", 3), std::string("\xff"), std::string(65536, 'x')}) {
    const Outcome outcome = sender.Publish(topic, "payload", 0, "");
    EXPECT_EQ(outcome.result, kInvalid) << topic.size();
    EXPECT_THAT(outcome.problem, StartsWith("topic \""));
    EXPECT_EQ(statistics().refused_invalid.Get(), ++refused);
  }
  EXPECT_THAT(Receive(), IsEmpty());
}

TEST_F(RequestSenderTest, RefusesInvalidTopicFilters) {
  RequestSender sender = MakeSender();
  int64_t refused = 0;
  for (const std::string& filter :
       {std::string(), std::string("a#"), std::string("a/#/b"),
        std::string("+a"), std::string("$share/g"), std::string("a\0b", 3)}) {
    for (const Outcome& outcome :
         {sender.Subscribe(filter, 0), sender.Unsubscribe(filter)}) {
      EXPECT_EQ(outcome.result, kInvalid) << filter;
      EXPECT_THAT(outcome.problem, StartsWith("topic \""));
      ++refused;
    }
  }
  EXPECT_EQ(statistics().refused_invalid.Get(), refused);
  EXPECT_THAT(Receive(), IsEmpty());
}

TEST_F(RequestSenderTest, RefusesInvalidQos) {
  RequestSender sender = MakeSender();
  for (const int qos : {-1, 3, 256, INT32_MIN, INT32_MAX}) {
    for (const Outcome& outcome :
         {sender.Publish("t", "", qos, ""), sender.Subscribe("t", qos)}) {
      EXPECT_EQ(outcome.result, kInvalid);
      EXPECT_EQ(outcome.problem,
                absl::StrCat("qos \"", qos, "\": must be 0, 1 or 2"));
    }
  }
  EXPECT_EQ(statistics().refused_invalid.Get(), 10);
  EXPECT_THAT(Receive(), IsEmpty());
}

TEST_F(RequestSenderTest, RefusesInvalidOptions) {
  RequestSender sender = MakeSender();
  Outcome outcome = sender.Publish("t", "", 0, "retian");
  EXPECT_EQ(outcome.result, kInvalid);
  EXPECT_THAT(outcome.problem, HasSubstr("retian"));
  outcome = sender.Publish("t", "", 0, "retain=2");
  EXPECT_EQ(outcome.result, kInvalid);
  EXPECT_THAT(outcome.problem, HasSubstr("retain"));
  EXPECT_EQ(statistics().refused_invalid.Get(), 2);
}

TEST_F(RequestSenderTest, ProblemsAreEscapedCutAndWithoutThePayload) {
  RequestSender sender = MakeSender();
  Outcome outcome = sender.Publish("a\n\xff#", "secret", 0, "");
  EXPECT_THAT(outcome.problem,
              AllOf(HasSubstr("a\\n\\xff#"), Not(HasSubstr("secret"))));
  outcome = sender.Publish(std::string(100000, '#'), "secret", 0, "");
  EXPECT_THAT(outcome.problem, HasSubstr("..."));
  EXPECT_LT(outcome.problem.size(), 300u);
}

TEST_F(RequestSenderTest, NotRunningOnceClosed) {
  RequestSender sender = MakeSender();
  ExpectAccepted(sender.Publish("t", "", 0, ""));
  Close();
  EXPECT_EQ(sender.Publish("t", "", 0, "").result, kNotRunning);
  EXPECT_EQ(sender.Subscribe("t", 0).result, kNotRunning);
  EXPECT_EQ(sender.Unsubscribe("t").result, kNotRunning);
  EXPECT_EQ(statistics().refused_not_running.Get(), 3);
  EXPECT_THAT(Receive(), SizeIs(1));
}

TEST_F(RequestSenderTest, ArgumentsAreCheckedBeforeAllElse) {
  RequestSender sender = MakeSender();
  Close();
  EXPECT_EQ(sender.Publish("#", "", 0, "").result, kInvalid);
  EXPECT_EQ(statistics().refused_not_running.Get(), 0);
}

TEST_F(RequestSenderTest, NotRunningIsLoggedOnceASecond) {
  RequestSender sender = MakeSender();
  Close();
  EXPECT_EQ(sender.Publish("t", "", 0, "").problem,
            "the dispatcher is not running");
  EXPECT_EQ(sender.Publish("t", "", 0, "").problem, "");
  clock_.Advance(seconds(1));
  EXPECT_EQ(sender.Publish("t", "", 0, "").problem,
            "the dispatcher is not running (1 more before it)");
  EXPECT_EQ(statistics().refused_not_running.Get(), 3);
}

TEST_F(RequestSenderTest, WrongCallsAreLoggedInABurstAndThenOnceASecond) {
  constexpr int kSeconds = 10;
  constexpr int kCallsASecond = 10'000;
  RequestSender one = MakeSender();
  RequestSender other = MakeSender();
  int lines = 0;
  for (int i = 0; i < kSeconds * kCallsASecond; ++i) {
    RequestSender& sender = i % 2 == 0 ? one : other;
    const RequestSender::Outcome outcome =
        i % 3 == 0 ? sender.Refuse("qos", "x", "must be 0, 1 or 2")
                   : sender.Publish("#", "", 0, "");
    EXPECT_EQ(outcome.result, kInvalid);
    if (!outcome.problem.empty()) ++lines;
    clock_.Advance(Duration(seconds(1)) / kCallsASecond);
  }
  EXPECT_EQ(lines, RequestSender::kInvalidBurst + kSeconds - 1);
  EXPECT_EQ(statistics().refused_invalid.Get(), kSeconds * kCallsASecond);
  EXPECT_THAT(one.Publish("#", "", 0, "").problem,
              HasSubstr(" (9999 more before it)"));
}

TEST_F(RequestSenderTest, WhatTheCallerRefusesIsCountedAndDescribed) {
  RequestSender sender = MakeSender();
  EXPECT_EQ(sender.Refuse("qos", "a\n", "must be 0, 1 or 2").problem,
            "qos \"a\\n\": must be 0, 1 or 2");
  EXPECT_EQ(sender.Refuse("topic", absl::nullopt, "too long").problem,
            "topic: too long");
  EXPECT_EQ(statistics().refused_invalid.Get(), 2);
}

TEST_F(RequestSenderTest, CountsWhatWaitsInTheRing) {
  options_.max_messages = 3;
  RequestSender sender = MakeSender();
  for (int i = 0; i < 3; ++i) ExpectAccepted(sender.Publish("t", "", 0, ""));
  EXPECT_EQ(sender.Publish("t", "", 0, "").result, kQueueFull);
  EXPECT_EQ(statistics().refused_queue_full.Get(), 1);
  EXPECT_THAT(Receive(), SizeIs(3));
  ExpectAccepted(sender.Publish("t", "", 0, ""));
}

TEST_F(RequestSenderTest, CountsWhatIsQueued) {
  options_.max_messages = 100;
  RequestSender sender = MakeSender();
  SetQueued(99, 0);
  ExpectAccepted(sender.Publish("t", "", 0, ""));
  Receive();
  SetQueued(100, 0);
  EXPECT_EQ(sender.Publish("t", "", 0, "").result, kQueueFull);
}

TEST_F(RequestSenderTest, CountsBothTogether) {
  options_.max_messages = 100;
  RequestSender sender = MakeSender();
  SetQueued(98, 0);
  ExpectAccepted(sender.Publish("t", "", 0, ""));
  ExpectAccepted(sender.Publish("t", "", 0, ""));
  EXPECT_EQ(sender.Publish("t", "", 0, "").result, kQueueFull);
}

TEST_F(RequestSenderTest, CountsBytesOfTopicAndPayload) {
  options_.max_bytes = 1000;
  RequestSender sender = MakeSender();
  SetQueued(1, 990);
  EXPECT_EQ(sender.Publish("topic", "123456", 0, "").result, kQueueFull);
  ExpectAccepted(sender.Publish("topic", "12345", 0, ""));
}

TEST_F(RequestSenderTest, CountsBytesInTheRing) {
  options_.max_bytes = 1000;
  RequestSender sender = MakeSender();
  ExpectAccepted(sender.Publish("t", std::string(500, 'x'), 0, ""));
  EXPECT_EQ(sender.Publish("t", std::string(500, 'x'), 0, "").result,
            kQueueFull);
  Receive();
  ExpectAccepted(sender.Publish("t", std::string(500, 'x'), 0, ""));
}

TEST_F(RequestSenderTest, TheLargestMessageFitsIntoAnEmptyQueue) {
  options_.max_bytes = 1000;
  RequestSender sender = MakeSender();
  ExpectAccepted(sender.Publish("t", std::string(999, 'x'), 0, ""));
}

TEST_F(RequestSenderTest, RefusesAMessageAboveTheLimitAsInvalid) {
  options_.max_bytes = 1000;
  for (const QueuePolicy policy :
       {QueuePolicy::kReject, QueuePolicy::kDropOldest}) {
    options_.policy = policy;
    const Outcome outcome =
        MakeSender().Publish("t", std::string(1000, 'x'), 0, "");
    EXPECT_EQ(outcome.result, kInvalid);
    EXPECT_THAT(outcome.problem, AllOf(HasSubstr("1001 bytes"),
                                       HasSubstr("queue_max_bytes, 1000")));
  }
  EXPECT_EQ(statistics().refused_invalid.Get(), 2);
}

TEST_F(RequestSenderTest, RefusesAMessageAboveTheRingAsInvalid) {
  RequestSender sender = MakeSender();
  const size_t largest = state_.ring().MaxRecordSize() - sizeof(RequestHeader);
  ExpectAccepted(sender.Publish("t", std::string(largest - 1, 'x'), 0, ""));
  Receive();
  const Outcome outcome = sender.Publish("t", std::string(largest, 'x'), 0, "");
  EXPECT_EQ(outcome.result, kInvalid);
  EXPECT_THAT(outcome.problem,
              AllOf(HasSubstr(absl::StrCat(largest + 1, " bytes")),
                    HasSubstr(absl::StrCat("larger than ", largest))));
  EXPECT_EQ(statistics().refused_invalid.Get(), 1);
}

TEST_F(RequestSenderTest, WhatIsTakenOverCountsOnce) {
  constexpr int kMessages = 10;
  options_.max_messages = kMessages;
  RequestSender sender = MakeSender();
  const auto publish = [&] { return sender.Publish("t", "", 0, "").result; };
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(publish(), kAccepted);
  int taken = 0;
  reader_.Drain(kMessages, [&](absl::string_view) {
    EXPECT_EQ(publish(), kQueueFull);
    SetQueued(++taken, 0);
    EXPECT_EQ(publish(), kQueueFull);
  });
  EXPECT_EQ(taken, kMessages);
  EXPECT_EQ(publish(), kQueueFull);
}

TEST_F(RequestSenderTest, RoomIsSeenWhileTheDispatcherTakesABatch) {
  constexpr int kMessages = 10;
  options_.max_messages = kMessages;
  options_.max_bytes = kMessages * 64;
  RequestSender sender = MakeSender();
  const auto publish = [&] {
    return sender.Publish("t", std::string(40, 'x'), 0, "").result;
  };
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(publish(), kAccepted);
  // Each is confirmed at once.
  bool is_first = true;
  reader_.Drain(kMessages, [&](absl::string_view) {
    if (!is_first) {
      EXPECT_EQ(publish(), kAccepted);
    }
    EXPECT_EQ(publish(), kQueueFull);
    is_first = false;
  });
}

TEST_F(RequestSenderTest, SubscriptionsPassAFullQueue) {
  options_.max_messages = 1;
  options_.max_bytes = 3;
  RequestSender sender = MakeSender();
  SetQueued(10, 1000);
  ExpectAccepted(sender.Subscribe("a/longer/filter", 0));
  ExpectAccepted(sender.Unsubscribe("a/longer/filter"));
}

TEST_F(RequestSenderTest, UnderDropOldestTheQueueNeverRefuses) {
  options_.policy = QueuePolicy::kDropOldest;
  options_.max_messages = 2;
  options_.max_bytes = 10;
  RequestSender sender = MakeSender();
  SetQueued(2, 10);
  for (int i = 0; i < 10; ++i) ExpectAccepted(sender.Publish("t", "", 0, ""));
  EXPECT_EQ(statistics().refused_queue_full.Get(), 0);
}

TEST_F(RequestSenderTest, AFullRingRefusesUnderEitherPolicy) {
  for (const QueuePolicy policy :
       {QueuePolicy::kReject, QueuePolicy::kDropOldest}) {
    options_.policy = policy;
    RequestSender sender = MakeSender();
    clock_.Advance(seconds(1));
    const int64_t refused_before = statistics().refused_queue_full.Get();
    Outcome outcome;
    int accepted = -1;
    do {
      outcome = sender.Publish("t", std::string(60000, 'x'), 0, "");
      ++accepted;
    } while (outcome.result == kAccepted && accepted < 1000);
    EXPECT_EQ(outcome.result, kQueueFull);
    EXPECT_THAT(outcome.problem, HasSubstr("dispatcher is full"));
    EXPECT_EQ(statistics().refused_queue_full.Get(), refused_before + 1);
    EXPECT_THAT(Receive(), SizeIs(accepted));
  }
}

TEST_F(RequestSenderTest, AFullRingRefusesSubscriptionsToo) {
  options_.policy = QueuePolicy::kDropOldest;
  RequestSender sender = MakeSender();
  while (sender.Subscribe("filter", 0).result == kAccepted) {
  }
  EXPECT_EQ(sender.Unsubscribe("filter").result, kQueueFull);
}

TEST_F(RequestSenderTest, AFullQueueIsToldWithItsNumbers) {
  options_.max_messages = 7;
  options_.max_bytes = 5000;
  RequestSender sender = MakeSender();
  SetQueued(7, 4321);
  EXPECT_EQ(sender.Publish("t", "secret", 0, "").problem,
            "the queue is full: 7 messages of 4321 bytes wait "
            "(queue_max_messages 7, queue_max_bytes 5000)");
}

TEST_F(RequestSenderTest, AFullQueueIsToldOnceASecondOverAllSenders) {
  options_.max_messages = 1;
  RequestSender one = MakeSender();
  RequestSender other = MakeSender();
  SetQueued(1, 0);
  EXPECT_NE(one.Publish("t", "", 0, "").problem, "");
  EXPECT_EQ(one.Publish("t", "", 0, "").problem, "");
  EXPECT_EQ(other.Publish("t", "", 0, "").problem, "");
  clock_.Advance(seconds(1) - milliseconds(1));
  EXPECT_EQ(other.Publish("t", "", 0, "").problem, "");
  clock_.Advance(milliseconds(1));
  EXPECT_NE(other.Publish("t", "", 0, "").problem, "");
  EXPECT_EQ(one.Publish("t", "", 0, "").problem, "");
  EXPECT_EQ(statistics().refused_queue_full.Get(), 6);

  int lines = 0;
  for (int i = 0; i < 5000; ++i) {
    clock_.Advance(milliseconds(1));
    if (!one.Publish("t", "", 0, "").problem.empty()) ++lines;
    if (!other.Publish("t", "", 0, "").problem.empty()) ++lines;
  }
  EXPECT_EQ(lines, 5);
}

TEST_F(RequestSenderTest, WakesTheDispatcherIfItSleeps) {
  RequestSender sender = MakeSender();
  pollfd wakeup = {state_.wakeup().fd(), POLLIN, 0};
  sender.Publish("t", "", 0, "");
  EXPECT_EQ(poll(&wakeup, 1, 0), 0) << "it is awake";
  state_.wakeup().PrepareToSleep();
  sender.Publish("t", "", 0, "");
  EXPECT_EQ(poll(&wakeup, 1, 0), 1);
  state_.wakeup().FinishSleep();
  EXPECT_EQ(poll(&wakeup, 1, 0), 0);
}

TEST_F(RequestSenderTest, ARefusalWakesNobody) {
  options_.max_messages = 1;
  RequestSender sender = MakeSender();
  SetQueued(1, 0);
  state_.wakeup().PrepareToSleep();
  sender.Publish("t", "", 0, "");
  sender.Publish("#", "", 0, "");
  pollfd wakeup = {state_.wakeup().fd(), POLLIN, 0};
  EXPECT_EQ(poll(&wakeup, 1, 0), 0);
}

TEST_F(RequestSenderTest, ThreadsMayShareASender) {
  constexpr int kThreads = 4;
  constexpr int kMessages = 500;
  RequestSender sender = MakeSender();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kMessages; ++j) {
        EXPECT_EQ(sender.Publish("t", "", 0, "").result, kAccepted);
        EXPECT_EQ(sender.Publish("#", "", 0, "").result, kInvalid);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Receive(), SizeIs(kThreads * kMessages));
  EXPECT_EQ(statistics().refused_invalid.Get(), kThreads * kMessages);
}

// The message that is being taken over at the moment may count twice.
TEST_F(RequestSenderTest, TheLimitIsMetWhileTheDispatcherTakesOver) {
  constexpr int64_t kMessages = 1000;
  options_.max_messages = kMessages;
  RequestSender sender = MakeSender();
  for (int round = 0; round < 100; ++round) {
    SetQueued(0, 0);
    std::atomic<bool> is_full{false};
    std::thread dispatcher([&] {
      const auto queue = [&](absl::string_view) {
        state_.statistics().queued.Add(Qos::kAtMostOnce);
      };
      do {
        reader_.Drain(256, queue);
      } while (!is_full);
      reader_.Drain(SIZE_MAX, queue);
    });
    int64_t accepted = 0;
    while (sender.Publish("t", "", 0, "").result == kAccepted) ++accepted;
    is_full = true;
    dispatcher.join();
    EXPECT_GE(accepted, kMessages - 1);
    EXPECT_LE(accepted, kMessages);
  }
}

class RequestSenderProcessTest : public RequestSenderTest {
 protected:
  // Runs `work` in four processes at once, each with its number.
  void Fork(const std::function<void(int)>& work) {
    for (int i = 0; i < kProcesses; ++i) {
      processes_.emplace_back([&, i] { work(i); });
    }
  }
  // Waits for their end.
  void Join() {
    for (ForkedProcess& process : processes_) EXPECT_EQ(process.Reap(), 0);
  }

  static constexpr int kProcesses = 4;

 private:
  std::vector<ForkedProcess> processes_;
};

TEST_F(RequestSenderProcessTest, ManyProcessesSendToOneReader) {
  constexpr size_t kMessages = 2000;
  Fork([&](int process) {
    RequestSender sender = MakeSender();
    for (size_t i = 0; i < kMessages;) {
      if (sender.Publish(absl::StrCat(process), absl::StrCat(i), 1, "")
              .result == kAccepted) {
        ++i;
      }
    }
  });
  std::map<std::string, std::vector<std::string>> payloads;
  for (size_t count = 0; count < kProcesses * kMessages;) {
    const std::vector<Received> received = Receive();
    count += received.size();
    for (const Received& message : received) {
      payloads[message.topic].push_back(message.payload);
    }
  }
  Join();
  EXPECT_THAT(Receive(), IsEmpty());
  std::vector<std::string> expected;
  for (size_t i = 0; i < kMessages; ++i) expected.push_back(absl::StrCat(i));
  ASSERT_THAT(payloads, SizeIs(kProcesses));
  for (const auto& [process, sent] : payloads) EXPECT_EQ(sent, expected);
}

TEST_F(RequestSenderProcessTest, TheLimitIsExceededByAMessageEachAtMost) {
  constexpr int kCalls = 500;
  options_.max_messages = 100;
  Fork([&](int) {
    RequestSender sender = MakeSender();
    for (int i = 0; i < kCalls; ++i) sender.Publish("t", "", 0, "");
  });
  Join();
  const auto accepted = static_cast<int64_t>(Receive().size());
  EXPECT_GE(accepted, 100);
  EXPECT_LT(accepted, 100 + kProcesses);
  EXPECT_EQ(accepted + statistics().refused_queue_full.Get(),
            kProcesses * kCalls);
}

TEST_F(RequestSenderProcessTest, AFullQueueIsToldOnceOverAllProcesses) {
  options_.max_messages = 1;
  SetQueued(1, 0);
  Fork([&](int) {
    RequestSender sender = MakeSender();
    for (int i = 0; i < 100; ++i) {
      if (!sender.Publish("t", "", 0, "").problem.empty()) {
        state_.statistics().connects.Add();  // counts the lines
      }
    }
  });
  Join();
  EXPECT_EQ(statistics().refused_queue_full.Get(), kProcesses * 100);
  EXPECT_EQ(statistics().connects.Get(), 1);
}

}  // namespace
}  // namespace kamailio_mqtt
