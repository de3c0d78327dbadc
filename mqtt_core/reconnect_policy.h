// SPDX-License-Identifier: GPL-3.0-or-later

// How long to wait before the next attempt to connect.
//
// Lost connections and ordinary failures: `delay` each time where delay_max
// equals it, else exponential from `delay` to `delay_max` with full jitter.
// Refused credentials or client identifiers, and connections that break soon
// after they were made, time after time (two clients that take over each
// other's session look like that: MQTT 3.1.1 gives no reason), always back off
// exponentially, to 60 seconds or `delay_max`, whichever is longer.
//
// Thread safety: none.
#ifndef MQTT_CORE_RECONNECT_POLICY_H_
#define MQTT_CORE_RECONNECT_POLICY_H_

#include <functional>

#include "mqtt_core/clock.h"
#include "mqtt_core/mqtt_client.h"

namespace kamailio_mqtt {

class ReconnectPolicy {
 public:
  // Returns a number from [0, 1), evenly distributed.
  using Random = std::function<double()>;

  static constexpr Duration kBackOffMax = std::chrono::seconds(60);
  // A connection that held this long is not one of a series of take-overs.
  // Once the series is answered with a back-off, three times that: the other
  // client leaves a connection alone for as long as it waits itself.
  static constexpr Duration kStable = std::chrono::seconds(10);

  // delay_max >= delay > 0
  ReconnectPolicy(Duration delay, Duration delay_max, Random random);

  // A CONNACK 0 has come.
  void OnConnected(TimePoint now);
  // An attempt failed or a connection ended: returns the time to wait.
  Duration OnDisconnected(DisconnectKind kind, TimePoint now);
  // A connection was put at risk, and ended by that: returns `delay`. It is not
  // one of a series.
  Duration OnTrialEnded();

 private:
  bool IsTakeOver(DisconnectKind kind, TimePoint now) const;
  Duration BackOff(Duration max, int failures) const;

  const Duration delay_;
  const Duration delay_max_;
  const Random random_;
  bool connected_ = false;
  TimePoint connected_at_;
  // In a row:
  int failures_ = 0;
  int refusals_ = 0;
  int take_overs_ = 0;
  Duration take_over_delay_ = Duration::zero();  // the last back-off of these
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_RECONNECT_POLICY_H_
