// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/utf8_string.h"

#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kamailio_mqtt {
namespace {

using ::testing::HasSubstr;

bool IsSurrogate(uint32_t code_point) {
  return code_point >= 0xD800 && code_point <= 0xDFFF;
}

// The bytes of `code_point` in a form of `size` bytes, shortest or not.
std::string Encode(uint32_t code_point, int size) {
  if (size == 1) return std::string(1, static_cast<char>(code_point));
  constexpr uint32_t kLeads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  std::string bytes(size, '\0');
  for (int i = size - 1; i > 0; --i) {
    bytes[i] = static_cast<char>(0x80 | (code_point & 0x3F));
    code_point >>= 6;
  }
  bytes[0] = static_cast<char>(kLeads[size] | code_point);
  return bytes;
}

int ShortestSize(uint32_t code_point) {
  return code_point < 0x80      ? 1
         : code_point < 0x800   ? 2
         : code_point < 0x10000 ? 3
                                : 4;
}

bool IsControlCharacter(uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
}

bool IsNoncharacter(uint32_t code_point) {
  const uint32_t in_plane = code_point % 0x10000;
  return (code_point >= 0xFDD0 && code_point <= 0xFDEF) || in_plane >= 0xFFFE;
}

TEST(ValidateUtf8StringTest, TakesEveryCharacterThatABrokerTakes) {
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    const std::string text = Encode(code_point, ShortestSize(code_point));
    ASSERT_EQ(ValidateUtf8String(text).ok(), !IsControlCharacter(code_point) &&
                                                 !IsSurrogate(code_point) &&
                                                 !IsNoncharacter(code_point))
        << std::hex << code_point;
  }
}

TEST(ValidateUtf8StringTest, RefusesOverlongForms) {
  for (int size = 2; size <= 4; ++size) {
    constexpr uint32_t kEnds[] = {0, 0, 0x80, 0x800, 0x10000};
    for (uint32_t code_point = 0; code_point < kEnds[size]; ++code_point) {
      ASSERT_FALSE(ValidateUtf8String(Encode(code_point, size)).ok())
          << std::hex << code_point << " in " << size << " bytes";
    }
  }
}

TEST(ValidateUtf8StringTest, RefusesCodePointsAboveTheLast) {
  for (uint32_t code_point = 0x110000; code_point < 0x200000; ++code_point) {
    ASSERT_FALSE(ValidateUtf8String(Encode(code_point, 4)).ok())
        << std::hex << code_point;
  }
}

TEST(ValidateUtf8StringTest, RefusesBytesThatBeginNoCharacter) {
  for (int lead = 0x80; lead <= 0xFF; ++lead) {
    const bool begins_character = lead >= 0xC2 && lead <= 0xF4;
    if (begins_character) continue;
    for (const char* rest : {"", "\x80", "\x80\x80", "\x80\x80\x80"}) {
      ASSERT_FALSE(
          ValidateUtf8String(std::string(1, static_cast<char>(lead)) + rest)
              .ok())
          << std::hex << lead;
    }
  }
}

TEST(ValidateUtf8StringTest, RefusesCharactersThatAreCutShort) {
  for (const std::string character :
       {"\u00e9", "\u20ac", "\ud7ff", "\uffff", "\U00010000", "\U0010FFFF"}) {
    for (size_t size = 1; size < character.size(); ++size) {
      EXPECT_FALSE(ValidateUtf8String(character.substr(0, size)).ok());
      EXPECT_FALSE(ValidateUtf8String(character.substr(0, size) + "a").ok());
      EXPECT_FALSE(
          ValidateUtf8String(character.substr(0, size) + character).ok());
    }
  }
}

TEST(ValidateUtf8StringTest, TakesTheEmptyString) {
  EXPECT_TRUE(ValidateUtf8String("").ok());
}

TEST(ValidateUtf8StringTest, CountsBytesNotCharacters) {
  EXPECT_TRUE(ValidateUtf8String(std::string(65535, 'a')).ok());
  std::string euros;
  while (euros.size() < 65535) euros += "\u20ac";
  EXPECT_EQ(euros.size(), 65535u);
  EXPECT_TRUE(ValidateUtf8String(euros).ok());

  const absl::Status status = ValidateUtf8String(std::string(65536, 'a'));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("65536 bytes are more than the 65535"));
}

TEST(ValidateUtf8StringTest, NamesRuleAndByte) {
  EXPECT_EQ(ValidateUtf8String(absl::string_view("ab\0c", 4)).message(),
            "U+0000 at byte 2 is not allowed");
  EXPECT_EQ(ValidateUtf8String("ab\n").message(),
            "a control character at byte 2 is not allowed");
  EXPECT_EQ(ValidateUtf8String("\u20ac\uffff").message(),
            "a noncharacter at byte 3 is not allowed");
  EXPECT_EQ(ValidateUtf8String("\u20ac\xff").message(),
            "malformed UTF-8 at byte 3");
  EXPECT_EQ(ValidateUtf8String("a\xed\xa0\x80").message(),
            "malformed UTF-8 at byte 1");
}

}  // namespace
}  // namespace kamailio_mqtt
