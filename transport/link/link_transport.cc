#include "wayport/transport/link/link_transport.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "wayport/transport/incoming_gate.h"
#include "wayport/transport/link/virtual_stream.h"

namespace wayport::transport {
namespace {

using link::Endpoint;
using link::EndpointEvents;
using link::EndpointIdentity;
using link::LinkAddress;
using link::ServerLine;
using link::VirtualConnection;
using link::VirtualStream;

// A dial by address: the connection with the gateway, or a shared one, and then the virtual connection.
class LinkDial final : public Dial, private Timer, private link::EndpointEvents, private ServerLine::Waiter {
 public:
  LinkDial(Loop& loop, const Address& address, const DialOptions& options, LinkAddress link, OnDialed on_done)
      : loop_(loop), url_(address.to_log()), options_(options), link_(std::move(link)), on_done_(std::move(on_done)) {
    if (options_.timeout > Duration::zero()) loop_.arm(*this, after(loop_.now(), options_.timeout));
  }

  void begin_client(const Transports& all) {
    lower_ = all.dial(loop_, link_.below, options_, [this](Result<std::unique_ptr<Stream>> stream) {
      if (!stream) return finish(fail(std::move(stream.error())));
      endpoint_ = std::make_unique<Endpoint>(*std::move(stream), EndpointIdentity::client(), link_.options,
                                             static_cast<EndpointEvents&>(*this));
      dial_through(*endpoint_);
    });
  }
  // Never calls back from inside the caller's dial().
  void begin_server(std::shared_ptr<ServerLine> line) {
    line_ = std::move(line);
    line_->wait(*this);
  }

 private:
  void on_line(Result<Endpoint*> endpoint) override {
    if (!endpoint) return finish(fail(endpoint.error()));
    dial_through(**endpoint);
  }
  void dial_through(Endpoint& endpoint) {
    virtual_ = endpoint.dial(link_.id, Duration::zero(), [this](Result<std::unique_ptr<VirtualConnection>> made) {
      if (!made) return finish(fail(std::move(made.error())));
      finish(std::make_unique<VirtualStream>(*std::move(made), options_.stream));
    });
  }
  void on_connected(std::unique_ptr<VirtualConnection>) override {}
  void on_closed(const CloseReason&) override {}  // the dial was told before
  void on_timer() override {
    finish(fail(ErrorCode::timed_out, std::string(virtual_ != nullptr ? "no answer of the gateway within "
                                                                      : "no connection with the gateway within ") +
                                          format_duration(options_.timeout)));
  }
  void finish(Result<std::unique_ptr<Stream>> result) {
    loop_.disarm(*this);
    // The stream keeps what it needs; this may be kept for long.
    virtual_.reset();
    endpoint_.reset();
    line_.reset();
    lower_.reset();
    if (!result) result.error().detail = "link dial of " + url_ + ": " + result.error().detail;
    // A time-out may have come first.
    if (OnDialed on_done = std::exchange(on_done_, nullptr)) on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string url_;
  const DialOptions options_;
  const LinkAddress link_;
  OnDialed on_done_;
  std::unique_ptr<Dial> lower_;
  std::shared_ptr<ServerLine> line_;
  std::unique_ptr<Endpoint> endpoint_;  // a client's
  std::unique_ptr<link::VirtualDial> virtual_;
};

class LinkIncoming final : public Incoming {
 public:
  explicit LinkIncoming(std::unique_ptr<VirtualStream> stream) : stream_(std::move(stream)) {}
  const PeerInfo& peer() const noexcept override { return stream_->peer(); }
  std::unique_ptr<Stream> accept() override { return std::move(stream_); }
  void reject(const Error&) override { stream_.reset(); }

 private:
  std::unique_ptr<VirtualStream> stream_;
};

class LinkListener final : public Listener {
 public:
  LinkListener(Loop& loop, const Address& address, const ListenOptions& options, std::shared_ptr<ServerLine> line)
      : address_(address), options_(options), line_(std::move(line)), gate_(std::make_shared<IncomingGate>(loop)) {}
  ~LinkListener() override {
    if (serving_) line_->stop_serving();
    waiting_.clear();
    gate_->close();
  }

  void start(OnIncoming on_incoming) override {
    gate_->open(std::move(on_incoming));
    serving_ = true;
    line_->serve([this](std::unique_ptr<VirtualConnection> connection) { handle(std::move(connection)); },
                 options_.log);
  }
  void pause(bool paused) override {
    paused_ = paused;
    pass_on();
  }
  const Address& address() const noexcept override { return address_; }
  std::vector<int> inheritable_fds() const override { return {}; }
  void finish(std::move_only_function<void()> done) override {
    if (std::exchange(serving_, false)) line_->stop_serving();
    pause(false);
    done();
  }

 private:
  void handle(std::unique_ptr<VirtualConnection> connection) {
    if (options_.counters) options_.counters->accepted.fetch_add(1, std::memory_order_relaxed);
    // Dropping it closes it.
    if (waiting_.size() >= static_cast<std::size_t>(std::max(options_.backlog, 1))) return;
    waiting_.push_back(std::make_unique<VirtualStream>(std::move(connection), options_.stream));
    pass_on();
  }
  void pass_on() {
    const auto gate = gate_;
    while (!paused_ && !waiting_.empty()) {
      auto incoming = std::make_unique<LinkIncoming>(std::move(waiting_.front()));
      waiting_.pop_front();
      if (!gate->deliver(std::move(incoming))) return;  // closed: `this` may be gone
    }
  }

  const Address address_;
  const ListenOptions options_;
  const std::shared_ptr<ServerLine> line_;
  const std::shared_ptr<IncomingGate> gate_;
  std::deque<std::unique_ptr<VirtualStream>> waiting_;  // while paused; at most ListenOptions::backlog
  bool paused_ = false;
  bool serving_ = false;
};

}  // namespace

LinkTransport::LinkTransport(Log* log) : log_(log ? *log : null_log()) {}

// The one of this server id, gateway and key.
Result<std::shared_ptr<ServerLine>> LinkTransport::line(const Transports& all, Loop& loop, const Address& address,
                                                        const LinkAddress& link, const StreamOptions& stream) const {
  const std::string key = link.below.to_string() + '\n' + std::to_string(link.server_id) + '\n' + link.key_file;
  const std::lock_guard lock(mutex_);
  std::erase_if(lines_, [](const auto& entry) { return entry.second.line.expired(); });
  if (const auto known = lines_.find(key); known != lines_.end()) {
    if (known->second.loop != &loop) {
      return fail(ErrorCode::unsupported, "link address " + address.to_log() + ": server " +
                                              std::to_string(link.server_id) +
                                              " has its connection with this gateway on another loop of this process; "
                                              "dial there, or use another server id");
    }
    if (auto line = known->second.line.lock()) return line;
  }
  auto line =
      std::make_shared<ServerLine>(loop, ServerLine::Where{all, address.to_log(), link, stream}, counters_, log_);
  lines_[key] = {&loop, line};
  return line;
}

std::unique_ptr<Dial> LinkTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                          const DialOptions& options, OnDialed on_done) const {
  Result<LinkAddress> link = LinkAddress::for_dial(address);
  if (!link) return failed_dial(loop, std::move(link.error()), std::move(on_done));
  if (!link->server) {
    auto dial = std::make_unique<LinkDial>(loop, address, options, *std::move(link), std::move(on_done));
    dial->begin_client(all);
    return dial;
  }
  Result<std::shared_ptr<ServerLine>> shared = line(all, loop, address, *link, options.stream);
  if (!shared) return failed_dial(loop, std::move(shared.error()), std::move(on_done));
  auto dial = std::make_unique<LinkDial>(loop, address, options, *std::move(link), std::move(on_done));
  dial->begin_server(*std::move(shared));
  return dial;
}

Result<std::unique_ptr<Listener>> LinkTransport::listen(const Transports& all, Loop& loop, const Address& address,
                                                        const ListenOptions& options) const {
  WAYPORT_TRY_ASSIGN(const LinkAddress link, LinkAddress::for_listen(address));
  WAYPORT_TRY(link.identity());
  if (!options.loops.empty() && std::ranges::find(options.loops, &loop) == options.loops.end()) {
    return fail(ErrorCode::invalid_argument, "link address " + address.to_log() +
                                                 ": ListenOptions::loops must have the listener's own loop, on which "
                                                 "virtual connections stay");
  }
  WAYPORT_TRY_ASSIGN(auto shared, line(all, loop, address, link, options.stream));
  if (shared->serving()) {
    return fail(ErrorCode::refused, "link address " + address.to_log() + ": server " + std::to_string(link.server_id) +
                                        " listens here already");
  }
  return std::make_unique<LinkListener>(loop, address, options, std::move(shared));
}

}  // namespace wayport::transport
