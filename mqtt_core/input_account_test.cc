// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/input_account.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kLimit = 4 * kMiB;

InboundMessage MakeMessage(Qos qos, size_t payload_size) {
  InboundMessage message;
  message.topic = "t";
  message.payload = std::string(payload_size, 'x');
  message.qos = qos;
  return message;
}

TEST(InputAccountTest, TheLimitAllowsTheLargestPacket) {
  InputAccount account(/*tls=*/false, InputAccount::kDefaultLimit);
  account.Settle(static_cast<int64_t>(kMaxPayloadSize) + 5);
  EXPECT_FALSE(account.IsExceeded());
}

TEST(InputAccountTest, WhatIsNotDeliveredAddsUp) {
  InputAccount account(/*tls=*/false, kLimit);
  account.Settle(kLimit);
  EXPECT_FALSE(account.IsExceeded());
  account.Settle(kLimit + 1);
  EXPECT_TRUE(account.IsExceeded());
}

TEST(InputAccountTest, GoesOnWithWhatIsHeld) {
  InputAccount first(/*tls=*/false, kLimit);
  first.Settle(kLimit);
  InputAccount second(/*tls=*/false, kLimit, first.balance());
  second.Settle(0);
  EXPECT_FALSE(second.IsExceeded());
  second.Settle(1);
  EXPECT_TRUE(second.IsExceeded());
}

TEST(InputAccountTest, ReceivedMayTurnOutToBeLess) {
  InputAccount account(/*tls=*/false, kLimit);
  account.Settle(kLimit + 1);
  account.Settle(kLimit);
  EXPECT_FALSE(account.IsExceeded());
  account.Settle(kLimit + 1);
  EXPECT_TRUE(account.IsExceeded());
}

struct Flow {
  Qos qos;
  size_t payload_size;
  int64_t packet_size;  // with PUBREL
  int packets;          // with the client's answers
};

class InputAccountFlowTest : public ::testing::TestWithParam<Flow> {};

TEST_P(InputAccountFlowTest, WhatIsDeliveredDoesNotCount) {
  const InboundMessage message =
      MakeMessage(GetParam().qos, GetParam().payload_size);
  InputAccount account(/*tls=*/false, 0);
  int64_t received = 0;
  for (int i = 0; i < 1000; ++i) {
    received += GetParam().packet_size;
    account.Deliver(message);
    account.Settle(received);
    ASSERT_FALSE(account.IsExceeded());
  }
}

TEST_P(InputAccountFlowTest, NorDoesItHideWhatIsNot) {
  const InboundMessage message =
      MakeMessage(GetParam().qos, GetParam().payload_size);
  constexpr int64_t kHeld = 10;
  InputAccount account(/*tls=*/false, kLimit);
  int64_t received = 0;
  int64_t held = 0;
  while (!account.IsExceeded() && held < 4 * kLimit) {
    received += GetParam().packet_size + kHeld;
    held += kHeld;
    for (int i = 0; account.CountsPackets() && i < GetParam().packets; ++i) {
      account.AddPacket();
    }
    account.Deliver(message);
    account.Settle(received);
  }
  EXPECT_TRUE(account.IsExceeded());
}

// A large packet is on its way, or the like.
TEST_P(InputAccountFlowTest, NorWhilePacketsAreCounted) {
  const InboundMessage message =
      MakeMessage(GetParam().qos, GetParam().payload_size);
  InputAccount account(/*tls=*/false, kLimit);
  int64_t received = kLimit;
  account.Settle(received);
  for (int i = 0; account.CountsPackets() && i < 10000; ++i) {
    received += GetParam().packet_size;
    for (int j = 0; j < GetParam().packets; ++j) account.AddPacket();
    account.Deliver(message);
    account.Settle(received);
    ASSERT_FALSE(account.IsExceeded());
  }
}

TEST_P(InputAccountFlowTest, NorInTlsRecordsOfAKibibyte) {
  const InboundMessage message =
      MakeMessage(GetParam().qos, GetParam().payload_size);
  InputAccount account(/*tls=*/true, 0);
  int64_t received = 0;
  for (int i = 0; i < 1000; ++i) {
    const int64_t records = 2 + GetParam().packet_size / 1024;
    received += GetParam().packet_size + records * 100;
    account.Deliver(message);
    account.Settle(received);
    ASSERT_FALSE(account.IsExceeded());
  }
}

INSTANTIATE_TEST_SUITE_P(
    , InputAccountFlowTest,
    ::testing::Values(Flow{Qos::kAtMostOnce, 0, 5, 1},
                      Flow{Qos::kAtMostOnce, 124, 129, 1},
                      Flow{Qos::kAtMostOnce, 125, 131, 1},
                      Flow{Qos::kAtLeastOnce, 0, 7, 2},
                      Flow{Qos::kAtLeastOnce, 16383, 16392, 2},
                      Flow{Qos::kExactlyOnce, 0, 11, 4},
                      Flow{Qos::kExactlyOnce, 16378, 16390, 4},
                      Flow{Qos::kExactlyOnce, 16379, 16392, 4},
                      Flow{Qos::kExactlyOnce, 2097147, 2097161, 4}),
    [](const auto& info) {
      return "Qos" + std::to_string(static_cast<int>(info.param.qos)) + "Of" +
             std::to_string(info.param.payload_size);
    });

TEST(InputAccountTest, AnswersDoNotCount) {
  InputAccount account(/*tls=*/false, 0);
  for (int64_t i = 1; i <= 1000; ++i) {
    account.DeliverAnswer();
    account.Settle(8 * i);
    ASSERT_FALSE(account.IsExceeded());
  }
}

TEST(InputAccountTest, SmallPacketsCountForWhatTheyTake) {
  InputAccount account(/*tls=*/false, kLimit);
  int64_t received = 0;
  while (!account.IsExceeded() && received < kLimit) {
    if (account.CountsPackets()) account.AddPacket();
    account.Settle(received += 7);
  }
  EXPECT_TRUE(account.IsExceeded());
  EXPECT_LT(received, kLimit / 8);
}

}  // namespace
}  // namespace kamailio_mqtt
