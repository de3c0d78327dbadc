// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/topic.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "mqtt_core/utf8_string.h"

namespace kamailio_mqtt {
namespace {

constexpr absl::string_view kWildcards = "+#";
constexpr absl::string_view kShareLevel = "$share";
constexpr absl::string_view kSharePrefix = "$share/";

absl::Status ValidateNonEmptyUtf8String(absl::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("must not be empty");
  return ValidateUtf8String(text);
}

absl::Status WildcardError(char wildcard, size_t offset,
                           absl::string_view rule) {
  return absl::InvalidArgumentError(
      absl::StrCat("wildcard '", absl::string_view(&wildcard, 1), "' at byte ",
                   offset, " ", rule));
}

absl::Status ValidateNoWildcard(absl::string_view text, size_t offset,
                                absl::string_view place) {
  const size_t wildcard = text.find_first_of(kWildcards);
  if (wildcard == absl::string_view::npos) return absl::OkStatus();
  return WildcardError(text[wildcard], offset + wildcard,
                       absl::StrCat("is not allowed in ", place));
}

// Checks the `$share/group/` of a filter, if it has one.
absl::Status ValidateShare(absl::string_view filter) {
  absl::string_view rest = filter;
  if (!absl::ConsumePrefix(&rest, kSharePrefix)) {
    if (filter != kShareLevel) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "a shared subscription has the form $share/group/filter");
  }
  const absl::string_view group = rest.substr(0, rest.find('/'));
  if (group.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the group of the shared subscription at byte ",
                     kSharePrefix.size(), " must not be empty"));
  }
  if (absl::Status status = ValidateNoWildcard(
          group, kSharePrefix.size(), "the group of a shared subscription");
      !status.ok()) {
    return status;
  }
  rest.remove_prefix(group.size());
  if (rest.size() <= 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter of the shared subscription at byte ",
                     filter.size(), " must not be empty"));
  }
  return absl::OkStatus();
}

absl::Status ValidateWildcards(absl::string_view filter) {
  const size_t last = filter.size() - 1;
  for (size_t i = filter.find_first_of(kWildcards);
       i != absl::string_view::npos;
       i = filter.find_first_of(kWildcards, i + 1)) {
    const bool begins_level = i == 0 || filter[i - 1] == '/';
    const bool ends_level = i == last || filter[i + 1] == '/';
    if (!begins_level || !ends_level) {
      return WildcardError(filter[i], i, "must be a whole level");
    }
    if (filter[i] == '#' && i != last) {
      return WildcardError(filter[i], i, "must be the last level");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateTopicName(absl::string_view topic) {
  if (absl::Status status = ValidateNonEmptyUtf8String(topic); !status.ok()) {
    return status;
  }
  return ValidateNoWildcard(topic, 0, "a topic name");
}

absl::Status ValidateTopicFilter(absl::string_view filter) {
  if (absl::Status status = ValidateNonEmptyUtf8String(filter); !status.ok()) {
    return status;
  }
  if (absl::Status status = ValidateShare(filter); !status.ok()) return status;
  return ValidateWildcards(filter);
}

absl::string_view WithoutShare(absl::string_view filter) {
  absl::string_view rest = filter;
  if (!absl::ConsumePrefix(&rest, kSharePrefix)) return filter;
  return rest.substr(rest.find('/') + 1);
}

bool TopicMatchesFilter(absl::string_view topic, absl::string_view filter) {
  if (topic.empty()) return false;
  filter = WithoutShare(filter);
  if (IsHiddenFromWildcards(topic) &&
      (absl::StartsWith(filter, "+") || absl::StartsWith(filter, "#"))) {
    return false;
  }
  TopicLevels topic_levels(topic);
  TopicLevels filter_levels(filter);
  absl::string_view topic_level;
  absl::string_view filter_level;
  while (filter_levels.Next(&filter_level)) {
    if (filter_level == "#") return true;
    if (!topic_levels.Next(&topic_level)) return false;
    if (filter_level != "+" && filter_level != topic_level) return false;
  }
  return !topic_levels.Next(&topic_level);
}

}  // namespace kamailio_mqtt
