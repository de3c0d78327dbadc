// SPDX-License-Identifier: GPL-3.0-or-later

// A gRPC service that can end its calls by itself, so that a server which is
// to stop need not wait for them.
#ifndef CONTROL_API_STOPPABLE_SERVICE_H_
#define CONTROL_API_STOPPABLE_SERVICE_H_

#include <grpcpp/impl/codegen/service_type.h>

namespace kamailio_mqtt {

class StoppableService {
 public:
  virtual ~StoppableService() = default;
  // To register with a server; lives as long as this object.
  virtual grpc::Service* service() = 0;
  // Ends the calls that are under way, and all later ones, with UNAVAILABLE.
  // Any thread.
  virtual void Stop() = 0;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_STOPPABLE_SERVICE_H_
