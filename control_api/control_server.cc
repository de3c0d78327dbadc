// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "control_api/control_limits.h"
#include "control_api/grpc/health/v1/health.pb.h"
#include "control_api/grpc_log.h"
#include "mqtt_core/signal_blocker.h"

namespace kamailio_mqtt {
namespace {

constexpr char kBrokerHealth[] = "kamailio.mqtt.v1.Broker";

// By how much the service's threads give way to SIP and MQTT on a busy machine,
// see nice(2).
constexpr int kNiceness = 10;

int Milliseconds(Duration duration) {
  return static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// For all servers of the process, for want of a way to ask for them in one.
void EnableStandardServices() {
  static const bool enabled = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    // What reflection cannot describe, clients such as grpcurl cannot call.
    grpc::health::v1::HealthCheckRequest::descriptor();
    return true;
  }();
  static_cast<void>(enabled);
}

// Debian's Abseil is a debug build: unless told otherwise, it keeps a graph of
// all locks that gRPC takes in turn, and aborts the process over a cycle.
void LeaveLocksUnchecked() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

void SetLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxControlRequestBytes);
  grpc::ResourceQuota quota("control");
  quota.Resize(kMaxControlBufferBytes);
  quota.SetMaxThreads(kMaxControlThreads);
  builder.SetResourceQuota(quota);
  const auto set = [&builder](const char* name, int value) {
    builder.AddChannelArgument(name, value);
  };
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxControlCallsPerConnection);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
      Milliseconds(kControlHandshakeTimeout));
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      Milliseconds(kMinControlPingInterval));
  // Else a client without calls may ping once in two hours.
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kControlKeepaliveTime));
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kControlKeepaliveTimeout));
}

std::shared_ptr<grpc::ServerCredentials> TcpCredentials(
    const absl::optional<ControlTlsFiles>& tls) {
  if (!tls.has_value()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls->ca;
  options.pem_key_cert_pairs = {{tls->private_key, tls->certificate}};
  return grpc::SslServerCredentials(options);
}

std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> AddAcceptor(
    grpc::ServerBuilder& builder,
    std::shared_ptr<grpc::ServerCredentials> credentials) {
  return builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      std::move(credentials));
}

}  // namespace

ControlServer::ControlServer(ControlListener listener, Options options,
                             Control* control, Log* log,
                             ServiceFactory make_service)
    : listener_(std::move(listener)),
      options_(std::move(options)),
      control_(control),
      log_(log),
      make_service_(std::move(make_service)) {}

ControlServer::~ControlServer() { Stop(Duration::zero()); }

void ControlServer::AddEntrances(grpc::ServerBuilder& builder) {
  if (!address().is_unix()) {
    entrances_.push_back(
        {AddAcceptor(builder, TcpCredentials(options_.tls)), nullptr});
    return;
  }
  for (size_t slot = 0; slot < kMaxControlConnections; ++slot) {
    const auto identity = std::make_shared<PeerIdentity>();
    // Nothing is encrypted, but there is an AuthContext.
    const auto credentials = grpc::experimental::LocalServerCredentials(UDS);
    credentials->SetAuthMetadataProcessor(identity);
    entrances_.push_back({AddAcceptor(builder, credentials), identity});
  }
}

void ControlServer::Start() {
  SendGrpcLogTo(log_);
  loop_ = std::make_unique<EvLoop>();
  service_ = make_service_(loop_.get());
  const SignalBlocker blocker;
  thread_ = std::thread(&ControlServer::RunThread, this);
}

// gRPC's threads inherit their niceness from the one that makes them.
void ControlServer::RunThread() {
  if (nice(kNiceness) < 0) log_->Debug("nice() is not permitted");
  acceptor_ = std::make_unique<ConnectionAcceptor>(
      loop_.get(), log_, &listener_, options_.peers, kMaxControlConnections,
      [this](size_t slot, int fd, const absl::optional<PeerCredentials>& peer) {
        Admit(slot, fd, peer);
      });
  loop_->Run();
}

bool ControlServer::MakeServer() {
  EnableStandardServices();
  LeaveLocksUnchecked();
  {
    grpc::ServerBuilder builder;
    SetLimits(builder);
    AddEntrances(builder);
    builder.RegisterService(service_->service());
    server_ = builder.BuildAndStart();
  }
  if (server_ == nullptr) {
    entrances_.clear();
    return false;
  }
  SetBrokerHealth(control_->GetStatus().connection.state ==
                  ConnectionState::kConnected);
  broker_health_ = BrokerHealth::Watch(control_, [this](bool connected) {
    loop_->Post([this, connected] { SetBrokerHealth(connected); });
  });
  return true;
}

// gRPC tells clients that watch of a status that is set, also if it was set.
void ControlServer::SetBrokerHealth(bool connected) {
  if (is_broker_healthy_ == connected) return;
  is_broker_healthy_ = connected;
  server_->GetHealthCheckService()->SetServingStatus(kBrokerHealth, connected);
}

void ControlServer::Admit(size_t slot, int fd,
                          const absl::optional<PeerCredentials>& peer) {
  if (server_ == nullptr && !MakeServer()) {
    log_->Error("there is no control service: gRPC cannot start it");
    close(fd);
    return;
  }
  const Entrance& entrance = entrances_[slot % entrances_.size()];
  if (peer.has_value()) {
    entrance.identity->Set(
        absl::StrCat("uid ", peer->uid, ", pid ", peer->pid));
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
      connection;
  connection.listener_fd = listener_.fd();
  connection.fd = fd;
  entrance.acceptor->HandleNewConnection(&connection);
}

void ControlServer::Stop(Duration grace) {
  if (thread_.joinable()) EndService(grace);
  listener_.Remove();
  SendGrpcLogTo(nullptr);
}

void ControlServer::EndService(Duration grace) {
  std::promise<void> closed;
  loop_->Post([this, &closed] {
    acceptor_.reset();
    listener_.Remove();
    closed.set_value();
  });
  closed.get_future().wait();

  if (server_ != nullptr) {
    service_->Stop();
    broker_health_->Detach();
    control_->Unwatch(std::move(broker_health_));
    server_->GetHealthCheckService()->Shutdown();
    server_->Shutdown(std::chrono::system_clock::now() + grace);
  }

  loop_->Stop();
  thread_.join();
  entrances_.clear();
  server_.reset();
}

}  // namespace kamailio_mqtt
