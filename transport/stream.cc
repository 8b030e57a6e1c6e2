#include "wayport/transport/stream.h"

#include <algorithm>

namespace wayport::transport {
namespace {

std::string url(const char* scheme, const SocketAddress& address) {
  return std::string(scheme) + "://" + address.to_string();
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto byte = from_hex(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return std::nullopt;
    decoded += *byte;
    i += 2;
  }
  return decoded;
}

}  // namespace

std::string_view HttpRequest::path() const noexcept { return std::string_view(target).substr(0, target.find('?')); }

const std::string* HttpRequest::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers)
    if (same_name(key, name)) return &value;
  return nullptr;
}

std::optional<std::string> HttpRequest::query(std::string_view key) const {
  const std::size_t mark = target.find('?');
  if (mark == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(target).substr(mark + 1);
  for (;;) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == key) {
      return percent_decoded(pair.substr(equals + 1));
    }
    if (end == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(end + 1);
  }
}

std::string PeerInfo::remote_url() const {
  // A client's unix socket has no name; what the kernel knows of its process tells clients apart.
  if (unix_peer && remote.to_string().empty()) {
    return std::string(scheme) + "://?pid=" + std::to_string(unix_peer->pid) + "&uid=" + std::to_string(unix_peer->uid);
  }
  return url(scheme, remote);
}
std::string PeerInfo::local_url() const { return url(scheme, local); }

}  // namespace wayport::transport
