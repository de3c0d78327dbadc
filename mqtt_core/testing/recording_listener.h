// SPDX-License-Identifier: GPL-3.0-or-later

// Listens to an MQTT client and keeps what it hears; runs the loop until the
// test has heard enough.
//
// Thread safety: on the loop's thread.
#ifndef MQTT_CORE_TESTING_RECORDING_LISTENER_H_
#define MQTT_CORE_TESTING_RECORDING_LISTENER_H_

#include <functional>
#include <utility>
#include <vector>

#include "mqtt_core/event_loop.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mqtt_client.h"

namespace kamailio_mqtt {

class RecordingListener : public MqttClient::Listener {
 public:
  struct Suback {
    MqttClient::PacketId packet_id;
    int granted;
  };

  explicit RecordingListener(EventLoop* loop) : loop_(loop) {}

  // Runs the loop until `condition` is true, which is looked at after each
  // callback; the test fails if that takes a minute.
  void RunUntil(std::function<bool()> condition);

  // Called after each callback was recorded, but for OnSessionLost().
  std::function<void()> on_event = [] {};

  int connects = 0;
  int lost_sessions = 0;
  int writable = 0;
  int ping_requests = 0;
  int ping_responses = 0;
  std::vector<DisconnectReason> disconnects;
  std::vector<MqttClient::PacketId> published;
  std::vector<Suback> subacks;
  std::vector<MqttClient::PacketId> unsubacks;
  std::vector<InboundMessage> messages;

 private:
  void OnConnected() override;
  void OnDisconnected(const DisconnectReason& reason) override;
  void OnSessionLost() override;
  void OnPublished(MqttClient::PacketId packet_id) override;
  void OnSubscribed(MqttClient::PacketId packet_id, int granted) override;
  void OnUnsubscribed(MqttClient::PacketId packet_id) override;
  void OnMessage(InboundMessage message) override;
  void OnPingRequest() override;
  void OnPingResponse() override;
  void OnWritable() override;

  void OnEvent();

  EventLoop* const loop_;
  std::function<bool()> condition_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_RECORDING_LISTENER_H_
