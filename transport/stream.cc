#include "wayport/transport/stream.h"

namespace wayport::transport {
namespace {

std::string url(const char* scheme, const SocketAddress& address) {
  return std::string(scheme) + "://" + address.to_string();
}

}  // namespace

std::string PeerInfo::remote_url() const { return url(scheme, remote); }
std::string PeerInfo::local_url() const { return url(scheme, local); }

}  // namespace wayport::transport
