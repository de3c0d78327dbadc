// SPDX-License-Identifier: GPL-3.0-or-later

// What Kamailio's processes and the dispatcher say to each other on the call
// channel (call_channel.h): methods, requests and responses of the control API,
// without gRPC. Both sides are of the same build, which is why there is no
// version.
//
//   request: the method, one byte, and the request message
//   reply:   a status code, one byte, and the response message, or the text of
//            a status that is not OK
//
// Thread-safe: free functions without state.
#ifndef CONTROL_API_LOCAL_PROTOCOL_H_
#define CONTROL_API_LOCAL_PROTOCOL_H_

#include <google/protobuf/message_lite.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

enum class LocalMethod : char {
  kGetStatus = 1,
  kListSubscriptions,
  kSubscribe,
  kUnsubscribe,
  kReconnect,
};

// How long a caller waits, at most, whatever state the dispatcher is in.
inline constexpr std::chrono::seconds kLocalCallTimeout(2);

// How long it waits for the broker where it can do without; the dispatcher then
// has the rest.
inline constexpr std::chrono::milliseconds kBrokerAnswerTimeout(1500);

// Calls that the dispatcher takes care of at a time.
inline constexpr size_t kMaxLocalCalls = 64;

// Of a list in a response; it fits a packet, with the longest filter.
inline constexpr size_t kMaxLocalListBytes = size_t{64} << 10;

std::string EncodeLocalRequest(LocalMethod method,
                               const google::protobuf::MessageLite& request);

// A reply that is OK.
std::string EncodeLocalReply(const google::protobuf::MessageLite& response);
// One that is not.
std::string EncodeLocalReply(const absl::Status& status);

// The status of the reply; if that is OK, `response` is what it says. Internal:
// it is no reply, or has another response.
absl::Status DecodeLocalReply(absl::string_view reply,
                              google::protobuf::MessageLite* response);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_LOCAL_PROTOCOL_H_
