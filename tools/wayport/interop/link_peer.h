// LinkPeer: an endpoint at a link gateway that echoes what is sent to it; what the link roles of integration/CONTRACT.md
// have in common.
//
// On one loop. Virtual connections that somebody dials to it live until their end, at most as long as it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/base/loop.h"
#include "wayport/tools/wayport/interop/environment.h"
#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/transports.h"

namespace wayport::tools::interop {

// One virtual connection that was dialed to us.
class EchoedConnection {
 public:
  virtual ~EchoedConnection() = default;
  virtual void send(std::string_view message) = 0;
  virtual void close() = 0;
  virtual std::uint32_t remote_id() const noexcept = 0;
};

struct LinkPeerOptions {
  link::EndpointIdentity identity{};
  link::EndpointOptions endpoint{};
  std::uint32_t leave_out_each = 0;  // --broken frame: each so-manieth message is not echoed; 0: all are
  // For messages that ask for more than an echo; true: this one did.
  std::function<bool(const std::shared_ptr<EchoedConnection>&, std::string_view message)> handle{};
  // The physical connection has ended, after connect() and authenticated().
  std::function<void(const CloseReason&)> on_end{};
};

class LinkPeer final : private link::EndpointEvents {
 public:
  explicit LinkPeer(LinkPeerOptions options);
  ~LinkPeer();

  // Dials the gateway.
  boost::asio::awaitable<Result<void>> connect(const transport::Transports& all, Loop& loop, transport::Address address,
                                               Duration timeout);
  // A server: until the gateway has taken the key. Errors: refused and peer_closed: it has ended the connection instead;
  // timed_out. REQUIRES: connected.
  boost::asio::awaitable<Result<void>> authenticated();
  // REQUIRES: connected.
  link::Endpoint& endpoint() noexcept { return *endpoint_; }

 private:
  class Echo;

  void on_ready() override;
  void on_connected(std::unique_ptr<link::VirtualConnection> connection) override;
  void on_closed(const CloseReason& reason) override;
  bool leaves_out() noexcept;

  const LinkPeerOptions options_;
  std::list<std::shared_ptr<Echo>> echoes_;
  std::unique_ptr<link::Endpoint> endpoint_;
  Completion<void> authenticated_;
  std::optional<CloseReason> closed_;
  bool authenticating_ = false;
  std::uint64_t messages_ = 0;
};

link::EndpointOptions endpoint_options(const Settings& settings);

}  // namespace wayport::tools::interop
