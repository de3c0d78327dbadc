// SPDX-License-Identifier: GPL-3.0-or-later

// Points on the monotonic clock as wall-clock time: what lies as far back from
// now on one clock as on the other. A jump of the wall clock moves them with
// it.
//
// Thread-safe: free functions without state.
#ifndef CONTROL_API_TIMESTAMPS_H_
#define CONTROL_API_TIMESTAMPS_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <chrono>

#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

// Both clocks at one moment.
struct ClockReading {
  TimePoint monotonic;
  std::chrono::system_clock::time_point wall;
};

ClockReading ReadClocks(const Clock& clock);

google::protobuf::Timestamp ToTimestamp(TimePoint time,
                                        const ClockReading& now);

google::protobuf::Duration ToProto(Duration duration);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TIMESTAMPS_H_
