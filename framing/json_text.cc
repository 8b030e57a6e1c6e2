#include "wayport/framing/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <system_error>

namespace wayport::framing::json_text {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view kHexDigits = "0123456789abcdef";

// What a byte is inside a string, when reading and when writing.
enum ByteClass : std::uint8_t {
  kEndsPlainRead = 1,   // quote, backslash, control, not ASCII
  kEndsPlainWrite = 2,  // the same, and < > &
};
constexpr auto kClasses = [] {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool special = byte < 0x20 || byte == '"' || byte == '\\' || byte >= 0x80;
    const bool html = byte == '<' || byte == '>' || byte == '&';
    classes[byte] = static_cast<std::uint8_t>((special ? kEndsPlainRead : 0) | (special || html ? kEndsPlainWrite : 0));
  }
  return classes;
}();

const char* skip_plain(const char* at, const char* end, ByteClass stop) noexcept {
  while (at != end && (kClasses[static_cast<unsigned char>(*at)] & stop) == 0) ++at;
  return at;
}

int hex_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// The four digits at `at`; negative if they are not all there.
int hex4(const char* at, const char* end) noexcept {
  if (end - at < 4) return -1;
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(at[i]);
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

void append_utf8(std::uint32_t rune, std::string& to) {
  const auto put = [&to](std::uint32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (rune < 0x80) {
    put(rune);
  } else if (rune < 0x800) {
    put(0xc0 | rune >> 6);
    put(0x80 | (rune & 0x3f));
  } else if (rune < 0x10000) {
    put(0xe0 | rune >> 12);
    put(0x80 | (rune >> 6 & 0x3f));
    put(0x80 | (rune & 0x3f));
  } else {
    put(0xf0 | rune >> 18);
    put(0x80 | (rune >> 12 & 0x3f));
    put(0x80 | (rune >> 6 & 0x3f));
    put(0x80 | (rune & 0x3f));
  }
}

// The escape for one byte below 0x80 that must not stand as it is.
std::size_t escape_size(unsigned char byte) noexcept {
  return byte == '"' || byte == '\\' || byte == '\n' || byte == '\r' || byte == '\t' ? 2 : 6;
}
char* write_escape(char* to, unsigned char byte) noexcept {
  *to++ = '\\';
  switch (byte) {
    case '"':
    case '\\':
      *to++ = static_cast<char>(byte);
      return to;
    case '\n':
      *to++ = 'n';
      return to;
    case '\r':
      *to++ = 'r';
      return to;
    case '\t':
      *to++ = 't';
      return to;
    default:
      break;
  }
  std::memcpy(to, "u00", 3);
  to[3] = kHexDigits[byte >> 4];
  to[4] = kHexDigits[byte & 0xf];
  return to + 5;
}

// U+2028 or U+2029, which break JavaScript source: their last byte, else 0.
unsigned char line_separator(const char* at, std::size_t size) noexcept {
  if (size != 3 || at[0] != '\xe2' || at[1] != '\x80') return 0;
  return at[2] == '\xa8' || at[2] == '\xa9' ? static_cast<unsigned char>(at[2]) : 0;
}

char ascii_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

std::size_t utf8_size(const char* at, const char* end) noexcept {
  const auto byte = [at](std::size_t i) { return static_cast<unsigned char>(at[i]); };
  const auto left = static_cast<std::size_t>(end - at);
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return left >= 2 && continues(1) ? 2 : 0;
  if (first < 0xf0) {
    if (left < 3 || !continues(1) || !continues(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogate
    return 3;
  }
  if (left < 4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;  // overlong
  if (first == 0xf4 && byte(1) > 0x8f) return 0;  // past U+10FFFF
  return 4;
}

std::size_t escaped_size(std::string_view text) noexcept {
  std::size_t size = text.size();
  const char* at = text.data();
  const char* const end = at + text.size();
  while ((at = skip_plain(at, end, kEndsPlainWrite)) != end) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x80) {
      size += escape_size(byte) - 1;
      ++at;
      continue;
    }
    const std::size_t sequence = utf8_size(at, end);
    if (sequence == 0) {
      size += 6 - 1;
      ++at;
    } else {
      if (line_separator(at, sequence) != 0) size += 6 - 3;
      at += sequence;
    }
  }
  return size;
}

char* write_escaped(char* to, std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* const stop = skip_plain(at, end, kEndsPlainWrite);
    const auto plain = static_cast<std::size_t>(stop - at);
    std::memcpy(to, at, plain);
    to += plain;
    at = stop;
    if (at == end) break;
    const auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x80) {
      to = write_escape(to, byte);
      ++at;
      continue;
    }
    const std::size_t sequence = utf8_size(at, end);
    if (sequence == 0) {
      std::memcpy(to, "\\ufffd", 6);
      to += 6;
      ++at;
    } else if (const unsigned char last = line_separator(at, sequence); last != 0) {
      std::memcpy(to, last == 0xa8 ? "\\u2028" : "\\u2029", 6);
      to += 6;
      at += sequence;
    } else {
      std::memcpy(to, at, sequence);
      to += sequence;
      at += sequence;
    }
  }
  return to;
}

char* write_double(char* to, double value) noexcept {
  // d[.ddd]e[+-]xx with the fewest digits.
  char shortest[kNumberCharsMax];
  const char* const end =
      std::to_chars(shortest, shortest + sizeof(shortest), value, std::chars_format::scientific).ptr;
  const char* at = shortest;
  if (*at == '-') *to++ = *at++;
  char digits[kNumberCharsMax];
  int digit_count = 0;
  for (; *at != 'e'; ++at) {
    if (*at != '.') digits[digit_count++] = *at;
  }
  ++at;
  if (*at == '+') ++at;
  int exponent = 0;
  std::from_chars(at, end, exponent);
  const auto put = [&to](const char* from, int count) {
    std::memcpy(to, from, static_cast<std::size_t>(count));
    to += count;
  };
  const auto zeros = [&to](int count) {
    std::memset(to, '0', static_cast<std::size_t>(count));
    to += count;
  };
  if (exponent < -6 || exponent >= 21) {
    *to++ = digits[0];
    if (digit_count > 1) {
      *to++ = '.';
      put(digits + 1, digit_count - 1);
    }
    *to++ = 'e';
    if (exponent > 0) *to++ = '+';
    return std::to_chars(to, to + 5, exponent).ptr;
  }
  if (exponent < 0) {
    *to++ = '0';
    *to++ = '.';
    zeros(-exponent - 1);
    put(digits, digit_count);
    return to;
  }
  const int whole = exponent + 1;
  if (digit_count <= whole) {
    put(digits, digit_count);
    zeros(whole - digit_count);
    return to;
  }
  put(digits, whole);
  *to++ = '.';
  put(digits + whole, digit_count - whole);
  return to;
}

void append_unescaped(std::string_view raw, std::string& to) {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) {
    const char* const stop = skip_plain(at, end, kEndsPlainRead);
    to.append(at, stop);
    at = stop;
    if (at == end) break;
    if (static_cast<unsigned char>(*at) >= 0x80) {
      const std::size_t sequence = utf8_size(at, end);
      if (sequence == 0) {
        to.append(kReplacement);
        ++at;
      } else {
        to.append(at, sequence);
        at += sequence;
      }
      continue;
    }
    // take_string() has checked that the escape is whole.
    const char kind = at[1];
    at += 2;
    switch (kind) {
      case 'b':
        to.push_back('\b');
        break;
      case 'f':
        to.push_back('\f');
        break;
      case 'n':
        to.push_back('\n');
        break;
      case 'r':
        to.push_back('\r');
        break;
      case 't':
        to.push_back('\t');
        break;
      case 'u': {
        auto rune = static_cast<std::uint32_t>(hex4(at, end));
        at += 4;
        if (rune >= 0xd800 && rune < 0xe000) {
          int low = -1;
          if (rune < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') low = hex4(at + 2, end);
          if (low >= 0xdc00 && low < 0xe000) {
            rune = 0x10000 + ((rune - 0xd800) << 10) + (static_cast<std::uint32_t>(low) - 0xdc00);
            at += 6;
          } else {
            rune = 0xfffd;
          }
        }
        append_utf8(rune, to);
        break;
      }
      default:
        to.push_back(kind);
        break;  // quote, backslash, slash
    }
  }
}

NumberFit parse_double(std::string_view number, double& to) noexcept {
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), to);
  if (parsed.ec == std::errc()) return NumberFit::ok;
  // Too large, or too small? The exponent may be long, so count rather than convert: power of ten of the first digit
  // that is not zero.
  const std::size_t exponent_at = number.find_first_of("eE");
  const std::string_view mantissa = number.substr(0, exponent_at);
  const std::size_t first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) {  // zero, however large the exponent
    to = number.starts_with('-') ? -0.0 : 0.0;
    return NumberFit::ok;
  }
  const auto point = static_cast<long long>(std::min(mantissa.find('.'), mantissa.size()));
  long long exponent = 0;
  bool down = false;
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = number.substr(exponent_at + 1);
    down = digits.starts_with('-');
    if (down || digits.starts_with('+')) digits.remove_prefix(1);
    for (const char digit : digits) {
      if (exponent < 1'000'000'000'000) exponent = exponent * 10 + (digit - '0');
    }
  }
  const long long power = point - static_cast<long long>(first) + (down ? -exponent : exponent);
  if (power > 0) return NumberFit::out_of_range;
  to = number.starts_with('-') ? -0.0 : 0.0;
  return NumberFit::ok;
}

bool fold_equal(std::string_view field, std::string_view key) noexcept {
  std::size_t at = 0;
  for (const char wanted : field) {
    if (at == key.size()) return false;
    const char lower = ascii_lower(wanted);
    if (ascii_lower(key[at]) == lower) {
      ++at;
    } else if (lower == 's' && key.substr(at).starts_with("\xc5\xbf")) {
      at += 2;
    } else if (lower == 'k' && key.substr(at).starts_with("\xe2\x84\xaa")) {
      at += 3;
    } else {
      return false;
    }
  }
  return at == key.size();
}

bool Scanner::take_string(String& string) noexcept {
  if (!take('"')) return false;
  const char* const first = at_;
  bool plain = true;
  for (;;) {
    at_ = skip_plain(at_, end_, kEndsPlainRead);
    if (at_ == end_) return false;
    const auto byte = static_cast<unsigned char>(*at_);
    if (byte == '"') {
      string = {{first, at_}, plain};
      ++at_;
      return true;
    }
    if (byte < 0x20) return false;
    if (byte >= 0x80) {
      const std::size_t sequence = utf8_size(at_, end_);
      plain = plain && sequence != 0;
      at_ += sequence == 0 ? 1 : sequence;
      continue;
    }
    plain = false;
    if (end_ - at_ < 2) return false;
    switch (at_[1]) {
      case '"':
      case '\\':
      case '/':
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        at_ += 2;
        break;
      case 'u':
        if (hex4(at_ + 2, end_) < 0) return false;
        at_ += 6;
        break;
      default:
        return false;
    }
  }
}

bool Scanner::take_number(Number& number) noexcept {
  const char* const first = at_;
  const auto digits = [this] {
    const char* const from = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != from;
  };
  number.whole = true;
  take('-');
  if (!take('0') && !digits()) return false;
  if (take('.')) {
    number.whole = false;
    if (!digits()) return false;
  }
  if (take('e') || take('E')) {
    number.whole = false;
    if (!take('+')) take('-');
    if (!digits()) return false;
  }
  number.text = {first, at_};
  return true;
}

bool Scanner::skip_value(int depth) noexcept {
  skip_space();
  switch (peek()) {
    case '"': {
      String string;
      return take_string(string);
    }
    case 't':
      return take_word("true");
    case 'f':
      return take_word("false");
    case 'n':
      return take_word("null");
    case '[':
      if (depth >= kNestingMax) return false;
      take('[');
      skip_space();
      if (take(']')) return true;
      do {
        if (!skip_value(depth + 1)) return false;
        skip_space();
      } while (take(','));
      return take(']');
    case '{':
      if (depth >= kNestingMax) return false;
      take('{');
      skip_space();
      if (take('}')) return true;
      do {
        skip_space();
        String key;
        if (!take_string(key)) return false;
        skip_space();
        if (!take(':') || !skip_value(depth + 1)) return false;
        skip_space();
      } while (take(','));
      return take('}');
    default: {
      Number number;
      return take_number(number);
    }
  }
}

}  // namespace wayport::framing::json_text
