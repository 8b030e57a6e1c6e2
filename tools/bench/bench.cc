#include "wayport/tools/bench/bench.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/tools/bench/child.h"
#include "wayport/tools/bench/compare.h"
#include "wayport/tools/bench/idle.h"
#include "wayport/tools/bench/link_bench.h"
#include "wayport/tools/bench/link_exchange.h"
#include "wayport/tools/bench/link_server.h"
#include "wayport/tools/bench/machine.h"
#include "wayport/tools/bench/raw_bulk.h"
#include "wayport/tools/bench/raw_echo.h"
#include "wayport/tools/bench/raw_ws.h"
#include "wayport/tools/bench/relay_bench.h"
#include "wayport/tools/bench/relay_server.h"
#include "wayport/tools/bench/report.h"
#include "wayport/tools/bench/restart.h"
#include "wayport/tools/bench/restart_server.h"
#include "wayport/tools/bench/servers.h"
#include "wayport/tools/bench/usage.h"
#include "wayport/tools/bench/work.h"

namespace wayport::tools {
namespace {

const std::vector<std::string> kTransports{"tcp", "unix", "tls"};

const std::map<std::string, Cores> kCores{{"together", Cores::together}, {"apart", Cores::apart}, {"any", Cores::any}};

struct Arguments {
  Machine machine = describe_machine();
  std::string transport = "all";
  bool json = false;
  std::string cores = "together";
  bool without_raw = false;
  std::string codec = "raw";
  ComparisonOptions comparison;
  IdleOptions idle;
  BlockingOptions blocking;
  OverloadOptions overload;
  RestartOptions restart;
  LinkOptions link;
  RelayOptions route{.kind = RelayKind::route};
  RelayOptions ws{.kind = RelayKind::ws};
  RelayOptions kcp{.kind = RelayKind::kcp, .outstanding = {1}, .cores = Cores::any};
  bool without_other = false;

  std::vector<std::string> transports() const {
    return transport == "all" ? kTransports : std::vector<std::string>{transport};
  }
};

void add_common(CLI::App& app, Arguments& arguments) {
  app.add_option("--transport", arguments.transport, "tcp, unix, tls or all")
      ->check(CLI::IsMember({"tcp", "unix", "tls", "all"}))
      ->capture_default_str();
  app.add_flag("--json", arguments.json, "one JSON object instead of the table");
}

void add_comparison(CLI::App& app, Arguments& arguments) {
  ComparisonOptions& options = arguments.comparison;
  add_common(app, arguments);
  app.add_option("--outstanding", options.outstanding, "closed loop: requests under way, comma separated")
      ->delimiter(',')
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--rate", options.rate,
                 "open loop instead: requests per second; latency counts from when each was due")
      ->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "time for each side of each row, all rounds together")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "turns that raw echo and measured server take")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--codec", arguments.codec,
                 "raw: bytes back as they came; protobuf: a message of two numbers, their sum back")
      ->check(CLI::IsMember({"raw", "protobuf"}))
      ->capture_default_str();
  app.add_option("--body-bytes", options.exchange.body_bytes, "size of raw bodies")
      ->check(CLI::Range(kBodyBytesMin, kBodyBytesMax))
      ->capture_default_str();
  app.add_flag("--no-raw", arguments.without_raw, "without the raw echo: all CPU time is the server's, for profilers");
  app.add_option("--cores", arguments.cores, "both processes together on one, apart on two, or on any")
      ->check(CLI::IsMember({"together", "apart", "any"}))
      ->capture_default_str();
}

// What both benchmarks of handlers that take time have.
template <class Options>
void add_work_options(CLI::App& app, Arguments& arguments, Options& options) {
  app.add_option("--transport", options.transport, "tcp, unix or tls")
      ->check(CLI::IsMember(kTransports))
      ->capture_default_str();
  app.add_flag("--json", arguments.json, "one JSON object instead of the table");
  app.add_option("--work-us", options.work_us, "each call computes so long, in microseconds")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--sessions", options.sessions, "connections that share the load")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "time of all rounds together")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "pairs of runs that are compared")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--cores", arguments.cores, "both processes together on one, apart on two, or on any; else apart")
      ->check(CLI::IsMember({"together", "apart", "any"}));
}

void add_blocking(CLI::App& app, Arguments& arguments) {
  BlockingOptions& options = arguments.blocking;
  add_work_options(app, arguments, options);
  app.add_option("--rate", options.rate, "calls per second that do not block; latency counts from when each was due")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--share", options.share, "part of all calls that blocks")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
  app.add_option("--block-ms", options.block_ms, "how long those block")
      ->check(CLI::Range(0.0, 10'000.0))
      ->capture_default_str();
}

void add_overload(CLI::App& app, Arguments& arguments) {
  OverloadOptions& options = arguments.overload;
  add_work_options(app, arguments, options);
  app.add_option("--times", options.times, "load that is offered, in peaks")
      ->check(CLI::Range(0.1, 100.0))
      ->capture_default_str();
  app.add_option("--turn-budget-us", options.turn_budget_us, "of the limiter (rpc/plugins/limiter)")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--outstanding", options.outstanding, "calls under way in the closed loop that finds the peak")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
}

void add_link(CLI::App& app, Arguments& arguments) {
  LinkOptions& options = arguments.link;
  app.add_flag("--json", arguments.json, "one JSON object instead of the tables");
  app.add_option("--part", options.parts, "frames, isolation, dial, idle or all; comma separated")
      ->delimiter(',')
      ->check(CLI::IsMember({"frames", "isolation", "dial", "idle", "all"}))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "time for each side of each part, all rounds together")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "turns that both sides take")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--clients", options.clients, "of frames and dial")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--window", options.window, "frames, or dials, that each of these has under way")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--frame-bytes", options.frame_bytes, "size of frames, header included")
      ->check(CLI::Range(kLinkFrameBytesMin, kLinkReadBytes / 2))
      ->capture_default_str();
  app.add_option("--crowd", options.crowd, "clients of isolation, one of which is stuck")
      ->check(CLI::Range(2, 100'000))
      ->capture_default_str();
  app.add_option("--rate", options.rate, "frames per second of isolation; latency counts from when each was due")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--flood-mb", options.flood_mb, "megabytes per second that the server sends to the one that is stuck")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  app.add_option("--idle-clients", options.idle_clients, "of idle")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--idle-virtuals", options.idle_virtuals, "of idle, 100 for each client")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--loops", options.loops, "of the gateway")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_flag("--no-raw", arguments.without_raw, "frames without the bare gateway, for profilers");
  app.add_option("--cores", arguments.cores, "both processes together on one, apart on two, or on any; else apart")
      ->check(CLI::IsMember({"together", "apart", "any"}));
}

void add_relay(CLI::App& app, Arguments& arguments, RelayOptions& options, const std::string& other) {
  app.add_flag("--json", arguments.json, "one JSON object instead of the tables");
  app.add_option("--seconds", options.seconds, "time for each side of each row, all rounds together")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "turns that all sides take")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--outstanding", options.outstanding, "small messages under way, comma separated")
      ->delimiter(',')
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--message-bytes", options.message_bytes, "size of these")
      ->check(CLI::Range(std::max(kRawFrameBytesMin, kWsMessageBytesMin), kWsMessageBytesMax))
      ->capture_default_str();
  app.add_flag("--no-other", arguments.without_other, "without " + other);
  app.add_option("--cores", arguments.cores,
                 options.cores == Cores::any
                     ? "all together on one, gateways apart from the rest, or on any; else any"
                     : "all together on one, gateways apart from the rest, or on any; else apart")
      ->check(CLI::IsMember({"together", "apart", "any"}));
  if (options.kind == RelayKind::ws) return;
  app.add_option("--chunk-kib", options.chunk_kib, "bulk bytes are asked for in chunks of so many KiB")
      ->check(CLI::Range(std::size_t{1}, kChunkBytesMax / 1024))
      ->capture_default_str();
  app.add_option("--chunks", options.chunks, "that are under way")->check(CLI::Range(1, 1000))->capture_default_str();
  if (options.kind == RelayKind::route) return;
  app.add_option("--loss", options.loss, "part of the datagrams that is lost, in each direction")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
}

template <class T>
int print(const Result<std::vector<T>>& results, const std::string& text) {
  if (!results) {
    std::cerr << "bench: " << results.error().to_string() << "\n";
    return 1;
  }
  std::cout << text;
  return 0;
}

int run_comparison(std::size_t own_arguments, ServerKind kind, Arguments& arguments) {
  ComparisonOptions& options = arguments.comparison;
  options.kind = kind;
  options.transports = arguments.transports();
  options.cores = kCores.at(arguments.cores);
  options.with_raw = !arguments.without_raw;
  options.exchange.kind = arguments.codec == "raw" ? BodyKind::raw : BodyKind::protobuf;
  const Result<std::vector<Comparison>> results = compare(own_arguments, options);
  if (!results) return print(results, {});
  print(results, arguments.json ? comparison_json(arguments.machine, options, *results)
                                : comparison_table(arguments.machine, options, *results));
  for (const Comparison& result : *results) {
    if (result.raw.wrong + result.raw.failed + result.ours.wrong + result.ours.failed != 0) {
      std::cerr << "bench: not all replies were right, see above\n";
      return 1;
    }
  }
  return 0;
}

int run_idle(std::size_t own_arguments, Arguments& arguments) {
  arguments.idle.transports = arguments.transports();
  const Result<std::vector<IdleCost>> results = measure_idle(own_arguments, arguments.idle);
  if (!results) return print(results, {});
  return print(results,
               arguments.json ? idle_json(arguments.machine, *results) : idle_table(arguments.machine, *results));
}

int run_restart(std::size_t own_arguments, const Arguments& arguments) {
  std::vector<RestartOutcome> outcomes;
  for (const std::string& transport : arguments.transports()) {
    RestartOptions options = arguments.restart;
    options.transport = transport;
    Result<RestartOutcome> outcome = measure_restarts(own_arguments, options);
    if (!outcome) {
      std::cerr << "bench: " << transport << ": " << outcome.error().to_string() << "\n";
      return 1;
    }
    outcomes.push_back(*std::move(outcome));
  }
  std::cout << (arguments.json ? restart_json(arguments.machine, outcomes)
                               : restart_table(arguments.machine, outcomes));
  for (const RestartOutcome& outcome : outcomes) {
    if (!outcome.all_right()) {
      std::cerr << "bench: something was lost, see above\n";
      return 1;
    }
  }
  return 0;
}

int run_link(std::size_t own_arguments, Arguments& arguments, bool cores_given) {
  LinkOptions& options = arguments.link;
  options.with_raw = !arguments.without_raw;
  if (cores_given) options.cores = kCores.at(arguments.cores);
  const Result<LinkResults> results = measure_link(own_arguments, options);
  if (!results) {
    std::cerr << "bench: " << results.error().to_string() << "\n";
    return 1;
  }
  std::cout << (arguments.json ? link_json(arguments.machine, options, *results)
                               : link_table(arguments.machine, options, *results));
  if (const std::string trouble = results->trouble(); !trouble.empty()) {
    std::cerr << "bench: " << trouble << ", see above\n";
    return 1;
  }
  return 0;
}

int run_relay(std::size_t own_arguments, const Arguments& arguments, RelayOptions options, bool cores_given) {
  options.with_other = !arguments.without_other;
  if (cores_given) options.cores = kCores.at(arguments.cores);
  const Result<RelayResults> results = measure_relay(own_arguments, options);
  if (!results) {
    std::cerr << "bench: " << results.error().to_string() << "\n";
    return 1;
  }
  std::cout << (arguments.json ? relay_json(arguments.machine, options, *results)
                               : relay_table(arguments.machine, options, *results));
  if (const std::string trouble = results->trouble(); !trouble.empty()) {
    std::cerr << "bench: " << trouble << ", see above\n";
    return 1;
  }
  return results->missing.empty() ? 0 : 1;
}

int run_blocking(std::size_t own_arguments, Arguments& arguments, bool cores_given) {
  BlockingOptions& options = arguments.blocking;
  if (cores_given) options.cores = kCores.at(arguments.cores);
  const Result<std::vector<BlockingRound>> rounds = measure_blocking(own_arguments, options);
  if (!rounds) return print(rounds, {});
  print(rounds, arguments.json ? blocking_json(arguments.machine, options, *rounds)
                               : blocking_table(arguments.machine, options, *rounds));
  for (const BlockingRound& round : *rounds) {
    if (round.with.failed + round.without.failed == 0) continue;
    std::cerr << "bench: calls failed\n";
    return 1;
  }
  return 0;
}

int run_overload(std::size_t own_arguments, Arguments& arguments, bool cores_given) {
  OverloadOptions& options = arguments.overload;
  if (cores_given) options.cores = kCores.at(arguments.cores);
  const Result<Overload> overload = measure_overload(own_arguments, options);
  if (!overload) {
    std::cerr << "bench: " << overload.error().to_string() << "\n";
    return 1;
  }
  std::cout << (arguments.json ? overload_json(arguments.machine, options, *overload)
                               : overload_table(arguments.machine, options, *overload));
  return 0;
}

}  // namespace

int bench_main(int argc, char** argv) {
  if (argc >= 2 && std::string_view(argv[1]) == kServeArgument) return serve_bench({argv + 2, argv + argc});
  if (argc >= 2 && std::string_view(argv[1]) == kServeRestartArgument) return serve_restart({argv + 2, argv + argc});
  if (argc >= 2 && std::string_view(argv[1]) == kServeLinkArgument) return serve_link({argv + 2, argv + argc});
  if (argc >= 2 && std::string_view(argv[1]) == kServeRelayArgument) return serve_relay({argv + 2, argv + argc});
  count_allocations();
  const std::size_t own_arguments = arguments_before(argc);

  Arguments arguments;
  CLI::App app("Measures wayport on this machine, server and client in a process each.", "bench");
  app.require_subcommand(1);
  app.footer("Example: bench rpc --transport tcp --outstanding 1,1000 --seconds 10");
  CLI::App& rpc = *app.add_subcommand("rpc", "pulls from peer to peer, beside a raw epoll echo");
  rpc.footer(
      "Example: bench rpc --transport tcp --outstanding 1,1000 --seconds 10\n"
      "         bench rpc --transport tcp --rate 50000 --codec protobuf --json");
  add_comparison(rpc, arguments);
  CLI::App& packet = *app.add_subcommand("packet", "packets over streams without a peer, beside a raw epoll echo");
  packet.footer("Example: bench packet --transport unix --outstanding 64");
  add_comparison(packet, arguments);
  CLI::App& idle = *app.add_subcommand("idle", "memory of sessions that do nothing");
  idle.footer("Example: bench idle --transport tcp --sessions 8000");
  add_common(idle, arguments);
  idle.add_option("--sessions", arguments.idle.sessions, "how many")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  CLI::App& restart = *app.add_subcommand("restart", "a server that is replaced (SIGUSR2) under load: what was lost");
  restart.footer("Example: bench restart --transport tcp --restarts 10 --seconds 20");
  add_common(restart, arguments);
  restart.add_option("--restarts", arguments.restart.restarts, "how often")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  restart.add_option("--seconds", arguments.restart.seconds, "of load, with the restarts spread over it")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  restart.add_option("--sessions", arguments.restart.sessions, "of the pool")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  restart.add_option("--outstanding", arguments.restart.outstanding, "pulls of the pool under way")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  restart.add_option("--fresh", arguments.restart.fresh, "connections under way that are made for one pull each")
      ->check(CLI::Range(0, 1'000))
      ->capture_default_str();
  CLI::App& blocking = *app.add_subcommand("blocking", "what calls that block cost the others");
  blocking.footer("Example: bench blocking --rate 20000 --share 0.01 --block-ms 5 --rounds 9");
  add_blocking(blocking, arguments);
  CLI::App& overload = *app.add_subcommand("overload", "what is done of more than can be done, with the limiter");
  overload.footer("Example: bench overload --times 3 --work-us 100 --turn-budget-us 5000");
  add_overload(overload, arguments);
  CLI::App& link = *app.add_subcommand("link", "the link gateway: frames, isolation, dials, idle memory");
  link.footer(
      "Example: bench link --part frames,dial --seconds 15\n"
      "         bench link --part isolation --crowd 1000 --rate 10000 --flood-mb 20 --json");
  add_link(link, arguments);
  CLI::App& route = *app.add_subcommand("route", "the route gateway as a relay, beside haproxy and no gateway");
  route.footer(
      "Example: bench route --seconds 10\n"
      "         bench route --outstanding 1,64,1000 --cores any --no-other --json");
  add_relay(route, arguments, arguments.route, "haproxy");
  CLI::App& ws = *app.add_subcommand("ws", "websocket messages through the route gateway, beside websockify");
  ws.footer("Example: bench ws --outstanding 1,64 --message-bytes 64 --seconds 10");
  add_relay(ws, arguments, arguments.ws, "websockify");
  CLI::App& kcp = *app.add_subcommand("kcp", "a tunnel over KCP between two route gateways, beside kcptun");
  kcp.footer(
      "Example: bench kcp --seconds 10\n"
      "         bench kcp --loss 0.01 --json");
  add_relay(kcp, arguments, arguments.kcp, "kcptun");
  CLI11_PARSE(app, argc, argv);

  if (rpc) return run_comparison(own_arguments, ServerKind::rpc, arguments);
  if (packet) return run_comparison(own_arguments, ServerKind::packet, arguments);
  if (link) return run_link(own_arguments, arguments, link.count("--cores") != 0);
  if (route) return run_relay(own_arguments, arguments, arguments.route, route.count("--cores") != 0);
  if (ws) return run_relay(own_arguments, arguments, arguments.ws, ws.count("--cores") != 0);
  if (kcp) return run_relay(own_arguments, arguments, arguments.kcp, kcp.count("--cores") != 0);
  if (restart) return run_restart(own_arguments, arguments);
  if (blocking) return run_blocking(own_arguments, arguments, blocking.count("--cores") != 0);
  if (overload) return run_overload(own_arguments, arguments, overload.count("--cores") != 0);
  return run_idle(own_arguments, arguments);
}

}  // namespace wayport::tools
