// SPDX-License-Identifier: GPL-3.0-or-later

// The connection to the broker, as a person wants to know it and to act on it.
#ifndef MQTT_CORE_CONNECTION_STATUS_H_
#define MQTT_CORE_CONNECTION_STATUS_H_

#include <cstdint>
#include <string>

#include "absl/types/optional.h"
#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

enum class ConnectionState {
  kConnecting,  // an attempt is under way
  kConnected,   // CONNACK 0 has come
  kWaiting,     // for the time of the next attempt
  kStopped,
};

enum class ReconnectMode {
  kGraceful,  // with DISCONNECT
  kAbrupt,    // the TCP connection is closed
};

struct ConnectionStatus {
  ConnectionState state = ConnectionState::kWaiting;
  TimePoint since;
  std::string broker;  // "host:port"
  std::string client_id;
  // In a row: since the last connection, or since the start.
  int64_t failed_attempts = 0;
  // Why the last connection or attempt ended.
  absl::optional<std::string> last_disconnect_reason;
  absl::optional<TimePoint> last_disconnect;
  // While kWaiting.
  absl::optional<TimePoint> next_attempt;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_CONNECTION_STATUS_H_
