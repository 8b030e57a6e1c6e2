// The text level of JSON, read and written as Go's encoding/json does: escapes, broken UTF-8, numbers, nesting.
//
// Boost.JSON holds values here, but does not read or write their text: its parser refuses lone surrogates and broken
// UTF-8, which Go turns into U+FFFD, and its numbers differ in the last digit; and packet headers must cost no
// allocation.
//
// Pure functions and a cursor over memory that the caller keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace wayport::framing::json_text {

// Objects and arrays within each other, both counted.
inline constexpr int kNestingMax = 64;

// --- writing ---

// Size of `text` between the quotes of a JSON string.
std::size_t escaped_size(std::string_view text) noexcept;
// Writes escaped_size(text) characters; returns the end. Escaped are control characters, quote, backslash, `<`, `>`,
// `&`, U+2028, U+2029, and broken UTF-8 (one \ufffd for each bad byte).
char* write_escaped(char* to, std::string_view text) noexcept;

inline constexpr std::size_t kNumberCharsMax = 32;
// Shortest digits that read back the same, laid out as Go does: 0.1, 100000, 1e+21. REQUIRES: finite. Returns the end.
char* write_double(char* to, double value) noexcept;

// --- reading ---

// A string as it stands between its quotes.
struct String {
  std::string_view raw;
  bool plain = true;  // no escapes and good UTF-8: `raw` is the value
};
// Appends the value of a scanned string. Lone surrogates and bad UTF-8 become U+FFFD.
void append_unescaped(std::string_view raw, std::string& to);

struct Number {
  std::string_view text;
  bool whole = true;  // neither fraction nor exponent
};

enum class NumberFit : std::uint8_t { ok, out_of_range };
// Nearest double. Too small becomes zero; too large is out of range.
NumberFit parse_double(std::string_view number, double& to) noexcept;

// True if Go would put the value of key `key` into a field called `field`: letter case aside, with its two oddities
// (U+017F is an s, U+212A a k).
bool fold_equal(std::string_view field, std::string_view key) noexcept;

// Size of the UTF-8 sequence at `at` (1 to 4); 0: it is none.
std::size_t utf8_size(const char* at, const char* end) noexcept;

// A cursor. Each take_* returns false, and stays where it was or within the bad token, if that token is not there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool at_end() const noexcept { return at_ == end_; }
  // The next character; 0 at the end.
  char peek() const noexcept { return at_ == end_ ? '\0' : *at_; }
  std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
  std::string_view since(std::size_t offset) const noexcept { return {begin_ + offset, at_}; }

  bool take(char expected) noexcept {
    if (at_ == end_ || *at_ != expected) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) noexcept {  // true, false, null
    if (!std::string_view(at_, end_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool take_string(String& string) noexcept;
  bool take_number(Number& number) noexcept;
  // Any value. `depth`: how many objects and arrays it is in already.
  bool skip_value(int depth) noexcept;

 private:
  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace wayport::framing::json_text
