// SPDX-License-Identifier: GPL-3.0-or-later

// The options of one publish, as a routing script writes them:
//
//   options = [ option *( ";" option ) [ ";" ] ]
//   option  = name [ "=" value ]
//
// Blanks around names and values are ignored. No option may be named twice.
//
//   retain, retain=1   the broker keeps the message as the retained message of
//                      its topic (MQTT 3.1.1 section 3.3.1.3)
//   retain=0           it does not (the default)
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_PUBLISH_OPTIONS_H_
#define MQTT_CORE_PUBLISH_OPTIONS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

struct PublishOptions {
  bool retain = false;
};

// Reads `text`; an empty or blank one stands for the defaults. InvalidArgument
// with a message that names the option, its value and the rule if `text` is
// not as described above. What the message quotes is escaped and cut to a
// length that suits a log.
absl::StatusOr<PublishOptions> ParsePublishOptions(absl::string_view text);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_PUBLISH_OPTIONS_H_
