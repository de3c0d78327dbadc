// SPDX-License-Identifier: GPL-3.0-or-later

// Runs a call that may block for long, such as name resolution or connect(2),
// on a thread of its own, and lets go of it without waiting.
//
// Thread safety: Start() and Abandon() on the event loop's thread; IsOver() on
// any.
#ifndef MQTT_CORE_BLOCKING_CALL_H_
#define MQTT_CORE_BLOCKING_CALL_H_

#include <pthread.h>
#include <time.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class BlockingCall : public std::enable_shared_from_this<BlockingCall> {
 public:
  using Function = absl::AnyInvocable<void()>;

  // Runs `work` on a new thread, with all signals blocked but SIGURG, and then
  // `done` on the loop, when the thread is gone. Fails where the system gives
  // no thread. The first call installs a handler for SIGURG, which does
  // nothing.
  static absl::StatusOr<std::shared_ptr<BlockingCall>> Start(EventLoop* loop,
                                                             Function work,
                                                             Function done);
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;

  // From here on `done` does not run, the loop is not used, and what blocks in
  // `work` is interrupted (EINTR) again and again until it returns. What can't
  // be interrupted, getaddrinfo(3) above all, runs to its end. Once at most,
  // and not after `done`; one of the two happens to every call.
  void Abandon();

  // Whether the thread is done with `work`, which is destroyed by then.
  bool IsOver() const;

 private:
  BlockingCall(EventLoop* loop, Function work, Function done);

  static void* ThreadMain(void* reference);
  void Run();
  void Finish();

  EventLoop* const loop_;
  Function work_;  // the new thread's
  Function done_;  // the loop's
  pthread_t thread_;

  mutable Mutex mutex_;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  // Sends SIGURG to the thread once it is set.
  absl::optional<timer_t> interrupter_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_BLOCKING_CALL_H_
