// SPDX-License-Identifier: GPL-3.0-or-later

// What the tests of MosquittoClient share.
#ifndef MQTT_CORE_TESTING_CLIENT_TEST_H_
#define MQTT_CORE_TESTING_CLIENT_TEST_H_

#include <signal.h>

#include <cstdint>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/input_account.h"
#include "mqtt_core/log.h"
#include "mqtt_core/mosquitto_client.h"
#include "mqtt_core/settings.h"
#include "mqtt_core/testing/recording_listener.h"

namespace kamailio_mqtt {

class NullLog : public Log {
 public:
  void Write(LogLevel, const std::string&) override {}
};

// A client with its listener.
struct ListenedClient {
  ListenedClient(EventLoop* loop, Log* log, const Settings& settings,
                 int64_t input_limit = InputAccount::kDefaultLimit)
      : listener(loop), client(loop, log, settings, input_limit) {
    client.SetListener(&listener);
  }

  void ConnectAndWait() {
    const int connects = listener.connects;
    const size_t disconnects = listener.disconnects.size();
    client.Connect();
    listener.RunUntil([&] {
      return listener.connects > connects ||
             listener.disconnects.size() > disconnects;
    });
    ASSERT_EQ(listener.disconnects.size(), disconnects)
        << listener.disconnects.back().text;
  }

  // Subscribes and waits for SUBACK.
  void SubscribeAndWait(const std::string& filter, Qos qos) {
    const size_t before = listener.subacks.size();
    ASSERT_TRUE(client.Subscribe(filter, qos).ok());
    listener.RunUntil([&] { return listener.subacks.size() > before; });
  }

  // Waits for the next end of a connection or attempt.
  DisconnectReason WaitForEnd() {
    const size_t before = listener.disconnects.size();
    listener.RunUntil([&] { return listener.disconnects.size() > before; });
    if (listener.disconnects.size() == before) return {};
    return listener.disconnects[before];
  }

  void DisconnectAndWait() {
    client.Disconnect();
    EXPECT_EQ(WaitForEnd().kind, DisconnectKind::kRequested);
  }

  RecordingListener listener;
  MosquittoClient client;
};

class ClientTest : public ::testing::Test {
 protected:
  // Kamailio survives it, and OpenSSL writes with nothing else in mind.
  ClientTest() { signal(SIGPIPE, SIG_IGN); }

  static Settings LocalSettings(int port) {
    Settings settings;
    settings.host = "127.0.0.1";
    settings.port = port;
    return settings;
  }

  std::unique_ptr<ListenedClient> MakeClient(
      const Settings& settings,
      int64_t input_limit = InputAccount::kDefaultLimit) {
    return std::make_unique<ListenedClient>(&loop_, &log_, settings,
                                            input_limit);
  }

  NullLog log_;
  EvLoop loop_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_CLIENT_TEST_H_
