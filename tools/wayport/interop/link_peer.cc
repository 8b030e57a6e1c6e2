#include "wayport/tools/wayport/interop/link_peer.h"

#include <algorithm>

#include "wayport/transport/stream_co.h"

namespace wayport::tools::interop {

class LinkPeer::Echo final : public EchoedConnection,
                             private link::VirtualEvents,
                             public std::enable_shared_from_this<Echo> {
 public:
  Echo(LinkPeer& owner, std::unique_ptr<link::VirtualConnection> connection)
      : owner_(owner), connection_(std::move(connection)), remote_id_(connection_->remote_id()) {}
  void start() { connection_->start(*this); }

  void send(std::string_view message) override {
    if (closed_) return;
    // An echo that is not taken breaks the promise; nobody waits for it then.
    if (!connection_->send(as_bytes(message))) close();
  }
  void close() override {
    if (!closed_) connection_->close(CloseReason::local(ErrorCode::local_closed, "closed here"));
  }
  std::uint32_t remote_id() const noexcept override { return remote_id_; }

 private:
  void on_message(MutableBytes message) override {
    const std::string_view text = as_text(message);
    if (owner_.leaves_out()) return;
    if (owner_.options_.handle && owner_.options_.handle(shared_from_this(), text)) return;
    send(text);
  }
  void on_closed(const CloseReason&) override {
    closed_ = true;
    // What holds us besides the list must not find our owner gone.
    owner_.echoes_.remove_if([this](const std::shared_ptr<Echo>& echo) { return echo.get() == this; });
  }

  LinkPeer& owner_;
  const std::unique_ptr<link::VirtualConnection> connection_;
  const std::uint32_t remote_id_;
  bool closed_ = false;
};

LinkPeer::LinkPeer(LinkPeerOptions options) : options_(std::move(options)) {}
LinkPeer::~LinkPeer() = default;

boost::asio::awaitable<Result<void>> LinkPeer::connect(const transport::Transports& all, Loop& loop,
                                                       transport::Address address, Duration timeout) {
  const transport::DialOptions dialing{.timeout = timeout};
  Result<std::unique_ptr<transport::Stream>> stream = co_await transport::dial(all, loop, address, dialing);
  if (!stream) co_return fail(stream.error());
  link::EndpointEvents& events = *this;
  authenticating_ = options_.identity.server;
  endpoint_ = std::make_unique<link::Endpoint>(*std::move(stream), options_.identity, options_.endpoint, events);
  co_return Result<void>();
}

boost::asio::awaitable<Result<void>> LinkPeer::authenticated() {
  if (closed_) co_return fail(closed_->error);
  if (!authenticating_) co_return Result<void>();
  co_return co_await async_callback<void>([this](Completion<void> done) { authenticated_ = std::move(done); });
}

void LinkPeer::on_ready() {
  authenticating_ = false;
  if (Completion<void> done = std::move(authenticated_)) done({});
}

void LinkPeer::on_connected(std::unique_ptr<link::VirtualConnection> connection) {
  echoes_.push_back(std::make_shared<Echo>(*this, std::move(connection)));
  echoes_.back()->start();
}

void LinkPeer::on_closed(const CloseReason& reason) {
  closed_ = reason;
  if (Completion<void> done = std::move(authenticated_)) return done(fail(reason.error));
  if (!authenticating_ && options_.on_end) options_.on_end(reason);
}

bool LinkPeer::leaves_out() noexcept {
  ++messages_;
  return options_.leave_out_each != 0 && messages_ % options_.leave_out_each == 0;
}

link::EndpointOptions endpoint_options(const Settings& settings) {
  link::EndpointOptions options;
  options.packet_bytes_max = settings.max_packet;
  // One message of the largest size on its way, and one behind it.
  const std::size_t bytes = std::size_t{2} * (settings.max_packet + 4);
  for (link::EndpointOptions::Limits* const limits : {&options.virtual_send, &options.virtual_receive}) {
    limits->bytes_max = std::max(limits->bytes_max, bytes);
  }
  for (link::EndpointOptions::Limits* const limits : {&options.send, &options.receive}) {
    limits->bytes_max = std::max(limits->bytes_max, bytes);
  }
  return options;
}

}  // namespace wayport::tools::interop
