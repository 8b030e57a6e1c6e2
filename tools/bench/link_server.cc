#include "wayport/tools/bench/link_server.h"

#include <exception>
#include <optional>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/tools/bench/machine.h"
#include "wayport/tools/bench/raw_link.h"
#include "wayport/tools/bench/usage.h"
#include "wayport/transport/address.h"

namespace wayport::tools {
namespace {

using link::SwitchCounters;

constexpr const char* kKey = "bench";
// Loopback with bbr, which is the default here and there, measures bbr.
constexpr const char* kListen = "tcp://127.0.0.1:0?congestion=reno";

struct NamedCounter {
  const char* name;
  Counter SwitchCounters::* counter;
};
constexpr NamedCounter kCounters[] = {
    {"frames_to_clients", &SwitchCounters::frames_to_clients},
    {"frames_to_servers", &SwitchCounters::frames_to_servers},
    {"dials", &SwitchCounters::dials},
    {"dials_accepted", &SwitchCounters::dials_accepted},
    {"closed_by_endpoint", &SwitchCounters::closed_by_endpoint},
    {"closed_by_loss", &SwitchCounters::closed_by_loss},
    {"strays", &SwitchCounters::strays},
    {"malformed", &SwitchCounters::malformed},
    {"cut_slow", &SwitchCounters::cut_slow},
    {"cut_commands", &SwitchCounters::cut_commands},
    {"cut_process_bytes", &SwitchCounters::cut_process_bytes},
    {"closed_virtual_queue", &SwitchCounters::closed_virtual_queue},
    {"closed_client_queue", &SwitchCounters::closed_client_queue},
    {"closed_server_queue", &SwitchCounters::closed_server_queue},
    {"closed_process_bytes", &SwitchCounters::closed_process_bytes},
    {"closed_mail_full", &SwitchCounters::closed_mail_full},
};

std::map<std::string, std::uint64_t> counters_of(const link::LinkGateway& gateway) {
  std::map<std::string, std::uint64_t> sums;
  for (std::size_t loop = 0; loop < gateway.loop_count(); ++loop) {
    const SwitchCounters& counters = gateway.counters(loop);
    for (const NamedCounter& named : kCounters) sums[named.name] += (counters.*named.counter).read();
  }
  return sums;
}

std::string port_of_address(const std::string& bound) {
  return std::to_string(transport::Address::parse(bound).value().port());
}

}  // namespace

link::SwitchOptions link_bench_options() {
  link::SwitchOptions options;
  options.client_virtual_max = 0;
  options.client_idle_timeout = Duration::zero();
  options.server_idle_timeout = Duration::zero();
  return options;
}

Result<LinkServers> LinkServers::start(std::size_t own_arguments, int core, unsigned loops, bool with_raw) {
  WAYPORT_TRY_ASSIGN(Child child, Child::start(own_arguments, {kServeLinkArgument, std::to_string(core),
                                                               std::to_string(loops), with_raw ? "raw" : "alone"}));
  return LinkServers(std::move(child));
}

LinkPlace LinkServers::place(const char* clients, const char* servers) const {
  const auto port = [&](const char* name) { return static_cast<std::uint16_t>(std::stoi(child_.hello().at(name))); };
  return {.client_port = port(clients), .server_port = port(servers), .key = kKey};
}

int serve_link(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) return 2;
  try {
    count_allocations();
    raise_descriptor_limit();
    if (const int core = std::stoi(arguments[0]); core >= 0) pin_to_core(core);
    Runtime runtime({.loops = static_cast<unsigned>(std::stoul(arguments[1])), .log = &null_log()});
    link::LinkGateway gateway(
        runtime,
        {.listen_clients = {kListen}, .listen_servers = {kListen}, .key = kKey, .switching = link_bench_options()});
    if (const Result<void> started = gateway.start(); !started) return refuse_parent(started.error().to_string());
    Hello hello{{"client", port_of_address(gateway.client_addresses().at(0))},
                {"server", port_of_address(gateway.server_addresses().at(0))}};
    std::optional<RawLinkGateway> raw;
    if (arguments[2] == "raw") {
      raw.emplace();
      hello["raw-client"] = std::to_string(raw->client_port());
      hello["raw-server"] = std::to_string(raw->server_port());
    }
    return answer_parent(hello, [&gateway] { return counters_of(gateway); });
  } catch (const std::exception& error) {
    return refuse_parent(error.what());
  }
}

}  // namespace wayport::tools
