// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/topic.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/strings_over.h"

namespace kamailio_mqtt {
namespace {

using ::testing::Matches;
using ::testing::MatchesRegex;

// The rules of section 4.7 once more, as grammars.

constexpr char kFilterGrammar[] = R"((#|([+]|[^+#/]*)(/([+]|[^+#/]*))*(/#)?))";

bool IsTopicName(const std::string& text) {
  static const auto is_name = Matches(MatchesRegex("[^+#]+"));
  return is_name(text);
}

bool IsTopicFilter(const std::string& text) {
  static const auto is_share = Matches(MatchesRegex("[$]share(/.*)?"));
  static const auto is_filter = Matches(MatchesRegex(kFilterGrammar));
  static const auto is_shared_filter =
      Matches(MatchesRegex(absl::StrCat("[$]share/[^+#/]+/", kFilterGrammar)));
  static const auto lacks_inner_filter =
      Matches(MatchesRegex("[$]share/[^/]*/"));
  if (is_share(text)) {
    return is_shared_filter(text) && !lacks_inner_filter(text);
  }
  return !text.empty() && is_filter(text);
}

// Matching once more, in the words of the specification and by recursion.

using Levels = std::vector<std::string>;

bool LevelsMatch(const Levels& topic, size_t t, const Levels& filter,
                 size_t f) {
  if (f == filter.size()) return t == topic.size();
  // The parent and any number of child levels.
  if (filter[f] == "#") return true;
  if (t == topic.size()) return false;
  const bool one_level_matches = filter[f] == "+" || filter[f] == topic[t];
  return one_level_matches && LevelsMatch(topic, t + 1, filter, f + 1);
}

bool ReferenceMatches(const std::string& topic, const std::string& filter) {
  const bool wildcard_first = filter[0] == '+' || filter[0] == '#';
  if (topic[0] == '$' && wildcard_first) return false;
  return LevelsMatch(absl::StrSplit(topic, '/'), 0, absl::StrSplit(filter, '/'),
                     0);
}

TEST(TopicSyntaxTest, AgreesWithTheGrammar) {
  for (const std::string& text : StringsOver("a/+#$", 6)) {
    ASSERT_EQ(ValidateTopicName(text).ok(), IsTopicName(text)) << text;
    ASSERT_EQ(ValidateTopicFilter(text).ok(), IsTopicFilter(text)) << text;
  }
}

TEST(TopicSyntaxTest, AgreesWithTheGrammarOnSharedSubscriptions) {
  for (const std::string& rest : StringsOver("a/+#$", 6)) {
    const std::string text = absl::StrCat("$share", rest);
    ASSERT_EQ(ValidateTopicName(text).ok(), IsTopicName(text)) << text;
    ASSERT_EQ(ValidateTopicFilter(text).ok(), IsTopicFilter(text)) << text;
  }
}

struct SyntaxCase {
  absl::string_view text;
  absl::string_view message;
};

TEST(TopicSyntaxTest, TopicNameErrorsNameRuleAndByte) {
  const SyntaxCase kCases[] = {
      {"", "must not be empty"},
      {"a/b+", "wildcard '+' at byte 3 is not allowed in a topic name"},
      {"a/#/+", "wildcard '#' at byte 2 is not allowed in a topic name"},
      {{"a\0b", 3}, "U+0000 at byte 1 is not allowed"},
      {"a/\xc0\x80", "malformed UTF-8 at byte 2"},
  };
  for (const SyntaxCase& c : kCases) {
    const absl::Status status = ValidateTopicName(c.text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(TopicSyntaxTest, TopicFilterErrorsNameRuleAndByte) {
  const SyntaxCase kCases[] = {
      {"", "must not be empty"},
      {"a+/b", "wildcard '+' at byte 1 must be a whole level"},
      {"a/+b", "wildcard '+' at byte 2 must be a whole level"},
      {"sport/tennis#", "wildcard '#' at byte 12 must be a whole level"},
      {"a/#b", "wildcard '#' at byte 2 must be a whole level"},
      {"a/#/b", "wildcard '#' at byte 2 must be the last level"},
      {"#/", "wildcard '#' at byte 0 must be the last level"},
      {{"a\0b", 3}, "U+0000 at byte 1 is not allowed"},
      {"\xff", "malformed UTF-8 at byte 0"},
      {"$share", "a shared subscription has the form $share/group/filter"},
      {"$share/",
       "the group of the shared subscription at byte 7 must not be empty"},
      {"$share//a",
       "the group of the shared subscription at byte 7 must not be empty"},
      {"$share/g",
       "the filter of the shared subscription at byte 8 must not be empty"},
      {"$share/g/",
       "the filter of the shared subscription at byte 9 must not be empty"},
      {"$share/g+/a",
       "wildcard '+' at byte 8 is not allowed in the group of a shared "
       "subscription"},
      {"$share/#",
       "wildcard '#' at byte 7 is not allowed in the group of a shared "
       "subscription"},
      {"$share/g/a#", "wildcard '#' at byte 10 must be a whole level"},
  };
  for (const SyntaxCase& c : kCases) {
    const absl::Status status = ValidateTopicFilter(c.text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(TopicSyntaxTest, AtMost65535Bytes) {
  const std::string longest(65535, '/');
  EXPECT_TRUE(ValidateTopicName(longest).ok());
  EXPECT_TRUE(ValidateTopicFilter(longest).ok());
  const std::string shared = "$share/g/";
  EXPECT_TRUE(ValidateTopicFilter(shared + longest.substr(shared.size())).ok());

  EXPECT_FALSE(ValidateTopicName(longest + "/").ok());
  EXPECT_FALSE(ValidateTopicFilter(longest + "/").ok());
  EXPECT_FALSE(ValidateTopicFilter(shared + longest).ok());
}

TEST(TopicSyntaxTest, UnusualButValid) {
  for (const char* text :
       {" ", "/", "//", "$", "$SYS/a", "a b", "Accounts payable",
        "\u00e9/\u20ac", "$shared", "$share2/a", "share/g/a"}) {
    EXPECT_TRUE(ValidateTopicName(text).ok()) << text;
    EXPECT_TRUE(ValidateTopicFilter(text).ok()) << text;
  }
  EXPECT_TRUE(ValidateTopicName("$share").ok());
  EXPECT_TRUE(ValidateTopicFilter("$share/g//").ok());
  EXPECT_TRUE(ValidateTopicFilter("$share/g/$share/h/#").ok());
}

TEST(TopicMatchTest, AgreesWithTheReference) {
  std::vector<std::string> filters;
  for (const std::string& text : StringsOver("ab/+#$", 5)) {
    if (IsTopicFilter(text)) filters.push_back(text);
  }
  for (const std::string& topic : StringsOver("ab/$", 5)) {
    if (!IsTopicName(topic)) continue;
    for (const std::string& filter : filters) {
      ASSERT_EQ(TopicMatchesFilter(topic, filter),
                ReferenceMatches(topic, filter))
          << topic << " and " << filter;
    }
  }
}

struct MatchCase {
  const char* topic;
  const char* filter;
  bool matches;
};

TEST(TopicMatchTest, ExamplesOfTheSpecification) {
  const MatchCase kCases[] = {
      {"sport/tennis/player1", "sport/tennis/player1/#", true},
      {"sport/tennis/player1/ranking", "sport/tennis/player1/#", true},
      {"sport/tennis/player1/score/wimbledon", "sport/tennis/player1/#", true},
      {"sport/tennis", "sport/tennis/#", true},
      {"sport/tennis2", "sport/tennis/#", false},
      {"sport", "sport/#", true},
      {"sport/tennis", "#", true},
      {"sport/tennis/player1", "sport/tennis/+", true},
      {"sport/tennis/player1/ranking", "sport/tennis/+", false},
      {"sport", "sport/+", false},
      {"sport/", "sport/+", true},
      {"/finance", "+/+", true},
      {"/finance", "/+", true},
      {"/finance", "+", false},
      {"$SYS/monitor/Clients", "#", false},
      {"$SYS/monitor/Clients", "+/monitor/Clients", false},
      {"$SYS/monitor/Clients", "$SYS/#", true},
      {"$SYS/monitor/Clients", "$SYS/monitor/+", true},
      {"ACCOUNTS", "Accounts", false},
      {"Accounts payable", "Accounts payable", true},
  };
  for (const MatchCase& c : kCases) {
    EXPECT_EQ(TopicMatchesFilter(c.topic, c.filter), c.matches)
        << c.topic << " and " << c.filter;
  }
}

TEST(TopicMatchTest, SharedSubscriptionsMatchByTheirFilter) {
  const MatchCase kCases[] = {
      {"a/b", "$share/g/a/b", true},
      {"a/b", "$share/g/a/+", true},
      {"a/b", "$share/g/#", true},
      {"g/a", "$share/g/a", false},
      {"/", "$share/g//", true},
      {"$SYS/a", "$share/g/#", false},
      {"$SYS/a", "$share/g/$SYS/#", true},
      {"$share/g/a", "$share/g/a", false},
      {"$share/g/a", "$share/g/$share/g/a", true},
  };
  for (const MatchCase& c : kCases) {
    EXPECT_EQ(TopicMatchesFilter(c.topic, c.filter), c.matches)
        << c.topic << " and " << c.filter;
  }
}

TEST(TopicMatchTest, NothingMatchesAnEmptyTopic) {
  for (const char* filter : {"", "+", "#", "/", "a"}) {
    EXPECT_FALSE(TopicMatchesFilter("", filter)) << filter;
  }
}

TEST(TopicLevelsTest, KeepsEmptyLevels) {
  for (const std::string& text : StringsOver("a/", 6)) {
    std::vector<std::string> levels;
    TopicLevels reader(text);
    absl::string_view level;
    while (reader.Next(&level)) levels.emplace_back(level);
    EXPECT_EQ(levels, Levels(absl::StrSplit(text, '/'))) << text;
    EXPECT_FALSE(reader.Next(&level)) << text;
  }
}

TEST(WithoutShareTest, LeavesTheInnerFilter) {
  EXPECT_EQ(WithoutShare("a/b"), "a/b");
  EXPECT_EQ(WithoutShare("$share/g/a/b"), "a/b");
  EXPECT_EQ(WithoutShare("$share/g//"), "/");
  EXPECT_EQ(WithoutShare("$shared/g/a"), "$shared/g/a");
  EXPECT_EQ(WithoutShare("$share/g/$share/h/a"), "$share/h/a");
}

}  // namespace
}  // namespace kamailio_mqtt
