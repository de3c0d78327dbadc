// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/fake_mqtt_client.h"

#include <algorithm>
#include <utility>

#include "gtest/gtest.h"

namespace kamailio_mqtt {

FakeMqttClient::FakeMqttClient(EventLoop* loop) : loop_(loop) {}

FakeMqttClient::~FakeMqttClient() = default;

void FakeMqttClient::SetListener(Listener* listener) {
  EXPECT_EQ(listener_, nullptr) << "SetListener() twice";
  EXPECT_EQ(connect_calls_, 0) << "SetListener() after Connect()";
  listener_ = listener;
}

void FakeMqttClient::Connect() {
  EXPECT_TRUE(loop_->IsInLoopThread());
  EXPECT_NE(listener_, nullptr) << "Connect() without a listener";
  EXPECT_EQ(state_, State::kIdle) << "Connect() while not idle";
  state_ = State::kConnecting;
  ++connect_calls_;
  wants_more_ = true;
  ping_outstanding_ = false;
  publications_.clear();
  subscriptions_.clear();
  unsubscriptions_.clear();
}

void FakeMqttClient::Disconnect() {
  EXPECT_TRUE(loop_->IsInLoopThread());
  EXPECT_EQ(state_, State::kConnected) << "Disconnect() without a connection";
  EXPECT_FALSE(in_batch_) << "Disconnect() in a batch";
  ++disconnect_calls_;
  PostDisconnected({DisconnectKind::kRequested, "disconnect requested"});
}

void FakeMqttClient::DropSession() {
  EXPECT_EQ(state_, State::kIdle) << "DropSession() while not idle";
  ++drop_session_calls_;
  loop_->Post([this] { LoseSession(); });
}

void FakeMqttClient::Abort(DisconnectReason reason) {
  EXPECT_TRUE(loop_->IsInLoopThread());
  EXPECT_FALSE(in_batch_) << "Abort() in a batch";
  aborts_.push_back(reason);
  if (state_ == State::kIdle) return;
  PostDisconnected(std::move(reason));
}

absl::StatusOr<MqttClient::PacketId> FakeMqttClient::Publish(
    const Message& message) {
  const absl::StatusOr<PacketId> packet_id = Submit();
  if (packet_id.ok()) {
    publications_.push_back({*packet_id, message});
    unacknowledged_.push_back(*packet_id);
  }
  return packet_id;
}

absl::StatusOr<MqttClient::PacketId> FakeMqttClient::Subscribe(
    const std::string& filter, Qos qos) {
  const absl::StatusOr<PacketId> packet_id = Submit();
  if (packet_id.ok()) subscriptions_.push_back({*packet_id, filter, qos});
  return packet_id;
}

absl::StatusOr<MqttClient::PacketId> FakeMqttClient::Unsubscribe(
    const std::string& filter) {
  const absl::StatusOr<PacketId> packet_id = Submit();
  if (packet_id.ok()) unsubscriptions_.push_back({*packet_id, filter});
  return packet_id;
}

void FakeMqttClient::BeginBatch() {
  EXPECT_TRUE(loop_->IsInLoopThread());
  EXPECT_FALSE(in_batch_) << "BeginBatch() in a batch";
  in_batch_ = true;
  ++batches_;
}

void FakeMqttClient::EndBatch() {
  EXPECT_TRUE(loop_->IsInLoopThread());
  EXPECT_TRUE(in_batch_) << "EndBatch() without a batch";
  in_batch_ = false;
}

bool FakeMqttClient::WantsMore() const { return wants_more_; }

bool FakeMqttClient::IsOutputWaiting() const {
  EXPECT_EQ(state_, State::kConnected) << "asked without a connection";
  return output_waiting_ || !wants_more_;
}

void FakeMqttClient::AcceptConnection() {
  ASSERT_EQ(state_, State::kConnecting);
  state_ = State::kConnected;
  listener_->OnConnected();
}

void FakeMqttClient::EndConnection(const DisconnectReason& reason) {
  ASSERT_NE(state_, State::kIdle);
  ending_.reset();
  state_ = State::kIdle;
  for (const Publication& publication : publications_) {
    if (publication.message.qos != Qos::kAtMostOnce) continue;
    unacknowledged_.erase(
        std::remove(unacknowledged_.begin(), unacknowledged_.end(),
                    publication.packet_id),
        unacknowledged_.end());
  }
  if (!keeps_session_) LoseSession();
  listener_->OnDisconnected(reason);
}

void FakeMqttClient::SetKeepsSession(bool keeps_session) {
  keeps_session_ = keeps_session;
}

void FakeMqttClient::LoseSession() {
  EXPECT_NE(state_, State::kConnected) << "a session lost while connected";
  unacknowledged_.clear();
  listener_->OnSessionLost();
}

void FakeMqttClient::AcknowledgeNext() {
  ASSERT_FALSE(unacknowledged_.empty());
  Acknowledge(unacknowledged_.front());
}

void FakeMqttClient::Acknowledge(PacketId packet_id) {
  ASSERT_EQ(state_, State::kConnected);
  const auto position =
      std::find(unacknowledged_.begin(), unacknowledged_.end(), packet_id);
  ASSERT_NE(position, unacknowledged_.end()) << "packet " << packet_id;
  unacknowledged_.erase(position);
  listener_->OnPublished(packet_id);
}

void FakeMqttClient::AcknowledgeAll() {
  while (state_ == State::kConnected && !unacknowledged_.empty()) {
    AcknowledgeNext();
  }
}

void FakeMqttClient::AnswerSubscribe(PacketId packet_id, int granted) {
  ASSERT_EQ(state_, State::kConnected);
  listener_->OnSubscribed(packet_id, granted);
}

void FakeMqttClient::AnswerUnsubscribe(PacketId packet_id) {
  ASSERT_EQ(state_, State::kConnected);
  listener_->OnUnsubscribed(packet_id);
}

void FakeMqttClient::Deliver(InboundMessage message) {
  ASSERT_EQ(state_, State::kConnected);
  listener_->OnMessage(std::move(message));
}

void FakeMqttClient::SendPing() {
  ASSERT_EQ(state_, State::kConnected);
  ASSERT_FALSE(ping_outstanding_);
  ping_outstanding_ = true;
  listener_->OnPingRequest();
}

void FakeMqttClient::AnswerPing() {
  ASSERT_EQ(state_, State::kConnected);
  ASSERT_TRUE(ping_outstanding_);
  ping_outstanding_ = false;
  listener_->OnPingResponse();
}

void FakeMqttClient::SetWantsMore(bool wants_more) {
  const bool drained = wants_more && !wants_more_;
  wants_more_ = wants_more;
  if (drained && state_ == State::kConnected) listener_->OnWritable();
}

void FakeMqttClient::SetOutputWaiting(bool output_waiting) {
  output_waiting_ = output_waiting;
}

void FakeMqttClient::SetSubmitStatus(absl::Status status) {
  submit_status_ = std::move(status);
}

absl::StatusOr<MqttClient::PacketId> FakeMqttClient::Submit() {
  EXPECT_TRUE(loop_->IsInLoopThread());
  if (state_ == State::kDisconnecting) {
    return absl::UnavailableError("the connection is being closed");
  }
  EXPECT_EQ(state_, State::kConnected) << "submitted without a connection";
  if (!submit_status_.ok()) return submit_status_;
  if (++last_packet_id_ == 0) ++last_packet_id_;
  return last_packet_id_;
}

void FakeMqttClient::PostDisconnected(DisconnectReason reason) {
  state_ = State::kDisconnecting;
  // An Abort() after a Disconnect() replaces its OnDisconnected().
  ending_ = std::make_shared<DisconnectReason>(std::move(reason));
  loop_->Post([this, ending = std::weak_ptr<DisconnectReason>(ending_)] {
    const std::shared_ptr<DisconnectReason> reason = ending.lock();
    if (reason != nullptr) EndConnection(*reason);
  });
}

}  // namespace kamailio_mqtt
