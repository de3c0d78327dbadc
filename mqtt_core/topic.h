// SPDX-License-Identifier: GPL-3.0-or-later

// Topic names and topic filters: syntax and matching (MQTT 3.1.1 section 4.7;
// shared subscriptions: MQTT 5.0 section 4.8.2).
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_TOPIC_H_
#define MQTT_CORE_TOPIC_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {

// OK when a message may be published to `topic`: a UTF-8 encoded string (see
// utf8_string.h) that is not empty and holds no wildcard.
//
// InvalidArgument otherwise. The message names the rule and the offset of the
// offending byte, counted from 0; it holds neither the topic nor the name of
// the parameter, which the caller puts in front.
absl::Status ValidateTopicName(absl::string_view topic);

// OK when `filter` may be subscribed to: a UTF-8 encoded string that is not
// empty, where each wildcard is a whole level and '#' the last one. If its
// first level is `$share` it has the form `$share/group/filter`, with neither
// part empty and no wildcard in the group. A bare `$share` is refused, too:
// brokers close the connection of a client that subscribes to it.
//
// Errors are reported as by ValidateTopicName.
absl::Status ValidateTopicFilter(absl::string_view filter);

// Whether a message published to `topic` is meant for subscribers to
// `filter`; for a shared subscription, for one subscriber in its group. Both
// are expected to be valid. Nothing matches an empty topic.
bool TopicMatchesFilter(absl::string_view topic, absl::string_view filter);

// The part of the valid `filter` that topics are compared with: what follows
// `$share/group/` in a shared subscription, else all of it.
absl::string_view WithoutShare(absl::string_view filter);

// Whether wildcards in the first level of a filter pass over `topic`, as they
// do where it begins with '$'.
inline bool IsHiddenFromWildcards(absl::string_view topic) {
  return !topic.empty() && topic.front() == '$';
}

// Takes a topic name or filter apart, level by level. Levels may be empty:
// "/a" has the levels "" and "a".
class TopicLevels {
 public:
  // `text` must outlive the object and the levels it returns.
  explicit TopicLevels(absl::string_view text) : rest_(text) {}

  // Stores the next level in `level`. False if there is none left.
  bool Next(absl::string_view* level) {
    if (done_) return false;
    const size_t separator = rest_.find('/');
    *level = rest_.substr(0, separator);
    done_ = separator == absl::string_view::npos;
    if (!done_) rest_.remove_prefix(separator + 1);
    return true;
  }

 private:
  absl::string_view rest_;
  bool done_ = false;
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TOPIC_H_
