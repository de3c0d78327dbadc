// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/peer_identity.h"

#include <utility>

namespace kamailio_mqtt {
namespace {

constexpr char kProperty[] = "unix_peer";

}  // namespace

void PeerIdentity::Set(std::string identity) {
  MutexLock lock(&mutex_);
  identity_ = std::move(identity);
}

grpc::Status PeerIdentity::Process(const InputMetadata&,
                                   grpc::AuthContext* connection,
                                   OutputMetadata*, OutputMetadata*) {
  // The calls of a connection share it, and read it when they have been here:
  // the first one writes it, and nobody after that.
  MutexLock lock(&mutex_);
  if (connection->FindPropertyValues(kProperty).empty()) {
    connection->AddProperty(kProperty, identity_);
    connection->SetPeerIdentityPropertyName(kProperty);
  }
  return grpc::Status::OK;
}

}  // namespace kamailio_mqtt
