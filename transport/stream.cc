#include "wayport/transport/stream.h"

namespace wayport::transport {
namespace {

std::string url(const char* scheme, const SocketAddress& address) {
  return std::string(scheme) + "://" + address.to_string();
}

}  // namespace

std::string PeerInfo::remote_url() const {
  // A client's unix socket has no name; what the kernel knows of its process tells clients apart.
  if (unix_peer && remote.to_string().empty()) {
    return std::string(scheme) + "://?pid=" + std::to_string(unix_peer->pid) + "&uid=" + std::to_string(unix_peer->uid);
  }
  return url(scheme, remote);
}
std::string PeerInfo::local_url() const { return url(scheme, local); }

}  // namespace wayport::transport
