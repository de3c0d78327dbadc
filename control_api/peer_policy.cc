// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/peer_policy.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/status.h"
#include "control_api/account.h"

namespace kamailio_mqtt {
namespace {

constexpr uid_t kRoot = 0;

template <typename Container, typename Value>
bool Contains(const Container& container, const Value& value) {
  return std::find(container.begin(), container.end(), value) !=
         container.end();
}

}  // namespace

absl::StatusOr<PeerCredentials> ReadPeerCredentials(int fd) {
  ucred credentials;
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::ErrnoToStatus(errno, "SO_PEERCRED");
  }
  PeerCredentials peer;
  peer.pid = credentials.pid;
  peer.uid = credentials.uid;
  // With too little room it fails and says how much it needs.
  size = 0;
  while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) !=
         0) {
    if (errno != ERANGE) return absl::ErrnoToStatus(errno, "SO_PEERGROUPS");
    peer.groups.resize(size / sizeof(gid_t));
  }
  peer.groups.resize(size / sizeof(gid_t));
  peer.groups.push_back(credentials.gid);
  return peer;
}

absl::StatusOr<PeerPolicy> MakePeerPolicy(const ControlSettings& settings,
                                          uid_t own_user) {
  PeerPolicy policy;
  policy.users = {own_user};
  if (settings.user.has_value()) {
    const absl::StatusOr<uid_t> user = FindUser(*settings.user);
    if (!user.ok()) return user.status();
    policy.users.push_back(*user);
  }
  if (settings.group.has_value()) {
    const absl::StatusOr<gid_t> group = FindGroup(*settings.group);
    if (!group.ok()) return group.status();
    policy.group = *group;
  }
  return policy;
}

bool IsAllowed(const PeerCredentials& peer, const PeerPolicy& policy) {
  return peer.uid == kRoot || Contains(policy.users, peer.uid) ||
         (policy.group.has_value() && Contains(peer.groups, *policy.group));
}

}  // namespace kamailio_mqtt
