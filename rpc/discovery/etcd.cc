#include "wayport/rpc/discovery/etcd.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/base/task_group.h"
#include "wayport/rpc/discovery/etcd_http.h"
#include "wayport/rpc/discovery/fill.h"

namespace wayport::rpc {
namespace {

using std::chrono::seconds;

struct Endpoint {
  std::string name;  // as given, without parameters
  std::string host;  // for the header
  transport::Address address;
};

Result<Endpoint> parse_endpoint(std::string_view text) {
  std::string_view layer;
  std::string_view rest = text;
  if (text.starts_with("http://")) {
    layer = "tcp";
    rest.remove_prefix(7);
  } else if (text.starts_with("https://")) {
    layer = "tls";
    rest.remove_prefix(8);
  } else {
    return fail(ErrorCode::invalid_argument, "an endpoint of etcd begins with http:// or https://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  WAYPORT_TRY_ASSIGN(transport::Address address, transport::Address::parse(etcd::fill("{}://{}", layer, rest)));
  if (address.host().empty() || address.port() == 0 || !address.path().empty()) {
    return fail(ErrorCode::invalid_argument, "an endpoint of etcd has a host and a port and no path");
  }
  // A watch is quiet for hours; a server that vanished must still be noticed.
  if (address.parameter("keepalive") == nullptr) address.set_parameter("keepalive", "30s");
  std::string host(rest.substr(0, rest.find('?')));
  return Endpoint{std::string(text.substr(0, text.find('?'))), std::move(host), std::move(address)};
}

// Whether another endpoint may do better.
bool may_fail_over(ErrorCode code) noexcept {
  return code == ErrorCode::unreachable || code == ErrorCode::refused || code == ErrorCode::timed_out ||
         code == ErrorCode::peer_closed || code == ErrorCode::io || code == ErrorCode::malformed ||
         code == ErrorCode::not_found;
}

}  // namespace

struct EtcdClient::Core : std::enable_shared_from_this<Core> {
  // The right to use the connection, in order of asking.
  struct Turn {
    explicit Turn(std::shared_ptr<Core> of) : core(std::move(of)) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      core->turns.remove(this);
      if (!held) return;
      core->busy = false;
      if (core->turns.empty()) return;
      Turn* const next = core->turns.front();
      core->turns.pop_front();
      core->busy = next->held = true;
      core->loop.post([done = std::move(next->granted)]() mutable { done({}); });
    }
    asio::awaitable<Result<void>> take() {
      if (!core->busy) {
        core->busy = held = true;
        co_return Result<void>();
      }
      if (core->turns.size() >= core->options.requests_waiting_max) {
        ++core->counters.overloaded;
        co_return fail(ErrorCode::overloaded, "etcd: more than requests_waiting_max requests wait");
      }
      core->turns.push_back(this);
      co_return co_await async_callback<void>([this](Completion<void> done) { granted = std::move(done); });
    }
    std::shared_ptr<Core> core;
    Completion<void> granted;
    bool held = false;
  };

  Core(Loop& on, const transport::Transports& all, EtcdOptions given)
      : loop(on),
        transports(all),
        options(std::move(given)),
        log(options.log ? *options.log : null_log()),
        link(on, all) {}

  Error closed_error() const { return {ErrorCode::local_closed, "the client of etcd was destroyed", {}}; }

  // One request to the current endpoint. A kept connection may have died unnoticed: then once more on a fresh one.
  static asio::awaitable<Result<std::string>> once(std::shared_ptr<Core> core, std::string path, std::string body) {
    const Endpoint& endpoint = core->endpoints[core->current];
    for (;;) {
      if (core->closed) co_return fail(core->closed_error());
      const bool kept = core->link.connected();
      if (!kept) {
        Result<void> connected = co_await core->link.connect(endpoint.address, core->options.request_timeout);
        if (core->closed) co_return fail(core->closed_error());
        if (!connected) {
          Error error = connected.error();
          // A refused connection is not a refusal of credentials.
          if (error.code == ErrorCode::refused || error.code == ErrorCode::not_found)
            error.code = ErrorCode::unreachable;
          error.detail = etcd::fill("{}: {}", endpoint.name, error.detail);
          co_return fail(std::move(error));
        }
      }
      Result<etcd::HttpAnswer> answer = co_await core->link.request(
          {endpoint.host, path, body, core->token}, core->options.request_timeout, core->options.response_bytes_max);
      if (core->closed) co_return fail(core->closed_error());
      if (answer) {
        if (answer->status == 200) co_return std::move(answer->body);
        co_return fail(etcd::error_of(answer->status, answer->body, endpoint.name));
      }
      Error error = std::move(answer.error());
      if (kept && (error.code == ErrorCode::peer_closed || error.code == ErrorCode::io)) continue;
      if (error.code == ErrorCode::too_large) ++core->counters.too_large;
      error.detail = etcd::fill("{}: {}", endpoint.name, error.detail);
      co_return fail(std::move(error));
    }
  }

  static asio::awaitable<Result<std::string>> any_endpoint(std::shared_ptr<Core> core, std::string path,
                                                           std::string body) {
    ++core->counters.requests;
    Result<std::string> answer = co_await once(core, path, body);
    for (std::size_t tried = 1; tried < core->endpoints.size(); ++tried) {
      if (answer || core->closed || core->link.connected() || !may_fail_over(answer.error().code)) break;
      core->current = (core->current + 1) % core->endpoints.size();
      ++core->counters.failovers;
      answer = co_await once(core, path, body);
    }
    // The one that answers `unavailable` on a good connection is left, too, for the next request.
    if (!answer && answer.error().code == ErrorCode::unreachable && core->endpoints.size() > 1) {
      core->link.drop();
      core->current = (core->current + 1) % core->endpoints.size();
      ++core->counters.failovers;
    }
    co_return answer;
  }

  // REQUIRES: the turn is held.
  static asio::awaitable<Result<void>> login(std::shared_ptr<Core> core) {
    if (core->options.user.empty() || !core->token.empty()) co_return Result<void>();
    ++core->counters.logins;
    Result<std::string> answer = co_await any_endpoint(core, "/v3/auth/authenticate",
                                                       etcd::write_login(core->options.user, core->options.password));
    if (!answer) co_return fail(answer.error());
    Result<std::string> token = etcd::read_login(*answer);
    if (!token) co_return fail(core->named(token.error()));
    core->token = *std::move(token);
    co_return Result<void>();
  }

  static asio::awaitable<Result<std::string>> call(std::shared_ptr<Core> core, std::string path, std::string body) {
    Turn turn(core);
    if (Result<void> taken = co_await turn.take(); !taken) co_return fail(taken.error());
    for (bool renewed = false;; renewed = true) {
      if (Result<void> done = co_await login(core); !done) co_return fail(done.error());
      Result<std::string> answer = co_await any_endpoint(core, path, body);
      if (answer || renewed || core->token.empty() || !etcd::is_token_error(answer.error())) co_return answer;
      core->token.clear();
    }
  }

  static asio::awaitable<Result<void>> ensure_login(std::shared_ptr<Core> core) {
    if (core->options.user.empty() || !core->token.empty()) co_return Result<void>();
    Turn turn(core);
    if (Result<void> taken = co_await turn.take(); !taken) co_return fail(taken.error());
    co_return co_await login(core);
  }

  static asio::awaitable<Result<etcd::RangeAnswer>> list(std::shared_ptr<Core> core, std::string prefix,
                                                         std::size_t limit) {
    const std::size_t wanted = limit == 0 ? core->options.keys_max : std::min(limit, core->options.keys_max);
    const std::string end = etcd::prefix_end(prefix);
    std::string from = prefix.empty() ? std::string(1, '\0') : prefix;
    etcd::RangeAnswer all;
    for (;;) {
      const std::size_t page = std::min(core->options.page_keys, wanted - all.entries.size());
      Result<std::string> answer = co_await call(
          core, "/v3/kv/range", etcd::write_range({from, end, static_cast<std::int64_t>(page), all.revision}));
      if (!answer) co_return fail(answer.error());
      Result<etcd::RangeAnswer> read = etcd::read_range(*answer);
      if (!read) co_return fail(core->named(read.error()));
      if (read->entries.size() > page || (read->more && read->entries.empty())) {
        co_return fail(core->named({ErrorCode::malformed, "a page has another size than was asked for", {}}));
      }
      if (all.revision == 0) all.revision = read->revision;
      all.more = read->more;
      std::ranges::move(read->entries, std::back_inserter(all.entries));
      if (!all.more) co_return all;
      if (all.entries.size() >= wanted) {
        if (limit != 0 && limit <= core->options.keys_max) co_return all;
        ++core->counters.too_large;
        co_return fail(ErrorCode::too_large, etcd::fill("etcd: \"{}\" has more keys than keys_max ({})", escape(prefix),
                                                        core->options.keys_max));
      }
      from = all.entries.back().key + '\0';
    }
  }

  Error named(Error error) const {
    error.detail = etcd::fill("{}: {}", endpoints[current].name, error.detail);
    return error;
  }
  Duration retry_wait(unsigned failures) {
    Duration wait = options.retry_first;
    for (unsigned i = 1; i < failures && wait < options.retry_max; ++i) wait *= 2;
    wait = std::min(wait, options.retry_max);
    const auto half = static_cast<std::uint64_t>(std::max<std::int64_t>(wait.count() / 2, 1));
    return wait / 2 + Duration(static_cast<std::int64_t>(options.random() % half));
  }

  Loop& loop;
  const transport::Transports& transports;
  EtcdOptions options;
  Log& log;
  LogLimit log_limit;
  std::vector<Endpoint> endpoints;
  std::size_t current = 0;
  etcd::HttpLink link;
  std::string token;
  EtcdCounters counters;
  std::list<Turn*> turns;  // waiting
  bool busy = false;
  bool closed = false;
};

// --- EtcdClient ---

Result<std::unique_ptr<EtcdClient>> EtcdClient::make(Loop& loop, const transport::Transports& transports,
                                                     EtcdOptions options) {
  if (options.endpoints.empty()) return fail(ErrorCode::invalid_argument, "etcd: no endpoints are given");
  if (options.page_keys == 0 || options.keys_max == 0) {
    return fail(ErrorCode::invalid_argument, "etcd: page_keys and keys_max are at least 1");
  }
  if (!options.random)
    options.random = [random = std::mt19937_64(std::random_device{}())]() mutable { return random(); };
  const auto core = std::make_shared<Core>(loop, transports, std::move(options));
  for (const std::string& text : core->options.endpoints) {
    Result<Endpoint> endpoint = parse_endpoint(text);
    if (!endpoint) {
      return fail(ErrorCode::invalid_argument,
                  etcd::fill("endpoint {}: {}", core->endpoints.size() + 1, endpoint.error().detail));
    }
    core->endpoints.push_back(*std::move(endpoint));
  }
  return std::unique_ptr<EtcdClient>(new EtcdClient(core));
}

EtcdClient::EtcdClient(std::shared_ptr<Core> core) : core_(std::move(core)) {}

EtcdClient::~EtcdClient() {
  core_->closed = true;
  core_->link.drop();
}

const EtcdCounters& EtcdClient::counters() const noexcept { return core_->counters; }

// Calls `path` and reads the answer with `read`, which gives a Result<T>.
#define WAYPORT_ETCD_CALL_(name, path, body, read)                              \
  Result<std::string> answer_of_##name = co_await Core::call(core, path, body); \
  if (!answer_of_##name) co_return fail(answer_of_##name.error());              \
  auto name = read(*answer_of_##name);                                          \
  if (!name) co_return fail(core->named(name.error()))

asio::awaitable<Result<std::int64_t>> EtcdClient::put(std::string key, std::string value, std::int64_t lease_id) {
  return [](std::shared_ptr<Core> core, std::string key, std::string value,
            std::int64_t lease_id) -> asio::awaitable<Result<std::int64_t>> {
    WAYPORT_ETCD_CALL_(revision, "/v3/kv/put", etcd::write_put(key, value, lease_id), etcd::read_put);
    co_return revision;
  }(core_, std::move(key), std::move(value), lease_id);
}

asio::awaitable<Result<std::optional<EtcdKeyValue>>> EtcdClient::get(std::string key) {
  return [](std::shared_ptr<Core> core, std::string key) -> asio::awaitable<Result<std::optional<EtcdKeyValue>>> {
    WAYPORT_ETCD_CALL_(range, "/v3/kv/range", etcd::write_range({.key = key, .end = {}}), etcd::read_range);
    if (range->entries.empty()) co_return std::optional<EtcdKeyValue>();
    co_return std::optional<EtcdKeyValue>(std::move(range->entries.front()));
  }(core_, std::move(key));
}

asio::awaitable<Result<etcd::RangeAnswer>> EtcdClient::get_prefix(std::string prefix, std::size_t limit) {
  return Core::list(core_, std::move(prefix), limit);
}

asio::awaitable<Result<std::int64_t>> EtcdClient::erase(std::string key) {
  return [](std::shared_ptr<Core> core, std::string key) -> asio::awaitable<Result<std::int64_t>> {
    WAYPORT_ETCD_CALL_(erased, "/v3/kv/deleterange", etcd::write_erase(key, {}), etcd::read_erase);
    co_return erased;
  }(core_, std::move(key));
}

asio::awaitable<Result<std::int64_t>> EtcdClient::erase_prefix(std::string prefix) {
  return [](std::shared_ptr<Core> core, std::string prefix) -> asio::awaitable<Result<std::int64_t>> {
    const std::string end = etcd::prefix_end(prefix);
    if (prefix.empty()) prefix.push_back('\0');
    WAYPORT_ETCD_CALL_(erased, "/v3/kv/deleterange", etcd::write_erase(prefix, end), etcd::read_erase);
    co_return erased;
  }(core_, std::move(prefix));
}

asio::awaitable<Result<etcd::LeaseAnswer>> EtcdClient::lease_grant(std::int64_t ttl_seconds) {
  return [](std::shared_ptr<Core> core, std::int64_t ttl_seconds) -> asio::awaitable<Result<etcd::LeaseAnswer>> {
    WAYPORT_ETCD_CALL_(lease, "/v3/lease/grant", etcd::write_lease_grant(ttl_seconds), etcd::read_lease_grant);
    co_return lease;
  }(core_, ttl_seconds);
}

asio::awaitable<Result<etcd::LeaseAnswer>> EtcdClient::lease_keep_alive(std::int64_t id) {
  return [](std::shared_ptr<Core> core, std::int64_t id) -> asio::awaitable<Result<etcd::LeaseAnswer>> {
    WAYPORT_ETCD_CALL_(lease, "/v3/lease/keepalive", etcd::write_lease(id), etcd::read_lease_keep_alive);
    if (lease->ttl_seconds == 0) co_return fail(core->named({ErrorCode::not_found, "the lease is gone", {}}));
    co_return lease;
  }(core_, id);
}

asio::awaitable<Result<void>> EtcdClient::lease_revoke(std::int64_t id) {
  return [](std::shared_ptr<Core> core, std::int64_t id) -> asio::awaitable<Result<void>> {
    Result<std::string> answer = co_await Core::call(core, "/v3/lease/revoke", etcd::write_lease(id));
    if (!answer) co_return fail(answer.error());
    co_return Result<void>();
  }(core_, id);
}

asio::awaitable<Result<std::string>> EtcdClient::call(std::string path, std::string json) {
  return Core::call(core_, std::move(path), std::move(json));
}

// --- EtcdLease ---

struct EtcdLease::State {
  State(std::shared_ptr<EtcdClient::Core> of, std::int64_t ttl) : core(std::move(of)), ttl_seconds(ttl) {}

  bool over() const noexcept { return stopped || core->closed; }

  static asio::awaitable<void> run(std::shared_ptr<State> state) {
    unsigned failures = 0;
    while (!state->over()) {
      const TimePoint asked = state->core->loop.now();
      Result<std::string> granted =
          co_await EtcdClient::Core::call(state->core, "/v3/lease/grant", etcd::write_lease_grant(state->ttl_seconds));
      Result<etcd::LeaseAnswer> lease =
          granted ? etcd::read_lease_grant(*granted) : Result<etcd::LeaseAnswer>(granted.error());
      if (state->over()) co_return;
      if (!lease) {
        state->core->log.write(state->core->log_limit, state->core->loop.now(), LogLevel::warning,
                               "etcd grants no lease", {{"error", lease.error()}});
        static_cast<void>(co_await sleep_for(state->core->loop, state->core->retry_wait(++failures)));
        continue;
      }
      failures = 0;
      state->id = lease->id;
      if (state->on_granted) state->on_granted(state->id);
      if (state->over()) co_return;
      const Error why = co_await keep(state, asked, std::max<std::int64_t>(lease->ttl_seconds, 1));
      if (state->over()) co_return;
      state->id = 0;
      ++state->core->counters.leases_lost;
      if (state->on_lost) state->on_lost(why);
    }
  }

  // Until it is lost.
  static asio::awaitable<Error> keep(std::shared_ptr<State> state, TimePoint alive, std::int64_t ttl) {
    unsigned failures = 0;
    for (;;) {
      Duration wait = Duration(seconds(ttl)) / 3;
      if (failures != 0) wait = std::min(wait, state->core->retry_wait(failures));
      static_cast<void>(co_await sleep_for(state->core->loop, wait));
      if (state->over()) co_return Error{};
      const TimePoint asked = state->core->loop.now();
      Result<std::string> answer =
          co_await EtcdClient::Core::call(state->core, "/v3/lease/keepalive", etcd::write_lease(state->id));
      Result<etcd::LeaseAnswer> lease =
          answer ? etcd::read_lease_keep_alive(*answer) : Result<etcd::LeaseAnswer>(answer.error());
      if (state->over()) co_return Error{};
      if (lease && lease->ttl_seconds == 0) {
        co_return state->core->named({ErrorCode::not_found, "the lease is gone", {}});
      }
      if (lease) {
        failures = 0;
        alive = asked;
        continue;
      }
      ++failures;
      if (state->core->loop.now() >= after(alive, seconds(ttl))) co_return lease.error();
    }
  }

  std::shared_ptr<EtcdClient::Core> core;
  const std::int64_t ttl_seconds;
  OnGranted on_granted;
  OnLost on_lost;
  std::int64_t id = 0;
  bool stopped = false;
};

EtcdLease::EtcdLease(EtcdClient& client, std::int64_t ttl_seconds, OnGranted on_granted, OnLost on_lost)
    : state_(std::make_shared<State>(client.core_, ttl_seconds)),
      tasks_(std::make_unique<TaskGroup>(client.core_->loop, client.core_->log, "etcd lease")) {
  WAYPORT_ASSERT(ttl_seconds >= 1, "a lease of etcd lasts at least a second");
  state_->on_granted = std::move(on_granted);
  state_->on_lost = std::move(on_lost);
  static_cast<void>(tasks_->spawn(State::run(state_)));
}

EtcdLease::~EtcdLease() {
  state_->stopped = true;
  tasks_->cancel();
}

std::int64_t EtcdLease::id() const noexcept { return state_->id; }

asio::awaitable<Result<void>> EtcdLease::revoke() {
  const std::shared_ptr<State> state = state_;
  state->stopped = true;
  tasks_->cancel();
  const std::int64_t id = std::exchange(state->id, 0);
  if (id == 0) co_return Result<void>();
  Result<std::string> answer = co_await EtcdClient::Core::call(state->core, "/v3/lease/revoke", etcd::write_lease(id));
  if (!answer) co_return fail(answer.error());
  co_return Result<void>();
}

// --- EtcdWatch ---

struct EtcdWatch::State {
  State(std::shared_ptr<EtcdClient::Core> of, std::string what, OnEvent tell, std::int64_t from)
      : core(std::move(of)),
        prefix(std::move(what)),
        on_event(std::move(tell)),
        next(from),
        endpoint(core->current),
        link(core->loop, core->transports) {}

  bool over() const noexcept { return stopped || core->closed; }

  static asio::awaitable<void> run(std::shared_ptr<State> state) {
    EtcdClient::Core& core = *state->core;
    while (!state->over()) {
      const Error why = co_await follow(state);
      state->link.drop();
      if (state->over()) co_return;
      if (why.code == ErrorCode::too_large) {
        ++core.counters.too_large;
        state->next = 0;
      }
      ++core.counters.watch_reconnects;
      core.log.write(core.log_limit, core.loop.now(), LogLevel::warning, "a watch of etcd is interrupted",
                     {{"prefix", state->prefix}, {"error", why}});
      state->endpoint = (state->endpoint + 1) % core.endpoints.size();
      static_cast<void>(co_await sleep_for(core.loop, core.retry_wait(++state->failures)));
    }
  }

  // Until something goes wrong: what.
  static asio::awaitable<Error> follow(std::shared_ptr<State> state) {
    EtcdClient::Core& core = *state->core;
    if (state->next == 0) {
      ++core.counters.watch_lists;
      Result<etcd::RangeAnswer> listed = co_await EtcdClient::Core::list(state->core, state->prefix, 0);
      if (!listed) co_return listed.error();
      if (!state->tell_list(*std::move(listed))) co_return Error{};
    }
    if (Result<void> done = co_await EtcdClient::Core::ensure_login(state->core); !done) co_return done.error();
    if (state->over()) co_return Error{};
    const Endpoint& endpoint = core.endpoints[state->endpoint % core.endpoints.size()];
    const auto named = [&](Error error) {
      error.detail = etcd::fill("{}: {}", endpoint.name, error.detail);
      return error;
    };
    if (Result<void> connected = co_await state->link.connect(endpoint.address, core.options.request_timeout);
        !connected) {
      co_return named(connected.error());
    }
    if (state->over()) co_return Error{};
    const std::string from = state->prefix.empty() ? std::string(1, '\0') : state->prefix;
    Result<unsigned> status = co_await state->link.open(
        {endpoint.host, "/v3/watch", etcd::write_watch(from, etcd::prefix_end(state->prefix), state->next), core.token},
        core.options.request_timeout);
    if (!status) co_return named(status.error());
    if (*status != 200) {
      core.token.clear();
      co_return named({ErrorCode::refused, etcd::fill("the watch was answered with HTTP status {}", *status), {}});
    }
    etcd::Lines lines(core.options.watch_line_bytes_max);
    for (;;) {
      Result<std::string> bytes = co_await state->link.read_body();
      if (state->over()) co_return Error{};
      if (!bytes) co_return named(bytes.error());
      if (bytes->empty()) co_return named({ErrorCode::peer_closed, "the watch ended", {}});
      if (Result<void> pushed = lines.push(*bytes); !pushed) co_return named(pushed.error());
      while (const std::optional<std::string_view> line = lines.next()) {
        Result<etcd::WatchAnswer> answer = etcd::read_watch(*line);
        if (!answer) {
          if (etcd::is_token_error(answer.error())) core.token.clear();
          co_return named(answer.error());
        }
        if (std::optional<Error> why = state->take(*std::move(answer))) co_return named(*std::move(why));
        if (state->over()) co_return Error{};
      }
    }
  }

  // False: the watch is over.
  bool tell(EtcdEvent event) {
    if (!over()) on_event(event);
    return !over();
  }

  // The differences to what was told before.
  bool tell_list(etcd::RangeAnswer listed) {
    std::set<std::string_view> there;
    for (const EtcdKeyValue& entry : listed.entries) there.insert(entry.key);
    std::vector<std::string> gone;
    for (const auto& [key, revision] : known) {
      if (!there.contains(key)) gone.push_back(key);
    }
    there.clear();
    for (std::string& key : gone) {
      known.erase(key);
      EtcdEvent event{.kind = EtcdEvent::Kind::erase, .entry = {}, .revision = listed.revision};
      event.entry.key = std::move(key);
      if (!tell(std::move(event))) return false;
    }
    for (EtcdKeyValue& entry : listed.entries) {
      std::int64_t& revision = known[entry.key];
      if (std::exchange(revision, entry.mod_revision) == entry.mod_revision) continue;
      if (!tell({EtcdEvent::Kind::put, std::move(entry), listed.revision})) return false;
    }
    next = listed.revision + 1;
    failures = 0;
    return tell({EtcdEvent::Kind::synced, {}, listed.revision});
  }

  std::optional<Error> take(etcd::WatchAnswer answer) {
    if (answer.compact_revision != 0 || answer.cancel_reason.contains("required revision has been compacted")) {
      next = 0;
      return Error{ErrorCode::not_found, "required revision has been compacted", {}};
    }
    if (answer.canceled) {
      core->token.clear();
      return Error{ErrorCode::refused, "the watch was canceled: " + escape(answer.cancel_reason), {}};
    }
    if (answer.created) {
      if (answer.revision + 1 < next) {
        next = 0;
        return Error{ErrorCode::not_found, "the store's revision went back: another store", {}};
      }
      failures = 0;
      return std::nullopt;
    }
    std::int64_t last = answer.events.empty() ? answer.revision : 0;
    for (etcd::WatchEvent& event : answer.events) {
      last = std::max(last, event.entry.mod_revision);
      const std::int64_t revision = event.entry.mod_revision;
      if (event.erased) {
        known.erase(event.entry.key);
        if (!tell({EtcdEvent::Kind::erase, std::move(event.entry), revision})) return std::nullopt;
        continue;
      }
      const auto [at, fresh] = known.try_emplace(event.entry.key, 0);
      if (!fresh && at->second >= revision) continue;  // told before the connection broke
      if (fresh && known.size() > core->options.keys_max) {
        return Error{
            ErrorCode::too_large, etcd::fill("the watch has more keys than keys_max ({})", core->options.keys_max), {}};
      }
      at->second = revision;
      if (!tell({EtcdEvent::Kind::put, std::move(event.entry), revision})) return std::nullopt;
    }
    if (!answer.fragment) next = std::max(next, last + 1);
    return std::nullopt;
  }

  std::shared_ptr<EtcdClient::Core> core;
  const std::string prefix;
  const OnEvent on_event;
  std::map<std::string, std::int64_t> known;  // key -> mod_revision that was told
  std::int64_t next;                          // to be told next; 0: list first
  std::size_t endpoint;
  unsigned failures = 0;
  bool stopped = false;
  etcd::HttpLink link;
};

EtcdWatch::EtcdWatch(EtcdClient& client, std::string prefix, OnEvent on_event, std::int64_t from_revision)
    : state_(std::make_shared<State>(client.core_, std::move(prefix), std::move(on_event), from_revision)),
      tasks_(std::make_unique<TaskGroup>(client.core_->loop, client.core_->log, "etcd watch")) {
  static_cast<void>(tasks_->spawn(State::run(state_)));
}

EtcdWatch::~EtcdWatch() {
  state_->stopped = true;
  tasks_->cancel();
  state_->link.drop();
}

}  // namespace wayport::rpc
