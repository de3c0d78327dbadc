// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/request_sender.h"

#include <atomic>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "mqtt_core/publish_options.h"
#include "mqtt_core/quote.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

std::string Describe(absl::string_view argument, absl::string_view value,
                     absl::string_view rule) {
  return absl::StrCat(argument, " ", Quote(value), ": ", rule);
}

std::string DescribeQos(int qos) {
  return Describe("qos", absl::StrCat(qos), "must be 0, 1 or 2");
}

}  // namespace

RequestSender::RequestSender(const OutboxOptions& options, SharedState* state,
                             const Clock* clock)
    : options_(options), state_(state), clock_(clock) {}

RequestSender::Outcome RequestSender::Publish(absl::string_view topic,
                                              absl::string_view payload,
                                              int qos,
                                              absl::string_view options) {
  const absl::Status topic_status = ValidateTopicName(topic);
  if (!topic_status.ok()) {
    return Invalid(Describe("topic", topic, topic_status.message()));
  }
  if (!IsValidQos(qos)) return Invalid(DescribeQos(qos));
  const absl::StatusOr<PublishOptions> parsed = ParsePublishOptions(options);
  if (!parsed.ok()) return Invalid(parsed.status().message());
  return Send({RequestType::kPublish, static_cast<Qos>(qos), parsed->retain, 0,
               static_cast<uint32_t>(topic.size())},
              topic, payload);
}

RequestSender::Outcome RequestSender::Subscribe(absl::string_view filter,
                                                int qos) {
  const absl::Status filter_status = ValidateTopicFilter(filter);
  if (!filter_status.ok()) {
    return Invalid(Describe("topic", filter, filter_status.message()));
  }
  if (!IsValidQos(qos)) return Invalid(DescribeQos(qos));
  return Send({RequestType::kSubscribe, static_cast<Qos>(qos), 0, 0,
               static_cast<uint32_t>(filter.size())},
              filter, {});
}

RequestSender::Outcome RequestSender::Unsubscribe(absl::string_view filter) {
  const absl::Status filter_status = ValidateTopicFilter(filter);
  if (!filter_status.ok()) {
    return Invalid(Describe("topic", filter, filter_status.message()));
  }
  return Send({RequestType::kUnsubscribe, Qos::kAtMostOnce, 0, 0,
               static_cast<uint32_t>(filter.size())},
              filter, {});
}

RequestSender::Outcome RequestSender::Send(const RequestHeader& header,
                                           absl::string_view topic,
                                           absl::string_view payload) {
  if (state_->variables().intake.load(std::memory_order_relaxed) ==
      IntakeState::kClosed) {
    return NotRunning();
  }
  const auto bytes = static_cast<int64_t>(topic.size() + payload.size());
  // Requests to subscribe take no room in the queue.
  if (header.type == RequestType::kPublish) {
    if (bytes > options_.max_bytes) {
      return Invalid(absl::StrCat("message of ", bytes,
                                  " bytes: must not be larger than "
                                  "queue_max_bytes, ",
                                  options_.max_bytes));
    }
    if (options_.policy == QueuePolicy::kReject && !HasRoomFor(bytes)) {
      return Full("the queue");
    }
  }
  const RequestRing::PushResult pushed =
      state_->ring().TryPush({header.bytes(), topic, payload});
  if (pushed == RequestRing::PushResult::kTooLarge) {
    return Invalid(
        absl::StrCat("message of ", bytes, " bytes: must not be larger than ",
                     state_->ring().MaxRecordSize() - sizeof(RequestHeader)));
  }
  state_->wakeup().Notify();
  if (pushed == RequestRing::PushResult::kFull) {
    return Full("the way to the dispatcher");
  }
  return {};
}

bool RequestSender::HasRoomFor(int64_t bytes) const {
  const RequestRing& ring = state_->ring();
  // Each turn but the last means that the dispatcher took a message over, and
  // that it may have been counted twice.
  for (;;) {
    const uint64_t taken = ring.taken();
    const Size size = QueueSize();
    if (size.messages < options_.max_messages &&
        size.bytes + bytes <= options_.max_bytes) {
      return true;
    }
    if (ring.taken() == taken) return false;
  }
}

RequestSender::Size RequestSender::QueueSize() const {
  // The dispatcher adds a message to the queue before it takes it off the ring.
  // Looked at in this order none is missed, which would exceed the limits.
  const RequestRing::Size in_ring = state_->ring().ApproximateSize();
  const Statistics& statistics = state_->statistics();
  return {static_cast<int64_t>(in_ring.records) + statistics.queued.Total(),
          static_cast<int64_t>(in_ring.bytes) + statistics.queued_bytes.Get()};
}

RequestSender::Outcome RequestSender::Refuse(
    absl::string_view argument, absl::optional<absl::string_view> value,
    absl::string_view rule) {
  return Invalid(value.has_value() ? Describe(argument, *value, rule)
                                   : absl::StrCat(argument, ": ", rule));
}

RequestSender::Outcome RequestSender::Invalid(absl::string_view problem) {
  state_->statistics().refused_invalid.Add();
  const absl::optional<std::string> suffix =
      state_->variables().invalid_lines.Admit(clock_->Now(), kInvalidBurst);
  return {SendResult::kInvalid,
          suffix.has_value() ? absl::StrCat(problem, *suffix) : ""};
}

RequestSender::Outcome RequestSender::NotRunning() {
  state_->statistics().refused_not_running.Add();
  const absl::optional<std::string> suffix = AdmitRefusalLine();
  return {SendResult::kNotRunning,
          suffix.has_value()
              ? absl::StrCat("the dispatcher is not running", *suffix)
              : ""};
}

RequestSender::Outcome RequestSender::Full(absl::string_view what) {
  state_->statistics().refused_queue_full.Add();
  const absl::optional<std::string> suffix = AdmitRefusalLine();
  if (!suffix.has_value()) return {SendResult::kQueueFull, ""};
  const Size size = QueueSize();
  return {SendResult::kQueueFull,
          absl::StrCat(what, " is full: ", size.messages, " messages of ",
                       size.bytes, " bytes wait (queue_max_messages ",
                       options_.max_messages, ", queue_max_bytes ",
                       options_.max_bytes, ")", *suffix)};
}

absl::optional<std::string> RequestSender::AdmitRefusalLine() {
  return state_->variables().refusal_lines.Admit(clock_->Now(), 1);
}

}  // namespace kamailio_mqtt
