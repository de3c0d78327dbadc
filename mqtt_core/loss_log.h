// SPDX-License-Identifier: GPL-3.0-or-later

// Says in the log that messages were lost, and why: the first loss at once,
// what follows within a second summed up in one line.
//
// Thread safety: belongs to the event loop's thread.
#ifndef MQTT_CORE_LOSS_LOG_H_
#define MQTT_CORE_LOSS_LOG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "mqtt_core/event_loop.h"
#include "mqtt_core/log.h"

namespace kamailio_mqtt {

enum class Loss {
  kExpired,       // older than queue_ttl
  kOldest,        // made room under queue_policy drop_oldest
  kInvalid,       // the protocol library refused it
  kPossiblyLost,  // QoS 0, written to a connection that broke
  kInbound,       // the event routes are too slow
};

class LossLog {
 public:
  // Both outlive the object.
  LossLog(EventLoop* loop, Log* log);

  // `count` more messages; 0 is no loss.
  void Add(Loss loss, int64_t count);
  // Says at once what is left to say: the last call, as the timer will not run
  // again.
  void Flush();

 private:
  static constexpr size_t kKinds = 5;

  Log* const log_;
  const std::unique_ptr<Timer> timer_;
  std::array<int64_t, kKinds> counts_{};
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_LOSS_LOG_H_
