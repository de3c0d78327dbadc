// SPDX-License-Identifier: GPL-3.0-or-later

// The control service, put together: where it listens, who may call, and what
// it does.
//
// Kamailio's main process makes it, before it forks and while it has all
// privileges. The dispatcher process serves; every other one destroys its copy.
//
// Thread safety: none; Stop() may be called by another thread than Serve().
#ifndef CONTROL_API_CONTROL_PLANE_H_
#define CONTROL_API_CONTROL_PLANE_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "control_api/control_listener.h"
#include "control_api/control_server.h"
#include "control_api/control_service.h"
#include "control_api/control_settings.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/log.h"
#include "mqtt_core/statistics.h"

namespace kamailio_mqtt {

class ControlPlane {
 public:
  // All of it outlives the control plane.
  struct Environment {
    Control* control;
    Log* log;
    const Clock* clock;
    const std::vector<NamedCounter>* counters;
    ControlService::Versions versions;
  };

  // Binds. `settings` are without a problem and have an address; `own_user` and
  // `own_group` are those that Kamailio will run as. The errors name the
  // parameter, its value and the reason.
  static absl::StatusOr<std::unique_ptr<ControlPlane>> Create(
      const ControlSettings& settings, uid_t own_user, gid_t own_group);
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Starts to serve. Once.
  void Serve(const Environment& environment);
  // Ends it, in half a second at most. May be called without Serve().
  void Stop();

 private:
  ControlPlane(ControlListener listener, ControlServer::Options options);

  absl::optional<ControlListener> listener_;  // until Serve()
  ControlServer::Options options_;            // until Serve()
  ControlService::Limits limits_;
  std::unique_ptr<ControlServer> server_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_PLANE_H_
