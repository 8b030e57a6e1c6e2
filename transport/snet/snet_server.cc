#include "wayport/transport/snet/snet_server.h"

#include <algorithm>
#include <utility>

#include "wayport/transport/fd_stream.h"
#include "wayport/transport/snet/loop_bridge.h"

namespace wayport::transport {
namespace {

// So long may a refusal take to leave.
constexpr Linger kRefusalLinger{std::chrono::seconds(1)};

class SnetIncoming final : public Incoming {
 public:
  explicit SnetIncoming(std::unique_ptr<SnetStream> stream) : stream_(std::move(stream)) {}
  const PeerInfo& peer() const noexcept override { return stream_->peer(); }
  std::unique_ptr<Stream> accept() override { return std::move(stream_); }
  void reject(const Error&) override { stream_.reset(); }

 private:
  std::unique_ptr<SnetStream> stream_;
};

PeerInfo copy_of(const PeerInfo& peer) {
  PeerInfo copy;
  copy.remote = peer.remote;
  copy.local = peer.local;
  copy.tls = peer.tls ? std::make_unique<TlsPeer>(*peer.tls) : nullptr;
  copy.unix_peer = peer.unix_peer;
  copy.scheme = peer.scheme;
  return copy;
}

// Whoever proved an identity below snet keeps it: another one does not take the session over, key or not.
bool same_identity(const PeerInfo& a, const PeerInfo& b) {
  const auto who = [](const PeerInfo& peer) {
    return peer.tls && peer.tls->verified ? peer.tls->subject + '\n' + peer.tls->subject_alt_names : std::string();
  };
  if (who(a) != who(b) || a.unix_peer.has_value() != b.unix_peer.has_value()) return false;
  return !a.unix_peer || a.unix_peer->uid == b.unix_peer->uid;
}

}  // namespace

// --- one loop ---

ServerSession* ServerLoop::find(std::uint64_t id) const noexcept {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second;
}

std::uint64_t ServerLoop::draw_id(snet::RandomSource& random, std::size_t loops) const {
  for (;;) {
    const std::uint64_t drawn = snet::draw_u64(random);
    const std::uint64_t id = drawn - drawn % loops + index_;
    if (id != 0 && id % loops == index_ && !find(id)) return id;
  }
}

void ServerLoop::add(std::unique_ptr<Half> half) {
  halves_.push_front(std::move(half));
  halves_.front()->self_ = halves_.begin();
  halves_.front()->begin();
}

void ServerLoop::remove(Half& half) {
  std::unique_ptr<Half> removed = std::move(*half.self_);
  halves_.erase(half.self_);
  loop_.delete_later(std::move(removed));
}

void ServerLoop::clear_handshakes() {
  // They may hold the last reference to what holds this.
  const std::list<std::unique_ptr<Half>> ending = std::exchange(halves_, {});
}

// --- all loops ---

ServerShared::ServerShared(Loop& home, const ListenOptions& how, const SnetOptions& snet_options,
                           snet::RandomSource& source, std::shared_ptr<SnetCounters> counts)
    : gate(home),
      options(how),
      snet(snet_options),
      random(source),
      counters(std::move(counts)),
      log(how.log ? *how.log : null_log()) {
  for (Loop* each : how.loops) loops.push_back(std::make_unique<ServerLoop>(*each, loops.size()));
  if (loops.empty()) loops.push_back(std::make_unique<ServerLoop>(home, 0));
}

ServerLoop& ServerShared::here() const {
  const auto found = std::ranges::find(loops, Loop::current(), [](const auto& each) { return &each->loop(); });
  WAYPORT_ASSERT(found != loops.end(), "connections come on the loops of the listener");
  return **found;
}

bool ServerShared::enter(const std::string& ip) {
  if (sessions.fetch_add(1, std::memory_order_relaxed) >= snet.sessions_max) {
    sessions.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  if (snet.sessions_per_address_max == 0 || ip.empty()) return true;
  const std::lock_guard lock(mutex_);
  std::size_t& count = per_address_[ip];
  if (count < snet.sessions_per_address_max) {
    ++count;
    return true;
  }
  sessions.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void ServerShared::leave(const std::string& ip) {
  sessions.fetch_sub(1, std::memory_order_relaxed);
  if (snet.sessions_per_address_max == 0 || ip.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto found = per_address_.find(ip);
  if (found != per_address_.end() && --found->second == 0) per_address_.erase(found);
}

// --- one session ---

ServerSession::ServerSession(std::shared_ptr<ServerShared> shared, ServerLoop& home, SnetStream& stream, std::string ip)
    : shared_(std::move(shared)), home_(home), stream_(stream), ip_(std::move(ip)) {
  home_.add(stream_.session().id(), *this);
}

void ServerSession::on_detached(const Error& why) {
  SnetCounters::add(shared_->counters->detached);
  lost_ = why;
  if (shared_->snet.wait <= Duration::zero()) {
    return end(CloseReason::By::system, why.code, "its connection was lost, and wait=0 resumes nothing: " + why.detail);
  }
  if (shared_->closed.load(std::memory_order_relaxed)) {
    return end(CloseReason::By::system, why.code,
               "its connection was lost, and nobody listens for it any more: " + why.detail);
  }
  home_.detached().push_back(*this);
  home_.loop().arm(*this, after(home_.loop().now(), shared_->snet.wait));
  shared_->detached.fetch_add(1, std::memory_order_relaxed);
  on_growth();
}

void ServerSession::on_growth() {
  if (!waiting()) return;
  const std::size_t bytes = stream_.memory();
  shared_->detached_bytes.fetch_add(bytes - counted_bytes_, std::memory_order_relaxed);
  counted_bytes_ = bytes;
  while (!home_.detached().empty()) {
    const std::size_t count = shared_->detached.load(std::memory_order_relaxed);
    const bool too_many = count > shared_->snet.detached_max;
    if (!too_many && shared_->detached_bytes.load(std::memory_order_relaxed) <= shared_->snet.detached_bytes_max)
      return;
    SnetCounters::add(shared_->counters->evicted);
    home_.detached().front().end(
        CloseReason::By::local, ErrorCode::overloaded,
        std::string("it waited longest for its client when there were more than ") +
            (too_many ? "detached=" + std::to_string(shared_->snet.detached_max) + " such sessions"
                      : "detached_bytes=" + std::to_string(shared_->snet.detached_bytes_max) + " in such sessions"));
  }
}

void ServerSession::on_attached() { stop_waiting(); }

void ServerSession::stop_waiting() noexcept {
  if (!waiting()) return;
  ListNode<ServerSession>::unlink();
  home_.loop().disarm(*this);
  shared_->detached.fetch_sub(1, std::memory_order_relaxed);
  shared_->detached_bytes.fetch_sub(counted_bytes_, std::memory_order_relaxed);
  counted_bytes_ = 0;
}

void ServerSession::on_timer() {
  SnetCounters::add(shared_->counters->expired);
  end(CloseReason::By::system, ErrorCode::timed_out,
      "its client did not come back within wait=" + format_duration(shared_->snet.wait) +
          "; lost by: " + lost_.to_string());
}

void ServerSession::end(CloseReason::By by, ErrorCode code, const std::string& why) {
  stream_.give_up({by, {code, "snet session with " + stream_.peer().remote_url() + ": " + why, {}}});
}

void ServerSession::retire() {
  stop_waiting();
  close_attempts();
  home_.remove(stream_.session().id());
  shared_->leave(ip_);
}

void ServerSession::add_attempt(Half& attempt) {
  attempt.session_ = this;
  attempts_.push_back(&attempt);
  if (attempts_.size() <= shared_->snet.attempts_max) return;
  SnetCounters::add(shared_->counters->resumes_displaced);
  attempts_.front()->drop("another reconnect of its session took its place");
}

void ServerSession::close_attempts() {
  while (!attempts_.empty()) attempts_.back()->drop("its session ended or was resumed by another connection");
}

// --- one handshake ---

Half::Half(std::shared_ptr<ServerShared> shared, ServerLoop& home, std::unique_ptr<Stream> stream,
           const snet::ServerHandshake& handshake, TimePoint due)
    : shared_(std::move(shared)), home_(home), stream_(std::move(stream)), handshake_(handshake), due_(due) {
  shared_->underway.fetch_add(1, std::memory_order_relaxed);
}

Half::~Half() {
  if (session_) session_->remove_attempt(*this);
  shared_->underway.fetch_sub(1, std::memory_order_relaxed);
}

void Half::begin() {
  if (due_ != kNever) home_.loop().arm(*this, due_);
  stream_->start(*this);
  step({});
}

std::size_t Half::on_bytes(MutableBytes bytes, bool) {
  std::size_t taken = 0;
  do taken += handshake_.handle_bytes(bytes.subspan(taken));
  while (step(bytes.subspan(taken)) && taken < bytes.size());
  return carried_ ? bytes.size() : taken;
}

// True: more bytes are welcome.
bool Half::step(MutableBytes rest) {
  using State = snet::ServerHandshake::State;
  if (left_) return false;
  switch (handshake_.state()) {
    case State::reading:
      return true;
    case State::wants_id:
      open();
      return !left_;
    case State::wants_session:
      return answer();
    case State::opened:
      establish(rest);
      return false;
    case State::resuming_now:
      resume(rest);
      return false;
    case State::refused:
      return false;
    case State::failed:
      if (handshake_.is_resume()) SnetCounters::add(shared_->counters->resumes_failed);
      drop(handshake_.why());
      return false;
  }
  return false;
}

void Half::open() {
  if (shared_->sessions.load(std::memory_order_relaxed) >= shared_->snet.sessions_max) {
    SnetCounters::add(shared_->counters->sessions_refused);
    return drop("there are as many sessions as sessions= allows");
  }
  Chain out;
  handshake_.open(home_.draw_id(shared_->random, shared_->loops.size()), out);
  stream_->write(std::move(out));
}

void Half::establish(MutableBytes rest) {
  const std::string ip = stream_->peer().remote.ip();
  const std::uint64_t id = handshake_.id();
  // Another handshake may have drawn the same one: once in 2^64.
  if (home_.find(id)) return drop("its id was taken meanwhile");
  if (!shared_->enter(ip)) {
    SnetCounters::add(shared_->counters->sessions_refused);
    return drop("there are as many sessions as sessions= or per_address= allows");
  }
  snet::Session session(snet::Role::server, handshake_.key(), id, shared_->snet.session);
  auto stream = std::make_unique<SnetStream>(home_.loop(), std::move(session), shared_->options.stream);
  stream->keep(std::make_unique<ServerSession>(shared_, home_, *stream, ip));
  SnetCounters::add(shared_->counters->opened);
  const bool attached = stream->resume(stream_, 0, 0);
  WAYPORT_ASSERT(attached, "a new session lacks nothing");
  leave();
  carried_ = true;
  stream->take(rest);
  shared_->gate.deliver(std::make_unique<SnetIncoming>(std::move(stream)));
}

bool Half::answer() {
  if (&shared_->loop_of(handshake_.requested_id()) != &home_) {
    // At turn end: what it gave us is on loan until then.
    stream_->read(false);
    home_.loop().at_turn_end(*this);
    return false;
  }
  ServerSession* session = home_.find(handshake_.requested_id());
  if (session && !same_identity(session->stream().peer(), stream_->peer())) session = nullptr;
  Chain out;
  handshake_.answer(session ? &session->stream().session() : nullptr, out);
  stream_->write(std::move(out));
  if (handshake_.state() == snet::ServerHandshake::State::refused) {
    refuse();
    return false;
  }
  session->add_attempt(*this);
  return true;
}

void Half::refuse() {
  SnetCounters::add(shared_->counters->resumes_refused);
  note(LogLevel::info, "snet reconnect refused", handshake_.why());
  home_.loop().disarm(*this);
  stream_->close(CloseReason::local(ErrorCode::refused, handshake_.why()), kRefusalLinger);
}

void Half::resume(MutableBytes rest) {
  ServerSession* const session = std::exchange(session_, nullptr);
  WAYPORT_ASSERT(session != nullptr, "attempts end with their session");
  session->remove_attempt(*this);
  SnetStream& stream = session->stream();
  if (stream.session().generation() != handshake_.generation() ||
      !stream.resume(stream_, handshake_.announced(), handshake_.peer_received())) {
    SnetCounters::add(shared_->counters->resumes_failed);
    return drop("unread bytes exceeded our ring meanwhile");
  }
  SnetCounters::add(shared_->counters->resumed);
  session->close_attempts();
  leave();
  carried_ = true;
  stream.take(rest);
}

// To the loop of its session: the socket itself, where that is all there is, else by a bridge.
void Half::on_turn_end() {
  if (left_) return;
  ServerLoop& owner = shared_->loop_of(handshake_.requested_id());
  SnetCounters::add(shared_->counters->moved);
  const auto arrive = [shared = shared_, &owner, handshake = handshake_, due = due_](std::unique_ptr<Stream> stream) {
    if (shared->closed.load(std::memory_order_relaxed)) return;
    owner.add(std::make_unique<Half>(shared, owner, std::move(stream), handshake, due));
  };
  PeerInfo peer = copy_of(stream_->peer());
  if (std::optional<Fd> fd = stream_->detach()) {
    const StreamOptions options = SnetStream::lower_options(shared_->options.stream, shared_->snet.session.ring_bytes);
    owner.loop().post([arrive, &owner, options, fd = *std::move(fd), peer = std::move(peer)]() mutable {
      arrive(make_fd_stream(owner.loop(), std::move(fd), std::move(peer), options));
    });
  } else {
    const StreamOptions options = SnetStream::lower_options(shared_->options.stream, shared_->snet.session.ring_bytes);
    owner.loop().post(
        [arrive, far = bridge_to(owner.loop(), std::move(stream_), options)]() mutable { arrive(std::move(far)); });
  }
  leave();
}

void Half::drop(const char* why) {
  if (left_) return;
  shared_->count(&ListenerCounters::handshakes_failed);
  note(LogLevel::info, "snet handshake failed", why);
  leave();
  stream_.reset();
}

void Half::leave() {
  if (std::exchange(left_, true)) return;
  if (session_) session_->remove_attempt(*this);
  session_ = nullptr;
  home_.loop().disarm(*this);
  home_.remove(*this);
}

void Half::note(LogLevel level, std::string_view event, const char* why) {
  shared_->log.write(shared_->log_limit, home_.loop().now(), level, event,
                     {{"peer", stream_ ? stream_->peer().remote_url() : std::string()}, {"why", why}});
}

}  // namespace wayport::transport
