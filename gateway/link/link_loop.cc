#include "wayport/gateway/link/link_loop.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

namespace wayport::link {
namespace {

using transport::Incoming;
using transport::Pressure;

// A stream of layers (snet over tls over tcp) hands down at the turn's end what it got at the turn's end, one layer per
// round. What is unsent is asked behind the last.
constexpr unsigned kLayersMax = 3;
// How soon mail is tried again that another loop had no room for.
constexpr Duration kMailRetry = std::chrono::milliseconds(1);
// Batches under way to one loop; their bytes are bounded by mail_bytes_max.
constexpr std::size_t kBatchesMax = 64;

Challenge random_challenge() {
  Challenge challenge;
  WAYPORT_ASSERT(::getrandom(challenge.data(), challenge.size(), 0) == static_cast<ssize_t>(challenge.size()),
                 "getrandom() gives so few bytes at once");
  return challenge;
}

std::string text_of(const char* name, std::size_t value) { return std::string(name) + "=" + std::to_string(value); }

const char* side_name(Side side) { return side == Side::client ? "client" : "server"; }

}  // namespace

// --- one connection ---

Link::Link(LinkLoop& owner) noexcept : owner_(owner), reader_(owner.shared_->options.switching.packet_bytes_max) {}

std::size_t Link::on_bytes(MutableBytes bytes, bool) {
  if (port_->closing()) return bytes.size();
  std::size_t consumed = 0;
  if (!port_->authenticated()) {
    if (bytes.size() < kAuthResponseBytes) return 0;
    if (!owner_.authenticate(*this, bytes.first(kAuthResponseBytes))) return bytes.size();
    consumed = kAuthResponseBytes;
  }
  Switch& core = owner_.switch_;
  Port& port = *port_;
  const TimePoint now = owner_.loop_.now();
  const Result<std::size_t> read =
      reader_.read(bytes.subspan(consumed), [&](Frame& frame) { return core.handle_frame(port, frame, now); });
  if (!read) core.handle_malformed(port, read.error());
  consumed = !read || port.closing() ? bytes.size() : consumed + *read;
  (port.side() == Side::client ? owner_.counters_.bytes_from_clients : owner_.counters_.bytes_from_servers)
      .add(consumed);
  return consumed;
}

void Link::flush() {
  if (pressed_ || out_.empty()) return;
  pressed_ = stream_->write(std::move(out_)) == Pressure::high;
}

void Link::on_writable() {
  pressed_ = false;
  if (port_->closing()) return;
  flush();
  owner_.switch_.handle_writable(*port_);
}

void Link::on_read_end() {
  owner_.switch_.close(*port_, CloseReason::peer(ErrorCode::peer_closed, "it ended its stream"));
}

void Link::on_closed(const CloseReason& reason) { owner_.forget(*this, reason); }

// --- one loop ---

LinkLoop::LinkLoop(Loop& loop, std::shared_ptr<LinkShared> shared, unsigned index)
    : loop_(loop), shared_(std::move(shared)), switch_(shared_->group, index, *this, loop.now()) {}

LinkLoop::~LinkLoop() {
  while (Link* const link = links_.pop_front()) delete link;
}

void LinkLoop::open_mailboxes(const std::vector<std::shared_ptr<LinkLoop>>& all) {
  outgoing_.resize(all.size());
  for (std::size_t to = 0; to < all.size(); ++to) {
    if (all[to].get() == this) continue;
    LinkLoop& receiver = *all[to];
    others_.push_back(&receiver);
    auto inbox = std::make_unique<Inbox>();
    inbox->owner = &receiver;
    inbox->sender = this;
    inbox->from = switch_.loop();
    outgoing_[to] = std::make_unique<Outgoing>();
    outgoing_[to]->mailbox =
        std::make_unique<Mail>(loop_, receiver.loop_, *inbox, MailboxOptions{.messages_max = kBatchesMax});
    inboxes_.push_back(std::move(inbox));
  }
}

void LinkLoop::close_mailboxes() {
  for (const LinkLoop* const other : others_) other->outgoing_[switch_.loop()]->mailbox->detach();
}

void LinkLoop::Inbox::on_mail(std::span<MailBatch> batches) {
  const TimePoint now = owner->loop_.now();
  for (MailBatch& batch : batches) {
    const std::size_t bytes = batch.frame_bytes();
    owner->switch_.handle_mail(from, batch, now);
    sender->outgoing_[owner->switch_.loop()]->bytes_under_way.fetch_sub(bytes, std::memory_order_relaxed);
  }
}

void LinkLoop::accept(Side side, std::unique_ptr<Incoming> incoming) {
  if (closing_) return incoming->reject({ErrorCode::local_closed, "the gateway is closing", {}});
  auto link = std::make_unique<Link>(*this);
  Port* const port = switch_.handle_opened(side, link.get(), loop_.now());
  if (port == nullptr) {
    const SwitchOptions& options = switch_.options();
    const Error why{ErrorCode::overloaded,
                    side == Side::client ? "clients_max reached: " + std::to_string(options.clients_max)
                                         : "handshakes_max reached: " + std::to_string(options.handshakes_max),
                    {}};
    shared_->log.write(shared_->refused_connections, loop_.now(), LogLevel::warning, "link connection refused",
                       {{"side", side_name(side)}, {"peer", incoming->peer().remote_url()}, {"error", why}});
    return incoming->reject(why);
  }
  (side == Side::client ? counters_.accepted_clients : counters_.accepted_servers).add();
  link->port_ = port;
  link->stream_ = incoming->accept();
  Link& started = *link.release();
  links_.push_back(started);
  ++link_count_;
  started.stream_->start(started);
  if (side == Side::server) {
    started.challenge_ = random_challenge();
    started.out_.append(Bytes(started.challenge_));
    mark(started);
    turn_end_soon();
  }
  arm_timer();
}

bool LinkLoop::authenticate(Link& link, Bytes response) {
  Port& port = *link.port_;
  const Result<std::uint32_t> id = check_auth_response(link.challenge_, as_bytes(shared_->options.key), response);
  if (!id) {
    switch_.handle_malformed(port, id.error());
    return false;
  }
  if (!switch_.handle_authenticated(port, *id, loop_.now())) return false;
  link.authenticated_ = true;
  shared_->log.write(LogLevel::info, "link server is here",
                     {{"server", *id}, {"peer", link.stream_->peer().remote_url()}, {"loop", loop_.index()}});
  arm_timer();
  return true;
}

void LinkLoop::send(Port& to, Bytes frame) {
  Link& link = link_of(to);
  link.out_.append(frame);
  counters_.bytes_copied.add(frame.size());
  mark(link);
}

void LinkLoop::send(Port& to, Chain&& frame) {
  Link& link = link_of(to);
  counters_.bytes_moved.add(frame.size());
  link.out_.append(std::move(frame));
  mark(link);
}

void LinkLoop::close(Port& port, const CloseReason& reason) {
  Link& link = link_of(port);
  link.out_.clear();
  link.stream_->close(reason);
}

void LinkLoop::mark(Link& link) {
  if (link.dirty_at_ != Link::kClean) return;
  link.dirty_at_ = static_cast<std::uint32_t>(dirty_.size());
  dirty_.push_back(&link);
}

void LinkLoop::forget(Link& link, const CloseReason& reason) {
  const Port& port = *link.port_;
  const bool expected = reason.error.code == ErrorCode::peer_closed || reason.error.code == ErrorCode::local_closed;
  if (link.authenticated_) {
    shared_->log.write(
        expected ? LogLevel::info : LogLevel::warning, "link server has gone",
        {{"server", port.id()}, {"peer", link.stream_->peer().remote_url()}, {"reason", to_string(reason)}});
  } else if (!expected && shared_->log.enabled(LogLevel::info)) {
    const bool client = port.side() == Side::client;
    shared_->log.write(client ? shared_->closed_clients : shared_->failed_servers, loop_.now(),
                       client ? LogLevel::info : LogLevel::warning,
                       client ? "link client was closed" : "link server was not let in",
                       {{"peer", link.stream_->peer().remote_url()}, {"reason", to_string(reason)}});
  }
  if (link.dirty_at_ != Link::kClean) dirty_[link.dirty_at_] = nullptr;
  link.dirty_at_ = Link::kClean;
  static_cast<ListNode<Link>&>(link).unlink();
  --link_count_;
  switch_.handle_closed(*link.port_);
  loop_.delete_later(std::unique_ptr<Link>(&link));
  tell_if_closed();
}

// --- turns ---

void LinkLoop::turn_end_soon() { loop_.at_turn_end(*this); }

void LinkLoop::on_turn_end() {
  post_mail();
  if (!dirty_.empty()) {
    for (Link* const link : dirty_) {
      if (link == nullptr) continue;
      link->dirty_at_ = Link::kClean;
      link->flush();
    }
    dirty_.clear();
    turn_end_round_ = 0;
  }
  if (++turn_end_round_ <= kLayersMax) return loop_.at_turn_end(*this);
  turn_end_round_ = 0;
  switch_.end_turn();
  tell_if_idle();
  arm_timer();
}

void LinkLoop::post_mail() {
  mail_waits_ = false;
  for (unsigned to = 0; to < outgoing_.size(); ++to) {
    if (!outgoing_[to]) continue;
    MailBatch& batch = switch_.outbox(to);
    if (batch.empty()) continue;
    Outgoing& way = *outgoing_[to];
    const std::size_t bytes = batch.frame_bytes();
    const std::size_t under_way = way.bytes_under_way.load(std::memory_order_relaxed);
    if (under_way != 0 && under_way + bytes > switch_.options().mail_bytes_max) {
      mail_waits_ = true;
      continue;
    }
    way.bytes_under_way.fetch_add(bytes, std::memory_order_relaxed);
    if (way.mailbox->try_send(std::move(batch))) {
      counters_.mail_batches.add();
    } else {
      way.bytes_under_way.fetch_sub(bytes, std::memory_order_relaxed);
      mail_waits_ = true;
    }
  }
  if (mail_waits_) counters_.mail_waits.add();
}

void LinkLoop::arm_timer() {
  TimePoint due = switch_.next_due();
  if (mail_waits_) due = std::min(due, after(loop_.now(), kMailRetry));
  if (due == kNever || (Timer::armed() && timer_due_ <= due)) return;
  timer_due_ = due;
  loop_.arm(*this, due);
}

void LinkLoop::on_timer() {
  timer_due_ = kNever;
  switch_.tick(loop_.now());
  if (mail_waits_) turn_end_soon();
  arm_timer();
}

// --- the end ---

void LinkLoop::drain(std::function<void()> on_idle) {
  switch_.set_draining(true);
  on_idle_ = std::move(on_idle);
  told_idle_ = false;
  tell_if_idle();
}

void LinkLoop::tell_if_idle() {
  if (!on_idle_) return;
  const bool idle = switch_.counters().virtuals.read() == 0;
  if (idle && !std::exchange(told_idle_, true)) return on_idle_();
  told_idle_ = idle;
}

void LinkLoop::close_all(std::move_only_function<void()> done) {
  closing_ = true;
  switch_.set_draining(true);
  on_idle_ = nullptr;
  on_closed_ = std::move(done);
  switch_.close_all(CloseReason::local(ErrorCode::local_closed, "the gateway is closing"));
  tell_if_closed();
}

void LinkLoop::tell_if_closed() {
  if (closing_ && link_count_ == 0 && on_closed_) std::exchange(on_closed_, {})();
}

// --- dumps ---

std::size_t LinkLoop::dump(LinkDump what, std::vector<DumpLine>& to) const {
  std::size_t count = 0;
  const auto print = [&](const Port& port) {
    const Link& link = link_of(port);
    std::string text = port.side() == Side::client ? text_of("client", port.id())
                       : port.authenticated()      ? text_of("server", port.id())
                                                   : std::string("server=?");
    text += text_of(" loop", loop_.index()) + " peer=" + link.stream_->peer().remote_url() +
            text_of(" virtuals", port.virtual_count()) + text_of(" unsent", link.unsent()) +
            " idle=" + format_duration(loop_.now() - port.last_frame());
    if (!port.authenticated()) text += " authenticating";
    if (port.side() == Side::server && port.authenticated() && !port.registered()) text += " replaced";
    if (port.slow()) text += " slow";
    if (port.paused()) text += " paused";
    return text;
  };
  if (what == LinkDump::virtuals) {
    switch_.for_each_virtual([&](const VirtualInfo& each) {
      if (++count > LinkGateway::kDumpLinesMax) return;
      to.push_back({each.connection, text_of("connection", each.connection) + text_of(" client", each.client_id) +
                                         text_of(" client_loop", each.client_loop) +
                                         text_of(" server", each.server_id) + text_of(" server_loop", switch_.loop())});
    });
    return count;
  }
  if (what == LinkDump::sessions) {
    switch_.for_each_port([&](const Port& port) {
      if (port.closing() || ++count > LinkGateway::kDumpLinesMax) return;
      const std::uint64_t servers_first = port.side() == Side::client ? std::uint64_t{1} << 32 : 0;
      to.push_back({servers_first + port.id(), print(port)});
    });
    return count;
  }
  std::vector<std::pair<std::size_t, const Port*>> waiting;
  switch_.for_each_port([&](const Port& port) {
    if (const std::size_t bytes = port.closing() ? 0 : link_of(port).unsent(); bytes != 0) {
      waiting.emplace_back(bytes, &port);
    }
  });
  const auto printed = std::min(waiting.size(), LinkGateway::kDumpLinesMax);
  std::ranges::partial_sort(waiting, waiting.begin() + static_cast<std::ptrdiff_t>(printed), std::ranges::greater(),
                            [](const auto& each) { return each.first; });
  for (std::size_t i = 0; i < printed; ++i) to.push_back({~std::uint64_t{waiting[i].first}, print(*waiting[i].second)});
  return waiting.size();
}

}  // namespace wayport::link
