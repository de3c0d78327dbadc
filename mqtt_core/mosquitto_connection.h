// SPDX-License-Identifier: GPL-3.0-or-later

// One connection by libmosquitto 2.0.11, from the first step to the end; the
// only place that includes <mosquitto.h>. It turns the library's callbacks and
// return codes into events and words, and keeps out of its traps.
//
// What comes in is collected, not called back: the library does not bear being
// called from its callbacks.
//
// Memory: the library takes packets up to MQTT's limit of 256 MiB and holds the
// payload of the one that it delivers twice; it has no option to refuse them.
//
// Thread safety: one thread at a time. Connect() may run on a thread of its
// own; all else is for the loop's.
#ifndef MQTT_CORE_MOSQUITTO_CONNECTION_H_
#define MQTT_CORE_MOSQUITTO_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "mqtt_core/message.h"
#include "mqtt_core/mqtt_client.h"
#include "mqtt_core/settings.h"

// libmosquitto's and OpenSSL's.
struct mosquitto;
struct mosquitto_message;
struct ssl_ctx_st;
struct ssl_st;

namespace kamailio_mqtt {

class MosquittoConnection {
 public:
  using PacketId = MqttClient::PacketId;

  struct Connected {};
  struct Subscribed {
    PacketId packet_id;
    int granted;
  };
  struct Unsubscribed {
    PacketId packet_id;
  };
  struct PingResponse {};
  using Event = absl::variant<Connected, Subscribed, Unsubscribed,
                              InboundMessage, PingResponse>;

  // What OpenSSL keeps for connections of the same settings. Making one is
  // costly: beside Kamailio's tls module, Kamailio 5.6 takes each for some
  // 25 kB of shared memory that are gone for ever.
  struct TlsContextDeleter {
    void operator()(ssl_ctx_st* context) const;
  };
  using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextDeleter>;

  // `settings` are valid. `tls_context` is from a connection of the same
  // settings, or null.
  MosquittoConnection(const Settings& settings, const std::string& client_id,
                      TlsContext tls_context);
  ~MosquittoConnection();
  MosquittoConnection(const MosquittoConnection&) = delete;
  MosquittoConnection& operator=(const MosquittoConnection&) = delete;

  // Name resolution, TCP, the first step of TLS. Blocks.
  void Connect();

  // Set once the connection has ended, and why.
  const absl::optional<DisconnectReason>& end() const { return end_; }
  // Ends it, unless it has ended already. The socket is closed at once,
  // without DISCONNECT; what was collected stays.
  void End(DisconnectReason reason);

  // The socket, or -1.
  int descriptor() const;
  bool IsTlsHandshaking() const;
  // For the next connection, once this one has ended. May be null.
  TlsContext TakeTlsContext() { return std::move(tls_context_); }
  // "TLSv1.3 TLS_AES_256_GCM_SHA384", empty without TLS.
  std::string TlsDescription() const;

  // The socket is readable; reads a bounded number of packets.
  void Read();
  // Whether Read() left input behind that no descriptor shows.
  bool HasBufferedInput() const;
  // The socket is writable; writes all it takes.
  void Write();
  // Whether something waits for the socket to be writable.
  bool WantsToWrite() const;

  // Sends PINGREQ if it is due, ends the connection if PINGRESP is overdue.
  // Returns whether PINGREQ was submitted. Only once connected. A PINGRESP is
  // not noticed with a client identifier of 500 bytes or more.
  bool CheckKeepAlive();

  // Only once connected. InvalidArgument: the library does not take this one;
  // any other error has ended the connection.
  absl::StatusOr<PacketId> Publish(const Message& message);
  absl::StatusOr<PacketId> Subscribe(const std::string& filter, Qos qos);
  absl::StatusOr<PacketId> Unsubscribe(const std::string& filter);
  // Only when nothing waits to be written. Reading is over with it. The library
  // closes the socket once DISCONNECT is written, here or in Write().
  void Disconnect();

  // What came since the last call, in order; replaces what the vector holds.
  bool HasEvents() const { return !published_.empty() || !events_.empty(); }
  void TakePublished(std::vector<PacketId>* published);
  void TakeEvents(std::vector<Event>* events);

 private:
  class AlertReader;

  static void OnConnack(struct mosquitto*, void* self, int code);
  static void OnPublish(struct mosquitto*, void* self, int packet_id);
  static void OnSuback(struct mosquitto*, void* self, int packet_id, int count,
                       const int* granted);
  static void OnUnsuback(struct mosquitto*, void* self, int packet_id);
  static void OnMessage(struct mosquitto*, void* self,
                        const struct mosquitto_message* message);
  static void OnLog(struct mosquitto*, void* self, int level, const char* line);

  absl::Status Configure();
  absl::Status ConfigureTls();
  struct ssl_st* ssl() const;

  void ReuseTlsContext();
  void KeepTlsContext();
  void ContinueTlsHandshake();
  absl::StatusOr<PacketId> Submitted(int code, int packet_id);
  // Ends the connection by what a call of the library has returned, and errno.
  void EndByCode(int code, int error);
  DisconnectReason Explain(int code, int error) const;
  std::string ExplainTls() const;
  // The library formats a line for each packet while it has a log callback:
  // it has one only while there is something to learn from the lines.
  void UpdateLogCallback();

  const Settings settings_;
  const std::string client_id_;
  const std::string ping_response_line_;  // in the library's log
  TlsContext tls_context_;
  struct mosquitto* handle_ = nullptr;
  absl::optional<DisconnectReason> end_;

  int connack_code_ = -1;  // none yet
  bool protocol_violated_ = false;
  bool ping_outstanding_ = false;
  bool has_log_callback_ = false;
  bool in_keep_alive_check_ = false;
  std::vector<PacketId> published_;
  std::vector<Event> events_;

  // From CONNECT to CONNACK, with TLS.
  std::unique_ptr<AlertReader> alert_reader_;
  // Of errors in TLS.
  std::vector<std::string> error_lines_;
  long verify_result_ = 0;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_MOSQUITTO_CONNECTION_H_
