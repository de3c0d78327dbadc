// SPDX-License-Identifier: GPL-3.0-or-later

// Something that a stream of events shows.
#ifndef CONTROL_API_EVENT_H_
#define CONTROL_API_EVENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/message.h"
#include "mqtt_core/publish_outcome.h"
#include "mqtt_core/subscription_table.h"

namespace kamailio_mqtt {

struct Event {
  struct Connected {};
  struct Disconnected {
    std::string reason;
    absl::optional<TimePoint> next_attempt;
  };
  struct SubscriptionChanged {
    Subscription subscription;
    bool removed = false;
  };
  // Of the payload, the message holds as much as is to be shown.
  struct MessageReceived {
    InboundMessage message;
    size_t payload_size = 0;
  };
  // The same is true here.
  struct Published {
    uint64_t publish_id = 0;
    Message message;
    size_t payload_size = 0;
    PublishOutcome outcome = PublishOutcome::kAccepted;
  };
  struct Synced {};
  struct Lost {
    uint64_t count = 0;
  };

  TimePoint time;
  std::variant<Connected, Disconnected, SubscriptionChanged, MessageReceived,
               Published, Synced, Lost>
      what;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_EVENT_H_
