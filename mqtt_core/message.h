// SPDX-License-Identifier: GPL-3.0-or-later

// Application messages (MQTT 3.1.1 section 3.3).
#ifndef MQTT_CORE_MESSAGE_H_
#define MQTT_CORE_MESSAGE_H_

#include <cstdint>
#include <string>

namespace kamailio_mqtt {

// Quality of service (MQTT 3.1.1 section 4.3).
enum class Qos : uint8_t {
  kAtMostOnce = 0,
  kAtLeastOnce = 1,
  kExactlyOnce = 2
};

inline constexpr bool IsValidQos(int qos) { return qos >= 0 && qos <= 2; }

// The largest payload that fits an MQTT packet (section 2.2.3).
inline constexpr size_t kMaxPayloadSize = 268435455;

// A message on its way to the broker.
struct Message {
  std::string topic;
  std::string payload;
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
};

// Who made a message arrive, or asked for a subscription.
enum class Origin : uint8_t { kBroker, kInjected };

// A message that came in.
struct InboundMessage {
  std::string topic;
  std::string payload;
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  bool duplicate = false;
  uint16_t packet_id = 0;  // 0 at QoS 0
  Origin origin = Origin::kBroker;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_MESSAGE_H_
