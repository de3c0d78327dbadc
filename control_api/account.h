// SPDX-License-Identifier: GPL-3.0-or-later

// Users and groups as a person names them: by name or by number.
//
// NotFound: the name is not known to this system. Internal: the system's
// database cannot be read. The messages hold no name. May block, where the
// system asks a directory server. Thread-safe.
#ifndef CONTROL_API_ACCOUNT_H_
#define CONTROL_API_ACCOUNT_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

namespace kamailio_mqtt {

absl::StatusOr<uid_t> FindUser(const std::string& name_or_number);
absl::StatusOr<gid_t> FindGroup(const std::string& name_or_number);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_ACCOUNT_H_
