// SPDX-License-Identifier: GPL-3.0-or-later

// The gRPC server of the dispatcher process: takes connections from a
// ControlListener, and serves a service, server reflection, and
// grpc.health.v1.Health with the names "" (the process serves) and
// "kamailio.mqtt.v1.Broker" (it is connected to the broker).
//
// A service finds who calls in its AuthContext, by GetPeerIdentity(): "uid
// 1000, pid 4711" over a Unix socket, the name in the client's certificate over
// TLS, nothing over plain TCP.
//
// gRPC's threads wake up several times a second for nothing: they are started
// by the first connection.
//
// Thread safety: Start() and Stop() are called by one thread at a time, which
// is not one of gRPC's nor the control loop's. All threads start with all
// signals blocked.
#ifndef CONTROL_API_CONTROL_SERVER_H_
#define CONTROL_API_CONTROL_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/types/optional.h"
#include "control_api/broker_health.h"
#include "control_api/connection_acceptor.h"
#include "control_api/control_listener.h"
#include "control_api/control_settings.h"
#include "control_api/peer_identity.h"
#include "control_api/peer_policy.h"
#include "control_api/stoppable_service.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/control.h"
#include "mqtt_core/ev_loop.h"
#include "mqtt_core/event_loop.h"
#include "mqtt_core/log.h"

namespace kamailio_mqtt {

class ControlServer {
 public:
  struct Options {
    PeerPolicy peers;                     // over a Unix socket
    absl::optional<ControlTlsFiles> tls;  // over TCP; unset: plain
  };

  // Makes the service. The loop is for its use; it runs until no call is left,
  // and is destroyed with the server.
  using ServiceFactory =
      std::function<std::unique_ptr<StoppableService>(EventLoop* control_loop)>;

  // Made after the fork, by the process that serves. `control` and `log`
  // outlive the server.
  ControlServer(ControlListener listener, Options options, Control* control,
                Log* log, ServiceFactory make_service);
  // Stops, without grace.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Once.
  void Start();

  // Takes no more connections, removes the socket, and ends all calls: those of
  // the service with the status it gives them, others, and what a client does
  // not take, by breaking them off after `grace`. When it returns, no thread is
  // left. Whoever calls Control's callbacks may do so until the server is
  // destroyed.
  void Stop(Duration grace);

  const ControlAddress& address() const { return listener_.address(); }

 private:
  // By which connections enter gRPC.
  struct Entrance {
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::shared_ptr<PeerIdentity> identity;  // over a Unix socket
  };

  // The control thread.
  void RunThread();
  // False: gRPC refuses to; its log line says more.
  bool MakeServer();
  void SetBrokerHealth(bool connected);
  void AddEntrances(grpc::ServerBuilder& builder);
  void EndService(Duration grace);
  void Admit(size_t slot, int fd, const absl::optional<PeerCredentials>& peer);

  ControlListener listener_;
  const Options options_;
  Control* const control_;
  Log* const log_;
  const ServiceFactory make_service_;

  // From Start() until the end: Control may know them.
  std::unique_ptr<EvLoop> loop_;
  std::unique_ptr<StoppableService> service_;
  // Over a Unix socket one for each slot of the acceptor, which has one
  // connection after the other; over TCP one for all.
  std::vector<Entrance> entrances_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<BrokerHealth> broker_health_;
  absl::optional<bool> is_broker_healthy_;  // as gRPC was told
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::thread thread_;
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_CONTROL_SERVER_H_
