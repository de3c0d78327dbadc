// SPDX-License-Identifier: GPL-3.0-or-later

// One connection by libmosquitto 2.0 or 2.1, from the first step to the end;
// the only place that includes <mosquitto.h>. It turns the library's callbacks
// and return codes into events and words, and keeps out of its traps.
//
// What comes in is collected, not called back: the library does not bear being
// called from its callbacks.
//
// Memory: the library takes packets up to MQTT's limit of 256 MiB, holds the
// payload of the one that it delivers twice, and keeps messages of QoS 2 until
// the broker releases them; it has no option to refuse any. The connection ends
// when it holds more than InputAccount allows.
//
// Thread safety: one thread at a time. Connect() may run on a thread of its
// own; all else is for the loop's.
#ifndef MQTT_CORE_MOSQUITTO_CONNECTION_H_
#define MQTT_CORE_MOSQUITTO_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "mqtt_core/input_account.h"
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

  struct Connected {
    bool session_present;  // in CONNACK (MQTT 3.1.1 section 3.2.2.2)
  };
  struct Subscribed {
    PacketId packet_id;
    int granted;
  };
  struct Unsubscribed {
    PacketId packet_id;
  };
  struct PingResponse {};
  using Event = std::variant<Connected, Subscribed, Unsubscribed,
                             InboundMessage, PingResponse>;

  // What OpenSSL keeps for connections of the same settings. Making one is
  // costly: beside Kamailio's tls module, Kamailio 5.6 takes each for some
  // 25 kB of shared memory that are gone for ever.
  struct TlsContextDeleter {
    void operator()(ssl_ctx_st* context) const;
  };
  using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextDeleter>;

  struct HandleDeleter {
    void operator()(struct mosquitto* handle) const;
  };
  using Handle = std::unique_ptr<struct mosquitto, HandleDeleter>;

  // What a connection leaves to the next one of the same client.
  struct Remains {
    // The library's half of a session that the broker keeps: what is in flight
    // at QoS 1 and 2. Null where there is none.
    Handle handle;
    int64_t held_input = 0;  // by the handle, see InputAccount
    TlsContext tls_context;  // may be null
  };

  struct Options {
    bool clean_session = true;
    bool with_will = true;
    int64_t input_limit = InputAccount::kDefaultLimit;
  };

  // `settings` are valid. With a handle in `remains`, which takes a session
  // that is not clean, the library goes on with what it has in flight: it sends
  // it again after CONNACK, and reports it under the packet identifiers that it
  // had. Where the broker has no such session any more, nothing is sent and the
  // connection ends.
  MosquittoConnection(const Settings& settings, const std::string& client_id,
                      const Options& options, Remains remains);
  ~MosquittoConnection();
  MosquittoConnection(const MosquittoConnection&) = delete;
  MosquittoConnection& operator=(const MosquittoConnection&) = delete;

  // Of libmosquitto, "2.0.11".
  static std::string LibraryVersion();

  // Asks the name service for the host, and throws the answer away; says why if
  // there is none. Blocks, on any thread.
  static absl::optional<DisconnectReason> Resolve(const Settings& settings);

  // Name resolution, TCP, the first step of TLS. Blocks.
  void Connect();

  // Whether it goes on with what an earlier one had in flight.
  bool resumes() const { return resumes_; }

  // Set once the connection has ended, and why.
  const absl::optional<DisconnectReason>& end() const { return end_; }
  // Ends it, unless it has ended already. The socket is closed at once,
  // without DISCONNECT; what was collected stays.
  void End(DisconnectReason reason);

  // The socket, or -1.
  int descriptor() const;
  bool IsTlsHandshaking() const;
  // Once it has ended. There is a handle if the session was not clean and a
  // CONNACK 0 has come on this connection or on the one that it resumes; not
  // where it holds too much.
  Remains TakeRemains();
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
  // Whether TCP has not brought all that was written to the other end yet.
  bool HasUnacknowledgedOutput() const;

  // Sends PINGREQ if it is due, ends the connection if PINGRESP is overdue and
  // the broker has not taken any of the output that waited the last time.
  // Returns whether PINGREQ was submitted. Only once connected. A PINGRESP is
  // not noticed with a client identifier of 500 bytes or more.
  bool CheckKeepAlive();

  // Only once connected. InvalidArgument: the library does not take this one;
  // any other error has ended the connection. A message of QoS 1 or 2 that the
  // library took before the connection ended is no error.
  absl::StatusOr<PacketId> Publish(const Message& message);
  absl::StatusOr<PacketId> Subscribe(const std::string& filter, Qos qos);
  absl::StatusOr<PacketId> Unsubscribe(const std::string& filter);
  // Only when nothing waits to be written. Reading is over with it. The library
  // closes the socket once DISCONNECT is written, here or in Write(); from 2.1
  // on, its sending side.
  void Disconnect();

  // What came since the last call, in order; replaces what the vector holds.
  bool HasEvents() const { return !published_.empty() || !events_.empty(); }
  void TakePublished(std::vector<PacketId>* published);
  void TakeEvents(std::vector<Event>* events);

 private:
  class AlertReader;

  static void OnConnack(struct mosquitto*, void* self, int code, int flags);
  static void OnPublish(struct mosquitto*, void* self, int packet_id);
  static void OnSuback(struct mosquitto*, void* self, int packet_id, int count,
                       const int* granted);
  static void OnUnsuback(struct mosquitto*, void* self, int packet_id);
  static void OnMessage(struct mosquitto*, void* self,
                        const struct mosquitto_message* message);
  static void OnLog(struct mosquitto*, void* self, int level, const char* line);

  void PrepareSocket();
  absl::Status PrepareHandle();
  absl::Status Configure();
  absl::Status ConfigureTls();
  struct ssl_st* ssl() const;

  void ForgetCertificates();
  void ReuseTlsContext();
  void KeepTlsContext();
  void ContinueTlsHandshake();
  // Returns errno, like read(2); ends the connection on an error. Where the
  // library reads ahead, what it answers waits for Write().
  int ReadPackets();
  void SendDisconnect();
  // Whether output waited at the last call, and TCP has since acknowledged
  // some.
  bool HasOutputAdvanced();
  // Brings the account up to date; lets nothing more in when it is exceeded.
  void SettleInput();
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
  const Options options_;
  Handle handle_;
  Handle kept_handle_;  // once ended
  const bool resumes_;
  // The handle has all that was submitted, and no input of this connection.
  bool is_handle_good_ = true;
  TlsContext tls_context_;
  absl::optional<DisconnectReason> end_;

  int connack_code_ = -1;  // none yet
  bool protocol_violated_ = false;
  bool ping_outstanding_ = false;
  bool has_log_callback_ = false;
  bool in_keep_alive_check_ = false;
  bool output_waited_ = false;
  uint64_t bytes_acknowledged_ = 0;
  bool is_reading_ = false;
  InputAccount input_;
  bool input_exceeded_ = false;
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
