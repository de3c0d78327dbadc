// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/page_token.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

TEST(PageTokenTest, ComesBackAsItWas) {
  for (const uint64_t id :
       {uint64_t{1}, uint64_t{1} << 40, std::numeric_limits<uint64_t>::max()}) {
    const absl::StatusOr<uint64_t> decoded =
        DecodePageToken(EncodePageToken(id));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, id);
  }
}

TEST(PageTokenTest, ForeignTokensAreRefused) {
  for (const char* token :
       {"", "1", "0000000000000000", "00000000000000001", "000000000000000A",
        "0x00000000000001", " 000000000000001", "000000000000000g"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DecodePageToken(token).status()))
        << token;
  }
}

}  // namespace
}  // namespace kamailio_mqtt
