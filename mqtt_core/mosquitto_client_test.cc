// SPDX-License-Identifier: GPL-3.0-or-later

// With a broker that behaves: mosquitto.

#include "mqtt_core/mosquitto_client.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/client_test.h"
#include "mqtt_core/testing/mosquitto_broker.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

constexpr Qos kAllQos[] = {Qos::kAtMostOnce, Qos::kAtLeastOnce,
                           Qos::kExactlyOnce};

class MosquittoClientTest : public ClientTest {
 protected:
  std::unique_ptr<ListenedClient> MakeConnectedClient() {
    auto client = MakeClient(LocalSettings(broker_.port()));
    client->ConnectAndWait();
    return client;
  }

  MosquittoBroker broker_;
};

size_t CountEntries(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), {});
}

TEST_F(MosquittoClientTest, ConnectsAndDisconnects) {
  auto peer = MakeConnectedClient();
  EXPECT_TRUE(peer->client.WantsMore());
  peer->DisconnectAndWait();
  EXPECT_FALSE(peer->client.WantsMore());
  EXPECT_EQ(peer->listener.connects, 1);
  EXPECT_THAT(peer->listener.disconnects, SizeIs(1));
}

TEST_F(MosquittoClientTest, ConnectsAgainFromTheListener) {
  auto peer = MakeClient(LocalSettings(broker_.port()));
  RecordingListener& listener = peer->listener;
  size_t ends = 0;
  listener.on_event = [&] {
    if (listener.connects > static_cast<int>(listener.disconnects.size())) {
      if (listener.disconnects.size() < 3) peer->client.Disconnect();
    } else if (listener.disconnects.size() > ends) {
      ends = listener.disconnects.size();
      peer->client.Connect();
    }
  };
  peer->client.Connect();
  listener.RunUntil([&] { return listener.connects == 4; });
  EXPECT_THAT(listener.disconnects, SizeIs(3));
}

TEST_F(MosquittoClientTest, MakesUpAClientIdentifierAndKeepsIt) {
  const auto peer = MakeConnectedClient();
  const std::string id = peer->client.client_id();
  EXPECT_THAT(id, MatchesRegex("kamailio[0-9a-f]{15}"));
  peer->DisconnectAndWait();
  peer->ConnectAndWait();
  EXPECT_EQ(peer->client.client_id(), id);
  EXPECT_NE(MakeConnectedClient()->client.client_id(), id);
}

TEST_F(MosquittoClientTest, PayloadsArriveAsTheyAre) {
  std::string all_bytes;
  for (int i = 0; i < 256; ++i) all_bytes.push_back(static_cast<char>(i));
  const std::vector<std::string> payloads = {
      "text", "", std::string("a\0b\0", 4), all_bytes,
      std::string(1 << 20, 'x')};
  auto peer = MakeConnectedClient();
  peer->SubscribeAndWait("payloads/#", Qos::kExactlyOnce);
  std::vector<InboundMessage> expected;
  for (const Qos qos : kAllQos) {
    for (const std::string& payload : payloads) {
      const std::string topic = absl::StrCat("payloads/", expected.size());
      ASSERT_TRUE(peer->client.Publish({topic, payload, qos, false}).ok());
      expected.push_back({topic, payload, qos});
    }
  }
  std::vector<InboundMessage>& messages = peer->listener.messages;
  peer->listener.RunUntil([&] {
    return messages.size() == expected.size() &&
           peer->listener.published.size() == expected.size();
  });
  // A message of QoS 2 comes with its PUBREL: the order is kept within a QoS.
  std::stable_sort(messages.begin(), messages.end(),
                   [](const auto& a, const auto& b) { return a.qos < b.qos; });
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(messages[i].topic, expected[i].topic);
    EXPECT_TRUE(messages[i].payload == expected[i].payload) << i;
    EXPECT_EQ(messages[i].qos, expected[i].qos);
    EXPECT_EQ(messages[i].packet_id == 0, expected[i].qos == Qos::kAtMostOnce);
    EXPECT_EQ(messages[i].origin, Origin::kBroker);
    EXPECT_FALSE(messages[i].retain);
  }
}

TEST_F(MosquittoClientTest, RetainedMessageComesAfterSuback) {
  auto peer = MakeConnectedClient();
  ASSERT_TRUE(
      peer->client.Publish({"kept", "value", Qos::kAtLeastOnce, true}).ok());
  RecordingListener& listener = peer->listener;
  listener.RunUntil([&] { return listener.published.size() == 1; });
  ASSERT_TRUE(peer->client.Subscribe("kept", Qos::kAtMostOnce).ok());
  listener.on_event = [&] {
    EXPECT_GE(listener.subacks.size(), listener.messages.size());
  };
  listener.RunUntil([&] { return listener.messages.size() == 1; });
  EXPECT_TRUE(listener.messages[0].retain);
}

TEST_F(MosquittoClientTest, SubscribesAndUnsubscribes) {
  auto peer = MakeConnectedClient();
  for (const Qos qos : kAllQos) {
    const auto packet_id = peer->client.Subscribe("a/+", qos);
    ASSERT_TRUE(packet_id.ok());
    RecordingListener& listener = peer->listener;
    const size_t before = listener.subacks.size();
    listener.RunUntil([&] { return listener.subacks.size() > before; });
    EXPECT_EQ(listener.subacks.back().packet_id, *packet_id);
    EXPECT_EQ(listener.subacks.back().granted, static_cast<int>(qos));
  }
  const auto packet_id = peer->client.Unsubscribe("a/+");
  ASSERT_TRUE(packet_id.ok());
  peer->listener.RunUntil([&] { return !peer->listener.unsubacks.empty(); });
  EXPECT_THAT(peer->listener.unsubacks, ElementsAre(*packet_id));

  ASSERT_TRUE(
      peer->client.Publish({"a/b", "unseen", Qos::kAtLeastOnce, false}).ok());
  peer->listener.RunUntil([&] { return peer->listener.published.size() == 1; });
  EXPECT_THAT(peer->listener.messages, IsEmpty());
}

TEST_F(MosquittoClientTest, RefusesWhatTheLibraryDoesNotTake) {
  auto peer = MakeConnectedClient();
  EXPECT_TRUE(
      absl::IsInvalidArgument(peer->client.Publish({"wild/#", "x"}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(peer->client.Publish({"\xff", "x"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      peer->client.Subscribe("a/#/b", Qos::kAtMostOnce).status()));
  // The connection stands.
  ASSERT_TRUE(peer->client.Publish({"fine", "x"}).ok());
  peer->listener.RunUntil([&] { return peer->listener.published.size() == 1; });
}

TEST_F(MosquittoClientTest, ListenerIsNotCalledFromAMethod) {
  auto peer = MakeConnectedClient();
  bool in_method = true;
  peer->listener.on_event = [&] { EXPECT_FALSE(in_method); };
  peer->client.BeginBatch();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(peer->client.Publish({"a", "x"}).ok());
  }
  peer->client.EndBatch();
  ASSERT_TRUE(peer->client.Publish({"a", "x"}).ok());
  peer->client.Disconnect();
  in_method = false;
  peer->listener.RunUntil([&] { return !peer->listener.disconnects.empty(); });
  EXPECT_THAT(peer->listener.published, SizeIs(11));
}

// Everything arrives once and in order, in batches, with a window as the
// session has it.
class MosquittoClientFlowTest : public MosquittoClientTest,
                                public ::testing::WithParamInterface<Qos> {};

TEST_P(MosquittoClientFlowTest, ManyMessagesArriveInOrder) {
  constexpr int kMessages = 20000;
  const Qos qos = GetParam();
  // More of QoS 2 than a mosquitto allows, it would drop.
  const int window = qos == Qos::kExactlyOnce ? 20 : 500;
  auto subscriber = MakeConnectedClient();
  subscriber->SubscribeAndWait("flow", qos);
  auto publisher = MakeConnectedClient();

  int sent = 0;
  std::vector<MqttClient::PacketId> packet_ids;
  const auto send = [&] {
    publisher->client.BeginBatch();
    while (sent < kMessages && publisher->client.WantsMore() &&
           sent - static_cast<int>(publisher->listener.published.size()) <
               window) {
      const auto packet_id = publisher->client.Publish(
          {"flow", absl::StrCat("message ", sent), qos, false});
      ASSERT_TRUE(packet_id.ok()) << packet_id.status();
      packet_ids.push_back(*packet_id);
      ++sent;
    }
    publisher->client.EndBatch();
  };
  publisher->listener.on_event = send;
  send();
  subscriber->listener.RunUntil(
      [&] { return subscriber->listener.messages.size() == kMessages; });
  publisher->listener.on_event = [] {};
  publisher->listener.RunUntil(
      [&] { return publisher->listener.published.size() == kMessages; });

  for (int i = 0; i < kMessages; ++i) {
    ASSERT_EQ(subscriber->listener.messages[i].payload,
              absl::StrCat("message ", i));
  }
  EXPECT_EQ(publisher->listener.published, packet_ids);
}

INSTANTIATE_TEST_SUITE_P(Qos, MosquittoClientFlowTest,
                         ::testing::ValuesIn(kAllQos));

TEST_F(MosquittoClientTest, WillIsPublishedOnAbortOnly) {
  auto observer = MakeConnectedClient();
  observer->SubscribeAndWait("will", Qos::kExactlyOnce);

  Settings settings = LocalSettings(broker_.port());
  settings.will.topic = "will";
  settings.will.payload = "gone";
  settings.will.qos = 1;
  settings.will.retain = 1;
  auto peer = MakeClient(settings);
  peer->ConnectAndWait();
  peer->DisconnectAndWait();
  // What the broker handles after the DISCONNECT comes after what that caused.
  ASSERT_TRUE(
      observer->client.Publish({"will", "fence", Qos::kAtMostOnce, false})
          .ok());
  std::vector<InboundMessage>& messages = observer->listener.messages;
  observer->listener.RunUntil([&] { return !messages.empty(); });
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].payload, "fence");

  peer->ConnectAndWait();
  peer->client.Abort({DisconnectKind::kRequested, "enough"});
  EXPECT_EQ(peer->WaitForEnd().text, "enough");
  observer->listener.RunUntil([&] { return messages.size() == 2; });
  EXPECT_EQ(messages[1].payload, "gone");
  EXPECT_EQ(messages[1].qos, Qos::kAtLeastOnce);
  auto late = MakeConnectedClient();
  late->SubscribeAndWait("will", Qos::kAtMostOnce);
  late->listener.RunUntil([&] { return !late->listener.messages.empty(); });
  EXPECT_TRUE(late->listener.messages[0].retain);
}

TEST_F(MosquittoClientTest, DisconnectSendsWhatWasSubmitted) {
  constexpr int kMessages = 200;
  auto subscriber = MakeConnectedClient();
  subscriber->SubscribeAndWait("last", Qos::kAtMostOnce);
  auto peer = MakeConnectedClient();
  // The broker takes nothing for now: the last ones wait in the library.
  broker_.Freeze();
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(peer->client.Publish({"last", std::string(1 << 16, 'x')}).ok());
  }
  EXPECT_FALSE(peer->client.WantsMore());
  peer->client.Disconnect();
  EXPECT_TRUE(absl::IsUnavailable(peer->client.Publish({"a", ""}).status()));
  broker_.Thaw();
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kRequested);
  EXPECT_THAT(peer->listener.published, SizeIs(kMessages));
  subscriber->listener.RunUntil(
      [&] { return subscriber->listener.messages.size() == kMessages; });
}

TEST_F(MosquittoClientTest, SaysWhenTheSocketTakesMore) {
  auto peer = MakeConnectedClient();
  broker_.Freeze();
  const std::string payload(1 << 16, 'x');
  int sent = 0;
  bool kernel_held_all = false;
  while (peer->client.WantsMore()) {
    kernel_held_all |= peer->client.IsOutputWaiting();
    ASSERT_TRUE(peer->client.Publish({"a", payload}).ok());
    ++sent;
  }
  EXPECT_TRUE(kernel_held_all);
  EXPECT_TRUE(peer->client.IsOutputWaiting());
  EXPECT_EQ(peer->listener.writable, 0);
  broker_.Thaw();
  peer->listener.RunUntil([&] { return peer->listener.writable > 0; });
  EXPECT_TRUE(peer->client.WantsMore());
  peer->listener.RunUntil([&] {
    return peer->listener.published.size() == static_cast<size_t>(sent);
  });
  // PUBACK comes after all of it.
  ASSERT_TRUE(peer->client.Publish({"a", "", Qos::kAtLeastOnce}).ok());
  peer->listener.RunUntil([&] {
    return peer->listener.published.size() > static_cast<size_t>(sent);
  });
  EXPECT_FALSE(peer->client.IsOutputWaiting());
}

TEST_F(MosquittoClientTest, KilledBrokerIsALostConnection) {
  auto peer = MakeConnectedClient();
  broker_.Kill();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kLost);
  EXPECT_EQ(reason.text, "the broker closed the connection");

  peer->client.Connect();
  const DisconnectReason refused = peer->WaitForEnd();
  EXPECT_EQ(refused.kind, DisconnectKind::kUnreachable);
  EXPECT_EQ(refused.text, "Connection refused");
  broker_.Restart();
  peer->ConnectAndWait();
}

TEST_F(MosquittoClientTest, BrokerKilledUnderLoad) {
  auto peer = MakeConnectedClient();
  peer->SubscribeAndWait("load", Qos::kAtLeastOnce);
  RecordingListener& listener = peer->listener;
  const auto send = [&] {
    // An error is one that OnDisconnected() follows.
    peer->client.Publish({"load", "x", Qos::kAtLeastOnce, false}).IgnoreError();
    if (listener.published.size() == 1000) broker_.Kill();
  };
  listener.on_event = [&, published = size_t{0}]() mutable {
    if (listener.published.size() == published) return;
    published = listener.published.size();
    send();
  };
  for (int i = 0; i < 100; ++i) send();
  EXPECT_EQ(peer->WaitForEnd().kind, DisconnectKind::kLost);
  EXPECT_THAT(listener.disconnects, SizeIs(1));
}

// Ten seconds: keep alive knows none below five.
TEST_F(MosquittoClientTest, KeepAliveFindsAFrozenBroker) {
  Settings settings = LocalSettings(broker_.port());
  settings.keepalive_seconds = 5;
  auto peer = MakeClient(settings);
  peer->ConnectAndWait();
  RecordingListener& listener = peer->listener;
  listener.RunUntil([&] { return listener.ping_responses == 1; });
  EXPECT_EQ(listener.ping_requests, 1);
  broker_.Freeze();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kKeepAliveTimeout);
  EXPECT_THAT(reason.text, HasSubstr("5 s of keepalive"));
  EXPECT_EQ(listener.ping_requests, 2);
  EXPECT_EQ(listener.ping_responses, 1);
}

// While messages go out, none comes in: PINGREQ is due all the same, and its
// answer proves what was written before.
TEST_F(MosquittoClientTest, PingsUnderLoad) {
  Settings settings = LocalSettings(broker_.port());
  settings.keepalive_seconds = 5;
  auto peer = MakeClient(settings);
  peer->ConnectAndWait();
  RecordingListener& listener = peer->listener;
  const auto timer = loop_.CreateTimer([&] {
    peer->client.BeginBatch();
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(peer->client.Publish({"load", "x"}).ok());
    }
    peer->client.EndBatch();
  });
  listener.on_event = [&] {
    if (!timer->IsRunning()) timer->Start(std::chrono::milliseconds(1));
  };
  timer->Start(Duration::zero());
  listener.RunUntil([&] { return listener.ping_responses == 1; });
  EXPECT_EQ(listener.ping_requests, 1);
}

TEST_F(MosquittoClientTest, KeepAliveMayBeOff) {
  Settings settings = LocalSettings(broker_.port());
  settings.keepalive_seconds = 0;
  auto peer = MakeClient(settings);
  peer->ConnectAndWait();
  peer->DisconnectAndWait();
}

TEST_F(MosquittoClientTest, TakeoverIsALostConnection) {
  Settings settings = LocalSettings(broker_.port());
  settings.id = "the-same";
  auto first = MakeClient(settings);
  first->ConnectAndWait();
  auto second = MakeClient(settings);
  EXPECT_EQ(second->client.client_id(), "the-same");
  second->ConnectAndWait();
  first->listener.RunUntil(
      [&] { return !first->listener.disconnects.empty(); });
  EXPECT_EQ(first->listener.disconnects[0].kind, DisconnectKind::kLost);
}

TEST(MosquittoClientCredentialsTest, WrongOnesAreRefusedWithTheReason) {
  const std::string passwords = testing::TempDir() + "/passwords";
  {
    // PBKDF2 is mosquitto_passwd's business; a plain file is hashed by it.
    std::ofstream file(passwords);
    file << "user:secret\n";
  }
  ASSERT_EQ(std::system(
                absl::StrCat("mosquitto_passwd -U '", passwords, "'").c_str()),
            0);
  MosquittoBroker broker(
      {"allow_anonymous false", absl::StrCat("password_file ", passwords)});
  NullLog log;
  EvLoop loop;
  Settings settings;
  settings.host = "127.0.0.1";
  settings.port = broker.port();
  settings.username = "user";
  settings.password = "wrong";
  ListenedClient refused(&loop, &log, settings);
  refused.client.Connect();
  const DisconnectReason reason = refused.WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kBadCredentials);
  EXPECT_THAT(reason.text, HasSubstr("Connection Refused"));
  EXPECT_EQ(refused.listener.connects, 0);

  settings.password = "secret";
  ListenedClient accepted(&loop, &log, settings);
  accepted.ConnectAndWait();
}

TEST_F(MosquittoClientTest, DestroyedWhileConnected) {
  auto peer = MakeConnectedClient();
  ASSERT_TRUE(peer->client.Publish({"a", "x"}).ok());
  peer.reset();
  loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
  loop_.Run();
}

TEST_F(MosquittoClientTest, DestroyedWhileConnecting) {
  for (int i = 0; i < 50; ++i) {
    auto peer = MakeClient(LocalSettings(broker_.port()));
    peer->client.Connect();
  }
  loop_.Post([this] { loop_.Post([this] { loop_.Stop(); }); });
  loop_.Run();
}

TEST_F(MosquittoClientTest, AbortWhileConnecting) {
  auto peer = MakeClient(LocalSettings(broker_.port()));
  for (int i = 0; i < 3; ++i) {
    peer->client.Connect();
    peer->client.Abort({DisconnectKind::kRequested, "changed my mind"});
    EXPECT_EQ(peer->WaitForEnd().text, "changed my mind");
  }
  EXPECT_EQ(peer->listener.connects, 0);
  peer->ConnectAndWait();
}

TEST_F(MosquittoClientTest, DisconnectWhileConnecting) {
  auto peer = MakeClient(LocalSettings(broker_.port()));
  peer->client.Connect();
  peer->DisconnectAndWait();
  EXPECT_EQ(peer->listener.connects, 0);
}

TEST_F(MosquittoClientTest, AbortWithoutAConnectionDoesNothing) {
  auto peer = MakeConnectedClient();
  peer->DisconnectAndWait();
  peer->client.Abort({DisconnectKind::kRequested, "again"});
  peer->ConnectAndWait();
  EXPECT_THAT(peer->listener.disconnects, SizeIs(1));
}

TEST_F(MosquittoClientTest, LeavesNothingBehind) {
  auto peer = MakeConnectedClient();
  peer->DisconnectAndWait();
  const size_t descriptors = CountEntries("/proc/self/fd");
  const size_t threads = CountEntries("/proc/self/task");
  for (int i = 0; i < 200; ++i) {
    peer->ConnectAndWait();
    ASSERT_TRUE(peer->client.Publish({"a", "x"}).ok());
    if (i % 2 == 0) {
      peer->DisconnectAndWait();
    } else {
      peer->client.Abort({DisconnectKind::kRequested, "enough"});
      peer->WaitForEnd();
    }
  }
  EXPECT_EQ(CountEntries("/proc/self/fd"), descriptors);
  EXPECT_EQ(CountEntries("/proc/self/task"), threads);
}

}  // namespace
}  // namespace kamailio_mqtt
