#include "wayport/gateway/route/etcd_resolver.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "wayport/base/bytes.h"
#include "wayport/base/task_group.h"
#include "wayport/gateway/program/files.h"
#include "wayport/gateway/route/backend_table.h"
#include "wayport/gateway/route/periodic.h"
#include "wayport/gateway/route/table_lookup.h"
#include "wayport/rpc/discovery/etcd.h"

namespace wayport::route {
namespace {

using Count = std::atomic<std::uint64_t>;
void bump(Count& count) noexcept { count.fetch_add(1, std::memory_order_relaxed); }

struct EtcdSettings {
  rpc::EtcdOptions options{};
  std::string prefix = "/wayport/routes/";
  Duration probe_interval = std::chrono::seconds(5);
  BackendOrder order = BackendOrder::rotate;
  BackendTable::Limits limits{};
};

Result<EtcdSettings> read_settings(const SettingsTable& table) {
  SettingsReader read(table, "resolver \"etcd\"");
  EtcdSettings settings;
  std::string order = "rotate";
  std::string password_file;
  constexpr Duration kMillisecond = std::chrono::milliseconds(1);
  WAYPORT_TRY(read.texts("endpoints", settings.options.endpoints));
  WAYPORT_TRY(read.text("prefix", settings.prefix));
  WAYPORT_TRY(read.text("user", settings.options.user));
  WAYPORT_TRY(read.text("password", settings.options.password));
  WAYPORT_TRY(read.text("password_file", password_file));
  WAYPORT_TRY(read.flag("plaintext_login", settings.options.plaintext_login));
  WAYPORT_TRY(read.time("request_timeout", settings.options.request_timeout, kMillisecond, std::chrono::hours(1)));
  WAYPORT_TRY(read.time("probe_interval", settings.probe_interval, Duration::zero(), std::chrono::hours(24)));
  WAYPORT_TRY(read.text("order", order));
  WAYPORT_TRY(read.count("entries_max", settings.limits.entries_max, 1, 10'000'000));
  WAYPORT_TRY(read.count("backends_max", settings.limits.backends_max, 1, 1024));
  WAYPORT_TRY(read.finish());
  if (settings.options.endpoints.empty()) return read.bad("endpoints", "has to name at least one");
  if (settings.prefix.empty()) return read.bad("prefix", "is empty: every key of etcd would be an entry");
  const Result<BackendOrder> known = parse_backend_order(order);
  if (!known) return read.bad("order", known.error().detail);
  settings.order = *known;
  if (!password_file.empty()) {
    if (!settings.options.password.empty()) return read.bad("password_file", "and password must not both be given");
    WAYPORT_TRY_ASSIGN(settings.options.password, gateway::read_file(password_file, 4096, gateway::Links::follow));
    while (settings.options.password.ends_with('\n') || settings.options.password.ends_with('\r')) {
      settings.options.password.pop_back();
    }
  }
  settings.options.keys_max = std::max(settings.options.keys_max, settings.limits.entries_max);
  return settings;
}

class EtcdResolver final : public ImmediateResolver {
 public:
  EtcdResolver(EtcdSettings settings, const ResolverContext& context)
      : settings_(std::move(settings)),
        state_(std::make_shared<State>(settings_, context)),
        running_(std::make_unique<Running>(context)) {}

  // Inside a turn, where whoever waits for a stream that goes learns of it at once, before it is canceled as well.
  ~EtcdResolver() override { state_->loop.delete_later(std::move(running_)); }

  Result<void> begin(const ResolverContext& context) {
    settings_.options.log = &context.log;
    WAYPORT_TRY_ASSIGN(running_->client, rpc::EtcdClient::make(context.loop, context.transports, settings_.options));
    running_->watch.emplace(*running_->client, settings_.prefix,
                            [state = state_](const rpc::EtcdEvent& event) { state->handle(event); });
    probe_timer_.emplace(context.loop, settings_.probe_interval, [this] { probe(); });
    return {};
  }

  ResolveOutcome resolve_now(const ResolveRequest& request) const override {
    if (!state_->ready.load(std::memory_order_acquire)) {
      bump(state_->not_ready);
      return refuse(RouteError::resolve_failed, "the table of etcd has not been read yet");
    }
    ResolveOutcome outcome = state_->lookup.find(request.identify);
    if (outcome && state_->away.load(std::memory_order_relaxed) != 0) {
      bump(state_->answered_while_away);
      outcome->how += " (etcd does not answer; as it was read last)";
    }
    return outcome;
  }

  std::vector<ResolverCounter> counters() const override {
    const auto read = [](const Count& count) { return count.load(std::memory_order_relaxed); };
    const State& state = *state_;
    return {{"resolved", state.lookup.resolved()},
            {"unknown", state.lookup.unknown()},
            {"updates", read(state.updates)},
            {"bad_values", read(state.bad_values)},
            {"entries_refused", read(state.entries_refused)},
            {"not_ready", read(state.not_ready)},
            {"away", read(state.away)},
            {"answered_while_away", read(state.answered_while_away)},
            {"watch_reconnects", read(state.watch_reconnects)},
            {"entries", state.lookup.size()},
            {"ready", state.ready.load(std::memory_order_relaxed) ? 1u : 0u}};
  }

 private:
  struct Running {
    explicit Running(const ResolverContext& context) : tasks(context.loop, context.log, "probe of etcd") {}
    TaskGroup tasks;
    std::unique_ptr<rpc::EtcdClient> client;
    std::optional<rpc::EtcdWatch> watch;
  };

  // Shared with the watch and the probe, which may outlive the resolver for a turn.
  struct State {
    State(const EtcdSettings& of, const ResolverContext& context)
        : prefix(of.prefix),
          limits(of.limits),
          log(context.log),
          loop(context.loop),
          route(context.route),
          lookup("the table of etcd", of.order) {
      lookup.replace(BackendTable(of.limits));
    }

    void handle(const rpc::EtcdEvent& event) {
      using Kind = rpc::EtcdEvent::Kind;
      if (event.kind == Kind::synced) {
        if (!ready.exchange(true, std::memory_order_release)) {
          log.write(LogLevel::info, "the table of backends was read from etcd",
                    {{"route", route}, {"entries", lookup.size()}});
        }
        return;
      }
      bump(updates);
      const std::string identify = event.entry.key.substr(std::min(prefix.size(), event.entry.key.size()));
      if (event.kind == Kind::erase) return lookup.erase(identify);
      Result<BackendTable::Backends> backends = BackendTable::parse_backends(event.entry.value, limits);
      if (!backends) {
        bump(bad_values);
        return warn("a value in etcd is not usable; the entry stays as it was", identify, backends.error());
      }
      if (const Result<void> set = lookup.set(identify, *std::move(backends)); !set) {
        bump(entries_refused);
        warn("an entry in etcd is left out", identify, set.error());
      }
    }
    void warn(std::string_view event, const std::string& identify, const Error& error) {
      log.write(log_limit, loop.now(), LogLevel::warning, event,
                {{"route", route}, {"identify", identify}, {"error", error}});
    }
    void set_away(const Error* why) {
      if ((away.exchange(why ? 1 : 0, std::memory_order_relaxed) != 0) == (why != nullptr)) return;
      if (why) {
        log.write(LogLevel::warning, "etcd does not answer; the table that was read last serves",
                  {{"route", route}, {"error", *why}});
      } else {
        log.write(LogLevel::info, "etcd answers again", {{"route", route}});
      }
    }

    const std::string prefix;
    const BackendTable::Limits limits;
    Log& log;
    Loop& loop;
    const std::string route;
    LogLimit log_limit;
    TableLookup lookup;
    std::atomic<bool> ready{false};
    bool probing = false;
    Count updates{0}, bad_values{0}, entries_refused{0}, not_ready{0}, away{0}, answered_while_away{0},
        watch_reconnects{0};
  };

  void probe() {
    state_->watch_reconnects.store(running_->client->counters().watch_reconnects, std::memory_order_relaxed);
    if (state_->probing) return;
    state_->probing = running_->tasks.spawn(ask(state_, running_->client->get(settings_.prefix)));
  }
  static boost::asio::awaitable<void> ask(std::shared_ptr<State> state,
                                          rpc::EtcdClient::Task<std::optional<rpc::EtcdKeyValue>> question) {
    const auto answer = co_await std::move(question);
    state->probing = false;
    state->set_away(answer ? nullptr : &answer.error());
  }

  EtcdSettings settings_;
  const std::shared_ptr<State> state_;
  std::unique_ptr<Running> running_;
  std::optional<Periodic> probe_timer_;
};

}  // namespace

Result<std::shared_ptr<Resolver>> make_etcd_resolver(const SettingsTable& table, const ResolverContext& context) {
  WAYPORT_TRY_ASSIGN(EtcdSettings settings, read_settings(table));
  auto resolver = std::make_shared<EtcdResolver>(std::move(settings), context);
  if (const Result<void> begun = resolver->begin(context); !begun) {
    return fail(begun.error().code, "resolver \"etcd\": " + begun.error().detail);
  }
  return resolver;
}

}  // namespace wayport::route
