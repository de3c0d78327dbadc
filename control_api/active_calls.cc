// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/active_calls.h"

#include <utility>
#include <vector>

namespace kamailio_mqtt {

// Calls end, and are destroyed, without the mutex: they come back to Remove().

bool ActiveCalls::Add(std::shared_ptr<ActiveCall> call) {
  MutexLock lock(&mutex_);
  ActiveCall* const key = call.get();
  calls_.emplace(key, std::move(call));
  return !stopped_;
}

void ActiveCalls::Remove(ActiveCall* call) {
  std::shared_ptr<ActiveCall> removed;
  MutexLock lock(&mutex_);
  const auto found = calls_.find(call);
  removed = std::move(found->second);
  calls_.erase(found);
}

void ActiveCalls::Stop() {
  std::vector<std::shared_ptr<ActiveCall>> calls;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& [key, call] : calls_) calls.push_back(call);
  }
  for (const auto& call : calls) call->Stop();
}

}  // namespace kamailio_mqtt
