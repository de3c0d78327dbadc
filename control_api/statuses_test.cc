// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/statuses.h"

#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

TEST(StatusesTest, CodeAndTextStayTheSame) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code),
                              code == 0 ? "" : "text");
    const grpc::Status converted = ToGrpcStatus(status);
    EXPECT_EQ(converted.error_code(), code);
    EXPECT_EQ(converted.error_message(), code == 0 ? "" : "text");
  }
}

TEST(StatusesTest, DescriptionNamesTheCode) {
  EXPECT_EQ(Describe(grpc::Status(grpc::StatusCode::NOT_FOUND, "nothing")),
            "NOT_FOUND: nothing");
  EXPECT_EQ(Describe(StoppingStatus()), "UNAVAILABLE: Kamailio is stopping");
}

TEST(StatusesTest, CancelledBeforeTheDeadline) {
  // Without a deadline.
  grpc::CallbackServerContext context;
  EXPECT_EQ(CancellationStatus(context).error_code(),
            grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace kamailio_mqtt
