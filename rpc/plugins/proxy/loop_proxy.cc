#include "wayport/rpc/plugins/proxy/loop_proxy.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wayport/framing/gzip.h"
#include "wayport/rpc/session_driver.h"
#include "wayport/rpc/uri.h"

namespace wayport::rpc::proxy {
namespace {

constexpr std::int32_t kLoopDetected = 508;

// Of calls that wait: how soon it is seen that nobody waits for one any more.
constexpr Duration kSweepInterval = std::chrono::milliseconds(100);

// A uri that is read as this path and this query.
std::string print_uri(std::string_view path, std::string_view raw_query) {
  constexpr std::string_view kPlain = "-._~!$&'()*+,;=@/";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(path.size() + 1 + raw_query.size());
  for (const char c : path) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool authority = c == '/' && out == "/";  // what two slashes in front would begin
    if (!authority && (letter || kPlain.contains(c))) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  if (!raw_query.empty()) out.append("?").append(raw_query);
  return out;
}

// As it came, unless a hook has changed the path: then the new one, in `storage`.
std::string_view uri_of(const Call& call, std::string& storage) {
  std::string decoded;
  Uri came;
  if (parse_uri(call.header().uri, decoded, came) && came.path == call.path()) return call.header().uri;
  storage = print_uri(call.path(), call.raw_query());
  return storage;
}

Request request_of(const Call& call, Duration timeout, std::string& uri_storage) {
  const framing::PacketHeader& header = call.header();
  Request request;
  request.uri = uri_of(call, uri_storage);
  request.header_codec = call.header_codec();
  request.gzip = header.gzip;
  request.status_code = header.status_code;
  request.status = header.status;
  request.timeout = timeout;
  if (const Bytes body = call.packet().body_with_codec; !body.empty()) {
    request.body.form = framing::OutgoingBody::Form::verbatim;
    request.body.bytes = body;
  }
  return request;
}

std::size_t bytes_of(const Call& call) {
  return call.header().uri.size() + call.header().status.size() + call.packet().body_with_codec.size();
}

// Whether nobody waits for its reply. Pushes go on without their session.
bool is_abandoned(const DeferredCall& call) {
  if (call.kind() == Call::Kind::push) return false;
  const SessionCore& session = call.session();
  return call.answered() || session.state() == SessionCore::State::ended ||
         (session.state() == SessionCore::State::closing && session.close_reason().by == CloseReason::By::peer);
}

// An answer to the question whether a backend leads here, and no refusal or failure on the way to it.
bool is_answer(const Status& status) {
  // The local 502: a reply that has a body.
  if (status.origin == Status::Origin::local) return status.ok() || status.code == code::kBadReply;
  return status.code != code::kBadReply && status.code != code::kServiceUnavailable && status.code != code::kTimeout;
}

// Readers test for zero only; a level that no gzip has would leave as zero, and the body would be misread.
std::int32_t gzip_of(const framing::PacketHeader& header) {
  return header.gzip == 0 || framing::is_gzip_level(header.gzip) ? header.gzip : 1;
}

}  // namespace

Target::Target(Backend what, std::size_t loops)
    : backend(std::move(what)), seed(hash_text(backend.name)), per_loop(loops) {}

// A backend on this loop.
struct LoopProxy::Member : std::enable_shared_from_this<Member> {
  struct Alarm final : Timer {
    Alarm(Member& of, void (*what)(Member&)) : member(of), act(what) {}
    void on_timer() override { act(member); }
    Member& member;
    void (*act)(Member&);
  };

  Member(LoopProxy& of, std::shared_ptr<Target> its_target)
      : owner(of),
        target(std::move(its_target)),
        stats(target->per_loop[of.loop_.index()]),
        health(of.options_->health),
        readmit(*this, [](Member& member) { member.owner.serve(); }),
        check(*this, [](Member& member) { member.owner.check(member); }),
        ask(*this, [](Member& member) { member.owner.ask_again(member); }) {}

  const std::string& name() const noexcept { return target->backend.name; }

  LoopProxy& owner;
  const std::shared_ptr<Target> target;
  Target::PerLoop& stats;
  std::unique_ptr<SessionPool> pool;  // null: retired
  Health health;
  std::size_t outstanding = 0;
  std::int64_t share = 0;
  std::uint64_t loop_check = 0;  // the last one that was sent
  bool ready = false;            // it does not lead back here
  bool checking = false;
  Alarm readmit;
  Alarm check;
  Alarm ask;  // the loop check, once more
};

// One attempt of a pull at one backend.
class LoopProxy::Attempt final : public PendingCall {
 public:
  Attempt(std::shared_ptr<LoopProxy> owner, std::shared_ptr<Member> member, Job job)
      : owner_(std::move(owner)), member_(std::move(member)), job_(std::move(job)) {
    ++member_->outstanding;
    member_->stats.outstanding.add(1);
    member_->stats.calls.add();
  }
  ~Attempt() override { leave(); }

  void on_reply(const framing::PacketView& packet, framing::ProtocolContext&) override {
    leave();
    member_->health.answered();
    if (Status refused = result_read(packet, {}); !refused.ok()) {
      job_.call->fail(refused);
    } else {
      forward(packet);
    }
    owner_->serve();
  }
  bool on_error_reply(const framing::PacketView& packet) override {
    leave();
    member_->health.answered();
    forward(packet);
    owner_->serve();
    return true;
  }
  void on_failed(Status status) override {
    leave();
    owner_->ended(std::move(job_), *member_, std::move(status));
    owner_->serve();
  }

 private:
  void forward(const framing::PacketView& packet) {
    owner_->counters_.replies.add();
    job_.call->reply_forwarded(packet.body_with_codec, gzip_of(packet.header), packet.header.status_code,
                               packet.header.status);
    job_.call.reset();
  }
  void leave() {
    if (std::exchange(left_, true)) return;
    --member_->outstanding;
    member_->stats.outstanding.add(-1);
  }

  const std::shared_ptr<LoopProxy> owner_;
  const std::shared_ptr<Member> member_;
  Job job_;
  bool left_ = false;
};

LoopProxy::LoopProxy(Peer& back, Loop& loop, std::shared_ptr<const ReverseProxyOptions> options,
                     const std::string& token)
    : back_(back),
      loop_(loop),
      options_(std::move(options)),
      loop_query_("token=" + token),
      random_(std::random_device{}()),
      balancer_(options_->balance),
      sweep_(*this) {}

void LoopProxy::set_targets(const Targets& targets) {
  if (closed_) return;
  open_ = true;
  std::vector<std::shared_ptr<Member>> kept;
  for (const std::shared_ptr<Target>& target : targets) {
    const auto same = [&](const std::shared_ptr<Member>& member) { return member && member->target == target; };
    if (const auto at = std::ranges::find_if(members_, same); at != members_.end()) {
      kept.push_back(std::exchange(*at, nullptr));
      continue;
    }
    const std::shared_ptr<Member> member = std::make_shared<Member>(*this, target);
    SessionPoolOptions pool;
    pool.addresses = {target->backend.address};
    pool.sessions = options_->sessions_per_backend;
    pool.dial = options_->dial;
    pool.dial.loop = &loop_;
    pool.backoff = options_->redial;
    pool.on_open = [weak = std::weak_ptr(member)](const Session& session) {
      const std::shared_ptr<Member> alive = weak.lock();
      if (alive && alive->pool) alive->owner.opened(*alive, session);
    };
    member->pool = std::make_unique<SessionPool>(back_, std::move(pool));
    if (!options_->check_uri.empty()) loop_.arm(member->check, after(loop_.now(), options_->check_interval));
    kept.push_back(member);
  }
  members_.swap(kept);
  for (const std::shared_ptr<Member>& member : kept) {
    if (member) retire(*member);
  }
  if (members_.empty()) return refuse_waiting("no backends are configured");
  serve();
}

void LoopProxy::retire(Member& member) {
  member.readmit.unlink();
  member.check.unlink();
  member.ask.unlink();
  member.stats.usable.set(0);
  member.pool.reset();
}

void LoopProxy::close() {
  closed_ = true;
  refuse_waiting("the proxy is closing");
  sweep_.unlink();
  for (const std::shared_ptr<Member>& member : members_) retire(*member);
  members_.clear();
}

// --- choosing ---

std::uint64_t LoopProxy::key_of(const Call& call) const {
  if (options_->balance != Balance::hash) return 0;
  if (options_->key) return options_->key(call);
  const Session session = session_of(call.session());
  const std::string ip = session.peer().remote.ip();
  return hash_text(ip.empty() ? session.id() : ip);
}

bool LoopProxy::usable(Member& member) {
  const bool in =
      member.ready && member.pool->open_sessions() != 0 && member.health.usable(loop_.now(), member.outstanding);
  member.stats.usable.set(in ? 1 : 0);
  return in && member.outstanding < options_->calls_max;
}

LoopProxy::Member* LoopProxy::choose(const Job& job, bool untried_only) {
  const auto tried = std::span(job.tried).first(std::min<std::size_t>(job.attempts, job.tried.size()));
  candidates_.clear();
  for (const std::shared_ptr<Member>& member : members_) {
    Candidate candidate{.usable = usable(*member),
                        .weight = member->target->backend.weight,
                        .outstanding = member->outstanding,
                        .seed = member->target->seed,
                        .share = &member->share};
    if (untried_only && std::ranges::find(tried, member.get()) != tried.end()) candidate.usable = false;
    candidates_.push_back(candidate);
  }
  const std::size_t at = balancer_.pick(candidates_, job.key);
  return at == Balancer::kNone ? nullptr : members_[at].get();
}

LoopProxy::Member* LoopProxy::choose(const Job& job, Session& session) {
  for (;;) {
    Member* member = choose(job, true);
    if (!member && job.attempts != 0) member = choose(job, false);
    if (!member) return nullptr;
    session = member->pool->pick();
    if (session) return member;
    // Its sessions were going; the pool knows now, so it is no candidate any more.
  }
}

// --- calls ---

void LoopProxy::take(Call& call) {
  if (options_->loop_check && call.path() == ReverseProxy::kLoopPath && call.raw_query() == loop_query_) {
    return call.fail(Status::make(kLoopDetected, "Loop Detected: this proxy is reached through itself"));
  }
  if (!open_ || closed_) {
    return call.fail(
        Status::make(code::kServiceUnavailable, closed_ ? "the proxy is closing" : "the proxy has not started"));
  }
  Job job;
  job.key = key_of(call);
  if (call.kind() == Call::Kind::pull) {
    counters_.pulls.add();
  } else if (try_push(call, job)) {
    return;
  }
  job.call = call.defer();
  if (!job.call) {
    if (call.kind() == Call::Kind::push) counters_.pushes_dropped.add();
    return;
  }
  if (call.kind() == Call::Kind::push) return wait(std::move(job));
  submit(std::move(job));
}

void LoopProxy::submit(Job job) {
  if (!try_start(job)) wait(std::move(job));
}

bool LoopProxy::try_start(Job& job) {
  if (job.call->kind() == Call::Kind::pull) return try_pull(job);
  if (!try_push(*job.call, job)) return false;
  job.call.reset();
  return true;
}

bool LoopProxy::try_pull(Job& job) {
  Session session;
  Member* const member = choose(job, session);
  if (!member) return false;
  std::string uri;
  const Request request = request_of(*job.call, options_->call_timeout, uri);  // views of what the job owns
  job.tried[job.attempts++ % job.tried.size()] = member;
  session.driver()->core().pull(
      request, std::make_unique<Attempt>(shared_from_this(), member->shared_from_this(), std::move(job)));
  return true;
}

bool LoopProxy::try_push(const Call& call, Job& job) {
  std::string uri;
  const Request request = request_of(call, Duration::zero(), uri);
  while (job.attempts <= options_->retries_max) {
    Session session;
    Member* const member = choose(job, session);
    if (!member) return false;
    job.tried[job.attempts++ % job.tried.size()] = member;
    if (const Result<void> pushed = session.driver()->core().push(request); pushed) {
      member->stats.pushes.add();
      counters_.pushes.add();
      return true;
    } else {
      back_.runtime().log().write(log_limit_, loop_.now(), LogLevel::warning, "push not forwarded",
                                  {{"uri", call.header().uri}, {"backend", member->name()}, {"error", pushed.error()}});
    }
  }
  counters_.pushes_dropped.add();
  return true;
}

void LoopProxy::wait(Job job) {
  if (closed_) return refuse(job, "the proxy is closing");
  if (members_.empty()) return refuse(job, "no backends are configured");
  if (options_->wait_max <= Duration::zero()) return refuse(job, "no backend is in rotation");
  const std::size_t bytes = bytes_of(*job.call);
  if (waiting_.size() >= options_->waiting_max || waiting_bytes_ + bytes > options_->waiting_bytes_max) {
    return refuse(job, "no backend is free, and " +
                           std::string(waiting_.size() >= options_->waiting_max ? "waiting_max" : "waiting_bytes_max") +
                           " is reached: " + std::to_string(waiting_.size()) + " calls wait");
  }
  counters_.waited.add();
  waiting_bytes_ += bytes;
  Waiting& waiting = waiting_.emplace_back(*this, std::move(job));
  waiting.self = std::prev(waiting_.end());
  loop_.arm(waiting, after(loop_.now(), options_->wait_max));
  if (!sweep_.armed()) loop_.arm(sweep_, after(loop_.now(), kSweepInterval));
}

void LoopProxy::give_up(Waiting& waiting) {
  Job job = std::move(waiting.job);
  waiting_bytes_ -= bytes_of(*job.call);
  waiting_.erase(waiting.self);
  refuse(job, "no backend was free within wait_max " + format_duration(options_->wait_max));
}

void LoopProxy::refuse_waiting(const std::string& why) {
  std::list<Waiting> all;
  all.swap(waiting_);
  waiting_bytes_ = 0;
  for (Waiting& waiting : all) {
    waiting.unlink();
    refuse(waiting.job, why);
  }
}

void LoopProxy::sweep() {
  std::list<Waiting> gone;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto next = std::next(at);
    if (is_abandoned(*at->job.call)) {
      at->unlink();
      waiting_bytes_ -= bytes_of(*at->job.call);
      gone.splice(gone.end(), waiting_, at);
    }
    at = next;
  }
  if (!waiting_.empty()) loop_.arm(sweep_, after(loop_.now(), kSweepInterval));
  for (Waiting& waiting : gone) abandon(waiting.job);
}

void LoopProxy::abandon(Job& job) {
  const std::unique_ptr<DeferredCall> call = std::move(job.call);
  counters_.abandoned.add();
  // Who only ended his half of the stream is told.
  call->fail(Status::make(code::kServiceUnavailable, "not forwarded: its session ended while it waited for a backend"));
}

void LoopProxy::refuse(Job& job, std::string why) {
  const std::unique_ptr<DeferredCall> call = std::move(job.call);
  (call->kind() == Call::Kind::pull ? counters_.refused : counters_.pushes_dropped).add();
  call->fail(Status::make(code::kServiceUnavailable, std::move(why)));
}

void LoopProxy::serve() {
  while (!closed_ && !waiting_.empty()) {
    Waiting& first = waiting_.front();
    const std::size_t bytes = bytes_of(*first.job.call);
    Job gone;
    if (is_abandoned(*first.job.call)) {
      gone = std::move(first.job);
    } else if (!try_start(first.job)) {
      return;
    }
    waiting_bytes_ -= bytes;
    waiting_.erase(waiting_.begin());
    if (gone.call) abandon(gone);
  }
}

void LoopProxy::ended(Job job, Member& member, Status status) {
  const bool timed_out = status.code == code::kTimeout;
  const bool lost = timed_out || status.code == code::kConnectionClosed || status.code == code::kWriteFailed;
  if (lost && !status.never_executed) note_failure(member);
  DeferredCall& call = *job.call;
  if (call.answered() || call.session().state() == SessionCore::State::ended) return;  // its caller waits no more
  const bool again = job.attempts <= options_->retries_max &&
                     (status.never_executed || (lost && options_->idempotent && options_->idempotent(call.path())));
  if (again && !closed_) {
    counters_.retries.add();
    return submit(std::move(job));
  }
  back_.runtime().log().write(log_limit_, loop_.now(), LogLevel::warning, "call not forwarded",
                              {{"uri", call.header().uri},
                               {"backend", member.name()},
                               {"attempts", job.attempts},
                               {"status", status.to_string()}});
  if (status.never_executed) {
    counters_.refused.add();
    call.fail(Status::make(code::kServiceUnavailable, "backend " + member.name() + " did not execute it"));
  } else if (timed_out) {
    counters_.timed_out.add();
    call.fail(Status::make(code::kTimeout, "backend " + member.name() + " gave no reply within " +
                                               format_duration(options_->call_timeout)));
  } else if (lost) {
    counters_.backends_lost.add();
    call.fail(Status::make(code::kBadReply,
                           "backend " + member.name() + " was lost before it replied; perhaps it was executed"));
  } else {
    call.fail(status);  // a plugin of the peer that dials
  }
}

// --- health ---

void LoopProxy::note_failure(Member& member) {
  member.stats.failures.add();
  if (!member.pool || !member.health.failed(loop_.now(), random_())) return;
  counters_.ejections.add();
  member.stats.usable.set(0);
  const TimePoint until = member.health.ejected_until();
  loop_.arm(member.readmit, until);
  back_.runtime().log().write(log_limit_, loop_.now(), LogLevel::warning, "backend left out after failures",
                              {{"backend", member.name()}, {"for", until - loop_.now()}});
}

void LoopProxy::opened(Member& member, const Session& session) {
  session.on_closed([weak = member.weak_from_this()](const CloseReason&) {
    const std::shared_ptr<Member> alive = weak.lock();
    if (alive && alive->pool) alive->owner.usable(*alive);
  });
  if (!options_->loop_check) {
    member.ready = true;
    return serve();
  }
  if (member.ready && member.pool->open_sessions() > 1) return;  // one of several to a known one
  member.ready = false;
  ask(member, session);
}

void LoopProxy::ask_again(Member& member) {
  if (const Session session = member.pool->pick()) ask(member, session);  // else the next connection is asked
}

void LoopProxy::ask(Member& member, const Session& session) {
  member.ask.unlink();
  CallOptions options;
  options.timeout = options_->check_timeout;
  const std::string uri = std::string(ReverseProxy::kLoopPath) + "?" + loop_query_;
  session.pull_async<void>(uri, framing::NoBody(), options,
                           [weak = member.weak_from_this(), number = ++member.loop_check](Reply<void> reply) {
                             const std::shared_ptr<Member> alive = weak.lock();
                             if (alive && alive->pool && alive->loop_check == number) {
                               alive->owner.loop_checked(*alive, reply.status());
                             }
                           });
}

void LoopProxy::loop_checked(Member& member, const Status& status) {
  if (status.origin == Status::Origin::remote && status.code == kLoopDetected) {
    counters_.loops_found.add();
    back_.runtime().log().write(
        log_limit_, loop_.now(), LogLevel::error, "backend left out: it leads back to this proxy",
        {{"backend", member.name()}, {"address", member.target->backend.address}, {"status", status.text}});
    return;
  }
  if (status.code == code::kConnectionClosed) return;  // the next connection is asked again
  if (!is_answer(status)) {
    back_.runtime().log().write(log_limit_, loop_.now(), LogLevel::warning,
                                "backend not in rotation yet: it did not answer whether it leads back to this proxy",
                                {{"backend", member.name()}, {"status", status.to_string()}});
    return loop_.arm(member.ask, after(loop_.now(), options_->check_interval));
  }
  member.ready = true;
  usable(member);
  serve();
}

void LoopProxy::check(Member& member) {
  loop_.arm(member.check, after(loop_.now(), options_->check_interval));
  if (member.checking) return;
  const Session session = member.pool->pick();
  if (!session) return checked(member, false);
  member.checking = true;
  CallOptions options;
  options.timeout = options_->check_timeout;
  session.pull_async<void>(options_->check_uri, framing::NoBody(), options,
                           [weak = member.weak_from_this()](Reply<void> reply) {
                             const std::shared_ptr<Member> alive = weak.lock();
                             if (!alive || !alive->pool) return;
                             alive->checking = false;
                             alive->owner.checked(*alive, reply.ok());
                           });
}

void LoopProxy::checked(Member& member, bool good) {
  if (!good) counters_.checks_failed.add();
  if (!member.health.checked(good)) return;
  back_.runtime().log().write(log_limit_, loop_.now(), LogLevel::warning,
                              good ? "backend is up again" : "backend is down", {{"backend", member.name()}});
  usable(member);
  if (good) serve();
}

}  // namespace wayport::rpc::proxy
