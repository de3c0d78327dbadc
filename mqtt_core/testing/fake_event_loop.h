// SPDX-License-Identifier: GPL-3.0-or-later

// An event loop that a test drives by hand: tasks run when it says so, timers
// when it moves the clock, descriptors are ready when it says so.
//
// Thread safety: as EventLoop; the loop's thread is the one that made it.
#ifndef MQTT_CORE_TESTING_FAKE_EVENT_LOOP_H_
#define MQTT_CORE_TESTING_FAKE_EVENT_LOOP_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "absl/types/optional.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/mutex.h"
#include "mqtt_core/testing/fake_clock.h"

namespace kamailio_mqtt {

class FakeEventLoop : public EventLoop {
 public:
  // `clock` is not owned and outlives the loop.
  explicit FakeEventLoop(FakeClock* clock);
  ~FakeEventLoop() override;

  // Like RunUntilIdle(), but ends with the task or timer that calls Stop().
  void Run() override;
  void Stop() override;
  bool IsInLoopThread() const override;
  void Post(Task task) override;
  std::unique_ptr<Timer> CreateTimer(TimerCallback callback) override;
  std::unique_ptr<IoWatch> Watch(int fd, IoCallback callback) override;
  void SetSleepGate(SleepGate* gate) override;

  // Runs the timers that are due and the posted tasks, those included that are
  // posted meanwhile, until the sleep gate lets the loop sleep. Time stands
  // still.
  void RunUntilIdle();
  // Moves the clock, stopping at each timer on the way. Idle at every stop.
  void Advance(Duration duration);
  // Time until the first running timer is due (zero: overdue).
  absl::optional<Duration> NextTimerDue() const;

  // Calls the watches of `fd` that wait for one of these; returns whether any
  // did.
  bool SetReady(int fd, bool readable, bool writable);
  bool IsWaitingToRead(int fd) const;
  bool IsWaitingToWrite(int fd) const;

 private:
  class FakeTimer;
  class FakeWatch;
  // Running timers by the time they are due, then by the order of Start().
  using TimerQueue = std::map<std::pair<TimePoint, uint64_t>, FakeTimer*>;

  bool RunOneTask();
  bool RunOneTimer();

  FakeClock* const clock_;
  const std::thread::id thread_;
  TimerQueue timers_;
  uint64_t timer_starts_ = 0;
  std::set<FakeWatch*> watches_;
  SleepGate* gate_ = nullptr;

  Mutex mutex_;
  std::deque<Task> tasks_;  // under mutex_
  bool stopped_ = false;    // under mutex_
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TESTING_FAKE_EVENT_LOOP_H_
