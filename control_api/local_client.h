// SPDX-License-Identifier: GPL-3.0-or-later

// The RPC commands of Kamailio's processes, asked of the dispatcher: calls of
// the control API by the call channel, without gRPC.
//
// Each waits kLocalCallTimeout at most, whatever state dispatcher, broker and
// network are in. Requests are checked before they are sent.
//
// Error handling: InvalidArgument names the field and the rule that it breaks.
// DeadlineExceeded: no answer in time. Unavailable: the dispatcher does not
// run, or Kamailio is stopping.
//
// Thread-safe, and safe in every process.
#ifndef CONTROL_API_LOCAL_CLIENT_H_
#define CONTROL_API_LOCAL_CLIENT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "mqtt_core/call_channel.h"

namespace kamailio_mqtt {

namespace v1 = ::kamailio::mqtt::v1;

enum class UnsubscribeResult {
  kDone,
  kUnconfirmed,  // the subscription has ended; the broker has not answered
};

class LocalClient {
 public:
  // The channel outlives it.
  explicit LocalClient(const CallChannel* channel) : channel_(channel) {}

  absl::StatusOr<v1::GetStatusResponse> GetStatus() const;

  // In the order of their first request, those that match `topic` unless it is
  // empty; at most `limit` of them, after the first `offset`.
  absl::StatusOr<std::vector<v1::Subscription>> ListSubscriptions(
      const std::string& topic, size_t limit, size_t offset) const;

  // While connected, it waits for the broker's answer, and a new subscription
  // that the broker does not answer in time is taken back; else the
  // subscription is pending.
  absl::StatusOr<v1::Subscription> Subscribe(const std::string& filter,
                                             int qos) const;

  // While connected, it waits for the broker's answer, and is done without if
  // that takes too long. NotFound: there is no such subscription.
  absl::StatusOr<UnsubscribeResult> Unsubscribe(
      const std::string& filter) const;

  // Does not wait for the connection.
  absl::Status Reconnect(v1::ReconnectMode mode) const;

 private:
  const CallChannel* const channel_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_LOCAL_CLIENT_H_
