#include "wayport/gateway/route/static_resolver.h"

#include <sys/stat.h>

#include <atomic>
#include <ctime>
#include <optional>

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

// What shows that a file is another one.
struct FileStamp {
  // nullopt: it cannot be looked at.
  static std::optional<FileStamp> of(const std::string& path) {
    struct stat found = {};
    if (::stat(path.c_str(), &found) != 0) return std::nullopt;
    return FileStamp{nanoseconds(found.st_mtim), nanoseconds(found.st_ctim), found.st_size, found.st_dev, found.st_ino};
  }
  // Clocks of file systems tick in milliseconds, some in seconds: a file that has just been written may be written again
  // and look the same.
  bool settled() const {
    timespec now = {};
    ::clock_gettime(CLOCK_REALTIME, &now);
    constexpr std::int64_t kTick = 2'000'000'000;
    return nanoseconds(now) - modified > kTick;
  }
  friend bool operator==(const FileStamp&, const FileStamp&) = default;

  static std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

  std::int64_t modified;
  std::int64_t changed;  // also by who sets the time of modification
  off_t size;
  dev_t device;
  ino_t inode;
};

class StaticResolver final : public ImmediateResolver {
 public:
  StaticResolver(StaticSettings settings, const ResolverContext& context)
      : settings_(std::move(settings)),
        log_(context.log),
        route_(context.route),
        lookup_("the static table", settings_.order),
        reload_timer_(context.loop, settings_.file.empty() ? Duration::zero() : settings_.reload_interval,
                      [this] { look(); }) {}

  Result<void> begin() {
    if (settings_.file.empty()) {
      lookup_.replace(settings_.inline_table);
      return {};
    }
    stamp_ = settled_stamp();
    return read_file();
  }

  ResolveOutcome resolve_now(const ResolveRequest& request) const override { return lookup_.find(request.identify); }

  void reload() override {
    if (settings_.file.empty()) return;
    stamp_ = settled_stamp();
    last_outcome_ = read_file();
    tell_outcome();
  }

  std::vector<ResolverCounter> counters() const override {
    return {{"resolved", lookup_.resolved()},
            {"unknown", lookup_.unknown()},
            {"table_reads", reads_.load(std::memory_order_relaxed)},
            {"table_reloads", reloads_.load(std::memory_order_relaxed)},
            {"table_reload_failures", failures_.load(std::memory_order_relaxed)},
            {"entries", lookup_.size()}};
  }

 private:
  // From before a read, so that what is written meanwhile shows. nullopt: the next look reads in any case.
  std::optional<FileStamp> settled_stamp() const {
    std::optional<FileStamp> stamp = FileStamp::of(settings_.file);
    if (stamp && !stamp->settled()) stamp.reset();
    return stamp;
  }
  // Large tables are not read every few seconds only to find that nothing has changed, nor are broken ones.
  void look() {
    if (!stamp_ || stamp_ != FileStamp::of(settings_.file)) return reload();
    tell_outcome();
  }
  void tell_outcome() {
    if (const Result<void>& done = last_outcome_; !done) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      if (done.error().detail == last_failure_) return;
      last_failure_ = done.error().detail;
      log_.write(LogLevel::warning, "the table of backends cannot be read; the one read before stays",
                 {{"route", route_}, {"error", done.error()}});
      return;
    }
    last_failure_.clear();
  }
  Result<void> read_file() {
    reads_.fetch_add(1, std::memory_order_relaxed);
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
  std::string text_;                // of the file, as it was read last
  std::optional<FileStamp> stamp_;  // of the last read
  Result<void> last_outcome_;
  bool has_read_ = false;
  std::string last_failure_;
  std::atomic<std::uint64_t> reads_{0}, reloads_{0}, failures_{0};
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
