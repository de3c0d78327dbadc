// SPDX-License-Identifier: GPL-3.0-or-later

// The rules for UTF-8 encoded strings (MQTT 3.1.1 section 1.5.3), which hold
// for every text field of a packet: topics, client identifier, user name.
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_UTF8_STRING_H_
#define MQTT_CORE_UTF8_STRING_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

// The longest UTF-8 encoded string that fits its two-byte length, in bytes.
inline constexpr size_t kMaxUtf8StringBytes = 65535;

// OK when `text` may stand in an MQTT packet: at most 65,535 bytes of
// well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF)
// without U+0000. The empty string is allowed.
//
// Control characters and noncharacters, of which MQTT only says that the
// receiver may close the connection, are refused as well: libmosquitto and
// mosquitto do not take them, and a message that was accepted must not be lost
// for it.
//
// InvalidArgument otherwise. The message names the rule and the offset of the
// offending byte, counted from 0; it holds neither the text nor the name of
// the parameter, which the caller puts in front.
absl::Status ValidateUtf8String(absl::string_view text);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_UTF8_STRING_H_
