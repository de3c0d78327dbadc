// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "control_api/testing/raw_client.h"
#include "control_api/testing/short_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/forked_process.h"

namespace kamailio_mqtt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ControlListenerTest : public testing::Test {
 protected:
  ControlListenerTest() { settings_.address = absl::StrCat("unix:", path_); }

  absl::StatusOr<ControlListener> Create() {
    return ControlListener::Create(settings_, geteuid(), getegid());
  }
  std::string CreateError() { return std::string(Create().status().message()); }

  // Of the socket's file.
  struct stat Stat() const {
    struct stat status = {};
    EXPECT_EQ(lstat(path_.c_str(), &status), 0) << path_;
    return status;
  }
  bool FileExists() const { return access(path_.c_str(), F_OK) == 0; }

  const ShortDirectory directory_;
  const std::string path_ = directory_.Path("s");
  ControlSettings settings_;
};

TEST_F(ControlListenerTest, ListensOnAUnixSocket) {
  const absl::StatusOr<ControlListener> listener = Create();
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ(listener->address().ToString(), settings_.address);
  EXPECT_EQ(RawClient(listener->address()).error(), 0);
  EXPECT_TRUE(fcntl(listener->fd(), F_GETFD) & FD_CLOEXEC);
  EXPECT_TRUE(fcntl(listener->fd(), F_GETFL) & O_NONBLOCK);
}

TEST_F(ControlListenerTest, TheFileHasTheModeWhateverTheUmask) {
  const mode_t original = umask(0);
  for (const mode_t process_umask : {0, 022, 0777}) {
    for (const mode_t mode : {0600, 0660, 0777}) {
      umask(process_umask);
      settings_.mode = mode;
      absl::StatusOr<ControlListener> listener = Create();
      ASSERT_TRUE(listener.ok()) << listener.status();
      EXPECT_EQ(Stat().st_mode, S_IFSOCK | mode);
      EXPECT_EQ(umask(original), process_umask);
      listener->Remove();
    }
  }
}

TEST_F(ControlListenerTest, TheFileBelongsToKamailiosUser) {
  const absl::StatusOr<ControlListener> listener = Create();
  EXPECT_EQ(Stat().st_uid, geteuid());
  EXPECT_EQ(Stat().st_gid, getegid());
}

TEST_F(ControlListenerTest, TheFileIsGivenToWhomTheParametersName) {
  if (geteuid() == 0) {
    settings_.user = "nobody";
    settings_.group = "65534";
    const absl::StatusOr<ControlListener> listener = Create();
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(Stat().st_uid, 65534u);
    EXPECT_EQ(Stat().st_gid, 65534u);
  } else {
    settings_.user = "root";
    EXPECT_THAT(CreateError(),
                AllOf(StartsWith("parameter \"control_address\""),
                      HasSubstr("cannot be given to user 0")));
    EXPECT_FALSE(FileExists());
  }
}

TEST_F(ControlListenerTest, AnUnknownNameIsAnError) {
  settings_.user = "no_such_account_here";
  EXPECT_THAT(CreateError(), StartsWith("parameter \"control_user\""));
  settings_.user.reset();
  settings_.group = "no_such_account_here";
  EXPECT_THAT(CreateError(), StartsWith("parameter \"control_group\""));
  settings_.address = "nonsense";
  settings_.group.reset();
  EXPECT_THAT(CreateError(), StartsWith("parameter \"control_address\""));
}

TEST_F(ControlListenerTest, ReplacesAStaleSocket) {
  { ASSERT_TRUE(Create().ok()); }  // destroyed, and not removed
  ASSERT_TRUE(FileExists());
  const absl::StatusOr<ControlListener> listener = Create();
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ(RawClient(listener->address()).error(), 0);
}

TEST_F(ControlListenerTest, LeavesALiveSocketAlone) {
  const absl::StatusOr<ControlListener> listener = Create();
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ(CreateError(),
            absl::StrCat("parameter \"control_address\": value \"unix:", path_,
                         "\": another process listens there: is this Kamailio "
                         "running already?"));
  EXPECT_EQ(RawClient(listener->address()).error(), 0);
}

TEST_F(ControlListenerTest, LeavesOtherFilesAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(CreateError(),
              HasSubstr("is there already, and is not a socket"));
  EXPECT_TRUE(S_ISREG(Stat().st_mode));

  unlink(path_.c_str());
  ASSERT_EQ(symlink("/nowhere", path_.c_str()), 0);
  EXPECT_THAT(CreateError(), HasSubstr("is not a socket"));
  EXPECT_TRUE(S_ISLNK(Stat().st_mode));
}

TEST_F(ControlListenerTest, LeavesSocketsOfAnotherKindAlone) {
  const int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const ControlAddress address = *ControlAddress::Parse(settings_.address);
  ASSERT_EQ(bind(datagrams, address.data(), address.size()), 0);
  EXPECT_THAT(CreateError(), HasSubstr("may be in use"));
  EXPECT_TRUE(FileExists());
  close(datagrams);
}

TEST_F(ControlListenerTest, SaysWhyItCannotCreateTheFile) {
  settings_.address = "unix:/nowhere/at/all";
  EXPECT_THAT(CreateError(), HasSubstr("cannot be created: No such file"));
}

TEST_F(ControlListenerTest, RemoveUnlinksTheFile) {
  absl::StatusOr<ControlListener> listener = Create();
  listener->Remove();
  EXPECT_FALSE(FileExists());
  EXPECT_EQ(listener->fd(), -1);
  EXPECT_EQ(RawClient(listener->address()).error(), ENOENT);
  listener->Remove();
}

TEST_F(ControlListenerTest, RemoveLeavesTheFileOfASuccessor) {
  absl::StatusOr<ControlListener> listener = Create();
  unlink(path_.c_str());
  const absl::StatusOr<ControlListener> successor = Create();
  ASSERT_TRUE(successor.ok()) << successor.status();
  listener->Remove();
  EXPECT_EQ(RawClient(successor->address()).error(), 0);
}

TEST_F(ControlListenerTest, OneProcessServesAndTheOthersLetGo) {
  absl::StatusOr<ControlListener> listener = Create();
  ASSERT_TRUE(listener.ok()) << listener.status();
  {
    // Lets go of its copy in the end, as the main process and the workers do.
    const ForkedProcess other([listener = &listener] {
      const ControlListener own = *std::move(*listener);
    });
  }
  EXPECT_EQ(RawClient(listener->address()).error(), 0);

  ForkedProcess server([&] { listener->Remove(); });
  { const ControlListener own = *std::move(listener); }
  EXPECT_EQ(server.Reap(), 0);
  EXPECT_FALSE(FileExists());
}

TEST_F(ControlListenerTest, ListensOnTcp) {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    settings_.address = address;
    absl::StatusOr<ControlListener> listener = Create();
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(RawClient(listener->address()).error(), 0);

    settings_.address = listener->address().ToString();
    EXPECT_THAT(CreateError(),
                HasSubstr("cannot be listened on: Address already in use"));
    listener->Remove();
    EXPECT_EQ(RawClient(listener->address()).error(), ECONNREFUSED);
  }
}

TEST_F(ControlListenerTest, ATcpPortIsFreeAgainAtOnce) {
  settings_.address = "127.0.0.1:0";
  absl::StatusOr<ControlListener> listener = Create();
  settings_.address = listener->address().ToString();
  {
    // Closed by the side that listens, which the kernel remembers for a minute.
    const RawClient client(listener->address());
    close(accept(listener->fd(), nullptr, nullptr));
    EXPECT_TRUE(client.AwaitClosed());
  }
  listener->Remove();
  EXPECT_EQ(Create().status(), absl::OkStatus());
}

}  // namespace
}  // namespace kamailio_mqtt
