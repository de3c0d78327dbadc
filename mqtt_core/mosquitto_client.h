// SPDX-License-Identifier: GPL-3.0-or-later

// The MQTT client by libmosquitto, MQTT 3.1.1, clean sessions. What may block
// in connecting runs on a thread of its own; everything else on the event loop.
//
// Thread safety: see MqttClient. The destructor does not wait for anything: a
// thread that is stuck in the name service is left to end by itself. So a
// process that has used a client leaves by _exit(2), which such a thread does
// not mind.
#ifndef MQTT_CORE_MOSQUITTO_CLIENT_H_
#define MQTT_CORE_MOSQUITTO_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "mqtt_core/blocking_call.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/log.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mosquitto_connection.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/settings.h"

namespace kamailio_mqtt {

class MosquittoClient final : public MqttClient {
 public:
  // Attempts that were given up while the name service had not answered. With
  // that many of them a new one ends at once, as unreachable.
  static constexpr size_t kMaxStuckAttempts = 4;

  // `settings` are valid. Loop and log outlive the client.
  MosquittoClient(EventLoop* loop, Log* log, const Settings& settings);
  ~MosquittoClient() override;
  MosquittoClient(const MosquittoClient&) = delete;
  MosquittoClient& operator=(const MosquittoClient&) = delete;

  // The one from the settings, or a random one; the same for each connection.
  const std::string& client_id() const { return client_id_; }

  void SetListener(Listener* listener) override;
  void Connect() override;
  void Disconnect() override;
  void Abort(DisconnectReason reason) override;
  absl::StatusOr<PacketId> Publish(const Message& message) override;
  absl::StatusOr<PacketId> Subscribe(const std::string& filter,
                                     Qos qos) override;
  absl::StatusOr<PacketId> Unsubscribe(const std::string& filter) override;
  void BeginBatch() override;
  void EndBatch() override;
  bool WantsMore() const override;

 private:
  enum class State {
    kIdle,
    kResolving,      // the connection belongs to call_
    kHandshaking,    // TLS, CONNECT
    kConnected,      // CONNACK 0 has come
    kDraining,       // Disconnect() waits for what was submitted
    kDisconnecting,  // DISCONNECT waits for the socket
    kLingering,      // the broker has not closed the connection yet
    kEnding,         // OnDisconnected() is due
  };

  // Callbacks of the loop. Each ends with Settle().
  void OnResolved();
  void OnSocket(bool readable, bool writable);
  void OnLingering();
  void OnConnectTimeout();
  void OnKeepAlive();
  void OnSettleTimer();

  // Calls the listener for all that has happened, and sees what to wait for
  // next. The client may be gone afterwards.
  void Settle();
  // Settle(), from the loop.
  void SettleSoon();
  void DeliverEvents();
  void Deliver(const MosquittoConnection::Connected& connected);
  void Deliver(const MosquittoConnection::Subscribed& subscribed);
  void Deliver(const MosquittoConnection::Unsubscribed& unsubscribed);
  void Deliver(const MosquittoConnection::PingResponse& response);
  void Deliver(InboundMessage& message);

  bool IsReading() const;
  bool HasRoom() const;
  bool HasRoomAgain() const;
  void WaitForSocket();
  template <typename Submit>
  absl::StatusOr<PacketId> Submitting(Submit submit);
  void FinishSubmitting();
  void SetCork(bool on);
  void AcknowledgeSegments();
  void ContinueDisconnect();
  void End(DisconnectReason reason);
  void Finish();

  EventLoop* const loop_;
  Log* const log_;
  const Settings settings_;
  const std::string client_id_;
  Listener* listener_ = nullptr;

  State state_ = State::kIdle;
  std::shared_ptr<BlockingCall> call_;  // while kResolving
  std::vector<std::shared_ptr<BlockingCall>> stuck_calls_;
  std::shared_ptr<MosquittoConnection> connection_;  // unless kIdle
  MosquittoConnection::TlsContext tls_context_;      // for the next one
  absl::optional<DisconnectReason> end_;             // while kEnding
  // On the socket, or its duplicate while kLingering.
  std::unique_ptr<IoWatch> watch_;
  int lingering_descriptor_ = -1;
  bool was_full_ = false;  // had no room
  bool in_batch_ = false;
  int batch_size_ = 0;
  // What DeliverEvents() works on; members to keep their memory.
  std::vector<PacketId> published_;
  std::vector<MosquittoConnection::Event> events_;

  const std::unique_ptr<Timer> settle_timer_;
  const std::unique_ptr<Timer> connect_timer_;
  const std::unique_ptr<Timer> keep_alive_timer_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_MOSQUITTO_CLIENT_H_
