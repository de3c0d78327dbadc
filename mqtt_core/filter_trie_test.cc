// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/filter_trie.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/strings_over.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

template <typename Value>
std::vector<Value> Match(const FilterTrie<Value>& trie,
                         absl::string_view topic) {
  std::vector<Value> values;
  trie.Match(topic, [&](const Value& value) { values.push_back(value); });
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<std::string> ValidFilters(absl::string_view alphabet,
                                      size_t max_size) {
  std::vector<std::string> filters;
  for (std::string& text : StringsOver(alphabet, max_size)) {
    if (ValidateTopicFilter(text).ok()) filters.push_back(std::move(text));
  }
  return filters;
}

std::vector<int> MatchOneByOne(const std::vector<std::string>& filters,
                               absl::string_view topic) {
  std::vector<int> matching;
  for (size_t i = 0; i < filters.size(); ++i) {
    if (TopicMatchesFilter(topic, filters[i])) {
      matching.push_back(static_cast<int>(i));
    }
  }
  return matching;
}

TEST(FilterTrieTest, AgreesWithMatchingOneByOne) {
  std::vector<std::string> filters = ValidFilters("ab/+#$", 4);
  for (const std::string& filter : ValidFilters("a/+#$", 3)) {
    filters.push_back(absl::StrCat("$share/g/", filter));
  }
  FilterTrie<int> trie;
  for (size_t i = 0; i < filters.size(); ++i) {
    trie.Insert(filters[i], static_cast<int>(i));
  }
  for (const std::string& topic : StringsOver("abc/$", 5)) {
    ASSERT_EQ(Match(trie, topic), MatchOneByOne(filters, topic)) << topic;
  }
}

TEST(FilterTrieTest, AgreesWithMatchingOneByOneWhileFiltersComeAndGo) {
  const std::vector<std::string> filters = ValidFilters("ab/+#$", 4);
  const std::vector<std::string> topics = StringsOver("ab/$", 4);
  std::mt19937 random(1);
  const auto pick = [&](size_t size) {
    return std::uniform_int_distribution<size_t>(0, size - 1)(random);
  };
  FilterTrie<std::string> trie;
  std::vector<std::string> present;
  for (int step = 0; step < 20000; ++step) {
    if (present.empty() || pick(100) < 50) {
      const std::string& filter = filters[pick(filters.size())];
      trie.Insert(filter, filter);
      present.push_back(filter);
    } else {
      const size_t index = pick(present.size());
      trie.Erase(present[index], present[index]);
      present.erase(present.begin() + index);
    }
    const std::string& topic = topics[pick(topics.size())];
    std::vector<std::string> expected;
    for (const std::string& filter : present) {
      if (TopicMatchesFilter(topic, filter)) expected.push_back(filter);
    }
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(Match(trie, topic), expected) << topic;
  }
}

TEST(FilterTrieTest, AFilterMayHaveSeveralValues) {
  FilterTrie<int> trie;
  trie.Insert("a/+", 1);
  trie.Insert("a/+", 2);
  trie.Insert("$share/g/a/+", 3);
  trie.Insert("$share/h/a/+", 3);
  EXPECT_THAT(Match(trie, "a/b"), ElementsAre(1, 2, 3, 3));

  trie.Erase("a/+", 3);
  EXPECT_THAT(Match(trie, "a/b"), ElementsAre(1, 2, 3));
  trie.Erase("a/+", 1);
  EXPECT_THAT(Match(trie, "a/b"), ElementsAre(2, 3));
}

TEST(FilterTrieTest, ErasingWhatIsNotThereHasNoEffect) {
  FilterTrie<int> trie;
  trie.Insert("a/b/+", 1);
  trie.Insert("a/b/#", 2);
  for (const char* filter : {"a", "a/b", "a/b/c", "a/b/+/c", "a/#", "b", "+",
                             "#", "a/b/+/#", "a/+/+"}) {
    trie.Erase(filter, 1);
    trie.Erase(filter, 2);
  }
  trie.Erase("a/b/+", 2);
  trie.Erase("a/b/#", 1);
  EXPECT_THAT(Match(trie, "a/b/c"), UnorderedElementsAre(1, 2));
}

TEST(FilterTrieTest, ErasingLeavesLongerAndShorterFilters) {
  const std::string filters[] = {"a", "a/b", "a/b/c", "a/b/#", "a/+/c"};
  for (const std::string& erased : filters) {
    FilterTrie<std::string> trie;
    for (const std::string& filter : filters) trie.Insert(filter, filter);
    trie.Erase(erased, erased);
    for (const std::string topic : {"a", "a/b", "a/b/c"}) {
      std::vector<std::string> expected;
      for (const std::string& filter : filters) {
        if (filter != erased && TopicMatchesFilter(topic, filter)) {
          expected.push_back(filter);
        }
      }
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(Match(trie, topic), expected) << topic << " less " << erased;
    }
  }
}

TEST(FilterTrieTest, FiltersOfTensOfThousandsOfLevels) {
  const std::string separators(65535, '/');
  std::string pluses;
  while (pluses.size() + 2 < separators.size()) pluses += "+/";
  FilterTrie<int> trie;
  trie.Insert(separators, 1);
  trie.Insert(pluses, 2);
  trie.Insert(pluses + "#", 3);
  EXPECT_THAT(Match(trie, separators), ElementsAre(1, 3));
  trie.Erase(separators, 1);
  trie.Erase(pluses + "#", 3);
  EXPECT_THAT(Match(trie, separators), IsEmpty());
  EXPECT_THAT(Match(trie, separators.substr(0, pluses.size() / 2)),
              ElementsAre(2));
}

TEST(FilterTrieTest, WildcardsInATopicAreNoWildcards) {
  FilterTrie<int> trie;
  trie.Insert("a", 1);
  trie.Insert("b/c", 2);
  EXPECT_THAT(Match(trie, "+"), IsEmpty());
  EXPECT_THAT(Match(trie, "#"), IsEmpty());
  EXPECT_THAT(Match(trie, "b/#"), IsEmpty());
}

}  // namespace
}  // namespace kamailio_mqtt
