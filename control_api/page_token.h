// SPDX-License-Identifier: GPL-3.0-or-later

// Page tokens of ListSubscriptions: the id of the last subscription of a page.
// To clients they are opaque.
//
// Thread-safe: free functions without state.
#ifndef CONTROL_API_PAGE_TOKEN_H_
#define CONTROL_API_PAGE_TOKEN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

// `last_id` is that of a subscription, so not 0.
std::string EncodePageToken(uint64_t last_id);

// InvalidArgument, without the name of the field: EncodePageToken has not made
// it.
absl::StatusOr<uint64_t> DecodePageToken(absl::string_view token);

}  // namespace kamailio_mqtt

#endif  // CONTROL_API_PAGE_TOKEN_H_
