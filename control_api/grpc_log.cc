// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/grpc_log.h"

#include <grpc/support/log.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {
namespace {

constexpr Duration kInterval = std::chrono::seconds(1);

class GrpcLog {
 public:
  void SendTo(Log* log) {
    MutexLock lock(&mutex_);
    log_ = log;
    next_warning_ = TimePoint();
  }

  void Write(const gpr_log_func_args& line) {
    MutexLock lock(&mutex_);
    if (log_ == nullptr) return;
    std::string text = absl::StrCat("gRPC: ", line.message);
    if (line.severity != GPR_LOG_SEVERITY_ERROR) {
      log_->Debug(text);
      return;
    }
    const TimePoint now = SteadyClock().Now();
    if (now < next_warning_) {
      ++unwritten_;
      return;
    }
    if (unwritten_ > 0) {
      absl::StrAppend(&text, " (", unwritten_, " more before it)");
    }
    log_->Warning(text);
    unwritten_ = 0;
    next_warning_ = now + kInterval;
  }

 private:
  Mutex mutex_;
  Log* log_ ABSL_GUARDED_BY(mutex_) = nullptr;
  TimePoint next_warning_ ABSL_GUARDED_BY(mutex_);
  int64_t unwritten_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Never destroyed: gRPC may write until the process ends.
GrpcLog& TheGrpcLog() {
  static GrpcLog* const log = new GrpcLog;
  return *log;
}

}  // namespace

void SendGrpcLogTo(Log* log) {
  TheGrpcLog().SendTo(log);
  gpr_set_log_function(
      [](gpr_log_func_args* line) { TheGrpcLog().Write(*line); });
}

}  // namespace kamailio_mqtt
