// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/local_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control_api/local_protocol.h"
#include "control_api/requests.h"
#include "mqtt_core/clock.h"

namespace kamailio_mqtt {
namespace {

// Who is waited for.
constexpr absl::string_view kDispatcher = "the mqtt dispatcher";
constexpr absl::string_view kBroker = "the mqtt dispatcher or the broker";

// What a page of subscriptions has at most; it is copied at once.
constexpr int kPageSize = 250;

// One command: its calls share the time that there is for it.
class Command {
 public:
  Command(const CallChannel* channel, absl::string_view who)
      : channel_(channel), who_(who) {}

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(LocalMethod method, const Request& request,
                                Duration limit = kLocalCallTimeout) {
    const absl::StatusOr<std::string> reply =
        channel_->Call(EncodeLocalRequest(method, request),
                       std::min(limit, deadline_ - SteadyClock().Now()));
    if (absl::IsDeadlineExceeded(reply.status())) {
      return absl::DeadlineExceededError(absl::StrCat(
          "no answer of ", who_, " within ", kLocalCallTimeout.count(), " s"));
    }
    if (!reply.ok()) return reply.status();
    Response response;
    const absl::Status status = DecodeLocalReply(*reply, &response);
    if (!status.ok()) return status;
    return response;
  }

 private:
  const CallChannel* const channel_;
  const absl::string_view who_;
  const TimePoint deadline_ = SteadyClock().Now() + kLocalCallTimeout;
};

}  // namespace

absl::StatusOr<v1::GetStatusResponse> LocalClient::GetStatus() const {
  return Command(channel_, kDispatcher)
      .Call<v1::GetStatusResponse>(LocalMethod::kGetStatus,
                                   v1::GetStatusRequest());
}

absl::StatusOr<std::vector<v1::Subscription>> LocalClient::ListSubscriptions(
    const std::string& topic, size_t limit, size_t offset) const {
  v1::ListSubscriptionsRequest request;
  request.set_topic(topic);
  request.set_page_size(kPageSize);
  if (absl::Status status = Parse(request).status(); !status.ok()) {
    return status;
  }
  Command command(channel_, kDispatcher);
  std::vector<v1::Subscription> subscriptions;
  do {
    absl::StatusOr<v1::ListSubscriptionsResponse> page =
        command.Call<v1::ListSubscriptionsResponse>(
            LocalMethod::kListSubscriptions, request);
    if (!page.ok()) return page.status();
    for (v1::Subscription& subscription : *page->mutable_subscriptions()) {
      if (offset > 0) {
        --offset;
      } else if (subscriptions.size() < limit) {
        subscriptions.push_back(std::move(subscription));
      }
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() && subscriptions.size() < limit);
  return subscriptions;
}

absl::StatusOr<v1::Subscription> LocalClient::Subscribe(
    const std::string& filter, int qos) const {
  v1::SubscribeRequest request;
  request.set_topic_filter(filter);
  request.set_qos(qos);
  request.set_wait(true);
  if (absl::Status status = Parse(request).status(); !status.ok()) {
    return status;
  }
  Command command(channel_, kBroker);
  absl::StatusOr<v1::SubscribeResponse> response =
      command.Call<v1::SubscribeResponse>(LocalMethod::kSubscribe, request);
  if (absl::IsUnavailable(response.status())) {
    // Not connected: there is nobody to wait for.
    request.set_wait(false);
    response =
        command.Call<v1::SubscribeResponse>(LocalMethod::kSubscribe, request);
  }
  if (!response.ok()) return response.status();
  return response->subscription();
}

absl::StatusOr<UnsubscribeResult> LocalClient::Unsubscribe(
    const std::string& filter) const {
  v1::UnsubscribeRequest request;
  request.set_topic_filter(filter);
  request.set_wait(true);
  if (absl::Status status = Parse(request).status(); !status.ok()) {
    return status;
  }
  Command command(channel_, kDispatcher);
  const auto unsubscribe = [&](Duration limit) {
    return command
        .Call<v1::UnsubscribeResponse>(LocalMethod::kUnsubscribe, request,
                                       limit)
        .status();
  };
  absl::Status status = unsubscribe(kBrokerAnswerTimeout);
  if (status.ok()) return UnsubscribeResult::kDone;
  if (!absl::IsDeadlineExceeded(status)) return status;
  // Who has not answered? Without the broker, the dispatcher answers at once.
  request.set_wait(false);
  status = unsubscribe(kLocalCallTimeout);
  // There is no such subscription any more: the first call has ended it.
  if (status.ok() || absl::IsNotFound(status)) {
    return UnsubscribeResult::kUnconfirmed;
  }
  return status;
}

absl::Status LocalClient::Reconnect(v1::ReconnectMode mode) const {
  v1::ReconnectRequest request;
  request.set_mode(mode);
  return Command(channel_, kDispatcher)
      .Call<v1::ReconnectResponse>(LocalMethod::kReconnect, request)
      .status();
}

}  // namespace kamailio_mqtt
