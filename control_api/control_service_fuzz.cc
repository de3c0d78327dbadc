// SPDX-License-Identifier: GPL-3.0-or-later

// The input is a byte that selects the method, one that selects how the
// dispatcher answers, and the bytes of a request.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "control_api/testing/control_service_harness.h"
#include "control_api/testing/fake_control.h"
#include "mqtt_core/message.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

using grpc::StatusCode;

void Check(bool condition) {
  if (!condition) std::abort();
}

template <typename Request>
bool Parses(const std::string& bytes) {
  return Request().ParseFromString(bytes);
}

using Asked = FakeControl::Method;

struct MethodUnderTest {
  const char* name;
  bool (*parses)(const std::string& bytes);
  // Of Control, if it is for Control to answer; else `code` is the answer.
  absl::optional<Asked> asked;
  StatusCode code = StatusCode::OK;
};

constexpr std::array<MethodUnderTest, 8> kMethods = {{
    {"GetStatus", &Parses<v1::GetStatusRequest>, absl::nullopt},
    {"ListSubscriptions", &Parses<v1::ListSubscriptionsRequest>,
     Asked::kListSubscriptions},
    {"Subscribe", &Parses<v1::SubscribeRequest>, Asked::kSubscribe},
    {"Unsubscribe", &Parses<v1::UnsubscribeRequest>, Asked::kUnsubscribe},
    {"Publish", &Parses<v1::PublishRequest>, Asked::kPublish},
    {"InjectMessage", &Parses<v1::InjectMessageRequest>, Asked::kInject},
    {"Reconnect", &Parses<v1::ReconnectRequest>, Asked::kReconnect},
    // A stream, which its reader ends.
    {"WatchEvents", &Parses<v1::WatchEventsRequest>, absl::nullopt,
     StatusCode::CANCELLED},
}};

constexpr std::array<absl::StatusCode, 5> kAnswers = {
    absl::StatusCode::kOk, absl::StatusCode::kNotFound,
    absl::StatusCode::kAborted, absl::StatusCode::kResourceExhausted,
    absl::StatusCode::kUnavailable};

// A client that sends any bytes for a request.
class RawClient {
 public:
  explicit RawClient(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(channel) {}

  // A call that goes on after its first response is cancelled then.
  grpc::Status Call(absl::string_view method, const std::string& request) {
    grpc::ClientContext context;
    const auto call = stub_.PrepareCall(
        &context, absl::StrCat("/kamailio.mqtt.v1.MqttControl/", method),
        &queue_);
    call->StartCall(nullptr);
    Wait();
    const grpc::Slice slice(request);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    Wait();
    grpc::ByteBuffer response;
    call->Read(&response, nullptr);
    if (Wait()) {
      // Ends the call in any case: a unary one has no more to read.
      call->Read(&response, nullptr);
      if (method == "WatchEvents") context.TryCancel();
      Wait();
    }
    grpc::Status status;
    call->Finish(&status, nullptr);
    Wait();
    return status;
  }

 private:
  // For the operation under way; returns whether it succeeded.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    Check(queue_.Next(&tag, &ok));
    return ok;
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
};

// What has come to Control has been checked.
void CheckCall(const FakeControl::Call& call) {
  using Method = FakeControl::Method;
  Check(static_cast<int>(call.qos) <= 2);
  switch (call.method) {
    case Method::kSubscribe:
    case Method::kUnsubscribe:
      Check(ValidateTopicFilter(call.topic).ok());
      break;
    case Method::kPublish:
    case Method::kInject:
      Check(ValidateTopicName(call.topic).ok());
      break;
    case Method::kListSubscriptions:
      Check(1 <= call.limit && call.limit <= 1000);
      Check(call.topic.empty() || ValidateTopicName(call.topic).ok());
      break;
    case Method::kReconnect:
      break;
  }
}

void Run(uint8_t method_number, uint8_t answer_number,
         const std::string& request) {
  static ControlServiceHarness& harness = *new ControlServiceHarness();
  static RawClient& client = *new RawClient(harness.channel());
  const MethodUnderTest& method = kMethods[method_number % kMethods.size()];
  const absl::StatusCode answer = kAnswers[answer_number % kAnswers.size()];

  harness.control().AnswerAtOnce(absl::Status(answer, "as told"));
  const StatusCode code = client.Call(method.name, request).error_code();
  harness.log().Clear();

  if (!method.parses(request)) {
    Check(code == StatusCode::UNIMPLEMENTED);
  } else if (code == StatusCode::INVALID_ARGUMENT) {
    // It has not come to Control: see the next call.
  } else if (!method.asked.has_value()) {
    Check(code == method.code);
  } else {
    Check(static_cast<int>(code) == static_cast<int>(answer));
    const FakeControl::Call call = harness.control().NextCall();
    Check(call.method == *method.asked);
    CheckCall(call);
  }
}

}  // namespace
}  // namespace kamailio_mqtt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  kamailio_mqtt::Run(
      data[0], data[1],
      std::string(reinterpret_cast<const char*>(data) + 2, size - 2));
  return 0;
}
