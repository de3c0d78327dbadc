// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/control_plane.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_api/peer_policy.h"

namespace kamailio_mqtt {
namespace {

// What clients have to take the last answers. With it a stop takes half a
// second at most.
constexpr Duration kStopGrace = std::chrono::milliseconds(250);

}  // namespace

absl::StatusOr<std::unique_ptr<ControlPlane>> ControlPlane::Create(
    const ControlSettings& settings, uid_t own_user, gid_t own_group) {
  ControlServer::Options options;
  absl::StatusOr<PeerPolicy> peers = MakePeerPolicy(settings, own_user);
  if (!peers.ok()) return peers.status();
  options.peers = *std::move(peers);
  if (settings.tls_enabled()) {
    absl::StatusOr<ControlTlsFiles> files = ReadControlTlsFiles(settings);
    if (!files.ok()) return files.status();
    options.tls = *std::move(files);
  }
  absl::StatusOr<ControlListener> listener =
      ControlListener::Create(settings, own_user, own_group);
  if (!listener.ok()) return listener.status();
  // The constructor is private.
  return std::unique_ptr<ControlPlane>(
      new ControlPlane(*std::move(listener), std::move(options)));
}

ControlPlane::ControlPlane(ControlListener listener,
                           ControlServer::Options options)
    : listener_(std::move(listener)), options_(std::move(options)) {}

void ControlPlane::Serve(const Environment& environment) {
  server_ = std::make_unique<ControlServer>(
      *std::move(listener_), std::move(options_), environment.control,
      environment.log, [this, environment](EventLoop* control_loop) {
        return std::make_unique<ControlService>(ControlService::Environment{
            environment.control, control_loop, environment.log,
            environment.clock, environment.counters, &limits_,
            environment.versions});
      });
  listener_.reset();
  server_->Start();
  environment.log->Notice(absl::StrCat("control service listens on ",
                                       server_->address().ToString()));
}

void ControlPlane::Stop() {
  if (server_ != nullptr) server_->Stop(kStopGrace);
}

}  // namespace kamailio_mqtt
