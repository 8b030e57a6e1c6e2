#include "wayport/framing/teleport/header_json.h"

#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include "wayport/framing/json_text.h"

namespace wayport::framing {
namespace {

using json_text::Scanner;

// In the order of the wire.
enum class Field : std::uint8_t { seq, type, uri, gzip, status_code, status, unknown };
constexpr std::string_view kNames[] = {"seq", "type", "uri", "gzip", "status_code", "status"};

class Writer {
 public:
  explicit Writer(char* to) noexcept : at_(to) { *at_++ = '{'; }

  template <class Int>
  void number(std::string_view quoted_key, Int value) noexcept {
    if (value == 0) return;
    key(quoted_key);
    at_ = std::to_chars(at_, at_ + json_text::kNumberCharsMax, value).ptr;
  }
  void string(std::string_view quoted_key, std::string_view value) noexcept {
    if (value.empty()) return;
    key(quoted_key);
    *at_++ = '"';
    at_ = json_text::write_escaped(at_, value);
    *at_++ = '"';
  }
  char* end() noexcept {
    *at_++ = '}';
    return at_;
  }

 private:
  void key(std::string_view quoted_key) noexcept {
    if (!first_) *at_++ = ',';
    first_ = false;
    std::memcpy(at_, quoted_key.data(), quoted_key.size());
    at_ += quoted_key.size();
  }

  char* at_;
  bool first_ = true;
};

// Braces, all keys with quotes and commas, all numbers at their longest.
constexpr std::size_t kWithoutStringsMax =
    2 + sizeof(R"("seq":,"type":,"uri":"","gzip":,"status_code":,"status":"",)") + 20 + 3 * 11;
static_assert(std::numeric_limits<std::uint64_t>::digits10 + 1 == 20);
static_assert(std::numeric_limits<std::int32_t>::digits10 + 2 == 11);  // and a sign

constexpr std::size_t kKeptCharsMax = 64 * 1024;

std::optional<Field> exact_field(std::string_view key) noexcept {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (key == kNames[i]) return static_cast<Field>(i);
  }
  return std::nullopt;
}

class Reader {
 public:
  Reader(std::string_view from, std::string& text, PacketHeader& header) noexcept
      : scanner_(from), text_(text), header_(header) {}

  Result<void> read() {
    // One huge header must not hold memory for ever.
    if (text_.capacity() > kKeptCharsMax) std::string().swap(text_);
    text_.clear();
    header_ = {};
    scanner_.skip_space();
    if (scanner_.peek() == 'n') {  // null for the whole header leaves every field zero, as any null does
      if (!scanner_.take_word("null")) return syntax("a value");
    } else {
      WAYPORT_TRY(object());
    }
    scanner_.skip_space();
    if (!scanner_.at_end()) return syntax("the end");
    // Only now does the storage stay where it is.
    if (uri_) header_.uri = std::string_view(text_).substr(uri_->at, uri_->size);
    if (status_) header_.status = std::string_view(text_).substr(status_->at, status_->size);
    return {};
  }

 private:
  struct Stored {
    std::size_t at;
    std::size_t size;
  };

  std::unexpected<Error> syntax(const char* wanted) const {
    return fail(ErrorCode::malformed, std::string("json header: ") + wanted + " expected at byte " +
                                          std::to_string(scanner_.offset()) + " of the header");
  }

  Result<void> object() {
    if (!scanner_.take('{')) return syntax("an object");
    scanner_.skip_space();
    if (scanner_.take('}')) return {};
    do {
      scanner_.skip_space();
      json_text::String key;
      if (!scanner_.take_string(key)) return syntax("a key");
      scanner_.skip_space();
      if (!scanner_.take(':')) return syntax("':'");
      scanner_.skip_space();
      WAYPORT_TRY(value(field_of(key)));
      scanner_.skip_space();
    } while (scanner_.take(','));
    if (!scanner_.take('}')) return syntax("',' or '}'");
    return {};
  }

  Field field_of(const json_text::String& key) {
    if (key.plain) {
      if (const auto field = exact_field(key.raw)) return *field;
      return folded_field(key.raw);
    }
    const std::size_t before = text_.size();
    json_text::append_unescaped(key.raw, text_);
    const std::string_view name = std::string_view(text_).substr(before);
    const auto exact = exact_field(name);
    const Field field = exact ? *exact : folded_field(name);
    text_.resize(before);
    return field;
  }
  static Field folded_field(std::string_view key) noexcept {
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
      if (json_text::fold_equal(kNames[i], key)) return static_cast<Field>(i);
    }
    return Field::unknown;
  }

  Result<void> value(Field field) {
    if (field == Field::unknown) {
      // One level is the header's own.
      return scanner_.skip_value(1) ? Result<void>() : Result<void>(syntax("a value nested at most 64 deep"));
    }
    if (scanner_.peek() == 'n') return scanner_.take_word("null") ? Result<void>() : Result<void>(syntax("a value"));
    switch (field) {
      case Field::seq:
        return number(field, header_.seq);
      case Field::type:
        return number(field, header_.type);
      case Field::uri:
        return string(field, header_.uri, uri_);
      case Field::gzip:
        return number(field, header_.gzip);
      case Field::status_code:
        return number(field, header_.status_code);
      case Field::status:
        return string(field, header_.status, status_);
      case Field::unknown:
        break;
    }
    return {};
  }

  template <class Int>
  Result<void> number(Field field, Int& to) {
    const Scanner before = scanner_;
    json_text::Number read;
    if (scanner_.take_number(read) && read.whole) {
      const char* const end = read.text.data() + read.text.size();
      const auto parsed = std::from_chars(read.text.data(), end, to);
      if (parsed.ec == std::errc() && parsed.ptr == end) return {};
    }
    return wrong(field, before,
                 "a whole number from " + std::to_string(std::numeric_limits<Int>::min()) + " to " +
                     std::to_string(std::numeric_limits<Int>::max()));
  }

  Result<void> string(Field field, std::string_view& to, std::optional<Stored>& stored) {
    const Scanner before = scanner_;
    json_text::String read;
    if (!scanner_.take_string(read)) return wrong(field, before, "a string");
    if (read.plain) {
      to = read.raw;
      stored.reset();
      return {};
    }
    stored = Stored{text_.size(), 0};
    json_text::append_unescaped(read.raw, text_);
    stored->size = text_.size() - stored->at;
    return {};
  }

  std::unexpected<Error> wrong(Field field, const Scanner& value, const std::string& wanted) const {
    Scanner end = value;
    if (!end.skip_value(1)) end = scanner_;
    return fail(ErrorCode::malformed, "json header: " + std::string(kNames[static_cast<std::size_t>(field)]) +
                                          " must be " + wanted + ", got " + escape(end.since(value.offset()), 64));
  }

  Scanner scanner_;
  std::string& text_;
  PacketHeader& header_;
  std::optional<Stored> uri_;
  std::optional<Stored> status_;
};

}  // namespace

std::size_t header_json_size_max(const PacketHeader& header) noexcept {
  return kWithoutStringsMax + json_text::escaped_size(header.uri) + json_text::escaped_size(header.status);
}

char* write_header_json(char* to, const PacketHeader& header) noexcept {
  Writer writer(to);
  writer.number(R"("seq":)", header.seq);
  writer.number(R"("type":)", header.type);
  writer.string(R"("uri":)", header.uri);
  writer.number(R"("gzip":)", header.gzip);
  writer.number(R"("status_code":)", header.status_code);
  writer.string(R"("status":)", header.status);
  return writer.end();
}

Result<void> read_header_json(std::string_view from, std::string& text, PacketHeader& header) {
  return Reader(from, text, header).read();
}

}  // namespace wayport::framing
