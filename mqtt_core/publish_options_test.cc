// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/publish_options.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/strings_over.h"

namespace kamailio_mqtt {
namespace {

using ::testing::Matches;
using ::testing::MatchesRegex;

TEST(ParsePublishOptionsTest, DefaultsWhereNothingIsGiven) {
  for (const char* text : {"", " ", "\t \r\n"}) {
    const auto options = ParsePublishOptions(text);
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_FALSE(options->retain);
  }
}

TEST(ParsePublishOptionsTest, Retain) {
  for (const char* text :
       {"retain", "retain=1", "retain;", "retain=1;", " retain ", "\tretain\n",
        "retain = 1", " retain\t=\t1 ; ", "retain ;"}) {
    const auto options = ParsePublishOptions(text);
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_TRUE(options->retain) << text;
  }
  for (const char* text : {"retain=0", "retain=0;", " retain = 0 ; "}) {
    const auto options = ParsePublishOptions(text);
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_FALSE(options->retain) << text;
  }
}

struct ErrorCase {
  absl::string_view text;
  absl::string_view message;
};

TEST(ParsePublishOptionsTest, ErrorsNameOptionValueAndRule) {
  const ErrorCase kCases[] = {
      {"persist", R"(option "persist" is unknown; the only option is retain)"},
      {"Retain=1", R"(option "Retain" is unknown; the only option is retain)"},
      {"retain 1",
       R"(option "retain 1" is unknown; the only option is retain)"},
      {"retain,x",
       R"(option "retain,x" is unknown; the only option is retain)"},
      {"retain;x=1", R"(option "x" is unknown; the only option is retain)"},
      {"retain=yes",
       R"(option "retain" has the value "yes", but takes 0, 1 or no value)"},
      {"retain=",
       R"(option "retain" has the value "", but takes 0, 1 or no value)"},
      {"retain=1=1",
       R"(option "retain" has the value "1=1", but takes 0, 1 or no value)"},
      {"retain==1",
       R"(option "retain" has the value "=1", but takes 0, 1 or no value)"},
      {"retain;retain", R"(option "retain" is given twice)"},
      {"retain=1; retain=1", R"(option "retain" is given twice)"},
      {";",
       R"(options ";" hold an option without a name, where name[=value] is )"
       R"(needed)"},
      {"retain;;", R"(options "retain;;" hold an option without a name, where )"
                   R"(name[=value] is needed)"},
      {"=1",
       R"(options "=1" hold an option without a name, where name[=value] is )"
       R"(needed)"},
  };
  for (const ErrorCase& c : kCases) {
    const absl::Status status = ParsePublishOptions(c.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(ParsePublishOptionsTest, QuotesWhatIsSafeForALog) {
  EXPECT_EQ(ParsePublishOptions(absl::string_view("a\0\"\n\xff", 5))
                .status()
                .message(),
            R"(option "a\x00\"\n\xff" is unknown; the only option is retain)");
  EXPECT_EQ(ParsePublishOptions(std::string(1 << 20, 'a')).status().message(),
            absl::StrCat("option \"", std::string(64, 'a'),
                         "\"... is unknown; the only option is retain"));
}

TEST(ParsePublishOptionsTest, AgreesWithTheGrammar) {
  const auto is_on = Matches(MatchesRegex(" *retain *(= *1 *)?(; *)?"));
  const auto is_off = Matches(MatchesRegex(" *retain *= *0 *(; *)?"));
  for (const std::string& before : StringsOver(" ;=", 3)) {
    for (const std::string& after : StringsOver(" ;=01", 5)) {
      const std::string text = absl::StrCat(before, "retain", after);
      const auto options = ParsePublishOptions(text);
      ASSERT_EQ(options.ok(), is_on(text) || is_off(text))
          << "\"" << text << "\"";
      if (options.ok()) {
        EXPECT_EQ(options->retain, is_on(text)) << "\"" << text << "\"";
      }
    }
  }
}

}  // namespace
}  // namespace kamailio_mqtt
