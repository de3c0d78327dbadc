// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/grpc_log.h"

#include <grpc/support/log.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/fake_log.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GrpcLogTest, ErrorsAreWarningsAndFew) {
  FakeLog log;
  SendGrpcLogTo(&log);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  for (int i = 0; i < 100; ++i) gpr_log(GPR_ERROR, "error %d", i);
  SendGrpcLogTo(nullptr);
  gpr_log(GPR_ERROR, "late");
  const auto lines = log.lines(LogLevel::kWarning);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines[0], "gRPC: error 0");
  EXPECT_LT(lines.size(), 100u);
  EXPECT_EQ(log.lines(), lines);
}

TEST(GrpcLogTest, AMessageIsOneLine) {
  FakeLog log;
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  SendGrpcLogTo(&log);
  gpr_log(GPR_ERROR, "a\nb");
  SendGrpcLogTo(nullptr);
  EXPECT_THAT(log.lines(), ElementsAre("gRPC: a b"));
}

TEST(GrpcLogTest, TheRestIsForDebugging) {
  FakeLog log;
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
  SendGrpcLogTo(&log);
  gpr_log(GPR_INFO, "a");
  gpr_log(GPR_DEBUG, "not asked for");
  gpr_log(GPR_INFO, "b");
  SendGrpcLogTo(nullptr);
  EXPECT_THAT(log.lines(LogLevel::kDebug), ElementsAre("gRPC: a", "gRPC: b"));
  EXPECT_THAT(log.lines(LogLevel::kWarning), IsEmpty());
}

}  // namespace
}  // namespace kamailio_mqtt
