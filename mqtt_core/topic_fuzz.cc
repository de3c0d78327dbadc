// SPDX-License-Identifier: GPL-3.0-or-later

// The input is a topic name and a topic filter with a newline between them.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/filter_trie.h"
#include "mqtt_core/topic.h"

namespace {

using ::kamailio_mqtt::FilterTrie;
using ::kamailio_mqtt::TopicMatchesFilter;
using ::kamailio_mqtt::ValidateTopicFilter;
using ::kamailio_mqtt::ValidateTopicName;
using ::kamailio_mqtt::WithoutShare;

void Check(bool condition) {
  if (!condition) std::abort();
}

int CountMatches(const FilterTrie<int>& trie, absl::string_view topic) {
  int matches = 0;
  trie.Match(topic, [&matches](int) { ++matches; });
  return matches;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t newline = input.find('\n');
  const absl::string_view topic = input.substr(0, newline);
  const absl::string_view filter = newline == absl::string_view::npos
                                       ? absl::string_view()
                                       : input.substr(newline + 1);
  // Never crash, valid or not.
  const bool matches = TopicMatchesFilter(topic, filter);
  const bool topic_is_valid = ValidateTopicName(topic).ok();
  const bool filter_is_valid = ValidateTopicFilter(filter).ok();

  // A topic name is the filter that matches just itself; only those that look
  // like a shared subscription are not.
  if (topic_is_valid && ValidateTopicFilter(topic).ok() &&
      WithoutShare(topic) == topic) {
    Check(TopicMatchesFilter(topic, topic));
  }
  if (!topic_is_valid || !filter_is_valid) return 0;

  // A shared subscription matches what its filter matches.
  const std::string shared = absl::StrCat("$share/group/", filter);
  if (ValidateTopicFilter(shared).ok() && WithoutShare(filter) == filter) {
    Check(TopicMatchesFilter(topic, shared) == matches);
  }

  FilterTrie<int> trie;
  trie.Insert(filter, 1);
  Check(CountMatches(trie, topic) == (matches ? 1 : 0));
  trie.Insert(topic, 2);
  trie.Erase(topic, 2);
  Check(CountMatches(trie, topic) == (matches ? 1 : 0));
  trie.Erase(filter, 1);
  Check(CountMatches(trie, topic) == 0);
  return 0;
}
