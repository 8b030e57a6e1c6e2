#include "wayport/transport/ws/ws_options.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/transport/parameters.h"

namespace wayport::transport {
namespace {

const std::initializer_list<std::string_view> kOwn = {"message",      "head",       "text",     "messages", "ping",
                                                      "ping_timeout", "close_wait", "protocol", "origin",   "header",
                                                      "query",        "host",       "target"};
const std::initializer_list<std::string_view> kDialOnly = {"header", "query", "host"};

bool contains(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Of the parameters that are websocket's own: each where it belongs, and once but for the repeatable.
Result<void> check_own(const Address& address, bool dialing) {
  std::vector<std::string_view> seen;
  for (const auto& [key, value] : address.parameters()) {
    if (!contains(kOwn, key)) continue;
    if (!dialing && contains(kDialOnly, key)) {
      // Not bad_parameter(): values of these may be secrets.
      return fail(ErrorCode::invalid_argument, address.scheme() + " address: \"" + key + "\" is for dialing");
    }
    const bool repeatable = key == "protocol" || key == "header" || (key == "origin" && !dialing);
    if (!repeatable && std::ranges::find(seen, key) != seen.end()) {
      return fail(ErrorCode::invalid_argument, address.scheme() + " address: parameter \"" + key + "\" is given twice");
    }
    seen.push_back(key);
  }
  return {};
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
}
// What may stand in a line of HTTP.
bool is_line(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}
bool is_target(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

std::string encoded_path(std::string_view path) {
  std::string encoded;
  for (const char c : path) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~/:@!$&'()*+,;=").contains(c);
    if (plain) {
      encoded += c;
    } else {
      encoded += "%" + to_hex(as_bytes(std::string_view(&c, 1)));
    }
  }
  return encoded;
}

Result<void> read_flag(const Address& address, std::string_view key, bool& into) {
  WAYPORT_TRY_ASSIGN(const auto value, bool_parameter(address, key));
  into = value.value_or(into);
  return {};
}
Result<void> read_time(const Address& address, std::string_view key, Duration& into) {
  WAYPORT_TRY_ASSIGN(const auto value, duration_parameter(address, key));
  into = value.value_or(into);
  return {};
}
Result<void> read_size(const Address& address, std::string_view key, std::size_t& into) {
  WAYPORT_TRY_ASSIGN(const auto value, bytes_parameter(address, key));
  if (value && *value == 0) return bad_parameter(address, key, "is nothing");
  into = value.value_or(into);
  return {};
}

bool path_is_ours(const Address& address) { return address.layers().back() != "unix"; }

Result<WsOptions> read_common(const Address& address) {
  WsOptions options;
  WAYPORT_TRY(read_size(address, "message", options.message_bytes_max));
  WAYPORT_TRY(read_size(address, "head", options.header_bytes_max));
  if (options.header_bytes_max > WsOptions::kHeaderBytesLargest) {
    return bad_parameter(address, "head", "is more than 60KiB");
  }
  WAYPORT_TRY(read_flag(address, "text", options.text));
  WAYPORT_TRY(read_flag(address, "messages", options.messages));
  WAYPORT_TRY(read_time(address, "ping", options.ping));
  WAYPORT_TRY(read_time(address, "ping_timeout", options.ping_timeout));
  WAYPORT_TRY(read_time(address, "close_wait", options.close_wait));
  options.secure = address.layers().front() == "wss";
  options.protocols = repeated_parameter(address, "protocol");
  for (const std::string& protocol : options.protocols) {
    if (!is_token(protocol)) return bad_parameter(address, "protocol", "is no token of HTTP");
  }
  options.origins = repeated_parameter(address, "origin");
  for (const std::string& origin : options.origins) {
    if (origin.empty() || !is_line(origin)) return bad_parameter(address, "origin", "is no origin");
  }
  const std::string* target = address.parameter("target");
  if (target && path_is_ours(address) && !address.path().empty()) {
    return bad_parameter(address, "target", "and a path say the same twice");
  }
  if (target && (!target->starts_with('/') || !is_target(*target))) {
    return bad_parameter(address, "target", "is no path such as /chat");
  }
  options.target = target ? *target : path_is_ours(address) ? encoded_path(address.path()) : std::string();
  return options;
}

std::string authority_of(const Address& address, std::uint16_t usual_port) {
  if (address.host().empty()) return "localhost";
  std::string text = address.host();
  // A zone is of this machine only.
  if (text.contains(':')) text = "[" + text.substr(0, text.find('%')) + "]";
  if (address.port() != 0 && address.port() != usual_port) text += ":" + std::to_string(address.port());
  return text;
}

}  // namespace

Result<WsOptions> WsOptions::for_dial(const Address& address) {
  WAYPORT_TRY(check_own(address, true));
  WAYPORT_TRY_ASSIGN(WsOptions options, read_common(address));
  if (options.target.empty()) options.target = "/";
  if (const std::string* query = address.parameter("query")) {
    if (!is_target(*query)) {
      return fail(ErrorCode::invalid_argument,
                  address.scheme() + " address: query has characters that must be percent-encoded");
    }
    options.target += (options.target.contains('?') ? "&" : "?") + *query;
  }
  const std::string* host = address.parameter("host");
  options.host = host ? *host : authority_of(address, options.secure ? 443 : 80);
  if (options.host.empty() || !is_target(options.host)) return bad_parameter(address, "host", "is no host");
  for (const std::string& header : repeated_parameter(address, "header")) {
    const std::size_t colon = header.find(':');
    const std::string name = header.substr(0, colon);
    if (colon == std::string::npos || !is_token(name) || !is_line(header)) {
      return fail(ErrorCode::invalid_argument, address.scheme() + " address: a header is not NAME:VALUE in one line");
    }
    const std::size_t begin = header.find_first_not_of(' ', colon + 1);
    options.headers.emplace_back(name, begin == std::string::npos ? "" : header.substr(begin));
  }
  return options;
}

Result<WsOptions> WsOptions::for_listen(const Address& address) {
  WAYPORT_TRY(check_own(address, false));
  return read_common(address);
}

Result<Address> WsOptions::below(const Address& address, bool dialing) {
  const bool secure = address.layers().front() == "wss";
  if (secure && address.layers().size() > 1) {
    return fail(ErrorCode::invalid_argument,
                address.scheme() + " address: wss is ws+tls+tcp; for another stack write ws+tls+...");
  }
  Address lower = address.below(secure ? "tls" : "tcp", kOwn);
  if (path_is_ours(lower)) lower.set_path("");
  if (dialing && lower.port() == 0 && path_is_ours(lower)) lower.set_port(secure ? 443 : 80);
  return lower;
}

}  // namespace wayport::transport
