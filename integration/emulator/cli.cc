#include "wayport/integration/emulator/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>
#include <vector>

namespace wayport::emulator {
namespace {

constexpr const char* kExamples = R"(
WORDS say what the link does, in one direction or both:
  delay=40ms jitter=5ms loss=2% burst=1%/8 duplicate=0.1% corrupt=0.01% reorder=1%/10ms
  rate=10Mbit queue=64KiB held=64MiB up down perfect

Examples:
  wayport-link-emulator join --left netns=/run/netns/a,address=10.9.0.1/24 \
      --right netns=/run/netns/b,address=10.9.0.2/24 --both "delay=20ms loss=1%"
  wayport-link-emulator route --left eth0 --right 10.2.0.0/16 --both delay=20ms
  wayport-link-emulator attach --peer 10.1.0.7 --out "rate=2Mbit queue=64KiB" --in loss=5%
  wayport-link-emulator ctl set both delay=80ms
  wayport-link-emulator ctl down
  wayport-link-emulator ctl stats
  wayport-link-emulator add-route 10.2.0.0/16 10.1.0.2

join, route and attach need CAP_NET_ADMIN and /dev/net/tun (docker run --cap-add NET_ADMIN --device /dev/net/tun); join also
needs to enter the namespaces. Prints "ready ..." when packets flow; SIGTERM takes back all that was made. Control sockets
that begin with @ are of the network namespace.
)";

// Collects words for each direction; `both` comes first, whatever the order on the command line is.
struct LinkFlags {
  std::vector<std::string> both, left, right;

  void add_to(CLI::App& app, const DirectionNames& names) {
    app.add_option("--both", both, "What the link does in both directions")->type_name("WORDS");
    app.add_option("--" + names[0], left, "What it does to what comes from there, besides")->type_name("WORDS");
    app.add_option("--" + names[1], right, "The same for the other direction")->type_name("WORDS");
  }
  Result<std::array<LinkOptions, 2>> options() const {
    std::array<LinkOptions, 2> result;
    for (std::size_t i = 0; i < 2; ++i) {
      for (const std::vector<std::string>* list : {&both, i == 0 ? &left : &right}) {
        for (const std::string& words : *list) {
          WAYPORT_TRY_ASSIGN(result[i], changed(result[i], words));
        }
      }
    }
    return result;
  }
};

Result<JoinSide> parse_side(const std::string& name, const std::string& text) {
  JoinSide side;
  side.device += "-" + name;
  for (const std::string& part : CLI::detail::split(text, ',')) {
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? std::string() : part.substr(equals + 1);
    if (key == "netns") {
      side.network_namespace = value;
    } else if (key == "address") {
      WAYPORT_TRY_ASSIGN(side.address, parse_prefix(value));
    } else if (key == "device") {
      if (value.empty() || value.size() > 15 || value.find_first_of("/ ") != std::string::npos) {
        return fail(ErrorCode::invalid_argument, name + ": a device's name has 1 to 15 letters");
      }
      side.device = value;
    } else if (key == "route") {
      WAYPORT_TRY_ASSIGN(Prefix to, parse_prefix(value));
      side.routes.push_back(std::move(to));
    } else {
      return fail(
          ErrorCode::invalid_argument,
          name + ": \"" + escape(part, 64) + "\" is none of netns=FILE, address=IP/BITS, device=NAME, route=NETWORK");
    }
  }
  if (side.address.address.empty()) return fail(ErrorCode::invalid_argument, name + ": address=IP/BITS is missing");
  return side;
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CLI::App app(
      "A link with delay, loss, reordering, duplication and a rate, between real programs. Works on IP packets, in "
      "user "
      "space.",
      "wayport-link-emulator");
  app.footer(kExamples);
  app.require_subcommand(1);
  RunCommand run;
  ControlCommand control;
  AddRouteCommand add_route;
  LinkFlags flags;
  const auto common = [&](CLI::App& to) {
    to.add_option("--seed", run.link.seed, "Which packets are hit follows from it")->capture_default_str();
    to.add_option("--control", run.control, "Control socket: a path, or @NAME")->capture_default_str();
  };

  CLI::App& join = *app.add_subcommand("join", "A link between two network namespaces, each with a device of its own");
  std::string left_side, right_side;
  JoinOptions join_options;
  join.add_option("--left", left_side,
                  "netns=FILE,address=IP/BITS[,device=NAME][,route=NETWORK...]; without netns: this one")
      ->required();
  join.add_option("--right", right_side, "The same for the other end")->required();
  join.add_option("--both", flags.both, "What the link does in both directions")->type_name("WORDS");
  join.add_option("--from-left", flags.left, "What it does to what comes from the left, besides")->type_name("WORDS");
  join.add_option("--from-right", flags.right, "The same for the other direction")->type_name("WORDS");
  join.add_option("--mtu", join_options.mtu, "Of both devices")->check(CLI::Range(68, 65535))->capture_default_str();
  common(join);

  CLI::App& route =
      *app.add_subcommand("route", "This machine is a router; what goes from one side to the other takes the link");
  RouteOptions route_options;
  route.add_option("--left", route_options.left, "A device, or a network that it is in")->required();
  route.add_option("--right", route_options.right, "The other one")->required();
  route.add_option("--both", flags.both, "What the link does in both directions")->type_name("WORDS");
  route.add_option("--from-left", flags.left, "What it does to what comes from the left, besides")->type_name("WORDS");
  route.add_option("--from-right", flags.right, "The same for the other direction")->type_name("WORDS");
  common(route);

  CLI::App& attach =
      *app.add_subcommand("attach", "This machine is an endpoint; what it sends and gets takes the link");
  AttachOptions attach_options;
  std::vector<std::string> peers;
  bool out_only = false;
  attach.add_option("--device", attach_options.devices, "Only these devices; else all but the loopback");
  attach.add_option("--peer", peers, "Only traffic with these addresses or networks; else all")
      ->expected(1, static_cast<int>(kPeersMax));
  attach.add_flag("--out-only", out_only, "Leave what comes in alone; needs no sysctl");
  flags.add_to(attach, {"out", "in"});
  common(attach);

  CLI::App& ctl = *app.add_subcommand("ctl", "Speak to a running link emulator: set, up, down, show, stats, help");
  std::vector<std::string> words;
  ctl.add_option("--control", control.control, "Its control socket")->capture_default_str();
  ctl.add_option("line", words, "The line, for instance: set both delay=20ms loss=1%")->required();
  double patience_seconds = std::chrono::duration<double>(control.patience).count();
  ctl.add_option("--patience", patience_seconds, "How many seconds to wait for it")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  ctl.positionals_at_end();

  CLI::App& add = *app.add_subcommand("add-route", "Add a route, for images without the program ip");
  std::string network, gateway;
  add.add_option("network", network, "10.2.0.0/16")->required();
  add.add_option("gateway", gateway, "10.1.0.2")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Printed{app.exit(error, out, err) == 0 ? kExitSuccess : kExitUsage};
  }
  const auto made = [&]() -> Result<Command> {
    if (ctl.parsed()) {
      control.line = CLI::detail::join(words, " ");
      control.patience = std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(patience_seconds));
      return control;
    }
    if (add.parsed()) {
      WAYPORT_TRY_ASSIGN(add_route.network, parse_prefix(network));
      WAYPORT_TRY_ASSIGN(const Prefix hop, parse_prefix(gateway));
      if (hop.bits != 32 || !add_route.network.is_v4()) {
        return fail(ErrorCode::invalid_argument, "an IPv4 network and the address of a gateway are needed");
      }
      add_route.gateway = hop.address;
      return add_route;
    }
    WAYPORT_TRY_ASSIGN(run.link.link, flags.options());
    if (join.parsed()) {
      WAYPORT_TRY_ASSIGN(join_options.left, parse_side("left", left_side));
      WAYPORT_TRY_ASSIGN(join_options.right, parse_side("right", right_side));
      run.plumbing = join_options;
    } else if (route.parsed()) {
      run.plumbing = route_options;
    } else {
      for (const std::string& peer : peers) {
        WAYPORT_TRY_ASSIGN(Prefix network_of_peer, parse_prefix(peer));
        if (!network_of_peer.is_v4()) return fail(ErrorCode::unsupported, "--peer " + peer + ": attach is for IPv4");
        attach_options.peers.push_back(std::move(network_of_peer));
      }
      attach_options.inbound = !out_only;
      if (out_only && !flags.right.empty())
        return fail(ErrorCode::invalid_argument, "--in says nothing with --out-only");
      run.plumbing = attach_options;
      run.link.names = {"out", "in"};
    }
    return run;
  }();
  if (made) return *made;
  err << "error: " << made.error().detail << "\n";
  return Printed{kExitUsage};
}

}  // namespace wayport::emulator
