// SPDX-License-Identifier: GPL-3.0-or-later

// The event loop, by libev on epoll: any descriptor number works. It takes no
// part in signals or child processes. Made and used after the fork only.
//
// Thread safety: see EventLoop.
#ifndef MQTT_CORE_EV_LOOP_H_
#define MQTT_CORE_EV_LOOP_H_

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/mutex.h"

// libev's; <ev.h> stays in ev_loop.cc.
struct ev_loop;

namespace kamailio_mqtt {

class EvLoop final : public EventLoop {
 public:
  // Ends the process when the system gives it no descriptor for epoll.
  EvLoop();
  ~EvLoop() override;
  EvLoop(const EvLoop&) = delete;
  EvLoop& operator=(const EvLoop&) = delete;

  void Run() override;
  void Stop() override;
  bool IsInLoopThread() const override;
  void Post(Task task) override;
  std::unique_ptr<Timer> CreateTimer(TimerCallback callback) override;
  std::unique_ptr<IoWatch> Watch(int fd, IoCallback callback) override;
  void SetSleepGate(SleepGate* gate) override;

 private:
  class EvTimer;
  class EvWatch;
  struct Watchers;  // libev's, for the loop's own use

  // On the loop's thread, or nobody runs the loop.
  bool IsAllowedHere() const;
  void OnWakeup();
  void BeforeWait();
  void AfterWait();

  struct ev_loop* const loop_;
  const std::unique_ptr<Watchers> watchers_;
  SleepGate* gate_ = nullptr;
  bool may_sleep_ = false;  // what the gate said before the wait

  std::atomic<std::thread::id> thread_{std::thread::id()};  // while in Run()
  std::atomic<bool> stop_{false};

  Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::vector<Task> running_tasks_;  // the ones taken from tasks_
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_EV_LOOP_H_
