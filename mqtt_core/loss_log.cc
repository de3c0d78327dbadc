// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/loss_log.h"

#include <chrono>

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

constexpr Duration kInterval = std::chrono::seconds(1);

const char* Describe(size_t kind) {
  switch (static_cast<Loss>(kind)) {
    case Loss::kExpired:
      return "dropped: older than queue_ttl";
    case Loss::kOldest:
      return "dropped: the oldest made room in a full queue";
    case Loss::kInvalid:
      return "dropped: not valid in MQTT";
    case Loss::kPossiblyLost:
      return "of QoS 0 possibly lost: written to a connection that broke";
    case Loss::kInbound:
      return "from the broker dropped: the event routes are too slow";
  }
  return "lost";
}

}  // namespace

LossLog::LossLog(EventLoop* loop, Log* log)
    : log_(log), timer_(loop->CreateTimer([this] { Flush(); })) {}

void LossLog::Add(Loss loss, int64_t count) {
  if (count == 0) return;
  counts_[static_cast<size_t>(loss)] += count;
  if (!timer_->IsRunning()) Flush();
}

// Runs as long as there is something to say, and then once more: a line that
// was just written must not be followed by another within the interval.
void LossLog::Flush() {
  bool lost = false;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (counts_[kind] == 0) continue;
    log_->Warning(absl::StrCat(counts_[kind], " message(s) ", Describe(kind)));
    counts_[kind] = 0;
    lost = true;
  }
  if (lost) timer_->Start(kInterval);
}

}  // namespace kamailio_mqtt
