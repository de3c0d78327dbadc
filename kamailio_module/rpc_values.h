// SPDX-License-Identifier: GPL-3.0-or-later

// What RPC commands answer, in the C types of the bridge.
//
// Thread-safe: free functions without state. The results point into the
// arguments.
#ifndef KAMAILIO_MODULE_RPC_VALUES_H_
#define KAMAILIO_MODULE_RPC_VALUES_H_

#include <chrono>

#include "absl/status/status.h"
#include "control_api/kamailio/mqtt/v1/mqtt_control.pb.h"
#include "kamailio_module/bridge.h"

namespace kamailio_mqtt {

using WallTime = std::chrono::system_clock::time_point;

mqtt_status ToBridge(const kamailio::mqtt::v1::GetStatusResponse& status,
                     WallTime now);
mqtt_subscription ToBridge(const kamailio::mqtt::v1::Subscription& subscription,
                           WallTime now);

// `status` is not OK.
mqtt_fault ToFault(const absl::Status& status);

}  // namespace kamailio_mqtt

#endif  // KAMAILIO_MODULE_RPC_VALUES_H_
