// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/input_account.h"

#include <algorithm>

namespace kamailio_mqtt {
namespace {

// Packets are counted above this balance: with the smallest of them that is
// some 6 MiB of the library's memory.
constexpr int64_t kCountingThreshold = 256 << 10;

// What a packet counts for beside its bytes. More than the 160 bytes that it
// takes, so that a flood of small ones ends soon. As many messages as can be
// unreleased (65535, MQTT 3.1.1 section 2.3.1) come to 128 MiB.
constexpr int64_t kPacketWeight = 1024;

// PUBACK, PUBREC, PUBREL, PUBCOMP; a SUBACK for one filter has a byte more.
constexpr int64_t kAcknowledgementSize = 4;

// Credited for each packet. For the few that make no event, as an answer given
// twice; with TLS, also for the records around it and around its parts (RFC
// 8446 section 5.2: up to 22 bytes; 100 in older versions).
constexpr int64_t kAllowance = 2;
constexpr int64_t kTlsAllowance = 256;
// And for the records of a large packet, this part of its size.
constexpr int64_t kTlsShare = 8;

// MQTT 3.1.1 section 2.2.
int64_t PacketSize(int64_t remaining_length) {
  int64_t size = 2 + remaining_length;
  for (int64_t rest = remaining_length; rest >= 128; rest /= 128) ++size;
  return size;
}

}  // namespace

void InputAccount::Settle(int64_t received) {
  balance_ = std::max<int64_t>(0, balance_ + received - received_ - credit_);
  received_ = received;
  credit_ = 0;
}

void InputAccount::AddPacket() { balance_ += kPacketWeight; }

void InputAccount::Deliver(const InboundMessage& message) {
  const auto content =
      static_cast<int64_t>(message.topic.size() + message.payload.size());
  constexpr int64_t kTopicLength = 2;
  constexpr int64_t kPacketIdentifier = 2;
  switch (message.qos) {
    case Qos::kAtMostOnce:
      Credit(1, 0, PacketSize(kTopicLength + content));
      break;
    case Qos::kAtLeastOnce:
      Credit(1, 1, PacketSize(kTopicLength + kPacketIdentifier + content));
      break;
    case Qos::kExactlyOnce:
      Credit(2, 2,
             PacketSize(kTopicLength + kPacketIdentifier + content) +
                 kAcknowledgementSize);
      break;
  }
}

void InputAccount::DeliverAnswer() { Credit(2, 1, 2 * kAcknowledgementSize); }

bool InputAccount::CountsPackets() const {
  return balance_ > kCountingThreshold;
}

void InputAccount::Credit(int64_t packets, int64_t answers, int64_t bytes) {
  credit_ += bytes + packets * kAllowance;
  if (tls_) credit_ += bytes / kTlsShare + packets * kTlsAllowance;
  if (CountsPackets()) credit_ += (packets + answers) * kPacketWeight;
}

}  // namespace kamailio_mqtt
