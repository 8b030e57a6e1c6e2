#include "wayport/integration/harness/gateway.h"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

// As in the gateway itself, which says why (gateway/program/toml_values.h).
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace wayport::harness {
namespace {

// What stands behind `mark`, up to the next blank; empty if the line has no such mark.
std::string after(const std::string& line, std::string_view mark) {
  const std::size_t found = line.find(mark);
  if (found == std::string::npos) return {};
  const std::string rest = line.substr(found + mark.size());
  return rest.substr(0, rest.find(' '));
}

// A configuration that cannot be read is the program's to refuse.
Result<void> check_log_settings(const std::string& config) {
  const toml::parse_result parsed = toml::parse(config);
  if (!parsed) return {};
  const auto log = parsed["log"];
  const std::string level = log["level"].value_or(std::string("info"));
  const char* wrong = nullptr;
  if (level == "warning" || level == "error" || level == "off") wrong = "level above info";
  if (log["json"].value_or(false)) wrong = "json = true";
  if (!log["file"].value_or(std::string()).empty()) wrong = "file";
  if (wrong == nullptr) return {};
  return fail(ErrorCode::invalid_argument,
              std::string("the harness reads from the log where the gateway listens, so [log] must have no ") + wrong);
}

}  // namespace

std::uint16_t port_of(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  std::uint16_t port = 0;
  if (colon == std::string_view::npos) return port;
  const char* const end = address.data() + address.size();
  const auto [at, error] = std::from_chars(address.data() + colon + 1, end, port);
  return error == std::errc() && at == end ? port : std::uint16_t{0};
}

Result<std::unique_ptr<Gateway>> Gateway::start(const GatewayOptions& options) {
  WAYPORT_TRY(check_log_settings(options.config));
  std::unique_ptr<Gateway> gateway(new Gateway());
  std::string program = options.program;
  if (program.empty()) {
    WAYPORT_TRY_ASSIGN(program, runfile_of(kGatewayVariable));
  }
  // It runs elsewhere.
  program = std::filesystem::absolute(program).string();
  const char* const temporary = std::getenv("TEST_TMPDIR");
  std::string name = std::string(temporary != nullptr ? temporary : "/tmp") + "/gateway-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return system_error(errno, "make the directory " + name);
  gateway->directory_ = name;
  std::ofstream(name + "/gateway.toml") << options.config;

  WAYPORT_TRY_ASSIGN(gateway->program_, Program::start({.arguments = {program, "--config", "gateway.toml"},
                                                        .environment = options.environment,
                                                        .directory = name}));
  const auto due = std::chrono::steady_clock::now() + options.ready_limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(due - std::chrono::steady_clock::now());
    WAYPORT_TRY_ASSIGN(const std::string line, gateway->program_->wait_for_line("", std::max(left, {})));
    const std::pair<std::string_view, std::vector<std::string>*> marks[] = {
        {"setup client listener at - ", &gateway->link_clients_},
        {"setup server listener at - ", &gateway->link_servers_},
    };
    for (const auto& [mark, addresses] : marks) {
      if (std::string address = after(line, mark); !address.empty()) addresses->push_back(std::move(address));
    }
    if (line.contains("route gateway listens ")) gateway->routes_.push_back(after(line, "address="));
    if (std::string address = after(line, "admin listener at - "); !address.empty())
      gateway->admin_ = std::move(address);
    if (line.contains("info  ready")) return gateway;
  }
}

Gateway::~Gateway() {
  program_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

void Gateway::kill() {
  program_->signal(SIGKILL);
  (void)program_->wait();
}
void Gateway::pause() { program_->signal(SIGSTOP); }
void Gateway::resume() { program_->signal(SIGCONT); }

}  // namespace wayport::harness
