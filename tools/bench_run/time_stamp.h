// SPDX-License-Identifier: GPL-3.0-or-later

// The monotonic clock, which all processes of a machine share, and messages
// that carry its time: whoever takes one knows how long it was under way.
//
// Thread safety: thread-safe.
#ifndef TOOLS_BENCH_RUN_TIME_STAMP_H_
#define TOOLS_BENCH_RUN_TIME_STAMP_H_

#include <time.h>

#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace kamailio_mqtt {

// Characters of a time stamp, all of them digits.
constexpr size_t kTimeStampSize = 20;

inline int64_t NowNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

// A payload of `size` bytes, or of a time stamp where that is longer.
inline std::string StampedPayload(int64_t nanoseconds, size_t size) {
  std::string payload = absl::StrCat(nanoseconds);
  payload.insert(0, kTimeStampSize - payload.size(), '0');
  if (payload.size() < size) payload.resize(size, 'x');
  return payload;
}

// The time with which a payload begins, if it does.
inline absl::optional<int64_t> TimeStampOf(absl::string_view payload) {
  int64_t nanoseconds;
  if (payload.size() < kTimeStampSize || payload[0] != '0' ||
      !absl::SimpleAtoi(payload.substr(0, kTimeStampSize), &nanoseconds)) {
    return absl::nullopt;
  }
  return nanoseconds;
}

}  // namespace kamailio_mqtt

#endif  // TOOLS_BENCH_RUN_TIME_STAMP_H_
