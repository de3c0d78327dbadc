// SPDX-License-Identifier: GPL-3.0-or-later

#include "control_api/page_token.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {

std::string EncodePageToken(uint64_t last_id) {
  return absl::StrCat(absl::Hex(last_id, absl::kZeroPad16));
}

absl::StatusOr<uint64_t> DecodePageToken(absl::string_view token) {
  uint64_t last_id = 0;
  if (!absl::SimpleHexAtoi(token, &last_id) || last_id == 0 ||
      token != EncodePageToken(last_id)) {
    return absl::InvalidArgumentError(
        "must be empty or the next_page_token of a response");
  }
  return last_id;
}

}  // namespace kamailio_mqtt
