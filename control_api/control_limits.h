// SPDX-License-Identifier: GPL-3.0-or-later

// How much of the machine the clients of the control service can take.
#ifndef CONTROL_API_CONTROL_LIMITS_H_
#define CONTROL_API_CONTROL_LIMITS_H_

#include <chrono>
#include <cstddef>

#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

inline constexpr int kMaxControlRequestBytes = 16 << 20;
inline constexpr size_t kMaxControlConnections = 100;
inline constexpr int kMaxControlCallsPerConnection = 100;

// What gRPC may hold in buffers; it slows readers down before that.
inline constexpr size_t kMaxControlBufferBytes = 64 << 20;

// gRPC's reflection service takes a thread for each of its streams.
inline constexpr int kMaxControlThreads = 16;

// For TLS and the beginning of HTTP/2.
inline constexpr Duration kControlHandshakeTimeout = std::chrono::seconds(10);

// A client that pings more often than that is disconnected.
inline constexpr Duration kMinControlPingInterval = std::chrono::seconds(10);

// A silent connection is probed after that, and cut without an answer.
inline constexpr Duration kControlKeepaliveTime = std::chrono::seconds(60);
inline constexpr Duration kControlKeepaliveTimeout = std::chrono::seconds(20);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_LIMITS_H_
