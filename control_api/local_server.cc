// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/local_server.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "control_api/conversions.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "control_api/local_protocol.h"
#include "control_api/requests.h"
#include "control_api/timestamps.h"

namespace kamailio_mqtt {

LocalServer::LocalServer(int receiving_fd, EventLoop* loop, Control* control,
                         const Clock* clock)
    : control_(control), clock_(clock), receiver_(receiving_fd, loop, this) {}

void LocalServer::OnCall(CallId call, const std::string& request) {
  if (receiver_.open_calls() > kMaxLocalCalls) {
    const absl::Status status = absl::ResourceExhaustedError(
        absl::StrCat("there are ", kMaxLocalCalls, " calls already"));
    receiver_.Reply(call, EncodeLocalReply(status));
    return;
  }
  Dispatch(call, request.front(), absl::string_view(request).substr(1));
}

void LocalServer::OnCallerGone(CallId call) {
  const auto cancelled = cancellable_.extract(call);
  if (!cancelled.empty()) control_->Cancel(cancelled.mapped());
}

void LocalServer::Dispatch(CallId call, char method, absl::string_view body) {
  switch (static_cast<LocalMethod>(method)) {
    case LocalMethod::kGetStatus:
      return Answer(call, EncodeLocalReply(ToProto(control_->GetStatus(),
                                                   ReadClocks(*clock_))));
    case LocalMethod::kListSubscriptions:
      return Run<v1::ListSubscriptionsRequest>(
          call, body, [&](auto&, SubscriptionQuery query) {
            control_->ListSubscriptions(
                query.after, query.limit, std::move(query.topic),
                WhenDone<SubscriptionPage>(
                    call, [this](const SubscriptionPage& page) {
                      return ToProto(page, ReadClocks(*clock_),
                                     kMaxLocalListBytes);
                    }));
          });
    case LocalMethod::kSubscribe:
      return Run<v1::SubscribeRequest>(
          call, body, [&](auto& request, WantedSubscription wanted) {
            cancellable_[call] = control_->Subscribe(
                std::move(wanted.filter), wanted.qos, request.wait(),
                WhenDone<Subscription>(
                    call, [this](const Subscription& subscription) {
                      v1::SubscribeResponse response;
                      *response.mutable_subscription() =
                          ToProto(subscription, ReadClocks(*clock_));
                      return response;
                    }));
          });
    case LocalMethod::kUnsubscribe:
      return Run<v1::UnsubscribeRequest>(
          call, body, [&](auto& request, std::string filter) {
            cancellable_[call] = control_->Unsubscribe(
                std::move(filter), request.wait(),
                [this, call](const absl::Status& status) {
                  Answer(call, status.ok()
                                   ? EncodeLocalReply(v1::UnsubscribeResponse())
                                   : EncodeLocalReply(status));
                });
          });
    case LocalMethod::kReconnect:
      return Run<v1::ReconnectRequest>(
          call, body, [&](auto& request, ReconnectMode mode) {
            cancellable_[call] = control_->Reconnect(
                mode, request.wait(),
                WhenDone<ConnectionStatus>(
                    call, [this](const ConnectionStatus& status) {
                      v1::ReconnectResponse response;
                      *response.mutable_connection() =
                          ToProto(status, ReadClocks(*clock_));
                      return response;
                    }));
          });
  }
  Answer(call, EncodeLocalReply(absl::UnimplementedError("no such method")));
}

template <typename Request, typename Ask>
void LocalServer::Run(CallId call, absl::string_view body, Ask ask) {
  Request request;
  if (!request.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    Answer(call, EncodeLocalReply(absl::InvalidArgumentError(
                     "a request that cannot be read")));
    return;
  }
  auto parsed = Parse(request);
  if (!parsed.ok()) {
    Answer(call, EncodeLocalReply(parsed.status()));
    return;
  }
  ask(request, *std::move(parsed));
}

template <typename Result, typename Convert>
Control::Done<Result> LocalServer::WhenDone(CallId call, Convert convert) {
  return [this, call, convert](const absl::StatusOr<Result>& result) {
    Answer(call, result.ok() ? EncodeLocalReply(convert(*result))
                             : EncodeLocalReply(result.status()));
  };
}

void LocalServer::Answer(CallId call, const std::string& reply) {
  cancellable_.erase(call);
  receiver_.Reply(call, reply);
}

}  // namespace kamailio_mqtt
