// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/grpc_log.h"

#include <grpc/support/log.h>

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/optional.h"
#include "mqtt_core/clock.h"
#include "mqtt_core/line_limit.h"
#include "mqtt_core/mutex.h"

namespace kamailio_mqtt {
namespace {

class GrpcLog {
 public:
  void SendTo(Log* log) {
    MutexLock lock(&mutex_);
    log_ = log;
    warnings_.emplace();
  }

  void Write(const gpr_log_func_args& line) {
    MutexLock lock(&mutex_);
    if (log_ == nullptr) return;
    // Some of its messages have more than one line.
    const std::string text = absl::StrCat(
        "gRPC: ", absl::StrReplaceAll(line.message, {{"\n", " "}}));
    if (line.severity != GPR_LOG_SEVERITY_ERROR) {
      log_->Debug(text);
      return;
    }
    const absl::optional<std::string> suffix =
        warnings_->Admit(SteadyClock().Now(), 1);
    if (suffix.has_value()) log_->Warning(absl::StrCat(text, *suffix));
  }

 private:
  Mutex mutex_;
  Log* log_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Anew for each log; there is one where there is a log.
  absl::optional<LineLimit> warnings_ ABSL_GUARDED_BY(mutex_);
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
