// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/dispatcher.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/request_sender.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/fake_mqtt_client.h"

namespace kamailio_mqtt {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::StartsWith;

constexpr std::chrono::seconds kDeadline(30);

std::string Describe(const ScriptEvent& event) {
  if (std::holds_alternative<ConnectedEvent>(event)) return "connected";
  if (const auto* lost = std::get_if<DisconnectedEvent>(&event)) {
    return "disconnected: " + lost->reason;
  }
  if (const auto* injected = std::get_if<InjectedEvent>(&event)) {
    return "injected: " + injected->message.payload;
  }
  return "message: " + std::get<InboundMessage>(event).payload;
}

// Records the events. A test may have it do something while an event runs.
class FakeScript : public ScriptHost {
 public:
  RunStatus RunEvent(const ScriptEvent& event) override {
    RunStatus status = RunStatus::kDone;
    if (on_event) status = on_event(event);
    std::lock_guard<std::mutex> lock(mutex_);
    events_.push_back(Describe(event));
    changed_.notify_all();
    return status;
  }

  void EndProcess() override { ended.set_value(); }

  bool WaitForEvents(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, kDeadline,
                             [&] { return events_.size() >= count; });
  }

  std::vector<std::string> events() {
    std::lock_guard<std::mutex> lock(mutex_);
    return events_;
  }

  std::function<RunStatus(const ScriptEvent&)> on_event;
  std::promise<void> ended;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

// An event_route[mqtt:connected] that runs until the test ends it. One
// connection only.
class HeldRoute {
 public:
  explicit HeldRoute(FakeScript* script) {
    script->on_event = [this](const ScriptEvent& event) {
      if (std::holds_alternative<ConnectedEvent>(event)) {
        started_.set_value();
        end_.get_future().wait();
      }
      return RunStatus::kDone;
    };
  }
  void WaitUntilItRuns() { started_.get_future().wait(); }
  void End() { end_.set_value(); }

 private:
  std::promise<void> started_;
  std::promise<void> end_;
};

// The dispatcher with its real threads and event loop. The test plays the
// broker, through tasks on the network thread.
class DispatcherTest : public ::testing::Test {
 protected:
  DispatcherTest()
      : state_(SharedState::Create(1 << 20).value()),
        client_(&loop_),
        stop_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        sender_(OutboxOptions(), &state_, &clock_) {
    options_.drain_timeout = kDeadline;
  }

  ~DispatcherTest() override {
    Stop();
    if (script_thread_.joinable()) script_thread_.join();
    close(stop_fd_);
  }

  void StartDispatcher() {
    dispatcher_ = std::make_unique<Dispatcher>(
        options_,
        ReconnectPolicy(std::chrono::seconds(3), std::chrono::seconds(3),
                        [] { return 0.5; }),
        Dispatcher::Environment{&state_, &loop_, &clock_, &client_, &log_,
                                &script_, stop_fd_, on_session_stopped_});
    script_thread_ = std::thread([this] { dispatcher_->Run(); });
  }

  // Runs `task` on the network thread and waits for it.
  void OnNetworkThread(std::function<void()> task) {
    std::promise<void> done;
    loop_.Post([&] {
      task();
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(kDeadline), std::future_status::ready);
  }

  // Whether `condition` comes true on the network thread.
  bool Eventually(std::function<bool()> condition) {
    bool fulfilled = false;
    const TimePoint deadline = clock_.Now() + kDeadline;
    while (!fulfilled && clock_.Now() < deadline) {
      OnNetworkThread([&] { fulfilled = condition(); });
    }
    return fulfilled;
  }

  void Accept() {
    ASSERT_TRUE(Eventually([this] {
      return client_.state() == FakeMqttClient::State::kConnecting;
    }));
    OnNetworkThread([this] { client_.AcceptConnection(); });
  }

  void Stop() {
    const uint64_t one = 1;
    ASSERT_EQ(write(stop_fd_, &one, sizeof(one)),
              static_cast<ssize_t>(sizeof(one)));
  }

  void StopAndJoin() {
    Stop();
    script_thread_.join();
  }

  SteadyClock clock_;
  FakeLog log_;
  SharedState state_;
  EvLoop loop_;
  FakeMqttClient client_;
  FakeScript script_;
  const int stop_fd_;
  std::function<void()> on_session_stopped_;
  Dispatcher::Options options_;
  RequestSender sender_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::thread script_thread_;
};

TEST_F(DispatcherTest, RunsEventsInOrder) {
  StartDispatcher();
  Accept();
  OnNetworkThread([this] {
    client_.Deliver({"topic", "one"});
    client_.Deliver({"topic", "two"});
    client_.EndConnection({DisconnectKind::kLost, "gone"});
  });
  ASSERT_TRUE(script_.WaitForEvents(4));
  EXPECT_THAT(script_.events(),
              ElementsAre("connected", "message: one", "message: two",
                          "disconnected: gone"));
  EXPECT_EQ(state_.statistics().received.Total(), 2);
}

TEST_F(DispatcherTest, RunsAnInjectedMessageWithoutABroker) {
  script_.on_event = [](const ScriptEvent&) { return RunStatus::kFailed; };
  StartDispatcher();
  InboundMessage message;
  message.topic = "topic";
  message.payload = "one";
  std::promise<absl::StatusOr<InjectResult>> result;
  dispatcher_->control()->Inject(
      message, [&](auto answer) { result.set_value(std::move(answer)); });
  std::future<absl::StatusOr<InjectResult>> future = result.get_future();
  ASSERT_EQ(future.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(future.get()->status, RunStatus::kFailed);
  EXPECT_THAT(script_.events(), ElementsAre("injected: one"));
  EXPECT_EQ(state_.statistics().injected.Get(), 1);
  EXPECT_EQ(state_.statistics().received.Total(), 0);
}

TEST_F(DispatcherTest, TellsThatTheSessionHasStoppedWhileARouteRuns) {
  std::promise<void> stopped;
  on_session_stopped_ = [&] { stopped.set_value(); };
  HeldRoute route(&script_);
  StartDispatcher();
  Accept();
  route.WaitUntilItRuns();
  Stop();
  EXPECT_EQ(stopped.get_future().wait_for(kDeadline),
            std::future_status::ready);
  route.End();
  script_thread_.join();
}

TEST_F(DispatcherTest, CountsRoutes) {
  script_.on_event = [](const ScriptEvent& event) {
    if (std::holds_alternative<ConnectedEvent>(event)) {
      return RunStatus::kNoRoute;
    }
    return std::get<InboundMessage>(event).payload == "bad" ? RunStatus::kFailed
                                                            : RunStatus::kDone;
  };
  StartDispatcher();
  Accept();
  OnNetworkThread([this] {
    client_.Deliver({"topic", "good"});
    client_.Deliver({"topic", "bad"});
  });
  ASSERT_TRUE(script_.WaitForEvents(3));
  StopAndJoin();
  EXPECT_EQ(state_.statistics().routes_run.Get(), 1);
  EXPECT_EQ(state_.statistics().routes_failed.Get(), 1);
}

TEST_F(DispatcherTest, PublishesWhileAnEventRouteRuns) {
  HeldRoute route(&script_);
  StartDispatcher();
  Accept();
  route.WaitUntilItRuns();

  ASSERT_EQ(sender_.Publish("topic", "payload", 0, "").result,
            SendResult::kAccepted);
  EXPECT_TRUE(
      Eventually([this] { return client_.publications().size() == 1; }));
  route.End();
  OnNetworkThread([this] { client_.AcknowledgeAll(); });
  StopAndJoin();
}

TEST_F(DispatcherTest, APublishMadeInAnEventRouteLeaves) {
  script_.on_event = [&](const ScriptEvent&) {
    EXPECT_EQ(sender_.Publish("topic", "payload", 1, "").result,
              SendResult::kAccepted);
    return RunStatus::kDone;
  };
  StartDispatcher();
  Accept();
  ASSERT_TRUE(script_.WaitForEvents(1));
  EXPECT_TRUE(
      Eventually([this] { return client_.publications().size() == 1; }));
  OnNetworkThread([this] { client_.AcknowledgeAll(); });
}

TEST_F(DispatcherTest, StopSendsDisconnectAndReturns) {
  StartDispatcher();
  Accept();
  StopAndJoin();
  EXPECT_EQ(client_.disconnect_calls(), 1);
  EXPECT_EQ(sender_.Publish("topic", "payload", 0, "").result,
            SendResult::kNotRunning);
}

TEST_F(DispatcherTest, StopBeforeRunIsNotForgotten) {
  Stop();
  StartDispatcher();
  script_thread_.join();
  EXPECT_EQ(script_.events().size(), 0u);
}

TEST_F(DispatcherTest, StopEndsTheProcessWhereAnEventRouteDoesNot) {
  options_.drain_timeout = std::chrono::milliseconds(1);
  HeldRoute route(&script_);
  StartDispatcher();
  Accept();
  route.WaitUntilItRuns();
  Stop();
  EXPECT_EQ(script_.ended.get_future().wait_for(kDeadline),
            std::future_status::ready);
  route.End();
  script_thread_.join();
}

TEST_F(DispatcherTest, StopCountsWhatWasNotHandled) {
  HeldRoute route(&script_);
  StartDispatcher();
  Accept();
  route.WaitUntilItRuns();
  OnNetworkThread([this] {
    client_.Deliver({"topic", "one", Qos::kAtLeastOnce});
    client_.Deliver({"topic", "two", Qos::kAtMostOnce});
  });
  Stop();
  bool dropped = false;
  const TimePoint deadline = clock_.Now() + kDeadline;
  while (!dropped && clock_.Now() < deadline) {
    dropped = state_.statistics().inbound_dropped.Total() == 2;
    std::this_thread::yield();
  }
  EXPECT_TRUE(dropped);
  route.End();
  script_thread_.join();
}

TEST_F(DispatcherTest, StopSaysWhatWasDroppedBefore) {
  options_.inbound.max_messages = 1;
  HeldRoute route(&script_);
  StartDispatcher();
  Accept();
  route.WaitUntilItRuns();
  OnNetworkThread([this] {
    for (const char* payload : {"one", "two", "three", "four"}) {
      client_.Deliver({"topic", payload, Qos::kAtMostOnce});
    }
  });
  Stop();
  route.End();
  script_thread_.join();
  EXPECT_THAT(log_.lines(LogLevel::kWarning),
              Contains(StartsWith("1 message(s) from the broker dropped")));
  EXPECT_THAT(log_.lines(LogLevel::kWarning),
              Contains(StartsWith("2 message(s) from the broker dropped")));
}

TEST_F(DispatcherTest, TheNetworkThreadBlocksEverySignal) {
  StartDispatcher();
  sigset_t blocked;
  OnNetworkThread([&] { pthread_sigmask(SIG_SETMASK, nullptr, &blocked); });
  for (int signal : {SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGHUP}) {
    EXPECT_TRUE(sigismember(&blocked, signal)) << signal;
  }
}

}  // namespace
}  // namespace kamailio_mqtt
