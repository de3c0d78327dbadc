// SPDX-License-Identifier: GPL-3.0-or-later

// Bounds the memory that a broker can make the library take: the balance of
// what has come on a connection and what of that has been delivered. The
// difference is what the library holds: packets that are not complete, and
// messages of QoS 2 that the broker has not released (MQTT 3.1.1
// section 4.3.3).
//
// The library tells nobody of packets that make no event, so bytes are
// compared. Small packets take more memory than they have bytes: when
// much has come that was not delivered, packets are counted as well.
//
// What is delivered is credited with all that the broker can have sent for it,
// and the balance does not fall below zero: it does not drift on a connection
// that stays for long. So the limit is not hard: what is credited too much, two
// bytes for most packets and some hundred with TLS, a broker can use to have
// more held, slowly.
//
// Thread safety: none.
#ifndef MQTT_CORE_INPUT_ACCOUNT_H_
#define MQTT_CORE_INPUT_ACCOUNT_H_

#include <cstddef>
#include <cstdint>

#include "mqtt_core/message.h"

namespace kamailio_mqtt {

class InputAccount {
 public:
  // In bytes: the largest packet of MQTT, and 64 MiB for what waits with it to
  // be released.
  static constexpr int64_t kDefaultLimit =
      static_cast<int64_t>(kMaxPayloadSize) + 1 + (64 << 20);

  // `tls`: the connection's bytes are counted encrypted. `balance`: of the
  // connection before, where the library goes on with what it holds.
  InputAccount(bool tls, int64_t limit, int64_t balance = 0)
      : tls_(tls), limit_(limit), balance_(balance) {}

  // `received` bytes in all have been read from the connection.
  void Settle(int64_t received);
  // While CountsPackets(): a packet was read, or sent in answer.
  void AddPacket();
  // A message, with the PUBREL that released it.
  void Deliver(const InboundMessage& message);
  // The answer to a packet of the client's: at most PUBREC and PUBCOMP.
  void DeliverAnswer();

  bool CountsPackets() const;
  // As of the last Settle().
  bool IsExceeded() const { return balance_ > limit_; }
  int64_t limit() const { return limit_; }
  int64_t balance() const { return balance_; }

 private:
  // `packets` of the broker, of `bytes` together, and our answers to them.
  void Credit(int64_t packets, int64_t answers, int64_t bytes);

  const bool tls_;
  const int64_t limit_;
  int64_t received_ = 0;
  int64_t balance_;
  int64_t credit_ = 0;  // since the last Settle()
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_INPUT_ACCOUNT_H_
