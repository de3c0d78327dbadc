// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_address.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using ::testing::HasSubstr;

// What was understood, or why it was refused.
std::string Parse(absl::string_view text) {
  const absl::StatusOr<ControlAddress> address = ControlAddress::Parse(text);
  if (!address.ok()) return std::string(address.status().message());
  return address->ToString();
}

bool IsLoopback(absl::string_view text) {
  return ControlAddress::Parse(text)->is_loopback();
}

TEST(ControlAddressTest, TakesWhatItSays) {
  for (const char* text :
       {"unix:/run/kamailio/kamailio_mqtt.sock", "unix:/a b%20c:1",
        "127.0.0.1:50051", "0.0.0.0:1", "192.0.2.7:65535", "[::1]:50051",
        "[::]:0", "[2001:db8::7]:443"}) {
    EXPECT_EQ(Parse(text), text);
  }
}

TEST(ControlAddressTest, LocalhostIsTheLoopbackAddress) {
  EXPECT_EQ(Parse("localhost:50051"), "127.0.0.1:50051");
}

TEST(ControlAddressTest, SaysWhetherOthersCanReachIt) {
  EXPECT_TRUE(IsLoopback("127.0.0.1:1"));
  EXPECT_TRUE(IsLoopback("127.255.0.7:1"));
  EXPECT_TRUE(IsLoopback("[::1]:1"));
  EXPECT_FALSE(IsLoopback("128.0.0.1:1"));
  EXPECT_FALSE(IsLoopback("0.0.0.0:1"));
  EXPECT_FALSE(IsLoopback("[::]:1"));
  EXPECT_FALSE(IsLoopback("unix:/127.0.0.1"));
}

TEST(ControlAddressTest, HoldsAPathUpToTheSystemsLimit) {
  const std::string longest = "/" + std::string(kMaxUnixPathBytes - 1, 'x');
  EXPECT_EQ(ControlAddress::Parse("unix:" + longest)->unix_path(), longest);
  EXPECT_EQ(Parse(absl::StrCat("unix:", longest, "x")),
            "must have a path of at most 107 bytes, has 108");
}

TEST(ControlAddressTest, RefusesPathsThatNameNoFile) {
  EXPECT_THAT(Parse("unix:"), HasSubstr("absolute path"));
  EXPECT_THAT(Parse("unix:run/x"), HasSubstr("absolute path"));
  EXPECT_THAT(Parse("unix:/run/"), HasSubstr("must not end with \"/\""));
  EXPECT_THAT(Parse("unix:/a\nb"), HasSubstr("control characters"));
  EXPECT_THAT(Parse(absl::string_view("unix:/a\0b", 9)),
              HasSubstr("control characters"));
  EXPECT_THAT(Parse("unix-abstract:x"), HasSubstr("abstract"));
}

TEST(ControlAddressTest, RefusesEverythingElse) {
  for (const char* text :
       {"", ":", "50051", ":50051", "localhost", "example.org:1", "127.1:1",
        "127.0.0.1", "::1:50051", "[::1]", "[::1]50051", "[::1:1", "::1]:1",
        "[fe80::1%lo]:1", "[127.0.0.1]:1", "dns:///localhost:1",
        "ipv4:127.0.0.1:1", "vsock:1:1", " 127.0.0.1:1"}) {
    EXPECT_THAT(Parse(text), HasSubstr("must be \"unix:/absolute/path\""))
        << text;
  }
  EXPECT_THAT(Parse(absl::string_view("127.0.0.1\0:1", 12)),
              HasSubstr("must be"));
  EXPECT_THAT(Parse(absl::string_view("[::1\0]:1", 8)), HasSubstr("must be"));
  EXPECT_THAT(Parse("[::ffff:127.0.0.1]:1"), HasSubstr("as an IPv4 address"));
}

TEST(ControlAddressTest, RefusesWhatIsNoPort) {
  for (const char* port : {"", "65536", "000001", "+1", "-1", " 1", "1 ", "0x1",
                           "http", "99999999999999999999"}) {
    EXPECT_THAT(Parse(absl::StrCat("127.0.0.1:", port)),
                HasSubstr("port of at most 65535"))
        << port;
  }
}

TEST(ControlAddressTest, ReadsTheAddressOfASocket) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::StatusOr<ControlAddress> asked =
      ControlAddress::Parse("127.0.0.1:0");
  ASSERT_EQ(bind(fd, asked->data(), asked->size()), 0);
  const absl::StatusOr<ControlAddress> bound = ControlAddress::OfSocket(fd);
  close(fd);
  ASSERT_TRUE(bound.ok());
  EXPECT_TRUE(bound->is_loopback());
  EXPECT_NE(bound->ToString(), "127.0.0.1:0");
  EXPECT_FALSE(ControlAddress::OfSocket(fd).ok());
}

}  // namespace
}  // namespace kamailio_mqtt
