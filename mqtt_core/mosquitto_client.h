// SPDX-License-Identifier: GPL-3.0-or-later

// The MQTT client by libmosquitto, MQTT 3.1.1. What may block in connecting
// runs on a thread of its own; everything else on the event loop.
//
// Sessions are kept if the settings give a client identifier and subscriptions
// outlive a connection (resubscribe). Else, and once a subscription of QoS 2
// was asked for, every connection begins a clean session: libmosquitto 2.0.11
// keeps both copies of a message of QoS 2 that the broker sends again, and
// would deliver the left one in the place of a later message.
//
// A session that the broker has kept for somebody else, above all for an
// earlier process with the same identifier, is of no use: packet identifiers
// begin anew. It is removed by a connection with a clean session, before the
// one that counts, within the same attempt.
//
// Thread safety: see MqttClient. The destructor does not wait for anything: a
// thread that is stuck in the name service is left to end by itself. So a
// process that has used a client leaves by _exit(2), which such a thread does
// not mind.
#ifndef MQTT_CORE_MOSQUITTO_CLIENT_H_
#define MQTT_CORE_MOSQUITTO_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "mqtt_core/blocking_call.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/input_account.h"
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

  // `settings` are valid. Loop and log outlive the client. `input_limit` is an
  // InputAccount's.
  MosquittoClient(EventLoop* loop, Log* log, const Settings& settings,
                  int64_t input_limit = InputAccount::kDefaultLimit);
  ~MosquittoClient() override;
  MosquittoClient(const MosquittoClient&) = delete;
  MosquittoClient& operator=(const MosquittoClient&) = delete;

  // Of the protocol library, "2.0.11".
  static std::string LibraryVersion() {
    return MosquittoConnection::LibraryVersion();
  }

  // The one from the settings, or a random one; the same for each connection.
  const std::string& client_id() const { return client_id_; }

  void SetListener(Listener* listener) override;
  void Connect() override;
  void Disconnect() override;
  void DropSession() override;
  void Abort(DisconnectReason reason) override;
  absl::StatusOr<PacketId> Publish(const Message& message) override;
  absl::StatusOr<PacketId> Subscribe(const std::string& filter,
                                     Qos qos) override;
  absl::StatusOr<PacketId> Unsubscribe(const std::string& filter) override;
  void BeginBatch() override;
  void EndBatch() override;
  bool IsSessionKept() const override { return is_kept_by_broker_; }
  bool WantsMore() const override;
  bool IsOutputWaiting() const override;

 private:
  enum class State {
    kIdle,
    kResolving,      // the name service is asked; there is no connection
    kConnecting,     // the connection belongs to call_
    kHandshaking,    // TLS, CONNECT
    kConnected,      // CONNACK 0 has come
    kDraining,       // Disconnect() waits for what was submitted
    kDisconnecting,  // DISCONNECT waits for the socket
    kLingering,      // the broker has not closed the connection yet
    kEnding,         // the next connection or OnDisconnected() is due
  };
  enum class Purpose {
    kSession,  // the listener's
    kWipe,     // to remove the session from the broker
  };
  // A connection whose thread has not come back when it was given up.
  struct LentConnection {
    std::shared_ptr<BlockingCall> call;
    std::shared_ptr<MosquittoConnection> connection;
  };

  // Callbacks of the loop. Each ends with Settle() or a new call_.
  void OnResolved(const absl::optional<DisconnectReason>& problem);
  void OnTcpConnected();
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
  // Runs `work` on a thread, then `done` on the loop. Ends the attempt where
  // there is no thread.
  void Call(BlockingCall::Function work, BlockingCall::Function done);
  void StartConnection(Purpose purpose);
  void TakeBackLent();
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
  const int64_t input_limit_;
  Listener* listener_ = nullptr;

  State state_ = State::kIdle;
  bool keeps_session_;                  // on the next connection
  std::shared_ptr<BlockingCall> call_;  // while kResolving or kConnecting
  std::vector<std::shared_ptr<BlockingCall>> stuck_calls_;
  // From kConnecting on.
  std::shared_ptr<MosquittoConnection> connection_;
  Purpose purpose_ = Purpose::kSession;
  // What the connection that follows this one is for, if one does.
  absl::optional<Purpose> next_purpose_;
  bool is_wiped_ = false;                 // on this attempt
  bool is_reported_ = false;              // OnConnected() was called
  bool is_kept_by_broker_ = false;        // the session
  MosquittoConnection::Remains remains_;  // for the next connection
  LentConnection lent_;                   // or they are here
  absl::optional<DisconnectReason> end_;  // while kEnding
  // On the socket, or its duplicate while kLingering.
  std::unique_ptr<IoWatch> watch_;
  int lingering_descriptor_ = -1;
  bool was_full_ = false;  // had no room
  // Whether the library may write while it reads, each packet by itself:
  // PUBREL, or PUBACK and PUBREC.
  bool answers_input_ = false;
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
