// SPDX-License-Identifier: GPL-3.0-or-later

// gRPC's own log lines, which would go to standard error: its errors become
// warnings, at most one a second as clients can provoke them, and the rest,
// which GRPC_VERBOSITY asks for, debug lines.
#ifndef CONTROL_API_GRPC_LOG_H_
#define CONTROL_API_GRPC_LOG_H_

#include "mqtt_core/log.h"

namespace kamailio_mqtt {

// Null: the lines are dropped. When it returns, the log before is no longer in
// use. Any thread.
void SendGrpcLogTo(Log* log);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_GRPC_LOG_H_
