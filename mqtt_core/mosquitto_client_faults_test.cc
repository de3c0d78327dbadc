// SPDX-License-Identifier: GPL-3.0-or-later

// With networks and brokers that do not behave.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/input_account.h"
#include "mqtt_core/mosquitto_client.h"
#include "mqtt_core/testing/client_test.h"
#include "mqtt_core/testing/tcp_peers.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Packets (MQTT 3.1.1 section 3).
const std::string kConnackAccepted("\x20\x02\x00\x00", 4);
const std::string kConnackResumed("\x20\x02\x01\x00", 4);
constexpr absl::string_view kDisconnect("\xe0\x00", 2);

std::string RemainingLength(size_t length) {
  std::string bytes;
  do {
    bytes.push_back(
        static_cast<char>(length % 128 + (length >= 128 ? 128 : 0)));
    length /= 128;
  } while (length > 0);
  return bytes;
}

// The fixed header of a PUBLISH of QoS 0 with a topic name of one byte, and
// that.
std::string PublishHeader(size_t payload_size) {
  return absl::StrCat("\x30", RemainingLength(payload_size + 3),
                      absl::string_view("\x00\x01t", 3));
}

// A PUBLISH of QoS 2.
std::string ExactlyOncePublish(const std::string& packet_id,
                               size_t payload_size) {
  return absl::StrCat("\x34", RemainingLength(payload_size + 5),
                      absl::string_view("\x00\x01t", 3), packet_id,
                      std::string(payload_size, 'x'));
}
std::string Pubrel(const std::string& packet_id) {
  return absl::StrCat("\x62\x02", packet_id);
}

// The descriptors of this process that are connected to a port of 127.0.0.1.
std::vector<int> ConnectionsTo(int port) {
  std::vector<int> descriptors;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    const int descriptor = std::stoi(entry.path().filename());
    sockaddr_in peer = {};
    socklen_t size = sizeof(peer);
    if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) ==
            0 &&
        peer.sin_family == AF_INET && ntohs(peer.sin_port) == port) {
      descriptors.push_back(descriptor);
    }
  }
  return descriptors;
}

class MosquittoClientFaultsTest : public ClientTest {
 protected:
  Settings ServerSettings() const { return LocalSettings(server_.port()); }

  // The server sends `answer` to the next CONNECT.
  void AnswerConnect(const std::string& answer) {
    server_.on_change = [this, answer, answered = false]() mutable {
      if (answered || !server_.connected() || server_.received().empty()) {
        return;
      }
      answered = true;
      server_.Send(answer);
    };
  }

  // The client connects to the server, which sends `answer` to its CONNECT.
  std::unique_ptr<ListenedClient> ConnectAndAnswer(const Settings& settings,
                                                   const std::string& answer,
                                                   int64_t input_limit) {
    AnswerConnect(answer);
    auto peer = MakeClient(settings, input_limit);
    peer->client.Connect();
    return peer;
  }

  std::unique_ptr<ListenedClient> MakeConnectedClient(
      int64_t input_limit = InputAccount::kDefaultLimit) {
    auto peer =
        ConnectAndAnswer(ServerSettings(), kConnackAccepted, input_limit);
    peer->listener.RunUntil([&] { return peer->listener.connects == 1; });
    return peer;
  }

  // Runs the loop until the server has seen enough.
  void RunUntilServer(std::function<bool()> condition) {
    server_.on_change = [this, &condition] {
      if (condition()) loop_.Stop();
    };
    const auto deadline = loop_.CreateTimer([this] {
      ADD_FAILURE() << "nothing came";
      loop_.Stop();
    });
    deadline->Start(std::chrono::minutes(1));
    if (!condition()) loop_.Run();
    server_.on_change = [] {};
  }

  ScriptedServer server_{&loop_};
};

TEST_F(MosquittoClientFaultsTest, HostNameThatDoesNotResolve) {
  Settings settings = ServerSettings();
  settings.host = std::string(70, 'x');  // longer than a label may be
  auto peer = MakeClient(settings);
  peer->client.Connect();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kUnreachable);
  EXPECT_THAT(reason.text, StartsWith("cannot resolve the host name: "));
}

TEST_F(MosquittoClientFaultsTest, DroppedSynEndsWithTheTimeout) {
  const FullListener listener;
  Settings settings = LocalSettings(listener.port());
  settings.connect_timeout_seconds = 1;
  auto peer = MakeClient(settings);
  // More often than attempts may be stuck: connect(2) is interrupted.
  for (size_t i = 0; i < MosquittoClient::kMaxStuckAttempts + 2; ++i) {
    peer->client.Connect();
    const DisconnectReason reason = peer->WaitForEnd();
    EXPECT_EQ(reason.kind, DisconnectKind::kTimeout);
    EXPECT_EQ(reason.text,
              "connect_timeout of 1 s has passed, waiting for name resolution "
              "or TCP");
  }
}

TEST_F(MosquittoClientFaultsTest, StuckConnectDoesNotDelayDestruction) {
  const FullListener listener;
  auto peer = MakeClient(LocalSettings(listener.port()));
  peer->client.Connect();
  const TimePoint begin = SteadyClock().Now();
  peer.reset();
  EXPECT_LT(SteadyClock().Now() - begin, seconds(5));
}

TEST_F(MosquittoClientFaultsTest, SilentBrokerEndsWithTheTimeout) {
  Settings settings = ServerSettings();
  settings.connect_timeout_seconds = 1;
  auto peer = MakeClient(settings);
  peer->client.Connect();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kTimeout);
  EXPECT_EQ(reason.text,
            "connect_timeout of 1 s has passed, waiting for CONNACK");
}

TEST_F(MosquittoClientFaultsTest, ClosedBeforeConnack) {
  auto peer = MakeClient(ServerSettings());
  server_.on_change = [&] {
    if (!server_.received().empty()) server_.Close();
  };
  peer->client.Connect();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kUnreachable);
  EXPECT_EQ(reason.text, "the broker closed the connection before CONNACK");
}

TEST_F(MosquittoClientFaultsTest, ConnectSaysWhatTheSettingsSay) {
  Settings settings = ServerSettings();
  settings.id = "my-id";
  settings.username = "my-user";
  settings.password = "my-password";
  settings.keepalive_seconds = 300;
  settings.will.topic = "my/will";
  settings.will.payload = "my-last-words";
  settings.will.qos = 2;
  settings.will.retain = 1;
  auto peer = MakeClient(settings);
  peer->client.Connect();
  RunUntilServer([&] { return server_.received().size() >= 65; });
  const auto field = [](absl::string_view value) {
    return absl::StrCat(std::string(1, '\0'),
                        std::string(1, static_cast<char>(value.size())), value);
  };
  // MQTT 3.1.1 section 3.1: level 4; user name, password, will retain, will
  // QoS 2, will, no clean session; keep alive.
  EXPECT_EQ(
      server_.received(),
      absl::StrCat("\x10\x3f", field("MQTT"), "\x04\xf4\x01\x2c",
                   field("my-id"), field("my/will"), field("my-last-words"),
                   field("my-user"), field("my-password")));
}

struct Refusal {
  int code;
  DisconnectKind kind;
  const char* words;
};

class MosquittoClientRefusalTest
    : public MosquittoClientFaultsTest,
      public ::testing::WithParamInterface<Refusal> {};

TEST_P(MosquittoClientRefusalTest, SaysWhy) {
  auto peer =
      ConnectAndAnswer(ServerSettings(),
                       std::string("\x20\x02\x00", 3) +
                           std::string(1, static_cast<char>(GetParam().code)),
                       InputAccount::kDefaultLimit);
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, GetParam().kind);
  EXPECT_THAT(reason.text, HasSubstr(GetParam().words));
  EXPECT_THAT(reason.text, HasSubstr(absl::StrCat("code ", GetParam().code)));
  EXPECT_EQ(peer->listener.connects, 0);
}

INSTANTIATE_TEST_SUITE_P(
    ReturnCodes, MosquittoClientRefusalTest,
    ::testing::Values(
        Refusal{1, DisconnectKind::kRefused, "unacceptable protocol version"},
        Refusal{2, DisconnectKind::kIdentifierRejected, "identifier rejected"},
        Refusal{3, DisconnectKind::kRefused, "broker unavailable"},
        Refusal{4, DisconnectKind::kBadCredentials, "bad user name"},
        Refusal{5, DisconnectKind::kBadCredentials, "not authorised"},
        Refusal{6, DisconnectKind::kRefused, "unknown"},
        Refusal{255, DisconnectKind::kRefused, "unknown"}));

struct Violation {
  const char* name;
  std::string bytes;
};

class MosquittoClientViolationTest
    : public MosquittoClientFaultsTest,
      public ::testing::WithParamInterface<Violation> {};

TEST_P(MosquittoClientViolationTest, EndsTheConnection) {
  auto peer = MakeConnectedClient();
  server_.Send(GetParam().bytes);
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kProtocolError);
  EXPECT_THAT(reason.text,
              StartsWith("the broker sent what MQTT does not allow: "));
  EXPECT_EQ(peer->listener.connects, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Packets, MosquittoClientViolationTest,
    ::testing::Values(
        Violation{"UnknownType", std::string("\xf0\x00", 2)},
        Violation{"TypeZero", std::string("\x0f\x00", 2)},
        Violation{"Disconnect", std::string(kDisconnect)},
        Violation{"SecondConnack", kConnackAccepted},
        Violation{"Connect", std::string("\x10\x00", 2)},
        Violation{"LengthTooLong", "\x30\xff\xff\xff\xff\x7f"},
        Violation{"PublishWithoutTopic", std::string("\x30\x02\x00\x00", 4)},
        Violation{"PublishCutShort", std::string("\x30\x03\x00\x09t", 5)},
        Violation{"PublishOfQos3", std::string("\x36\x05\x00\x01t\x00\x01", 7)},
        Violation{"TopicNotUtf8", std::string("\x30\x03\x00\x01\xff", 5)},
        Violation{"SubackCutShort", std::string("\x90\x02\x00\x01", 4)},
        Violation{"PacketIdentifierZero", std::string("\x40\x02\x00\x00", 4)}),
    [](const auto& info) { return info.param.name; });

TEST_F(MosquittoClientFaultsTest, UnknownPacketIdentifiersAreNoMatter) {
  auto peer = MakeConnectedClient();
  const auto mine = peer->client.Publish({"t", "x", Qos::kAtLeastOnce, false});
  ASSERT_TRUE(mine.ok());
  server_.Send(
      std::string("\x40\x02\x77\x77"   // PUBACK
                  "\x50\x02\x77\x77"   // PUBREC
                  "\x70\x02\x77\x77"   // PUBCOMP
                  "\x62\x02\x77\x77"   // PUBREL
                  "\x40\x02\x00\x01",  // PUBACK, this one known
                  20));
  ASSERT_EQ(*mine, 1);
  peer->listener.RunUntil([&] { return !peer->listener.published.empty(); });
  EXPECT_THAT(peer->listener.published, ::testing::ElementsAre(1));
}

TEST_F(MosquittoClientFaultsTest, RefusedSubscription) {
  auto peer = MakeConnectedClient();
  const auto packet_id = peer->client.Subscribe("a", Qos::kAtMostOnce);
  ASSERT_EQ(*packet_id, 1);
  server_.Send(absl::string_view("\x90\x03\x00\x01\x80", 5));
  peer->listener.RunUntil([&] { return !peer->listener.subacks.empty(); });
  EXPECT_EQ(peer->listener.subacks[0].packet_id, 1);
  EXPECT_EQ(peer->listener.subacks[0].granted, kSubackFailure);
}

TEST_F(MosquittoClientFaultsTest, PacketInSmallPieces) {
  auto peer = MakeConnectedClient();
  const std::string packet = PublishHeader(200) + std::string(200, 'x');
  for (const char byte : packet) {
    server_.Send(absl::string_view(&byte, 1));
    loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
    loop_.Run();
  }
  peer->listener.RunUntil([&] { return !peer->listener.messages.empty(); });
  EXPECT_EQ(peer->listener.messages[0].payload, std::string(200, 'x'));
}

TEST_F(MosquittoClientFaultsTest, LargePacketIsTaken) {
  auto peer = MakeConnectedClient();
  const std::string payload(16 << 20, 'x');
  std::thread sender(
      [&] { server_.Send(PublishHeader(payload.size()) + payload); });
  peer->listener.RunUntil([&] { return !peer->listener.messages.empty(); });
  sender.join();
  ASSERT_THAT(peer->listener.messages, SizeIs(1));
  EXPECT_TRUE(peer->listener.messages[0].payload == payload);
}

// Ten seconds: keep alive knows none below five.
TEST_F(MosquittoClientFaultsTest, HugePacketThatNeverComes) {
  auto peer = MakeConnectedClient();
  server_.Send(PublishHeader(kMaxPayloadSize - 3));
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kKeepAliveTimeout);
  EXPECT_THAT(peer->listener.messages, IsEmpty());
}

// Messages that the broker never releases. Each test sends the next part once
// the client has answered the last.
class MosquittoClientUnreleasedTest : public MosquittoClientFaultsTest {
 protected:
  static constexpr size_t kAnswer = 4;  // PUBREC, PUBCOMP
  static constexpr int64_t kMiB = 1 << 20;

  // Sends `part`, that the client gives `answers` answers to, up to `times`
  // times. Returns how often it was sent before the connection ended.
  int Repeat(ListenedClient& peer, const std::string& part, size_t answers,
             int times) {
    int sent = 0;
    size_t answered = server_.received().size();
    const size_t disconnects = peer.listener.disconnects.size();
    peer.listener.on_event = [&] {
      if (peer.listener.disconnects.size() > disconnects) loop_.Stop();
    };
    server_.on_change = [&] {
      if (server_.received().size() < answered || server_.at_end()) return;
      if (sent == times) {
        loop_.Stop();
        return;
      }
      answered += answers * kAnswer;
      ++sent;
      server_.Send(part);
    };
    server_.on_change();
    loop_.Run();
    server_.on_change = [] {};
    peer.listener.on_event = [] {};
    return sent;
  }
};

TEST_F(MosquittoClientUnreleasedTest, LargeOnesEndTheConnection) {
  constexpr int64_t kLimit = 8 * kMiB;
  constexpr int64_t kSize = 64 << 10;
  auto peer = MakeConnectedClient(kLimit);
  const int sent = Repeat(*peer, ExactlyOncePublish("\x01\x01", kSize),
                          /*answers=*/1, 2 * kLimit / kSize);
  EXPECT_GT(sent * kSize, kLimit - kMiB);
  EXPECT_LT(sent * kSize, kLimit + kMiB);
  ASSERT_THAT(peer->listener.disconnects, SizeIs(1));
  EXPECT_EQ(peer->listener.disconnects[0].kind, DisconnectKind::kProtocolError);
  EXPECT_EQ(peer->listener.disconnects[0].text,
            "the broker sent more than 8 MiB in messages that it did not "
            "complete");
}

TEST_F(MosquittoClientUnreleasedTest, SmallOnesEndItSooner) {
  constexpr int64_t kLimit = 4 * kMiB;
  constexpr int kAtOnce = 1000;
  auto peer = MakeConnectedClient(kLimit);
  std::string part;
  for (int i = 0; i < kAtOnce; ++i) part += ExactlyOncePublish("\x01\x01", 0);
  const int sent =
      Repeat(*peer, part, kAtOnce, kLimit / static_cast<int>(part.size()));
  EXPECT_LT(sent * static_cast<int64_t>(part.size()), kLimit / 4);
  ASSERT_THAT(peer->listener.disconnects, SizeIs(1));
  EXPECT_EQ(peer->listener.disconnects[0].kind, DisconnectKind::kProtocolError);
}

TEST_F(MosquittoClientUnreleasedTest, OnesSentAtOnceEndItToo) {
  auto peer = MakeConnectedClient(kMiB);
  std::string part;
  while (part.size() < 2 * kMiB) part += ExactlyOncePublish("\x01\x01", 1000);
  std::thread sender([&] { server_.SendUntilClosed(part); });
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kProtocolError);
  sender.join();
}

TEST_F(MosquittoClientUnreleasedTest, OnesOfTheConnectionBeforeCount) {
  constexpr int64_t kSize = 64 << 10;
  constexpr int kTimes = 10;
  static_assert(kTimes * kSize < kMiB && 2 * kTimes * kSize > kMiB);
  Settings settings = ServerSettings();
  settings.id = "keeps its session";
  auto peer = ConnectAndAnswer(settings, kConnackAccepted, kMiB);
  peer->listener.RunUntil([&] { return peer->listener.connects == 1; });
  const std::string part = ExactlyOncePublish("\x01\x01", kSize);
  EXPECT_EQ(Repeat(*peer, part, /*answers=*/1, kTimes), kTimes);
  server_.Close();
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kLost);

  AnswerConnect(kConnackResumed);
  peer->client.Connect();
  peer->listener.RunUntil([&] { return peer->listener.connects == 2; });
  EXPECT_LT(Repeat(*peer, part, /*answers=*/1, kTimes), kTimes);
  ASSERT_THAT(peer->listener.disconnects, SizeIs(2));
  EXPECT_EQ(peer->listener.disconnects[1].kind, DisconnectKind::kProtocolError);
}

TEST_F(MosquittoClientUnreleasedTest, ReleasedMessagesAreNoMatter) {
  constexpr int64_t kLimit = kMiB;
  constexpr size_t kSize = 64 << 10;
  constexpr int kMessages = 4 * kLimit / kSize;
  auto peer = MakeConnectedClient(kLimit);
  const int sent =
      Repeat(*peer, ExactlyOncePublish("\x01\x01", kSize) + Pubrel("\x01\x01"),
             /*answers=*/2, kMessages);
  EXPECT_EQ(sent, kMessages);
  EXPECT_THAT(peer->listener.messages, SizeIs(kMessages));
  EXPECT_THAT(peer->listener.disconnects, IsEmpty());
}

// While packets are counted.
TEST_F(MosquittoClientUnreleasedTest, NorBesideSomeThatAreNot) {
  constexpr int64_t kLimit = kMiB;
  constexpr int kAtOnce = 1000;
  constexpr int kTimes = 20;
  auto peer = MakeConnectedClient(kLimit);
  Repeat(*peer, ExactlyOncePublish("\x02\x02", kLimit / 2), /*answers=*/1, 1);
  std::string part;
  for (int i = 0; i < kAtOnce; ++i) {
    part += ExactlyOncePublish("\x01\x01", 0) + Pubrel("\x01\x01");
  }
  EXPECT_EQ(Repeat(*peer, part, 2 * kAtOnce, kTimes), kTimes);
  EXPECT_THAT(peer->listener.messages, SizeIs(kAtOnce * kTimes));
  EXPECT_THAT(peer->listener.disconnects, IsEmpty());
}

TEST_F(MosquittoClientFaultsTest, ResetIsALostConnection) {
  auto peer = MakeConnectedClient();
  server_.Reset();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kLost);
  EXPECT_EQ(reason.text, "Connection reset by peer");
}

TEST_F(MosquittoClientFaultsTest, ResetWhilePublishing) {
  auto peer = MakeConnectedClient();
  server_.Reset();
  peer->client.BeginBatch();
  bool failed = false;
  for (int i = 0; i < 100 && !failed; ++i) {
    const auto packet_id = peer->client.Publish({"t", "x"});
    if (packet_id.ok()) continue;
    failed = true;
    EXPECT_TRUE(absl::IsUnavailable(packet_id.status()));
    EXPECT_FALSE(peer->client.WantsMore());
  }
  peer->client.EndBatch();
  EXPECT_TRUE(failed);
  EXPECT_THAT(peer->listener.disconnects, IsEmpty());
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kLost);
}

// A broker in the midst of sending still gets all, DISCONNECT included, and no
// reset that might make it forget.
TEST_F(MosquittoClientFaultsTest, DisconnectWhileTheBrokerSends) {
  auto peer = MakeConnectedClient();
  server_.StopReading();
  ASSERT_TRUE(peer->client.Publish({"t", std::string(50000, 'x')}).ok());
  peer->client.Disconnect();
  server_.Send(std::string(100, '\xd0'));
  server_.StartReading();
  RunUntilServer([&] { return server_.at_end(); });
  EXPECT_TRUE(absl::EndsWith(server_.received(), kDisconnect));
  EXPECT_GT(server_.received().size(), 50000u);
  EXPECT_THAT(peer->listener.disconnects, IsEmpty());
  server_.Close();
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kRequested);
}

// It has not read all of it.
TEST_F(MosquittoClientFaultsTest, ResetAfterDisconnectIsALostConnection) {
  auto peer = MakeConnectedClient();
  server_.StopReading();
  ASSERT_TRUE(peer->client.Publish({"t", "x"}).ok());
  peer->client.Disconnect();
  server_.Reset();
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kLost);
}

TEST_F(MosquittoClientFaultsTest, ProgramsDoNotInheritTheConnection) {
  auto peer = MakeConnectedClient();
  const std::vector<int> descriptors = ConnectionsTo(server_.port());
  ASSERT_THAT(descriptors, SizeIs(1));
  EXPECT_EQ(fcntl(descriptors[0], F_GETFD), FD_CLOEXEC);
}

TEST_F(MosquittoClientFaultsTest, AbortAfterDisconnectDoesNotWait) {
  auto peer = MakeConnectedClient();
  peer->client.Disconnect();
  peer->client.Abort({DisconnectKind::kTimeout, "too late"});
  EXPECT_EQ(peer->WaitForEnd().text, "too late");
  EXPECT_THAT(peer->listener.disconnects, SizeIs(1));
}

TEST_F(MosquittoClientFaultsTest, AbortSendsNoDisconnect) {
  auto peer = MakeConnectedClient();
  const std::string before = server_.received();
  peer->client.Abort({DisconnectKind::kRequested, "enough"});
  RunUntilServer([&] { return server_.at_end(); });
  EXPECT_EQ(server_.received(), before);
}

// What came before the end is reported before it.
TEST_F(MosquittoClientFaultsTest, EventsComeBeforeTheEnd) {
  auto peer = MakeConnectedClient();
  server_.Send(PublishHeader(1) + "x" + std::string(kDisconnect));
  peer->listener.on_event = [&] {
    EXPECT_THAT(peer->listener.messages, SizeIs(1));
  };
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kProtocolError);
}

TEST_F(MosquittoClientFaultsTest, ListenerAbortsWhileEventsAreDelivered) {
  auto peer = MakeConnectedClient();
  server_.Send(PublishHeader(1) + "x" + PublishHeader(1) + "y");
  peer->listener.on_event = [&] {
    peer->client.Abort({DisconnectKind::kRequested, "enough"});
  };
  EXPECT_EQ(peer->WaitForEnd().text, "enough");
  EXPECT_THAT(peer->listener.disconnects, SizeIs(1));
}

}  // namespace
}  // namespace kamailio_mqtt
