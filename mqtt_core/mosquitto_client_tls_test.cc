// SPDX-License-Identifier: GPL-3.0-or-later

// Over TLS, with certificates of all kinds.

#include <malloc.h>

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/mosquitto_client.h"
#include "mqtt_core/testing/client_test.h"
#include "mqtt_core/testing/mosquitto_broker.h"
#include "mqtt_core/testing/tcp_peers.h"
#include "mqtt_core/testing/tls_files.h"

namespace kamailio_mqtt {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Made once for all tests:
//   ca, unrelated_ca   two CAs that know nothing of one another
//   server             for localhost and 127.0.0.1
//   wrong_name         for another host
//   expired            for localhost, not valid any more
//   client             for client authentication
//   unrelated_client   the same, signed by unrelated_ca
class Certificates {
 public:
  static const Certificates& Get() {
    static const Certificates certificates;
    return certificates;
  }

  Certificates() {
    files_.MakeCertificate("ca");
    files_.MakeCertificate("unrelated_ca");
    Sign("server", "ca", "2", "DNS:localhost,IP:127.0.0.1");
    Sign("wrong_name", "ca", "2", "DNS:elsewhere.invalid");
    // Valid until the second in which it is made, which is over for OpenSSL.
    Sign("expired", "ca", "0", "DNS:localhost,IP:127.0.0.1");
    Sign("client", "ca", "2", "DNS:client");
    Sign("unrelated_client", "unrelated_ca", "2", "DNS:client");
    files_.OpenSsl(
        "pkey -in client.key -aes128 -passout pass:secret -out locked.key");
    for (const char* ca : {"ca", "unrelated_ca"}) {
      const std::string path = absl::StrCat(ca, "_path");
      files_.MakeDirectory(path);
      files_.Write(absl::StrCat(path, "/ca.pem"),
                   files_.Read(absl::StrCat(ca, ".crt")));
      files_.OpenSsl(absl::StrCat("rehash ", path));
    }
  }

  std::string Path(absl::string_view name) const { return files_.Path(name); }

 private:
  void Sign(const std::string& name, const std::string& ca,
            const std::string& days, const std::string& alternative_names) {
    files_.OpenSsl(absl::StrCat(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-subj /CN=",
        name, " -keyout ", name, ".key -out ", name, ".csr"));
    files_.Write(absl::StrCat(name, ".ext"),
                 absl::StrCat("subjectAltName=", alternative_names));
    files_.OpenSsl(absl::StrCat(
        "x509 -req -in ", name, ".csr -CA ", ca, ".crt -CAkey ", ca,
        ".key -days ", days, " -extfile ", name, ".ext -out ", name, ".crt"));
  }

  const TlsFiles files_;
};

std::string Path(absl::string_view name) {
  return Certificates::Get().Path(name);
}

class MosquittoClientTlsTest : public ClientTest {
 protected:
  void StartBroker(const std::string& certificate,
                   std::vector<std::string> options = {}) {
    options.push_back(
        absl::StrCat("certfile ", Path(absl::StrCat(certificate, ".crt"))));
    options.push_back(
        absl::StrCat("keyfile ", Path(absl::StrCat(certificate, ".key"))));
    broker_ = std::make_unique<MosquittoBroker>(options);
  }

  void StartBrokerThatAsksForCertificates() {
    StartBroker("server", {"require_certificate true",
                           absl::StrCat("cafile ", Path("ca.crt"))});
  }

  static Settings TlsSettings(int port) {
    Settings settings = LocalSettings(port);
    settings.tls.ca_file = Path("ca.crt");
    return settings;
  }

  Settings TlsSettings() const { return TlsSettings(broker_->port()); }

  void ExpectConnects(const Settings& settings) {
    auto peer = MakeClient(settings);
    peer->ConnectAndWait();
    peer->DisconnectAndWait();
  }

  std::string ExpectUnreachable(const Settings& settings) {
    auto peer = MakeClient(settings);
    peer->client.Connect();
    const DisconnectReason reason = peer->WaitForEnd();
    EXPECT_EQ(reason.kind, DisconnectKind::kUnreachable) << reason.text;
    EXPECT_EQ(peer->listener.connects, 0);
    EXPECT_THAT(peer->listener.disconnects, SizeIs(1));
    return reason.text;
  }

  std::unique_ptr<MosquittoBroker> broker_;
};

TEST_F(MosquittoClientTlsTest, CaFile) {
  StartBroker("server");
  ExpectConnects(TlsSettings());
}

// Of small messages most of what comes is TLS's own.
TEST_F(MosquittoClientTlsTest, DeliveredMessagesAreNoMatterToTheInputLimit) {
  constexpr int64_t kLimit = 32 << 10;
  constexpr size_t kMessages = 2000;
  StartBroker("server");
  auto peer = MakeClient(TlsSettings(), kLimit);
  peer->ConnectAndWait();
  peer->SubscribeAndWait("t", Qos::kExactlyOnce);
  for (size_t i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(peer->client.Publish({"t", "", static_cast<Qos>(i % 3)}).ok());
    peer->listener.RunUntil([&] {
      return peer->listener.messages.size() > i &&
             peer->listener.published.size() > i;
    });
  }
  EXPECT_THAT(peer->listener.disconnects, IsEmpty());
}

TEST_F(MosquittoClientTlsTest, CaPath) {
  StartBroker("server");
  Settings settings = TlsSettings();
  settings.tls.ca_file.reset();
  settings.tls.ca_path = Path("ca_path");
  ExpectConnects(settings);
  settings.tls.ca_path = Path("unrelated_ca_path");
  EXPECT_THAT(ExpectUnreachable(settings),
              HasSubstr("certificate is refused: unable to get local issuer"));
}

TEST_F(MosquittoClientTlsTest, HostName) {
  StartBroker("server");
  Settings settings = TlsSettings();
  settings.host = "localhost";
  ExpectConnects(settings);
}

TEST_F(MosquittoClientTlsTest, UnrelatedCa) {
  StartBroker("server");
  Settings settings = TlsSettings();
  settings.tls.ca_file = Path("unrelated_ca.crt");
  EXPECT_EQ(ExpectUnreachable(settings),
            "TLS: the broker's certificate is refused: unable to get local "
            "issuer certificate");
}

TEST_F(MosquittoClientTlsTest, Expired) {
  StartBroker("expired");
  EXPECT_EQ(ExpectUnreachable(TlsSettings()),
            "TLS: the broker's certificate is refused: certificate has "
            "expired");
}

TEST_F(MosquittoClientTlsTest, WrongName) {
  StartBroker("wrong_name");
  EXPECT_EQ(ExpectUnreachable(TlsSettings()),
            "TLS: the broker's certificate is not for host \"127.0.0.1\"");
}

TEST_F(MosquittoClientTlsTest, VerificationMayBeOff) {
  for (const char* certificate : {"server", "wrong_name", "expired"}) {
    StartBroker(certificate);
    Settings settings = TlsSettings();
    settings.tls.ca_file = Path("unrelated_ca.crt");
    settings.tls.verify_certificate = "0";
    ExpectConnects(settings);
  }
}

TEST_F(MosquittoClientTlsTest, ClientCertificate) {
  StartBrokerThatAsksForCertificates();
  Settings settings = TlsSettings();
  settings.tls.certificate = Path("client.crt");
  settings.tls.private_key = Path("client.key");
  ExpectConnects(settings);
}

// Of TLS 1.3, the client has written CONNECT before it hears of the refusal.
TEST_F(MosquittoClientTlsTest, MissingClientCertificate) {
  StartBrokerThatAsksForCertificates();
  Settings settings = TlsSettings();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ExpectUnreachable(settings),
              "TLS: the broker refused: tlsv13 alert certificate required");
  }
}

TEST_F(MosquittoClientTlsTest, UnrelatedClientCertificate) {
  StartBrokerThatAsksForCertificates();
  Settings settings = TlsSettings();
  settings.tls.certificate = Path("unrelated_client.crt");
  settings.tls.private_key = Path("unrelated_client.key");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ExpectUnreachable(settings),
              "TLS: the broker refused: tlsv1 alert unknown ca");
  }
}

// With and without a session that is kept, and the library's handle with it.
class MosquittoClientTlsReconnectTest
    : public MosquittoClientTlsTest,
      public ::testing::WithParamInterface<bool> {
 protected:
  Settings ReconnectSettings() const {
    Settings settings = TlsSettings();
    if (GetParam()) settings.id = "me";
    return settings;
  }
};

INSTANTIATE_TEST_SUITE_P(Sessions, MosquittoClientTlsReconnectTest,
                         ::testing::Bool(), [](const auto& info) {
                           return info.param ? "Kept" : "Clean";
                         });

TEST_P(MosquittoClientTlsReconnectTest, TakesNoMemory) {
  StartBroker("server");
  auto peer = MakeClient(ReconnectSettings());
  RecordingListener& listener = peer->listener;
  size_t submitted = 0;
  const auto reconnect = [&](int times) {
    for (int i = 0; i < times; ++i) {
      peer->ConnectAndWait();
      if (GetParam()) {
        listener.RunUntil(
            [&] { return listener.published.size() == submitted; });
      }
      ASSERT_TRUE(peer->client.Publish({"t", "x", Qos::kExactlyOnce}).ok());
      ++submitted;
      peer->client.Abort({DisconnectKind::kRequested, "enough"});
      peer->WaitForEnd();
      listener.disconnects.clear();
    }
  };
  reconnect(20);
  const size_t before = mallinfo2().uordblks;
  constexpr int kTimes = 500;
  reconnect(kTimes);
  // Caches settle at some 100 kB in all. A TLS context is 25 kB.
  EXPECT_LT(mallinfo2().uordblks, before + kTimes * 1000);
}

// One client, whose connections share what OpenSSL keeps for them.
TEST_P(MosquittoClientTlsReconnectTest, FilesAreReadForEachConnection) {
  StartBrokerThatAsksForCertificates();
  const TlsFiles files;
  const auto replace = [&](absl::string_view name, absl::string_view by) {
    std::filesystem::copy_file(
        Path(by), files.Path(name),
        std::filesystem::copy_options::overwrite_existing);
  };
  Settings settings = ReconnectSettings();
  settings.tls.ca_file = files.Path("ca.crt");
  settings.tls.certificate = files.Path("client.crt");
  settings.tls.private_key = files.Path("client.key");
  replace("ca.crt", "ca.crt");
  replace("client.crt", "client.crt");
  replace("client.key", "client.key");
  auto peer = MakeClient(settings);
  peer->ConnectAndWait();
  peer->DisconnectAndWait();

  replace("ca.crt", "unrelated_ca.crt");
  peer->client.Connect();
  EXPECT_THAT(peer->WaitForEnd().text, HasSubstr("certificate is refused"));

  replace("ca.crt", "ca.crt");
  replace("client.crt", "unrelated_client.crt");
  replace("client.key", "unrelated_client.key");
  peer->client.Connect();
  EXPECT_THAT(peer->WaitForEnd().text, HasSubstr("alert unknown ca"));

  replace("client.crt", "client.crt");
  replace("client.key", "client.key");
  peer->ConnectAndWait();
  peer->DisconnectAndWait();
}

// Nobody is asked for the passphrase.
TEST_F(MosquittoClientTlsTest, LockedPrivateKey) {
  StartBrokerThatAsksForCertificates();
  Settings settings = TlsSettings();
  settings.tls.certificate = Path("client.crt");
  settings.tls.private_key = Path("locked.key");
  EXPECT_THAT(ExpectUnreachable(settings),
              HasSubstr("Unable to load client key file"));
}

TEST_F(MosquittoClientTlsTest, MissingFile) {
  StartBroker("server");
  Settings settings = TlsSettings();
  settings.tls.ca_file = Path("nowhere");
  EXPECT_THAT(ExpectUnreachable(settings), HasSubstr("No such file"));
}

TEST_F(MosquittoClientTlsTest, Methods) {
  StartBroker("server", {"tls_version tlsv1.3"});
  Settings settings = TlsSettings();
  for (const char* method : {"tlsv1.2", "tlsv1.3", "TLSv1.3"}) {
    settings.tls.tls_method = method;
    ExpectConnects(settings);
  }
}

TEST_F(MosquittoClientTlsTest, CipherList) {
  StartBroker("server");
  Settings settings = TlsSettings();
  settings.tls.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256";
  ExpectConnects(settings);
  settings.tls.cipher_list = "no-such-cipher";
  EXPECT_THAT(ExpectUnreachable(settings),
              HasSubstr("Unable to set TLS ciphers"));
}

TEST_F(MosquittoClientTlsTest, ApplicationProtocol) {
  StartBroker("server");
  Settings settings = TlsSettings();
  settings.tls.tls_alpn = "mqtt";
  ExpectConnects(settings);
}

TEST_F(MosquittoClientTlsTest, MessagesOfAllSizes) {
  StartBroker("server");
  auto peer = MakeClient(TlsSettings());
  peer->ConnectAndWait();
  peer->SubscribeAndWait("sizes", Qos::kAtLeastOnce);
  const std::vector<size_t> sizes = {0,     1,         1000,   16384,
                                     16385, (1 << 20), 100000, 3};
  peer->client.BeginBatch();
  for (const size_t size : sizes) {
    ASSERT_TRUE(peer->client
                    .Publish({"sizes", std::string(size, 'x'),
                              Qos::kAtLeastOnce, false})
                    .ok());
  }
  peer->client.EndBatch();
  std::vector<InboundMessage>& messages = peer->listener.messages;
  peer->listener.RunUntil([&] { return messages.size() == sizes.size(); });
  for (size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(messages[i].payload.size(), sizes[i]);
  }
}

// A record of TLS holds many packets: what OpenSSL has read, no descriptor
// shows.
TEST_F(MosquittoClientTlsTest, ManySmallMessages) {
  constexpr size_t kMessages = 20000;
  StartBroker("server");
  auto peer = MakeClient(TlsSettings());
  peer->ConnectAndWait();
  peer->SubscribeAndWait("many", Qos::kAtMostOnce);
  size_t sent = 0;
  const auto send = [&] {
    peer->client.BeginBatch();
    while (sent < kMessages && peer->client.WantsMore() &&
           sent - peer->listener.messages.size() < 1000) {
      ASSERT_TRUE(
          peer->client.Publish({"many", absl::StrCat("message ", sent)}).ok());
      ++sent;
    }
    peer->client.EndBatch();
  };
  peer->listener.on_event = send;
  send();
  peer->listener.RunUntil(
      [&] { return peer->listener.messages.size() == kMessages; });
  for (size_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(peer->listener.messages[i].payload, absl::StrCat("message ", i));
  }
}

TEST_F(MosquittoClientTlsTest, DisconnectIsClean) {
  StartBroker("server");
  auto observer = MakeClient(TlsSettings());
  observer->ConnectAndWait();
  observer->SubscribeAndWait("will", Qos::kAtMostOnce);
  Settings settings = TlsSettings();
  settings.will.topic = "will";
  settings.will.payload = "gone";
  ExpectConnects(settings);
  ASSERT_TRUE(observer->client.Publish({"will", "fence"}).ok());
  observer->listener.RunUntil(
      [&] { return !observer->listener.messages.empty(); });
  EXPECT_EQ(observer->listener.messages[0].payload, "fence");
}

TEST_F(MosquittoClientTlsTest, BrokerWithoutTls) {
  MosquittoBroker plain;
  EXPECT_THAT(ExpectUnreachable(TlsSettings(plain.port())),
              StartsWith("TLS: "));
}

TEST_F(MosquittoClientTlsTest, HandshakeThatStalls) {
  ScriptedServer server(&loop_);
  Settings settings = TlsSettings(server.port());
  settings.connect_timeout_seconds = 1;
  auto peer = MakeClient(settings);
  peer->client.Connect();
  const std::clock_t cpu_before = std::clock();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kTimeout);
  EXPECT_EQ(reason.text,
            "connect_timeout of 1 s has passed, waiting for the TLS "
            "handshake");
  EXPECT_LT(std::clock() - cpu_before, CLOCKS_PER_SEC / 2) << "it spun";
}

TEST_F(MosquittoClientTlsTest, HandshakeThatBreaks) {
  using Break = void (ScriptedServer::*)();
  for (const Break end : {&ScriptedServer::Close, &ScriptedServer::Reset}) {
    ScriptedServer server(&loop_);
    server.on_change = [&] {
      if (!server.received().empty()) (server.*end)();
    };
    EXPECT_THAT(ExpectUnreachable(TlsSettings(server.port())),
                AnyOf(StartsWith("TLS: "), "Connection reset by peer"));
  }
}

TEST_F(MosquittoClientTlsTest, HandshakeWithRubbish) {
  ScriptedServer server(&loop_);
  server.on_change = [&] {
    if (!server.received().empty()) {
      server.Send("HTTP/1.1 400 Bad Request\r\n\r\n");
      server.on_change = [] {};
    }
  };
  EXPECT_THAT(ExpectUnreachable(TlsSettings(server.port())),
              StartsWith("TLS: "));
}

}  // namespace
}  // namespace kamailio_mqtt
