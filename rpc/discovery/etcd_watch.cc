#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/task_group.h"
#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/discovery/etcd_core.h"
#include "wayport/rpc/discovery/fill.h"

namespace wayport::rpc {

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
      if (why.code == ErrorCode::too_large) state->next = 0;
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
    const etcd::Endpoint& endpoint = core.endpoints[state->endpoint % core.endpoints.size()];
    const auto named = [&](Error error) {
      if (error.code == ErrorCode::timed_out) ++core.counters.timed_out;
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
    state->created = false;
    const TimePoint due = after(core.loop.now(), core.options.request_timeout);
    for (;;) {
      // Quiet for hours, once etcd has said that it watches.
      const Duration timeout = state->created ? Duration::zero() : std::max(due - core.loop.now(), Duration(1));
      Result<std::string> bytes = co_await state->link.read_body(timeout);
      if (state->over()) co_return Error{};
      if (!bytes) co_return named(bytes.error());
      if (bytes->empty()) co_return named({ErrorCode::peer_closed, "the watch ended", {}});
      if (Result<void> pushed = lines.push(*bytes); !pushed) {
        ++core.counters.too_large;
        co_return named(pushed.error());
      }
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
      created = true;
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
        ++core->counters.too_large;
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
  bool created = false;  // etcd has said that it watches
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
