// SPDX-License-Identifier: GPL-3.0-or-later

// What can be known of a Unix socket before it is made: whether its place takes
// one, and to whom it can be given. Judged with the privileges of the calling
// process, which are those that Kamailio has when it makes the socket.
//
// The errors are rules that the path, the user or the group breaks, or reasons,
// without the value. Thread-safe: free functions without state.
#ifndef CONTROL_API_SOCKET_PLACE_H_
#define CONTROL_API_SOCKET_PLACE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kamailio_mqtt {

// Whether files can be made beside `path`, which is absolute.
absl::Status CheckSocketDirectory(const std::string& path);

// Whether there is a socket at `path`. FailedPrecondition: something else is.
absl::StatusOr<bool> SocketExists(const std::string& path);

// Whether this process may give its files to them.
absl::Status CheckCanGiveTo(uid_t user);
absl::Status CheckCanGiveToGroup(gid_t group);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_SOCKET_PLACE_H_
