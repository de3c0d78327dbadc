// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/recording_listener.h"

#include <chrono>
#include <memory>

#include "gtest/gtest.h"

namespace kamailio_mqtt {

void RecordingListener::RunUntil(std::function<bool()> condition) {
  if (condition()) return;
  condition_ = std::move(condition);
  const std::unique_ptr<Timer> deadline = loop_->CreateTimer([this] {
    ADD_FAILURE() << "nothing came";
    loop_->Stop();
  });
  deadline->Start(std::chrono::minutes(1));
  loop_->Run();
  condition_ = nullptr;
}

void RecordingListener::OnEvent() {
  on_event();
  if (condition_ && condition_()) loop_->Stop();
}

void RecordingListener::OnConnected() {
  ++connects;
  OnEvent();
}

void RecordingListener::OnDisconnected(const DisconnectReason& reason) {
  disconnects.push_back(reason);
  OnEvent();
}

void RecordingListener::OnSessionLost() { ++lost_sessions; }

void RecordingListener::OnPublished(MqttClient::PacketId packet_id) {
  published.push_back(packet_id);
  OnEvent();
}

void RecordingListener::OnSubscribed(MqttClient::PacketId packet_id,
                                     int granted) {
  subacks.push_back({packet_id, granted});
  OnEvent();
}

void RecordingListener::OnUnsubscribed(MqttClient::PacketId packet_id) {
  unsubacks.push_back(packet_id);
  OnEvent();
}

void RecordingListener::OnMessage(InboundMessage message) {
  messages.push_back(std::move(message));
  OnEvent();
}

void RecordingListener::OnPingRequest() {
  ++ping_requests;
  OnEvent();
}

void RecordingListener::OnPingResponse() {
  ++ping_responses;
  OnEvent();
}

void RecordingListener::OnWritable() {
  ++writable;
  OnEvent();
}

}  // namespace kamailio_mqtt
