// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/blocking_call.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

// Not in every glibc's headers.
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace kamailio_mqtt {
namespace {

// Nobody else uses it: by default it is ignored.
constexpr int kInterrupt = SIGURG;

// A signal that comes between two system calls interrupts neither; the next
// one will.
constexpr timespec kInterruptInterval = {0, 20 * 1000 * 1000};
constexpr timespec kAtOnce = {0, 1};

void InstallHandler() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  sigaction(kInterrupt, &action, nullptr);  // without SA_RESTART
}

// Makes a timer that signals the calling thread, not yet set.
absl::optional<timer_t> CreateInterrupter() {
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kInterrupt;
  event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return absl::nullopt;
  return timer;
}

}  // namespace

absl::StatusOr<std::shared_ptr<BlockingCall>> BlockingCall::Start(
    EventLoop* loop, Function work, Function done) {
  static std::once_flag handler_installed;
  std::call_once(handler_installed, InstallHandler);

  const std::shared_ptr<BlockingCall> call(
      new BlockingCall(loop, std::move(work), std::move(done)));
  auto thread_reference = std::make_unique<std::shared_ptr<BlockingCall>>(call);

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&call->thread_, nullptr, &ThreadMain,
                                   thread_reference.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot start a thread: ", std::generic_category().message(error)));
  }
  thread_reference.release();
  return call;
}

BlockingCall::BlockingCall(EventLoop* loop, Function work, Function done)
    : loop_(loop), work_(std::move(work)), done_(std::move(done)) {}

void BlockingCall::Abandon() {
  MutexLock lock(&mutex_);
  abandoned_ = true;
  pthread_detach(thread_);
  if (!interrupter_.has_value()) return;
  const struct itimerspec schedule = {kInterruptInterval, kAtOnce};
  timer_settime(*interrupter_, 0, &schedule, nullptr);
}

bool BlockingCall::IsOver() const {
  MutexLock lock(&mutex_);
  return over_;
}

void* BlockingCall::ThreadMain(void* reference) {
  const std::unique_ptr<std::shared_ptr<BlockingCall>> call(
      static_cast<std::shared_ptr<BlockingCall>*>(reference));
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, kInterrupt);
  pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
  (*call)->Run();
  return nullptr;
}

void BlockingCall::Run() {
  bool wanted;
  {
    MutexLock lock(&mutex_);
    wanted = !abandoned_;
    if (wanted) interrupter_ = CreateInterrupter();
  }
  if (wanted) work_();
  work_ = nullptr;

  MutexLock lock(&mutex_);
  if (interrupter_.has_value()) timer_delete(*interrupter_);
  interrupter_.reset();
  over_ = true;
  if (!abandoned_) {
    loop_->Post([call = shared_from_this()] { call->Finish(); });
  }
}

void BlockingCall::Finish() {
  {
    MutexLock lock(&mutex_);
    if (abandoned_) return;
  }
  pthread_join(thread_, nullptr);  // it has posted this as its last deed
  done_();
}

}  // namespace kamailio_mqtt
