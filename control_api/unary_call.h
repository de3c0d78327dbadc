// SPDX-License-Identifier: GPL-3.0-or-later

// A unary call that Control answers. It ends exactly once, whichever comes
// first: an answer, cancellation, the end of the process, or that nobody is
// left who could answer.
//
// Thread safety: any thread may end it.
#ifndef CONTROL_API_UNARY_CALL_H_
#define CONTROL_API_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "control_api/active_calls.h"
#include "control_api/owed_answer.h"
#include "control_api/quota.h"
#include "control_api/statuses.h"
#include "mqtt_core/control.h"
#include "mqtt_core/event_loop.h"

namespace kamailio_mqtt {

class UnaryCall final : public grpc::ServerUnaryReactor,
                        public ActiveCall,
                        public std::enable_shared_from_this<UnaryCall> {
 public:
  // Is told the status that the call ends with, before it is sent.
  using Observer = absl::AnyInvocable<void(const grpc::Status&)>;

  // `share` and `observer` may be null; `share` is kept as long as the object.
  // `control` and `loop` outlive it.
  UnaryCall(grpc::CallbackServerContext* context, Control* control,
            EventLoop* loop, std::shared_ptr<ActiveCalls> active_calls,
            Quota::Share share, Observer observer)
      : context_(context),
        control_(control),
        loop_(loop),
        active_calls_(std::move(active_calls)),
        share_(std::move(share)),
        observer_(std::move(observer)) {}

  // Ends the call, unless it has ended.
  void End(const grpc::Status& status) {
    if (Claim()) Send(status);
  }

  // What to give to Control as `done`; `Result` is absl::Status or
  // absl::StatusOr. It costs the calling thread next to nothing: on the loop's
  // thread, and unless the call has ended, `respond` fills the response from a
  // result that is OK, and the call ends.
  template <typename Result, typename Respond>
  absl::AnyInvocable<void(Result)> WhenDone(Respond respond) {
    return [owed = OwedAnswer<UnaryCall>(shared_from_this()), loop = loop_,
            respond = std::move(respond)](Result result) mutable {
      loop->Post([owed = std::move(owed), respond = std::move(respond),
                  result = std::move(result)]() mutable {
        const std::shared_ptr<UnaryCall> call = owed.Take();
        if (!call->Claim()) return;
        const absl::Status& status = StatusOf(result);
        if (status.ok()) respond(result);
        call->Send(ToGrpcStatus(status));
      });
    };
  }

  // The call of Control to take back when this call is cancelled. Set before
  // the RPC method returns: gRPC does not cancel earlier.
  void set_control_call(Control::CallId id) { control_call_ = id; }

  // Nobody is left who could answer.
  void Abandon() { End(StoppingStatus()); }

  // What Control has taken over goes on without the call.
  void Stop() override { End(StoppingStatus()); }

  void OnCancel() override {
    if (!Claim()) return;
    if (control_call_.has_value()) control_->Cancel(*control_call_);
    Send(CancellationStatus(*context_));
  }

  void OnDone() override {
    // It may be the last that holds this object.
    const std::shared_ptr<ActiveCalls> active_calls = active_calls_;
    active_calls->Remove(this);
  }

 private:
  static const absl::Status& StatusOf(const absl::Status& status) {
    return status;
  }
  template <typename T>
  static const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
    return result.status();
  }

  // Whether it is the caller who ends the call. Until it does, gRPC keeps the
  // context and the messages.
  bool Claim() { return !ended_.exchange(true); }

  void Send(const grpc::Status& status) {
    if (observer_ != nullptr) observer_(status);
    Finish(status);
  }

  grpc::CallbackServerContext* const context_;
  Control* const control_;
  EventLoop* const loop_;
  const std::shared_ptr<ActiveCalls> active_calls_;
  const Quota::Share share_;
  Observer observer_;
  absl::optional<Control::CallId> control_call_;
  std::atomic<bool> ended_{false};
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_UNARY_CALL_H_
