// SPDX-License-Identifier: GPL-3.0-or-later

// Which processes of this machine may use the control service's Unix socket.
// The file's mode says the same in coarser terms; this holds whatever becomes
// of the file.
#ifndef CONTROL_API_PEER_POLICY_H_
#define CONTROL_API_PEER_POLICY_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "control_api/control_settings.h"

namespace kamailio_mqtt {

// Of a process when it called connect(2).
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  std::vector<gid_t> groups;  // the effective and the supplementary ones
};

// Of the process at the other end of a Unix socket.
absl::StatusOr<PeerCredentials> ReadPeerCredentials(int fd);

// Root may always.
struct PeerPolicy {
  std::vector<uid_t> users;
  absl::optional<gid_t> group;
};

// Kamailio's own user, `own_user`, and those that the parameters name, which
// are without a problem. May block, see account.h.
absl::StatusOr<PeerPolicy> MakePeerPolicy(const ControlSettings& settings,
                                          uid_t own_user);

bool IsAllowed(const PeerCredentials& peer, const PeerPolicy& policy);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_PEER_POLICY_H_
