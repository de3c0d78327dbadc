// SPDX-License-Identifier: GPL-3.0-or-later

// A private mosquitto on a port of its own on 127.0.0.1, as installed in
// /usr/sbin.
//
// Thread safety: none.
#ifndef MQTT_CORE_TESTING_MOSQUITTO_BROKER_H_
#define MQTT_CORE_TESTING_MOSQUITTO_BROKER_H_

#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "mqtt_core/testing/child_process.h"

namespace kamailio_mqtt {

class MosquittoBroker {
 public:
  // Starts it; anybody may connect. `options` are more lines for
  // mosquitto.conf(5), of the listener or global.
  explicit MosquittoBroker(const std::vector<std::string>& options = {});
  ~MosquittoBroker();
  MosquittoBroker(const MosquittoBroker&) = delete;
  MosquittoBroker& operator=(const MosquittoBroker&) = delete;

  int port() const { return port_; }

  // SIGKILL, and again on the same port.
  void Kill();
  void Restart();
  // SIGSTOP, SIGCONT.
  void Freeze();
  void Thaw();

 private:
  std::string ConfigurationPath() const;
  std::string LogPath() const;
  void WriteConfiguration(const std::vector<std::string>& options);
  // Whether it runs and listens.
  bool Start();

  std::string directory_;
  int port_ = 0;
  absl::optional<ChildProcess> process_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_MOSQUITTO_BROKER_H_
