// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/session.h"

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "mqtt_core/quote.h"

namespace kamailio_mqtt {
namespace {

// SUBSCRIBEs that wait for their SUBACK, and so for UNSUBSCRIBE: far below the
// 65,535 packet identifiers, which they share with PUBLISH.
constexpr size_t kSubscribeWindow = 1000;

// MQTT has none of this value (MQTT 3.1.1 section 2.3.1).
constexpr MqttClient::PacketId kNoPacketId = 0;

// What DISCONNECT may take to leave after the time to drain has passed.
constexpr Duration kDisconnectGrace = std::chrono::milliseconds(250);

// What DISCONNECT may take when a person asks for a new connection.
constexpr Duration kGracefulReconnect = std::chrono::seconds(2);

// Lines about subscriptions in a row, which scripts can bring about at will.
constexpr int kSubscriptionLines = 50;

std::string Seconds(Duration duration) {
  return absl::StrFormat("%.1f s",
                         std::chrono::duration<double>(duration).count());
}

ConnectionState ToConnectionState(Session::State state) {
  switch (state) {
    case Session::State::kConnecting:
      return ConnectionState::kConnecting;
    case Session::State::kConnected:
      return ConnectionState::kConnected;
    case Session::State::kStopped:
      return ConnectionState::kStopped;
    case Session::State::kIdle:
    case Session::State::kWaiting:
      break;
  }
  return ConnectionState::kWaiting;
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
      outbox_(options_.outbox, statistics_, observer_),
      loss_log_(loop_, log_),
      refused_log_(loop_, log_, LogLevel::kWarning, kSubscriptionLines),
      not_subscribed_log_(loop_, log_, LogLevel::kInfo, kSubscriptionLines),
      reconnect_timer_(loop_->CreateTimer([this] { Connect(); })),
      quiet_timer_(loop_->CreateTimer([this] { Submit(); })),
      expiry_timer_(loop_->CreateTimer([this] {
        DropExpired();
        ContinueStop();
      })),
      acknowledge_timer_(loop_->CreateTimer([this] { OnAcknowledgeTimer(); })),
      disconnect_timer_(loop_->CreateTimer([this] { OnReconnectTimeout(); })),
      stop_timer_(loop_->CreateTimer([this] { OnStopTimer(); })) {
  status_.broker = options_.broker;
  status_.client_id = options_.client_id;
  EnterState(State::kIdle);
  client_->SetListener(this);
}

void Session::Start() { Connect(); }

void Session::EnterState(State state, absl::optional<TimePoint> next_attempt) {
  state_ = state;
  status_.state = ToConnectionState(state);
  status_.since = clock_->Now();
  status_.next_attempt = next_attempt;
  const MutexLock lock(&published_status_mutex_);
  published_status_ = status_;
}

ConnectionStatus Session::status() const {
  const MutexLock lock(&published_status_mutex_);
  return published_status_;
}

void Session::Connect() {
  EnterState(State::kConnecting);
  client_->Connect();
}

void Session::ConnectAfter(Duration delay) {
  EnterState(State::kWaiting, clock_->Now() + delay);
  reconnect_timer_->Start(delay);
}

void Session::Publish(Message message, bool withdrawable) {
  loss_log_.Add(Loss::kOldest,
                outbox_.Push(std::move(message), clock_->Now(), withdrawable));
  if (state_ == State::kStopped) {
    DropForShutdown();
  } else if (!expiry_timer_->IsRunning()) {
    DropExpired();
  }
}

bool Session::Withdraw(uint64_t publish_id) {
  const bool withdrawn = outbox_.Withdraw(publish_id);
  ContinueStop();
  return withdrawn;
}

void Session::Submit() {
  SubmitWaiting();
  ContinueStop();
}

void Session::SubmitWaiting() {
  // The broker handles packets in order: messages that follow a SUBSCRIBE are
  // seen by that subscription.
  if (state_ != State::kConnected || disconnecting_ ||
      !subscriptions_.PendingToSend(1).empty() || quiet_timer_->IsRunning()) {
    return;
  }
  DropExpired();
  bool wants_acknowledgement = false;
  client_->BeginBatch();
  while (client_->WantsMore()) {
    if (refusal_probe_.is_searching() && outbox_.in_flight() > 0) break;
    const Message* message = outbox_.Next();
    if (message == nullptr) break;
    const absl::StatusOr<MqttClient::PacketId> packet_id =
        client_->Publish(*message);
    if (absl::IsInvalidArgument(packet_id.status())) {
      outbox_.DropNext();
      loss_log_.Add(Loss::kInvalid, 1);
      continue;
    }
    // Where it is not OK the connection is ending, and OnDisconnected()
    // follows. It may have broken as this message was written; the library
    // forgets it at QoS 0, and so nothing more is heard of it.
    const bool wants_answer = message->qos != Qos::kAtMostOnce;
    if (!packet_id.ok() && wants_answer) break;
    wants_acknowledgement |= wants_answer;
    outbox_.MarkSubmitted(packet_id.value_or(kNoPacketId));
    if (refusal_probe_.is_searching()) {
      refusal_probe_.OnSubmitted(clock_->Now());
    }
    if (!packet_id.ok()) break;
  }
  client_->EndBatch();
  if (wants_acknowledgement && !acknowledge_timer_->IsRunning()) {
    WatchAcknowledgements();
  }
}

void Session::WatchAcknowledgements() {
  last_look_.reset();
  acknowledge_timer_->Start(options_.acknowledge_timeout);
}

void Session::OnAcknowledgeTimer() {
  const absl::optional<Outbox::Unacknowledged> oldest =
      outbox_.OldestUnacknowledged();
  if (!oldest.has_value() || disconnecting_ || reconnect_mode_.has_value()) {
    return;
  }
  const int64_t acknowledged = statistics_->acknowledged.Total();
  // Where later ones were acknowledged since, the broker has passed it over.
  const bool is_kept_back =
      last_look_.has_value() && last_look_->oldest == oldest->id &&
      (last_look_->has_arrived || last_look_->acknowledged < acknowledged);
  if (!is_kept_back) {
    WatchAcknowledgements();
    last_look_ = {oldest->id, !client_->IsOutputWaiting(), acknowledged};
    return;
  }
  log_->Warning(absl::StrCat(
      "the broker has not acknowledged the publish to ",
      Quote(oldest->message->topic), ", accepted ",
      Seconds(clock_->Now() - oldest->accepted_at),
      " ago: closing the connection, to send it again on the next"));
  client_->Abort({DisconnectKind::kUnacknowledged,
                  absl::StrCat("the broker has not acknowledged a publish for ",
                               Seconds(options_.acknowledge_timeout))});
}

void Session::Subscribe(const std::string& filter, Qos qos,
                        SubscriptionOrigin origin) {
  const bool was_unwanted = unwanted_.erase(filter) > 0;
  if (!subscriptions_.Add(filter, qos, origin)) return;
  if (was_unwanted) subscriptions_.MarkInSession(filter);
  UpdateSubscriptionGauges();
  observer_->OnSubscriptionChanged(*subscriptions_.Find(filter), false);
  SendPendingSubscriptions();
}

bool Session::Unsubscribe(const std::string& filter) {
  const Subscription* subscription = subscriptions_.Find(filter);
  if (subscription == nullptr) {
    not_subscribed_log_.Write(absl::StrCat("not subscribed to ", Quote(filter),
                                           ": nothing to unsubscribe from"));
    return false;
  }
  observer_->OnSubscriptionChanged(*subscription, true);
  // With a connection somebody may wait for UNSUBACK.
  if (subscription->in_session || state_ == State::kConnected) {
    unwanted_.insert(filter);
  }
  subscriptions_.Remove(filter);
  UpdateSubscriptionGauges();
  SendPendingUnsubscriptions();
  return true;
}

void Session::SendPendingUnsubscriptions() {
  if (state_ != State::kConnected || disconnecting_ || unwanted_.empty()) {
    return;
  }
  client_->BeginBatch();
  while (!unwanted_.empty() && unsubscribing_.size() < kSubscribeWindow) {
    const std::string& filter = *unwanted_.begin();
    const absl::StatusOr<MqttClient::PacketId> packet_id =
        client_->Unsubscribe(filter);
    // The connection is ending; OnDisconnected() follows.
    if (absl::IsUnavailable(packet_id.status())) break;
    if (packet_id.ok()) {
      outbox_.CountPacketId();
      unsubscribing_[*packet_id] = filter;
    }
    unwanted_.erase(unwanted_.begin());
  }
  client_->EndBatch();
}

bool Session::Reconnect(ReconnectMode mode) {
  if (IsStopping()) return false;
  if (reconnect_mode_.has_value()) return true;
  switch (state_) {
    case State::kIdle:
      return true;
    case State::kWaiting:
      reconnect_timer_->Stop();
      Connect();
      return true;
    case State::kConnecting:
    case State::kConnected:
      reconnect_mode_ = mode;
      if (mode == ReconnectMode::kGraceful) {
        disconnect_timer_->Start(kGracefulReconnect);
        client_->Disconnect();
      } else {
        client_->Abort({DisconnectKind::kRequested, "abrupt reconnect"});
      }
      return true;
    case State::kStopped:
      break;
  }
  return false;
}

void Session::OnReconnectTimeout() {
  client_->Abort({DisconnectKind::kTimeout,
                  "reconnect requested, and DISCONNECT took too long"});
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
      outbox_.CountPacketId();
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
  UpdateSubscriptionGauges();
  observer_->OnSubscriptionChanged(subscription, false);
  refused_log_.Write(absl::StrCat("cannot subscribe to ",
                                  Quote(subscription.filter), ": ",
                                  subscription.refusal_reason));
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
      if (!LeaveSubscriptions()) return;
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

// Nobody will come for what a kept session goes on collecting.
bool Session::LeaveSubscriptions() {
  if (!client_->IsSessionKept()) return true;
  for (const Subscription& subscription : subscriptions_.All()) {
    if (subscription.in_session) unwanted_.insert(subscription.filter);
  }
  subscriptions_.Clear();
  UpdateSubscriptionGauges();
  SendPendingUnsubscriptions();
  return unwanted_.empty() && unsubscribing_.empty();
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
  EnterState(State::kStopped);
  reconnect_timer_->Stop();
  disconnect_timer_->Stop();
  expiry_timer_->Stop();
  stop_timer_->Stop();
  DropForShutdown();
  if (is_session_kept_ &&
      subscriptions_.Size() + unwanted_.size() + unsubscribing_.size() > 0) {
    log_->Info(
        "the broker keeps the subscriptions, and messages for them, until "
        "Kamailio starts again with the same id");
  }
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
  status_.failed_attempts = 0;
  EnterState(State::kConnected);
  last_failure_.clear();
  reconnect_policy_.OnConnected(clock_->Now());
  const Duration quiet = refusal_probe_.OnConnected(clock_->Now());
  if (quiet > Duration::zero()) quiet_timer_->Start(quiet);
  statistics_->connects.Add();
  statistics_->connected.Set(1);
  log_->Notice(absl::StrCat("connected to ", options_.broker));
  is_session_kept_ = client_->IsSessionKept();
  SendPendingUnsubscriptions();
  SendPendingSubscriptions();
  observer_->OnConnected();
  if (outbox_.in_flight() > 0) WatchAcknowledgements();
  Submit();
}

void Session::OnDisconnected(const DisconnectReason& reason) {
  const bool was_connected = state_ == State::kConnected;
  const absl::optional<ReconnectMode> requested =
      std::exchange(reconnect_mode_, absl::nullopt);
  disconnect_timer_->Stop();
  const bool cleanly =
      reason.kind == DisconnectKind::kRequested &&
      (disconnecting_ || requested == ReconnectMode::kGraceful);
  const std::string text =
      requested.has_value() && reason.kind == DisconnectKind::kRequested
          ? "reconnect requested"
          : reason.text;
  const bool failed = !was_connected && !requested.has_value();
  if (failed) ++status_.failed_attempts;
  status_.last_disconnect_reason = text;
  status_.last_disconnect = clock_->Now();
  statistics_->connected.Set(0);
  quiet_timer_->Stop();
  acknowledge_timer_->Stop();
  NoteUnconfirmed();
  loss_log_.Add(Loss::kPossiblyLost, outbox_.OnConnectionClosed(cleanly));
  if (was_connected && !options_.resubscribe) ForgetSubscriptions();
  subscriptions_.OnConnectionLost();
  UpdateSubscriptionGauges();
  for (auto& [packet_id, filter] : unsubscribing_) {
    if (subscriptions_.Find(filter) == nullptr) {
      unwanted_.insert(filter);
    } else {
      subscriptions_.MarkInSession(filter);
    }
  }
  unsubscribing_.clear();
  if (disconnecting_) {
    FinishStop();
    return;
  }

  Duration delay = JudgeDisconnect(reason.kind);
  unconfirmed_.reset();
  if (requested.has_value()) delay = Duration::zero();
  ConnectAfter(delay);
  DropExpired();
  if (was_connected) {
    statistics_->disconnects.Add();
    log_->Write(requested.has_value() ? LogLevel::kNotice : LogLevel::kWarning,
                absl::StrCat("connection to ", options_.broker, " lost: ", text,
                             "; next attempt in ", Seconds(delay)));
    observer_->OnDisconnected(text);
  } else if (failed) {
    statistics_->connect_failures.Add();
    LogAttemptFailure(reason, delay);
  }
  ContinueStop();
}

void Session::ForgetSubscriptions() {
  for (const Subscription& subscription : subscriptions_.All()) {
    observer_->OnSubscriptionChanged(subscription, true);
  }
  subscriptions_.Clear();
}

void Session::UpdateSubscriptionGauges() {
  statistics_->subscriptions.Set(static_cast<int64_t>(subscriptions_.Size()));
  statistics_->subscriptions_refused_now.Set(
      static_cast<int64_t>(subscriptions_.Refused()));
}

void Session::NoteUnconfirmed() {
  if (state_ == State::kConnected && !unconfirmed_.has_value()) {
    unconfirmed_ = outbox_.unconfirmed();
  }
}

Duration Session::JudgeDisconnect(DisconnectKind kind) {
  using Verdict = RefusalProbe::Verdict;
  const TimePoint now = clock_->Now();
  Verdict verdict = Verdict::kNothing;
  if (unconfirmed_.has_value()) {
    verdict = refusal_probe_.OnDisconnected(kind, now, *unconfirmed_);
  }
  if (verdict == Verdict::kNothing) {
    return reconnect_policy_.OnDisconnected(kind, now);
  }
  if (outbox_.in_flight() > 0) {
    client_->DropSession();
    OnSessionLost();
  }
  if (verdict == Verdict::kSearching) {
    log_->Info(
        "the broker may close the connection for one of the messages in "
        "flight: sending them one at a time");
    return reconnect_policy_.OnDisconnected(kind, now);
  }
  if (verdict == Verdict::kRefused) DropRefused();
  return reconnect_policy_.OnTrialEnded();
}

void Session::DropRefused() {
  const Message& message = *outbox_.Next();
  log_->Warning(absl::StrCat(
      "dropped a publish to ", Quote(message.topic),
      ": the broker has closed the connection for each attempt to send it"));
  outbox_.DropRefused();
}

void Session::OnSessionLost() {
  NoteUnconfirmed();
  outbox_.OnSessionLost();
  subscriptions_.OnSessionLost();
  is_session_kept_ = false;
  unwanted_.clear();
  unsubscribing_.clear();
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
  if (outbox_.Confirm(packet_id)) refusal_probe_.OnConfirmed();
  if (outbox_.waiting() > 0 && outbox_.IsWindowHalfEmpty()) SubmitWaiting();
  ContinueStop();
}

void Session::OnSubscribed(MqttClient::PacketId packet_id, int granted) {
  const Subscription* subscription =
      subscriptions_.OnSuback(packet_id, granted);
  if (subscription != nullptr &&
      subscription->state == SubscriptionState::kRefused) {
    ReportRefused(*subscription);
  } else if (subscription != nullptr) {
    observer_->OnSubscriptionChanged(*subscription, false);
  }
  SendPendingSubscriptions();
  Submit();
}

void Session::OnUnsubscribed(MqttClient::PacketId packet_id) {
  const auto found = unsubscribing_.find(packet_id);
  if (found == unsubscribing_.end()) return;
  observer_->OnUnsubscribed(found->second);
  unsubscribing_.erase(found);
  SendPendingUnsubscriptions();
  ContinueStop();
}

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
