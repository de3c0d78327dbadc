// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_service.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/auth_context.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "control_api/conversions.h"
#include "control_api/event_stream.h"
#include "control_api/statuses.h"
#include "control_api/timestamps.h"
#include "mqtt_core/quote.h"

namespace kamailio_mqtt {
namespace {

// "ipv4:127.0.0.1:4711", with the names in its certificate, if it has one;
// "unix: uid 1000, pid 4711".
std::string DescribePeer(const grpc::ServerContextBase& context) {
  std::string description = context.peer();
  for (const grpc::string_ref& name :
       context.auth_context()->GetPeerIdentity()) {
    absl::StrAppend(
        &description, " ",
        absl::CHexEscape(absl::string_view(name.data(), name.size())));
  }
  return description;
}

grpc::Status TooMany(absl::string_view what, const Quota& quota) {
  return grpc::Status(
      grpc::StatusCode::RESOURCE_EXHAUSTED,
      absl::StrCat("there are ", quota.limit(), " ", what, " already"));
}

// A stream that ends before it begins.
class RefusedStream final
    : public grpc::ServerWriteReactor<v1::WatchEventsResponse> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

ControlService::ControlService(Environment environment)
    : environment_(std::move(environment)),
      active_calls_(std::make_shared<ActiveCalls>()) {}

template <typename Parsed, typename Invoke>
grpc::ServerUnaryReactor* ControlService::Run(
    grpc::CallbackServerContext* context, bool waits,
    UnaryCall::Observer observer, absl::StatusOr<Parsed> parsed,
    Invoke invoke) {
  Quota& quota = environment_.limits->waiting_calls;
  Quota::Share share = waits ? quota.Take() : nullptr;
  const bool too_many = waits && share == nullptr;
  const auto call = std::make_shared<UnaryCall>(
      context, environment_.control, environment_.control_loop, active_calls_,
      std::move(share), std::move(observer));
  if (!active_calls_->Add(call)) {
    call->Stop();
  } else if (!parsed.ok()) {
    call->End(ToGrpcStatus(parsed.status()));
  } else if (too_many) {
    call->End(TooMany("waiting calls", quota));
  } else {
    invoke(*call, *std::move(parsed));
  }
  // Until gRPC has it, it is not done with it.
  return call.get();
}

UnaryCall::Observer ControlService::LogEnd(
    const grpc::CallbackServerContext& context, LogLevel level,
    absl::string_view call) {
  LineLimit* const limit =
      level == LogLevel::kInfo ? &info_lines_ : &notice_lines_;
  return [this, level, limit,
          line = absl::StrCat("control API: ", DescribePeer(context), ": ",
                              call)](const grpc::Status& status) {
    const absl::optional<std::string> suffix =
        limit->Admit(environment_.clock->Now(), kLogBurst);
    if (!suffix.has_value()) return;
    environment_.log->Write(
        level, status.ok()
                   ? absl::StrCat(line, *suffix)
                   : absl::StrCat(line, ": ", Describe(status), *suffix));
  };
}

grpc::ServerUnaryReactor* ControlService::GetStatus(
    grpc::CallbackServerContext* context, const v1::GetStatusRequest*,
    v1::GetStatusResponse* response) {
  *response = ToProto(environment_.control->GetStatus(),
                      ReadClocks(*environment_.clock));
  v1::Versions* const versions = response->mutable_versions();
  versions->set_module(environment_.versions.module);
  versions->set_kamailio(environment_.versions.kamailio);
  versions->set_libmosquitto(environment_.versions.libmosquitto);
  versions->set_grpc(grpc::Version());
  for (const NamedCounter& counter : *environment_.counters) {
    (*response->mutable_counters())[counter.name] = counter.counter->Get();
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* ControlService::ListSubscriptions(
    grpc::CallbackServerContext* context,
    const v1::ListSubscriptionsRequest* request,
    v1::ListSubscriptionsResponse* response) {
  const auto respond =
      [this, response](const absl::StatusOr<SubscriptionPage>& page) {
        *response = ToProto(*page, ReadClocks(*environment_.clock));
      };
  return Run(context, false, nullptr, Parse(*request),
             [&](UnaryCall& call, SubscriptionQuery query) {
               environment_.control->ListSubscriptions(
                   query.after, query.limit, std::move(query.topic),
                   call.WhenDone<absl::StatusOr<SubscriptionPage>>(respond));
             });
}

grpc::ServerUnaryReactor* ControlService::Subscribe(
    grpc::CallbackServerContext* context, const v1::SubscribeRequest* request,
    v1::SubscribeResponse* response) {
  const auto respond =
      [this, response](const absl::StatusOr<Subscription>& subscription) {
        *response->mutable_subscription() =
            ToProto(*subscription, ReadClocks(*environment_.clock));
      };
  return Run(context, request->wait(),
             LogEnd(*context, LogLevel::kNotice,
                    absl::StrCat("Subscribe ", Quote(request->topic_filter()))),
             Parse(*request), [&](UnaryCall& call, WantedSubscription wanted) {
               call.set_control_call(environment_.control->Subscribe(
                   std::move(wanted.filter), wanted.qos, request->wait(),
                   call.WhenDone<absl::StatusOr<Subscription>>(respond)));
             });
}

grpc::ServerUnaryReactor* ControlService::Unsubscribe(
    grpc::CallbackServerContext* context, const v1::UnsubscribeRequest* request,
    v1::UnsubscribeResponse*) {
  const auto respond = [](const absl::Status&) {};
  return Run(
      context, request->wait(),
      LogEnd(*context, LogLevel::kNotice,
             absl::StrCat("Unsubscribe ", Quote(request->topic_filter()))),
      Parse(*request), [&](UnaryCall& call, std::string filter) {
        call.set_control_call(environment_.control->Unsubscribe(
            std::move(filter), request->wait(),
            call.WhenDone<absl::Status>(respond)));
      });
}

grpc::ServerUnaryReactor* ControlService::Publish(
    grpc::CallbackServerContext* context, const v1::PublishRequest* request,
    v1::PublishResponse* response) {
  const auto respond =
      [response](const absl::StatusOr<PublishOutcome>& outcome) {
        response->set_outcome(ToProto(*outcome));
      };
  return Run(context, request->wait(),
             LogEnd(*context, LogLevel::kInfo,
                    absl::StrCat("Publish ", Quote(request->topic()))),
             Parse(*request), [&](UnaryCall& call, Message message) {
               call.set_control_call(environment_.control->Publish(
                   std::move(message), request->wait(),
                   call.WhenDone<absl::StatusOr<PublishOutcome>>(respond)));
             });
}

grpc::ServerUnaryReactor* ControlService::InjectMessage(
    grpc::CallbackServerContext* context,
    const v1::InjectMessageRequest* request,
    v1::InjectMessageResponse* response) {
  const auto respond = [response](const absl::StatusOr<InjectResult>& result) {
    *response = ToProto(*result);
  };
  return Run(context, true,
             LogEnd(*context, LogLevel::kInfo,
                    absl::StrCat("InjectMessage ", Quote(request->topic()))),
             Parse(*request), [&](UnaryCall& call, InboundMessage message) {
               call.set_control_call(environment_.control->Inject(
                   std::move(message),
                   call.WhenDone<absl::StatusOr<InjectResult>>(respond)));
             });
}

grpc::ServerUnaryReactor* ControlService::Reconnect(
    grpc::CallbackServerContext* context, const v1::ReconnectRequest* request,
    v1::ReconnectResponse* response) {
  const auto respond =
      [this, response](const absl::StatusOr<ConnectionStatus>& status) {
        *response->mutable_connection() =
            ToProto(*status, ReadClocks(*environment_.clock));
      };
  // The number of a mode that has no name.
  std::string mode = v1::ReconnectMode_Name(request->mode());
  if (mode.empty()) mode = absl::StrCat(request->mode());
  return Run(
      context, request->wait(),
      LogEnd(*context, LogLevel::kNotice, absl::StrCat("Reconnect ", mode)),
      Parse(*request), [&](UnaryCall& call, ReconnectMode mode) {
        call.set_control_call(environment_.control->Reconnect(
            mode, request->wait(),
            call.WhenDone<absl::StatusOr<ConnectionStatus>>(respond)));
      });
}

grpc::ServerWriteReactor<v1::WatchEventsResponse>* ControlService::WatchEvents(
    grpc::CallbackServerContext* context,
    const v1::WatchEventsRequest* request) {
  absl::StatusOr<EventSelection> selection = Parse(*request);
  if (!selection.ok()) {
    return new RefusedStream(ToGrpcStatus(selection.status()));
  }
  Quota& quota = environment_.limits->streams;
  Quota::Share share = quota.Take();
  if (share == nullptr) {
    return new RefusedStream(TooMany("streams of events", quota));
  }
  const auto stream = std::make_shared<EventStream>(
      context,
      EventStream::Environment{environment_.control, environment_.control_loop,
                               environment_.clock},
      active_calls_, std::move(share), *std::move(selection),
      environment_.limits->event_queue);
  stream->Start();
  // Until gRPC has it, it is not done with it.
  return stream.get();
}

}  // namespace kamailio_mqtt
