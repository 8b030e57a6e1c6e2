// The "link" layer: virtual connections through a link gateway as streams (spec/link.md, README.md).
//
//   link+tcp://gateway:7001/42                        dial server 42, as a client
//   link+tcp://gateway:7002/42?key_file=F             listen as server 42
//   link+tcp://gateway:7002/9?server=42&key_file=F    dial client 9, as server 42
//
// Physical connections: a client has one for each dial, so that its unread stream holds up nobody else's, and a gateway's
// ClientMaxConn means what it says. A server has one for each gateway, key and id, shared by its listener and its dials;
// it belongs to one loop, and so do the streams that come of it: ListenOptions::loops must have the listener's own loop,
// and uses no other. A program that wants servers on several loops listens with several ids.
//
// A listener connects when it is started, and again for ever when it loses its gateway: failures are logged and counted,
// not reported. address() is what it was given. There are no sockets to inherit: a successor with the same id takes the
// id from us as soon as it connects, and our streams live on.
//
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/transport/link/server_line.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class LinkTransport final : public Transport {
 public:
  // `log` outlives this, its listeners and streams; null: nobody is told.
  explicit LinkTransport(Log* log = nullptr);

  const link::LinkCounters& counters() const noexcept { return *counters_; }

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  Result<std::shared_ptr<link::ServerLine>> line(const Transports& all, Loop& loop, const Address& address,
                                                 const link::LinkAddress& link, const StreamOptions& stream) const;

  struct Known {
    Loop* loop;
    std::weak_ptr<link::ServerLine> line;
  };

  Log& log_;
  const std::shared_ptr<link::LinkCounters> counters_ = std::make_shared<link::LinkCounters>();
  mutable std::mutex mutex_;
  mutable std::map<std::string, Known> lines_;
};

}  // namespace wayport::transport
