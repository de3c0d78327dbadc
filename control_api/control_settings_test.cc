// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_settings.h"

#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control_api/testing/ordinary_user.h"
#include "control_api/testing/short_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/forked_process.h"
#include "mqtt_core/testing/tls_files.h"

namespace kamailio_mqtt {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ControlSettingsTest : public testing::Test {
 protected:
  ControlSettingsTest() {
    settings_.address = absl::StrCat("unix:", directory_.Path("s"));
    files_.MakeCertificate("server");
    files_.MakeCertificate("other");
  }

  void SetTls() {
    settings_.tls_certificate = files_.Path("server.crt");
    settings_.tls_private_key = files_.Path("server.key");
    settings_.tls_ca = files_.Path("other.crt");
  }

  std::vector<std::string> Problems() const {
    return FindControlProblems(settings_);
  }
  std::vector<std::string> ProblemsOf(const std::string& address) {
    settings_.address = address;
    return Problems();
  }

  const TlsFiles files_;
  const ShortDirectory directory_;
  ControlSettings settings_;
};

TEST_F(ControlSettingsTest, AnAddressIsAllThatIsNeeded) {
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(settings_.mode, 0600);
}

TEST_F(ControlSettingsTest, WithoutAnAddressTheRestIsNotUsed) {
  settings_.address = "";
  settings_.mode = -1;
  settings_.user = "no_such_account_here";
  settings_.tls_ca = "/nowhere";
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(ControlSettingsTest, RefusesWhatIsNoAddress) {
  EXPECT_THAT(ProblemsOf("unix:x"),
              ElementsAre("parameter \"control_address\": value \"unix:x\": "
                          "must have an absolute path after \"unix:\""));
}

TEST_F(ControlSettingsTest, RefusesAPathThatTakesNoSocket) {
  EXPECT_THAT(ProblemsOf("unix:/no/such/dir/s"),
              ElementsAre("parameter \"control_address\": value "
                          "\"unix:/no/such/dir/s\": cannot be made in its "
                          "directory: No such file or directory"));
  EXPECT_THAT(ProblemsOf("unix:/proc/s"),
              ElementsAre(HasSubstr("such as /proc")));
  const std::string path = directory_.Path("f");
  std::ofstream(path) << "precious";
  EXPECT_THAT(ProblemsOf(absl::StrCat("unix:", path)),
              ElementsAre(HasSubstr("is not a socket")));
}

TEST_F(ControlSettingsTest, TheDefaultIsInTheRuntimeDirectory) {
  const std::string directory = directory_.Path("");
  EXPECT_EQ(DefaultControlAddress(directory).value(),
            absl::StrCat("unix:", directory, "/kamailio_mqtt.sock"));
}

TEST_F(ControlSettingsTest, ThereMayBeNoDefault) {
  const std::string too_long(100, 'd');
  EXPECT_EQ(
      std::string(DefaultControlAddress("/" + too_long).status().message()),
      absl::StrCat("there is no control service: socket "
                   "\"kamailio_mqtt.sock\" in the runtime directory \"/",
                   too_long,
                   "\": must have a path of at most 107 bytes, has 120; "
                   "\"control_address\" sets another"));
  EXPECT_THAT(
      std::string(DefaultControlAddress("/nowhere").status().message()),
      HasSubstr("in the runtime directory \"/nowhere\": cannot be made in its "
                "directory: No such file or directory; \"control_address\""));
}

TEST_F(ControlSettingsTest, RefusesModesThatServeNobody) {
  for (const int mode : {0700, 0666, 0777, 0600}) {
    settings_.mode = mode;
    EXPECT_THAT(Problems(), IsEmpty()) << mode;
  }
  settings_.mode = 01000;
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"control_mode\": value \"01000\": must "
                          "be from 0 to 0777"));
  settings_.mode = 0400;
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"control_mode\": value \"0400\": must "
                          "let the owner read and write, as 0600 does"));
  settings_.mode = -1;
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("must be from 0 to 0777")));
}

TEST_F(ControlSettingsTest, AGroupNeedsAModeThatLetsItIn) {
  settings_.group = absl::StrCat(getegid());
  EXPECT_THAT(Problems(),
              ElementsAre(AllOf(StartsWith("parameter \"control_mode\""),
                                HasSubstr("\"control_group\" is set"))));
  settings_.mode = 0660;
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(ControlSettingsTest, UserAndGroupMustExist) {
  settings_.mode = 0660;
  settings_.user = absl::StrCat(geteuid());
  settings_.group = absl::StrCat(getegid());
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.user = "no_such_account_here";
  settings_.group = "";
  EXPECT_THAT(
      Problems(),
      ElementsAre("parameter \"control_user\": value \"no_such_account_here\": "
                  "must be a user of this system",
                  "parameter \"control_group\": value \"\": must be the name "
                  "or the number of a group"));
}

TEST_F(ControlSettingsTest, OnlyAUnixSocketIsGivenToAnybody) {
  settings_.mode = 0660;
  settings_.user = "root";
  settings_.group = "root";
  ForkedProcess process([this] {
    if (!BecomeOrdinaryUser()) _exit(2);
    settings_.address = "unix:/tmp/s";
    const std::vector<std::string> problems = Problems();
    if (problems.size() != 2 ||
        !absl::StartsWith(problems[0],
                          "parameter \"control_user\": value "
                          "\"root\": must be user ") ||
        !absl::StartsWith(problems[1],
                          "parameter \"control_group\": value "
                          "\"root\": must be a group of user ")) {
      _exit(1);
    }
    settings_.address = "127.0.0.1:0";
    if (!Problems().empty()) _exit(1);
  });
  EXPECT_EQ(process.Reap(), 0);
}

TEST_F(ControlSettingsTest, TcpWithoutTlsIsForThisMachineOnly) {
  for (const char* address :
       {"127.0.0.1:50051", "[::1]:50051", "localhost:0"}) {
    EXPECT_THAT(ProblemsOf(address), IsEmpty()) << address;
  }
  for (const char* address : {"0.0.0.0:50051", "[::]:50051", "192.0.2.1:1"}) {
    EXPECT_THAT(
        ProblemsOf(address),
        ElementsAre(AllOf(StartsWith("parameter \"control_address\": value \""),
                          HasSubstr("a loopback address, unless"),
                          HasSubstr("\"control_tls_ca\""))))
        << address;
  }
}

TEST_F(ControlSettingsTest, TlsOpensTheOtherAddresses) {
  SetTls();
  for (const char* address : {"0.0.0.0:50051", "[::]:50051", "192.0.2.1:1",
                              "127.0.0.1:1", "localhost:1"}) {
    EXPECT_THAT(ProblemsOf(address), IsEmpty()) << address;
  }
}

TEST_F(ControlSettingsTest, TlsIsNotForUnixSockets) {
  SetTls();
  EXPECT_THAT(Problems(),
              AllOf(SizeIs(3), Each(HasSubstr("no TLS on a Unix socket"))));
}

TEST_F(ControlSettingsTest, TheTlsParametersGoTogether) {
  settings_.address = "127.0.0.1:50051";
  for (auto parameter :
       {&ControlSettings::tls_certificate, &ControlSettings::tls_private_key,
        &ControlSettings::tls_ca}) {
    SetTls();
    (settings_.*parameter).reset();
    EXPECT_THAT(Problems(),
                AllOf(SizeIs(2), Each(HasSubstr("must be set together"))));
  }
}

TEST_F(ControlSettingsTest, TheTlsFilesMustBeOfUse) {
  settings_.address = "0.0.0.0:50051";
  SetTls();
  settings_.tls_private_key = files_.Path("other.key");
  settings_.tls_ca = files_.Write("empty", "");
  EXPECT_THAT(
      Problems(),
      ElementsAre(AllOf(StartsWith("parameter \"control_tls_private_key\""),
                        HasSubstr("does not fit the certificate")),
                  AllOf(StartsWith("parameter \"control_tls_ca\""),
                        HasSubstr("is empty"))));
  settings_.tls_certificate = files_.Path("nowhere");
  settings_.tls_private_key = files_.Path("other.crt");
  EXPECT_THAT(
      Problems(),
      ElementsAre(AllOf(StartsWith("parameter \"control_tls_certificate\""),
                        HasSubstr("cannot be opened")),
                  AllOf(StartsWith("parameter \"control_tls_private_key\""),
                        HasSubstr("holds no PEM private key")),
                  StartsWith("parameter \"control_tls_ca\"")));
}

TEST_F(ControlSettingsTest, ReadsTheTlsFiles) {
  SetTls();
  const absl::StatusOr<ControlTlsFiles> files = ReadControlTlsFiles(settings_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->certificate, files_.Read("server.crt"));
  EXPECT_EQ(files->private_key, files_.Read("server.key"));
  EXPECT_EQ(files->ca, files_.Read("other.crt"));

  settings_.tls_ca = files_.Path("gone");
  const absl::Status gone = ReadControlTlsFiles(settings_).status();
  EXPECT_THAT(
      std::string(gone.message()),
      AllOf(HasSubstr(files_.Path("gone")), HasSubstr("cannot be opened")));
}

}  // namespace
}  // namespace kamailio_mqtt
