// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/timestamps.h"

namespace kamailio_mqtt {

using std::chrono::nanoseconds;
using std::chrono::seconds;

ClockReading ReadClocks(const Clock& clock) {
  return {clock.Now(), std::chrono::system_clock::now()};
}

google::protobuf::Timestamp ToTimestamp(TimePoint time,
                                        const ClockReading& now) {
  const nanoseconds since_epoch =
      std::chrono::duration_cast<nanoseconds>(now.wall.time_since_epoch()) -
      (now.monotonic - time);
  // Nanoseconds count upwards, before 1970 too.
  const seconds whole = std::chrono::floor<seconds>(since_epoch);
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(whole.count());
  timestamp.set_nanos(static_cast<int>((since_epoch - whole).count()));
  return timestamp;
}

google::protobuf::Duration ToProto(Duration duration) {
  // Both parts have the sign of the whole.
  const seconds whole = std::chrono::duration_cast<seconds>(duration);
  google::protobuf::Duration proto;
  proto.set_seconds(whole.count());
  proto.set_nanos(static_cast<int>((duration - whole).count()));
  return proto;
}

}  // namespace kamailio_mqtt
