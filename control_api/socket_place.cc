// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/socket_place.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "mqtt_core/file_descriptor.h"

namespace kamailio_mqtt {
namespace {

// "Leave it as it is", to chown(2).
constexpr uid_t kSameUser = -1;
constexpr gid_t kSameGroup = -1;

// Root may also lack the privilege, and others may have it: a file without a
// name shows it.
bool CanGive(uid_t user, gid_t group) {
  const FileDescriptor file(memfd_create("owner", MFD_CLOEXEC));
  return fchown(file.get(), user, group) == 0 || errno != EPERM;
}

}  // namespace

absl::Status CheckSocketDirectory(const std::string& path) {
  // What comes before the dot must be a directory.
  const std::string directory =
      absl::StrCat(path.substr(0, path.rfind('/')), "/.");
  struct statfs system;
  if (statfs(directory.c_str(), &system) == 0 &&
      (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC)) {
    return absl::FailedPreconditionError(
        "must not be in a file system of the kernel, such as /proc");
  }
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return absl::ErrnoToStatus(errno, "cannot be made in its directory");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> SocketExists(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    return absl::ErrnoToStatus(errno, "cannot be looked at");
  }
  if (S_ISSOCK(status.st_mode)) return true;
  return absl::FailedPreconditionError("is there already, and is not a socket");
}

absl::Status CheckCanGiveTo(uid_t user) {
  if (CanGive(user, kSameGroup)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("must be user ", geteuid(),
                   ", who starts Kamailio: only root can give the socket to "
                   "another"));
}

absl::Status CheckCanGiveToGroup(gid_t group) {
  if (CanGive(kSameUser, group)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("must be a group of user ", geteuid(),
                   ", who starts Kamailio: only root can give the socket to "
                   "another"));
}

}  // namespace kamailio_mqtt
