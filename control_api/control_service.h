// SPDX-License-Identifier: GPL-3.0-or-later

// The service kamailio.mqtt.v1.MqttControl: checks requests,
// has Control do them, and answers. See mqtt_control.proto for what the calls
// do and which statuses they end with.
//
// Calls that change something are logged, one line each, when they end: who
// called, the method, the topic or mode, and the status unless it is OK; never
// a payload. Publish and InjectMessage, of which there may be many, at info
// level, the others at notice level. Of a level, kLogBurst lines may come in a
// row, and then one a second.
//
// Thread safety: gRPC's threads and Control's network thread use the service at
// the same time. Results are converted and sent on the control loop's thread,
// so that the network thread need not. Stop() may be called by any thread.
#ifndef CONTROL_API_CONTROL_SERVICE_H_
#define CONTROL_API_CONTROL_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control_api/active_calls.h"
#include "control_api/event_queue.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.grpc.pb.h"
#include "control_api/quota.h"
#include "control_api/requests.h"
#include "control_api/stoppable_service.h"
#include "control_api/unary_call.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/line_limit.h"
#include "mqtt_core/log.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

class ControlService final : public StoppableService,
                             private v1::MqttControl::CallbackService {
 public:
  static constexpr int kLogBurst = 100;

  struct Limits {
    Quota streams{100};
    // Calls that wait for the broker or for a route.
    Quota waiting_calls{1000};
    EventQueue::Limits event_queue;
  };

  // What GetStatus tells besides that of gRPC.
  struct Versions {
    std::string module;
    std::string kamailio;
    std::string libmosquitto;
  };

  // The pointees outlive the service and what Control still holds of its calls
  // (their `done`s and its watchers). The loop runs until the server with this
  // service has shut down.
  struct Environment {
    Control* control;
    EventLoop* control_loop;
    Log* log;
    const Clock* clock;
    const std::vector<NamedCounter>* counters;
    Limits* limits;
    Versions versions;
  };

  explicit ControlService(Environment environment);
  ControlService(const ControlService&) = delete;
  ControlService& operator=(const ControlService&) = delete;

  grpc::Service* service() override { return this; }
  void Stop() override { active_calls_->Stop(); }

 private:
  // Starts a call that Control answers: `invoke(call, parsed)` is to ask it, as
  // far as `parsed` is a good request and quotas allow.
  template <typename Parsed, typename Invoke>
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context,
                                bool waits, UnaryCall::Observer observer,
                                absl::StatusOr<Parsed> parsed, Invoke invoke);

  // Logs how `call`, such as "Publish \"a/b\"", ended, as far as the limit of
  // the level allows.
  UnaryCall::Observer LogEnd(const grpc::CallbackServerContext& context,
                             LogLevel level, absl::string_view call);

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListSubscriptions(
      grpc::CallbackServerContext* context,
      const v1::ListSubscriptionsRequest* request,
      v1::ListSubscriptionsResponse* response) override;
  grpc::ServerUnaryReactor* Subscribe(grpc::CallbackServerContext* context,
                                      const v1::SubscribeRequest* request,
                                      v1::SubscribeResponse* response) override;
  grpc::ServerUnaryReactor* Unsubscribe(
      grpc::CallbackServerContext* context,
      const v1::UnsubscribeRequest* request,
      v1::UnsubscribeResponse* response) override;
  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const v1::PublishRequest* request,
                                    v1::PublishResponse* response) override;
  grpc::ServerUnaryReactor* InjectMessage(
      grpc::CallbackServerContext* context,
      const v1::InjectMessageRequest* request,
      v1::InjectMessageResponse* response) override;
  grpc::ServerUnaryReactor* Reconnect(grpc::CallbackServerContext* context,
                                      const v1::ReconnectRequest* request,
                                      v1::ReconnectResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context,
      const v1::WatchEventsRequest* request) override;

  const Environment environment_;
  // Shared with the calls, which come back to it when they are done.
  const std::shared_ptr<ActiveCalls> active_calls_;
  LineLimit info_lines_;
  LineLimit notice_lines_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_SERVICE_H_
