// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/testing/fake_event_loop.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace kamailio_mqtt {

class FakeEventLoop::FakeTimer : public Timer {
 public:
  FakeTimer(FakeEventLoop* loop, TimerCallback callback)
      : loop_(loop),
        callback_(std::make_shared<TimerCallback>(std::move(callback))) {}
  ~FakeTimer() override { Stop(); }

  void Start(Duration delay) override {
    Stop();
    const TimePoint due =
        loop_->clock_->Now() + std::max(delay, Duration::zero());
    position_ =
        loop_->timers_.emplace(std::pair(due, ++loop_->timer_starts_), this)
            .first;
  }

  void Stop() override {
    EXPECT_TRUE(loop_->IsInLoopThread());
    if (!position_.has_value()) return;
    loop_->timers_.erase(*position_);
    position_.reset();
  }

  bool IsRunning() const override { return position_.has_value(); }

  void Fire() {
    Stop();
    // The callback may destroy the timer, and itself with it.
    const std::shared_ptr<TimerCallback> callback = callback_;
    (*callback)();
  }

 private:
  FakeEventLoop* const loop_;
  const std::shared_ptr<TimerCallback> callback_;
  absl::optional<TimerQueue::iterator> position_;
};

class FakeEventLoop::FakeWatch : public IoWatch {
 public:
  FakeWatch(FakeEventLoop* loop, int fd, IoCallback callback)
      : loop_(loop),
        fd_(fd),
        callback_(std::make_shared<IoCallback>(std::move(callback))) {
    EXPECT_TRUE(loop_->IsInLoopThread());
    loop_->watches_.insert(this);
  }
  ~FakeWatch() override {
    EXPECT_TRUE(loop_->IsInLoopThread());
    loop_->watches_.erase(this);
  }

  void WaitFor(bool readable, bool writable) override {
    EXPECT_TRUE(loop_->IsInLoopThread());
    readable_ = readable;
    writable_ = writable;
  }

  bool SetReady(bool readable, bool writable) {
    readable = readable && readable_;
    writable = writable && writable_;
    if (!readable && !writable) return false;
    // The callback may destroy the watch, and itself with it.
    const std::shared_ptr<IoCallback> callback = callback_;
    (*callback)(readable, writable);
    return true;
  }

  int fd() const { return fd_; }
  bool readable() const { return readable_; }
  bool writable() const { return writable_; }

 private:
  FakeEventLoop* const loop_;
  const int fd_;
  const std::shared_ptr<IoCallback> callback_;
  bool readable_ = false;
  bool writable_ = false;
};

FakeEventLoop::FakeEventLoop(FakeClock* clock)
    : clock_(clock), thread_(std::this_thread::get_id()) {}

FakeEventLoop::~FakeEventLoop() {
  // What a task holds may be a timer or a watch.
  tasks_.clear();
  EXPECT_TRUE(timers_.empty()) << "a running timer outlives its loop";
  EXPECT_TRUE(watches_.empty()) << "a watch outlives its loop";
}

void FakeEventLoop::Run() {
  RunUntilIdle();
  MutexLock lock(&mutex_);
  stopped_ = false;
}

void FakeEventLoop::Stop() {
  MutexLock lock(&mutex_);
  stopped_ = true;
}

bool FakeEventLoop::IsInLoopThread() const {
  return std::this_thread::get_id() == thread_;
}

void FakeEventLoop::Post(Task task) {
  MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
}

std::unique_ptr<Timer> FakeEventLoop::CreateTimer(TimerCallback callback) {
  return std::make_unique<FakeTimer>(this, std::move(callback));
}

std::unique_ptr<IoWatch> FakeEventLoop::Watch(int fd, IoCallback callback) {
  return std::make_unique<FakeWatch>(this, fd, std::move(callback));
}

void FakeEventLoop::SetSleepGate(SleepGate* gate) { gate_ = gate; }

void FakeEventLoop::RunUntilIdle() {
  EXPECT_TRUE(IsInLoopThread());
  while (true) {
    while (RunOneTimer() || RunOneTask()) {
    }
    {
      MutexLock lock(&mutex_);
      if (stopped_) return;
    }
    if (gate_ == nullptr) return;
    if (gate_->MaySleep()) {
      gate_->OnAwake();
      MutexLock lock(&mutex_);
      if (tasks_.empty()) return;
    }
  }
}

void FakeEventLoop::Advance(Duration duration) {
  const TimePoint end = clock_->Now() + duration;
  RunUntilIdle();
  while (!timers_.empty() && timers_.begin()->first.first <= end) {
    const TimePoint due = timers_.begin()->first.first;
    clock_->Advance(std::max(due - clock_->Now(), Duration::zero()));
    RunUntilIdle();
  }
  clock_->Advance(end - clock_->Now());
}

absl::optional<Duration> FakeEventLoop::NextTimerDue() const {
  if (timers_.empty()) return absl::nullopt;
  return std::max(timers_.begin()->first.first - clock_->Now(),
                  Duration::zero());
}

bool FakeEventLoop::SetReady(int fd, bool readable, bool writable) {
  bool any = false;
  const std::vector<FakeWatch*> watches(watches_.begin(), watches_.end());
  for (FakeWatch* watch : watches) {
    // A callback may destroy other watches.
    if (watches_.count(watch) == 0 || watch->fd() != fd) continue;
    any |= watch->SetReady(readable, writable);
  }
  return any;
}

bool FakeEventLoop::IsWaitingToRead(int fd) const {
  return std::any_of(watches_.begin(), watches_.end(), [fd](FakeWatch* watch) {
    return watch->fd() == fd && watch->readable();
  });
}

bool FakeEventLoop::IsWaitingToWrite(int fd) const {
  return std::any_of(watches_.begin(), watches_.end(), [fd](FakeWatch* watch) {
    return watch->fd() == fd && watch->writable();
  });
}

bool FakeEventLoop::RunOneTask() {
  Task task;
  {
    MutexLock lock(&mutex_);
    if (stopped_ || tasks_.empty()) return false;
    task = std::move(tasks_.front());
    tasks_.pop_front();
  }
  std::move(task)();
  return true;
}

bool FakeEventLoop::RunOneTimer() {
  {
    MutexLock lock(&mutex_);
    if (stopped_) return false;
  }
  if (timers_.empty() || timers_.begin()->first.first > clock_->Now()) {
    return false;
  }
  timers_.begin()->second->Fire();
  return true;
}

}  // namespace kamailio_mqtt
