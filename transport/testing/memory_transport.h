// The "mem" scheme, mem://name, for tests of what dials and listens: everything above transports runs unchanged,
// without a kernel and in virtual time.
//
// A name space of its own per object. Not thread-safe: all loops are run by one thread. No parameters.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class MemoryTransport final : public Transport {
 public:
  explicit MemoryTransport(MemoryOptions options = {}) : options_(options) {}

  // Refused at once when nobody listens. The StreamOptions of both ends are the dialer's.
  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  class MemoryListener;
  using Names = std::map<std::string, MemoryListener*, std::less<>>;

  const MemoryOptions options_;
  const std::shared_ptr<Names> names_ = std::make_shared<Names>();
};

}  // namespace wayport::transport
