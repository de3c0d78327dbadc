// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/mosquitto_broker.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

constexpr auto kDeadline = std::chrono::seconds(30);
constexpr int kAttempts = 5;
constexpr auto kPause = std::chrono::milliseconds(2);

// mosquitto takes no port 0; this one may be taken before it gets there.
int FreePort() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(descriptor, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(descriptor);
  return ntohs(address.sin_port);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

MosquittoBroker::MosquittoBroker(const std::vector<std::string>& options)
    : directory_(testing::TempDir() + "/mosquitto_XXXXXX") {
  EXPECT_NE(mkdtemp(directory_.data()), nullptr) << directory_;
  for (int i = 0; i < kAttempts; ++i) {
    port_ = FreePort();
    WriteConfiguration(options);
    if (Start()) return;
  }
  ADD_FAILURE() << "mosquitto does not start: " << ReadFile(LogPath());
}

MosquittoBroker::~MosquittoBroker() {
  Kill();
  std::filesystem::remove_all(directory_);
}

void MosquittoBroker::Kill() { process_.reset(); }

void MosquittoBroker::Restart() {
  Kill();
  EXPECT_TRUE(Start()) << ReadFile(LogPath());
}

void MosquittoBroker::Freeze() { process_->Signal(SIGSTOP); }

void MosquittoBroker::Thaw() { process_->Signal(SIGCONT); }

std::string MosquittoBroker::ConfigurationPath() const {
  return directory_ + "/mosquitto.conf";
}

std::string MosquittoBroker::LogPath() const {
  return directory_ + "/mosquitto.log";
}

void MosquittoBroker::WriteConfiguration(
    const std::vector<std::string>& options) {
  std::ofstream configuration(ConfigurationPath());
  configuration << "persistence false\n"
                << "log_dest stderr\n"
                << "user root\n"  // else root is given up, and our files lost
                << "max_queued_messages 100000\n"
                << "listener " << port_ << " 127.0.0.1\n";
  configuration << "allow_anonymous true\n";
  for (const std::string& option : options) configuration << option << "\n";
}

bool MosquittoBroker::Start() {
  std::filesystem::remove(LogPath());
  process_.emplace(std::vector<std::string>{"/usr/sbin/mosquitto", "-c",
                                            ConfigurationPath()},
                   LogPath());
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (process_->IsRunning() && std::chrono::steady_clock::now() < deadline) {
    // The line "mosquitto version 2.1.2 running".
    if (absl::StrContains(ReadFile(LogPath()), " running\n")) return true;
    std::this_thread::sleep_for(kPause);
  }
  return false;
}

}  // namespace kamailio_mqtt
