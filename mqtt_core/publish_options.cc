// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/publish_options.h"

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace kamailio_mqtt {
namespace {

constexpr size_t kMaxQuotedBytes = 64;

std::string Quote(absl::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxQuotedBytes)),
                      cut ? "\"..." : "\"");
}

struct Option {
  absl::string_view name;
  std::optional<absl::string_view> value;
};

Option SplitOption(absl::string_view text) {
  const size_t equals = text.find('=');
  Option option;
  option.name = absl::StripAsciiWhitespace(text.substr(0, equals));
  if (equals != absl::string_view::npos) {
    option.value = absl::StripAsciiWhitespace(text.substr(equals + 1));
  }
  return option;
}

// Stores the value of a flag, which must not have one yet.
absl::Status SetFlag(const Option& option, std::optional<bool>* flag) {
  if (flag->has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("option ", Quote(option.name), " is given twice"));
  }
  if (!option.value.has_value() || *option.value == "1") {
    *flag = true;
  } else if (*option.value == "0") {
    *flag = false;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("option ", Quote(option.name), " has the value ",
                     Quote(*option.value), ", but takes 0, 1 or no value"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PublishOptions> ParsePublishOptions(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (rest.empty()) return PublishOptions();
  absl::ConsumeSuffix(&rest, ";");
  std::optional<bool> retain;
  for (const absl::string_view item : absl::StrSplit(rest, ';')) {
    const Option option = SplitOption(item);
    if (option.name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("options ", Quote(text), " hold an option without a ",
                       "name, where name[=value] is needed"));
    }
    if (option.name != "retain") {
      return absl::InvalidArgumentError(
          absl::StrCat("option ", Quote(option.name),
                       " is unknown; the only option is retain"));
    }
    if (absl::Status status = SetFlag(option, &retain); !status.ok()) {
      return status;
    }
  }
  return PublishOptions{retain.value_or(false)};
}

}  // namespace kamailio_mqtt
