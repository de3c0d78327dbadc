// SPDX-License-Identifier: GPL-3.0-or-later

// The event loop of one thread. `Post` is the one way for another thread to
// have something done on it.
//
// Thread safety: Post(), Stop() and IsInLoopThread() may be called from any
// thread; everything else, timers and watches included, only on the loop's own
// thread (asserted) or before Run().
#ifndef MQTT_CORE_EVENT_LOOP_H_
#define MQTT_CORE_EVENT_LOOP_H_

#include <functional>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

// Runs its callback once for every Start(). Destroying it stops it.
class Timer {
 public:
  virtual ~Timer() = default;
  // Due in `delay` from now; a timer that already runs is set anew.
  virtual void Start(Duration delay) = 0;
  virtual void Stop() = 0;
  virtual bool IsRunning() const = 0;
};

// Reports that a descriptor is ready, level-triggered, while it exists.
class IoWatch {
 public:
  virtual ~IoWatch() = default;
  // A new watch waits for nothing.
  virtual void WaitFor(bool readable, bool writable) = 0;
};

// Says when the loop may sleep, for a source of work that no descriptor shows
// while the loop is awake.
class SleepGate {
 public:
  virtual ~SleepGate() = default;
  // Called before the loop waits. False: there is work, the loop polls its
  // descriptors and timers without waiting and asks again.
  virtual bool MaySleep() = 0;
  // Called after each wait for which MaySleep() had said yes.
  virtual void OnAwake() = 0;
};

class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  using TimerCallback = std::function<void()>;
  using IoCallback = std::function<void(bool readable, bool writable)>;

  virtual ~EventLoop() = default;

  // Runs until Stop(). The calling thread is the loop's thread.
  virtual void Run() = 0;
  // Makes Run() return after the current iteration.
  virtual void Stop() = 0;
  virtual bool IsInLoopThread() const = 0;

  // Runs `task` on the loop's thread, in the order of the calls. Tasks that
  // were posted and did not run before Run() returned are destroyed with the
  // loop.
  virtual void Post(Task task) = 0;

  virtual std::unique_ptr<Timer> CreateTimer(TimerCallback callback) = 0;
  virtual std::unique_ptr<IoWatch> Watch(int fd, IoCallback callback) = 0;
  // At most one; null removes it. `gate` outlives its registration.
  virtual void SetSleepGate(SleepGate* gate) = 0;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_EVENT_LOOP_H_
