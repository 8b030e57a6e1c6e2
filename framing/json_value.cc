#include "wayport/framing/json_value.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <charconv>
#include <cmath>
#include <string>

#include "wayport/framing/json_text.h"

namespace wayport::framing {
namespace {

namespace json = boost::json;
using json_text::kNestingMax;

class Parser {
 public:
  explicit Parser(std::string_view text) noexcept : scanner_(text) {}

  Result<void> parse(json::value& to) {
    scanner_.skip_space();
    WAYPORT_TRY(value(to, 0));
    scanner_.skip_space();
    if (!scanner_.at_end()) return syntax("the end");
    return {};
  }

 private:
  std::unexpected<Error> syntax(const char* wanted) const {
    return fail(ErrorCode::malformed,
                std::string("json: ") + wanted + " expected at byte " + std::to_string(scanner_.offset()));
  }

  // At its first character. `depth`: objects and arrays around it.
  Result<void> value(json::value& to, int depth) {
    switch (scanner_.peek()) {
      case '{':
        return object(to, depth);
      case '[':
        return array(to, depth);
      case '"': {
        json_text::String string;
        if (!scanner_.take_string(string)) return syntax("a string");
        const std::string_view text = text_of(string);
        to.emplace_string().assign(text.data(), text.size());
        return {};
      }
      case 't':
        if (!scanner_.take_word("true")) return syntax("a value");
        to = true;
        return {};
      case 'f':
        if (!scanner_.take_word("false")) return syntax("a value");
        to = false;
        return {};
      case 'n':
        if (!scanner_.take_word("null")) return syntax("a value");
        to = nullptr;
        return {};
      default:
        return number(to);
    }
  }

  Result<void> number(json::value& to) {
    json_text::Number number;
    if (!scanner_.take_number(number)) return syntax("a value");
    const char* const begin = number.text.data();
    const char* const end = begin + number.text.size();
    if (number.whole && number.text != "-0") {  // that one has a sign only as a double
      std::int64_t signed_value = 0;
      if (std::from_chars(begin, end, signed_value).ec == std::errc()) {
        to = signed_value;
        return {};
      }
      std::uint64_t unsigned_value = 0;
      const auto parsed = std::from_chars(begin, end, unsigned_value);
      if (parsed.ec == std::errc() && parsed.ptr == end) {
        to = unsigned_value;
        return {};
      }
    }
    double real = 0;
    if (json_text::parse_double(number.text, real) != json_text::NumberFit::ok) {
      return fail(ErrorCode::malformed, "json: " + escape(number.text, 64) + " is beyond the range of a double");
    }
    to = real;
    return {};
  }

  Result<void> array(json::value& to, int depth) {
    WAYPORT_TRY(enter(depth));
    scanner_.take('[');
    json::array& array = to.emplace_array();
    scanner_.skip_space();
    if (scanner_.take(']')) return {};
    do {
      scanner_.skip_space();
      WAYPORT_TRY(value(array.emplace_back(nullptr), depth + 1));
      scanner_.skip_space();
    } while (scanner_.take(','));
    return scanner_.take(']') ? Result<void>() : Result<void>(syntax("',' or ']'"));
  }

  Result<void> object(json::value& to, int depth) {
    WAYPORT_TRY(enter(depth));
    scanner_.take('{');
    json::object& object = to.emplace_object();
    scanner_.skip_space();
    if (scanner_.take('}')) return {};
    do {
      scanner_.skip_space();
      json_text::String string;
      if (!scanner_.take_string(string)) return syntax("a key");
      const std::string_view key = text_of(string);
      json::value& member = object.emplace({key.data(), key.size()}, nullptr).first->value();
      scanner_.skip_space();
      if (!scanner_.take(':')) return syntax("':'");
      scanner_.skip_space();
      WAYPORT_TRY(value(member, depth + 1));
      scanner_.skip_space();
    } while (scanner_.take(','));
    return scanner_.take('}') ? Result<void>() : Result<void>(syntax("',' or '}'"));
  }

  Result<void> enter(int depth) const {
    if (depth < kNestingMax) return {};
    return fail(ErrorCode::malformed, "json: nested more than " + std::to_string(kNestingMax) + " deep");
  }

  std::string_view text_of(const json_text::String& string) {
    if (string.plain) return string.raw;
    unescaped_.clear();
    json_text::append_unescaped(string.raw, unescaped_);
    return unescaped_;
  }

  json_text::Scanner scanner_;
  std::string unescaped_;
};

class Writer {
 public:
  explicit Writer(Chain& to) noexcept : to_(to) {}

  Result<void> write(const json::value& value) {
    WAYPORT_TRY(write(value, 0));
    to_.commit(used_);
    return {};
  }

 private:
  Result<void> write(const json::value& value, int depth) {
    switch (value.kind()) {
      case json::kind::null:
        put("null");
        return {};
      case json::kind::bool_:
        put(value.get_bool() ? "true" : "false");
        return {};
      case json::kind::int64:
        integer(value.get_int64());
        return {};
      case json::kind::uint64:
        integer(value.get_uint64());
        return {};
      case json::kind::double_: {
        const double real = value.get_double();
        if (!std::isfinite(real)) return fail(ErrorCode::invalid_argument, "json has no infinity and no NaN");
        char* const at = room(json_text::kNumberCharsMax);
        wrote(json_text::write_double(at, real));
        return {};
      }
      case json::kind::string:
        string({value.get_string().data(), value.get_string().size()});
        return {};
      case json::kind::array: {
        WAYPORT_TRY(enter(depth));
        char before = '[';
        for (const json::value& element : value.get_array()) {
          put({&before, 1});
          before = ',';
          WAYPORT_TRY(write(element, depth + 1));
        }
        put(before == '[' ? "[]" : "]");
        return {};
      }
      case json::kind::object: {
        WAYPORT_TRY(enter(depth));
        char before = '{';
        for (const json::key_value_pair& member : value.get_object()) {
          put({&before, 1});
          before = ',';
          string({member.key().data(), member.key().size()});
          put(":");
          WAYPORT_TRY(write(member.value(), depth + 1));
        }
        put(before == '{' ? "{}" : "}");
        return {};
      }
    }
    return {};
  }

  Result<void> enter(int depth) const {
    if (depth < kNestingMax) return {};
    return fail(ErrorCode::invalid_argument, "json: nested more than " + std::to_string(kNestingMax) + " deep");
  }

  template <class Int>
  void integer(Int value) {
    char* const at = room(json_text::kNumberCharsMax);
    wrote(std::to_chars(at, at + json_text::kNumberCharsMax, value).ptr);
  }

  void string(std::string_view text) {
    // In slices, so that a long text needs no long contiguous piece. A slice ends between characters.
    constexpr std::size_t kSlice = 2048;
    put("\"");
    while (!text.empty()) {
      std::string_view slice = text.substr(0, kSlice);
      if (slice.size() < text.size()) slice.remove_suffix(cut_character(slice));
      char* const at = room(json_text::escaped_size(slice));
      wrote(json_text::write_escaped(at, slice));
      text.remove_prefix(slice.size());
    }
    put("\"");
  }
  // Bytes at the end that may belong to a character that goes on after it; at most three.
  static std::size_t cut_character(std::string_view text) noexcept {
    for (std::size_t back = 1; back <= 3; ++back) {
      const auto byte = static_cast<unsigned char>(text[text.size() - back]);
      if (byte >= 0xc0) return back;
      if (byte < 0x80) return 0;
    }
    return 0;
  }

  void put(std::string_view text) {
    std::copy(text.begin(), text.end(), room(text.size()));
    used_ += text.size();
  }
  char* room(std::size_t size) {
    if (room_.size() - used_ < size) {
      to_.commit(used_);
      total_ += used_;
      used_ = 0;
      room_ = to_.prepare(std::max(size, std::clamp<std::size_t>(total_, 512, 16 * 1024)));
    }
    return reinterpret_cast<char*>(room_.data()) + used_;
  }
  void wrote(const char* end) noexcept {
    used_ = static_cast<std::size_t>(end - reinterpret_cast<const char*>(room_.data()));
  }

  Chain& to_;
  MutableBytes room_;
  std::size_t used_ = 0;
  std::size_t total_ = 0;
};

}  // namespace

Result<void> parse_json(std::string_view text, json::value& to) { return Parser(text).parse(to); }

Result<void> write_json(const json::value& value, Chain& to) { return Writer(to).write(value); }

}  // namespace wayport::framing
