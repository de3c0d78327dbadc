// SPDX-License-Identifier: GPL-3.0-or-later

// The composition root: puts the core together for Kamailio.
#include "kamailio_module/bridge.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "control_api/control_plane.h"
#include "control_api/control_settings.h"
#include "control_api/local_server.h"
#include "kamailio_module/rpc_commands.h"
#include "kamailio_module/rpc_values.h"
#include "kamailio_module/version.h"
#include "mqtt_core/call_channel.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/dispatcher.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/leftover.h"
#include "mqtt_core/log.h"
#include "mqtt_core/mosquitto_client.h"
#include "mqtt_core/outbox.h"
#include "mqtt_core/reconnect_policy.h"
#include "mqtt_core/request_sender.h"
#include "mqtt_core/settings.h"
#include "mqtt_core/shared_state.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {
namespace {

// Takes what workers publish until the network thread has its turn; what waits
// for longer is in the outbox. Also bounds a single message, to half of it.
constexpr size_t kRingCapacity = size_t{32} << 20;

static_assert(static_cast<int>(LogLevel::kError) == MQTT_LOG_ERROR &&
                  static_cast<int>(LogLevel::kDebug) == MQTT_LOG_DEBUG,
              "the two enumerations are the same");

class HostLog final : public Log {
 public:
  explicit HostLog(mqtt_log_f log) : log_(log) {}
  void Write(LogLevel level, const std::string& line) override {
    log_(static_cast<mqtt_log_level>(level), line.c_str());
  }

 private:
  const mqtt_log_f log_;
};

absl::optional<std::string> OptionalString(const char* text) {
  if (text == nullptr) return absl::nullopt;
  return std::string(text);
}

Settings ToSettings(const mqtt_settings& from, const mqtt_process& process) {
  Settings to;
  to.host = OptionalString(from.host);
  to.port = from.port;
  to.keepalive_seconds = from.keepalive;
  to.id = OptionalString(from.id);
  to.username = OptionalString(from.username);
  to.password = OptionalString(from.password);
  to.will.topic = OptionalString(from.will_topic);
  to.will.payload = OptionalString(from.will);
  to.will.qos = from.will_qos;
  to.will.retain = from.will_retain;
  to.tls.ca_file = OptionalString(from.ca_file);
  to.tls.ca_path = OptionalString(from.ca_path);
  to.tls.tls_method = OptionalString(from.tls_method);
  to.tls.tls_alpn = OptionalString(from.tls_alpn);
  to.tls.certificate = OptionalString(from.certificate);
  to.tls.private_key = OptionalString(from.private_key);
  to.tls.cipher_list = OptionalString(from.cipher_list);
  to.tls.verify_certificate = from.verify_certificate_text != nullptr
                                  ? from.verify_certificate_text
                                  : absl::StrCat(from.verify_certificate);
  to.resubscribe = from.resubscribe;
  to.queue.max_messages = from.queue_max_messages;
  to.queue.max_bytes = from.queue_max_bytes;
  if (from.queue_policy != nullptr) to.queue.policy = from.queue_policy;
  to.queue.ttl_seconds = from.queue_ttl;
  to.reconnect.delay_seconds = from.reconnect_delay;
  to.reconnect.delay_max_seconds = from.reconnect_delay_max;
  to.connect_timeout_seconds = from.connect_timeout;
  to.drain_timeout_ms = from.drain_timeout;
  to.exit_timeout_seconds = process.exit_timeout;
  return to;
}

std::string AbsoluteRuntimeDirectory(const mqtt_process& process) {
  if (absl::StartsWith(process.runtime_dir, "/")) return process.runtime_dir;
  return absl::StrCat(process.start_dir, "/", process.runtime_dir);
}

ControlSettings ToControlSettings(const mqtt_settings& from,
                                  const mqtt_process& process, mqtt_log_f log) {
  ControlSettings to;
  if (from.control_address != nullptr) {
    to.address = from.control_address;
  } else if (absl::StatusOr<std::string> address =
                 DefaultControlAddress(AbsoluteRuntimeDirectory(process));
             address.ok()) {
    to.address = *std::move(address);
  } else {
    log(MQTT_LOG_WARNING, std::string(address.status().message()).c_str());
  }
  to.mode = from.control_mode;
  to.user = OptionalString(from.control_user);
  to.group = OptionalString(from.control_group);
  to.tls_certificate = OptionalString(from.control_tls_certificate);
  to.tls_private_key = OptionalString(from.control_tls_private_key);
  to.tls_ca = OptionalString(from.control_tls_ca);
  return to;
}

OutboxOptions ToOutboxOptions(const QueueSettings& queue) {
  OutboxOptions options;
  options.max_messages = queue.max_messages;
  options.max_bytes = queue.max_bytes;
  options.policy = queue.policy == "drop_oldest" ? QueuePolicy::kDropOldest
                                                 : QueuePolicy::kReject;
  options.time_to_live = std::chrono::seconds(queue.ttl_seconds);
  return options;
}

Dispatcher::Options ToDispatcherOptions(const Settings& settings,
                                        const std::string& client_id) {
  Dispatcher::Options options;
  options.session.broker = absl::StrCat(*settings.host, ":", settings.port);
  options.session.client_id = client_id;
  options.session.resubscribe = settings.resubscribe == 1;
  options.session.outbox = ToOutboxOptions(settings.queue);
  options.drain_timeout = settings.drain_time();
  return options;
}

ReconnectPolicy MakeReconnectPolicy(const ReconnectSettings& reconnect) {
  return ReconnectPolicy(
      std::chrono::seconds(reconnect.delay_seconds),
      std::chrono::seconds(reconnect.longest_delay_seconds()),
      [engine = std::mt19937(std::random_device()())]() mutable {
        return std::uniform_real_distribution<double>(0, 1)(engine);
      });
}

mqtt_bytes ToBytes(absl::string_view text) {
  return {text.data(), text.size()};
}

absl::string_view ToView(mqtt_bytes bytes) { return {bytes.data, bytes.size}; }

struct ToEvent {
  mqtt_event operator()(const ConnectedEvent&) const {
    mqtt_event event = {};
    event.kind = MQTT_EVENT_CONNECTED;
    return event;
  }
  mqtt_event operator()(const DisconnectedEvent& disconnected) const {
    mqtt_event event = {};
    event.kind = MQTT_EVENT_DISCONNECTED;
    event.reason = ToBytes(disconnected.reason);
    return event;
  }
  mqtt_event operator()(const InboundMessage& message) const {
    mqtt_event event = {};
    event.kind = MQTT_EVENT_MESSAGE;
    event.topic = ToBytes(message.topic);
    event.payload = ToBytes(message.payload);
    event.qos = static_cast<int>(message.qos);
    event.retain = message.retain;
    event.dup = message.duplicate;
    event.mid = message.packet_id;
    event.injected = message.origin == Origin::kInjected;
    return event;
  }
  mqtt_event operator()(const InjectedEvent& injected) const {
    return (*this)(injected.message);
  }
};

class Host final : public ScriptHost {
 public:
  explicit Host(const mqtt_host& host) : host_(host) {}

  RunStatus RunEvent(const ScriptEvent& script_event) override {
    const mqtt_event event = std::visit(ToEvent{}, script_event);
    switch (host_.run_event(&event)) {
      case MQTT_RUN_NO_ROUTE:
        return RunStatus::kNoRoute;
      case MQTT_RUN_DONE:
        return RunStatus::kDone;
      case MQTT_RUN_FAILED:
        break;
    }
    return RunStatus::kFailed;
  }

  void EndProcess() override { _exit(0); }

 private:
  const mqtt_host host_;
};

// What the main process makes and the others inherit. Never destroyed: the
// processes end in Kamailio's ways.
struct Module {
  Module(Settings module_settings, SharedState shared_state,
         CallChannel call_channel, int fd,
         std::unique_ptr<ControlPlane> control_plane, mqtt_log_f log_function)
      : settings(std::move(module_settings)),
        state(std::move(shared_state)),
        sender(ToOutboxOptions(settings.queue), &state, &clock),
        counters(ListCounters(state.statistics())),
        calls(std::move(call_channel)),
        log(log_function),
        rpc(&calls, &sender, &log),
        stop_fd(fd),
        control(std::move(control_plane)) {}

  const Settings settings;
  SharedState state;
  SteadyClock clock;
  RequestSender sender;
  const std::vector<NamedCounter> counters;
  CallChannel calls;
  HostLog log;
  const RpcCommands rpc;
  const int stop_fd;
  // Null without a control service, and in processes that don't serve it.
  std::unique_ptr<ControlPlane> control;
};

Module* module = nullptr;

// Writes the problems of the settings to `log`; returns whether there are none.
bool Check(const Settings& settings, const ControlSettings& control,
           mqtt_log_f log) {
  std::vector<std::string> problems = FindProblems(settings);
  for (std::string& problem : FindControlProblems(control)) {
    problems.push_back(std::move(problem));
  }
  for (const std::string& problem : problems) {
    log(MQTT_LOG_ERROR, problem.c_str());
  }
  return problems.empty();
}

mqtt_result Report(const RequestSender::Outcome& outcome,
                   mqtt_refusal* refusal) {
  const size_t length =
      outcome.problem.copy(refusal->text, sizeof(refusal->text) - 1);
  refusal->text[length] = '\0';
  switch (outcome.result) {
    case SendResult::kAccepted:
      return MQTT_ACCEPTED;
    case SendResult::kInvalid:
      return MQTT_INVALID;
    case SendResult::kQueueFull:
      return MQTT_QUEUE_FULL;
    case SendResult::kNotRunning:
      break;
  }
  return MQTT_NOT_RUNNING;
}

// Calls `send` with the sender, where there is one.
template <typename Send>
mqtt_result SendRequest(mqtt_refusal* refusal, Send send) {
  if (module == nullptr) {
    return Report({SendResult::kNotRunning, "the module is not initialised"},
                  refusal);
  }
  return Report(send(module->sender), refusal);
}

RpcCommands::Argument ToArgument(mqtt_bytes bytes) {
  if (bytes.data == nullptr) return absl::nullopt;
  return ToView(bytes);
}

// What the function of an RPC command returns.
int EndCommand(const absl::Status& status, mqtt_fault* fault) {
  if (status.ok()) return 0;
  *fault = ToFault(status);
  return -1;
}

absl::Status NoRoom() {
  return absl::ResourceExhaustedError(
      "this RPC transport has no room for the reply; limit makes it smaller");
}

}  // namespace
}  // namespace kamailio_mqtt

using namespace kamailio_mqtt;  // NOLINT(build/namespaces): this file's subject

extern "C" {

void mqtt_default_settings(mqtt_settings* settings) {
  const Settings defaults;
  *settings = {};
  settings->port = defaults.port;
  settings->keepalive = defaults.keepalive_seconds;
  settings->will_qos = defaults.will.qos;
  settings->will_retain = defaults.will.retain;
  settings->verify_certificate = 1;
  settings->resubscribe = defaults.resubscribe;
  settings->queue_max_messages = static_cast<int>(defaults.queue.max_messages);
  settings->queue_max_bytes = static_cast<int>(defaults.queue.max_bytes);
  settings->queue_ttl = defaults.queue.ttl_seconds;
  settings->reconnect_delay = defaults.reconnect.delay_seconds;
  settings->reconnect_delay_max = defaults.reconnect.delay_max_seconds;
  settings->connect_timeout = defaults.connect_timeout_seconds;
  settings->drain_timeout = defaults.drain_timeout_ms;
  settings->control_mode = ControlSettings().mode;
}

int mqtt_check(const mqtt_settings* settings, const mqtt_process* process,
               mqtt_log_f log) {
  const ControlSettings control = ToControlSettings(*settings, *process, log);
  return Check(ToSettings(*settings, *process), control, log) ? 0 : -1;
}

int mqtt_init(const mqtt_settings* settings, const mqtt_process* process,
              mqtt_log_f log) {
  Settings checked = ToSettings(*settings, *process);
  const ControlSettings checked_control =
      ToControlSettings(*settings, *process, log);
  if (!Check(checked, checked_control, log)) return -1;
  for (const std::string& warning : FindWarnings(checked)) {
    log(MQTT_LOG_WARNING, warning.c_str());
  }
  absl::StatusOr<SharedState> state = SharedState::Create(kRingCapacity);
  if (!state.ok()) {
    log(MQTT_LOG_ERROR, absl::StrCat("cannot make the shared memory: ",
                                     state.status().message())
                            .c_str());
    return -1;
  }
  absl::StatusOr<CallChannel> calls = CallChannel::Create();
  if (!calls.ok()) {
    log(MQTT_LOG_ERROR, std::string(calls.status().message()).c_str());
    return -1;
  }
  const int stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (stop_fd < 0) {
    log(MQTT_LOG_ERROR,
        absl::StrCat("cannot make an eventfd: ", std::strerror(errno)).c_str());
    return -1;
  }
  std::unique_ptr<ControlPlane> control;
  if (!checked_control.address.empty()) {
    absl::StatusOr<std::unique_ptr<ControlPlane>> created =
        ControlPlane::Create(checked_control, process->uid, process->gid);
    if (!created.ok()) {
      log(MQTT_LOG_ERROR, std::string(created.status().message()).c_str());
      return -1;
    }
    control = *std::move(created);
  }
  module = new Module(std::move(checked), *std::move(state), *std::move(calls),
                      stop_fd, std::move(control), log);
  return 0;
}

void mqtt_leave_to_dispatcher(void) {
  module->control.reset();
  module->calls.CloseReceivingEnd();
}

mqtt_result mqtt_publish(mqtt_bytes topic, mqtt_bytes payload, int qos,
                         mqtt_bytes options, mqtt_refusal* refusal) {
  return SendRequest(refusal, [&](RequestSender& sender) {
    return sender.Publish(ToView(topic), ToView(payload), qos, ToView(options));
  });
}

mqtt_result mqtt_subscribe(mqtt_bytes topic_filter, int qos,
                           mqtt_refusal* refusal) {
  return SendRequest(refusal, [&](RequestSender& sender) {
    return sender.Subscribe(ToView(topic_filter), qos);
  });
}

mqtt_result mqtt_unsubscribe(mqtt_bytes topic_filter, mqtt_refusal* refusal) {
  return SendRequest(refusal, [&](RequestSender& sender) {
    return sender.Unsubscribe(ToView(topic_filter));
  });
}

mqtt_result mqtt_refuse(const char* argument, mqtt_bytes value,
                        const char* rule, mqtt_refusal* refusal) {
  return SendRequest(refusal, [&](RequestSender& sender) {
    return sender.Refuse(argument,
                         value.data != nullptr
                             ? absl::make_optional(ToView(value))
                             : absl::nullopt,
                         rule);
  });
}

mqtt_counter mqtt_describe_counter(size_t index) {
  if (index >= module->counters.size()) return {};
  const NamedCounter& counter = module->counters[index];
  return {counter.name.c_str(), counter.description.c_str()};
}

long mqtt_counter_value(size_t index) {
  return module->counters[index].counter->Get();
}

int mqtt_dispatch(const mqtt_host* mqtt_host) {
  HostLog log(mqtt_host->log);
  Host host(*mqtt_host);
  EvLoop loop;
  MosquittoClient client(&loop, &log, module->settings);
  ControlPlane* const control = module->control.get();
  absl::optional<LocalServer> rpc_server;
  Dispatcher dispatcher(
      ToDispatcherOptions(module->settings, client.client_id()),
      MakeReconnectPolicy(module->settings.reconnect),
      {&module->state, &loop, &module->clock, &client, &log, &host,
       module->stop_fd, [control, &rpc_server] {
         rpc_server.reset();
         if (control != nullptr) control->Stop();
       }});
  rpc_server.emplace(module->calls.receiving_fd(), &loop, dispatcher.control(),
                     &module->clock);
  if (control != nullptr) {
    control->Serve({dispatcher.control(),
                    &log,
                    &module->clock,
                    &module->counters,
                    {kModuleVersion, mqtt_host->kamailio_version,
                     MosquittoClient::LibraryVersion()}});
  }
  dispatcher.Run();
  return 0;
}

int mqtt_rpc_status(mqtt_show_status_f show, void* context, mqtt_fault* fault) {
  const auto response = module->rpc.GetStatus();
  absl::Status status = response.status();
  if (status.ok()) {
    const mqtt_status shown =
        ToBridge(*response, std::chrono::system_clock::now());
    if (show(context, &shown) < 0) status = NoRoom();
  }
  return EndCommand(status, fault);
}

int mqtt_rpc_subscriptions(mqtt_bytes topic, int limit, int offset,
                           mqtt_show_subscription_f show, void* context,
                           mqtt_fault* fault) {
  const auto subscriptions =
      module->rpc.ListSubscriptions(ToArgument(topic), limit, offset);
  if (!subscriptions.ok()) return EndCommand(subscriptions.status(), fault);
  for (const auto& subscription : *subscriptions) {
    const mqtt_subscription shown =
        ToBridge(subscription, std::chrono::system_clock::now());
    if (show(context, &shown) < 0) return EndCommand(NoRoom(), fault);
  }
  return 0;
}

int mqtt_rpc_publish(mqtt_bytes topic, mqtt_bytes payload, mqtt_bytes qos,
                     mqtt_bytes options, mqtt_fault* fault) {
  return EndCommand(module->rpc.Publish(ToArgument(topic), ToArgument(payload),
                                        ToArgument(qos), ToArgument(options)),
                    fault);
}

int mqtt_rpc_subscribe(mqtt_bytes topic_filter, mqtt_bytes qos,
                       mqtt_show_subscription_f show, void* context,
                       mqtt_fault* fault) {
  const auto subscription =
      module->rpc.Subscribe(ToArgument(topic_filter), ToArgument(qos));
  absl::Status status = subscription.status();
  if (status.ok()) {
    const mqtt_subscription shown =
        ToBridge(*subscription, std::chrono::system_clock::now());
    if (show(context, &shown) < 0) status = NoRoom();
  }
  return EndCommand(status, fault);
}

int mqtt_rpc_unsubscribe(mqtt_bytes topic_filter, int* confirmed,
                         mqtt_fault* fault) {
  const auto result = module->rpc.Unsubscribe(ToArgument(topic_filter));
  *confirmed = result.ok() && *result == UnsubscribeResult::kDone;
  return EndCommand(result.status(), fault);
}

int mqtt_rpc_reconnect(mqtt_bytes mode, mqtt_fault* fault) {
  return EndCommand(module->rpc.Reconnect(ToArgument(mode)), fault);
}

void mqtt_report_leftover(void) {
  if (module != nullptr) ReportLeftover(&module->state, &module->log);
}

void mqtt_request_stop(void) {
  if (module == nullptr) return;
  const int saved_errno = errno;
  const uint64_t one = 1;
  // Fails only where a stop was requested already.
  if (write(module->stop_fd, &one, sizeof(one)) < 0) {
  }
  errno = saved_errno;
}

}  // extern "C"
