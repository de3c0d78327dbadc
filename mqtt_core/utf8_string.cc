// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/utf8_string.h"

#include "absl/strings/str_cat.h"

namespace kamailio_mqtt {
namespace {

bool InRange(unsigned char byte, unsigned char low, unsigned char high) {
  return low <= byte && byte <= high;
}

// The size in bytes of the well-formed character that `text`, which is not
// empty, begins with; 0 when there is none. Follows table 3-7 of the Unicode
// standard: narrowing the second byte is what excludes overlong forms,
// surrogates and everything above U+10FFFF.
size_t LeadingCharacterSize(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (!InRange(lead, 0xC2, 0xF4)) return 0;
  const size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < size) return 0;
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (!InRange(byte(1), low, high)) return 0;
  for (size_t i = 2; i < size; ++i) {
    if (!InRange(byte(i), 0x80, 0xBF)) return 0;
  }
  return size;
}

// `text` begins with a well-formed character of `size` bytes.
char32_t LeadingCodePoint(absl::string_view text, size_t size) {
  const auto lead = static_cast<unsigned char>(text.front());
  char32_t code_point = size == 1 ? lead : lead & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    code_point = code_point << 6 | (text[i] & 0x3F);
  }
  return code_point;
}

bool IsControlCharacter(char32_t code_point) {
  return code_point <= 0x1F || (0x7F <= code_point && code_point <= 0x9F);
}

// Chapter 23.7 of the Unicode standard.
bool IsNoncharacter(char32_t code_point) {
  return (0xFDD0 <= code_point && code_point <= 0xFDEF) ||
         (code_point & 0xFFFE) == 0xFFFE;
}

absl::Status NotAllowed(absl::string_view what, size_t offset) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " at byte ", offset, " is not allowed"));
}

}  // namespace

absl::Status ValidateUtf8String(absl::string_view text) {
  if (text.size() > kMaxUtf8StringBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(text.size(), " bytes are more than the ",
                     kMaxUtf8StringBytes, " that MQTT allows"));
  }
  for (size_t i = 0; i < text.size();) {
    const absl::string_view rest = text.substr(i);
    const size_t size = LeadingCharacterSize(rest);
    if (size == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("malformed UTF-8 at byte ", i));
    }
    const char32_t code_point = LeadingCodePoint(rest, size);
    if (code_point == 0) return NotAllowed("U+0000", i);
    if (IsControlCharacter(code_point)) {
      return NotAllowed("a control character", i);
    }
    if (IsNoncharacter(code_point)) return NotAllowed("a noncharacter", i);
    i += size;
  }
  return absl::OkStatus();
}

}  // namespace kamailio_mqtt
