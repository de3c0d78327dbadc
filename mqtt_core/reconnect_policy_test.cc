// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/reconnect_policy.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_clock.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr DisconnectKind kEveryKind[] = {
    DisconnectKind::kRequested,      DisconnectKind::kUnreachable,
    DisconnectKind::kTimeout,        DisconnectKind::kRefused,
    DisconnectKind::kBadCredentials, DisconnectKind::kIdentifierRejected,
    DisconnectKind::kLost,           DisconnectKind::kKeepAliveTimeout,
    DisconnectKind::kProtocolError};

bool IsRefusal(DisconnectKind kind) {
  return kind == DisconnectKind::kBadCredentials ||
         kind == DisconnectKind::kIdentifierRejected;
}

// For policies that must not need it.
double NoRandom() {
  ADD_FAILURE() << "jitter where there is none";
  return 0;
}

class ReconnectPolicyTest : public ::testing::Test {
 protected:
  // Replaces the policy by one whose random numbers are all `random`.
  void UseJitter(Duration delay, Duration delay_max, double random) {
    policy_ =
        ReconnectPolicyWith(delay, delay_max, [random] { return random; });
  }
  void UseDelay(Duration delay) {
    policy_ = ReconnectPolicyWith(delay, delay, NoRandom);
  }

  Duration FailAttempt(DisconnectKind kind = DisconnectKind::kUnreachable) {
    return policy_->OnDisconnected(kind, clock_.Now());
  }
  // Connects and loses the connection after `held`.
  Duration LoseConnection(Duration held,
                          DisconnectKind kind = DisconnectKind::kLost) {
    policy_->OnConnected(clock_.Now());
    clock_.Advance(held);
    return policy_->OnDisconnected(kind, clock_.Now());
  }
  std::vector<Duration> FailAttempts(
      int times, DisconnectKind kind = DisconnectKind::kUnreachable) {
    std::vector<Duration> delays;
    for (int i = 0; i < times; ++i) delays.push_back(FailAttempt(kind));
    return delays;
  }
  std::vector<Duration> LoseConnections(int times, Duration held) {
    std::vector<Duration> delays;
    for (int i = 0; i < times; ++i) delays.push_back(LoseConnection(held));
    return delays;
  }

  FakeClock clock_;

 private:
  static std::unique_ptr<ReconnectPolicy> ReconnectPolicyWith(
      Duration delay, Duration delay_max, ReconnectPolicy::Random random) {
    return std::make_unique<ReconnectPolicy>(delay, delay_max,
                                             std::move(random));
  }

 protected:
  std::unique_ptr<ReconnectPolicy> policy_ =
      ReconnectPolicyWith(seconds(3), seconds(3), NoRandom);
};

TEST_F(ReconnectPolicyTest, OrdinaryFailuresWaitForTheDelay) {
  for (const DisconnectKind kind : kEveryKind) {
    if (IsRefusal(kind)) continue;
    SCOPED_TRACE(static_cast<int>(kind));
    UseDelay(seconds(3));
    EXPECT_THAT(FailAttempts(100, kind), Each(seconds(3)));
  }
}

TEST_F(ReconnectPolicyTest, LostConnectionsWaitForTheDelay) {
  for (const DisconnectKind kind : kEveryKind) {
    if (IsRefusal(kind)) continue;
    SCOPED_TRACE(static_cast<int>(kind));
    UseDelay(seconds(7));
    EXPECT_EQ(LoseConnection(hours(1), kind), seconds(7));
    EXPECT_EQ(LoseConnection(hours(1), kind), seconds(7));
  }
}

TEST_F(ReconnectPolicyTest, RefusalsBackOffToAMinute) {
  for (const DisconnectKind kind :
       {DisconnectKind::kBadCredentials, DisconnectKind::kIdentifierRejected}) {
    SCOPED_TRACE(static_cast<int>(kind));
    UseDelay(seconds(3));
    EXPECT_THAT(
        FailAttempts(8, kind),
        ElementsAre(seconds(3), seconds(6), seconds(12), seconds(24),
                    seconds(48), seconds(60), seconds(60), seconds(60)));
  }
}

TEST_F(ReconnectPolicyTest, BothKindsOfRefusalAreOneSeries) {
  EXPECT_EQ(FailAttempt(DisconnectKind::kBadCredentials), seconds(3));
  EXPECT_EQ(FailAttempt(DisconnectKind::kIdentifierRejected), seconds(6));
  EXPECT_EQ(FailAttempt(DisconnectKind::kBadCredentials), seconds(12));
}

TEST_F(ReconnectPolicyTest, AnotherFailureEndsASeriesOfRefusals) {
  FailAttempts(5, DisconnectKind::kBadCredentials);
  EXPECT_EQ(FailAttempt(DisconnectKind::kUnreachable), seconds(3));
  EXPECT_EQ(FailAttempt(DisconnectKind::kBadCredentials), seconds(3));
}

TEST_F(ReconnectPolicyTest, AConnectionEndsASeriesOfRefusals) {
  FailAttempts(5, DisconnectKind::kBadCredentials);
  LoseConnection(hours(1));
  EXPECT_EQ(FailAttempt(DisconnectKind::kBadCredentials), seconds(3));
}

TEST_F(ReconnectPolicyTest, ARefusalBacksOffFurtherWhereTheMaximumIsLonger) {
  UseDelay(seconds(90));
  EXPECT_THAT(FailAttempts(3, DisconnectKind::kBadCredentials),
              Each(seconds(90)));
  UseJitter(seconds(40), seconds(100), 0.5);
  EXPECT_THAT(
      FailAttempts(4, DisconnectKind::kBadCredentials),
      ElementsAre(seconds(40), seconds(80), seconds(100), seconds(100)));
}

TEST_F(ReconnectPolicyTest, ExponentialUnderFullJitter) {
  // What remains of it when the random number is one half.
  UseJitter(seconds(2), seconds(30), 0.5);
  EXPECT_THAT(FailAttempts(7),
              ElementsAre(seconds(1), seconds(2), seconds(4), seconds(8),
                          seconds(15), seconds(15), seconds(15)));
}

TEST_F(ReconnectPolicyTest, JitterKeepsItsBounds) {
  const std::vector<Duration> ceilings = {seconds(2),  seconds(4),
                                          seconds(8),  seconds(16),
                                          seconds(30), seconds(30)};
  UseJitter(seconds(2), seconds(30), 0);
  EXPECT_THAT(FailAttempts(6), Each(Duration::zero()));

  UseJitter(seconds(2), seconds(30), std::nextafter(1.0, 0.0));
  for (const Duration ceiling : ceilings) {
    const Duration delay = FailAttempt();
    EXPECT_LT(delay, ceiling + nanoseconds(1));
    EXPECT_GT(delay, ceiling - milliseconds(1));
  }
}

TEST_F(ReconnectPolicyTest, ALostConnectionIsTheFirstFailureOfTheExponential) {
  UseJitter(seconds(2), seconds(30), 0.5);
  EXPECT_EQ(LoseConnection(hours(1)), seconds(1));
  EXPECT_EQ(FailAttempt(), seconds(2));
  EXPECT_EQ(FailAttempt(), seconds(4));
}

TEST_F(ReconnectPolicyTest, AConnectionResetsTheExponential) {
  UseJitter(seconds(2), seconds(30), 0.5);
  FailAttempts(10);
  EXPECT_EQ(LoseConnection(hours(1)), seconds(1));
}

TEST_F(ReconnectPolicyTest, ALongOutageDoesNotOverflow) {
  UseJitter(hours(24), hours(24) + seconds(1), 0.5);
  for (int i = 0; i < 1000; ++i) {
    const Duration delay = FailAttempt();
    ASSERT_GE(delay, hours(12));
    ASSERT_LE(delay, hours(24));
  }
  EXPECT_EQ(FailAttempts(1000, DisconnectKind::kBadCredentials).back(),
            hours(24) + seconds(1));
}

TEST_F(ReconnectPolicyTest, OneShortConnectionIsNoTakeOver) {
  EXPECT_EQ(LoseConnection(seconds(1)), seconds(3));
}

TEST_F(ReconnectPolicyTest, ShortConnectionsBackOffToAMinute) {
  EXPECT_THAT(LoseConnections(8, milliseconds(10)),
              ElementsAre(seconds(3), seconds(6), seconds(12), seconds(24),
                          seconds(48), seconds(60), seconds(60), seconds(60)));
}

TEST_F(ReconnectPolicyTest, ShortConnectionsBackOffWithoutJitter) {
  UseJitter(seconds(2), seconds(30), 0.5);
  EXPECT_THAT(LoseConnections(4, milliseconds(10)),
              ElementsAre(seconds(1), seconds(4), seconds(8), seconds(16)));
}

TEST_F(ReconnectPolicyTest, FailedAttemptsInBetweenDoNotEndASeriesOfTakeOvers) {
  LoseConnections(3, milliseconds(10));
  EXPECT_EQ(FailAttempt(), seconds(3));
  EXPECT_EQ(LoseConnection(milliseconds(10)), seconds(24));
}

TEST_F(ReconnectPolicyTest, ShortMeansLessThanStable) {
  const Duration stable = ReconnectPolicy::kStable;
  EXPECT_THAT(LoseConnections(5, stable), Each(seconds(3)));
  EXPECT_THAT(LoseConnections(2, stable - nanoseconds(1)),
              ElementsAre(seconds(3), seconds(6)));
}

TEST_F(ReconnectPolicyTest, AStableConnectionEndsASeriesOfTakeOvers) {
  EXPECT_EQ(LoseConnections(6, milliseconds(10)).back(), seconds(60));
  EXPECT_EQ(LoseConnection(3 * seconds(60) - nanoseconds(1)), seconds(60));
  EXPECT_EQ(LoseConnection(3 * seconds(60)), seconds(3));
  EXPECT_EQ(LoseConnection(milliseconds(10)), seconds(3));
  EXPECT_EQ(LoseConnection(milliseconds(10)), seconds(6));
}

TEST_F(ReconnectPolicyTest, ATrialWaitsForTheDelayAndEndsASeriesOfTakeOvers) {
  UseDelay(seconds(3));
  EXPECT_THAT(LoseConnections(3, seconds(1)),
              ElementsAre(seconds(3), seconds(6), seconds(12)));
  for (int i = 0; i < 3; ++i) {
    policy_->OnConnected(clock_.Now());
    EXPECT_EQ(policy_->OnTrialEnded(), seconds(3));
  }
  EXPECT_THAT(LoseConnections(2, seconds(1)),
              ElementsAre(seconds(3), seconds(6)));
}

TEST_F(ReconnectPolicyTest, ARequestedDisconnectIsNoTakeOver) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(LoseConnection(milliseconds(10), DisconnectKind::kRequested),
              seconds(3));
  }
}

// Two clients with one identifier, each of which pushes the other out.
TEST(ReconnectPolicyPairTest, TakeOversBecomeRare) {
  FakeClock clock;
  ReconnectPolicy policies[] = {
      ReconnectPolicy(seconds(3), seconds(3), NoRandom),
      ReconnectPolicy(seconds(3), seconds(3), NoRandom)};
  int connected = 0;
  policies[connected].OnConnected(clock.Now());
  clock.Advance(hours(1));
  const TimePoint start = clock.Now();
  std::vector<TimePoint> take_overs;
  while (clock.Now() - start < hours(1)) {
    take_overs.push_back(clock.Now());
    const Duration delay =
        policies[connected].OnDisconnected(DisconnectKind::kLost, clock.Now());
    connected = 1 - connected;
    policies[connected].OnConnected(clock.Now());
    clock.Advance(delay);
  }
  // The back-off doubles for either: 2 * (3 + 3 + 6 + ... + 48) seconds, then
  // one in a minute.
  EXPECT_LE(take_overs.size(), 2u * 6u + 60u);
  EXPECT_EQ(take_overs.back() - take_overs[take_overs.size() - 2],
            ReconnectPolicy::kBackOffMax);
}

}  // namespace
}  // namespace kamailio_mqtt
