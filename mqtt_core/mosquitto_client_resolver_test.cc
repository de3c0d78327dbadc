// SPDX-License-Identifier: GPL-3.0-or-later

// With a name service that does not answer: this program has its own
// getaddrinfo(3).

#include <dlfcn.h>
#include <netdb.h>

#include <condition_variable>
#include <mutex>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/mosquitto_client.h"
#include "mqtt_core/testing/client_test.h"

namespace kamailio_mqtt {
namespace {

constexpr char kHostWithoutAnswer[] = "no-answer.invalid";

class NameService {
 public:
  static NameService& Get() {
    static NameService name_service;
    return name_service;
  }

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return answers_; });
    --waiting_;
    changed_.notify_all();
  }

  void WaitForQueries(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ == count; });
  }

  // From now on, and those who wait; returns when they have it.
  void Answer() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      answers_ = true;
      changed_.notify_all();
    }
    WaitForQueries(0);
  }

  void StopAnswering() {
    std::lock_guard<std::mutex> lock(mutex_);
    answers_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool answers_ = false;
};

class MosquittoClientResolverTest : public ClientTest {
 protected:
  MosquittoClientResolverTest() { NameService::Get().StopAnswering(); }
  ~MosquittoClientResolverTest() override { NameService::Get().Answer(); }
};

TEST_F(MosquittoClientResolverTest, StuckAttemptsAreBounded) {
  Settings settings = LocalSettings(1);
  settings.host = kHostWithoutAnswer;
  auto peer = MakeClient(settings);
  const int limit = MosquittoClient::kMaxStuckAttempts;
  for (int i = 1; i <= limit; ++i) {
    peer->client.Connect();
    NameService::Get().WaitForQueries(i);
    peer->client.Abort({DisconnectKind::kRequested, "enough"});
    EXPECT_EQ(peer->WaitForEnd().text, "enough");
  }
  peer->client.Connect();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kUnreachable);
  EXPECT_EQ(reason.text,
            "the name service has not answered 4 earlier attempts yet");
  NameService::Get().Answer();

  // The threads end by and by; then there is room again.
  peer->listener.on_event = [&] {
    if (peer->listener.disconnects.back().text == reason.text) {
      peer->client.Connect();
    }
  };
  peer->client.Connect();
  peer->listener.RunUntil([&] {
    return peer->listener.disconnects.back().text != reason.text &&
           peer->listener.disconnects.back().text != "enough";
  });
  EXPECT_EQ(peer->listener.disconnects.back().text,
            "cannot resolve the host name: Name or service not known");
}

TEST_F(MosquittoClientResolverTest, StuckAttemptDoesNotDelayDestruction) {
  Settings settings = LocalSettings(1);
  settings.host = kHostWithoutAnswer;
  auto peer = MakeClient(settings);
  peer->client.Connect();
  NameService::Get().WaitForQueries(1);
  peer.reset();
}

TEST_F(MosquittoClientResolverTest, TimeoutSaysWhatItWaitedFor) {
  Settings settings = LocalSettings(1);
  settings.host = kHostWithoutAnswer;
  settings.connect_timeout_seconds = 1;
  auto peer = MakeClient(settings);
  peer->client.Connect();
  const DisconnectReason reason = peer->WaitForEnd();
  EXPECT_EQ(reason.kind, DisconnectKind::kTimeout);
  EXPECT_THAT(reason.text, ::testing::HasSubstr("name resolution"));
}

}  // namespace
}  // namespace kamailio_mqtt

// Comes before libc's for libmosquitto, too.
extern "C" int getaddrinfo(const char* node, const char* service,
                           const struct addrinfo* hints,
                           struct addrinfo** result) {
  if (absl::string_view(node) == kamailio_mqtt::kHostWithoutAnswer) {
    kamailio_mqtt::NameService::Get().Wait();
    return EAI_NONAME;
  }
  using Function = int (*)(const char*, const char*, const struct addrinfo*,
                           struct addrinfo**);
  static const auto next =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(node, service, hints, result);
}
