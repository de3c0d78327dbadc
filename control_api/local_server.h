// SPDX-License-Identifier: GPL-3.0-or-later

// The dispatcher's answers to the RPC commands of Kamailio's other processes:
// calls of the control API that come in on the call channel and are asked of
// Control. It does not need the control service.
//
// A caller that goes away cancels its call, as with the control service.
//
// Not thread-safe: belongs to the network thread, on which Control calls back
// and the event loop runs.
#ifndef CONTROL_API_LOCAL_SERVER_H_
#define CONTROL_API_LOCAL_SERVER_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "mqtt_core/call_receiver.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/event_loop.h"

namespace kamailio_mqtt {

class LocalServer final : private CallReceiver::Handler {
 public:
  // `receiving_fd` is that of the call channel. All of it outlives the server;
  // the server outlives the last call of a `done` by `control`.
  LocalServer(int receiving_fd, EventLoop* loop, Control* control,
              const Clock* clock);
  // Ends all calls, those that come later too.
  ~LocalServer() override = default;

 private:
  using CallId = CallReceiver::CallId;

  // CallReceiver::Handler
  void OnCall(CallId call, const std::string& request) override;
  void OnCallerGone(CallId call) override;

  void Dispatch(CallId call, char method, absl::string_view body);
  // Reads and checks a request. `ask(request, parsed)` is to ask Control.
  template <typename Request, typename Ask>
  void Run(CallId call, absl::string_view body, Ask ask);
  // What to give to Control as `done`: answers with what `convert` makes of the
  // result.
  template <typename Result, typename Convert>
  Control::Done<Result> WhenDone(CallId call, Convert convert);
  void Answer(CallId call, const std::string& reply);

  Control* const control_;
  const Clock* const clock_;
  // Calls that Control can cancel.
  std::map<CallId, Control::CallId> cancellable_;
  CallReceiver receiver_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_LOCAL_SERVER_H_
