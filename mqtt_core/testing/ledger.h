// SPDX-License-Identifier: GPL-3.0-or-later

// The promise of statistics.h: no message is lost without a trace.
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_TESTING_LEDGER_H_
#define MQTT_CORE_TESTING_LEDGER_H_

#include <cstdint>

#include "gtest/gtest.h"
#include "mqtt_core/message.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

inline constexpr Qos kEveryQos[] = {Qos::kAtMostOnce, Qos::kAtLeastOnce,
                                    Qos::kExactlyOnce};

// Expects what was accepted to be accounted for, at each QoS.
inline void ExpectLedgerBalances(const Statistics& statistics) {
  for (const Qos qos : kEveryQos) {
    SCOPED_TRACE(testing::Message() << "QoS " << static_cast<int>(qos));
    EXPECT_GE(statistics.queued.Get(qos), 0);
    EXPECT_GE(statistics.written.Get(qos), 0);
    EXPECT_EQ(statistics.accepted.Get(qos),
              statistics.written.Get(qos) + statistics.acknowledged.Get(qos) +
                  statistics.queued.Get(qos) + statistics.dropped_ttl.Get(qos) +
                  statistics.dropped_oldest.Get(qos) +
                  statistics.dropped_invalid.Get(qos) +
                  statistics.dropped_refused.Get(qos) +
                  statistics.dropped_shutdown.Get(qos) +
                  statistics.withdrawn.Get(qos) +
                  statistics.possibly_lost.Get(qos));
  }
  // Only what is acknowledged by nobody ends by being written.
  EXPECT_EQ(statistics.acknowledged.Get(Qos::kAtMostOnce), 0);
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    EXPECT_EQ(statistics.written.Get(qos), 0);
    EXPECT_EQ(statistics.possibly_lost.Get(qos), 0);
  }
}

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_LEDGER_H_
