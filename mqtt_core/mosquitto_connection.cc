// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/mosquitto_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <mosquitto.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "mqtt_core/file_descriptor.h"

namespace kamailio_mqtt {
namespace {

// What one Read() may take on, so that the loop's other work is not kept
// waiting by a flood.
constexpr int kMaxPacketsPerRead = 256;
constexpr size_t kMaxEventsPerRead = 256;

constexpr size_t kMaxErrorLines = 8;

// What the kernel takes beyond what is under way to the broker.
constexpr int kMaxUnsentBytes = 64 << 10;

// Remaining length at most (MQTT 3.1.1 section 2.2.3), less topic length and
// packet identifier.
constexpr size_t kMaxTopicAndPayload = kMaxPayloadSize - 4;

std::string ErrorText(int error) {
  return std::generic_category().message(error);
}

std::string WithoutPeriod(absl::string_view text) {
  return std::string(absl::StripSuffix(text, "."));
}

const char* OrNull(const absl::optional<std::string>& text) {
  return text.has_value() ? text->c_str() : nullptr;
}

MosquittoConnection* Self(void* self) {
  return static_cast<MosquittoConnection*>(self);
}

DisconnectReason CannotResolve(DisconnectKind kind, int code) {
  return {kind,
          absl::StrCat("cannot resolve the host name: ", gai_strerror(code))};
}

struct AddressesDeleter {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesDeleter>;

// Returns what getaddrinfo(3) does.
int LookUp(const Settings& settings, Addresses* addresses) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      getaddrinfo(settings.host->c_str(), absl::StrCat(settings.port).c_str(),
                  &hints, &found);
  addresses->reset(found);
  return code;
}

// Why the last of the addresses takes no connection: errno, or 0 if one of them
// does.
int TryToConnect(const Addresses& addresses) {
  int error = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr;
       address = address->ai_next) {
    const FileDescriptor descriptor(socket(address->ai_family,
                                           address->ai_socktype | SOCK_CLOEXEC,
                                           address->ai_protocol));
    if (descriptor.get() >= 0 &&
        connect(descriptor.get(), address->ai_addr, address->ai_addrlen) == 0) {
      return 0;
    }
    error = errno;
  }
  return error;
}

// What libmosquitto 2.1 does not tell.
DisconnectReason FindOutWhyUnreachable(const Settings& settings) {
  Addresses addresses;
  const int code = LookUp(settings, &addresses);
  if (code != 0) return CannotResolve(DisconnectKind::kUnreachable, code);
  const int error = TryToConnect(addresses);
  return {DisconnectKind::kUnreachable,
          error != 0 ? ErrorText(error) : "the TCP connection failed"};
}

// Whether the library reads more than the packet that it handles. What is left
// when it gives up on one it takes for the beginning of the next connection.
bool ReadsAhead() {
  return mosquitto_lib_version(nullptr, nullptr, nullptr) >= 2001000;
}

// For private keys with a passphrase: there is none, and nobody to ask.
int NoPassphrase(char*, int, int, void*) { return 0; }

}  // namespace

// The library closes a connection that it cannot write to, and with it goes
// unread what the broker had sent before: the TLS alert that says why. This
// keeps the connection readable.
class MosquittoConnection::AlertReader {
 public:
  AlertReader(SSL* ssl, int descriptor)
      : ssl_(ssl), descriptor_(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
    SSL_up_ref(ssl_);
  }
  ~AlertReader() {
    SSL_free(ssl_);
    if (descriptor_ >= 0) close(descriptor_);
  }
  AlertReader(const AlertReader&) = delete;
  AlertReader& operator=(const AlertReader&) = delete;

  // OpenSSL's words for the alert, or nullptr. Only once the library has done
  // with the connection.
  const char* Read() {
    ERR_clear_error();
    char discarded;
    if (SSL_set_fd(ssl_, descriptor_) == 1) SSL_read(ssl_, &discarded, 1);
    const unsigned long error = ERR_peek_error();
    ERR_clear_error();
    const bool is_alert = ERR_GET_LIB(error) == ERR_LIB_SSL &&
                          ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET;
    return is_alert ? ERR_reason_error_string(error) : nullptr;
  }

 private:
  SSL* const ssl_;
  const int descriptor_;
};

void MosquittoConnection::TlsContextDeleter::operator()(
    SSL_CTX* context) const {
  SSL_CTX_free(context);
}

void MosquittoConnection::HandleDeleter::operator()(
    struct mosquitto* handle) const {
  mosquitto_destroy(handle);
}

MosquittoConnection::MosquittoConnection(const Settings& settings,
                                         const std::string& client_id,
                                         const Options& options,
                                         Remains remains)
    : settings_(settings),
      client_id_(client_id),
      ping_response_line_(
          absl::StrCat("Client ", client_id, " received PINGRESP")),
      options_(options),
      handle_(std::move(remains.handle)),
      resumes_(handle_ != nullptr),
      tls_context_(std::move(remains.tls_context)),
      input_(settings.tls.enabled(), options.input_limit,
             resumes_ ? remains.held_input : 0) {}

MosquittoConnection::~MosquittoConnection() = default;

std::string MosquittoConnection::LibraryVersion() {
  int major = 0;
  int minor = 0;
  int revision = 0;
  mosquitto_lib_version(&major, &minor, &revision);
  return absl::StrCat(major, ".", minor, ".", revision);
}

absl::optional<DisconnectReason> MosquittoConnection::Resolve(
    const Settings& settings) {
  Addresses addresses;
  const int code = LookUp(settings, &addresses);
  if (code != 0) return CannotResolve(DisconnectKind::kUnreachable, code);
  return absl::nullopt;
}

void MosquittoConnection::Connect() {
  const absl::Status prepared = PrepareHandle();
  if (!prepared.ok()) {
    End({DisconnectKind::kUnreachable, std::string(prepared.message())});
    return;
  }
  UpdateLogCallback();
  const int code =
      mosquitto_connect(handle_.get(), settings_.host->c_str(), settings_.port,
                        settings_.keepalive_seconds);
  const int error = errno;
  if (code == MOSQ_ERR_SUCCESS) {
    PrepareSocket();
    return;
  }
  // 2.1 asks for the peer of the socket that it has closed, and returns with
  // that error.
  if ((code == MOSQ_ERR_ERRNO || code == MOSQ_ERR_EAI) && error == EBADF) {
    End(FindOutWhyUnreachable(settings_));
  } else {
    EndByCode(code, error);
  }
}

void MosquittoConnection::PrepareSocket() {
  // A program that an event route starts must not keep the connection open.
  fcntl(descriptor(), F_SETFD, FD_CLOEXEC);
  // On a slow link PINGREQ would wait behind all that the kernel takes, and be
  // answered too late.
  setsockopt(descriptor(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMaxUnsentBytes,
             sizeof(kMaxUnsentBytes));
}

absl::Status MosquittoConnection::PrepareHandle() {
  if (resumes_) {
    mosquitto_user_data_set(handle_.get(), this);
    if (tls_context_ != nullptr) ForgetCertificates();
    return absl::OkStatus();
  }
  static std::once_flag library_initialised;
  std::call_once(library_initialised, [] { mosquitto_lib_init(); });

  handle_.reset(
      mosquitto_new(client_id_.c_str(), options_.clean_session, this));
  if (handle_ == nullptr) {
    return absl::InternalError(
        absl::StrCat("libmosquitto: ", ErrorText(errno)));
  }
  mosquitto_connect_with_flags_callback_set(handle_.get(), &OnConnack);
  mosquitto_publish_callback_set(handle_.get(), &OnPublish);
  mosquitto_subscribe_callback_set(handle_.get(), &OnSuback);
  mosquitto_unsubscribe_callback_set(handle_.get(), &OnUnsuback);
  mosquitto_message_callback_set(handle_.get(), &OnMessage);
  return Configure();
}

absl::Status MosquittoConnection::Configure() {
  const auto check = [](absl::string_view what, int code) {
    if (code == MOSQ_ERR_SUCCESS) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("libmosquitto does not take the ", what, ": ",
                     WithoutPeriod(mosquitto_strerror(code))));
  };
  absl::Status status;
  status.Update(
      check("protocol version",
            mosquitto_int_option(handle_.get(), MOSQ_OPT_PROTOCOL_VERSION,
                                 MQTT_PROTOCOL_V311)));
  // We send in batches; what ends one is not to wait for an acknowledgement.
  status.Update(
      check("TCP option",
            mosquitto_int_option(handle_.get(), MOSQ_OPT_TCP_NODELAY, 1)));
  // The session keeps the window; the library is not to queue behind it.
  status.Update(
      check("window", mosquitto_max_inflight_messages_set(handle_.get(), 0)));
  if (settings_.username.has_value()) {
    status.Update(check(
        "user name and password",
        mosquitto_username_pw_set(handle_.get(), settings_.username->c_str(),
                                  OrNull(settings_.password))));
  }
  if (options_.with_will && settings_.will.topic.has_value()) {
    const std::string payload = settings_.will.payload.value_or("");
    status.Update(check(
        "will",
        mosquitto_will_set(handle_.get(), settings_.will.topic->c_str(),
                           static_cast<int>(payload.size()), payload.data(),
                           settings_.will.qos, settings_.will.retain != 0)));
  }
  if (settings_.tls.enabled()) status.Update(ConfigureTls());
  return status;
}

// The library sets what the settings say again for each connection. The
// certificates to trust would only become more.
void MosquittoConnection::ForgetCertificates() {
  X509_STORE* const no_certificates = X509_STORE_new();
  if (no_certificates == nullptr) return;
  SSL_CTX_set_cert_store(tls_context_.get(), no_certificates);
}

// The library makes the first one, and initialises itself with that.
void MosquittoConnection::ReuseTlsContext() {
  ForgetCertificates();
  mosquitto_void_option(handle_.get(), MOSQ_OPT_SSL_CTX, tls_context_.get());
  mosquitto_int_option(handle_.get(), MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 1);
}

// Before the library frees it with the connection.
void MosquittoConnection::KeepTlsContext() {
  if (tls_context_ != nullptr || ssl() == nullptr) return;
  tls_context_.reset(SSL_get_SSL_CTX(ssl()));
  SSL_CTX_up_ref(tls_context_.get());
}

absl::Status MosquittoConnection::ConfigureTls() {
  if (tls_context_ != nullptr) ReuseTlsContext();
  const TlsSettings& tls = settings_.tls;
  errno = 0;
  if (mosquitto_tls_set(handle_.get(), OrNull(tls.ca_file), OrNull(tls.ca_path),
                        OrNull(tls.certificate), OrNull(tls.private_key),
                        &NoPassphrase) != MOSQ_ERR_SUCCESS) {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS: cannot read ca_file, certificate or private_key: ",
                     ErrorText(errno)));
  }
  const bool verify = tls.verify_certificate != "0";
  // The library takes it in any case, and then knows lower case only.
  absl::optional<std::string> method = tls.tls_method;
  if (method.has_value()) absl::AsciiStrToLower(&*method);
  if (mosquitto_tls_opts_set(
          handle_.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
          OrNull(method), OrNull(tls.cipher_list)) != MOSQ_ERR_SUCCESS ||
      mosquitto_tls_insecure_set(handle_.get(), !verify) != MOSQ_ERR_SUCCESS ||
      (tls.tls_alpn.has_value() &&
       mosquitto_string_option(handle_.get(), MOSQ_OPT_TLS_ALPN,
                               tls.tls_alpn->c_str()) != MOSQ_ERR_SUCCESS)) {
    return absl::InvalidArgumentError(
        "TLS: libmosquitto does not take tls_method, cipher_list or tls_alpn");
  }
  return absl::OkStatus();
}

void MosquittoConnection::End(DisconnectReason reason) {
  if (end_.has_value()) return;
  end_ = std::move(reason);
  const bool has_session = resumes_ || connack_code_ == 0;
  if (has_session && !options_.clean_session && is_handle_good_ &&
      !input_exceeded_) {
    // The library closes the socket with the next connection.
    shutdown(descriptor(), SHUT_RDWR);
    kept_handle_ = std::move(handle_);
  }
  handle_.reset();
  alert_reader_.reset();
  // The library held so much that it is worth giving back to the system.
  if (input_exceeded_) malloc_trim(0);
}

MosquittoConnection::Remains MosquittoConnection::TakeRemains() {
  return {std::move(kept_handle_), input_.balance(), std::move(tls_context_)};
}

int MosquittoConnection::descriptor() const {
  return mosquitto_socket(handle_.get());
}

SSL* MosquittoConnection::ssl() const {
  if (handle_ == nullptr) return nullptr;
  return static_cast<SSL*>(mosquitto_ssl_get(handle_.get()));
}

bool MosquittoConnection::IsTlsHandshaking() const {
  return ssl() != nullptr && !SSL_is_init_finished(ssl());
}

std::string MosquittoConnection::TlsDescription() const {
  if (ssl() == nullptr) return "";
  return absl::StrCat(SSL_get_version(ssl()), " ",
                      SSL_CIPHER_get_name(SSL_get_current_cipher(ssl())));
}

// The library takes a connection that breaks in the handshake for one that
// has nothing to read yet, and would be called for ever.
void MosquittoConnection::ContinueTlsHandshake() {
  ReadPackets();
  if (end_.has_value()) return;
  if (!IsTlsHandshaking()) {
    Write();  // CONNECT
    return;
  }
  char next;
  const ssize_t received =
      recv(descriptor(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
  if (received == 0 || (received < 0 && errno == ECONNRESET)) {
    EndByCode(MOSQ_ERR_TLS, 0);
  } else if (received < 0 && errno != EAGAIN && errno != EINTR) {
    EndByCode(MOSQ_ERR_ERRNO, errno);
  }
}

void MosquittoConnection::Read() {
  if (end_.has_value()) return;
  if (IsTlsHandshaking()) {
    ContinueTlsHandshake();
    return;
  }
  for (int i = 0; i < kMaxPacketsPerRead && !input_exceeded_; ++i) {
    const size_t events_before = published_.size() + events_.size();
    const int error = ReadPackets();
    if (end_.has_value()) return;
    if (protocol_violated_) {
      EndByCode(MOSQ_ERR_PROTOCOL, 0);
      return;
    }
    if (error == EAGAIN && !HasBufferedInput()) break;
    const size_t events = published_.size() + events_.size();
    if (events >= kMaxEventsPerRead) break;
    // The more messages the library holds the more it reads at once.
    if (events == events_before) {
      SettleInput();
      UpdateLogCallback();
    }
  }
  SettleInput();
  if (input_exceeded_) {
    EndByCode(MOSQ_ERR_PROTOCOL, 0);
    return;
  }
  UpdateLogCallback();
  if (ReadsAhead()) Write();  // the answers
}

int MosquittoConnection::ReadPackets() {
  errno = 0;
  is_reading_ = true;
  // So that it only queues its answers: where writing one failed, it would
  // stop in the midst of what it has read ahead.
  mosquitto_threaded_set(handle_.get(), ReadsAhead());
  const int code = mosquitto_loop_read(handle_.get(), 1);
  const int error = errno;
  mosquitto_threaded_set(handle_.get(), false);
  is_reading_ = false;
  if (code != MOSQ_ERR_SUCCESS) EndByCode(code, error);
  return error;
}

void MosquittoConnection::SettleInput() {
  const auto settle = [this](int unread) {
    tcp_info info = {};
    socklen_t size = sizeof(info);
    if (getsockopt(descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
      input_.Settle(static_cast<int64_t>(info.tcpi_bytes_received) - unread);
    }
  };
  settle(0);
  // Looked at before TCP's counter is: what comes in between then counts too
  // early, which the next time mends, and not twice.
  int unread = 0;
  if (input_.CountsPackets() && ioctl(descriptor(), SIOCINQ, &unread) == 0) {
    settle(unread);
  }
  if (!input_.IsExceeded()) return;
  input_exceeded_ = true;
  // The library may be in the midst of reading many packets.
  shutdown(descriptor(), SHUT_RDWR);
}

bool MosquittoConnection::HasBufferedInput() const {
  return ssl() != nullptr && SSL_pending(ssl()) > 0;
}

void MosquittoConnection::Write() {
  if (end_.has_value()) return;
  if (IsTlsHandshaking()) {
    ContinueTlsHandshake();
    return;
  }
  const int code = mosquitto_loop_write(handle_.get(), 1);
  if (code != MOSQ_ERR_SUCCESS) EndByCode(code, errno);
}

bool MosquittoConnection::WantsToWrite() const {
  if (handle_ == nullptr) return false;
  if (IsTlsHandshaking()) return SSL_want_write(ssl());
  return mosquitto_want_write(handle_.get());
}

// Else the broker would publish the will. The library only queues one here.
void MosquittoConnection::SendDisconnect() {
  constexpr char kPacket[] = {'\xe0', 0};  // MQTT 3.1.1 section 3.14
  if (ssl() != nullptr) {
    SSL_write(ssl(), kPacket, sizeof(kPacket));
  } else {
    send(descriptor(), kPacket, sizeof(kPacket), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

bool MosquittoConnection::HasUnacknowledgedOutput() const {
  int bytes = 0;
  return ioctl(descriptor(), SIOCOUTQ, &bytes) != 0 || bytes > 0;
}

bool MosquittoConnection::HasOutputAdvanced() {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (getsockopt(descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) < 0) {
    return false;
  }
  const uint64_t before =
      std::exchange(bytes_acknowledged_, uint64_t{info.tcpi_bytes_acked});
  const bool advanced = output_waited_ && bytes_acknowledged_ > before;
  output_waited_ = WantsToWrite() || (advanced && HasUnacknowledgedOutput());
  return advanced;
}

bool MosquittoConnection::CheckKeepAlive() {
  if (end_.has_value()) return false;
  // PINGREQ may wait behind a packet that takes longer than the keep alive.
  if (HasOutputAdvanced()) return false;
  const bool was_outstanding = ping_outstanding_;
  // The one line that the library may write here says that it sends PINGREQ.
  in_keep_alive_check_ = true;
  UpdateLogCallback();
  const int code = mosquitto_loop_misc(handle_.get());
  const int error = errno;
  in_keep_alive_check_ = false;
  UpdateLogCallback();
  if (code != MOSQ_ERR_SUCCESS) EndByCode(code, error);
  return ping_outstanding_ && !was_outstanding;
}

absl::StatusOr<MosquittoConnection::PacketId> MosquittoConnection::Publish(
    const Message& message) {
  if (message.topic.size() + message.payload.size() > kMaxTopicAndPayload) {
    return absl::InvalidArgumentError("the message is too large for MQTT");
  }
  int packet_id = 0;
  const int code = mosquitto_publish(
      handle_.get(), &packet_id, message.topic.c_str(),
      static_cast<int>(message.payload.size()), message.payload.data(),
      static_cast<int>(message.qos), message.retain);
  absl::StatusOr<PacketId> submitted = Submitted(code, packet_id);
  // What it cannot write it keeps all the same.
  if (absl::IsUnavailable(submitted.status()) &&
      message.qos != Qos::kAtMostOnce) {
    return static_cast<PacketId>(packet_id);
  }
  return submitted;
}

absl::StatusOr<MosquittoConnection::PacketId> MosquittoConnection::Subscribe(
    const std::string& filter, Qos qos) {
  int packet_id = 0;
  const int code = mosquitto_subscribe(handle_.get(), &packet_id,
                                       filter.c_str(), static_cast<int>(qos));
  return Submitted(code, packet_id);
}

absl::StatusOr<MosquittoConnection::PacketId> MosquittoConnection::Unsubscribe(
    const std::string& filter) {
  int packet_id = 0;
  const int code =
      mosquitto_unsubscribe(handle_.get(), &packet_id, filter.c_str());
  return Submitted(code, packet_id);
}

absl::StatusOr<MosquittoConnection::PacketId> MosquittoConnection::Submitted(
    int code, int packet_id) {
  const int error = errno;
  switch (code) {
    case MOSQ_ERR_SUCCESS:
      return static_cast<PacketId>(packet_id);
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_MALFORMED_UTF8:
    case MOSQ_ERR_PAYLOAD_SIZE:
    case MOSQ_ERR_OVERSIZE_PACKET:
      return absl::InvalidArgumentError(
          WithoutPeriod(mosquitto_strerror(code)));
    default:
      EndByCode(code, error);
      return absl::UnavailableError(end_->text);
  }
}

void MosquittoConnection::Disconnect() {
  const int code = mosquitto_disconnect(handle_.get());
  if (code != MOSQ_ERR_SUCCESS) EndByCode(code, errno);
}

void MosquittoConnection::TakePublished(std::vector<PacketId>* published) {
  published->clear();
  published->swap(published_);
}

void MosquittoConnection::TakeEvents(std::vector<Event>* events) {
  events->clear();
  events->swap(events_);
}

void MosquittoConnection::EndByCode(int code, int error) {
  if (alert_reader_ != nullptr) {
    // It says more than what OpenSSL 3.5 tells of the failed write.
    const char* alert = alert_reader_->Read();
    if (alert != nullptr) error_lines_.assign({alert});
  }
  const DisconnectReason reason = Explain(code, error);
  if (code == MOSQ_ERR_NOMEM ||
      (reason.kind == DisconnectKind::kProtocolError && ReadsAhead())) {
    is_handle_good_ = false;
  }
  End(reason);
}

DisconnectReason MosquittoConnection::Explain(int code, int error) const {
  const bool connected = connack_code_ == 0;
  const DisconnectKind broken =
      connected ? DisconnectKind::kLost : DisconnectKind::kUnreachable;
  if (connack_code_ > 0) {
    DisconnectKind kind = DisconnectKind::kRefused;
    if (connack_code_ == 2) kind = DisconnectKind::kIdentifierRejected;
    if (connack_code_ == 4 || connack_code_ == 5) {
      kind = DisconnectKind::kBadCredentials;
    }
    return {kind,
            absl::StrCat(WithoutPeriod(mosquitto_connack_string(connack_code_)),
                         " (CONNACK return code ", connack_code_, ")")};
  }
  if (input_exceeded_) {
    return {DisconnectKind::kProtocolError,
            absl::StrCat("the broker sent more than ", input_.limit() >> 20,
                         " MiB in messages that it did not complete")};
  }
  switch (code) {
    case MOSQ_ERR_EAI:
      return CannotResolve(broken, error);
    case MOSQ_ERR_TLS:
    case MOSQ_ERR_INVAL:  // what it logs says that TLS is meant
      return {broken, ExplainTls()};
    case MOSQ_ERR_KEEPALIVE:
      return {DisconnectKind::kKeepAliveTimeout,
              absl::StrCat("the broker did not answer PINGREQ within the ",
                           settings_.keepalive_seconds, " s of keepalive")};
    case MOSQ_ERR_NOMEM:
      return {broken, "out of memory"};
    case MOSQ_ERR_NO_CONN:
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_ERRNO:
      if (!error_lines_.empty() || error == EPROTO) {
        return {broken, ExplainTls()};
      }
      if (error != 0 && error != EAGAIN) return {broken, ErrorText(error)};
      return {broken, connected
                          ? "the broker closed the connection"
                          : "the broker closed the connection before CONNACK"};
    default:
      return {DisconnectKind::kProtocolError,
              absl::StrCat("the broker sent what MQTT does not allow: ",
                           WithoutPeriod(mosquitto_strerror(code)))};
  }
}

std::string MosquittoConnection::ExplainTls() const {
  std::vector<std::string> reasons;
  bool certificate_refused = false;
  // From 2.1 on the library has OpenSSL compare the names.
  bool other_host = verify_result_ == X509_V_ERR_HOSTNAME_MISMATCH ||
                    verify_result_ == X509_V_ERR_IP_ADDRESS_MISMATCH;
  for (const std::string& line : error_lines_) {
    absl::string_view reason = absl::StripAsciiWhitespace(line);
    if (absl::StrContains(reason, "host name verification failed")) {
      other_host = true;
    }
    // "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify ..."
    if (absl::StartsWith(reason, "OpenSSL Error")) {
      reason.remove_prefix(reason.rfind(':') + 1);
    }
    absl::ConsumePrefix(&reason, "Error: ");
    if (reason == "unexpected eof while reading") continue;
    if (reason == "certificate verify failed") certificate_refused = true;
    reasons.push_back(absl::StrContains(reason, " alert ")
                          ? absl::StrCat("the broker refused: ", reason)
                          : std::string(reason));
  }
  if (other_host) {
    return absl::StrCat("TLS: the broker's certificate is not for host \"",
                        *settings_.host, "\"");
  }
  if (certificate_refused && verify_result_ != X509_V_OK) {
    return absl::StrCat("TLS: the broker's certificate is refused: ",
                        X509_verify_cert_error_string(verify_result_));
  }
  if (reasons.empty()) reasons.push_back("the broker closed the connection");
  return absl::StrCat("TLS: ", absl::StrJoin(reasons, ", "));
}

void MosquittoConnection::UpdateLogCallback() {
  const bool wanted = connack_code_ != 0 || in_keep_alive_check_ ||
                      ping_outstanding_ || input_.CountsPackets();
  if (wanted == has_log_callback_) return;
  has_log_callback_ = wanted;
  mosquitto_log_callback_set(handle_.get(), wanted ? &OnLog : nullptr);
}

void MosquittoConnection::OnConnack(struct mosquitto*, void* user_data,
                                    int code, int flags) {
  MosquittoConnection* const self = Self(user_data);
  if (self->connack_code_ >= 0) {
    self->protocol_violated_ = true;
    return;
  }
  self->connack_code_ = code;
  self->alert_reader_.reset();
  if (code != 0) return;
  const bool session_present = (flags & 1) != 0;
  self->events_.push_back(Connected{session_present});
  // The library would resume by itself, with PUBRELs for messages that this
  // broker has never had, and take its answers for a delivery.
  if (self->resumes_ && !session_present) {
    self->SendDisconnect();
    shutdown(self->descriptor(), SHUT_RDWR);
  }
}

void MosquittoConnection::OnPublish(struct mosquitto*, void* self,
                                    int packet_id) {
  Self(self)->published_.push_back(static_cast<PacketId>(packet_id));
  // Otherwise it was written, and that is no answer.
  if (Self(self)->is_reading_) Self(self)->input_.DeliverAnswer();
}

void MosquittoConnection::OnSuback(struct mosquitto*, void* self, int packet_id,
                                   int, const int* granted) {
  Self(self)->events_.push_back(
      Subscribed{static_cast<PacketId>(packet_id), granted[0]});
  Self(self)->input_.DeliverAnswer();
}

void MosquittoConnection::OnUnsuback(struct mosquitto*, void* self,
                                     int packet_id) {
  Self(self)->events_.push_back(Unsubscribed{static_cast<PacketId>(packet_id)});
  Self(self)->input_.DeliverAnswer();
}

void MosquittoConnection::OnMessage(struct mosquitto*, void* self,
                                    const struct mosquitto_message* message) {
  InboundMessage inbound;
  inbound.topic = message->topic;
  if (message->payloadlen > 0) {
    inbound.payload.assign(static_cast<const char*>(message->payload),
                           static_cast<size_t>(message->payloadlen));
  }
  inbound.qos = static_cast<Qos>(message->qos);
  inbound.retain = message->retain;
  inbound.packet_id = static_cast<uint16_t>(message->mid);
  Self(self)->input_.Deliver(inbound);
  Self(self)->events_.push_back(std::move(inbound));
}

void MosquittoConnection::OnLog(struct mosquitto*, void* user_data, int level,
                                const char* line) {
  MosquittoConnection* const self = Self(user_data);
  self->KeepTlsContext();
  if (self->is_reading_ && self->input_.CountsPackets()) {
    self->input_.AddPacket();
    self->SettleInput();
  }
  if (level == MOSQ_LOG_ERR) {
    if (self->error_lines_.size() < kMaxErrorLines) {
      self->error_lines_.push_back(line);
    }
    // Now; the library may free it before it returns.
    if (self->ssl() != nullptr) {
      self->verify_result_ = SSL_get_verify_result(self->ssl());
    }
  } else if (level == MOSQ_LOG_DEBUG && self->in_keep_alive_check_) {
    self->ping_outstanding_ = true;
  } else if (level == MOSQ_LOG_DEBUG) {
    // The first line says that it sends CONNECT, which is not written yet.
    if (self->connack_code_ < 0 && self->ssl() != nullptr &&
        self->alert_reader_ == nullptr) {
      self->alert_reader_ =
          std::make_unique<AlertReader>(self->ssl(), self->descriptor());
    }
    if (self->ping_outstanding_ && line == self->ping_response_line_) {
      self->ping_outstanding_ = false;
      self->events_.push_back(PingResponse());
      self->input_.DeliverAnswer();
    }
  }
}

}  // namespace kamailio_mqtt
