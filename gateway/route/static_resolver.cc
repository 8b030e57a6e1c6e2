#include "wayport/gateway/route/static_resolver.h"

#include <atomic>

#include "wayport/base/bytes.h"
#include "wayport/gateway/program/files.h"
#include "wayport/gateway/route/backend_table.h"
#include "wayport/gateway/route/periodic.h"
#include "wayport/gateway/route/table_lookup.h"

namespace wayport::route {
namespace {

struct StaticSettings {
  BackendTable inline_table;
  BackendTable::Limits limits{};
  std::string file;
  BackendOrder order = BackendOrder::rotate;
  Duration reload_interval = std::chrono::seconds(10);
};

Result<StaticSettings> read_settings(const SettingsTable& table) {
  SettingsReader read(table, "resolver \"static\"");
  StaticSettings settings;
  std::string order = "rotate";
  WAYPORT_TRY(read.text("file", settings.file));
  WAYPORT_TRY(read.text("order", order));
  WAYPORT_TRY(read.time("reload_interval", settings.reload_interval, Duration::zero(), std::chrono::hours(24)));
  WAYPORT_TRY(read.count("entries_max", settings.limits.entries_max, 1, 10'000'000));
  WAYPORT_TRY(read.count("backends_max", settings.limits.backends_max, 1, 1024));
  WAYPORT_TRY_ASSIGN(const SettingsTable* const backends, read.table("backends"));
  WAYPORT_TRY(read.finish());
  const Result<BackendOrder> known = parse_backend_order(order);
  if (!known) return read.bad("order", known.error().detail);
  settings.order = *known;
  if (!backends && settings.file.empty()) return read.bad("backends", "or file has to be given");
  settings.inline_table = BackendTable(settings.limits);
  if (!backends) return settings;
  SettingsReader entries(*backends, read.what() + ": backends");
  for (const auto& [identify, value] : *backends) {
    std::vector<std::string> texts;
    WAYPORT_TRY(entries.texts(identify, texts));
    BackendTable::Backends list;
    for (const std::string& text : texts) {
      Result<Backend> backend = Backend::parse(text);
      if (!backend) return entries.bad("\"" + escape(identify, 64) + "\"", "is not usable: " + backend.error().detail);
      list.push_back(*std::move(backend));
    }
    if (const Result<void> added = settings.inline_table.add(identify, std::move(list)); !added) {
      return entries.bad("\"" + escape(identify, 64) + "\"", "is not usable: " + added.error().detail);
    }
  }
  return settings;
}

class StaticResolver final : public ImmediateResolver {
 public:
  StaticResolver(StaticSettings settings, const ResolverContext& context)
      : settings_(std::move(settings)),
        log_(context.log),
        route_(context.route),
        lookup_("the static table", settings_.order),
        reload_timer_(context.loop, settings_.file.empty() ? Duration::zero() : settings_.reload_interval,
                      [this] { reload(); }) {}

  Result<void> begin() {
    if (settings_.file.empty()) {
      lookup_.replace(settings_.inline_table);
      return {};
    }
    return read_file();
  }

  ResolveOutcome resolve_now(const ResolveRequest& request) const override { return lookup_.find(request.identify); }

  void reload() override {
    if (settings_.file.empty()) return;
    if (const Result<void> done = read_file(); !done) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      if (done.error().detail == last_failure_) return;
      last_failure_ = done.error().detail;
      log_.write(LogLevel::warning, "the table of backends cannot be read; the one read before stays",
                 {{"route", route_}, {"error", done.error()}});
      return;
    }
    last_failure_.clear();
  }

  std::vector<ResolverCounter> counters() const override {
    return {{"resolved", lookup_.resolved()},
            {"unknown", lookup_.unknown()},
            {"table_reloads", reloads_.load(std::memory_order_relaxed)},
            {"table_reload_failures", failures_.load(std::memory_order_relaxed)},
            {"entries", lookup_.size()}};
  }

 private:
  Result<void> read_file() {
    WAYPORT_TRY_ASSIGN(std::string text,
                       gateway::read_file(settings_.file, settings_.limits.text_bytes_max, gateway::Links::follow));
    if (has_read_ && text == text_) return {};
    Result<BackendTable> table = BackendTable::parse(text, settings_.limits);
    if (!table) return fail(table.error().code, escape(settings_.file) + ": " + table.error().detail);
    if (const Result<void> joined = table->join(settings_.inline_table); !joined) {
      return fail(joined.error().code, escape(settings_.file) + ": " + joined.error().detail);
    }
    if (has_read_) {
      reloads_.fetch_add(1, std::memory_order_relaxed);
      log_.write(LogLevel::info, "the table of backends was read again",
                 {{"route", route_}, {"entries", table->size()}});
    }
    lookup_.replace(*std::move(table));
    text_ = std::move(text);
    has_read_ = true;
    return {};
  }

  const StaticSettings settings_;
  Log& log_;
  const std::string route_;
  TableLookup lookup_;
  std::string text_;  // of the file, as it was read last
  bool has_read_ = false;
  std::string last_failure_;
  std::atomic<std::uint64_t> reloads_{0}, failures_{0};
  Periodic reload_timer_;
};

}  // namespace

Result<std::shared_ptr<Resolver>> make_static_resolver(const SettingsTable& table, const ResolverContext& context) {
  WAYPORT_TRY_ASSIGN(StaticSettings settings, read_settings(table));
  auto resolver = std::make_shared<StaticResolver>(std::move(settings), context);
  if (const Result<void> begun = resolver->begin(); !begun) {
    return fail(begun.error().code, "resolver \"static\": " + begun.error().detail);
  }
  return resolver;
}

}  // namespace wayport::route
