// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/account.h"

#include <grp.h>
#include <pwd.h>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

TEST(AccountTest, FindsNames) {
  EXPECT_EQ(*FindUser("root"), 0u);
  EXPECT_EQ(*FindUser("nobody"), getpwnam("nobody")->pw_uid);
  EXPECT_EQ(*FindGroup("root"), 0u);
  EXPECT_EQ(*FindGroup("nogroup"), getgrnam("nogroup")->gr_gid);
}

TEST(AccountTest, TakesNumbersAsTheyAre) {
  EXPECT_EQ(*FindUser("0"), 0u);
  EXPECT_EQ(*FindUser("4294967294"), 4294967294u);
  EXPECT_EQ(*FindGroup("12345678"), 12345678u);
}

TEST(AccountTest, RefusesEverythingElse) {
  for (const char* text : {"", "4294967295", "4294967296", "-1", "+1", " 0",
                           "no_such_account_here", "root "}) {
    EXPECT_TRUE(absl::IsNotFound(FindUser(text).status())) << text;
    EXPECT_TRUE(absl::IsNotFound(FindGroup(text).status())) << text;
  }
  EXPECT_EQ(FindUser("no_such_account_here").status().message(),
            "must be a user of this system");
  EXPECT_EQ(FindGroup("").status().message(),
            "must be the name or the number of a group");
}

}  // namespace
}  // namespace kamailio_mqtt
