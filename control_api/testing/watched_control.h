// SPDX-License-Identifier: GPL-3.0-or-later

// A dispatcher that does nothing but be connected or not, for its watchers.
//
// Thread-safe; watchers are called on the thread that changes something.
#ifndef CONTROL_API_TESTING_WATCHED_CONTROL_H_
#define CONTROL_API_TESTING_WATCHED_CONTROL_H_

#include <cstddef>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "mqtt_core/control.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class WatchedControl : public Control {
 public:
  void SetConnected(bool connected) {
    MutexLock lock(&mutex_);
    status_.state =
        connected ? ConnectionState::kConnected : ConnectionState::kWaiting;
    for (const std::shared_ptr<Watcher>& watcher : watchers_) {
      if (connected) {
        watcher->OnConnected();
      } else {
        watcher->OnDisconnected(status_);
      }
    }
  }
  size_t watchers() {
    MutexLock lock(&mutex_);
    return watchers_.size();
  }
  // What the last watcher asked for.
  Interest interest() {
    MutexLock lock(&mutex_);
    return interest_;
  }

  void Watch(std::shared_ptr<Watcher> watcher, Interest interest) override {
    MutexLock lock(&mutex_);
    watcher->OnSynced(status_, {});
    watchers_.insert(std::move(watcher));
    interest_ = interest;
  }
  void Unwatch(std::shared_ptr<Watcher> watcher) override {
    MutexLock lock(&mutex_);
    watchers_.erase(watcher);
  }

  DispatcherStatus GetStatus() const override {
    MutexLock lock(&mutex_);
    DispatcherStatus status;
    status.connection = status_;
    return status;
  }
  void ListSubscriptions(uint64_t, size_t, absl::optional<std::string>,
                         Done<SubscriptionPage>) override {}
  CallId Subscribe(std::string, Qos, bool, Done<Subscription>) override {
    return 0;
  }
  CallId Unsubscribe(std::string, bool,
                     absl::AnyInvocable<void(absl::Status)>) override {
    return 0;
  }
  CallId Publish(Message, bool, Done<PublishOutcome>) override { return 0; }
  CallId Inject(InboundMessage, Done<InjectResult>) override { return 0; }
  CallId Reconnect(ReconnectMode, bool, Done<ConnectionStatus>) override {
    return 0;
  }
  void Cancel(CallId) override {}

 private:
  mutable Mutex mutex_;
  ConnectionStatus status_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
  Interest interest_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_TESTING_WATCHED_CONTROL_H_
