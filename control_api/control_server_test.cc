// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_server.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "control_api/control_limits.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "control_api/testing/fake_service.h"
#include "control_api/testing/raw_client.h"
#include "control_api/testing/raw_stream.h"
#include "control_api/testing/short_directory.h"
#include "control_api/testing/watched_control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/tls_files.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uid_t kOtherUser = 65534;
constexpr Duration kGrace = milliseconds(200);
// For what must not wait for clients; far less than any timeout of theirs.
constexpr Duration kPatience = seconds(5);

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kHealthWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflection[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
// ServerReflectionRequest {list_services: "*"}.
constexpr char kListServices[] = "\x3a\x01*";
// HealthCheckResponse {status: SERVING} and {status: NOT_SERVING}.
constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";

// HealthCheckRequest {service: name}.
std::string HealthOf(const std::string& name) {
  return absl::StrCat("\x0a", std::string(1, static_cast<char>(name.size())),
                      name);
}

size_t CountFiles(const char* directory) {
  const std::filesystem::directory_iterator files(directory);
  return std::distance(begin(files), end(files));
}
size_t CountThreads() { return CountFiles("/proc/self/task"); }
size_t CountDescriptors() { return CountFiles("/proc/self/fd"); }

// Waits for `count()` to be at most `limit`: a thread that was joined is still
// listed for a moment, and gRPC closes connections in its own time.
testing::AssertionResult Falls(size_t (*count)(), size_t limit) {
  const auto deadline = steady_clock::now() + seconds(20);
  while (count() > limit) {
    if (steady_clock::now() > deadline) {
      return testing::AssertionFailure() << count() << ", not " << limit;
    }
    std::this_thread::yield();
  }
  return testing::AssertionSuccess();
}

class ControlServerTest : public testing::Test {
 protected:
  using Stub = v1::MqttControl::Stub;

  ControlServerTest() {
    settings_.address = absl::StrCat("unix:", directory_.Path("s"));
    settings_.mode = 0777;
  }

  void Start() {
    absl::StatusOr<ControlListener> listener =
        ControlListener::Create(settings_, geteuid(), getegid());
    ASSERT_TRUE(listener.ok()) << listener.status();
    ControlServer::Options options;
    options.peers = {{geteuid(), kOtherUser}, {}};
    if (settings_.tls_enabled()) {
      options.tls = *ReadControlTlsFiles(settings_);
    }
    server_ = std::make_unique<ControlServer>(
        *std::move(listener), std::move(options), &control_, &log_,
        [this](EventLoop*) {
          auto service = std::make_unique<FakeService>();
          service_ = service.get();
          return service;
        });
    server_->Start();
  }

  std::string Target() const { return server_->address().ToString(); }

  std::shared_ptr<grpc::Channel> Connect(
      std::shared_ptr<grpc::ChannelCredentials> credentials =
          grpc::InsecureChannelCredentials()) const {
    grpc::ChannelArguments arguments;
    // A connection of its own.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride("server");
    return grpc::CreateCustomChannel(Target(), std::move(credentials),
                                     arguments);
  }

  // Of this process, which is another user during connect() if it can.
  std::shared_ptr<grpc::Channel> ConnectAs(uid_t uid) const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::thread other_user([&] {
      // For this thread alone, other than seteuid().
      if (geteuid() == 0) syscall(SYS_setresuid, -1, uid, -1);
      EXPECT_EQ(
          connect(fd, server_->address().data(), server_->address().size()), 0);
    });
    other_user.join();
    EXPECT_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return grpc::CreateInsecureChannelFromFd("control", fd);
  }

  // Whom the service sees; the error, if there is one.
  static std::string Caller(const std::shared_ptr<grpc::Channel>& channel) {
    Stub stub(channel);
    grpc::ClientContext context;
    v1::GetStatusResponse response;
    const grpc::Status status = stub.GetStatus(&context, {}, &response);
    return status.ok() ? response.versions().module()
                       : absl::StrCat("error ", status.error_code());
  }

  grpc::Status Publish(size_t payload_bytes) const {
    Stub stub(Connect());
    grpc::ClientContext context;
    v1::PublishRequest request;
    request.set_payload(std::string(payload_bytes, 'x'));
    v1::PublishResponse response;
    return stub.Publish(&context, request, &response);
  }

  static std::string OwnIdentity() { return IdentityOf(geteuid()); }
  static std::string IdentityOf(uid_t uid) {
    return absl::StrCat("uid ", uid, ", pid ", getpid());
  }

  const ShortDirectory directory_;
  const TlsFiles files_;
  ControlSettings settings_;
  FakeLog log_;
  WatchedControl control_;
  FakeService* service_ = nullptr;  // the server's
  std::unique_ptr<ControlServer> server_;
};

// The first test, as no client of gRPC's must have its threads yet.
TEST_F(ControlServerTest, LeavesNothingBehind) {
  size_t descriptors = 0;
  for (int round = 0; round < 3; ++round) {
    const size_t threads = CountThreads();
    {
      Start();
      EXPECT_GT(CountThreads(), threads);
      const RawClient client(server_->address());
      EXPECT_FALSE(client.AwaitClosed());
      server_->Stop(kGrace);
      EXPECT_TRUE(Falls(CountThreads, threads));
      EXPECT_EQ(RawClient(server_->address()).error(), ENOENT);
      server_.reset();
    }
    EXPECT_EQ(control_.watchers(), 0u);
    // gRPC keeps two of its own after the first round.
    if (round == 0) descriptors = CountDescriptors();
    EXPECT_TRUE(Falls(CountDescriptors, descriptors));
  }
}

TEST_F(ControlServerTest, ItsThreadsGetNoSignals) {
  Start();
  const RawClient client(server_->address());
  EXPECT_FALSE(client.AwaitClosed());
  int threads = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(getpid())) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      absl::string_view hex = line;
      if (!absl::ConsumePrefix(&hex, "SigBlk:\t")) continue;
      uint64_t blocked = 0;
      ASSERT_TRUE(absl::SimpleHexAtoi(hex, &blocked));
      for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD}) {
        EXPECT_TRUE(blocked >> (signal - 1) & 1) << signal;
      }
      ++threads;
    }
  }
  EXPECT_GT(threads, 1);
}

TEST_F(ControlServerTest, ServesOverAUnixSocket) {
  Start();
  EXPECT_EQ(Caller(Connect()), OwnIdentity());
  EXPECT_THAT(log_.lines(LogLevel::kWarning), IsEmpty());
}

TEST_F(ControlServerTest, AnyPathWillDo) {
  settings_.address = absl::StrCat("unix:", directory_.Path("a b%20c"));
  Start();
  EXPECT_EQ(Caller(ConnectAs(geteuid())), OwnIdentity());
}

TEST_F(ControlServerTest, ServesOverTcp) {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    settings_.address = address;
    Start();
    EXPECT_EQ(Caller(Connect()), "");
  }
}

TEST_F(ControlServerTest, EveryConnectionHasItsOwnIdentity) {
  const uid_t other = geteuid() == 0 ? kOtherUser : geteuid();
  Start();
  const auto first = ConnectAs(other);
  const auto second = ConnectAs(geteuid());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Caller(first), IdentityOf(other));
    EXPECT_EQ(Caller(second), OwnIdentity());
  }
  // So many that they follow others in their slots.
  for (size_t i = 0; i < 2 * kMaxControlConnections; ++i) {
    const uid_t user = i % 3 == 0 ? other : geteuid();
    ASSERT_EQ(Caller(ConnectAs(user)), IdentityOf(user)) << i;
  }
  EXPECT_EQ(Caller(first), IdentityOf(other));
}

TEST_F(ControlServerTest, ConcurrentFirstCallsHaveTheIdentity) {
  Start();
  for (int round = 0; round < 10; ++round) {
    const auto channel = ConnectAs(geteuid());
    std::vector<std::thread> callers;
    for (int i = 0; i < 8; ++i) {
      callers.emplace_back([&] { EXPECT_EQ(Caller(channel), OwnIdentity()); });
    }
    for (std::thread& caller : callers) caller.join();
  }
}

TEST_F(ControlServerTest, AFloodOfConnectionsLeavesItUsable) {
  constexpr size_t kFlood = 1000;
  Start();
  {
    std::vector<RawClient> clients;
    while (clients.size() < kMaxControlConnections) {
      clients.emplace_back(server_->address());
      // gRPC greets who is in.
      ASSERT_FALSE(clients.back().AwaitClosed()) << clients.size();
    }
    for (size_t i = clients.size(); i < kFlood; ++i) {
      ASSERT_TRUE(RawClient(server_->address()).AwaitClosed()) << i;
    }
    EXPECT_THAT(log_.lines(LogLevel::kWarning),
                ElementsAre(HasSubstr("there are 100, the limit")));
  }
  // gRPC notices the ends in its own time.
  const auto channel = Connect();
  const auto deadline = std::chrono::system_clock::now() + seconds(20);
  EXPECT_TRUE(channel->WaitForConnected(deadline));
  EXPECT_EQ(Caller(channel), OwnIdentity());
}

TEST_F(ControlServerTest, ConnectionsLeaveNoDescriptors) {
  Start();
  EXPECT_EQ(Caller(ConnectAs(geteuid())), OwnIdentity());
  const size_t descriptors = CountDescriptors();
  for (int i = 0; i < 150; ++i) {
    ASSERT_EQ(Caller(ConnectAs(geteuid())), OwnIdentity());
  }
  EXPECT_TRUE(Falls(CountDescriptors, descriptors));
}

TEST_F(ControlServerTest, RefusesMessagesThatAreTooLarge) {
  constexpr size_t kOverhead = 64;
  Start();
  EXPECT_TRUE(Publish(kMaxControlRequestBytes - kOverhead).ok());
  EXPECT_EQ(Publish(kMaxControlRequestBytes).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Caller(Connect()), OwnIdentity());
}

TEST_F(ControlServerTest, ListsItsServices) {
  Start();
  RawStream reflection(Connect(), kReflection, kListServices);
  const absl::optional<std::string> services = reflection.Read();
  ASSERT_TRUE(services.has_value());
  for (const char* service :
       {"kamailio.mqtt.v1.MqttControl", "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_THAT(*services, HasSubstr(service));
  }
}

TEST_F(ControlServerTest, ReflectionTakesFewThreads) {
  Start();
  const auto channel = Connect();
  EXPECT_EQ(Caller(channel), OwnIdentity());
  const size_t threads = CountThreads();
  std::vector<std::unique_ptr<RawStream>> streams;
  int refused = 0;
  for (int i = 0; i < 3 * kMaxControlThreads; ++i) {
    streams.push_back(
        std::make_unique<RawStream>(channel, kReflection, kListServices));
    if (streams.back()->Read().has_value()) continue;
    EXPECT_EQ(streams.back()->Finish().error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
    ++refused;
  }
  EXPECT_GE(refused, 2 * kMaxControlThreads);
  EXPECT_LE(CountThreads(), threads + kMaxControlThreads);
  EXPECT_EQ(Caller(channel), OwnIdentity());
}

// A debug build of Abseil would end the process here.
TEST_F(ControlServerTest, LocksMayBeTakenInAnyOrder) {
  Start();
  EXPECT_EQ(Caller(Connect()), OwnIdentity());
  absl::Mutex one;
  absl::Mutex other;
  {
    const absl::MutexLock first(&one);
    const absl::MutexLock second(&other);
  }
  {
    const absl::MutexLock first(&other);
    const absl::MutexLock second(&one);
  }
  EXPECT_EQ(Caller(Connect()), OwnIdentity());
}

TEST_F(ControlServerTest, SaysThatItServes) {
  Start();
  RawStream health(Connect(), kHealthCheck, HealthOf(""));
  EXPECT_EQ(health.Read(), kServing);
}

TEST_F(ControlServerTest, SaysWhetherTheBrokerIsConnected) {
  Start();
  RawStream health(Connect(), kHealthWatch,
                   HealthOf("kamailio.mqtt.v1.Broker"));
  EXPECT_EQ(health.Read(), kNotServing);
  control_.SetConnected(true);
  EXPECT_EQ(health.Read(), kServing);
  control_.SetConnected(false);
  EXPECT_EQ(health.Read(), kNotServing);
  server_->Stop(Duration::zero());
  EXPECT_EQ(control_.watchers(), 0u);
  control_.SetConnected(true);
}

TEST_F(ControlServerTest, StopEndsCallsWithTheStatusOfTheService) {
  Start();
  grpc::ClientContext context;
  grpc::Status status;
  std::thread client([&] {
    Stub stub(Connect());
    v1::ReconnectResponse response;
    status = stub.Reconnect(&context, {}, &response);
  });
  service_->AwaitCalls(1);
  server_->Stop(kPatience);
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "stopping");
}

TEST_F(ControlServerTest, StopWaitsForNoClient) {
  Start();
  RawStream watch(Connect(), kHealthWatch, HealthOf(""));
  EXPECT_EQ(watch.Read(), kServing);
  RawStream reflection(Connect(), kReflection, kListServices);
  EXPECT_TRUE(reflection.Read().has_value());
  const RawClient silent(server_->address());
  EXPECT_FALSE(silent.AwaitClosed());
  grpc::ClientContext context;
  std::thread client([&] {
    Stub stub(Connect());
    v1::ReconnectResponse response;
    EXPECT_FALSE(stub.Reconnect(&context, {}, &response).ok());
  });
  service_->AwaitCalls(1);

  const auto begin = steady_clock::now();
  server_->Stop(kGrace);
  const Duration elapsed = steady_clock::now() - begin;
  RecordProperty("stop_ms", static_cast<int>(elapsed / milliseconds(1)));
  EXPECT_LT(elapsed, kPatience);
  client.join();
  EXPECT_FALSE(watch.Finish().ok());
  EXPECT_FALSE(reflection.Finish().ok());
}

TEST_F(ControlServerTest, AClientThatGoesAwayEndsItsCalls) {
  Start();
  grpc::ClientContext context;
  std::thread client([&] {
    Stub stub(Connect());
    v1::ReconnectResponse response;
    stub.Reconnect(&context, {}, &response);
  });
  service_->AwaitCalls(1);
  context.TryCancel();
  client.join();
  service_->AwaitCalls(0);
}

TEST_F(ControlServerTest, StopMayComeTwiceAndBeforeStart) {
  absl::StatusOr<ControlListener> listener =
      ControlListener::Create(settings_, geteuid(), getegid());
  const ControlAddress address = listener->address();
  ControlServer server(*std::move(listener), {}, &control_, &log_, nullptr);
  server.Stop(kGrace);
  EXPECT_EQ(RawClient(address).error(), ENOENT);
  server.Stop(kGrace);
}

class ControlServerTlsTest : public ControlServerTest {
 protected:
  ControlServerTlsTest() {
    for (const char* name : {"server", "alice", "mallory"}) {
      files_.MakeCertificate(name);
    }
    settings_.address = "127.0.0.1:0";
    settings_.tls_certificate = files_.Path("server.crt");
    settings_.tls_private_key = files_.Path("server.key");
    settings_.tls_ca = files_.Path("alice.crt");
  }

  // With the certificate of that name; empty: without one.
  std::shared_ptr<grpc::Channel> ConnectWith(const std::string& name) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = files_.Read("server.crt");
    if (!name.empty()) {
      options.pem_cert_chain = files_.Read(name + ".crt");
      options.pem_private_key = files_.Read(name + ".key");
    }
    return Connect(grpc::SslCredentials(options));
  }
};

TEST_F(ControlServerTlsTest, ACertificateOfTheCaLetsIn) {
  Start();
  EXPECT_EQ(Caller(ConnectWith("alice")), "alice");
  EXPECT_EQ(Caller(ConnectWith("alice")), "alice");
}

TEST_F(ControlServerTlsTest, NothingElseDoes) {
  Start();
  const std::string refused =
      absl::StrCat("error ", grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Caller(ConnectWith("")), refused);
  EXPECT_EQ(Caller(ConnectWith("mallory")), refused);
  EXPECT_EQ(Caller(Connect()), refused);
  EXPECT_EQ(Caller(ConnectWith("alice")), "alice");
  // gRPC's own lines are in our log.
  EXPECT_THAT(log_.lines(LogLevel::kWarning), Contains(HasSubstr("gRPC: ")));
}

TEST_F(ControlServerTlsTest, StopWaitsForNoHandshake) {
  Start();
  const RawClient half_open(server_->address());
  ASSERT_EQ(half_open.error(), 0);
  // Accepted after it.
  EXPECT_EQ(Caller(ConnectWith("alice")), "alice");
  const auto begin = steady_clock::now();
  server_->Stop(kGrace);
  EXPECT_LT(steady_clock::now() - begin, kPatience);
  EXPECT_TRUE(half_open.AwaitClosed());
}

}  // namespace
}  // namespace kamailio_mqtt
