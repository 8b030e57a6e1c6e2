#include "wayport/rpc/uri.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace wayport::rpc {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Bytes of the UTF-8 sequence at the front of `text`; 0 if it is none.
std::size_t utf8_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  std::uint32_t point = 0;
  if (first < 0x80) return 1;
  if ((first & 0xe0) == 0xc0) length = 2, point = first & 0x1f;
  if ((first & 0xf0) == 0xe0) length = 3, point = first & 0x0f;
  if ((first & 0xf8) == 0xf0) length = 4, point = first & 0x07;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return 0;
    point = (point << 6) | (next & 0x3f);
  }
  static constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (point < kLeast[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return 0;
  return length;
}

// As Go prints %q.
std::string quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const char c = text[0];
    const std::size_t length = utf8_length(text);
    if (c == '"' || c == '\\') {
      out.append("\\").push_back(c);
    } else if (length == 0 || is_control(c)) {
      constexpr std::string_view kNamed = "\aa\bb\ff\nn\rr\tt\vv";
      constexpr std::string_view kHex = "0123456789abcdef";
      std::size_t named = 0;
      while (named < kNamed.size() && kNamed[named] != c) named += 2;
      out.push_back('\\');
      if (named < kNamed.size()) {
        out.push_back(kNamed[named + 1]);
      } else {
        const auto byte = static_cast<unsigned char>(c);
        out.push_back('x');
        out.push_back(kHex[byte >> 4]);
        out.push_back(kHex[byte & 15]);
      }
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    text.remove_prefix(1);
  }
  out.push_back('"');
  return out;
}

enum class Part : std::uint8_t { path, query, host, user };

// A byte that may stand unescaped in a host name, for Go 1.19.
bool may_be_in_host(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || is_letter(c) || is_digit(c) ||
         std::string_view("!$&'()*+,;=:[]<>\"-_.~").find(c) != std::string_view::npos;
}

// Appends the decoded text. On failure returns false and says why in `problem`.
bool unescape(std::string_view text, Part part, std::string& out, std::string& problem) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      const std::string_view escape = text.substr(i, 3);
      const bool whole = escape.size() == 3 && hex_value(escape[1]) >= 0 && hex_value(escape[2]) >= 0;
      // In a host only non-ASCII bytes and the percent sign itself may be escaped.
      if (!whole || (part == Part::host && hex_value(escape[1]) < 8 && escape != "%25")) {
        problem = "invalid URL escape " + quote(escape);
        return false;
      }
      out.push_back(static_cast<char>(hex_value(escape[1]) * 16 + hex_value(escape[2])));
      i += 2;
    } else if (c == '+' && part == Part::query) {
      out.push_back(' ');
    } else if (part == Part::host && !may_be_in_host(c)) {
      problem = "invalid character " + quote(text.substr(i, 1)) + " in host name";
      return false;
    } else {
      out.push_back(c);
    }
  }
  return true;
}

bool is_optional_port(std::string_view text) {
  return text.empty() || (text[0] == ':' && std::all_of(text.begin() + 1, text.end(), is_digit));
}

// An authority is not used, only refused where Go refuses it.
bool check_authority(std::string_view authority, std::string& problem) {
  std::string scratch;
  const std::size_t at = authority.rfind('@');
  const std::string_view host = at == std::string_view::npos ? authority : authority.substr(at + 1);
  std::size_t port_at = host.rfind(':');
  if (host.starts_with('[')) {
    const std::size_t close = host.rfind(']');
    if (close == std::string_view::npos) {
      problem = "missing ']' in host";
      return false;
    }
    port_at = close + 1;
  }
  if (port_at != std::string_view::npos && !is_optional_port(host.substr(port_at))) {
    problem = "invalid port " + quote(host.substr(port_at)) + " after host";
    return false;
  }
  const std::size_t zone = host.starts_with('[') ? host.find("%25") : std::string_view::npos;
  if (!unescape(host.substr(0, zone), Part::host, scratch, problem)) return false;
  if (at == std::string_view::npos) return true;
  const std::string_view user = authority.substr(0, at);
  const bool valid = std::all_of(user.begin(), user.end(), [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("-._:~!$&'()*+,;=%@").find(c) != std::string_view::npos;
  });
  if (!valid) {
    problem = "net/url: invalid userinfo";
    return false;
  }
  return unescape(user, Part::user, scratch, problem);
}

struct Scheme {
  bool present = false;
  std::string_view rest;
  bool missing = false;  // ":..." without a name in front
};

Scheme split_scheme(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_letter(c)) continue;
    if (is_digit(c) || c == '+' || c == '-' || c == '.') {
      if (i == 0) break;
      continue;
    }
    if (c != ':') break;
    if (i == 0) return {false, text, true};
    return {true, text.substr(i + 1), false};
  }
  return {false, text, false};
}

std::unexpected<Error> parse_failed(std::string_view text, std::string_view problem) {
  return fail(ErrorCode::malformed, "parse " + quote(text) + ": " + std::string(problem));
}

}  // namespace

Result<void> parse_uri(std::string_view text, std::string& storage, Uri& uri) {
  const std::size_t hash = text.find('#');
  const std::string_view url = text.substr(0, hash);
  if (std::any_of(url.begin(), url.end(), is_control)) {
    return parse_failed(url, "net/url: invalid control character in URL");
  }
  uri = {};
  std::string problem;
  std::string_view rest = url;
  if (url == "*") {
    uri.path = url;
    return {};
  }
  const bool plain = url.starts_with('/') && !url.starts_with("//");  // what nearly every caller sends
  Scheme scheme{false, url, false};
  if (!plain) scheme = split_scheme(url);
  if (scheme.missing) return parse_failed(url, "missing protocol scheme");
  rest = scheme.rest;
  if (const std::size_t question = rest.find('?'); question != std::string_view::npos) {
    uri.raw_query = rest.substr(question + 1);
    rest = rest.substr(0, question);
  }
  if (!plain && !rest.starts_with('/')) {
    if (scheme.present) return {};  // opaque, for instance mailto:x: no path
    if (rest.substr(0, rest.find('/')).find(':') != std::string_view::npos) {
      return parse_failed(url, "first path segment in URL cannot contain colon");
    }
  }
  if (rest.starts_with("//") && (scheme.present || !rest.starts_with("///"))) {
    const std::string_view after = rest.substr(2);
    const std::size_t slash = after.find('/');
    if (!check_authority(after.substr(0, slash), problem)) return parse_failed(url, problem);
    rest = slash == std::string_view::npos ? std::string_view() : after.substr(slash);
  }
  uri.path = rest;
  if (rest.find('%') != std::string_view::npos) {
    storage.clear();
    if (!unescape(rest, Part::path, storage, problem)) return parse_failed(url, problem);
    uri.path = storage;
  }
  if (hash != std::string_view::npos) {
    std::string fragment;
    if (!unescape(text.substr(hash + 1), Part::path, fragment, problem)) return parse_failed(text, problem);
  }
  return {};
}

Query parse_query(std::string_view raw_query) {
  Query query;
  std::string problem;
  while (!raw_query.empty()) {
    const std::size_t end = raw_query.find('&');
    const std::string_view pair = raw_query.substr(0, end);
    raw_query.remove_prefix(end == std::string_view::npos ? raw_query.size() : end + 1);
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const std::size_t equals = pair.find('=');
    std::string key;
    std::string value;
    if (!unescape(pair.substr(0, equals), Part::query, key, problem)) continue;
    if (equals != std::string_view::npos && !unescape(pair.substr(equals + 1), Part::query, value, problem)) continue;
    query.emplace_back(std::move(key), std::move(value));
  }
  return query;
}

std::string_view query_value(const Query& query, std::string_view key) noexcept {
  for (const auto& [name, value] : query) {
    if (name == key) return value;
  }
  return {};
}

}  // namespace wayport::rpc
