// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/limited_log.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

LimitedLog::LimitedLog(EventLoop* loop, Log* log, LogLevel level, int burst)
    : log_(log),
      level_(level),
      burst_(burst),
      timer_(loop->CreateTimer([this] { Flush(); })) {}

void LimitedLog::Write(std::string line) {
  if (!timer_->IsRunning()) {
    written_ = 0;
    timer_->Start(kInterval);
  }
  if (written_ < burst_) {
    ++written_;
    log_->Write(level_, line);
  } else {
    ++unwritten_;
    last_line_ = std::move(line);
  }
}

void LimitedLog::Flush() {
  if (unwritten_ == 0) return;
  log_->Write(level_, unwritten_ == 1
                          ? last_line_
                          : absl::StrCat(last_line_, " (the last of ",
                                         unwritten_, " such events)"));
  unwritten_ = 0;
  written_ = 1;
  timer_->Start(kInterval);
}

}  // namespace kamailio_mqtt
