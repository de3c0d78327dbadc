// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/socket_place.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control_api/testing/ordinary_user.h"
#include "control_api/testing/short_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/file_descriptor.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

using ::testing::HasSubstr;

// Whether `judge` says so, without privileges.
bool ForOrdinaryUser(const std::function<bool()>& judge) {
  ForkedProcess process([&] {
    if (!BecomeOrdinaryUser() || !judge()) _exit(1);
  });
  return process.Reap() == 0;
}

bool Says(const absl::Status& status, absl::string_view text) {
  return absl::StrContains(status.message(), text);
}

TEST(SocketPlaceTest, ADirectoryThatCanBeWrittenTo) {
  const ShortDirectory directory;
  EXPECT_EQ(CheckSocketDirectory(directory.Path("s")), absl::OkStatus());
}

TEST(SocketPlaceTest, NoSuchDirectory) {
  EXPECT_EQ(std::string(CheckSocketDirectory("/nowhere/at/all").message()),
            "cannot be made in its directory: No such file or directory");
  EXPECT_THAT(std::string(CheckSocketDirectory("/bin/sh/s").message()),
              HasSubstr("Not a directory"));
}

TEST(SocketPlaceTest, ADirectoryOfTheKernel) {
  for (const char* path : {"/proc/s", "/sys/s"}) {
    EXPECT_THAT(std::string(CheckSocketDirectory(path).message()),
                HasSubstr("a file system of the kernel"));
  }
}

TEST(SocketPlaceTest, ADirectoryThatCannotBeWrittenTo) {
  EXPECT_TRUE(ForOrdinaryUser([] {
    return Says(CheckSocketDirectory("/s"), "Permission denied") &&
           Says(CheckSocketDirectory("/etc/s"), "Permission denied") &&
           CheckSocketDirectory("/tmp/s").ok();
  }));
}

TEST(SocketPlaceTest, FindsASocketAndNothingElse) {
  const ShortDirectory directory;
  const std::string path = directory.Path("s");
  EXPECT_FALSE(SocketExists(path).value());

  const FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {AF_UNIX, ""};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0);
  EXPECT_TRUE(SocketExists(path).value());

  const std::string file = directory.Path("f");
  std::ofstream(file) << "precious";
  EXPECT_EQ(std::string(SocketExists(file).status().message()),
            "is there already, and is not a socket");
  EXPECT_THAT(std::string(SocketExists(file + "/s").status().message()),
              HasSubstr("cannot be looked at: Not a directory"));
}

TEST(SocketPlaceTest, EverybodyMayGiveToThemselvesAndTheirGroups) {
  EXPECT_EQ(CheckCanGiveTo(geteuid()), absl::OkStatus());
  EXPECT_EQ(CheckCanGiveToGroup(getegid()), absl::OkStatus());
  EXPECT_TRUE(ForOrdinaryUser([] {
    std::vector<gid_t> groups(getgroups(0, nullptr));
    groups.resize(getgroups(static_cast<int>(groups.size()), groups.data()));
    groups.push_back(getegid());
    for (const gid_t group : groups) {
      if (!CheckCanGiveToGroup(group).ok()) return false;
    }
    return CheckCanGiveTo(geteuid()).ok();
  }));
}

TEST(SocketPlaceTest, OthersThanRootMayNotGiveToOthers) {
  EXPECT_TRUE(ForOrdinaryUser([] {
    const std::string self = absl::StrCat("user ", geteuid(), ", who starts");
    return Says(CheckCanGiveTo(0), "must be " + self) &&
           Says(CheckCanGiveToGroup(0), "must be a group of " + self);
  }));
}

}  // namespace
}  // namespace kamailio_mqtt
