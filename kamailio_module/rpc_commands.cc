// SPDX-License-Identifier: GPL-3.0-or-later

#include "kamailio_module/rpc_commands.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/publish_options.h"
#include "mqtt_core/quote.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

using Argument = RpcCommands::Argument;

absl::Status Broken(absl::string_view argument, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(argument, ": ", rule));
}

absl::StatusOr<std::string> ParseText(absl::string_view name, Argument text) {
  if (!text.has_value()) return Broken(name, "must be given");
  return std::string(*text);
}

absl::StatusOr<int> ParseQos(Argument text) {
  if (!text.has_value()) return 0;
  if (*text == "0" || *text == "1" || *text == "2") return text->front() - '0';
  return Broken("qos", "must be 0, 1 or 2");
}

absl::StatusOr<v1::ReconnectMode> ParseMode(Argument text) {
  const absl::string_view mode = text.value_or("graceful");
  if (mode == "graceful") return v1::RECONNECT_MODE_GRACEFUL;
  if (mode == "abrupt") return v1::RECONNECT_MODE_ABRUPT;
  return Broken("mode", "must be graceful or abrupt");
}

absl::Status ToStatus(const RequestSender::Outcome& outcome) {
  const bool said = !outcome.problem.empty();
  switch (outcome.result) {
    case SendResult::kAccepted:
      return absl::OkStatus();
    case SendResult::kInvalid:
      return absl::InvalidArgumentError(said ? outcome.problem
                                             : "the message is too large");
    case SendResult::kQueueFull:
      return absl::ResourceExhaustedError(said ? outcome.problem
                                               : "the queue is full");
    case SendResult::kNotRunning:
      break;
  }
  return absl::UnavailableError(said ? outcome.problem
                                     : "the dispatcher is not running");
}

}  // namespace

absl::StatusOr<v1::GetStatusResponse> RpcCommands::GetStatus() const {
  return client_.GetStatus();
}

absl::StatusOr<std::vector<v1::Subscription>> RpcCommands::ListSubscriptions(
    Argument topic, int limit, int offset) const {
  if (limit < 1) return Broken("limit", "must be above 0");
  if (offset < 0) return Broken("offset", "must not be below 0");
  return client_.ListSubscriptions(std::string(topic.value_or("")), limit,
                                   offset);
}

absl::Status RpcCommands::Publish(Argument topic, Argument payload,
                                  Argument qos, Argument options) const {
  const auto publish = [&] {
    absl::Status status = ParseText("topic", topic).status();
    status.Update(ParseText("payload", payload).status());
    const absl::StatusOr<int> parsed_qos = ParseQos(qos);
    status.Update(parsed_qos.status());
    if (!status.ok()) return status;
    // The sender says it at greater length, and not each time.
    if (status = ValidateTopicName(*topic); !status.ok()) {
      return Broken("topic", status.message());
    }
    status = ParsePublishOptions(options.value_or("")).status();
    if (!status.ok()) return status;
    return ToStatus(
        sender_->Publish(*topic, *payload, *parsed_qos, options.value_or("")));
  };
  absl::Status status = publish();
  LogEnd(LogLevel::kInfo, &publish_lines_, "mqtt.publish", topic, status);
  return status;
}

absl::StatusOr<v1::Subscription> RpcCommands::Subscribe(Argument filter,
                                                        Argument qos) const {
  const auto subscribe = [&]() -> absl::StatusOr<v1::Subscription> {
    const absl::StatusOr<std::string> text = ParseText("topic_filter", filter);
    if (!text.ok()) return text.status();
    const absl::StatusOr<int> parsed_qos = ParseQos(qos);
    if (!parsed_qos.ok()) return parsed_qos.status();
    absl::StatusOr<v1::Subscription> subscription =
        client_.Subscribe(*text, *parsed_qos);
    if (subscription.ok() &&
        subscription->state() == v1::SUBSCRIPTION_STATE_REFUSED) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot subscribe: ", subscription->refusal_reason()));
    }
    return subscription;
  };
  absl::StatusOr<v1::Subscription> subscription = subscribe();
  LogEnd(LogLevel::kNotice, &other_lines_, "mqtt.subscribe", filter,
         subscription.status());
  return subscription;
}

absl::StatusOr<UnsubscribeResult> RpcCommands::Unsubscribe(
    Argument filter) const {
  const auto unsubscribe = [&]() -> absl::StatusOr<UnsubscribeResult> {
    const absl::StatusOr<std::string> text = ParseText("topic_filter", filter);
    if (!text.ok()) return text.status();
    return client_.Unsubscribe(*text);
  };
  const absl::StatusOr<UnsubscribeResult> result = unsubscribe();
  LogEnd(LogLevel::kNotice, &other_lines_, "mqtt.unsubscribe", filter,
         result.status());
  return result;
}

absl::Status RpcCommands::Reconnect(Argument mode) const {
  const absl::StatusOr<v1::ReconnectMode> parsed = ParseMode(mode);
  absl::Status status =
      parsed.ok() ? client_.Reconnect(*parsed) : parsed.status();
  LogEnd(LogLevel::kNotice, &other_lines_, "mqtt.reconnect", mode, status);
  return status;
}

void RpcCommands::LogEnd(LogLevel level, LineLimit* limit,
                         absl::string_view command, Argument what,
                         const absl::Status& status) const {
  const absl::optional<std::string> suffix =
      limit->Admit(SteadyClock().Now(), kRpcLogBurst);
  if (!suffix.has_value()) return;
  std::string line = absl::StrCat("RPC: ", command);
  if (what.has_value()) absl::StrAppend(&line, " ", Quote(*what));
  if (!status.ok()) absl::StrAppend(&line, ": ", status.message());
  log_->Write(level, absl::StrCat(line, *suffix));
}

}  // namespace kamailio_mqtt
