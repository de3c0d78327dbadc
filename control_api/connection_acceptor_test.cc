// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/connection_acceptor.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "control_api/testing/raw_client.h"
#include "control_api/testing/short_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"
#include "mqtt_core/testing/fake_event_loop.h"
#include "mqtt_core/testing/fake_log.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kMaxConnections = 3;
constexpr uid_t kStranger = 65534;
constexpr gid_t kGroup = 54321;
constexpr int kPatienceMs = 20000;

class ConnectionAcceptorTest : public testing::Test {
 protected:
  struct Accepted {
    size_t slot;
    int fd;
    absl::optional<PeerCredentials> peer;
  };

  ConnectionAcceptorTest() {
    settings_.address = absl::StrCat("unix:", directory_.Path("s"));
    // The file lets everyone in: what is tested is that the acceptor does not.
    settings_.mode = 0777;
    policy_.users = {geteuid()};
  }
  ~ConnectionAcceptorTest() override {
    for (const Accepted& connection : accepted_) close(connection.fd);
  }

  void Listen() {
    listener_ = ControlListener::Create(settings_, geteuid(), getegid());
    ASSERT_TRUE(listener_.ok()) << listener_.status();
    acceptor_ = std::make_unique<ConnectionAcceptor>(
        &loop_, &log_, &*listener_, policy_, kMaxConnections,
        [this](size_t slot, int fd,
               const absl::optional<PeerCredentials>& peer) {
          accepted_.push_back({slot, fd, peer});
        });
  }

  RawClient Connect() {
    RawClient client(listener_->address());
    EXPECT_EQ(client.error(), 0);
    Accept();
    return client;
  }
  // One that waits, if there is one.
  void Accept() { loop_.SetReady(listener_->fd(), true, false); }

  // Whether a process with these ids, or with our own if we are not root, gets
  // in.
  bool LetsIn(uid_t uid, std::vector<gid_t> groups) {
    ForkedProcess client([&] {
      if (geteuid() == 0 && (setgroups(groups.size(), groups.data()) != 0 ||
                             setgid(uid) != 0 || setuid(uid) != 0)) {
        _exit(2);
      }
      const RawClient connection(listener_->address());
      _exit(connection.error() == 0 && !connection.AwaitClosed() ? 0 : 1);
    });
    pollfd waiting = {listener_->fd(), POLLIN, 0};
    EXPECT_EQ(poll(&waiting, 1, kPatienceMs), 1);
    const size_t before = accepted_.size();
    Accept();
    const bool is_in = accepted_.size() > before;
    if (is_in) send(accepted_.back().fd, "x", 1, 0);
    EXPECT_EQ(WEXITSTATUS(client.Reap()), is_in ? 0 : 1);
    return is_in;
  }

  const ShortDirectory directory_;
  ControlSettings settings_;
  PeerPolicy policy_;
  FakeClock clock_;
  FakeEventLoop loop_{&clock_};
  FakeLog log_;
  absl::StatusOr<ControlListener> listener_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::vector<Accepted> accepted_;
};

TEST_F(ConnectionAcceptorTest, HandsOverAConnectionWithItsPeer) {
  Listen();
  const RawClient client = Connect();
  ASSERT_THAT(accepted_, SizeIs(1));
  const Accepted& connection = accepted_[0];
  ASSERT_TRUE(connection.peer.has_value());
  EXPECT_EQ(connection.peer->uid, geteuid());
  EXPECT_EQ(connection.peer->pid, getpid());
  EXPECT_TRUE(fcntl(connection.fd, F_GETFD) & FD_CLOEXEC);
  EXPECT_TRUE(fcntl(connection.fd, F_GETFL) & O_NONBLOCK);
  EXPECT_FALSE(client.IsClosed());
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(ConnectionAcceptorTest, HasNoPeerOverTcp) {
  settings_.address = "127.0.0.1:0";
  policy_.users.clear();
  Listen();
  const RawClient client = Connect();
  ASSERT_THAT(accepted_, SizeIs(1));
  EXPECT_FALSE(accepted_[0].peer.has_value());
}

TEST_F(ConnectionAcceptorTest, NothingWaitsIsNoError) {
  Listen();
  Accept();
  EXPECT_THAT(log_.lines(), IsEmpty());
  EXPECT_TRUE(loop_.IsWaitingToRead(listener_->fd()));
}

TEST_F(ConnectionAcceptorTest, RefusesAnotherUser) {
  policy_.users.clear();  // root is allowed all the same
  const uid_t stranger = geteuid() == 0 ? kStranger : geteuid();
  Listen();
  EXPECT_FALSE(LetsIn(stranger, {kGroup}));
  EXPECT_THAT(log_.lines(LogLevel::kWarning),
              ElementsAre(AllOf(
                  HasSubstr(absl::StrCat("uid ", stranger, ", pid ")),
                  HasSubstr("neither root, Kamailio's user nor allowed"))));
}

TEST_F(ConnectionAcceptorTest, ALineForManyRefusals) {
  policy_.users.clear();  // root is allowed all the same
  Listen();
  ForkedProcess stranger([&] {
    if (geteuid() == 0 && setuid(kStranger) != 0) _exit(2);
    std::vector<RawClient> clients;
    for (int i = 0; i < 50; ++i) clients.emplace_back(listener_->address());
  });
  EXPECT_EQ(stranger.Reap(), 0);
  for (int i = 0; i < 50; ++i) Accept();
  EXPECT_THAT(accepted_, IsEmpty());
  EXPECT_THAT(log_.lines(), SizeIs(1));
  loop_.Advance(LimitedLog::kInterval);
  EXPECT_THAT(log_.lines(),
              ElementsAre(HasSubstr("refused"),
                          HasSubstr("(the last of 49 such events)")));
}

TEST_F(ConnectionAcceptorTest, LetsTheUserOfTheParameterIn) {
  policy_.users = {geteuid() == 0 ? kStranger : geteuid()};
  Listen();
  EXPECT_TRUE(LetsIn(kStranger, {}));
}

TEST_F(ConnectionAcceptorTest, LetsMembersOfTheGroupIn) {
  policy_.users.clear();
  policy_.group = geteuid() == 0 ? kGroup : getegid();
  Listen();
  EXPECT_TRUE(LetsIn(kStranger, {12345, kGroup}));
  if (geteuid() == 0) {
    EXPECT_FALSE(LetsIn(kStranger, {12345}));
  }
}

TEST_F(ConnectionAcceptorTest, ClosesWhatIsAboveTheLimit) {
  Listen();
  std::vector<RawClient> clients;
  for (size_t i = 0; i < kMaxConnections; ++i) clients.push_back(Connect());
  ASSERT_THAT(accepted_, SizeIs(kMaxConnections));
  EXPECT_EQ(accepted_[0].slot, 0u);
  EXPECT_EQ(accepted_[1].slot, 1u);
  EXPECT_EQ(accepted_[2].slot, 2u);

  for (int i = 0; i < 50; ++i) EXPECT_TRUE(Connect().IsClosed());
  EXPECT_THAT(accepted_, SizeIs(kMaxConnections));
  EXPECT_THAT(
      log_.lines(LogLevel::kWarning),
      ElementsAre("control connection refused: there are 3, the limit"));
}

TEST_F(ConnectionAcceptorTest, AClosedConnectionMakesRoom) {
  Listen();
  std::vector<RawClient> clients;
  for (size_t i = 0; i < kMaxConnections; ++i) clients.push_back(Connect());
  ASSERT_THAT(accepted_, SizeIs(kMaxConnections));
  close(accepted_[1].fd);
  accepted_.erase(accepted_.begin() + 1);
  // Takes the number of the descriptor, which is no longer the connection.
  const int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  clients.push_back(Connect());
  ASSERT_THAT(accepted_, SizeIs(kMaxConnections));
  EXPECT_EQ(accepted_.back().slot, 1u);
  EXPECT_TRUE(Connect().IsClosed());
  close(other);
}

TEST_F(ConnectionAcceptorTest, OutOfDescriptorsItPauses) {
  Listen();
  const RawClient client(listener_->address());
  rlimit original;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &original), 0);
  const rlimit none = {0, original.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  Accept();
  EXPECT_FALSE(loop_.IsWaitingToRead(listener_->fd()));
  loop_.Advance(std::chrono::milliseconds(100));
  EXPECT_TRUE(loop_.IsWaitingToRead(listener_->fd()));
  Accept();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &original), 0);
  EXPECT_THAT(log_.lines(LogLevel::kWarning),
              ElementsAre(AllOf(HasSubstr("cannot accept"),
                                HasSubstr("Too many open files"))));

  loop_.Advance(std::chrono::milliseconds(100));
  Accept();
  EXPECT_THAT(accepted_, SizeIs(1));
}

}  // namespace
}  // namespace kamailio_mqtt
