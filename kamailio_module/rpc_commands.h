// SPDX-License-Identifier: GPL-3.0-or-later

// Kamailio's RPC commands, but for Kamailio: what they take and do. Arguments
// are absent where they were not given.
//
// Commands that change something are logged, one line each, when they end: the
// command, its topic or mode, and why it failed if it did; never a payload.
// Publish at info level, the others at notice level; of each level, in each
// process, kRpcLogBurst in a row and then one a second.
//
// Error handling: InvalidArgument begins with the name of the argument and says
// which rule it breaks. NotFound: there is no such subscription. Everything
// else is a failure, see local_client.h; its limit of time holds.
//
// Thread-safe, and safe in every process.
#ifndef KAMAILIO_MODULE_RPC_COMMANDS_H_
#define KAMAILIO_MODULE_RPC_COMMANDS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "control_api/local_client.h"
#include "mqtt_core/call_channel.h"
#include "mqtt_core/line_limit.h"
#include "mqtt_core/log.h"
#include "mqtt_core/request_sender.h"

namespace kamailio_mqtt {

inline constexpr int kRpcLogBurst = 100;

class RpcCommands {
 public:
  using Argument = absl::optional<absl::string_view>;

  // All outlive it.
  RpcCommands(const CallChannel* channel, RequestSender* sender, Log* log)
      : client_(channel), sender_(sender), log_(log) {}

  absl::StatusOr<v1::GetStatusResponse> GetStatus() const;
  absl::StatusOr<std::vector<v1::Subscription>> ListSubscriptions(
      Argument topic, int limit, int offset) const;

  // As the script function does: OK once the message is queued. Needs no answer
  // of the dispatcher.
  absl::Status Publish(Argument topic, Argument payload, Argument qos,
                       Argument options) const;
  // Granted, or pending where there is no connection.
  absl::StatusOr<v1::Subscription> Subscribe(Argument filter,
                                             Argument qos) const;
  absl::StatusOr<UnsubscribeResult> Unsubscribe(Argument filter) const;
  // Does not wait for the connection.
  absl::Status Reconnect(Argument mode) const;

 private:
  // Logs how `command` ended.
  void LogEnd(LogLevel level, LineLimit* limit, absl::string_view command,
              Argument what, const absl::Status& status) const;

  const LocalClient client_;
  RequestSender* const sender_;
  Log* const log_;
  mutable LineLimit publish_lines_;
  mutable LineLimit other_lines_;
};

}  // namespace kamailio_mqtt

#endif  // KAMAILIO_MODULE_RPC_COMMANDS_H_
