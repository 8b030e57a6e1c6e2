#include "wayport/tools/wayport/interop/teleport_body.h"

#include <charconv>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_json.h"

namespace wayport::tools::interop {
namespace {

Result<std::int64_t> parse_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return fail(ErrorCode::malformed, "\"" + escape(text) + "\" is no decimal number");
}

template <class T>
std::string json_text(const T& value) {
  Chain chain;
  const Result<void> written = framing::JsonCodec().encode({&framing::body_ops<T>(), &value}, chain);
  WAYPORT_ASSERT(written.has_value(), "texts and numbers have a JSON form");
  std::string text;
  for (; !chain.empty(); chain.consume(chain.front().size())) text += as_text(chain.front());
  return text;
}

std::unexpected<Error> unknown_codec(std::uint8_t codec) {
  return fail(ErrorCode::unsupported, "a body in codec " + std::to_string(codec));
}

}  // namespace

framing::RawBody encode(std::uint8_t codec, const Value& value) {
  const std::string* const text = std::get_if<std::string>(&value);
  const std::int64_t number = text != nullptr ? 0 : std::get<std::int64_t>(value);
  if (codec == framing::kCodecJson) return {codec, text != nullptr ? json_text(*text) : json_text(number)};
  if (codec == framing::kCodecString) return {codec, text != nullptr ? *text : std::to_string(number)};
  WAYPORT_ASSERT(codec == framing::kCodecProtobuf, "settings name one of three codecs");
  Body body;
  if (text != nullptr) body.set_data(*text);
  body.set_number(number);
  return {codec, body.SerializeAsString()};
}

Result<std::string> text_of(const rpc::Context& context) {
  switch (context.body_codec()) {
    case 0:
      return std::string();
    case framing::kCodecJson:
    case framing::kCodecString:
      return context.bind<std::string>();
    case framing::kCodecProtobuf: {
      WAYPORT_TRY_ASSIGN(Body body, context.bind<Body>());
      return std::move(*body.mutable_data());
    }
    default:
      return unknown_codec(context.body_codec());
  }
}

Result<std::int64_t> number_of(const rpc::Context& context) {
  switch (context.body_codec()) {
    case framing::kCodecJson:
      return context.bind<std::int64_t>();
    case framing::kCodecString: {
      WAYPORT_TRY_ASSIGN(const std::string text, context.bind<std::string>());
      return parse_number(text);
    }
    case framing::kCodecProtobuf: {
      WAYPORT_TRY_ASSIGN(const Body body, context.bind<Body>());
      return body.number();
    }
    default:
      return unknown_codec(context.body_codec());
  }
}

namespace detail {

void answer_to(std::string& to, const Body& from) { to = from.data(); }
void answer_to(std::int64_t& to, const Body& from) { to = from.number(); }

rpc::Reply<std::string> plain_answer(rpc::Reply<std::string> reply, std::string*) { return reply; }
rpc::Reply<std::int64_t> plain_answer(rpc::Reply<std::string> reply, std::int64_t*) {
  if (!reply) return reply.status();
  Result<std::int64_t> number = parse_number(*reply);
  if (!number) return rpc::Status::make(rpc::code::kBadReply, number.error().detail);
  return *number;
}

}  // namespace detail

}  // namespace wayport::tools::interop
