// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/active_calls.h"

#include <memory>
#include <utility>

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

// Goes as soon as it is stopped, as a call does whose peer is gone.
class FakeCall final : public ActiveCall {
 public:
  FakeCall(ActiveCalls* calls, int* stops) : calls_(calls), stops_(stops) {}
  void Stop() override {
    ++*stops_;
    calls_->Remove(this);
  }

 private:
  ActiveCalls* const calls_;
  int* const stops_;
};

TEST(ActiveCallsTest, KeepsCallsUntilTheyAreRemoved) {
  ActiveCalls calls;
  int stops = 0;
  auto call = std::make_shared<FakeCall>(&calls, &stops);
  const std::weak_ptr<FakeCall> watched = call;
  EXPECT_TRUE(calls.Add(std::move(call)));
  ASSERT_FALSE(watched.expired());
  calls.Remove(watched.lock().get());
  EXPECT_TRUE(watched.expired());
}

TEST(ActiveCallsTest, StopsAllCallsAndLetsNoMoreBegin) {
  ActiveCalls calls;
  int stops = 0;
  EXPECT_TRUE(calls.Add(std::make_shared<FakeCall>(&calls, &stops)));
  EXPECT_TRUE(calls.Add(std::make_shared<FakeCall>(&calls, &stops)));
  calls.Stop();
  EXPECT_EQ(stops, 2);

  const auto late = std::make_shared<FakeCall>(&calls, &stops);
  EXPECT_FALSE(calls.Add(late));
  EXPECT_EQ(late.use_count(), 2);
  late->Stop();
  EXPECT_EQ(late.use_count(), 1);
}

}  // namespace
}  // namespace kamailio_mqtt
