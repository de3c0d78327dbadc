// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/refusal_probe.h"

#include <chrono>

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Verdict = RefusalProbe::Verdict;

class RefusalProbeTest : public ::testing::Test {
 protected:
  // A connection, after the last one: what is in flight when it breaks, and how
  // long after CONNACK and the time of quiet that is.
  Verdict Break(const Outbox::Unconfirmed& unconfirmed,
                Duration after = milliseconds(1),
                DisconnectKind kind = DisconnectKind::kLost) {
    now_ += seconds(3);
    quiet_ = probe_.OnConnected(now_);
    now_ += quiet_;
    probe_.OnSubmitted(now_);
    now_ += after;
    return probe_.OnDisconnected(kind, now_, unconfirmed);
  }

  void BeginSearch(size_t count = 5) {
    EXPECT_EQ(Break({count, 1}), Verdict::kNothing);
    EXPECT_EQ(Break({count, 1}), Verdict::kSearching);
    EXPECT_TRUE(probe_.is_searching());
  }

  RefusalProbe probe_;
  TimePoint now_;
  Duration quiet_ = Duration::zero();
};

TEST_F(RefusalProbeTest, TwoBreaksBeginASearchAndThreeRefuseTheMessage) {
  EXPECT_EQ(Break({5, 7}), Verdict::kNothing);
  EXPECT_EQ(quiet_, Duration::zero());
  EXPECT_FALSE(probe_.is_searching());
  EXPECT_EQ(Break({8, 7}), Verdict::kSearching);
  EXPECT_EQ(Break({1, 7}), Verdict::kSuspect);
  EXPECT_EQ(quiet_, RefusalProbe::kQuiet);
  EXPECT_EQ(Break({1, 7}), Verdict::kSuspect);
  EXPECT_EQ(quiet_, 2 * RefusalProbe::kQuiet);
  EXPECT_EQ(Break({1, 7}), Verdict::kRefused);
  EXPECT_EQ(quiet_, 3 * RefusalProbe::kQuiet);
}

TEST_F(RefusalProbeTest, TheSearchGoesOnUntilAllWereTried) {
  BeginSearch(3);
  for (int i = 0; i < 3; ++i) Break({1, 1});
  EXPECT_TRUE(probe_.is_searching());
  probe_.OnConfirmed();
  EXPECT_TRUE(probe_.is_searching());
  probe_.OnConfirmed();
  EXPECT_FALSE(probe_.is_searching());
  probe_.OnConfirmed();
  EXPECT_FALSE(probe_.is_searching());
}

TEST_F(RefusalProbeTest, AMessageThatIsConfirmedWasNotIt) {
  BeginSearch();
  for (uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(Break({1, i / 2}), Verdict::kSuspect);
  }
}

TEST_F(RefusalProbeTest, ProgressIsNoSign) {
  for (uint64_t oldest = 1; oldest < 20; ++oldest) {
    EXPECT_EQ(Break({100, oldest}), Verdict::kNothing);
  }
}

TEST_F(RefusalProbeTest, ABreakWithNothingInFlightEndsTheSearch) {
  BeginSearch();
  Break({1, 1});
  Break({1, 1});
  EXPECT_EQ(Break({0, 0}), Verdict::kNothing);
  EXPECT_FALSE(probe_.is_searching());
  EXPECT_EQ(Break({1, 1}), Verdict::kNothing);
}

TEST_F(RefusalProbeTest, OnlyWhatTheBrokerClosesSoonCounts) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Break({1, 1}, RefusalProbe::kSoon + milliseconds(1)),
              Verdict::kNothing);
    for (const DisconnectKind kind :
         {DisconnectKind::kRequested, DisconnectKind::kKeepAliveTimeout,
          DisconnectKind::kProtocolError}) {
      EXPECT_EQ(Break({1, 1}, milliseconds(1), kind), Verdict::kNothing);
    }
  }
  BeginSearch();
  EXPECT_EQ(Break({1, 1}, RefusalProbe::kSoon + milliseconds(1)),
            Verdict::kNothing);
  EXPECT_FALSE(probe_.is_searching());
}

}  // namespace
}  // namespace kamailio_mqtt
