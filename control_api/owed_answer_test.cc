// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/owed_answer.h"

#include <memory>
#include <utility>

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

struct FakeCall {
  void Abandon() { ++abandoned; }
  int abandoned = 0;
};

TEST(OwedAnswerTest, WhoDropsItAbandonsTheCall) {
  const auto call = std::make_shared<FakeCall>();
  { const OwedAnswer<FakeCall> owed(call); }
  EXPECT_EQ(call->abandoned, 1);
}

TEST(OwedAnswerTest, WhoTakesTheCallDoesNot) {
  const auto call = std::make_shared<FakeCall>();
  {
    OwedAnswer<FakeCall> owed(call);
    EXPECT_EQ(owed.Take(), call);
  }
  EXPECT_EQ(call->abandoned, 0);
}

TEST(OwedAnswerTest, HandedOnItIsOwedByTheNext) {
  const auto call = std::make_shared<FakeCall>();
  {
    OwedAnswer<FakeCall> first(call);
    {
      const OwedAnswer<FakeCall> second(std::move(first));
      EXPECT_EQ(call->abandoned, 0);
    }
    EXPECT_EQ(call->abandoned, 1);
  }
  EXPECT_EQ(call->abandoned, 1);
}

}  // namespace
}  // namespace kamailio_mqtt
