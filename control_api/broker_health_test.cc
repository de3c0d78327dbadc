// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/broker_health.h"

#include <memory>
#include <vector>

#include "control_api/testing/watched_control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;

TEST(BrokerHealthTest, ReportsTheStateAndItsChanges) {
  WatchedControl control;
  std::vector<bool> reports;
  const auto health = BrokerHealth::Watch(
      &control, [&](bool connected) { reports.push_back(connected); });
  EXPECT_THAT(reports, ElementsAre(false));
  control.SetConnected(true);
  control.SetConnected(false);
  EXPECT_THAT(reports, ElementsAre(false, true, false));
  health->Detach();
  control.SetConnected(true);
  EXPECT_THAT(reports, ElementsAre(false, true, false));
}

TEST(BrokerHealthTest, MayFindAConnection) {
  WatchedControl control;
  control.SetConnected(true);
  std::vector<bool> reports;
  BrokerHealth::Watch(&control,
                      [&](bool connected) { reports.push_back(connected); });
  EXPECT_THAT(reports, ElementsAre(true));
}

TEST(BrokerHealthTest, AsksForTheConnectionAlone) {
  WatchedControl control;
  BrokerHealth::Watch(&control, [](bool) {});
  EXPECT_TRUE(control.interest().connection);
  EXPECT_FALSE(control.interest().subscriptions);
  EXPECT_FALSE(control.interest().messages);
  EXPECT_FALSE(control.interest().publishes);
  EXPECT_FALSE(control.interest().subscription_snapshot);
}

}  // namespace
}  // namespace kamailio_mqtt
