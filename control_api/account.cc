// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/account.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {
namespace {

static_assert(sizeof(uid_t) == sizeof(uint32_t) &&
              sizeof(gid_t) == sizeof(uint32_t));

// Means "leave it as it is" to chown(2).
constexpr uint32_t kNoId = std::numeric_limits<uint32_t>::max();

// `find` is getpwnam_r() or getgrnam_r(), and `Entry` its result.
template <typename Entry, typename Find>
absl::StatusOr<uint32_t> FindId(const std::string& name_or_number, Find find,
                                uint32_t Entry::*id, absl::string_view kind) {
  if (std::all_of(name_or_number.begin(), name_or_number.end(),
                  absl::ascii_isdigit)) {
    uint32_t number = kNoId;
    if (absl::SimpleAtoi(name_or_number, &number) && number != kNoId) {
      return number;
    }
    return absl::NotFoundError(
        absl::StrCat("must be the name or the number of a ", kind));
  }
  std::vector<char> buffer(1 << 12);
  Entry entry;
  Entry* result = nullptr;
  int error;
  while ((error = find(name_or_number.c_str(), &entry, buffer.data(),
                       buffer.size(), &result)) == ERANGE) {
    buffer.resize(2 * buffer.size());
  }
  if (result != nullptr) return entry.*id;
  // Some sources of names report an unknown one as an error.
  if (error == 0 || error == ENOENT || error == ESRCH) {
    return absl::NotFoundError(
        absl::StrCat("must be a ", kind, " of this system"));
  }
  return absl::InternalError(
      absl::ErrnoToStatus(error, "cannot be looked up").message());
}

}  // namespace

absl::StatusOr<uid_t> FindUser(const std::string& name_or_number) {
  return FindId(name_or_number, getpwnam_r, &passwd::pw_uid, "user");
}

absl::StatusOr<gid_t> FindGroup(const std::string& name_or_number) {
  return FindId(name_or_number, getgrnam_r, &group::gr_gid, "group");
}

}  // namespace kamailio_mqtt
