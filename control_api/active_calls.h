// SPDX-License-Identifier: GPL-3.0-or-later

// Owns the calls that gRPC has not done with, and can end all of them.
//
// Thread-safe.
#ifndef CONTROL_API_ACTIVE_CALLS_H_
#define CONTROL_API_ACTIVE_CALLS_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class ActiveCall {
 public:
  virtual ~ActiveCall() = default;
  // Ends the call with UNAVAILABLE, unless it has ended. Any thread.
  virtual void Stop() = 0;
};

class ActiveCalls {
 public:
  ActiveCalls() = default;
  ActiveCalls(const ActiveCalls&) = delete;
  ActiveCalls& operator=(const ActiveCalls&) = delete;

  // Keeps `call` until Remove(). False after Stop(): it is to end at once.
  bool Add(std::shared_ptr<ActiveCall> call);
  void Remove(ActiveCall* call);

  void Stop();

 private:
  Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<ActiveCall*, std::shared_ptr<ActiveCall>> calls_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_ACTIVE_CALLS_H_
