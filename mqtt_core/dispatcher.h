// SPDX-License-Identifier: GPL-3.0-or-later

// The dispatcher process, but for Kamailio: its threads, and how they stop.
//
//   script thread    the one that calls Run(): runs the events, one at a time
//   network thread   the event loop: request intake, session, MQTT client
//
// A slow event route delays neither publishing nor keep alive; it only makes
// the bounded queue between the two threads longer.
#ifndef MQTT_CORE_DISPATCHER_H_
#define MQTT_CORE_DISPATCHER_H_

#include <functional>
#include <memory>
#include <string>

#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/dispatcher_control.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/inbound_queue.h"
#include "mqtt_core/log.h"
#include "mqtt_core/loss_log.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/reconnect_policy.h"
#include "mqtt_core/request_intake.h"
#include "mqtt_core/session.h"
#include "mqtt_core/shared_state.h"

namespace kamailio_mqtt {

// The routing script, to the core.
class ScriptHost {
 public:
  virtual ~ScriptHost() = default;
  // Runs the event route or callback of the event. The script thread calls it.
  virtual RunStatus RunEvent(const ScriptEvent& event) = 0;
  // Ends the process: an event route has not come back by the time it should
  // have stopped. The network thread calls it, as its last act.
  virtual void EndProcess() = 0;
};

class Dispatcher final : private Session::Observer {
 public:
  struct Options {
    SessionOptions session;
    InboundQueue::Limits inbound;
    Duration drain_timeout = std::chrono::seconds(3);
  };

  // All of it outlives the dispatcher.
  struct Environment {
    SharedState* state;
    EventLoop* loop;
    const Clock* clock;
    MqttClient* client;
    Log* log;
    ScriptHost* script;
    // An eventfd; once it is readable the dispatcher stops. A signal handler
    // may write to it.
    int stop_fd;
    // Called on the network thread once the session has stopped, before the
    // event route that may still run is waited for. May block for a while.
    std::function<void()> on_session_stopped = nullptr;
  };

  Dispatcher(Options options, ReconnectPolicy reconnect_policy,
             const Environment& environment);
  ~Dispatcher() override;
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // Connects and serves until the stop descriptor says so. The network thread
  // lives as long as the call, with all signals blocked.
  void Run();

  // For the control service, while the dispatcher lives.
  Control* control() { return &control_; }

 private:
  // Session::Observer, on the network thread
  void OnConnected() override;
  void OnDisconnected(const std::string& reason) override;
  void OnMessage(InboundMessage message) override;
  void OnSubscriptionChanged(const Subscription& subscription,
                             bool removed) override;
  void OnUnsubscribed(const std::string& filter) override;
  void OnPublish(uint64_t id, const Message& message,
                 PublishOutcome outcome) override;

  void RunNetworkThread();
  void BeginStop();
  void FinishStop();
  void RunEvent(const ScriptEvent& event);

  const Options options_;
  SharedState* const state_;
  EventLoop* const loop_;
  const Clock* const clock_;
  Log* const log_;
  ScriptHost* const script_;
  const std::function<void()> on_session_stopped_;

  InboundQueue inbound_;
  Session session_;
  DispatcherControl control_;
  RequestIntake intake_;
  LossLog loss_log_;
  const std::unique_ptr<IoWatch> stop_watch_;
  TimePoint stop_deadline_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_DISPATCHER_H_
