#include "wayport/transport/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "wayport/base/bytes.h"

namespace wayport::transport {
namespace {

constexpr std::size_t kHostBytesMax = 253;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_unreserved(char c) {
  return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
}
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// A text that is taken from the front, and knows where in the whole it stands.
struct Cursor {
  std::string_view rest;
  std::size_t position = 0;

  void skip(std::size_t count) {
    rest.remove_prefix(count);
    position += count;
  }
  // Up to, and over, the first `separator`; all of it if there is none.
  Cursor take_until(char separator) {
    const std::size_t end = std::min(rest.find(separator), rest.size());
    Cursor taken{rest.substr(0, end), position};
    skip(std::min(end + 1, rest.size()));
    return taken;
  }
};

std::unexpected<Error> bad(std::size_t position, std::string why) {
  return fail(ErrorCode::invalid_argument, "address: at " + std::to_string(position) + ": " + std::move(why));
}
std::string quoted(std::string_view part) { return "\"" + escape(part, 64) + "\""; }

Result<std::string> decode(Cursor text, std::string_view what) {
  std::string decoded;
  decoded.reserve(text.rest.size());
  while (!text.rest.empty()) {
    char c = text.rest.front();
    std::size_t taken = 1;
    if (c == '%') {
      const auto byte = text.rest.size() >= 3 ? from_hex(text.rest.substr(1, 2)) : std::nullopt;
      if (!byte) return bad(text.position, "percent sign without two hex digits in the " + std::string(what));
      c = byte->front();
      taken = 3;
    } else if (c == '#' || c == ' ') {
      return bad(text.position, quoted({&c, 1}) + " must be percent-coded in the " + std::string(what));
    }
    if (is_control(c)) return bad(text.position, "control character in the " + std::string(what));
    decoded.push_back(c);
    text.skip(taken);
  }
  return decoded;
}

std::string encode(std::string_view text, std::string_view also_plain) {
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || also_plain.find(c) != std::string_view::npos) {
      encoded.push_back(c);
    } else {
      encoded += "%" + to_hex(as_bytes({&c, 1}));
    }
  }
  return encoded;
}

Result<std::vector<std::string>> parse_layers(Cursor text) {
  std::vector<std::string> layers;
  for (;;) {
    const bool more = text.rest.find('+') != std::string_view::npos;
    const Cursor name = text.take_until('+');
    const bool valid = !name.rest.empty() && is_lower(name.rest.front()) &&
                       std::ranges::all_of(name.rest, [](char c) { return is_lower(c) || is_digit(c); });
    if (!valid) return bad(name.position, "layer " + quoted(name.rest) + " is not a lower-case name");
    layers.emplace_back(name.rest);
    if (!more) return layers;
  }
}

// "[fe80::1%25eth0]", cursor after the bracket and before the closing one.
Result<std::string> parse_ipv6(Cursor text) {
  const std::size_t percent = text.rest.find('%');
  const std::string ip(text.rest.substr(0, percent));
  in6_addr binary{};
  if (ip.find('\0') != std::string::npos || ::inet_pton(AF_INET6, ip.c_str(), &binary) != 1) {
    return bad(text.position, quoted(ip) + " is not an IPv6 address");
  }
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  ::inet_ntop(AF_INET6, &binary, canonical.data(), canonical.size());
  std::string host = canonical.data();
  if (percent != std::string_view::npos) {
    text.skip(percent + 1);
    // RFC 6874 writes the percent sign as %25; people write it bare.
    if (text.rest.starts_with("25") && text.rest.size() > 2) text.skip(2);
    if (text.rest.empty() || !std::ranges::all_of(text.rest, is_unreserved)) {
      return bad(text.position, "zone " + quoted(text.rest) + " is not a plain name");
    }
    host += "%" + std::string(text.rest);
  }
  return host;
}

Result<std::uint16_t> parse_port(Cursor text) {
  const std::string_view digits = text.rest;
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool leading_zero = digits.size() > 1 && digits.front() == '0';
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || port > 65535 || leading_zero) {
    return bad(text.position, "port " + quoted(digits) + " is not a number from 0 to 65535");
  }
  return static_cast<std::uint16_t>(port);
}

struct Authority {
  std::string host;
  std::uint16_t port = 0;
  bool has_port = false;
};

Result<Authority> parse_authority(Cursor text) {
  Authority authority;
  if (text.rest.starts_with('[')) {
    const std::size_t close = text.rest.find(']');
    if (close == std::string_view::npos) return bad(text.position, "bracket without its end");
    WAYPORT_TRY_ASSIGN(authority.host, parse_ipv6({text.rest.substr(1, close - 1), text.position + 1}));
    text.skip(close + 1);
    if (text.rest.empty()) return authority;
    if (text.rest.front() != ':') return bad(text.position, "expected \":\" and a port after the bracket");
  } else {
    const std::string_view host = text.rest.substr(0, text.rest.find(':'));
    if (host.size() > kHostBytesMax) return bad(text.position, "host of more than 253 characters");
    const auto wrong = std::ranges::find_if_not(host, is_unreserved);
    if (wrong != host.end()) {
      return bad(text.position + static_cast<std::size_t>(wrong - host.begin()),
                 quoted({wrong, 1}) + " cannot be in a host name");
    }
    authority.host = host;
    text.skip(host.size());
    if (text.rest.empty()) return authority;
  }
  text.skip(1);
  if (text.rest.find(':') != std::string_view::npos) {
    return bad(text.position, "more than one colon: an IPv6 address needs brackets");
  }
  WAYPORT_TRY_ASSIGN(authority.port, parse_port(text));
  authority.has_port = true;
  return authority;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_query(Cursor text) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (;;) {
    const bool more = text.rest.find('&') != std::string_view::npos;
    Cursor value = text.take_until('&');
    const bool has_value = value.rest.find('=') != std::string_view::npos;
    const Cursor key = value.take_until('=');
    if (key.rest.empty() || !std::ranges::all_of(key.rest, is_unreserved)) {
      return bad(key.position, "parameter name " + quoted(key.rest) + " is not a plain name");
    }
    if (!has_value) return bad(key.position, "parameter " + quoted(key.rest) + " has no \"=\"");
    WAYPORT_TRY_ASSIGN(std::string decoded, decode(value, "value of " + std::string(key.rest)));
    parameters.emplace_back(std::string(key.rest), std::move(decoded));
    if (!more) return parameters;
  }
}

bool contains(std::initializer_list<std::string_view> keys, std::string_view key) {
  return std::ranges::find(keys, key) != keys.end();
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  if (text.empty()) return bad(0, "it is empty");
  if (text.size() > kAddressBytesMax) {
    return fail(ErrorCode::too_large,
                "address: " + std::to_string(text.size()) + " bytes, more than " + std::to_string(kAddressBytesMax));
  }
  Address address;
  Cursor rest{text, 0};
  const std::size_t scheme_end = text.find("://");
  // "://" may stand in a parameter of a bare address.
  const bool bare = scheme_end == std::string_view::npos || scheme_end > text.find_first_of("/?");
  if (bare) {
    address.layers_ = {"tcp"};
  } else {
    WAYPORT_TRY_ASSIGN(address.layers_, parse_layers({text.substr(0, scheme_end), 0}));
    rest.skip(scheme_end + 3);
  }

  const bool has_query = rest.rest.find('?') != std::string_view::npos;
  Cursor place = rest.take_until('?');
  if (address.layers_.back() != "unix") {
    const std::size_t path_at = std::min(place.rest.find('/'), place.rest.size());
    WAYPORT_TRY_ASSIGN(Authority authority, parse_authority({place.rest.substr(0, path_at), place.position}));
    if (bare && !authority.has_port) return bad(place.position, "neither scheme://... nor host:port");
    address.host_ = std::move(authority.host);
    address.port_ = authority.port;
    place.skip(path_at);
  } else if (!place.rest.starts_with('/') && !(place.rest.starts_with('@') && place.rest.size() > 1)) {
    return bad(place.position, "a unix address is unix:///path or unix://@name");
  }
  WAYPORT_TRY_ASSIGN(address.path_, decode(place, "path"));
  if (has_query) {
    WAYPORT_TRY_ASSIGN(address.parameters_, parse_query(rest));
  }
  return address;
}

Address Address::of(std::string layer, std::string host, std::uint16_t port) {
  Address address;
  address.layers_.push_back(std::move(layer));
  address.host_ = std::move(host);
  address.port_ = port;
  return address;
}

std::string Address::print(bool secrets) const {
  std::string text = scheme() + "://";
  if (const std::size_t colon = host_.find(':'); colon != std::string::npos) {
    const std::size_t percent = host_.find('%');
    text += "[" + host_.substr(0, percent);
    if (percent != std::string::npos) text += "%25" + host_.substr(percent + 1);
    text += "]";
  } else {
    text += host_;
  }
  if (port_ != 0) text += ":" + std::to_string(port_);
  text += encode(path_, "/:@!$&'()*+,;=");
  char separator = '?';
  for (const auto& [key, value] : parameters_) {
    const bool hidden =
        !secrets && (key == "key" || key == "password" || key == "token" || key == "header" || key == "query");
    text += separator + key + "=" + (hidden ? "***" : encode(value, "/:@,+=*"));
    separator = '&';
  }
  return text;
}

std::string Address::to_string() const { return print(true); }
std::string Address::to_log() const { return print(false); }

std::string Address::scheme() const {
  std::string joined;
  for (const std::string& layer : layers_) joined += (joined.empty() ? "" : "+") + layer;
  return joined;
}

const std::string* Address::parameter(std::string_view key) const noexcept {
  const auto found = std::ranges::find(parameters_, key, &std::pair<std::string, std::string>::first);
  return found == parameters_.end() ? nullptr : &found->second;
}

void Address::set_parameter(std::string_view key, std::string value) {
  const auto found = std::ranges::find(parameters_, key, &std::pair<std::string, std::string>::first);
  if (found != parameters_.end()) {
    found->second = std::move(value);
  } else {
    parameters_.emplace_back(std::string(key), std::move(value));
  }
}

Result<void> Address::check_parameters(std::initializer_list<std::string_view> known,
                                       std::initializer_list<std::string_view> repeatable) const {
  for (auto at = parameters_.begin(); at != parameters_.end(); ++at) {
    const std::string& key = at->first;
    if (contains(repeatable, key)) continue;
    if (!contains(known, key)) {
      return fail(ErrorCode::invalid_argument, scheme() + " address: unknown parameter " + quoted(key));
    }
    if (std::ranges::find(parameters_.begin(), at, key, &std::pair<std::string, std::string>::first) != at) {
      return fail(ErrorCode::invalid_argument, scheme() + " address: parameter " + quoted(key) + " is given twice");
    }
  }
  return {};
}

Address Address::below(std::string_view implied, std::initializer_list<std::string_view> own) const {
  Address lower = *this;
  lower.layers_.erase(lower.layers_.begin());
  if (lower.layers_.empty()) lower.layers_.emplace_back(implied);
  std::erase_if(lower.parameters_, [&](const auto& parameter) { return contains(own, parameter.first); });
  return lower;
}

}  // namespace wayport::transport
