// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/refusal_probe.h"

namespace kamailio_mqtt {

Duration RefusalProbe::OnConnected(TimePoint now) {
  connected_at_ = now;
  return is_searching() ? kQuiet * (1 + breaks_) : Duration::zero();
}

void RefusalProbe::OnConfirmed() {
  if (!is_searching()) return;
  --left_;
  breaks_ = 0;
}

RefusalProbe::Verdict RefusalProbe::OnDisconnected(
    DisconnectKind kind, TimePoint now,
    const Outbox::Unconfirmed& unconfirmed) {
  const TimePoint begin = is_searching() ? submitted_at_ : connected_at_;
  if (kind != DisconnectKind::kLost || unconfirmed.count == 0 ||
      now - begin > kSoon) {
    left_ = 0;
    breaks_ = 0;
    return Verdict::kNothing;
  }
  if (unconfirmed.oldest != suspect_) breaks_ = 0;
  suspect_ = unconfirmed.oldest;
  ++breaks_;
  if (is_searching()) {
    if (breaks_ < kBreaksToRefuse) return Verdict::kSuspect;
    --left_;
    breaks_ = 0;
    return Verdict::kRefused;
  }
  if (breaks_ < kBreaksToSearch) return Verdict::kNothing;
  left_ = unconfirmed.count;
  breaks_ = 0;
  return Verdict::kSearching;
}

}  // namespace kamailio_mqtt
