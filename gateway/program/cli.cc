#include "wayport/gateway/program/cli.h"

#include <CLI/CLI.hpp>

#include "wayport/gateway/program/program.h"

namespace wayport::gateway {
namespace {

constexpr const char* kExamples = R"(
Examples:
  wayport-gateway fastway -ClientAddr :4900 -ServerAddr 10.0.0.1:4901 -ServerAuthKeyFile key
  wayport-gateway fastway -h                                # every flag of the original, with its default
  wayport-gateway gogateway --config config.toml            # gogateway-light's file, with an [allow] section
  wayport-gateway --config gateway.toml --check             # says whether it could start; binds nothing of it
  wayport-gateway --config gateway.toml
  wayport-gateway health http://127.0.0.1:9100              # exits 0 if it is ready

gateway.toml:
  [link]
  client_address = "tls://:4900?cert=cert.pem&key=key.pem"
  server_address = "tcp://10.0.0.1:4901"
  server_auth_key_file = "key"

  [[route]]
  listen = ["tcp://:7788", "kcp://:7790?fec=10,3", "ws://:7780"]
  allow = ["10.0.0.0/8:7000-7999", ".svc.local:443"]

  [admin]
  address = ":9100"                                         # 127.0.0.1, unless a host is named

  [process]
  drain_seconds = 10

Signals: SIGTERM and SIGINT end it, SIGUSR1 runs the command in fastway.cmd, SIGUSR2 replaces it by a new process, SIGHUP
reads the file again.
)";

}  // namespace

Command parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CLI::App app(
      "The gateways: joins clients and servers by virtual connections (replaces fastway), and clients with the "
      "backends that\n"
      "they name (replaces gogateway-light).",
      "wayport-gateway");
  app.set_version_flag("--version", kVersion, "Print the version");
  app.set_help_flag("-h,--help", "Print this help");
  app.footer(kExamples);
  ConfigCommand config;
  CLI::Option* const file = app.add_option("--config", config.file, "TOML file that says all")->type_name("FILE");
  app.add_flag("--check", config.check, "Only say whether the file is right")->needs(file);
  app.add_subcommand("fastway", "Start with the flags of the original; -h lists them");
  ConfigCommand original{.file = {}, .check = false, .gogateway = true, .allow_any_target = false};
  CLI::App* const gogateway = app.add_subcommand("gogateway", "Start with the config.toml of gogateway-light");
  gogateway->add_option("--config", original.file, "The file")->type_name("FILE")->required();
  gogateway->add_flag("--check", original.check, "Only say whether the file is right");
  gogateway->add_flag(
      "--allow-any-target", original.allow_any_target,
      "Dial whatever clients name, as the original, but for this machine's own and other special addresses");
  gogateway->footer("\nExample:\n  wayport-gateway gogateway --config config.toml --check\n");
  HealthCommand health;
  CLI::App* const probe =
      app.add_subcommand("health", "Ask an admin listener whether its gateway is ready; exit code 0 if so");
  probe->add_option("url", health.url, "http://host:port[/path], or the address as it was configured")->required();
  probe
      ->add_option_function<std::string>(
          "--timeout",
          [&health](const std::string& text) {
            const Result<Duration> timeout = parse_duration(text);
            if (!timeout || *timeout <= Duration::zero()) throw CLI::ValidationError("--timeout", "a time such as 3s");
            health.timeout = *timeout;
          },
          "Time for the whole of it")
      ->type_name("TIME")
      ->default_str("3s");
  probe->footer("\nExample:\n  HEALTHCHECK CMD [\"/wayport-gateway\", \"health\", \"http://127.0.0.1:9100\"]\n");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Printed{app.exit(error, out, err) == 0 ? kExitSuccess : kExitUsage};
  }
  if (probe->parsed()) return health;
  if (gogateway->parsed()) return original;
  if (config.file.empty()) {
    err << "error: say what to do: --config FILE, fastway, gogateway, or health URL; --help has examples\n";
    return Printed{kExitUsage};
  }
  return config;
}

}  // namespace wayport::gateway
