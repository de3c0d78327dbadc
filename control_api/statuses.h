// SPDX-License-Identifier: GPL-3.0-or-later

// The statuses that calls of the control API end with.
//
// Thread-safe: free functions without state.
#ifndef CONTROL_API_STATUSES_H_
#define CONTROL_API_STATUSES_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace kamailio_mqtt {

// The same code, the same text.
grpc::Status ToGrpcStatus(const absl::Status& status);

// UNAVAILABLE, for a call that the end of the process cuts short.
grpc::Status StoppingStatus();

// DEADLINE_EXCEEDED if the deadline of a cancelled call has passed, else
// CANCELLED.
grpc::Status CancellationStatus(const grpc::ServerContextBase& context);

// "CODE: text", for a log line.
std::string Describe(const grpc::Status& status);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_STATUSES_H_
