// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/reconnect_policy.h"

#include <algorithm>
#include <utility>

namespace kamailio_mqtt {
namespace {

bool IsRefusal(DisconnectKind kind) {
  return kind == DisconnectKind::kBadCredentials ||
         kind == DisconnectKind::kIdentifierRejected;
}

}  // namespace

ReconnectPolicy::ReconnectPolicy(Duration delay, Duration delay_max,
                                 Random random)
    : delay_(delay), delay_max_(delay_max), random_(std::move(random)) {}

void ReconnectPolicy::OnConnected(TimePoint now) {
  connected_ = true;
  connected_at_ = now;
  failures_ = 0;
  refusals_ = 0;
}

Duration ReconnectPolicy::OnDisconnected(DisconnectKind kind, TimePoint now) {
  const Duration back_off_max = std::max(delay_max_, kBackOffMax);
  if (std::exchange(connected_, false)) {
    take_overs_ = IsTakeOver(kind, now) ? take_overs_ + 1 : 0;
    const bool is_series = take_overs_ > 1;  // Once may be chance.
    take_over_delay_ =
        is_series ? BackOff(back_off_max, take_overs_) : Duration::zero();
    if (is_series) return take_over_delay_;
  }
  if (IsRefusal(kind)) return BackOff(back_off_max, ++refusals_);
  refusals_ = 0;
  ++failures_;
  if (delay_max_ == delay_) return delay_;
  return std::chrono::duration_cast<Duration>(BackOff(delay_max_, failures_) *
                                              random_());
}

Duration ReconnectPolicy::OnTrialEnded() {
  connected_ = false;
  take_overs_ = 0;
  take_over_delay_ = Duration::zero();
  return delay_;
}

bool ReconnectPolicy::IsTakeOver(DisconnectKind kind, TimePoint now) const {
  return kind != DisconnectKind::kRequested &&
         now - connected_at_ < std::max(kStable, 3 * take_over_delay_);
}

Duration ReconnectPolicy::BackOff(Duration max, int failures) const {
  // 16 doublings of the smallest delay, a second, pass every limit.
  return std::min(max, delay_ * (1 << std::min(failures - 1, 16)));
}

}  // namespace kamailio_mqtt
