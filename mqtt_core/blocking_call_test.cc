// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/blocking_call.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/testing/tcp_peers.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

class BlockingCallTest : public ::testing::Test {
 protected:
  BlockingCallTest() {
    deadline_ = loop_.CreateTimer([this] {
      ADD_FAILURE() << "nothing came";
      loop_.Stop();
    });
    deadline_->Start(minutes(1));
  }

  // A failed start fails the test.
  std::shared_ptr<BlockingCall> Start(BlockingCall::Function work,
                                      BlockingCall::Function done) {
    auto call = BlockingCall::Start(&loop_, std::move(work), std::move(done));
    EXPECT_TRUE(call.ok()) << call.status();
    return *std::move(call);
  }

  // Runs the loop until the thread is done.
  void RunUntilOver(const std::shared_ptr<BlockingCall>& call) {
    std::unique_ptr<Timer> timer;
    timer = loop_.CreateTimer([&] {
      if (call->IsOver()) {
        loop_.Stop();
      } else {
        timer->Start(milliseconds(1));
      }
    });
    timer->Start(milliseconds(0));
    loop_.Run();
  }

  EvLoop loop_;
  std::unique_ptr<Timer> deadline_;
};

TEST_F(BlockingCallTest, WorksElsewhereAndIsDoneOnTheLoop) {
  bool worked = false;
  const auto call = Start(
      [&] {
        EXPECT_FALSE(loop_.IsInLoopThread());
        worked = true;
      },
      [&] {
        EXPECT_TRUE(loop_.IsInLoopThread());
        EXPECT_TRUE(worked);
        loop_.Stop();
      });
  loop_.Run();
  EXPECT_TRUE(call->IsOver());
}

TEST_F(BlockingCallTest, DestroysWorkBeforeItIsDone) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> weak = held;
  const auto call = Start([held = std::move(held)] {},
                          [&] {
                            EXPECT_TRUE(weak.expired());
                            loop_.Stop();
                          });
  loop_.Run();
}

TEST_F(BlockingCallTest, TakesNoSignalButItsOwn) {
  sigset_t before;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &before), 0);
  sigset_t mask;
  const auto call = Start([&] { pthread_sigmask(SIG_SETMASK, nullptr, &mask); },
                          [this] { loop_.Stop(); });
  loop_.Run();
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGALRM}) {
    EXPECT_TRUE(sigismember(&mask, signal)) << signal;
  }
  EXPECT_FALSE(sigismember(&mask, SIGURG));
  sigset_t after;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
  EXPECT_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

TEST_F(BlockingCallTest, AbandonInterruptsConnect) {
  const FullListener listener;
  std::promise<void> begun;
  std::atomic<int> error{0};
  const auto call = Start(
      [&] {
        begun.set_value();
        error = listener.ConnectBlocking();
      },
      [] { FAIL() << "done, though abandoned"; });
  begun.get_future().wait();
  EXPECT_FALSE(call->IsOver());
  call->Abandon();
  RunUntilOver(call);
  EXPECT_EQ(error, EINTR);
}

// One interruption is not enough: there may be several addresses to try.
TEST_F(BlockingCallTest, AbandonInterruptsAgain) {
  std::promise<void> begun;
  const auto call = Start(
      [&] {
        begun.set_value();
        for (int i = 0; i < 5; ++i) {
          EXPECT_EQ(pause(), -1);
          EXPECT_EQ(errno, EINTR);
        }
      },
      [] { FAIL() << "done, though abandoned"; });
  begun.get_future().wait();
  call->Abandon();
  RunUntilOver(call);
}

TEST_F(BlockingCallTest, AbandonedCallDoesNotNeedTheLoop) {
  std::promise<void> release;
  auto loop = std::make_unique<EvLoop>();
  auto call = BlockingCall::Start(
      loop.get(), [&] { release.get_future().wait(); },
      [] { FAIL() << "done, though abandoned"; });
  ASSERT_TRUE(call.ok());
  (*call)->Abandon();
  loop.reset();
  EXPECT_FALSE((*call)->IsOver());
  release.set_value();
  RunUntilOver(*call);
}

TEST_F(BlockingCallTest, AbandonedAfterTheThreadEnded) {
  const auto call = Start([] {}, [] { FAIL() << "done, though abandoned"; });
  while (!call->IsOver()) std::this_thread::yield();
  call->Abandon();
  loop_.Post([this] { loop_.Stop(); });
  loop_.Run();
}

TEST_F(BlockingCallTest, AbandonedAtOnceDestroysWork) {
  for (int i = 0; i < 100; ++i) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> weak = held;
    const auto call = Start([held = std::move(held)] {},
                            [] { FAIL() << "done, though abandoned"; });
    call->Abandon();
    while (!call->IsOver()) std::this_thread::yield();
    EXPECT_TRUE(weak.expired());
  }
}

}  // namespace
}  // namespace kamailio_mqtt
