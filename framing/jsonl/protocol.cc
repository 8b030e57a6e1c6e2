#include "wayport/framing/jsonl/protocol.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "wayport/framing/base64.h"
#include "wayport/framing/json_text.h"

namespace wayport::framing {
namespace {

using json_text::Scanner;

constinit const JsonLinesProtocol kProtocol{};

constexpr std::pair<std::string_view, std::int32_t> kTypes[] = {
    {"pull", kTypePull}, {"reply", kTypeReply}, {"push", kTypePush}};
// Storage of more than this is given back.
constexpr std::size_t kKeptCharsMax = 64 * 1024;

std::unexpected<Error> bad_line(const std::string& what) { return fail(ErrorCode::malformed, "json line: " + what); }

class LineReader {
 public:
  LineReader(std::string_view line, ProtocolContext& context, PacketView& packet)
      : scanner_(line), context_(context), text_(context.text), packet_(packet) {
    if (text_.capacity() > kKeptCharsMax) std::string().swap(text_);
    text_.clear();
    packet_ = {};
  }

  Result<void> read() {
    scanner_.skip_space();
    if (!scanner_.take('{')) return syntax("an object");
    scanner_.skip_space();
    if (!scanner_.take('}')) {
      do {
        scanner_.skip_space();
        json_text::String key;
        if (!scanner_.take_string(key)) return syntax("a key");
        scanner_.skip_space();
        if (!scanner_.take(':')) return syntax("':'");
        scanner_.skip_space();
        WAYPORT_TRY(member(unescaped(key)));
        scanner_.skip_space();
      } while (scanner_.take(','));
      if (!scanner_.take('}')) return syntax("',' or '}'");
    }
    scanner_.skip_space();
    if (!scanner_.at_end()) return syntax("the end");
    return finish();
  }

 private:
  struct Stored {
    std::size_t at = 0;
    std::size_t size = 0;
  };

  std::unexpected<Error> syntax(const char* wanted) const {
    return bad_line(std::string(wanted) + " expected at byte " + std::to_string(scanner_.offset()));
  }

  std::string unescaped(const json_text::String& string) {
    if (string.plain) return std::string(string.raw);
    std::string value;
    json_text::append_unescaped(string.raw, value);
    return value;
  }

  Result<void> member(const std::string& key) {
    if (key == "body") {
      const std::size_t at = scanner_.offset();
      if (!scanner_.skip_value(0)) return syntax("a value nested at most 64 deep");
      body_ = scanner_.since(at);
      return {};
    }
    if (scanner_.peek() == 'n') return scanner_.take_word("null") ? Result<void>() : Result<void>(syntax("a value"));
    PacketHeader& header = packet_.header;
    if (key == "seq") return number(key, header.seq);
    if (key == "type") return scanner_.peek() == '"' ? type_name() : number(key, header.type);
    if (key == "uri") return string(key, uri_);
    if (key == "gzip") return number(key, header.gzip);
    if (key == "status_code") return number(key, header.status_code);
    if (key == "status") return string(key, status_);
    if (key == "codec") return scanner_.peek() == '"' ? codec_name() : codec_id();
    return scanner_.skip_value(1) ? Result<void>() : Result<void>(syntax("a value nested at most 64 deep"));
  }

  template <class Int>
  Result<void> number(const std::string& key, Int& to, Int min = std::numeric_limits<Int>::min()) {
    json_text::Number read;
    Int value{};
    if (scanner_.take_number(read) && read.whole) {
      const char* const end = read.text.data() + read.text.size();
      const auto parsed = std::from_chars(read.text.data(), end, value);
      if (parsed.ec == std::errc() && parsed.ptr == end && value >= min) {
        to = value;
        return {};
      }
    }
    return bad_line(key + " must be a whole number from " + std::to_string(min) + " to " +
                    std::to_string(std::numeric_limits<Int>::max()));
  }
  Result<void> codec_id() {
    std::uint8_t id = 0;
    WAYPORT_TRY(number<std::uint8_t>("codec", id, 1));
    codec_ = id;
    return {};
  }

  Result<void> string(const std::string& key, Stored& to) {
    json_text::String read;
    if (!scanner_.take_string(read)) return bad_line(key + " must be a string");
    to = store([&] { json_text::append_unescaped(read.raw, text_); });
    return {};
  }

  Result<void> type_name() {
    json_text::String read;
    if (!scanner_.take_string(read)) return syntax("a string");
    const std::string value = unescaped(read);
    for (const auto& [name, type] : kTypes) {
      if (value == name) {
        packet_.header.type = type;
        return {};
      }
    }
    return bad_line("type must be \"pull\", \"reply\", \"push\" or a number, got \"" + escape(value, 64) + "\"");
  }
  Result<void> codec_name() {
    json_text::String read;
    if (!scanner_.take_string(read)) return syntax("a string");
    const std::string value = unescaped(read);
    const Codec* const codec = context_.codecs.find(std::string_view(value));
    if (codec == nullptr)
      return fail(ErrorCode::unsupported, "json line: no codec named \"" + escape(value, 64) + "\"");
    codec_ = codec->id();
    return {};
  }

  // The views are made when the storage has stopped moving.
  Result<void> finish() {
    Stored body;
    if (body_ && !codec_) codec_ = kCodecJson;
    if (codec_) {
      std::string decoded;
      const bool as_json = *codec_ == kCodecJson && packet_.header.gzip == 0;
      if (body_ && !as_json) WAYPORT_TRY(base64(decoded));
      body = store([&] {
        text_.push_back(static_cast<char>(*codec_));
        if (body_) text_.append(as_json ? *body_ : std::string_view(decoded));
      });
    }
    const auto view = [this](const Stored& stored) { return std::string_view(text_).substr(stored.at, stored.size); };
    packet_.header.uri = view(uri_);
    packet_.header.status = view(status_);
    if (codec_) {
      packet_.has_body_codec = true;
      packet_.body_codec = *codec_;
      packet_.body_with_codec = as_bytes(view(body));
      packet_.body = packet_.body_with_codec.subspan(1);
    }
    packet_.header_codec = kCodecJson;
    return {};
  }

  Result<void> base64(std::string& to) {
    Scanner body(*body_);
    json_text::String read;
    if (body.take_string(read)) {
      // A writer may have escaped the slashes.
      if (std::optional<std::string> bytes = from_base64(unescaped(read))) {
        to = *std::move(bytes);
        return {};
      }
    }
    return bad_line("body must be base64 in a string, unless the codec is json");
  }

  template <class Append>
  Stored store(Append append) {
    const std::size_t at = text_.size();
    append();
    return {at, text_.size() - at};
  }

  Scanner scanner_;
  ProtocolContext& context_;
  std::string& text_;
  PacketView& packet_;
  Stored uri_;
  Stored status_;
  std::optional<std::uint8_t> codec_;
  std::optional<std::string_view> body_;
};

// Builds a line; small and plain rather than fast.
class LineWriter {
 public:
  std::string line = "{";

  template <class Int>
  void number(std::string_view key, Int value) {
    if (value == 0) return;
    begin(key);
    line += std::to_string(value);
  }
  void string(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    begin(key);
    quote(value);
  }
  void begin(std::string_view key) {
    if (line.size() > 1) line += ',';
    quote(key);
    line += ':';
  }
  void quote(std::string_view value) {
    line += '"';
    const std::size_t at = line.size();
    line.resize(at + json_text::escaped_size(value));
    json_text::write_escaped(line.data() + at, value);
    line += '"';
  }
  void base64(std::string_view bytes) {
    line += '"';
    const std::size_t at = line.size();
    line.resize(at + base64_size(bytes.size()));
    write_base64(line.data() + at, as_bytes(bytes));
    line += '"';
  }
  // False: it is none.
  bool json(std::string_view text) {
    Scanner scanner(text);
    if (!scanner.skip_value(0)) return false;
    scanner.skip_space();
    if (!scanner.at_end()) return false;
    const std::size_t at = line.size();
    line += text;
    // In good JSON line ends stand only between tokens.
    std::replace_if(
        line.begin() + static_cast<std::ptrdiff_t>(at), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return true;
  }
};

// A body as bytes: codec id and what follows it.
struct EncodedBody {
  std::uint8_t codec_id = 0;
  std::string bytes{};
};

Result<std::optional<EncodedBody>> encode_body(const OutgoingBody& body) {
  EncodedBody encoded{.codec_id = body.codec != nullptr ? body.codec->id() : body.codec_id};
  switch (body.form) {
    case OutgoingBody::Form::none:
      return std::nullopt;
    case OutgoingBody::Form::codec_only:
      break;
    case OutgoingBody::Form::encoded:
      encoded.bytes = as_text(body.bytes);
      break;
    case OutgoingBody::Form::verbatim:
      if (body.bytes.empty()) return std::nullopt;
      encoded.codec_id = static_cast<std::uint8_t>(body.bytes[0]);
      encoded.bytes = as_text(body.bytes.subspan(1));
      break;
    case OutgoingBody::Form::value: {
      if (body.codec == nullptr) return fail(ErrorCode::invalid_argument, "json line: a value needs a codec");
      Chain chain;
      WAYPORT_TRY(body.codec->encode(body.value, chain));
      encoded.bytes = chain.to_string();
      break;
    }
  }
  if (encoded.codec_id == 0) return fail(ErrorCode::invalid_argument, "json line: body codec id 0 means \"no codec\"");
  return encoded;
}

}  // namespace

Result<std::size_t> JsonLinesProtocol::decode(Bytes in, ProtocolContext& context, DecodeState& state,
                                              PacketView& packet) const {
  const std::size_t limit = context.limits.packet_bytes_max;
  const std::string_view shown = as_text(limit == 0 ? in : in.first(std::min(in.size(), limit)));
  const std::size_t end = shown.find('\n', state.scanned);
  if (end == std::string_view::npos) {
    if (limit != 0 && in.size() >= limit) {
      return fail(ErrorCode::too_large,
                  "json line: no end within the limit of " + std::to_string(limit) + " bytes (packet_bytes_max)");
    }
    state.scanned = in.size();
    return std::size_t{0};
  }
  WAYPORT_TRY(LineReader(shown.substr(0, end), context, packet).read());
  packet.size = end + 1;
  return packet.size;
}

Result<void> JsonLinesProtocol::encode(const OutgoingPacket& packet, ProtocolContext& context, Chain& to) const {
  const PacketHeader& header = packet.header;
  LineWriter writer;
  writer.number("seq", header.seq);
  const auto named =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& type) { return type.second == header.type; });
  if (named != std::end(kTypes)) {
    writer.string("type", named->first);
  } else {
    writer.number("type", header.type);
  }
  writer.string("uri", header.uri);
  writer.number("status_code", header.status_code);
  writer.string("status", header.status);

  WAYPORT_TRY_ASSIGN(const std::optional<EncodedBody> body, encode_body(packet.body));
  if (body) {
    // Bytes that are passed on may be compressed; what is encoded here is not.
    const bool passed_on = packet.body.form == OutgoingBody::Form::verbatim && header.gzip != 0;
    if (passed_on) writer.number("gzip", header.gzip);
    if (const Codec* codec = context.codecs.find(body->codec_id)) {
      writer.string("codec", codec->name());
    } else {
      writer.number("codec", body->codec_id);
    }
    if (!body->bytes.empty()) {
      writer.begin("body");
      if (body->codec_id != kCodecJson || passed_on) {
        writer.base64(body->bytes);
      } else if (!writer.json(body->bytes)) {
        return fail(ErrorCode::invalid_argument, "json line: the body with codec json is no JSON");
      }
    }
  }
  writer.line += "}\n";
  to.append(std::move(writer.line));
  return {};
}

const JsonLinesProtocol& jsonl_protocol() noexcept { return kProtocol; }

}  // namespace wayport::framing
