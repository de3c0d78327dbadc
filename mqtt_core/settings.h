// SPDX-License-Identifier: GPL-3.0-or-later

// What the module parameters say. docs/admin_guide.md describes each.
#ifndef MQTT_CORE_SETTINGS_H_
#define MQTT_CORE_SETTINGS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"

namespace kamailio_mqtt {

struct TlsSettings {
  absl::optional<std::string> ca_file;
  absl::optional<std::string> ca_path;
  absl::optional<std::string> tls_method;
  absl::optional<std::string> tls_alpn;
  absl::optional<std::string> certificate;
  absl::optional<std::string> private_key;
  absl::optional<std::string> cipher_list;
  std::string verify_certificate = "1";  // 0 or 1

  // A CA is what turns TLS on.
  bool enabled() const { return ca_file.has_value() || ca_path.has_value(); }
};

struct WillSettings {
  absl::optional<std::string> topic;
  absl::optional<std::string> payload;
  int qos = 0;
  int retain = 0;
};

struct QueueSettings {
  int64_t max_messages = 100000;
  int64_t max_bytes = 64 << 20;
  std::string policy = "reject";  // reject or drop_oldest
  int ttl_seconds = 0;            // 0: keep
};

struct ReconnectSettings {
  int delay_seconds = 3;
  // 0: the same as delay_seconds, so that a person who sets that alone gets
  // just that delay.
  int delay_max_seconds = 0;

  int longest_delay_seconds() const {
    return delay_max_seconds == 0 ? delay_seconds : delay_max_seconds;
  }
};

// As the person wrote them: anything may be wrong until FindProblems() says
// otherwise.
struct Settings {
  absl::optional<std::string> host;
  int port = 1883;
  int keepalive_seconds = 5;  // 0: off
  absl::optional<std::string> id;
  absl::optional<std::string> username;
  absl::optional<std::string> password;
  WillSettings will;
  TlsSettings tls;
  int resubscribe = 1;
  QueueSettings queue;
  ReconnectSettings reconnect;
  int connect_timeout_seconds = 10;
  int drain_timeout_ms = 3000;
  // Not ours but Kamailio's: so long after the beginning of a stop it kills its
  // processes. 0: never.
  int exit_timeout_seconds = 0;

  // How long a stop may really drain: drain_timeout_ms, or what exit_timeout
  // leaves of it.
  std::chrono::milliseconds drain_time() const;
};

// Returns a line for everything that is wrong, each naming the parameter, its
// value and the rule; empty where all is well. The lines stand in the order of
// the parameters and show neither the password nor the payload of the will.
// Reads the files that the TLS parameters name, but never waits for one.
std::vector<std::string> FindProblems(const Settings& settings);

// Returns a line of the same form for everything that is allowed, but will not
// work as it is written.
std::vector<std::string> FindWarnings(const Settings& settings);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_SETTINGS_H_
