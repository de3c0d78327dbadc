// SPDX-License-Identifier: GPL-3.0-or-later

// Sessions that outlive a connection, with a broker by script. This program has
// its own getaddrinfo(3) and connect(2), which can be made to hang.

#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/mosquitto_client.h"
#include "mqtt_core/testing/client_test.h"
#include "mqtt_core/testing/tcp_peers.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Packets (MQTT 3.1.1 section 3) of our client, with packet identifier 1.
constexpr char kConnectType = '\x10';
constexpr absl::string_view kPublishQos1("\x32\x06\x00\x01t\x00\x01x", 8);
constexpr absl::string_view kPublishQos2("\x34\x06\x00\x01t\x00\x01x", 8);
constexpr absl::string_view kPubrel("\x62\x02\x00\x01", 4);
constexpr absl::string_view kDisconnect("\xe0\x00", 2);
// The duplicate flag of PUBLISH.
constexpr char kDuplicate = '\x08';
// And of the broker.
constexpr absl::string_view kPuback("\x40\x02\x00\x01", 4);
constexpr absl::string_view kPubrec("\x50\x02\x00\x01", 4);
constexpr absl::string_view kPubcomp("\x70\x02\x00\x01", 4);
constexpr absl::string_view kConnack("\x20\x02\x00\x00", 4);
constexpr absl::string_view kInboundQos1("\x32\x06\x00\x01t\x00\x07x", 8);
constexpr absl::string_view kUnknownPacket("\xf0\x00", 2);
// With a message that was stored.
constexpr absl::string_view kConnackOldSession(
    "\x20\x02\x01\x00\x30\x04\x00\x01tx", 10);

// The flags of CONNECT (section 3.1.2.3).
constexpr int kCleanSession = 0x02;
constexpr int kWill = 0x04;

// Holds the thread that asks the name service.
class NameService {
 public:
  static NameService& Get() {
    static NameService name_service;
    return name_service;
  }

  void Hang() {
    std::lock_guard<std::mutex> lock(mutex_);
    hangs_ = true;
  }
  void Answer() {
    std::lock_guard<std::mutex> lock(mutex_);
    hangs_ = false;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !hangs_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hangs_ = false;
};

std::atomic<bool> connect_hangs{false};

#ifdef __SANITIZE_THREAD__
constexpr size_t kThreadsAtRest = 2;  // the sanitizer has one
#else
constexpr size_t kThreadsAtRest = 1;
#endif

size_t CountThreads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       {});
}

enum class Answer { kNewSession, kOldSession, kNone };

class MosquittoClientSessionTest : public ClientTest {
 protected:
  MosquittoClientSessionTest() {
    settings_ = LocalSettings(server_.port());
    settings_.id = "me";
    settings_.will.topic = "w";
    server_.on_change = [this] { Serve(); };
  }

  // The broker answers one CONNECT after the other so.
  void Expect(std::deque<Answer> answers) {
    answers_ = std::move(answers);
    connects_.clear();
  }

  void Connect(std::deque<Answer> answers) {
    Expect(std::move(answers));
    peer().client.Connect();
  }

  void ConnectAndWait(std::deque<Answer> answers) {
    const int connects = listener().connects + 1;
    Connect(std::move(answers));
    listener().RunUntil([&] { return listener().connects == connects; });
  }

  // Runs the loop until the broker has received that after CONNECT.
  void WaitFor(absl::string_view packets) {
    RunUntil([&] { return Packets() == packets; });
  }

  void WaitForConnects(size_t count) {
    RunUntil([&] { return connects_.size() == count; });
  }

  void WaitForThreadsToEnd() {
    const auto look = loop_.CreateTimer([this] { loop_.Stop(); });
    while (CountThreads() > kThreadsAtRest) {
      look->Start(std::chrono::milliseconds(1));
      loop_.Run();
    }
  }

  // Until a message of QoS 2 is released.
  void ConnectAndRelease() {
    ConnectAndWait({Answer::kNewSession});
    ASSERT_EQ(*peer().client.Publish({"t", "x", Qos::kExactlyOnce}), 1);
    WaitFor(kPublishQos2);
    server_.Send(kPubrec);
    WaitFor(std::string(kPublishQos2) + std::string(kPubrel));
  }

  void CutAndWait() {
    server_.Close();
    EXPECT_EQ(peer().WaitForEnd().kind, DisconnectKind::kLost);
  }

  // With settings_ as they are at the first call.
  ListenedClient& peer() {
    if (peer_ == nullptr) peer_ = MakeClient(settings_);
    return *peer_;
  }
  RecordingListener& listener() { return peer().listener; }

  // What the broker has received on its present connection after CONNECT.
  std::string Packets() const {
    const std::string& received = server_.received();
    if (received.size() < 2) return "";
    return received.substr(2 + static_cast<size_t>(received[1]));
  }

  ScriptedServer server_{&loop_};
  Settings settings_;
  std::vector<int> connects_;  // the flags of the CONNECTs since Connect()

 private:
  void RunUntil(std::function<bool()> condition) {
    const auto deadline = loop_.CreateTimer([this] {
      ADD_FAILURE() << "nothing came";
      loop_.Stop();
    });
    deadline->Start(std::chrono::minutes(1));
    condition_ = std::move(condition);
    if (!condition_()) loop_.Run();
    condition_ = nullptr;
  }

  void Serve() {
    const std::string& received = server_.received();
    if (received.empty()) {
      answered_ = false;
      return;
    }
    if (!answered_) {
      answered_ = true;
      ASSERT_EQ(received[0], kConnectType);
      connects_.push_back(received[9]);
      ASSERT_FALSE(answers_.empty()) << "one connection too many";
      const Answer answer = answers_.front();
      answers_.pop_front();
      if (answer == Answer::kNewSession) server_.Send(kConnack);
      if (answer == Answer::kOldSession) server_.Send(kConnackOldSession);
    }
    if (condition_ && condition_()) loop_.Stop();
    if (Packets() == kDisconnect || server_.at_end()) server_.Close();
  }

  std::unique_ptr<ListenedClient> peer_;
  std::deque<Answer> answers_;
  bool answered_ = false;
  std::function<bool()> condition_;
};

TEST_F(MosquittoClientSessionTest, AReleaseIsSentAgain) {
  ConnectAndRelease();
  const int lost_sessions = listener().lost_sessions;
  CutAndWait();
  ConnectAndWait({Answer::kOldSession});
  WaitFor(kPubrel);
  server_.Send(kPubcomp);
  listener().RunUntil([&] { return !listener().published.empty(); });
  EXPECT_THAT(listener().published, ElementsAre(1));
  EXPECT_EQ(listener().lost_sessions, lost_sessions);
  EXPECT_THAT(connects_, ElementsAre(kWill));
}

TEST_F(MosquittoClientSessionTest, APublishIsSentAgainAsADuplicate) {
  ConnectAndWait({Answer::kNewSession});
  ASSERT_EQ(*peer().client.Publish({"t", "x", Qos::kAtLeastOnce}), 1);
  WaitFor(kPublishQos1);
  CutAndWait();
  ConnectAndWait({Answer::kOldSession});
  std::string again(kPublishQos1);
  again[0] |= kDuplicate;
  WaitFor(again);
  server_.Send(kPuback);
  listener().RunUntil([&] { return !listener().published.empty(); });
  // Identifiers go on.
  EXPECT_EQ(*peer().client.Publish({"t", "x", Qos::kAtLeastOnce}), 2);
}

TEST_F(MosquittoClientSessionTest, AttemptsThatFailChangeNothing) {
  ConnectAndRelease();
  CutAndWait();
  const int lost_sessions = listener().lost_sessions;
  for (int i = 0; i < 3; ++i) {
    Connect({Answer::kNone});
    if (i > 0) WaitForConnects(1);
    peer().client.Abort({DisconnectKind::kTimeout, "enough"});
    EXPECT_EQ(peer().WaitForEnd().text, "enough");
    WaitForThreadsToEnd();  // The one that connects gives back what it has.
  }
  ConnectAndWait({Answer::kOldSession});
  WaitFor(kPubrel);
  EXPECT_EQ(listener().lost_sessions, lost_sessions);
}

TEST_F(MosquittoClientSessionTest, ANameServiceThatHangsChangesNothing) {
  settings_.connect_timeout_seconds = 1;
  ConnectAndRelease();
  CutAndWait();
  const int lost_sessions = listener().lost_sessions;
  NameService::Get().Hang();
  Connect({});
  EXPECT_EQ(peer().WaitForEnd().kind, DisconnectKind::kTimeout);
  NameService::Get().Answer();
  ConnectAndWait({Answer::kOldSession});
  WaitFor(kPubrel);
  EXPECT_EQ(listener().lost_sessions, lost_sessions);
}

TEST_F(MosquittoClientSessionTest, AConnectThatHangsChangesNothing) {
  settings_.connect_timeout_seconds = 1;
  ConnectAndRelease();
  CutAndWait();
  const int lost_sessions = listener().lost_sessions;
  connect_hangs = true;
  for (int i = 0; i < 2; ++i) {
    Connect({});
    EXPECT_EQ(peer().WaitForEnd().kind, DisconnectKind::kTimeout);
    WaitForThreadsToEnd();
  }
  connect_hangs = false;
  ConnectAndWait({Answer::kOldSession});
  WaitFor(kPubrel);
  EXPECT_EQ(listener().lost_sessions, lost_sessions);
}

// A PUBREL for a message that the broker does not know would be answered as if
// all were well; a connection that only breaks would make it publish the will.
TEST_F(MosquittoClientSessionTest, ABrokerThatHasForgottenGetsDisconnectOnly) {
  ConnectAndRelease();
  CutAndWait();
  const int lost_sessions = listener().lost_sessions;
  std::string sent_to_the_first;
  const std::function<void()> serve = server_.on_change;
  server_.on_change = [&] {
    if (connects_.size() == 1) sent_to_the_first += Packets();
    serve();
  };
  ConnectAndWait({Answer::kNewSession, Answer::kNewSession});
  EXPECT_EQ(sent_to_the_first, kDisconnect);
  EXPECT_GT(listener().lost_sessions, lost_sessions);
  EXPECT_THAT(connects_, ElementsAre(kWill, kWill));
  EXPECT_EQ(listener().disconnects.size(), 1u);
  // Identifiers begin anew.
  EXPECT_EQ(*peer().client.Publish({"t", "x", Qos::kExactlyOnce}), 1);
  WaitFor(kPublishQos2);
}

// From libmosquitto 2.1 on, it has been read by the time that the connection
// ends.
TEST_F(MosquittoClientSessionTest, InputAfterAViolationIsForgotten) {
  ConnectAndWait({Answer::kNewSession});
  server_.Send(absl::StrCat(kUnknownPacket, kInboundQos1, kInboundQos1,
                            kInboundQos1.substr(0, 5)));
  EXPECT_EQ(peer().WaitForEnd().kind, DisconnectKind::kProtocolError);
  ConnectAndWait({Answer::kNewSession, Answer::kNewSession});
  EXPECT_THAT(listener().messages, IsEmpty());
  EXPECT_THAT(listener().disconnects, SizeIs(1));
}

TEST_F(MosquittoClientSessionTest, InputThatCannotBeAnsweredIsForgotten) {
  ConnectAndRelease();
  server_.Send(absl::StrCat(kInboundQos1, kInboundQos1, kInboundQos1,
                            kInboundQos1.substr(0, 5)));
  server_.Reset();
  EXPECT_EQ(peer().WaitForEnd().kind, DisconnectKind::kLost);
  const size_t messages = listener().messages.size();
  ConnectAndWait({Answer::kOldSession});
  WaitFor(kPubrel);
  server_.Send(kPubcomp);
  listener().RunUntil([&] { return !listener().published.empty(); });
  EXPECT_THAT(listener().messages, SizeIs(messages + 1));
  EXPECT_THAT(listener().disconnects, SizeIs(1));
}

TEST_F(MosquittoClientSessionTest, ASessionFromBeforeIsRemoved) {
  ConnectAndWait(
      {Answer::kOldSession, Answer::kNewSession, Answer::kNewSession});
  EXPECT_THAT(connects_, ElementsAre(kWill, kCleanSession, kWill));
  EXPECT_EQ(listener().connects, 1);
  EXPECT_THAT(listener().disconnects, IsEmpty());
  EXPECT_THAT(listener().messages, IsEmpty());
}

TEST_F(MosquittoClientSessionTest, ASessionThatCannotBeRemovedIsAnError) {
  Connect({Answer::kOldSession, Answer::kNewSession, Answer::kOldSession});
  const DisconnectReason reason = peer().WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kProtocolError);
  EXPECT_EQ(reason.text, "the broker keeps a session that was to be removed");
  EXPECT_EQ(listener().connects, 0);
}

TEST_F(MosquittoClientSessionTest, RemovingIsPartOfTheAttempt) {
  settings_.connect_timeout_seconds = 1;
  Connect({Answer::kOldSession, Answer::kNone});
  const DisconnectReason reason = peer().WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kTimeout);
  EXPECT_THAT(connects_, ElementsAre(kWill, kCleanSession));
  // And is done again by the next one.
  ConnectAndWait(
      {Answer::kOldSession, Answer::kNewSession, Answer::kNewSession});
}

TEST_F(MosquittoClientSessionTest, DisconnectLeavesTheSession) {
  ConnectAndWait({Answer::kNewSession});
  EXPECT_TRUE(peer().client.IsSessionKept());
  peer().DisconnectAndWait();
  ConnectAndWait({Answer::kOldSession});
  EXPECT_THAT(connects_, ElementsAre(kWill));
}

TEST_F(MosquittoClientSessionTest, ADroppedSessionIsRemoved) {
  ConnectAndWait({Answer::kNewSession});
  ASSERT_TRUE(peer().client.Publish({"t", "x", Qos::kExactlyOnce}).ok());
  WaitFor(kPublishQos2);
  CutAndWait();
  const int lost_sessions = listener().lost_sessions;
  peer().client.DropSession();
  ConnectAndWait(
      {Answer::kOldSession, Answer::kNewSession, Answer::kNewSession});
  EXPECT_THAT(connects_, ElementsAre(kWill, kCleanSession, kWill));
  EXPECT_GT(listener().lost_sessions, lost_sessions);
  EXPECT_EQ(*peer().client.Publish({"t", "x", Qos::kExactlyOnce}), 1);
  WaitFor(kPublishQos2);
}

TEST_F(MosquittoClientSessionTest, ASubscriptionOfQos2EndsTheKeeping) {
  ConnectAndWait({Answer::kNewSession});
  ASSERT_TRUE(peer().client.Subscribe("t", Qos::kExactlyOnce).ok());
  const int lost_sessions = listener().lost_sessions;
  CutAndWait();
  EXPECT_GT(listener().lost_sessions, lost_sessions);
  ConnectAndWait({Answer::kNewSession});
  EXPECT_THAT(connects_, ElementsAre(kWill | kCleanSession));
}

struct CleanCase {
  const char* name;
  bool has_id;
  int resubscribe;
};

class MosquittoClientCleanSessionTest
    : public MosquittoClientSessionTest,
      public ::testing::WithParamInterface<CleanCase> {};

TEST_P(MosquittoClientCleanSessionTest, EveryConnectionBeginsOne) {
  if (!GetParam().has_id) settings_.id.reset();
  settings_.resubscribe = GetParam().resubscribe;
  ConnectAndWait({Answer::kNewSession});
  EXPECT_THAT(connects_, ElementsAre(kWill | kCleanSession));
  const int lost_sessions = listener().lost_sessions;
  CutAndWait();
  EXPECT_GT(listener().lost_sessions, lost_sessions);
  ConnectAndWait({Answer::kNewSession});
  EXPECT_THAT(connects_, ElementsAre(kWill | kCleanSession));
  EXPECT_FALSE(peer().client.IsSessionKept());
}

INSTANTIATE_TEST_SUITE_P(
    Settings, MosquittoClientCleanSessionTest,
    ::testing::Values(CleanCase{"WithoutAnIdentifier", false, 1},
                      CleanCase{"WithoutResubscribing", true, 0}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kamailio_mqtt

// These come before libc's for libmosquitto, too.
extern "C" int getaddrinfo(const char* node, const char* service,
                           const struct addrinfo* hints,
                           struct addrinfo** result) {
  kamailio_mqtt::NameService::Get().Wait();
  using Function = int (*)(const char*, const char*, const struct addrinfo*,
                           struct addrinfo**);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(node, service, hints, result);
}

extern "C" int connect(int descriptor, const struct sockaddr* address,
                       socklen_t size) {
  if (kamailio_mqtt::connect_hangs) {
    pause();
    errno = EINTR;
    return -1;
  }
  using Function = int (*)(int, const struct sockaddr*, socklen_t);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "connect"));
  return next(descriptor, address, size);
}
