// SPDX-License-Identifier: GPL-3.0-or-later

// std::mutex with the annotations by which clang checks who holds it. Not
// absl::Mutex: ThreadSanitizer does not understand the one in Debian's
// library, which is built without it.
#ifndef MQTT_CORE_MUTEX_H_
#define MQTT_CORE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "mqtt_core/clock.h"

namespace kamailio_mqtt {

class ABSL_LOCKABLE Mutex {
 public:
  // Tries for a while before it sleeps: where these are held, it is for less
  // time than falling asleep takes.
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    for (int attempt = 0; attempt < 50; ++attempt) {
      if (mutex_.try_lock()) return;
    }
    mutex_.lock();
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;

  std::mutex mutex_;
};

// Holds the mutex while it exists.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// May wake up without a reason: wait in a loop.
class CondVar {
 public:
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    changed_.wait(lock);
    lock.release();
  }
  // Returns whether it woke up before the deadline.
  bool WaitUntil(Mutex* mutex, TimePoint deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const std::cv_status status = changed_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void SignalAll() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_MUTEX_H_
