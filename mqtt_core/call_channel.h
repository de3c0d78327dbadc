// SPDX-License-Identifier: GPL-3.0-or-later

// The way on which any of Kamailio's processes asks the dispatcher something
// and gets an answer: the caller's side. The dispatcher's is call_receiver.h.
//
// Kamailio's main process makes the channel before it forks. A call is one
// packet on a socket that all processes share, and brings a socket of its own
// for the answer. So answers cannot get mixed up, and a side that goes away,
// for whatever reason, is seen by the other at once: its socket has closed.
//
// Thread safety: Call() is thread-safe, and safe in every process.
#ifndef MQTT_CORE_CALL_CHANNEL_H_
#define MQTT_CORE_CALL_CHANNEL_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/file_descriptor.h"

namespace kamailio_mqtt {

// The size of a request or a reply, at most. A packet of that size fits the
// buffer that Linux gives a socket.
inline constexpr size_t kMaxCallBytes = 96 << 10;

class CallChannel {
 public:
  // ResourceExhausted: the system gives no sockets.
  static absl::StatusOr<CallChannel> Create();

  // Sends `request`, of 1 to kMaxCallBytes bytes, and waits for the reply, for
  // `limit` at most. Once it returns, nobody waits for the reply any more, and
  // the dispatcher sees that.
  //
  // Unavailable: the dispatcher does not run, or ended before it answered.
  // DeadlineExceeded: no answer within `limit`. ResourceExhausted: the system
  // gives no sockets. InvalidArgument: the request has no such size.
  absl::StatusOr<std::string> Call(absl::string_view request,
                                   Duration limit) const;

  // Where calls come in, for the dispatcher.
  int receiving_fd() const { return receiving_end_.get(); }

  // For every process but the dispatcher's: whether calls can still be answered
  // is known by whether anybody has that end.
  void CloseReceivingEnd() { receiving_end_.Close(); }

 private:
  CallChannel(FileDescriptor calling_end, FileDescriptor receiving_end);

  FileDescriptor calling_end_;
  FileDescriptor receiving_end_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_CALL_CHANNEL_H_
