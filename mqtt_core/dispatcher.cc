// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/dispatcher.h"

#include <thread>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "mqtt_core/signal_blocker.h"

namespace kamailio_mqtt {
Dispatcher::Dispatcher(Options options, ReconnectPolicy reconnect_policy,
                       const Environment& environment)
    : options_(std::move(options)),
      state_(environment.state),
      loop_(environment.loop),
      clock_(environment.clock),
      log_(environment.log),
      script_(environment.script),
      on_session_stopped_(environment.on_session_stopped),
      inbound_(options_.inbound, &state_->statistics()),
      session_(options_.session, std::move(reconnect_policy),
               {loop_, clock_, environment.client, &state_->statistics(), log_,
                this}),
      control_(loop_, clock_, &state_->statistics(), &session_, &inbound_),
      intake_(state_, loop_, &session_, log_),
      loss_log_(loop_, log_),
      stop_watch_(loop_->Watch(environment.stop_fd,
                               [this](bool, bool) { BeginStop(); })) {
  stop_watch_->WaitFor(/*readable=*/true, /*writable=*/false);
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Run() {
  std::thread network_thread;
  {
    SignalBlocker blocker;
    network_thread = std::thread([this] { RunNetworkThread(); });
  }
  for (absl::optional<ScriptEvent> event = inbound_.Pop(); event.has_value();
       event = inbound_.Pop()) {
    RunEvent(*event);
  }
  network_thread.join();
}

void Dispatcher::RunEvent(const ScriptEvent& event) {
  Statistics& statistics = state_->statistics();
  const TimePoint begin = clock_->Now();
  const RunStatus status = script_->RunEvent(event);
  if (const auto* injected = std::get_if<InjectedEvent>(&event)) {
    statistics.injected.Add();
    loop_->Post([this, call = injected->call, status,
                 run_time = clock_->Now() - begin] {
      control_.OnInjectedRun(call, status, run_time);
    });
  }
  switch (status) {
    case RunStatus::kNoRoute:
      break;
    case RunStatus::kDone:
      statistics.routes_run.Add();
      break;
    case RunStatus::kFailed:
      statistics.routes_failed.Add();
      break;
  }
}

void Dispatcher::RunNetworkThread() {
  loop_->Post([this] { session_.Start(); });
  loop_->Run();
  if (on_session_stopped_) on_session_stopped_();
  if (inbound_.WaitUntilIdle(stop_deadline_)) return;
  log_->Warning("stopping while an event route still runs");
  script_->EndProcess();
}

void Dispatcher::BeginStop() {
  stop_watch_->WaitFor(/*readable=*/false, /*writable=*/false);
  stop_deadline_ = clock_->Now() + options_.drain_timeout;
  intake_.Close();
  control_.Close();
  session_.Stop(options_.drain_timeout, [this] { FinishStop(); });
}

void Dispatcher::FinishStop() {
  intake_.Close();
  loss_log_.Flush();
  const size_t not_run = inbound_.Close();
  if (not_run > 0) {
    log_->Warning(absl::StrCat("stopped with ", not_run,
                               " message(s) from the broker not handled"));
  }
  loop_->Stop();
}

void Dispatcher::OnConnected() {
  inbound_.Push(ConnectedEvent{});
  control_.OnConnected();
}

void Dispatcher::OnDisconnected(const std::string& reason) {
  inbound_.Push(DisconnectedEvent{reason});
  control_.OnDisconnected();
}

void Dispatcher::OnMessage(InboundMessage message) {
  control_.OnMessage(message);
  loss_log_.Add(Loss::kInbound, inbound_.Push(std::move(message)));
}

void Dispatcher::OnSubscriptionChanged(const Subscription& subscription,
                                       bool removed) {
  control_.OnSubscriptionChanged(subscription, removed);
}

void Dispatcher::OnUnsubscribed(const std::string& filter) {
  control_.OnUnsubscribed(filter);
}

void Dispatcher::OnPublish(uint64_t id, const Message& message,
                           PublishOutcome outcome) {
  control_.OnPublish(id, message, outcome);
}

}  // namespace kamailio_mqtt
