// SPDX-License-Identifier: GPL-3.0-or-later

// The dispatcher's side of the call channel: takes calls in, and answers them
// when it is told to. See call_channel.h.
//
// Nothing here blocks, whatever callers do: a reply is one packet that fits the
// buffer of its socket, which is new. What is not a call is dropped.
//
// Not thread-safe: belongs to the thread of its event loop.
#ifndef MQTT_CORE_CALL_RECEIVER_H_
#define MQTT_CORE_CALL_RECEIVER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/file_descriptor.h"

namespace kamailio_mqtt {

class CallReceiver {
 public:
  // Names a call; unique in the receiver.
  using CallId = uint64_t;

  class Handler {
   public:
    virtual ~Handler() = default;
    // Reply() may be called at once or later. `request` has 1 to kMaxCallBytes
    // bytes.
    virtual void OnCall(CallId call, const std::string& request) = 0;
    // Nobody waits for the reply to `call` any more.
    virtual void OnCallerGone(CallId call) = 0;
  };

  // `receiving_fd` is that of the channel. All three outlive the receiver.
  CallReceiver(int receiving_fd, EventLoop* loop, Handler* handler);
  // Nobody is called or answered any more: callers that wait or come later see
  // at once that nobody is there.
  ~CallReceiver();
  CallReceiver(const CallReceiver&) = delete;
  CallReceiver& operator=(const CallReceiver&) = delete;

  // Sends `reply`, of 1 to kMaxCallBytes bytes, and ends the call. No effect on
  // a call that has ended. The handler is not called.
  void Reply(CallId call, absl::string_view reply);

  // Calls without a reply yet.
  size_t open_calls() const { return calls_.size(); }

 private:
  struct Call {
    FileDescriptor reply_end;
    // Shows that the caller is gone. Goes before the descriptor.
    std::unique_ptr<IoWatch> watch;
  };

  void OnReadable();
  // False where nothing is to be received. `reply_end` has no descriptor where
  // it was not a call.
  bool Receive(std::string* request, FileDescriptor* reply_end);
  void Add(FileDescriptor reply_end, const std::string& request);

  const int receiving_fd_;
  EventLoop* const loop_;
  Handler* const handler_;
  std::unique_ptr<IoWatch> watch_;
  CallId last_call_ = 0;
  std::map<CallId, Call> calls_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_CALL_RECEIVER_H_
