// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/ev_loop.h"

#include <ev.h>

#include <cassert>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace kamailio_mqtt {
namespace {

struct ev_loop* NewLoop() {
  struct ev_loop* loop =
      ev_loop_new(EVBACKEND_EPOLL | EVBACKEND_POLL | EVFLAG_NOENV);
  if (loop == nullptr) {
    std::perror("cannot create an event loop");
    std::abort();
  }
  return loop;
}

}  // namespace

class EvLoop::EvTimer : public Timer {
 public:
  EvTimer(EvLoop* loop, TimerCallback callback)
      : loop_(loop),
        callback_(std::make_shared<TimerCallback>(std::move(callback))) {
    ev_timer_init(&timer_, &EvTimer::OnDue, 0, 0);
    timer_.data = this;
  }
  ~EvTimer() override { Stop(); }

  void Start(Duration delay) override {
    Stop();
    // libev counts from when the iteration began, which may be long ago.
    if (delay > Duration::zero()) ev_now_update(loop_->loop_);
    ev_timer_set(&timer_, std::chrono::duration<double>(delay).count(), 0.);
    ev_timer_start(loop_->loop_, &timer_);
  }

  void Stop() override {
    assert(loop_->IsAllowedHere());
    ev_timer_stop(loop_->loop_, &timer_);
  }

  bool IsRunning() const override { return ev_is_active(&timer_); }

 private:
  static void OnDue(struct ev_loop*, ev_timer* timer, int) {
    // The callback may destroy the timer, and itself with it.
    const std::shared_ptr<TimerCallback> callback =
        static_cast<EvTimer*>(timer->data)->callback_;
    (*callback)();
  }

  EvLoop* const loop_;
  const std::shared_ptr<TimerCallback> callback_;
  ev_timer timer_;
};

class EvLoop::EvWatch : public IoWatch {
 public:
  EvWatch(EvLoop* loop, int fd, IoCallback callback)
      : loop_(loop),
        callback_(std::make_shared<IoCallback>(std::move(callback))) {
    ev_io_init(&io_, &EvWatch::OnReady, fd, 0);
    io_.data = this;
  }
  ~EvWatch() override { WaitFor(false, false); }

  void WaitFor(bool readable, bool writable) override {
    assert(loop_->IsAllowedHere());
    const int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    if (events == events_) return;
    events_ = events;
    ev_io_stop(loop_->loop_, &io_);
    if (events == 0) return;
    ev_io_set(&io_, io_.fd, events);
    ev_io_start(loop_->loop_, &io_);
  }

 private:
  static void OnReady(struct ev_loop*, ev_io* io, int events) {
    const auto* const watch = static_cast<EvWatch*>(io->data);
    // A descriptor that libev cannot poll: the callback's own calls will say
    // why.
    if (events & EV_ERROR) events = watch->events_;
    // The callback may destroy the watch, and itself with it.
    const std::shared_ptr<IoCallback> callback = watch->callback_;
    (*callback)(events & EV_READ, events & EV_WRITE);
  }

  EvLoop* const loop_;
  const std::shared_ptr<IoCallback> callback_;
  ev_io io_;
  int events_ = 0;
};

struct EvLoop::Watchers {
  ev_async wakeup;
  ev_prepare before_wait;
  ev_check after_wait;
  ev_idle poll;  // while active, libev does not wait
};

EvLoop::EvLoop() : loop_(NewLoop()), watchers_(std::make_unique<Watchers>()) {
  ev_set_userdata(loop_, this);
  ev_async_init(&watchers_->wakeup, [](struct ev_loop* loop, ev_async*, int) {
    static_cast<EvLoop*>(ev_userdata(loop))->OnWakeup();
  });
  ev_prepare_init(&watchers_->before_wait,
                  [](struct ev_loop* loop, ev_prepare*, int) {
                    static_cast<EvLoop*>(ev_userdata(loop))->BeforeWait();
                  });
  ev_check_init(&watchers_->after_wait,
                [](struct ev_loop* loop, ev_check*, int) {
                  static_cast<EvLoop*>(ev_userdata(loop))->AfterWait();
                });
  ev_set_priority(&watchers_->after_wait, EV_MAXPRI);  // the first to know
  ev_idle_init(&watchers_->poll, [](struct ev_loop*, ev_idle*, int) {});
  ev_async_start(loop_, &watchers_->wakeup);
}

EvLoop::~EvLoop() {
  // What a task holds may be a timer or a watch.
  running_tasks_.clear();
  {
    std::vector<Task> tasks;
    MutexLock lock(&mutex_);
    tasks.swap(tasks_);
  }
  SetSleepGate(nullptr);
  ev_async_stop(loop_, &watchers_->wakeup);
  ev_loop_destroy(loop_);
}

void EvLoop::Run() {
  thread_ = std::this_thread::get_id();
  while (!stop_.exchange(false)) ev_run(loop_, 0);
  thread_ = std::thread::id();
}

void EvLoop::Stop() {
  stop_ = true;
  ev_async_send(loop_, &watchers_->wakeup);
}

bool EvLoop::IsInLoopThread() const {
  return thread_.load() == std::this_thread::get_id();
}

bool EvLoop::IsAllowedHere() const {
  return thread_.load() == std::thread::id() || IsInLoopThread();
}

void EvLoop::Post(Task task) {
  {
    MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  ev_async_send(loop_, &watchers_->wakeup);
}

void EvLoop::OnWakeup() {
  {
    MutexLock lock(&mutex_);
    running_tasks_.swap(tasks_);
  }
  for (Task& task : running_tasks_) {
    task();
    task = nullptr;  // what it holds goes with it
  }
  running_tasks_.clear();
  if (stop_) ev_break(loop_, EVBREAK_ALL);
}

std::unique_ptr<Timer> EvLoop::CreateTimer(TimerCallback callback) {
  assert(IsAllowedHere());
  return std::make_unique<EvTimer>(this, std::move(callback));
}

std::unique_ptr<IoWatch> EvLoop::Watch(int fd, IoCallback callback) {
  assert(IsAllowedHere());
  return std::make_unique<EvWatch>(this, fd, std::move(callback));
}

void EvLoop::SetSleepGate(SleepGate* gate) {
  assert(IsAllowedHere());
  gate_ = gate;
  may_sleep_ = false;
  ev_idle_stop(loop_, &watchers_->poll);
  if (gate != nullptr) {
    ev_prepare_start(loop_, &watchers_->before_wait);
    ev_check_start(loop_, &watchers_->after_wait);
  } else {
    ev_prepare_stop(loop_, &watchers_->before_wait);
    ev_check_stop(loop_, &watchers_->after_wait);
  }
}

void EvLoop::BeforeWait() {
  may_sleep_ = gate_->MaySleep();
  if (gate_ == nullptr) return;  // removed by that very call
  if (may_sleep_) {
    ev_idle_stop(loop_, &watchers_->poll);
  } else {
    ev_idle_start(loop_, &watchers_->poll);
  }
}

void EvLoop::AfterWait() {
  if (may_sleep_) gate_->OnAwake();
}

}  // namespace kamailio_mqtt
