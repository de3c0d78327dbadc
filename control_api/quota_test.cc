// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/quota.h"

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

TEST(QuotaTest, GivesOutAsManySharesAsTheLimitSays) {
  Quota quota(2);
  EXPECT_EQ(quota.limit(), 2);
  Quota::Share first = quota.Take();
  const Quota::Share second = quota.Take();
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  EXPECT_EQ(quota.Take(), nullptr);
  EXPECT_EQ(quota.Take(), nullptr);

  first.reset();
  first = quota.Take();
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(quota.Take(), nullptr);
}

}  // namespace
}  // namespace kamailio_mqtt
