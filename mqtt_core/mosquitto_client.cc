// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/mosquitto_client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <random>
#include <system_error>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

std::string MakeClientId(const Settings& settings) {
  if (settings.id.has_value()) return *settings.id;
  // 23 letters and digits: every broker takes that (MQTT 3.1.1
  // section 3.1.3.1).
  std::random_device random;
  return absl::StrCat("kamailio", absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random() & 0xFFFFFFF, absl::kZeroPad7));
}

// Whether the socket is open for sending.
bool CanSend(int descriptor) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         (info.tcpi_state == TCP_ESTABLISHED ||
          info.tcpi_state == TCP_CLOSE_WAIT);
}

}  // namespace

MosquittoClient::MosquittoClient(EventLoop* loop, Log* log,
                                 const Settings& settings, int64_t input_limit)
    : loop_(loop),
      log_(log),
      settings_(settings),
      client_id_(MakeClientId(settings)),
      input_limit_(input_limit),
      keeps_session_(settings.id.has_value() && settings.resubscribe == 1),
      settle_timer_(loop->CreateTimer([this] { OnSettleTimer(); })),
      connect_timer_(loop->CreateTimer([this] { OnConnectTimeout(); })),
      keep_alive_timer_(loop->CreateTimer([this] { OnKeepAlive(); })) {}

MosquittoClient::~MosquittoClient() {
  Abort({DisconnectKind::kRequested, "the client is destroyed"});
}

void MosquittoClient::SetListener(Listener* listener) { listener_ = listener; }

void MosquittoClient::Connect() {
  assert(state_ == State::kIdle);
  state_ = State::kResolving;
  is_wiped_ = false;
  stuck_calls_.erase(
      std::remove_if(stuck_calls_.begin(), stuck_calls_.end(),
                     [](const auto& call) { return call->IsOver(); }),
      stuck_calls_.end());
  if (stuck_calls_.size() >= kMaxStuckAttempts) {
    End({DisconnectKind::kUnreachable,
         absl::StrCat("the name service has not answered ", stuck_calls_.size(),
                      " earlier attempts yet")});
    return;
  }
  // A name service that hangs holds its thread, and must not hold what is in
  // flight with it.
  auto problem = std::make_shared<absl::optional<DisconnectReason>>();
  Call(
      [problem, settings = settings_] {
        *problem = MosquittoConnection::Resolve(settings);
      },
      [this, problem] { OnResolved(*problem); });
}

void MosquittoClient::Call(BlockingCall::Function work,
                           BlockingCall::Function done) {
  if (!connect_timer_->IsRunning()) {
    connect_timer_->Start(
        std::chrono::seconds(settings_.connect_timeout_seconds));
  }
  absl::StatusOr<std::shared_ptr<BlockingCall>> call =
      BlockingCall::Start(loop_, std::move(work), std::move(done));
  if (call.ok()) {
    call_ = *std::move(call);
  } else {
    End({DisconnectKind::kUnreachable, std::string(call.status().message())});
  }
}

void MosquittoClient::StartConnection(Purpose purpose) {
  state_ = State::kConnecting;
  purpose_ = purpose;
  MosquittoConnection::Options options;
  options.clean_session = purpose == Purpose::kWipe || !keeps_session_;
  options.with_will = purpose == Purpose::kSession;
  options.input_limit = input_limit_;
  connection_ = std::make_shared<MosquittoConnection>(
      settings_, client_id_, options, std::move(remains_));
  Call([connection = connection_] { connection->Connect(); },
       [this] { OnTcpConnected(); });
}

// connect(2) was interrupted, and has returned by now; only a thread that the
// name service has caught after all keeps what it has.
void MosquittoClient::TakeBackLent() {
  const LentConnection lent = std::exchange(lent_, {});
  if (lent.connection == nullptr || !lent.call->IsOver()) return;
  lent.connection->End({DisconnectKind::kRequested, "given up"});
  remains_ = lent.connection->TakeRemains();
}

void MosquittoClient::Disconnect() {
  if (state_ == State::kConnected) {
    state_ = State::kDraining;
    keep_alive_timer_->Stop();
    ContinueDisconnect();
    SettleSoon();
  } else if (!is_reported_) {
    Abort({DisconnectKind::kRequested, "disconnect requested"});
  }
}

// A new handle makes the broker forget the session, too.
void MosquittoClient::DropSession() {
  assert(state_ == State::kIdle);
  TakeBackLent();
  remains_.handle.reset();
}

void MosquittoClient::Abort(DisconnectReason reason) {
  if (state_ == State::kIdle) return;
  if (state_ == State::kEnding && !next_purpose_.has_value()) return;
  next_purpose_.reset();
  End(std::move(reason));
}

absl::StatusOr<MosquittoClient::PacketId> MosquittoClient::Publish(
    const Message& message) {
  if (message.qos == Qos::kExactlyOnce) answers_input_ = true;
  return Submitting([&] { return connection_->Publish(message); });
}

absl::StatusOr<MosquittoClient::PacketId> MosquittoClient::Subscribe(
    const std::string& filter, Qos qos) {
  if (qos == Qos::kExactlyOnce) keeps_session_ = false;
  if (qos != Qos::kAtMostOnce) answers_input_ = true;
  return Submitting([&] { return connection_->Subscribe(filter, qos); });
}

absl::StatusOr<MosquittoClient::PacketId> MosquittoClient::Unsubscribe(
    const std::string& filter) {
  return Submitting([&] { return connection_->Unsubscribe(filter); });
}

template <typename Submit>
absl::StatusOr<MosquittoClient::PacketId> MosquittoClient::Submitting(
    Submit submit) {
  if (state_ != State::kConnected || connection_->end().has_value()) {
    return absl::UnavailableError("the connection is ending");
  }
  // A packet alone leaves at once; from the second on they are held together.
  if (in_batch_ && ++batch_size_ == 2) SetCork(true);
  absl::StatusOr<PacketId> packet_id = submit();
  if (!in_batch_) FinishSubmitting();
  return packet_id;
}

void MosquittoClient::BeginBatch() {
  assert(!in_batch_);
  in_batch_ = true;
  batch_size_ = 0;
}

void MosquittoClient::EndBatch() {
  assert(in_batch_);
  in_batch_ = false;
  if (batch_size_ >= 2) SetCork(false);
  if (batch_size_ >= 1) FinishSubmitting();
}

void MosquittoClient::FinishSubmitting() {
  if (state_ != State::kConnected) return;
  if (connection_->HasEvents() || connection_->end().has_value() ||
      HasRoomAgain()) {
    SettleSoon();
  }
  WaitForSocket();
}

bool MosquittoClient::WantsMore() const {
  return state_ == State::kConnected && HasRoom();
}

// The kernel holds megabytes, which take a slow link minutes.
bool MosquittoClient::IsOutputWaiting() const {
  return !WantsMore() || connection_->HasUnacknowledgedOutput();
}

void MosquittoClient::OnResolved(
    const absl::optional<DisconnectReason>& problem) {
  call_.reset();
  if (problem.has_value()) {
    End(*problem);
  } else {
    TakeBackLent();
    if (remains_.handle == nullptr) listener_->OnSessionLost();
    StartConnection(Purpose::kSession);
  }
}

void MosquittoClient::OnTcpConnected() {
  call_.reset();
  state_ = State::kHandshaking;
  if (!connection_->end().has_value()) {
    watch_ = loop_->Watch(
        connection_->descriptor(),
        [this](bool readable, bool writable) { OnSocket(readable, writable); });
  }
  Settle();
}

void MosquittoClient::OnSocket(bool readable, bool writable) {
  if (writable) connection_->Write();
  if (readable && IsReading()) {
    if (answers_input_) SetCork(true);
    connection_->Read();
    if (answers_input_) SetCork(false);
    AcknowledgeSegments();
  }
  Settle();
}

// What the broker sends until it closes the connection is of no use.
void MosquittoClient::OnLingering() {
  char discarded[16384];
  const ssize_t size =
      recv(lingering_descriptor_, discarded, sizeof(discarded), MSG_DONTWAIT);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return;
  // With a reset it may not have read what came before DISCONNECT. With TLS it
  // may be the end of TLS behind DISCONNECT that it has not read.
  if (size == 0 || settings_.tls.enabled()) {
    End({DisconnectKind::kRequested, "disconnect requested"});
  } else {
    End({DisconnectKind::kLost, std::generic_category().message(errno)});
  }
  Settle();
}

void MosquittoClient::OnConnectTimeout() {
  const char* waiting_for = "CONNACK";
  if (state_ == State::kResolving || state_ == State::kConnecting) {
    waiting_for = "name resolution or TCP";
  } else if (connection_->IsTlsHandshaking()) {
    waiting_for = "the TLS handshake";
  }
  next_purpose_.reset();
  End({DisconnectKind::kTimeout,
       absl::StrCat("connect_timeout of ", settings_.connect_timeout_seconds,
                    " s has passed, waiting for ", waiting_for)});
  Settle();
}

// The library looks at the clock when it is asked to. Where this sends PINGREQ,
// there is nothing to see for a full interval. Where not, there was traffic,
// and PINGREQ may fall due at any time: it comes late by a quarter at most; the
// broker allows a half (MQTT 3.1.1 section 3.1.2.10).
void MosquittoClient::OnKeepAlive() {
  const Duration keep_alive = std::chrono::seconds(settings_.keepalive_seconds);
  const bool ping_sent = connection_->CheckKeepAlive();
  keep_alive_timer_->Start(ping_sent ? keep_alive : keep_alive / 4);
  if (ping_sent) listener_->OnPingRequest();
  Settle();
}

void MosquittoClient::OnSettleTimer() {
  if (IsReading() && connection_->HasBufferedInput()) connection_->Read();
  Settle();
}

void MosquittoClient::SettleSoon() {
  if (!settle_timer_->IsRunning()) settle_timer_->Start(Duration::zero());
}

void MosquittoClient::Settle() {
  if (connection_ != nullptr) {
    DeliverEvents();
    if (HasRoomAgain()) {
      was_full_ = false;
      listener_->OnWritable();
    }
    ContinueDisconnect();
    if (state_ != State::kEnding && connection_->end().has_value()) {
      End(*connection_->end());
    }
  }
  if (state_ == State::kEnding) {
    Finish();
    return;
  }
  // One round at a time: the loop has other work, too.
  if (connection_->HasEvents() || connection_->HasBufferedInput()) SettleSoon();
  WaitForSocket();
}

// Connected comes first: it may be what let the library publish.
void MosquittoClient::DeliverEvents() {
  connection_->TakePublished(&published_);
  connection_->TakeEvents(&events_);
  for (MosquittoConnection::Event& event : events_) {
    std::visit([this](auto& alternative) { Deliver(alternative); }, event);
  }
  for (const PacketId packet_id : published_) listener_->OnPublished(packet_id);
}

void MosquittoClient::Deliver(const MosquittoConnection::Connected& connected) {
  if (purpose_ == Purpose::kWipe) {
    is_wiped_ = true;
    is_kept_by_broker_ = false;
    next_purpose_ = Purpose::kSession;
    state_ = State::kDraining;
    return;
  }
  if (connection_->resumes() && !connected.session_present) {
    log_->Debug("the broker has not kept the session");
    next_purpose_ = Purpose::kSession;
    End({DisconnectKind::kLost, "the broker has not kept the session"});
    return;
  }
  if (keeps_session_ && !connection_->resumes() && connected.session_present) {
    if (is_wiped_) {
      End({DisconnectKind::kProtocolError,
           "the broker keeps a session that was to be removed"});
      return;
    }
    log_->Debug("the broker has kept a session from before: removing it");
    next_purpose_ = Purpose::kWipe;
    state_ = State::kDraining;
    return;
  }
  state_ = State::kConnected;
  is_reported_ = true;
  is_kept_by_broker_ = keeps_session_;
  connect_timer_->Stop();
  if (settings_.keepalive_seconds > 0) {
    keep_alive_timer_->Start(std::chrono::seconds(settings_.keepalive_seconds));
  }
  log_->Debug(absl::StrCat("client identifier ", client_id_, " ",
                           connection_->TlsDescription()));
  listener_->OnConnected();
}

void MosquittoClient::Deliver(const MosquittoConnection::Subscribed& event) {
  listener_->OnSubscribed(event.packet_id, event.granted);
}

void MosquittoClient::Deliver(const MosquittoConnection::Unsubscribed& event) {
  listener_->OnUnsubscribed(event.packet_id);
}

void MosquittoClient::Deliver(const MosquittoConnection::PingResponse&) {
  listener_->OnPingResponse();
}

void MosquittoClient::Deliver(InboundMessage& message) {
  if (is_reported_) listener_->OnMessage(std::move(message));
}

bool MosquittoClient::IsReading() const {
  return (state_ == State::kHandshaking || state_ == State::kConnected ||
          state_ == State::kDraining) &&
         !connection_->end().has_value();
}

bool MosquittoClient::HasRoom() const {
  return !connection_->end().has_value() && !connection_->WantsToWrite();
}

bool MosquittoClient::HasRoomAgain() const {
  return was_full_ && state_ == State::kConnected && HasRoom();
}

void MosquittoClient::WaitForSocket() {
  if (IsReading()) {
    watch_->WaitFor(true, connection_->WantsToWrite());
    was_full_ |= !HasRoom();
  } else if (state_ == State::kDisconnecting) {
    watch_->WaitFor(false, true);
  }
}

void MosquittoClient::SetCork(bool on) {
  if (state_ != State::kConnected) return;
  const int value = on ? 1 : 0;
  setsockopt(connection_->descriptor(), IPPROTO_TCP, TCP_CORK, &value,
             sizeof(value));
}

// A broker that leaves Nagle's algorithm on, as mosquitto does, holds a small
// packet back until TCP has acknowledged the one before, which the kernel puts
// off by 40 ms. It has to be told again and again.
void MosquittoClient::AcknowledgeSegments() {
  const int on = 1;
  setsockopt(connection_->descriptor(), IPPROTO_TCP, TCP_QUICKACK, &on,
             sizeof(on));
}

// With DISCONNECT, the library closes the socket (2.1: its sending side). If
// there is input it has not read, that resets the connection, and the broker
// may never see DISCONNECT: so we keep a duplicate until the broker has closed
// its side.
void MosquittoClient::ContinueDisconnect() {
  if (state_ == State::kDraining && !connection_->end().has_value() &&
      !connection_->WantsToWrite()) {
    state_ = State::kDisconnecting;
    lingering_descriptor_ =
        fcntl(connection_->descriptor(), F_DUPFD_CLOEXEC, 0);
    connection_->Disconnect();
  }
  if (state_ != State::kDisconnecting || connection_->end().has_value() ||
      CanSend(connection_->descriptor())) {
    return;
  }
  if (lingering_descriptor_ < 0) {
    End({DisconnectKind::kRequested, "disconnect requested"});
    return;
  }
  state_ = State::kLingering;
  shutdown(lingering_descriptor_, SHUT_WR);
  watch_ = loop_->Watch(lingering_descriptor_,
                        [this](bool, bool) { OnLingering(); });
  watch_->WaitFor(true, false);
}

void MosquittoClient::End(DisconnectReason reason) {
  watch_.reset();
  if (call_ != nullptr) {
    call_->Abandon();
    stuck_calls_.push_back(call_);
    if (connection_ != nullptr) {
      lent_ = {std::move(call_), std::move(connection_)};
    }
    call_.reset();
  } else if (connection_ != nullptr) {
    connection_->End(reason);
  }
  if (lingering_descriptor_ >= 0) close(lingering_descriptor_);
  lingering_descriptor_ = -1;
  if (!next_purpose_.has_value()) connect_timer_->Stop();
  keep_alive_timer_->Stop();
  state_ = State::kEnding;
  end_ = std::move(reason);
  SettleSoon();
}

void MosquittoClient::Finish() {
  const DisconnectReason reason = *std::move(end_);
  end_.reset();
  if (connection_ != nullptr) remains_ = connection_->TakeRemains();
  connection_.reset();
  was_full_ = false;
  settle_timer_->Stop();
  if (next_purpose_.has_value() || !keeps_session_) remains_.handle.reset();
  if (remains_.handle == nullptr && lent_.connection == nullptr) {
    listener_->OnSessionLost();
  }
  if (next_purpose_.has_value()) {
    StartConnection(*std::exchange(next_purpose_, absl::nullopt));
    return;
  }
  is_reported_ = false;
  state_ = State::kIdle;
  listener_->OnDisconnected(reason);
}

}  // namespace kamailio_mqtt
