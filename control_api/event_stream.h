// SPDX-License-Identifier: GPL-3.0-or-later

// One WatchEvents call: takes events from Control and writes them to a client
// at its pace. A client that does not read costs a bounded queue.
//
// Thread safety: any thread may end it. Control's network thread only puts
// copies of events into the queue. They are converted and written on the
// control loop's thread where the stream was idle, then on gRPC's for as long
// as there are more.
#ifndef CONTROL_API_EVENT_STREAM_H_
#define CONTROL_API_EVENT_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/optional.h"
#include "control_api/active_calls.h"
#include "control_api/event_queue.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "control_api/quota.h"
#include "control_api/requests.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class EventStream final
    : public grpc::ServerWriteReactor<v1::WatchEventsResponse>,
      public Control::Watcher,
      public ActiveCall,
      public std::enable_shared_from_this<EventStream> {
 public:
  // Outlive the stream.
  struct Environment {
    Control* control;
    EventLoop* loop;
    const Clock* clock;
  };

  // `share` is kept as long as the object.
  EventStream(grpc::CallbackServerContext* context,
              const Environment& environment,
              std::shared_ptr<ActiveCalls> active_calls, Quota::Share share,
              EventSelection selection, const EventQueue::Limits& limits);

  // Begins to watch. Once.
  void Start();

  // Control::Watcher:
  void OnSynced(const ConnectionStatus& connection,
                std::vector<Subscription> subscriptions) override;
  void OnConnected() override;
  void OnDisconnected(const ConnectionStatus& status) override;
  void OnSubscriptionChanged(const Subscription& subscription,
                             bool removed) override;
  void OnMessage(const InboundMessage& message) override;
  void OnPublish(uint64_t publish_id, const Message& message,
                 PublishOutcome outcome) override;

  // ActiveCall:
  void Stop() override;

  // The loop will never run what it was to run: the stream ends here.
  void Abandon();

  // grpc::ServerWriteReactor:
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  template <typename Make>
  void Push(size_t bytes, Make make);
  bool IsSelected(const std::string& topic) const;
  // How much of `payload` is to be shown.
  size_t ShownBytes(const std::string& payload) const;

  // Ends the stream with `status`, unless it is ending: when the write that is
  // under way, if there is one, is done.
  void End(const grpc::Status& status);
  void PostWriteNext();
  // The caller is the one whom `writing_` stands for.
  void WriteNext();

  grpc::CallbackServerContext* const context_;
  const Environment environment_;
  const std::shared_ptr<ActiveCalls> active_calls_;
  const Quota::Share share_;
  const EventSelection selection_;

  // Written to by the one whom `writing_` stands for.
  v1::WatchEventsResponse response_;

  Mutex mutex_;
  EventQueue queue_ ABSL_GUARDED_BY(mutex_);
  // Why the stream is to end.
  absl::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  // Somebody is about to write or to finish, or gRPC writes or has finished:
  // nobody else may.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_EVENT_STREAM_H_
