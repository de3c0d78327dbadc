// SPDX-License-Identifier: GPL-3.0-or-later

// Lets a gRPC service see who calls over a Unix socket: GetPeerIdentity() of a
// call's AuthContext says it, as it says the name in a certificate over TLS.
//
// gRPC does not know the process at the other end, and does not tell a service
// which connection a call came by. But each acceptor has credentials of its
// own, and theirs may add to what is known of a connection.
//
// Thread-safe.
#ifndef CONTROL_API_PEER_IDENTITY_H_
#define CONTROL_API_PEER_IDENTITY_H_

#include <grpcpp/security/auth_metadata_processor.h>

#include <string>

#include "absl/base/thread_annotations.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {

class PeerIdentity final : public grpc::AuthMetadataProcessor {
 public:
  // Of the connection that is handed to the acceptor next; the last one is
  // closed.
  void Set(std::string identity);

  bool IsBlocking() const override { return false; }
  // Called for each call, in any thread.
  grpc::Status Process(const InputMetadata& metadata,
                       grpc::AuthContext* connection, OutputMetadata* consumed,
                       OutputMetadata* response) override;

 private:
  Mutex mutex_;
  std::string identity_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_PEER_IDENTITY_H_
