// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/session.h"

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace kamailio_mqtt {
namespace {

// SUBSCRIBEs that wait for their SUBACK: far below the 65,535 packet
// identifiers, which they share with PUBLISH.
constexpr size_t kSubscribeWindow = 1000;

// What DISCONNECT may take to leave after the time to drain has passed.
constexpr Duration kDisconnectGrace = std::chrono::milliseconds(250);

std::string Seconds(Duration duration) {
  return absl::StrFormat("%.1f s",
                         std::chrono::duration<double>(duration).count());
}

std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text), "\"");
}

}  // namespace

Session::Session(SessionOptions options, ReconnectPolicy reconnect_policy,
                 const Environment& environment)
    : options_(std::move(options)),
      reconnect_policy_(std::move(reconnect_policy)),
      loop_(environment.loop),
      clock_(environment.clock),
      client_(environment.client),
      statistics_(environment.statistics),
      log_(environment.log),
      observer_(environment.observer),
      outbox_(options_.outbox, statistics_),
      loss_log_(loop_, log_),
      reconnect_timer_(loop_->CreateTimer([this] { Connect(); })),
      expiry_timer_(loop_->CreateTimer([this] {
        DropExpired();
        ContinueStop();
      })),
      stop_timer_(loop_->CreateTimer([this] { OnStopTimer(); })) {
  client_->SetListener(this);
}

void Session::Start() { Connect(); }

void Session::Connect() {
  state_ = State::kConnecting;
  next_attempt_.reset();
  client_->Connect();
}

void Session::ConnectAfter(Duration delay) {
  state_ = State::kWaiting;
  next_attempt_ = clock_->Now() + delay;
  reconnect_timer_->Start(delay);
}

void Session::Publish(Message message) {
  loss_log_.Add(Loss::kOldest, outbox_.Push(std::move(message), clock_->Now()));
  if (state_ == State::kStopped) {
    DropForShutdown();
  } else if (!expiry_timer_->IsRunning()) {
    DropExpired();
  }
}

void Session::Submit() {
  SubmitWaiting();
  ContinueStop();
}

void Session::SubmitWaiting() {
  // The broker handles packets in order: messages that follow a SUBSCRIBE are
  // seen by that subscription.
  if (state_ != State::kConnected || disconnecting_ ||
      !subscriptions_.PendingToSend(1).empty()) {
    return;
  }
  DropExpired();
  client_->BeginBatch();
  while (client_->WantsMore()) {
    const Message* message = outbox_.Next();
    if (message == nullptr) break;
    const absl::StatusOr<MqttClient::PacketId> packet_id =
        client_->Publish(*message);
    if (packet_id.ok()) {
      outbox_.MarkSubmitted(*packet_id);
    } else if (absl::IsInvalidArgument(packet_id.status())) {
      outbox_.DropNext();
      loss_log_.Add(Loss::kInvalid, 1);
    } else {
      break;  // The connection is ending; OnDisconnected() follows.
    }
  }
  client_->EndBatch();
}

void Session::Subscribe(const std::string& filter, Qos qos,
                        SubscriptionOrigin origin) {
  if (subscriptions_.Add(filter, qos, origin)) SendPendingSubscriptions();
}

void Session::Unsubscribe(const std::string& filter) {
  if (!subscriptions_.Remove(filter)) {
    log_->Info(absl::StrCat("not subscribed to ", Quote(filter),
                            ": nothing to unsubscribe from"));
    return;
  }
  // An error means that the connection is ending, and the subscription with it.
  if (state_ == State::kConnected) client_->Unsubscribe(filter).IgnoreError();
}

void Session::SendPendingSubscriptions() {
  if (state_ != State::kConnected || disconnecting_) return;
  client_->BeginBatch();
  while (subscriptions_.InFlight() < kSubscribeWindow) {
    const std::vector<const Subscription*> pending =
        subscriptions_.PendingToSend(1);
    if (pending.empty()) break;
    const Subscription* subscription = pending.front();
    const absl::StatusOr<MqttClient::PacketId> packet_id =
        client_->Subscribe(subscription->filter, subscription->requested_qos);
    if (packet_id.ok()) {
      subscriptions_.MarkSent(subscription->filter, *packet_id);
    } else if (absl::IsInvalidArgument(packet_id.status())) {
      subscriptions_.MarkRefused(subscription->filter,
                                 packet_id.status().message());
      ReportRefused(*subscription);
    } else {
      break;  // The connection is ending; OnDisconnected() follows.
    }
  }
  client_->EndBatch();
}

void Session::ReportRefused(const Subscription& subscription) {
  statistics_->subscriptions_refused.Add();
  log_->Warning(absl::StrCat("cannot subscribe to ", Quote(subscription.filter),
                             ": ", subscription.refusal_reason));
}

void Session::Stop(Duration timeout, std::function<void()> stopped) {
  stopped_ = std::move(stopped);
  stop_timer_->Start(timeout);
  if (!outbox_.empty() &&
      (state_ == State::kIdle || state_ == State::kWaiting)) {
    reconnect_timer_->Stop();
    Connect();
  }
  ContinueStop();
}

void Session::ContinueStop() {
  if (!IsStopping() || !outbox_.empty() || disconnecting_) return;
  switch (state_) {
    case State::kConnected:
      disconnecting_ = true;
      client_->Disconnect();
      return;
    case State::kConnecting:
      disconnecting_ = true;
      client_->Abort({DisconnectKind::kRequested, "stopping"});
      return;
    case State::kIdle:
    case State::kWaiting:
      FinishStop();
      return;
    case State::kStopped:
      return;
  }
}

// The time to drain has passed; or, once more, the time for DISCONNECT.
void Session::OnStopTimer() {
  if (state_ == State::kConnected && !disconnecting_) {
    disconnecting_ = true;
    stop_timer_->Start(kDisconnectGrace);
    client_->Disconnect();
  } else if (state_ == State::kConnected || state_ == State::kConnecting) {
    disconnecting_ = true;
    client_->Abort({DisconnectKind::kTimeout, "stopping"});
  } else {
    FinishStop();
  }
}

void Session::FinishStop() {
  state_ = State::kStopped;
  next_attempt_.reset();
  reconnect_timer_->Stop();
  expiry_timer_->Stop();
  stop_timer_->Stop();
  DropForShutdown();
  loss_log_.Flush();
  stopped_();
}

void Session::DropForShutdown() {
  const int64_t dropped = outbox_.DropAllForShutdown();
  if (dropped == 0) return;
  log_->Warning(
      absl::StrCat("stopped with ", dropped,
                   " message(s) not delivered: drain_timeout has passed"));
}

void Session::OnConnected() {
  state_ = State::kConnected;
  last_failure_.clear();
  reconnect_policy_.OnConnected(clock_->Now());
  statistics_->connects.Add();
  statistics_->connected.Set(1);
  log_->Notice(absl::StrCat("connected to ", options_.broker));
  SendPendingSubscriptions();
  observer_->OnConnected();
  Submit();
}

void Session::OnDisconnected(const DisconnectReason& reason) {
  const bool was_connected = state_ == State::kConnected;
  const bool cleanly =
      disconnecting_ && reason.kind == DisconnectKind::kRequested;
  statistics_->connected.Set(0);
  loss_log_.Add(Loss::kPossiblyLost, outbox_.OnConnectionClosed(cleanly));
  if (was_connected && !options_.resubscribe) subscriptions_.Clear();
  subscriptions_.OnConnectionLost();
  if (disconnecting_) {
    FinishStop();
    return;
  }

  const Duration delay =
      reconnect_policy_.OnDisconnected(reason.kind, clock_->Now());
  ConnectAfter(delay);
  DropExpired();
  if (was_connected) {
    statistics_->disconnects.Add();
    log_->Warning(absl::StrCat("connection to ", options_.broker,
                               " lost: ", reason.text, "; next attempt in ",
                               Seconds(delay)));
    observer_->OnDisconnected(reason.text);
  } else {
    statistics_->connect_failures.Add();
    LogAttemptFailure(reason, delay);
  }
  ContinueStop();
}

void Session::LogAttemptFailure(const DisconnectReason& reason,
                                Duration delay) {
  const std::string line =
      absl::StrCat("cannot connect to ", options_.broker, ": ", reason.text,
                   "; next attempt in ", Seconds(delay));
  if (reason.text == last_failure_) {
    log_->Debug(line);
  } else {
    last_failure_ = reason.text;
    log_->Error(line);
  }
}

void Session::OnPublished(MqttClient::PacketId packet_id) {
  outbox_.Confirm(packet_id);
  if (outbox_.waiting() > 0 && outbox_.IsWindowHalfEmpty()) SubmitWaiting();
  ContinueStop();
}

void Session::OnSubscribed(MqttClient::PacketId packet_id, int granted) {
  const Subscription* subscription =
      subscriptions_.OnSuback(packet_id, granted);
  if (subscription != nullptr &&
      subscription->state == SubscriptionState::kRefused) {
    ReportRefused(*subscription);
  }
  SendPendingSubscriptions();
  Submit();
}

void Session::OnUnsubscribed(MqttClient::PacketId) {}

void Session::OnMessage(InboundMessage message) {
  statistics_->received.Add(message.qos);
  subscriptions_.RecordMessage(message.topic, message.payload.size(),
                               clock_->Now());
  observer_->OnMessage(std::move(message));
}

void Session::OnPingRequest() { outbox_.OnPingRequest(); }

void Session::OnPingResponse() { outbox_.OnPingResponse(); }

void Session::OnWritable() { Submit(); }

void Session::DropExpired() {
  const TimePoint now = clock_->Now();
  loss_log_.Add(Loss::kExpired, outbox_.DropExpired(now));
  const absl::optional<TimePoint> expiry = outbox_.NextExpiry();
  if (expiry.has_value()) expiry_timer_->Start(*expiry - now);
}

}  // namespace kamailio_mqtt
