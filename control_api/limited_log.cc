// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/limited_log.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

LimitedLog::LimitedLog(EventLoop* loop, Log* log)
    : log_(log), timer_(loop->CreateTimer([this] { Flush(); })) {}

void LimitedLog::Warning(std::string line) {
  if (timer_->IsRunning()) {
    ++unwritten_;
    last_line_ = std::move(line);
    return;
  }
  log_->Warning(line);
  timer_->Start(kInterval);
}

void LimitedLog::Flush() {
  if (unwritten_ == 0) return;
  log_->Warning(unwritten_ == 1 ? last_line_
                                : absl::StrCat(last_line_, " (the last of ",
                                               unwritten_, " such events)"));
  unwritten_ = 0;
  timer_->Start(kInterval);
}

}  // namespace kamailio_mqtt
