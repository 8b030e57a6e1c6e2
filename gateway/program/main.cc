// The wayport-gateway program.
#include <signal.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/base/secrets.h"
#include "wayport/gateway/program/admin.h"
#include "wayport/gateway/program/cli.h"
#include "wayport/gateway/program/config_check.h"
#include "wayport/gateway/program/files.h"
#include "wayport/gateway/program/flag_settings.h"
#include "wayport/gateway/program/gogateway_settings.h"
#include "wayport/gateway/program/profiles.h"
#include "wayport/gateway/program/program.h"
#include "wayport/gateway/program/split_log.h"
#include "wayport/gateway/program/toml_settings.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/transport/default_transports.h"

namespace wayport::gateway {
namespace {

int complain(const Error& error, int exit_code) {
  std::cerr << "error: " << error.detail << (error.cause ? " (" + error.cause.message() + ")" : "") << "\n";
  return exit_code;
}

// What is refused before a port is bound, by --check and at the start.
Result<SplitLogOptions> check_all(Settings& settings) {
  WAYPORT_TRY(resolve_key(settings, std::getenv(kKeyVariable)));
  WAYPORT_TRY_ASSIGN(SplitLogOptions log, log_options(settings));
  WAYPORT_TRY(check_logs(settings));
  WAYPORT_TRY(check_addresses(settings));
  WAYPORT_TRY(check_resolvers(settings, null_log()));
  return log;
}

// `read_again`: what SIGHUP reads; empty: it ends the process.
int start_gateway(Settings settings, transport::ProcessStart& start,
                  std::function<Result<Settings>()> read_again = {}) {
  const Result<SplitLogOptions> how = check_all(settings);
  if (!how) return complain(how.error(), kExitUsage);
  const Result<std::unique_ptr<SplitLog>> log = SplitLog::open(*how);
  if (!log) return complain(log.error(), kExitUsage);
  ProgramHooks hooks;
  hooks.reload.read_settings = std::move(read_again);
  hooks.reload.reopen_log = [&log] { return (*log)->reopen(); };
  std::string why;
  const int exit_code = run_gateway(settings, start, **log, why, hooks);
  if (!why.empty()) {
    (*log)->write(LogLevel::error, "the gateway ends", {{"error", why}});
    if (!how->info_file.empty() || how->level == LogLevel::off) std::cerr << "error: " << why << "\n";
  }
  return exit_code;
}

Result<Settings> settings_of_file(const ConfigCommand& config) {
  WAYPORT_TRY_ASSIGN(const std::string text, read_file(config.file, kTomlBytesMax, Links::follow));
  const std::vector<std::string> resolvers = route::default_resolvers().names();
  WAYPORT_TRY_ASSIGN(Settings settings,
                     config.gogateway
                         ? read_gogateway(text, config.file, {.allow_any_target = config.allow_any_target}, resolvers)
                         : read_toml(text, config.file, resolvers));
  settings.source = config.file;
  // Also when it is read again.
  WAYPORT_TRY(check_backends(settings));
  return settings;
}

int check(const std::string& path, Settings settings) {
  if (const auto checked = check_all(settings); !checked) return complain(checked.error(), kExitUsage);
  for (const std::string& note : settings.notes) std::cout << "note: " << note << "\n";
  std::cout << path << ": ok\n";
  return kExitSuccess;
}

int ask_health(const HealthCommand& command) {
  const std::unique_ptr<Log> log = *open_log({.level = LogLevel::error, .file = {}, .json = false});
  Runtime runtime({.loops = 1, .log = log.get()});
  const transport::Transports transports = transport::default_transports();
  const Result<AdminPage> page = admin_get(runtime, transports, command.url, "/readyz", command.timeout);
  if (!page) return complain(page.error(), kExitFailure);
  const std::string said = escape(page->body.substr(0, page->body.find('\n')));
  if (page->status == 200) {
    std::cout << said << "\n";
    return kExitSuccess;
  }
  std::cerr << "error: " << page->status << " " << said << "\n";
  return kExitFailure;
}

void blank(int argc, char** argv, const std::vector<GoFlags::Place>& places) {
  constexpr std::size_t kBefore = 2;  // the program and "fastway"
  for (const GoFlags::Place& place : places) {
    const std::size_t at = place.argument + kBefore;
    if (at >= static_cast<std::size_t>(argc)) continue;
    for (char* c = argv[at] + place.offset; *c != '\0'; ++c) *c = '*';
  }
  blank_secrets(argc, argv);
}

int run(int argc, char** argv) {
  sample_heap();
  // Who reads our log or talks to us may leave at any time.
  ::signal(SIGPIPE, SIG_IGN);
  // Before argv is blanked: a successor needs it as it was.
  Result<transport::ProcessStart> start = transport::ProcessStart::capture();
  if (!start) return complain(start.error(), kExitFailure);

  if (argc > 1 && std::string_view(argv[1]) == "fastway") {
    const std::vector<std::string> arguments(argv + 2, argv + argc);
    Result<FlagSettings> flags = read_flags(arguments);
    if (!flags) {
      complain(flags.error(), kExitUsage);
      std::cerr << "wayport-gateway fastway -h lists the flags\n";
      return kExitUsage;
    }
    if (flags->help) {
      std::cout
          << "Usage: wayport-gateway fastway [flags]\nThe original's flags, with one dash or two:\n"
          << flag_usage()
          << "\nExample:\n  wayport-gateway fastway -ClientAddr :4900 -ServerAddr 10.0.0.1:4901 -ServerAuthKeyFile "
             "key\n";
      return kExitSuccess;
    }
    blank(argc, argv, flags->secrets);
    return start_gateway(std::move(flags->settings), *start);
  }

  const Command command = parse_command_line(argc, argv, std::cout, std::cerr);
  if (const auto* const printed = std::get_if<Printed>(&command)) return printed->exit_code;
  if (const auto* const health = std::get_if<HealthCommand>(&command)) return ask_health(*health);
  const ConfigCommand& config = std::get<ConfigCommand>(command);
  // Until the file can be read again a hang-up means nothing, rather than the end.
  if (struct sigaction found{}; ::sigaction(SIGHUP, nullptr, &found) == 0 && found.sa_handler == SIG_DFL) {
    ::signal(SIGHUP, [](int) {});
  }
  const auto read = [config] { return settings_of_file(config); };
  Result<Settings> settings = read();
  if (!settings) return complain(settings.error(), kExitUsage);
  return config.check ? check(config.file, *std::move(settings)) : start_gateway(*std::move(settings), *start, read);
}

}  // namespace
}  // namespace wayport::gateway

int main(int argc, char** argv) {
  try {
    return wayport::gateway::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return wayport::gateway::kExitFailure;
  }
}
