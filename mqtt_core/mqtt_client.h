// SPDX-License-Identifier: GPL-3.0-or-later

// One MQTT client: a connection to the broker at a time, made anew on demand.
// It knows the protocol; when to connect and what to send is the session's
// business.
//
// MQTT's own session (MQTT 3.1.1 section 3.1.2.4) may outlive the connection:
// then publishes of QoS 1 and 2 stay in flight when it ends. The client sends
// them again on the next one and reports them under the same packet
// identifiers, so that QoS 2 is exactly once. Or it reports that this is not
// to be: OnSessionLost().
//
// Thread safety: all methods are called on the event loop's thread, and the
// listener is called there, never from inside a method of the client.
//
// Error handling: whatever goes wrong with a connection ends it with one
// OnDisconnected() that says why in words.
#ifndef MQTT_CORE_MQTT_CLIENT_H_
#define MQTT_CORE_MQTT_CLIENT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "mqtt_core/message.h"

namespace kamailio_mqtt {

enum class DisconnectKind {
  kRequested,           // Disconnect() or Abort() was called
  kUnreachable,         // name resolution, TCP or TLS failed
  kTimeout,             // no CONNACK within connect_timeout
  kRefused,             // CONNACK with another return code than those below
  kBadCredentials,      // CONNACK 4 or 5: bad user name or password, or not
                        // authorised (MQTT 3.1.1 section 3.2.2.3)
  kIdentifierRejected,  // CONNACK 2
  kLost,                // an established connection broke
  kKeepAliveTimeout,    // no PINGRESP in time
  kUnacknowledged,      // a publish of QoS 1 or 2 was not, for too long
  kProtocolError,       // the broker sent what MQTT does not allow, or more
                        // than the client can hold
};

struct DisconnectReason {
  DisconnectKind kind = DisconnectKind::kLost;
  std::string text;  // in words; no credentials
};

// The return code 0x80 of SUBACK (MQTT 3.1.1 section 3.9.3).
inline constexpr int kSubackFailure = 0x80;

class MqttClient {
 public:
  // Identifies a PUBLISH that was submitted on the current connection.
  using PacketId = uint16_t;

  class Listener {
   public:
    virtual ~Listener() = default;
    // CONNACK 0 has come.
    virtual void OnConnected() = 0;
    // The connection, or the attempt, has ended. Called once for each
    // Connect(). Nothing of QoS 0, SUBSCRIBE or UNSUBSCRIBE that was submitted
    // will be reported afterwards.
    virtual void OnDisconnected(const DisconnectReason& reason) = 0;
    // Nothing at all that was submitted will be reported, and the broker has
    // none of our subscriptions when the next connection begins. Called between
    // connections: before the OnDisconnected() of the one or the OnConnected()
    // of the other, perhaps more than once. Does not call the client.
    virtual void OnSessionLost() = 0;
    // QoS 0: the PUBLISH was written to the socket. QoS 1 and 2: the broker
    // has acknowledged it (PUBACK, PUBCOMP).
    virtual void OnPublished(PacketId packet_id) = 0;
    // SUBACK: the granted QoS or kSubackFailure.
    virtual void OnSubscribed(PacketId packet_id, int granted) = 0;
    virtual void OnUnsubscribed(PacketId packet_id) = 0;
    virtual void OnMessage(InboundMessage message) = 0;
    // PINGREQ was sent, and answered: the broker has handled everything that
    // was reported as published before OnPingRequest().
    virtual void OnPingRequest() = 0;
    virtual void OnPingResponse() = 0;
    // The socket takes data again after WantsMore() had said no.
    virtual void OnWritable() = 0;
  };

  virtual ~MqttClient() = default;

  // Not owned; set once, before the first Connect().
  virtual void SetListener(Listener* listener) = 0;

  // Starts an attempt: name resolution, TCP, TLS, CONNECT. Returns at once.
  // Only when no connection and no attempt is there.
  virtual void Connect() = 0;
  // Sends DISCONNECT once what was submitted is written, and closes the
  // connection: the broker does not publish the will (section 3.14).
  virtual void Disconnect() = 0;
  // Gives up what is in flight: the next connection begins a session that knows
  // nothing of it. OnSessionLost() follows. Only when no connection and no
  // attempt is there.
  virtual void DropSession() = 0;
  // Closes the TCP connection without DISCONNECT, or ends the attempt.
  virtual void Abort(DisconnectReason reason) = 0;

  // The following three need a connection: after OnConnected() and before
  // OnDisconnected(). They hand over to the protocol library; an error means
  // that the library did not take it.
  virtual absl::StatusOr<PacketId> Publish(const Message& message) = 0;
  virtual absl::StatusOr<PacketId> Subscribe(const std::string& filter,
                                             Qos qos) = 0;
  virtual absl::StatusOr<PacketId> Unsubscribe(const std::string& filter) = 0;

  // Encloses a batch of the calls above, so that it leaves in few segments.
  virtual void BeginBatch() = 0;
  virtual void EndBatch() = 0;

  // While connected: whether the broker keeps the session when the connection
  // ends, and goes on collecting messages for its subscriptions.
  virtual bool IsSessionKept() const = 0;

  // False while data waits for the socket: more would only pile up in the
  // library. OnWritable() says when it is true again.
  virtual bool WantsMore() const = 0;

  // While connected: whether TCP has not brought everything to the other end
  // yet that was submitted.
  virtual bool IsOutputWaiting() const = 0;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_MQTT_CLIENT_H_
