// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/peer_policy.h"

#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

PeerCredentials Peer(uid_t uid, std::vector<gid_t> groups) {
  PeerCredentials peer;
  peer.uid = uid;
  peer.groups = std::move(groups);
  return peer;
}

TEST(PeerPolicyTest, AllowsRootAndTheUsers) {
  const PeerPolicy policy = {{1000, 1001}, {}};
  EXPECT_TRUE(IsAllowed(Peer(0, {0}), policy));
  EXPECT_TRUE(IsAllowed(Peer(1000, {1}), policy));
  EXPECT_TRUE(IsAllowed(Peer(1001, {}), policy));
  EXPECT_FALSE(IsAllowed(Peer(1002, {1000, 0}), policy));
}

TEST(PeerPolicyTest, AllowsMembersOfTheGroup) {
  const PeerPolicy policy = {{1000}, 500};
  EXPECT_TRUE(IsAllowed(Peer(65534, {1, 500}), policy));
  EXPECT_TRUE(IsAllowed(Peer(65534, {500}), policy));
  EXPECT_FALSE(IsAllowed(Peer(65534, {1, 501, 1000}), policy));
  EXPECT_FALSE(IsAllowed(Peer(500, {}), policy));
}

TEST(PeerPolicyTest, FollowsTheParameters) {
  ControlSettings settings;
  absl::StatusOr<PeerPolicy> policy = MakePeerPolicy(settings, 1000);
  ASSERT_TRUE(policy.ok());
  EXPECT_THAT(policy->users, ElementsAre(1000));
  EXPECT_FALSE(policy->group.has_value());

  settings.user = "1001";
  settings.group = "root";
  policy = MakePeerPolicy(settings, 1000);
  ASSERT_TRUE(policy.ok());
  EXPECT_THAT(policy->users, ElementsAre(1000, 1001));
  EXPECT_EQ(policy->group, 0);

  settings.group = "no_such_account_here";
  EXPECT_FALSE(MakePeerPolicy(settings, 1000).ok());
}

TEST(PeerPolicyTest, ReadsTheCredentialsOfTheOtherEnd) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const absl::StatusOr<PeerCredentials> peer = ReadPeerCredentials(fds[0]);
  close(fds[0]);
  close(fds[1]);
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->pid, getpid());
  EXPECT_EQ(peer->uid, geteuid());
  std::vector<gid_t> own_groups(getgroups(0, nullptr));
  ASSERT_EQ(getgroups(own_groups.size(), own_groups.data()),
            static_cast<int>(own_groups.size()));
  own_groups.push_back(getegid());
  EXPECT_THAT(peer->groups, IsSupersetOf(own_groups));
}

TEST(PeerPolicyTest, ThereAreNoneOnOtherDescriptors) {
  EXPECT_FALSE(ReadPeerCredentials(STDERR_FILENO).ok());
}

}  // namespace
}  // namespace kamailio_mqtt
