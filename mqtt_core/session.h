// SPDX-License-Identifier: GPL-3.0-or-later

// Keeps one client connected to the broker: connects, reconnects, restores the
// subscriptions and hands messages from the outbox over while the connection
// stands. Where the broker keeps MQTT's session meanwhile (MqttClient), what
// was in flight at QoS 1 and 2 is the client's to finish.
//
// A broker that does not acknowledge a message, though it answers PINGREQ,
// would stop everything once the window is full. MQTT lets a client send again
// only after a reconnect (MQTT 3.1.1 section 4.4), and brokers acknowledge in
// order (section 4.6). So where the oldest message is not acknowledged for too
// long, the session ends the connection and goes on with the next.
//
//            Start()            CONNACK 0
//   kIdle ----------> kConnecting -------> kConnected
//                       ^      |               |
//            delay over |      | failed        | lost
//                       |      v               |
//                     kWaiting <---------------+      Stop(), from any:
//                     kStopped
//
// Thread safety: everything happens on the event loop's thread. Only status()
// is for any thread.
#ifndef MQTT_CORE_SESSION_H_
#define MQTT_CORE_SESSION_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/connection_status.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/limited_log.h"
#include "mqtt_core/log.h"
#include "mqtt_core/loss_log.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/mutex.h"
#include "mqtt_core/outbox.h"
#include "mqtt_core/reconnect_policy.h"
#include "mqtt_core/refusal_probe.h"
#include "mqtt_core/statistics.h"
#include "mqtt_core/subscription_table.h"

namespace kamailio_mqtt {

struct SessionOptions {
  std::string broker;     // for people: "host:port"
  std::string client_id;  // for people
  // Whether subscriptions outlive their connection.
  bool resubscribe = true;
  // How long the broker may take to acknowledge a publish that has reached it;
  // it may be twice that until the connection ends.
  Duration acknowledge_timeout = std::chrono::seconds(30);
  OutboxOptions outbox;
};

class Session final : private MqttClient::Listener {
 public:
  enum class State { kIdle, kConnecting, kConnected, kWaiting, kStopped };

  class Observer : public Outbox::Observer {
   public:
    virtual void OnConnected() = 0;
    // An established connection was lost.
    virtual void OnDisconnected(const std::string& reason) = 0;
    virtual void OnMessage(InboundMessage message) = 0;
    // A subscription is new, or its state is, or it is gone.
    virtual void OnSubscriptionChanged(const Subscription& subscription,
                                       bool removed) = 0;
    // UNSUBACK.
    virtual void OnUnsubscribed(const std::string& filter) = 0;
  };

  // The world around the session; all of it outlives the session.
  struct Environment {
    EventLoop* loop;
    const Clock* clock;
    MqttClient* client;
    Statistics* statistics;
    Log* log;
    Observer* observer;
  };

  Session(SessionOptions options, ReconnectPolicy reconnect_policy,
          const Environment& environment);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Connects, and from now on reconnects.
  void Start();

  // Queues a message; its topic name is valid (topic.h). Call Submit() after
  // the last of a series. A `withdrawable` one can be taken back (Withdraw())
  // until it is submitted.
  void Publish(Message message, bool withdrawable = false);
  bool Withdraw(uint64_t publish_id);
  // Hands over what is queued, as far as connection and window allow. The rest
  // follows by itself.
  void Submit();

  // Filters are valid (topic.h). Requests made without a connection are sent
  // when there is one; so is what the broker had not answered when one ended.
  void Subscribe(const std::string& filter, Qos qos, SubscriptionOrigin origin);
  // Returns whether there was such a subscription.
  bool Unsubscribe(const std::string& filter);

  // Ends the connection, or the attempt or the wait before it, and connects
  // anew at once. Returns whether it will: not once Stop() was called.
  bool Reconnect(ReconnectMode mode);

  // Goes on until everything queued is sent and confirmed, or until `timeout`
  // has passed, sends DISCONNECT and calls `stopped`; what is left by then
  // counts as dropped, and so does what is published later. With nothing
  // queued and no connection it is done at once. Once only.
  void Stop(Duration timeout, std::function<void()> stopped);

  State state() const { return state_; }
  // While kWaiting.
  absl::optional<TimePoint> next_attempt() const {
    return status_.next_attempt;
  }
  ConnectionStatus status() const;
  const Outbox& outbox() const { return outbox_; }
  const SubscriptionTable& subscriptions() const { return subscriptions_; }

 private:
  // MqttClient::Listener
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

  bool IsStopping() const { return stopped_ != nullptr; }
  void EnterState(State state,
                  absl::optional<TimePoint> next_attempt = absl::nullopt);
  void Connect();
  void ConnectAfter(Duration delay);
  void SendPendingUnsubscriptions();
  void SendPendingSubscriptions();
  void ReportRefused(const Subscription& subscription);
  void ForgetSubscriptions();
  void UpdateSubscriptionGauges();
  void SubmitWaiting();
  // Begins to wait for what is in flight to be acknowledged.
  void WatchAcknowledgements();
  void OnAcknowledgeTimer();
  void NoteUnconfirmed();
  // Returns how long to wait before the next attempt.
  Duration JudgeDisconnect(DisconnectKind kind);
  void DropRefused();
  void DropExpired();
  void DropForShutdown();
  void LogAttemptFailure(const DisconnectReason& reason, Duration delay);
  // Goes one step further in stopping, if that is under way and possible now.
  void ContinueStop();
  // Returns whether the broker has confirmed it.
  bool LeaveSubscriptions();
  void OnStopTimer();
  void FinishStop();
  void OnReconnectTimeout();

  const SessionOptions options_;
  ReconnectPolicy reconnect_policy_;
  EventLoop* const loop_;
  const Clock* const clock_;
  MqttClient* const client_;
  Statistics* const statistics_;
  Log* const log_;
  Observer* const observer_;

  State state_ = State::kIdle;
  ConnectionStatus status_;
  mutable Mutex published_status_mutex_;
  ConnectionStatus published_status_ ABSL_GUARDED_BY(published_status_mutex_);
  Outbox outbox_;
  SubscriptionTable subscriptions_;
  // Subscriptions that the broker's session may have, to be ended: UNSUBSCRIBE
  // to be sent, and sent but not answered.
  std::set<std::string> unwanted_;
  absl::flat_hash_map<MqttClient::PacketId, std::string> unsubscribing_;
  // Whether it collects messages without a connection.
  bool is_session_kept_ = false;
  RefusalProbe refusal_probe_;
  // When the connection ended; before a session that was lost with it.
  absl::optional<Outbox::Unconfirmed> unconfirmed_;
  LossLog loss_log_;
  LimitedLog refused_log_;
  LimitedLog not_subscribed_log_;
  const std::unique_ptr<Timer> reconnect_timer_;
  const std::unique_ptr<Timer> quiet_timer_;  // publish nothing while it runs
  const std::unique_ptr<Timer> expiry_timer_;
  // Runs while a connection may have something of QoS 1 or 2 in flight.
  const std::unique_ptr<Timer> acknowledge_timer_;
  // What there was when it last fired.
  struct Look {
    uint64_t oldest;       // message in flight
    bool has_arrived;      // TCP had brought it to the other end
    int64_t acknowledged;  // messages, in all
  };
  absl::optional<Look> last_look_;
  std::string last_failure_;  // logged; the same again is not worth a line

  // While the connection or attempt ends because of Reconnect().
  absl::optional<ReconnectMode> reconnect_mode_;
  const std::unique_ptr<Timer> disconnect_timer_;

  // While Stop() is under way.
  const std::unique_ptr<Timer> stop_timer_;
  std::function<void()> stopped_;
  bool disconnecting_ = false;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_SESSION_H_
