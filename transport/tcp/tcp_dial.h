// One tcp dial: name, then addresses in turn, then the first connection that stands.
//
// The next address is tried when the one before has failed, or 250 ms after it began (RFC 8305); all that are under way
// go on. One time limit covers everything.
#pragma once

#include <memory>
#include <vector>

#include "wayport/transport/resolver.h"
#include "wayport/transport/tcp/tcp_options.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

inline constexpr Duration kConnectStagger = std::chrono::milliseconds(250);

// REQUIRES: address.port() != 0 and a host.
std::unique_ptr<Dial> dial_tcp(Loop& loop, const Address& address, const TcpOptions& tcp, const DialOptions& options,
                               const ResolverOptions& resolver, OnDialed on_done);

}  // namespace wayport::transport
