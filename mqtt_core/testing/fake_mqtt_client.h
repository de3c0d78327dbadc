// SPDX-License-Identifier: GPL-3.0-or-later

// An MQTT client without a broker: it records what it is asked to do, and the
// test plays the broker. A call that MqttClient does not allow fails the test.
//
// Thread safety: as MqttClient.
#ifndef MQTT_CORE_TESTING_FAKE_MQTT_CLIENT_H_
#define MQTT_CORE_TESTING_FAKE_MQTT_CLIENT_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "mqtt_core/event_loop.h"
#include "mqtt_core/mqtt_client.h"

namespace kamailio_mqtt {

class FakeMqttClient : public MqttClient {
 public:
  enum class State { kIdle, kConnecting, kConnected, kDisconnecting };

  struct Publication {
    PacketId packet_id;
    Message message;
  };
  struct Subscription {
    PacketId packet_id;
    std::string filter;
    Qos qos;
  };
  struct Unsubscription {
    PacketId packet_id;
    std::string filter;
  };

  // `loop` is not owned and outlives the client.
  explicit FakeMqttClient(EventLoop* loop);
  ~FakeMqttClient() override;

  // Disconnect() and Abort() post the OnDisconnected()
  // that they cause.
  void SetListener(Listener* listener) override;
  void Connect() override;
  void Disconnect() override;
  // Posts the OnSessionLost() that it causes.
  void DropSession() override;
  void Abort(DisconnectReason reason) override;
  absl::StatusOr<PacketId> Publish(const Message& message) override;
  absl::StatusOr<PacketId> Subscribe(const std::string& filter,
                                     Qos qos) override;
  absl::StatusOr<PacketId> Unsubscribe(const std::string& filter) override;
  void BeginBatch() override;
  void EndBatch() override;
  bool IsSessionKept() const override { return keeps_session_; }
  bool WantsMore() const override;
  bool IsOutputWaiting() const override;

  // What was asked for; disconnect_calls() counts those for good, too. The
  // lists hold what was submitted on the current or last connection, in order,
  // answered or not.
  State state() const { return state_; }
  int connect_calls() const { return connect_calls_; }
  int drop_session_calls() const { return drop_session_calls_; }
  int disconnect_calls() const { return disconnect_calls_; }
  const std::vector<DisconnectReason>& aborts() const { return aborts_; }
  int batches() const { return batches_; }
  const std::vector<Publication>& publications() const { return publications_; }
  const std::vector<Subscription>& subscriptions() const {
    return subscriptions_;
  }
  const std::vector<Unsubscription>& unsubscriptions() const {
    return unsubscriptions_;
  }

  // The following play broker and network; each calls the listener.
  void AcceptConnection();
  // Whether what is in flight outlives the connection; not so at first.
  void SetKeepsSession(bool keeps_session);
  // Between connections; of itself where sessions are not kept.
  void LoseSession();
  // Ends the connection or the attempt.
  void EndConnection(const DisconnectReason& reason);
  // The oldest publication that was not acknowledged, or a given one.
  void AcknowledgeNext();
  void Acknowledge(PacketId packet_id);
  void AcknowledgeAll();
  void AnswerSubscribe(PacketId packet_id, int granted);
  void AnswerUnsubscribe(PacketId packet_id);
  void Deliver(InboundMessage message);
  void SendPing();
  void AnswerPing();

  // False: WantsMore() says no from now on. True: OnWritable(), where it did.
  void SetWantsMore(bool wants_more);
  // Whether it is so also while the client wants more.
  void SetOutputWaiting(bool output_waiting);
  // Publish(), Subscribe() and Unsubscribe() fail with it until it is OK.
  void SetSubmitStatus(absl::Status status);
  // Publications submitted and not acknowledged, oldest first; in a session
  // that is kept, those of QoS 1 and 2 from earlier connections too.
  const std::deque<PacketId>& unacknowledged() const { return unacknowledged_; }

 private:
  absl::StatusOr<PacketId> Submit();
  void PostDisconnected(DisconnectReason reason);

  EventLoop* const loop_;
  Listener* listener_ = nullptr;
  State state_ = State::kIdle;
  bool in_batch_ = false;
  bool keeps_session_ = false;
  bool wants_more_ = true;
  bool output_waiting_ = false;
  bool ping_outstanding_ = false;
  absl::Status submit_status_;
  PacketId last_packet_id_ = 0;

  int connect_calls_ = 0;
  int disconnect_calls_ = 0;
  int drop_session_calls_ = 0;
  int batches_ = 0;
  std::vector<DisconnectReason> aborts_;
  std::vector<Publication> publications_;
  std::vector<Subscription> subscriptions_;
  std::vector<Unsubscription> unsubscriptions_;
  std::deque<PacketId> unacknowledged_;
  // The reason of the OnDisconnected() under way; posted tasks hold it weakly.
  std::shared_ptr<DisconnectReason> ending_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_FAKE_MQTT_CLIENT_H_
