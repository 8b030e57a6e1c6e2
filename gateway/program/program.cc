#include "wayport/gateway/program/program.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/program/admin.h"
#include "wayport/gateway/program/control.h"
#include "wayport/gateway/program/files.h"
#include "wayport/gateway/program/metrics_page.h"
#include "wayport/gateway/program/place.h"
#include "wayport/gateway/program/served_gateway.h"
#include "wayport/gateway/program/served_link.h"
#include "wayport/gateway/program/served_route.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/transport/address.h"
#include "wayport/transport/default_transports.h"

namespace wayport::gateway {
namespace {

constexpr std::size_t kKeyBytesMax = 4096;
constexpr Duration kCloseTime = std::chrono::seconds(5);  // on top of the time to drain

// Connections are descriptors; a shell's soft limit is for programs that use select().
void raise_file_limit(Log& log) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0) {
    log.write(LogLevel::warning, "the limit of open files stays as it is",
              {{"error", system_error(errno, "setrlimit")}});
  }
}

// It answers while the gateway drains, unless a successor answers.
class ServedAdmin final : public transport::Drainable {
 public:
  explicit ServedAdmin(AdminServer& admin) : admin_(admin) {}
  std::vector<int> hand_over_listeners() override { return admin_.hand_over_listeners(); }
  void take_back_listeners() override { admin_.take_back_listeners(); }
  void close_async(std::move_only_function<void()> done) override {
    admin_.leave_to_successor();
    done();
  }
  std::size_t abort() override { return 0; }

 private:
  AdminServer& admin_;
};

AdminServer::Pages pages_of(std::span<const std::unique_ptr<ServedGateway>> gateways, const std::atomic<bool>& ready,
                            const Loop& loop) {
  return [gateways, &ready, &loop, started = loop.exact_now()](std::string_view path) -> std::optional<AdminPage> {
    const bool closing = std::ranges::any_of(gateways, [](const auto& gateway) { return gateway->closing(); });
    if (path == "/healthz") return AdminPage{.status = 200, .type = "text/plain; charset=utf-8", .body = "ok\n"};
    if (path == "/readyz") {
      if (closing) return AdminPage{.status = 503, .type = "text/plain; charset=utf-8", .body = "draining\n"};
      if (!ready) return AdminPage{.status = 503, .type = "text/plain; charset=utf-8", .body = "starting\n"};
      return AdminPage{.status = 200, .type = "text/plain; charset=utf-8", .body = "ready\n"};
    }
    if (path == "/metrics") {
      MetricsPage page;
      for (const auto& gateway : gateways) gateway->add_metrics(page);
      page.add_process(loop.exact_now() - started, closing);
      return AdminPage{.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8", .body = page.text()};
    }
    return std::nullopt;
  };
}

void set_pools(Runtime& runtime, std::optional<std::size_t> bytes) {
  if (!bytes) return;
  const std::size_t each = *bytes / runtime.loop_count();
  for (std::size_t i = 0; i < runtime.loop_count(); ++i) {
    runtime.loop(i).post([each] { ChunkPool::of_this_thread().set_free_bytes_max(each); });
  }
}

Result<transport::GracefulEnd> serve(const Settings& settings, transport::ProcessStart& start, Log& log,
                                     const ProgramHooks& hooks) {
  raise_file_limit(log);
  for (const std::string& note : settings.notes) log.write(LogLevel::info, note);
  WAYPORT_TRY_ASSIGN(PidFile pid_file, PidFile::prepare(settings.pid_file, ::getpid()));
  Runtime runtime({.loops = static_cast<unsigned>(settings.loops), .log = &log});
  set_pools(runtime, settings.pool_bytes);
  const transport::Transports transports = transport::default_transports(&log);
  std::vector<std::unique_ptr<ServedGateway>> gateways;
  ProgramGateways embedded;
  if (settings.link) {
    auto link = std::make_unique<ServedLink>(runtime, settings, start.inherited, transports);
    embedded.link = &link->gateway();
    gateways.push_back(std::move(link));
  }
  const route::ResolverRegistry resolvers = hooks.resolvers ? *hooks.resolvers : route::default_resolvers();
  if (!settings.routes.empty()) {
    auto route = std::make_unique<ServedRoute>(runtime, settings, start.inherited, transports, resolvers);
    embedded.route = &route->gateway();
    gateways.push_back(std::move(route));
  }
  std::vector<const ServedGateway*> shown;
  for (const auto& gateway : gateways) shown.push_back(gateway.get());
  Control control(runtime, std::move(shown),
                  {.command_file = settings.command_file, .profile_prefix = settings.profile_prefix});
  if (hooks.add_commands) WAYPORT_TRY(hooks.add_commands(control.commands(), embedded));
  WAYPORT_TRY(control.start());
  for (const auto& gateway : gateways) WAYPORT_TRY(gateway->start());
  std::optional<Reloader> reloader;
  if (hooks.reload.read_settings) {
    std::vector<ServedGateway*> reloaded;
    for (const auto& gateway : gateways) reloaded.push_back(gateway.get());
    ReloadOptions reload = hooks.reload;
    reload.fixed = settings.fixed;
    WAYPORT_TRY(reloader.emplace(runtime, std::move(reloaded), std::move(reload)).start());
  }

  std::atomic<bool> ready = false;
  std::vector<transport::Drainable*> served;
  for (const auto& gateway : gateways) served.push_back(gateway.get());
  std::unique_ptr<AdminServer> admin;
  std::optional<ServedAdmin> served_admin;
  if (!settings.admin_address.empty()) {
    WAYPORT_TRY_ASSIGN(admin, AdminServer::start(runtime, transports,
                                                 {.address = settings.admin_address,
                                                  .connections_max = settings.admin_connections_max,
                                                  .request_timeout = settings.admin_request_timeout,
                                                  .inherited = &start.inherited},
                                                 pages_of(gateways, ready, runtime.loop(0))));
    served.push_back(&served_admin.emplace(*admin));
  }
  WAYPORT_TRY_ASSIGN(const auto process,
                     transport::GracefulProcess::start(
                         runtime, std::move(served), start,
                         {.drain_timeout = settings.drain + kCloseTime, .ready_timeout = settings.ready_timeout}));
  ready = true;
  if (const Result<void> written = pid_file.write(); !written) {
    log.write(LogLevel::error, "the pid file is not written", {{"error", written.error()}});
  }
  for (const auto& gateway : gateways) {
    for (const std::string& line : gateway->listening()) log.write(LogLevel::info, line);
  }
  if (admin) log.write(LogLevel::info, "admin listener at - " + place_of(admin->address()));
  // From here on signals are obeyed.
  log.write(LogLevel::info, "ready", {{"pid", static_cast<std::int64_t>(::getpid())}});
  const transport::GracefulEnd end = process->wait();
  // The original's words, too.
  const std::string name = settings.link ? "fastway" : "gateway";
  log.write(LogLevel::info, name + (end.replaced ? " replaced" : " killed"));
  return end;
}

}  // namespace

Result<void> resolve_key(Settings& settings, const char* from_environment) {
  if (!settings.link) return {};
  if (!settings.link->server_auth_key_file.empty()) {
    WAYPORT_TRY_ASSIGN(std::string key, read_file(settings.link->server_auth_key_file, kKeyBytesMax, Links::follow));
    if (key.ends_with('\n')) key.pop_back();
    if (key.ends_with('\r')) key.pop_back();
    settings.link->server_auth_key = std::move(key);
    settings.link->server_auth_key_file.clear();
  } else if (settings.link->server_auth_key.empty() && from_environment) {
    settings.link->server_auth_key = from_environment;
  }
  return {};
}

Result<SplitLogOptions> log_options(const Settings& settings) {
  SplitLogOptions options;
  WAYPORT_TRY_ASSIGN(options.level, parse_log_level(settings.log_level));
  options.info_file = settings.log_file;
  options.error_file = settings.log_error_file;
  options.json = settings.log_json;
  return options;
}

int run_gateway(const Settings& settings, transport::ProcessStart& start, Log& log, std::string& why,
                const ProgramHooks& hooks) {
  const Result<transport::GracefulEnd> end = serve(settings, start, log, hooks);
  if (!end) {
    why = end.error().to_string();
    return 1;
  }
  return end->drained ? 0 : 1;
}

}  // namespace wayport::gateway
