// SPDX-License-Identifier: GPL-3.0-or-later

// For forked processes of tests that judge what an ordinary user may do.
#ifndef CONTROL_API_TESTING_ORDINARY_USER_H_
#define CONTROL_API_TESTING_ORDINARY_USER_H_

#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

namespace kamailio_mqtt {

// Makes root's process one of a user and a group without any rights, which is
// in one further group. Returns whether it is no longer root's.
inline bool BecomeOrdinaryUser() {
  constexpr uid_t kRoot = 0;
  constexpr uid_t kNobody = 65534;
  constexpr gid_t kAnyGroup = 4;
  return geteuid() != kRoot || (setgroups(1, &kAnyGroup) == 0 &&
                                setgid(kNobody) == 0 && setuid(kNobody) == 0);
}

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_ORDINARY_USER_H_
