// SPDX-License-Identifier: GPL-3.0-or-later

// The worker's side of the hand-off: checks a script call's arguments, decides
// whether the queue has room, copies the request into the ring and wakes the
// dispatcher if it sleeps. That is all a SIP worker ever does: no call here
// blocks, takes a lock or waits for another process.
//
// Thread safety: thread-safe, and safe in any process forked after SharedState
// was made.
#ifndef MQTT_CORE_REQUEST_SENDER_H_
#define MQTT_CORE_REQUEST_SENDER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/line_limit.h"
#include "mqtt_core/outbox.h"
#include "mqtt_core/request.h"
#include "mqtt_core/shared_state.h"

namespace kamailio_mqtt {

enum class SendResult { kAccepted, kInvalid, kQueueFull, kNotRunning };

class RequestSender {
 public:
  struct Outcome {
    SendResult result = SendResult::kAccepted;
    // What to log of a refusal: argument, value, rule. Empty when accepted, and
    // where a line would be one too many. Over all processes, a full queue or a
    // dispatcher that does not run is worth one a second, and so are calls that
    // are wrong, after the first kInvalidBurst.
    std::string problem;
  };

  static constexpr int kInvalidBurst = 50;

  // `state` and `clock` outlive the sender.
  RequestSender(const OutboxOptions& options, SharedState* state,
                const Clock* clock);

  // `options` in the grammar of publish_options.h.
  Outcome Publish(absl::string_view topic, absl::string_view payload, int qos,
                  absl::string_view options);
  Outcome Subscribe(absl::string_view filter, int qos);
  Outcome Unsubscribe(absl::string_view filter);
  // Refuses, as invalid, a call that the caller has found wrong by itself. The
  // value is shown where there is one.
  Outcome Refuse(absl::string_view argument,
                 absl::optional<absl::string_view> value,
                 absl::string_view rule);

 private:
  struct Size {
    int64_t messages;
    int64_t bytes;
  };

  // Of what was accepted and is not sent: what waits in the ring is as good as
  // queued. Never less than that; what the dispatcher takes over meanwhile
  // counts twice. In the ring a message has the bytes of the cells it takes.
  Size QueueSize() const;
  // Exact but for what happens at this very moment: callers that look at the
  // same time may exceed the limits by a message each, and the one message that
  // the dispatcher is taking over may count twice.
  bool HasRoomFor(int64_t bytes) const;
  Outcome Send(const RequestHeader& header, absl::string_view topic,
               absl::string_view payload);
  Outcome Invalid(absl::string_view problem);
  Outcome NotRunning();
  // `what` is full.
  Outcome Full(absl::string_view what);
  // What to append to the line about a call that cannot be taken; nothing where
  // it is one too many.
  absl::optional<std::string> AdmitRefusalLine();

  const OutboxOptions options_;
  SharedState* const state_;
  const Clock* const clock_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_REQUEST_SENDER_H_
