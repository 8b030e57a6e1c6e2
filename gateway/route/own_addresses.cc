#include "wayport/gateway/route/own_addresses.h"

#include <ifaddrs.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "wayport/transport/resolver.h"

namespace wayport::route {

std::optional<IpAddress> ip_of(const SocketAddress& address) {
  const std::string text = address.ip();
  return IpAddress::parse(std::string_view(text).substr(0, text.find('%')));
}

Result<std::vector<OwnEndpoint>> own_endpoints(std::span<const transport::Address> listeners) {
  std::vector<IpAddress> interfaces;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return fail(system_error(errno, "listing the addresses of this machine"));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, ::freeifaddrs);
  for (const ifaddrs* at = first; at; at = at->ifa_next) {
    if (!at->ifa_addr) continue;
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const auto size = static_cast<socklen_t>(family == AF_INET ? 16 : 28);
    if (const auto ip = ip_of(SocketAddress::from(at->ifa_addr, size))) interfaces.push_back(*ip);
  }
  std::vector<OwnEndpoint> own;
  for (const transport::Address& listener : listeners) {
    if (listener.port() == 0) continue;  // unix and the like
    std::vector<IpAddress> places;
    if (listener.host().empty()) {
      places.push_back(IpAddress::v6({}));
    } else {
      auto found = transport::resolve_literally(listener.host(), listener.port());
      if (found.empty()) found = transport::resolve_from_hosts_file(listener.host(), listener.port());
      for (const SocketAddress& address : found) {
        if (const auto ip = ip_of(address)) places.push_back(*ip);
      }
    }
    for (const IpAddress& place : places) {
      own.push_back({place, listener.port()});
      if (place != place.prefix(0)) continue;
      for (const IpAddress& interface : interfaces) own.push_back({interface, listener.port()});
    }
  }
  return own;
}

}  // namespace wayport::route
