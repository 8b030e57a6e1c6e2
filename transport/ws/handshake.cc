#include "wayport/transport/ws/handshake.h"

#include <openssl/sha.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <optional>

#include "wayport/framing/base64.h"

namespace wayport::transport::ws {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::string_view kVersion = "13";

class HttpCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "http"; }
  std::string message(int status) const override {
    return "HTTP " + std::to_string(status) + " " +
           std::string(http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status))));
  }
};

std::string base64(Bytes bytes) {
  std::string text(framing::base64_size(bytes.size()), '\0');
  framing::write_base64(text.data(), bytes);
  return text;
}

std::string accept_of(std::string_view key) {
  const std::string input = std::string(key) + std::string(kGuid);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  ::SHA1(reinterpret_cast<const unsigned char*>(input.data()), input.size(), digest.data());
  return base64(std::as_bytes(std::span(digest)));
}

std::string_view text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool same_letters(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// The value of a header that may come once; nullopt: none. `twice` is set if it came more often.
std::optional<std::string_view> single(const http::fields& fields, http::field name, bool& twice) {
  const auto range = fields.equal_range(name);
  if (range.first == range.second) return std::nullopt;
  if (std::next(range.first) != range.second) twice = true;
  return text_of(range.first->value());
}

// In one of the lists of that name.
bool has_token(const http::fields& fields, http::field name, std::string_view token) {
  const auto range = fields.equal_range(name);
  return std::any_of(range.first, range.second, [&](const auto& field) {
    return http::token_list(field.value()).exists({token.data(), token.size()});
  });
}

bool agrees(const std::string& ours, std::string_view offered) {
  if (ours.ends_with('*')) return offered.starts_with(std::string_view(ours).substr(0, ours.size() - 1));
  return ours == offered;
}

// Ours, best first, decide. nullopt: only others were offered.
std::optional<std::string> choose_protocol(const http::fields& fields, const WsOptions& options) {
  std::vector<std::string_view> offered;
  const auto range = fields.equal_range(http::field::sec_websocket_protocol);
  for (auto field = range.first; field != range.second; ++field) {
    for (const auto token : http::token_list(field->value())) offered.push_back(text_of(token));
  }
  if (offered.empty() || options.protocols.empty()) return "";
  for (const std::string& ours : options.protocols) {
    for (const std::string_view theirs : offered) {
      if (agrees(ours, theirs)) return std::string(theirs);
    }
  }
  return std::nullopt;
}

bool origin_allowed(std::string_view origin, std::string_view host, const WsOptions& options) {
  if (options.origins.empty()) {
    const std::size_t slashes = origin.find("://");
    return slashes != std::string_view::npos && same_letters(origin.substr(slashes + 3), host);
  }
  return std::ranges::any_of(
      options.origins, [&](const std::string& allowed) { return allowed == "*" || same_letters(allowed, origin); });
}

template <class Parser>
bool parse(Parser& parser, std::string_view head, const WsOptions& options) {
  parser.header_limit(static_cast<std::uint32_t>(options.header_bytes_max + 1));
  parser.body_limit(boost::none);
  boost::system::error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
  return !error && parser.is_header_done() && used == head.size();
}

}  // namespace

const std::error_category& http_category() noexcept {
  static const HttpCategory category;
  return category;
}

int status_of(const Error& error) noexcept {
  const int value = error.cause.value();
  if (error.cause.category() == http_category() && value >= 400 && value <= 599) return value;
  switch (error.code) {
    case ErrorCode::malformed:
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::refused:
      return 403;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::too_large:
      return 413;
    case ErrorCode::unsupported:
      return 501;
    case ErrorCode::unreachable:
    case ErrorCode::peer_closed:
      return 502;
    case ErrorCode::overloaded:
    case ErrorCode::local_closed:
    case ErrorCode::canceled:
      return 503;
    case ErrorCode::timed_out:
      return 504;
    case ErrorCode::io:
    case ErrorCode::internal:
      break;
  }
  return 500;
}

Error error_of_status(int status, std::string_view who) {
  ErrorCode code = ErrorCode::refused;
  if (status == 400 || status == 405 || status == 426 || status == 501) code = ErrorCode::unsupported;
  if (status == 404 || status == 410) code = ErrorCode::not_found;
  if (status == 408 || status == 504) code = ErrorCode::timed_out;
  if (status == 413 || status == 431) code = ErrorCode::too_large;
  if (status == 429 || status == 503) code = ErrorCode::overloaded;
  if (status == 502) code = ErrorCode::unreachable;
  if (status == 500) code = ErrorCode::io;
  std::string detail = "websocket upgrade was not accepted by " + std::string(who);
  if (status >= 300 && status < 400) detail += " (redirects are not followed)";
  return {code, std::move(detail), http_status(status)};
}

std::size_t find_head_end(Bytes bytes, std::size_t& scanned) noexcept {
  const std::string_view text = as_text(bytes);
  const std::size_t end = text.find("\r\n\r\n", scanned < 3 ? 0 : scanned - 3);
  scanned = text.size();
  return end == std::string_view::npos ? 0 : end + 4;
}

std::expected<UpgradeRequest, Refusal> read_request(std::string_view head, const WsOptions& options) {
  const auto refuse = [](int status, const char* why) { return std::unexpected(Refusal{status, why}); };
  if (head.size() > options.header_bytes_max) return refuse(431, "the head is larger than header_bytes_max");
  http::request_parser<http::empty_body> parser;
  if (!parse(parser, head, options)) return refuse(400, "not HTTP, or HTTP with a body");
  const auto& request = parser.get();
  const http::fields& fields = request;
  if (request.version() != 11) return refuse(400, "not HTTP/1.1");
  if (request.method() != http::verb::get) return refuse(405, "the method is not GET");
  if (parser.chunked() || parser.content_length().value_or(0) != 0) return refuse(400, "an upgrade has no body");
  const std::string_view target = text_of(request.target());
  if (!target.starts_with('/')) return refuse(400, "the target is no path");
  for (const auto& field : fields) {
    if (field.value().size() > WsOptions::kHeaderValueBytesMax) return refuse(400, "a header has more than 4096 bytes");
  }
  if (!has_token(fields, http::field::upgrade, "websocket")) return refuse(426, "no upgrade to websocket is asked for");
  if (!has_token(fields, http::field::connection, "upgrade")) return refuse(400, "Connection does not say upgrade");
  bool twice = false;
  const auto host = single(fields, http::field::host, twice);
  const auto key = single(fields, http::field::sec_websocket_key, twice);
  const auto version = single(fields, http::field::sec_websocket_version, twice);
  const auto origin = single(fields, http::field::origin, twice);
  if (twice) return refuse(400, "a header that may come once came twice");
  if (!host || host->empty()) return refuse(400, "no Host");
  if (!version || *version != kVersion) return refuse(426, "not version 13");
  if (!key) return refuse(400, "no Sec-WebSocket-Key");
  if (const auto decoded = framing::from_base64(*key); !decoded || decoded->size() != 16) {
    return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64");
  }
  UpgradeRequest upgrade{.http = std::make_unique<HttpRequest>(), .key = std::string(*key)};
  upgrade.http->target = target;
  upgrade.http->host = *host;
  if (!options.target.empty() && upgrade.http->path() != options.target) return refuse(404, "another path");
  if (origin && !origin_allowed(*origin, *host, options)) return refuse(403, "the origin is not allowed");
  auto protocol = choose_protocol(fields, options);
  if (!protocol) return refuse(400, "only other sub-protocols are offered");
  upgrade.http->subprotocol = *std::move(protocol);
  for (const auto& field : fields) {
    upgrade.http->headers.emplace_back(text_of(field.name_string()), text_of(field.value()));
  }
  return upgrade;
}

std::string upgrade_response(const UpgradeRequest& request) {
  std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
      accept_of(request.key) + "\r\n";
  if (!request.http->subprotocol.empty()) text += "Sec-WebSocket-Protocol: " + request.http->subprotocol + "\r\n";
  return text + "\r\n";
}

std::string refusal_response(int status) {
  const std::string phrase = std::to_string(status) + " " +
                             std::string(http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status))));
  std::string text = "HTTP/1.1 " + phrase + "\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: " +
                     std::to_string(phrase.size() + 1) + "\r\n";
  if (status == 405) text += "Allow: GET\r\n";
  if (status == 426) text += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  return text + "\r\n" + phrase + "\n";
}

std::string make_key(const std::array<std::byte, 16>& random) { return base64(random); }

std::string request_text(const WsOptions& options, const std::string& key) {
  std::string text = "GET " + options.target + " HTTP/1.1\r\nHost: " + options.host +
                     "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + key +
                     "\r\nSec-WebSocket-Version: 13\r\n";
  std::string offered;
  for (const std::string& protocol : options.protocols) offered += (offered.empty() ? "" : ", ") + protocol;
  if (!offered.empty()) text += "Sec-WebSocket-Protocol: " + offered + "\r\n";
  for (const std::string& origin : options.origins) text += "Origin: " + origin + "\r\n";
  for (const auto& [name, value] : options.headers) text += name + ": " + value + "\r\n";
  return text + "\r\n";
}

Result<std::string> read_response(std::string_view head, const WsOptions& options, const std::string& key,
                                  const std::string& who) {
  const auto broken = [&](const std::string& what) {
    return wayport::fail(ErrorCode::malformed, "websocket upgrade by " + who + ": " + what);
  };
  if (head.size() > options.header_bytes_max) {
    return wayport::fail(ErrorCode::too_large, "websocket upgrade by " + who + ": its head is larger than " +
                                                   std::to_string(options.header_bytes_max) + " bytes (head)");
  }
  http::response_parser<http::empty_body> parser;
  if (!parse(parser, head, options)) return broken("the answer is not HTTP");
  const auto& response = parser.get();
  const http::fields& fields = response;
  const auto status = static_cast<int>(response.result_int());
  if (status != 101) return wayport::fail(error_of_status(status, who));
  if (response.version() != 11 || !has_token(fields, http::field::upgrade, "websocket") ||
      !has_token(fields, http::field::connection, "upgrade")) {
    return broken("status 101 without an upgrade to websocket");
  }
  bool twice = false;
  const auto accept = single(fields, http::field::sec_websocket_accept, twice);
  const auto protocol = single(fields, http::field::sec_websocket_protocol, twice);
  if (twice || !accept || *accept != accept_of(key)) return broken("Sec-WebSocket-Accept does not fit our key");
  if (fields.find(http::field::sec_websocket_extensions) != fields.end()) {
    return broken("it uses an extension that was not offered");
  }
  if (!protocol) return std::string();
  if (std::ranges::find(options.protocols, *protocol) == options.protocols.end()) {
    return broken("it chose the sub-protocol \"" + escape(*protocol) + "\", which was not offered");
  }
  return std::string(*protocol);
}

}  // namespace wayport::transport::ws
