#include "wayport/transport/kcp/kcp_transport.h"

#include <utility>

#include "wayport/transport/kcp/kcp_address.h"
#include "wayport/transport/kcp/kcp_dial.h"
#include "wayport/transport/kcp/kcp_listener.h"

namespace wayport::transport {
namespace {

Result<void> check_place(const Address& address) {
  if (address.layers().size() != 1)
    return fail(ErrorCode::unsupported, "kcp has nothing below it: " + address.to_log());
  if (!address.path().empty())
    return fail(ErrorCode::invalid_argument, "a kcp address has no path: " + address.to_log());
  return {};
}

Result<kcp::KcpAddress> check_dial(const Address& address) {
  WAYPORT_TRY(check_place(address));
  if (address.host().empty()) return fail(ErrorCode::invalid_argument, "no host to dial: " + address.to_log());
  if (address.port() == 0) return fail(ErrorCode::invalid_argument, "no port to dial: " + address.to_log());
  return kcp::KcpAddress::for_dial(address);
}

void warn(Log* log, const Address& address, const kcp::KcpAddress& kcp) {
  if (log == nullptr || kcp.cipher_warning.empty()) return;
  log->write(LogLevel::warning, "kcp cipher", {{"address", address.to_log()}, {"why", kcp.cipher_warning}});
}

}  // namespace

KcpTransport::KcpTransport(Log* log, ResolverOptions resolver)
    : log_(log),
      resolver_(std::move(resolver)),
      statistics_(std::make_shared<kcp::KcpStatistics>()),
      shares_(std::make_unique<kcp::LoopShares>(statistics_)) {}

KcpTransport::~KcpTransport() = default;

std::unique_ptr<Dial> KcpTransport::dial(const Transports&, Loop& loop, const Address& address,
                                         const DialOptions& options, OnDialed on_done) const {
  Result<kcp::KcpAddress> kcp = check_dial(address);
  if (!kcp) return failed_dial(loop, std::move(kcp.error()), std::move(on_done));
  warn(log_, address, *kcp);
  return kcp::dial_kcp(loop, address, *kcp, options, resolver_, shares_->of(loop), std::move(on_done));
}

Result<std::unique_ptr<Listener>> KcpTransport::listen(const Transports&, Loop& loop, const Address& address,
                                                       const ListenOptions& options) const {
  WAYPORT_TRY(check_place(address));
  WAYPORT_TRY_ASSIGN(const kcp::KcpAddress kcp, kcp::KcpAddress::for_listen(address));
  warn(log_, address, kcp);
  return kcp::listen_kcp(loop, address, kcp, options, *shares_);
}

}  // namespace wayport::transport
