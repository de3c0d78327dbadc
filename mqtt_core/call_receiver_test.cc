// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/call_receiver.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/call_channel.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/file_descriptor.h"
#include "mqtt_core/testing/forked_process.h"
#include "mqtt_core/testing/open_descriptors.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Duration kLong = minutes(1);

// The loop runs on the test's thread, callers have threads of their own.
class CallReceiverTest : public ::testing::Test, public CallReceiver::Handler {
 protected:
  void StartReceiver() {
    receiver_ =
        std::make_unique<CallReceiver>(channel_.receiving_fd(), &loop_, this);
  }

  // CallReceiver::Handler
  void OnCall(CallReceiver::CallId call, const std::string& request) override {
    requests_.push_back(request);
    if (answer_) answer_(call, request);
  }
  void OnCallerGone(CallReceiver::CallId call) override {
    gone_.push_back(call);
    loop_.Stop();
  }

  void AnswerWithAnEcho() {
    answer_ = [this](CallReceiver::CallId call, const std::string& request) {
      receiver_->Reply(call, absl::StrCat(request, "!"));
    };
  }

  // Runs the loop while `callers` run.
  void RunWith(const std::vector<std::function<void()>>& callers) {
    std::vector<std::thread> threads;
    for (const auto& caller : callers) {
      threads.emplace_back([this, caller] {
        caller();
        loop_.Post([this] { ++finished_; });
      });
    }
    loop_.Post([this, count = callers.size()] { StopWhenFinished(count); });
    loop_.Run();
    for (std::thread& thread : threads) thread.join();
  }

  absl::StatusOr<std::string> Call(const std::string& request,
                                   Duration limit = kLong) {
    absl::StatusOr<std::string> reply;
    RunWith({[&] { reply = channel_.Call(request, limit); }});
    return reply;
  }

  EvLoop loop_;
  CallChannel channel_ = CallChannel::Create().value();
  std::unique_ptr<CallReceiver> receiver_;
  std::function<void(CallReceiver::CallId, const std::string&)> answer_;
  std::vector<std::string> requests_;
  std::vector<CallReceiver::CallId> gone_;

 private:
  void StopWhenFinished(size_t count) {
    if (finished_ < count) {
      loop_.Post([this, count] { StopWhenFinished(count); });
      return;
    }
    finished_ = 0;
    loop_.Stop();
  }

  size_t finished_ = 0;
};

TEST_F(CallReceiverTest, AnswersAtOnce) {
  StartReceiver();
  AnswerWithAnEcho();
  EXPECT_EQ(Call("hello").value(), "hello!");
  EXPECT_EQ(receiver_->open_calls(), 0u);
}

TEST_F(CallReceiverTest, AnswersLater) {
  StartReceiver();
  std::unique_ptr<Timer> timer;
  answer_ = [&](CallReceiver::CallId call, const std::string&) {
    EXPECT_EQ(receiver_->open_calls(), 1u);
    timer = loop_.CreateTimer([this, call] { receiver_->Reply(call, "late"); });
    timer->Start(milliseconds(1));
  };
  EXPECT_EQ(Call("hello").value(), "late");
}

TEST_F(CallReceiverTest, CallsThatWereMadeBeforeItStarted) {
  absl::StatusOr<std::string> reply;
  std::thread caller([&] {
    reply = channel_.Call("hello", kLong);
    loop_.Stop();
  });
  AnswerWithAnEcho();
  StartReceiver();
  loop_.Run();
  caller.join();
  EXPECT_EQ(reply.value(), "hello!");
}

TEST_F(CallReceiverTest, EachCallerGetsItsOwnAnswer) {
  StartReceiver();
  AnswerWithAnEcho();
  constexpr int kCallers = 20;
  constexpr int kCallsEach = 50;
  int right[kCallers] = {};
  std::vector<std::function<void()>> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.push_back([&, caller] {
      for (int i = 0; i < kCallsEach; ++i) {
        const std::string request = absl::StrCat(caller, " ", i);
        right[caller] += channel_.Call(request, kLong).value() == request + "!";
      }
    });
  }
  RunWith(callers);
  for (int count : right) EXPECT_EQ(count, kCallsEach);
  EXPECT_EQ(receiver_->open_calls(), 0u);
}

TEST_F(CallReceiverTest, CallersInOtherProcesses) {
  std::vector<ForkedProcess> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([this, i] {
      channel_.CloseReceivingEnd();
      const std::string request = absl::StrCat("process ", i);
      const bool right = channel_.Call(request, kLong).value() == request + "!";
      _exit(right ? 0 : 1);
    });
  }
  StartReceiver();
  AnswerWithAnEcho();
  std::thread waiting([&] {
    for (ForkedProcess& caller : callers) EXPECT_EQ(caller.Reap(), 0);
    loop_.Stop();
  });
  loop_.Run();
  waiting.join();
}

TEST_F(CallReceiverTest, LargestRequestAndReply) {
  StartReceiver();
  answer_ = [this](CallReceiver::CallId call, const std::string& request) {
    receiver_->Reply(call, request);
  };
  const std::string largest(kMaxCallBytes, 'x');
  EXPECT_EQ(Call(largest).value(), largest);
}

TEST_F(CallReceiverTest, ReplyThatIsTooLarge) {
  StartReceiver();
  answer_ = [this](CallReceiver::CallId call, const std::string& request) {
    receiver_->Reply(call, request + "x");
  };
  EXPECT_TRUE(absl::IsInternal(Call(std::string(kMaxCallBytes, 'x')).status()));
}

TEST_F(CallReceiverTest, CallerGivesUp) {
  StartReceiver();
  std::vector<CallReceiver::CallId> called;
  answer_ = [&](CallReceiver::CallId call, const std::string&) {
    called.push_back(call);
  };
  std::atomic<bool> seen{false};
  std::thread caller([&] {
    // Again, where it gives up before its call is read.
    while (!seen) {
      EXPECT_TRUE(absl::IsDeadlineExceeded(
          channel_.Call("hello", milliseconds(1)).status()));
    }
  });
  loop_.Run();
  seen = true;
  caller.join();
  ASSERT_FALSE(gone_.empty());
  EXPECT_THAT(called, Contains(gone_.front()));
  EXPECT_EQ(receiver_->open_calls(), called.size() - gone_.size());
  receiver_->Reply(gone_.front(), "too late");
}

TEST_F(CallReceiverTest, CallerIsKilled) {
  StartReceiver();
  ForkedProcess caller([this] { (void)channel_.Call("hello", kLong); });
  answer_ = [&](CallReceiver::CallId, const std::string&) { caller.Kill(); };
  loop_.Run();
  EXPECT_EQ(gone_.size(), 1u);
}

// What nobody waits for is not done.
TEST_F(CallReceiverTest, CallerGaveUpBeforeItsCallWasRead) {
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      channel_.Call("given up", Duration(0)).status()));
  StartReceiver();
  AnswerWithAnEcho();
  EXPECT_EQ(Call("hello").value(), "hello!");
  EXPECT_THAT(requests_, ElementsAre("hello"));
}

TEST_F(CallReceiverTest, CallersSeeTheEnd) {
  StartReceiver();
  // One call waits for its answer, one has yet to be read.
  absl::StatusOr<std::string> received;
  absl::StatusOr<std::string> not_received;
  std::thread first([&] { received = channel_.Call("received", kLong); });
  answer_ = [this](CallReceiver::CallId, const std::string&) { loop_.Stop(); };
  loop_.Run();
  std::thread second(
      [&] { not_received = channel_.Call("not received", kLong); });
  receiver_.reset();
  first.join();
  second.join();
  EXPECT_TRUE(absl::IsUnavailable(received.status()));
  EXPECT_TRUE(absl::IsUnavailable(not_received.status()));
  EXPECT_TRUE(absl::IsUnavailable(channel_.Call("later", kLong).status()));
  EXPECT_THAT(gone_, IsEmpty());
}

TEST_F(CallReceiverTest, LeavesNoDescriptors) {
  const int open_before = CountOpenDescriptors();
  StartReceiver();
  AnswerWithAnEcho();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Call("hello").ok());
  EXPECT_EQ(CountOpenDescriptors(), open_before);
  answer_ = nullptr;
  EXPECT_FALSE(Call("hello", milliseconds(1)).ok());
  EXPECT_FALSE(channel_.Call("hello", Duration(0)).ok());
  receiver_.reset();
  EXPECT_EQ(CountOpenDescriptors(), open_before);
}

// Packets such as CallChannel never sends.
class GarbageTest : public CallReceiverTest {
 protected:
  GarbageTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    sending_end_ = FileDescriptor(fds[0]);
    receiving_end_ = FileDescriptor(fds[1]);
    receiver_ =
        std::make_unique<CallReceiver>(receiving_end_.get(), &loop_, this);
  }
  ~GarbageTest() override { receiver_.reset(); }

  // Sends `request` and copies of `passed`.
  void Send(std::string request, std::vector<int> passed) {
    iovec part = {&request[0], request.size()};
    std::vector<char> control(CMSG_SPACE(passed.size() * sizeof(int)));
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!passed.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(passed.size() * sizeof(int));
      std::memcpy(CMSG_DATA(header), passed.data(),
                  passed.size() * sizeof(int));
    }
    EXPECT_EQ(sendmsg(sending_end_.get(), &message, 0),
              static_cast<ssize_t>(request.size()));
  }

  // Sends a good call, and runs the loop until it has been handled.
  void FinishWithACall() {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    FileDescriptor own(fds[0]);
    FileDescriptor reply_end(fds[1]);
    Send("good", {reply_end.get()});
    reply_end.Close();
    answer_ = [this](CallReceiver::CallId call, const std::string&) {
      receiver_->Reply(call, "yes");
      loop_.Stop();
    };
    loop_.Run();
    char reply[8];
    EXPECT_EQ(recv(own.get(), reply, sizeof(reply), 0), 3);
  }

  FileDescriptor sending_end_;
  FileDescriptor receiving_end_;
};

TEST_F(GarbageTest, IsDropped) {
  const int open_before = CountOpenDescriptors();
  const int fd = sending_end_.get();
  Send("nowhere to answer", {});
  Send("", {});
  Send("", {fd});
  Send(std::string(kMaxCallBytes + 1, 'x'), {fd});
  FinishWithACall();
  EXPECT_THAT(requests_, ElementsAre("good"));
  EXPECT_EQ(CountOpenDescriptors(), open_before);
}

TEST_F(GarbageTest, MoreDescriptorsThanOne) {
  const int open_before = CountOpenDescriptors();
  const int fd = sending_end_.get();
  Send("answer me", {fd, fd, fd});
  FinishWithACall();
  EXPECT_THAT(requests_.back(), "good");
  receiver_.reset();
  EXPECT_EQ(CountOpenDescriptors(), open_before);
}

}  // namespace
}  // namespace kamailio_mqtt
