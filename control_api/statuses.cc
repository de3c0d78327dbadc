// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/statuses.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

// absl::StatusCode has gRPC's values.
static_assert(static_cast<int>(absl::StatusCode::kCancelled) ==
                      grpc::StatusCode::CANCELLED &&
                  static_cast<int>(absl::StatusCode::kUnauthenticated) ==
                      grpc::StatusCode::UNAUTHENTICATED,
              "the codes are the same");

grpc::Status ToGrpcStatus(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message()));
}

grpc::Status StoppingStatus() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Kamailio is stopping");
}

grpc::Status CancellationStatus(const grpc::ServerContextBase& context) {
  if (std::chrono::system_clock::now() >= context.deadline()) {
    return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                        "the deadline has passed");
  }
  return grpc::Status(grpc::StatusCode::CANCELLED, "the client cancelled");
}

std::string Describe(const grpc::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(
                          static_cast<absl::StatusCode>(status.error_code())),
                      ": ", status.error_message());
}

}  // namespace kamailio_mqtt
