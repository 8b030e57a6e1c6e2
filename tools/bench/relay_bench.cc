#include "wayport/tools/bench/relay_bench.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "wayport/tools/bench/figures.h"
#include "wayport/tools/bench/program.h"
#include "wayport/tools/bench/raw_bulk.h"
#include "wayport/tools/bench/raw_echo.h"
#include "wayport/tools/bench/raw_socket.h"
#include "wayport/tools/bench/raw_ws.h"
#include "wayport/tools/bench/relay_server.h"

namespace wayport::tools {
namespace {

// Of the echo of larger frames.
constexpr std::size_t kEchoBytes = 16 * 1024;
constexpr std::size_t kEchoOutstanding = 16;
constexpr double kBitsPerGbit = 1e9;

// One who takes part: how a row's load is connected through it, and what it costs.
struct Entrant {
  std::string name;
  std::function<Result<std::unique_ptr<LoadClient>>(const RelayRow&)> connect;
  std::function<Result<Usage>(const RelayRow&)> usage;
};

Result<Usage> nobody(const RelayRow&) { return Usage{}; }

Result<Usage> sum(const Result<Usage>& one, const Result<Usage>& other) {
  if (!one) return one;
  if (!other) return other;
  Usage both;
  both.cpu_ns = one->cpu_ns + other->cpu_ns;
  both.allocations = one->allocations + other->allocations;
  return both;
}

std::uint16_t port_for(const BackendChild& backend, const RelayRow& row) {
  return row.load == RelayLoad::bulk ? backend.source_port() : backend.echo_port();
}

std::unique_ptr<LoadClient> client_on(Fd fd, const RelayRow& row) {
  return row.load == RelayLoad::bulk ? bulk_client(std::move(fd), row.message_bytes)
                                     : raw_frames_client(std::move(fd), row.message_bytes);
}

Result<std::unique_ptr<LoadClient>> connect_plain(std::uint16_t port, const RelayRow& row) {
  WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(port));
  return client_on(std::move(fd), row);
}

// Whether a byte comes back through that port.
bool echoes(std::uint16_t port) {
  const Result<Fd> fd = connect_to_port(port);
  if (!fd) return false;
  const timeval patience{.tv_sec = kRawPatienceMs / 1000, .tv_usec = 0};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char byte = 'w';
  return ::send(fd->get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd->get(), &byte, 1, 0) == 1;
}

// All sides in turns.
Result<void> measure_row(const std::vector<Entrant>& entrants, const RelayOptions& options, RelayRow& row) {
  std::cerr << "measuring " << to_string(row.load) << ", " << row.outstanding << " outstanding\n";
  struct Running {
    const Entrant* entrant;
    std::unique_ptr<LoadClient> client;
    SideRounds rounds;
  };
  std::vector<Running> running;
  for (const Entrant& entrant : entrants) {
    Result<std::unique_ptr<LoadClient>> client = entrant.connect(row);
    if (!client) return fail(client.error().code, entrant.name + ": " + client.error().detail);
    running.push_back({.entrant = &entrant, .client = *std::move(client), .rounds = {}});
  }
  const Load load{.outstanding = row.outstanding, .time = seconds_of(options.seconds / options.rounds)};
  for (unsigned i = 0; i < options.rounds; ++i) {
    for (Running& side : running) {
      const Result<void> added = side.rounds.add(*side.client, [&] { return side.entrant->usage(row); }, load);
      if (!added) return fail(added.error().code, side.entrant->name + ": " + added.error().detail);
    }
  }
  const auto reference =
      std::ranges::find_if(running, [&](const Running& side) { return side.entrant->name == row.reference; });
  for (Running& side : running) {
    RelaySide result;
    result.name = side.entrant->name;
    result.answered = side.rounds.answered();
    result.reply_bytes = side.client->reply_bytes();
    if (reference != running.end()) {
      result.rate_ratio = median_ratio(side.rounds.rates(), reference->rounds.rates());
      result.cpu_ratio = median_ratio(side.rounds.server_cpu(), reference->rounds.server_cpu());
    }
    row.sides.push_back(std::move(result));
  }
  for (std::size_t i = 0; i < running.size(); ++i) row.sides[i].side = running[i].rounds.finish();
  return {};
}

Result<void> measure_section(const std::vector<Entrant>& entrants, const BackendChild& backend,
                             const RelayOptions& options, RelaySection& section) {
  const auto bytes_of_backend = [&backend]() -> Result<std::uint64_t> {
    WAYPORT_TRY_ASSIGN(const auto counters, backend.counters());
    return counters.at("source_bytes") + counters.at("echo_bytes");
  };
  WAYPORT_TRY_ASSIGN(const std::uint64_t before, bytes_of_backend());
  for (RelayRow& row : section.rows) {
    WAYPORT_TRY(measure_row(entrants, options, row));
    for (const RelaySide& side : row.sides) section.answered_bytes += side.answered * side.reply_bytes;
  }
  section.connections = section.rows.size();
  WAYPORT_TRY_ASSIGN(const std::uint64_t after, bytes_of_backend());
  section.backend_bytes = after - before;
  return {};
}

RelayRow bulk_row(const RelayOptions& options, const char* reference) {
  return {.load = RelayLoad::bulk,
          .message_bytes = options.chunk_kib * 1024,
          .outstanding = options.chunks,
          .reference = reference};
}

void add_exchange_rows(const RelayOptions& options, const char* reference, RelaySection& section) {
  for (const std::size_t outstanding : options.outstanding) {
    section.rows.push_back({.load = RelayLoad::exchange,
                            .message_bytes = options.message_bytes,
                            .outstanding = outstanding,
                            .reference = reference});
  }
}

// Something of another program that cannot be had is said, and the rest goes on.
template <class T>
void take_if_there(std::optional<T>& place, Result<T> other, RelayResults& results) {
  if (other) {
    place.emplace(*std::move(other));
    return;
  }
  std::cerr << "bench: " << other.error().to_string() << "\n";
  results.missing.push_back(other.error().detail);
}

std::string system_congestion() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_congestion_control");
  std::string name;
  return file >> name ? name : "unknown";
}

// --- route ---

// A directory that goes with this.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::error_code error;
    std::string name = (std::filesystem::temp_directory_path(error) / "wayport-bench-XXXXXX").string();
    if (!error && ::mkdtemp(name.data())) path_ = name;
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
  }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

// It decides by itself whether bytes are spliced, which with one buffer of 16 KiB after the other it may never do.
constexpr const char* kHaproxyAuto = "  option splice-auto\n";
constexpr const char* kHaproxyForced = "  option splice-request\n  option splice-response\n";

struct Haproxy {
  TemporaryDirectory directory;
  Program program;
  std::uint16_t source_port;
  std::uint16_t echo_port;
};

// `splicing`: its options.
Result<Haproxy> start_haproxy(const BackendChild& backend, int core, const std::string& splicing) {
  TemporaryDirectory directory;
  const std::string file = (directory.path() / "haproxy.cfg").string();
  const auto proxy = [](const std::string& name, int descriptor, std::uint16_t port) {
    return "listen " + name + "\n  bind fd@" + std::to_string(descriptor) +
           "\n  server backend 127.0.0.1:" + std::to_string(port) + "\n";
  };
  std::ofstream config(file);
  config << "global\n  nbthread 1\n  maxconn 1000\n"
            "defaults\n  mode tcp\n"
         << splicing << "  timeout connect 10s\n  timeout client 24h\n  timeout server 24h\n"
         << proxy("source", kProgramDescriptor, backend.source_port())
         << proxy("echo", kProgramDescriptor + 1, backend.echo_port());
  config.close();
  if (!config) return fail(ErrorCode::io, "haproxy's configuration cannot be written to " + file);
  // What is accepted inherits the congestion control of these.
  Fd source = listen_on_loopback();
  Fd echo = listen_on_loopback();
  const std::uint16_t source_port = port_of(source.get());
  const std::uint16_t echo_port = port_of(echo.get());
  WAYPORT_TRY_ASSIGN(Program program, Program::start({.name = "haproxy",
                                                      .package = "haproxy",
                                                      .arguments = {"-db", "-f", file},
                                                      .core = core,
                                                      .descriptors = {source.get(), echo.get()}}));
  // From here on they are only haproxy's: if it ends, so do connections to them.
  source.reset();
  echo.reset();
  if (!echoes(echo_port)) return fail(ErrorCode::refused, "haproxy does not work: " + program.output());
  return Haproxy{std::move(directory), std::move(program), source_port, echo_port};
}

Entrant through_haproxy(std::string name, const Haproxy& haproxy) {
  return {.name = std::move(name),
          .connect =
              [&](const RelayRow& row) {
                return connect_plain(row.load == RelayLoad::bulk ? haproxy.source_port : haproxy.echo_port, row);
              },
          .usage = [&](const RelayRow&) { return haproxy.program.usage(); }};
}

Entrant through_gateway(std::string name, const GatewayChild& gateway, const BackendChild& backend) {
  return {.name = std::move(name),
          .connect = [&](const RelayRow& row) -> Result<std::unique_ptr<LoadClient>> {
            WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(gateway.port()));
            WAYPORT_TRY(ask_for_backend(fd.get(), port_for(backend, row)));
            return client_on(std::move(fd), row);
          },
          .usage = [&](const RelayRow&) { return gateway.usage(); }};
}

Result<void> measure_route(std::size_t own_arguments, int core, const RelayOptions& options, RelayResults& results) {
  // What gateways accept is reno, what they dial is what the system has, as it is for haproxy.
  const std::string listen = "tcp://127.0.0.1:0?congestion=reno";
  results.congestion = "reno wherever bulk bytes are sent; from gateways to backends " + system_congestion() +
                       ", the system's, of ours and of haproxy";
  WAYPORT_TRY_ASSIGN(const BackendChild backend, BackendChild::start(own_arguments, -1));
  WAYPORT_TRY_ASSIGN(const GatewayChild splice,
                     GatewayChild::start(own_arguments, core, {.listen = listen, .zero_copy = true}));
  WAYPORT_TRY_ASSIGN(const GatewayChild copy, GatewayChild::start(own_arguments, core, {.listen = listen}));
  std::optional<Haproxy> haproxy;
  std::optional<Haproxy> forced;
  if (options.with_other) take_if_there(haproxy, start_haproxy(backend, core, kHaproxyAuto), results);
  if (haproxy) take_if_there(forced, start_haproxy(backend, core, kHaproxyForced), results);

  std::vector<Entrant> entrants{
      {.name = "direct",
       .connect = [&](const RelayRow& row) { return connect_plain(port_for(backend, row), row); },
       .usage = nobody}};
  if (haproxy) entrants.push_back(through_haproxy("haproxy", *haproxy));
  if (forced) entrants.push_back(through_haproxy("haproxy-splice", *forced));
  entrants.push_back(through_gateway("splice", splice, backend));
  entrants.push_back(through_gateway("copy", copy, backend));

  RelaySection section{.title = "one connection to a backend, directly and through gateways with one thread"};
  section.rows.push_back(bulk_row(options, "haproxy-splice"));
  add_exchange_rows(options, "haproxy", section);
  WAYPORT_TRY(measure_section(entrants, backend, options, section));
  WAYPORT_TRY_ASSIGN(section.gateways["splice"], splice.counters());
  WAYPORT_TRY_ASSIGN(section.gateways["copy"], copy.counters());
  results.sections.push_back(std::move(section));
  return {};
}

// --- ws ---

struct Websockify {
  Program program;
  std::uint16_t port;
};

Result<Websockify> start_websockify(const BackendChild& backend, int core) {
  WAYPORT_TRY_ASSIGN(const std::uint16_t port, free_tcp_port());
  WAYPORT_TRY_ASSIGN(Program program, Program::start({.name = "websockify",
                                                      .package = "websockify",
                                                      .arguments = {"127.0.0.1:" + std::to_string(port),
                                                                    "127.0.0.1:" + std::to_string(backend.echo_port())},
                                                      .core = core}));
  WAYPORT_TRY(program.wait_for_tcp_port(port));
  return Websockify{std::move(program), port};
}

Result<void> measure_ws(std::size_t own_arguments, int core, const RelayOptions& options, RelayResults& results) {
  results.congestion = "of client and backend reno, of all gateways " + system_congestion() + ", the system's";
  WAYPORT_TRY_ASSIGN(const BackendChild backend, BackendChild::start(own_arguments, -1));
  // Nobody answers pings while the others have their turn.
  WAYPORT_TRY_ASSIGN(const GatewayChild gateway,
                     GatewayChild::start(own_arguments, core, {.listen = "ws://127.0.0.1:0?ping=0"}));
  std::optional<Websockify> websockify;
  if (options.with_other) take_if_there(websockify, start_websockify(backend, core), results);

  std::vector<Entrant> entrants;
  if (websockify) {
    entrants.push_back({.name = "websockify",
                        .connect = [&](const RelayRow& row) -> Result<std::unique_ptr<LoadClient>> {
                          WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(websockify->port));
                          return raw_ws_client(std::move(fd), {.message_bytes = row.message_bytes});
                        },
                        .usage = [&](const RelayRow&) { return websockify->program.usage(); }});
  }
  entrants.push_back({.name = "gateway",
                      .connect = [&](const RelayRow& row) -> Result<std::unique_ptr<LoadClient>> {
                        WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(gateway.port()));
                        return raw_ws_client(std::move(fd), {.header = "server-identify: 127.0.0.1:" +
                                                                       std::to_string(backend.echo_port()),
                                                             .length_prefix = true,
                                                             .message_bytes = row.message_bytes});
                      },
                      .usage = [&](const RelayRow&) { return gateway.usage(); }});

  RelaySection section{.title =
                           "masked messages of one client to a tcp backend that echoes; ours with a length in front"};
  add_exchange_rows(options, "websockify", section);
  WAYPORT_TRY(measure_section(entrants, backend, options, section));
  WAYPORT_TRY_ASSIGN(section.gateways["gateway"], gateway.counters());
  results.sections.push_back(std::move(section));
  return {};
}

// --- kcp ---

struct KcpSetting {
  const char* title;
  // kcptun's and ours. All else is kcptun's default, on both.
  std::vector<std::string> arguments;
  const char* parameters;
};
const KcpSetting kKcpSettings[] = {
    {"crypt none, no FEC", {"--crypt", "none", "--datashard", "0", "--parityshard", "0"}, "crypt=none"},
    {"crypt aes, FEC 10,3",
     {"--crypt", "aes", "--datashard", "10", "--parityshard", "3"},
     "crypt=aes&password=bench&fec=10,3"},
};
constexpr const char* kKcpCommon = "mode=fast&mtu=1350&stream=1&";
constexpr const char* kKcpClientWindows = "sndwnd=128&rcvwnd=512&";
constexpr const char* kKcpServerWindows = "sndwnd=1024&rcvwnd=1024&";

// The port where datagrams for `port` go in.
struct MaybeLossy {
  std::optional<LossyChild> link;
  std::uint16_t port = 0;
};
Result<MaybeLossy> before_port(std::size_t own_arguments, std::uint16_t port, double loss) {
  MaybeLossy way{.link = std::nullopt, .port = port};
  if (loss <= 0) return way;
  WAYPORT_TRY_ASSIGN(LossyChild link, LossyChild::start(own_arguments, -1, port, loss));
  way.port = link.port();
  way.link.emplace(std::move(link));
  return way;
}

// A tunnel to one port of the backend.
struct Kcptun {
  Program server;
  MaybeLossy way;
  Program client;
  std::uint16_t port;
};

Result<Kcptun> start_kcptun(std::size_t own_arguments, std::uint16_t target, const KcpSetting& setting, int core,
                            double loss) {
  const auto local = [](std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); };
  const auto start = [&](const char* name, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), setting.arguments.begin(), setting.arguments.end());
    arguments.insert(arguments.end(), {"--key", "bench", "--nocomp", "--quiet"});
    return Program::start({.name = name, .package = "kcptun", .arguments = std::move(arguments), .core = core});
  };
  WAYPORT_TRY_ASSIGN(const std::uint16_t server_port, free_udp_port());
  WAYPORT_TRY_ASSIGN(Program server, start("kcptun-server", {"-l", local(server_port), "-t", local(target)}));
  WAYPORT_TRY(server.wait_for_udp_port(server_port));
  WAYPORT_TRY_ASSIGN(MaybeLossy way, before_port(own_arguments, server_port, loss));
  WAYPORT_TRY_ASSIGN(const std::uint16_t port, free_tcp_port());
  WAYPORT_TRY_ASSIGN(Program client, start("kcptun-client", {"-l", local(port), "-r", local(way.port)}));
  WAYPORT_TRY(client.wait_for_tcp_port(port));
  return Kcptun{std::move(server), std::move(way), std::move(client), port};
}

struct Kcptuns {
  Kcptun source;
  Kcptun echo;
  const Kcptun& of(const RelayRow& row) const { return row.load == RelayLoad::bulk ? source : echo; }
};

Result<Kcptuns> start_kcptuns(std::size_t own_arguments, const BackendChild& backend, const KcpSetting& setting,
                              int core, double loss) {
  WAYPORT_TRY_ASSIGN(Kcptun source, start_kcptun(own_arguments, backend.source_port(), setting, core, loss));
  WAYPORT_TRY_ASSIGN(Kcptun echo, start_kcptun(own_arguments, backend.echo_port(), setting, core, loss));
  return Kcptuns{std::move(source), std::move(echo)};
}

Result<void> measure_kcp_setting(std::size_t own_arguments, int core, const RelayOptions& options,
                                 const KcpSetting& setting, RelayResults& results) {
  std::cerr << "kcp: " << setting.title << "\n";
  const std::string common = std::string(kKcpCommon) + setting.parameters;
  WAYPORT_TRY_ASSIGN(const BackendChild backend, BackendChild::start(own_arguments, -1));
  WAYPORT_TRY_ASSIGN(const GatewayChild far,
                     GatewayChild::start(own_arguments, core,
                                         {.listen = std::string("kcp://127.0.0.1:0?") + kKcpServerWindows + common}));
  WAYPORT_TRY_ASSIGN(const MaybeLossy way, before_port(own_arguments, far.port(), options.loss));
  WAYPORT_TRY_ASSIGN(const GatewayChild near,
                     GatewayChild::start(own_arguments, core,
                                         {.backend_transport = std::string("kcp?") + kKcpClientWindows + common}));
  std::optional<Kcptuns> kcptun;
  // Once missing, it is missing.
  if (options.with_other && results.missing.empty()) {
    take_if_there(kcptun, start_kcptuns(own_arguments, backend, setting, core, options.loss), results);
  }

  std::vector<Entrant> entrants;
  if (kcptun) {
    entrants.push_back(
        {.name = "kcptun",
         .connect = [&](const RelayRow& row) { return connect_plain(kcptun->of(row).port, row); },
         .usage =
             [&](const RelayRow& row) { return sum(kcptun->of(row).server.usage(), kcptun->of(row).client.usage()); }});
  }
  entrants.push_back({.name = "gateways",
                      .connect = [&](const RelayRow& row) -> Result<std::unique_ptr<LoadClient>> {
                        WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(near.port()));
                        WAYPORT_TRY(ask_for_backend(fd.get(), way.port));
                        WAYPORT_TRY(ask_for_backend(fd.get(), port_for(backend, row)));
                        return client_on(std::move(fd), row);
                      },
                      .usage = [&](const RelayRow&) { return sum(near.usage(), far.usage()); }});

  RelaySection section{.title = setting.title};
  section.rows.push_back(bulk_row(options, "kcptun"));
  section.rows.push_back(
      {.load = RelayLoad::echo, .message_bytes = kEchoBytes, .outstanding = kEchoOutstanding, .reference = "kcptun"});
  add_exchange_rows(options, "kcptun", section);
  WAYPORT_TRY(measure_section(entrants, backend, options, section));
  WAYPORT_TRY_ASSIGN(section.gateways["near"], near.counters());
  WAYPORT_TRY_ASSIGN(section.gateways["far"], far.counters());
  results.sections.push_back(std::move(section));
  return {};
}

Result<void> measure_kcp(std::size_t own_arguments, int core, const RelayOptions& options, RelayResults& results) {
  results.congestion = "of client and backend reno, of all gateways' TCP " + system_congestion() +
                       ", the system's; KCP without (nc=1), as kcptun's \"fast\"";
  for (const KcpSetting& setting : kKcpSettings) {
    WAYPORT_TRY(measure_kcp_setting(own_arguments, core, options, setting, results));
  }
  return {};
}

}  // namespace

const char* to_string(RelayKind kind) noexcept {
  switch (kind) {
    case RelayKind::route:
      return "route";
    case RelayKind::ws:
      return "ws";
    case RelayKind::kcp:
      return "kcp";
  }
  return "?";
}

const char* to_string(RelayLoad load) noexcept {
  switch (load) {
    case RelayLoad::bulk:
      return "bulk";
    case RelayLoad::echo:
      return "echo";
    case RelayLoad::exchange:
      return "exchange";
  }
  return "?";
}

double RelaySide::gbit_per_second() const noexcept {
  return side.messages_per_second * static_cast<double>(reply_bytes) * 8 / kBitsPerGbit;
}
double RelaySide::cpu_ms_per_gbit() const noexcept {
  return divided(side.server_cpu_us * 1e-3, static_cast<double>(reply_bytes) * 8 / kBitsPerGbit);
}
double RelaySide::client_cpu_ms_per_gbit() const noexcept {
  return divided(side.client_cpu_us * 1e-3, static_cast<double>(reply_bytes) * 8 / kBitsPerGbit);
}

std::string RelayResults::trouble() const {
  for (const RelaySection& section : sections) {
    for (const RelayRow& row : section.rows) {
      for (const RelaySide& side : row.sides) {
        if (side.side.wrong + side.side.failed != 0) return side.name + ": bytes were lost or wrong";
      }
    }
    if (section.backend_bytes != section.answered_bytes) return "clients and backend do not agree about bytes";
    for (const auto& [name, counts] : section.gateways) {
      if (counts.at("refused") != 0) return name + ": the gateway refused connections";
      if (counts.at("joined") != section.connections)
        return name + ": client and gateway do not agree about connections";
    }
  }
  return {};
}

Result<RelayResults> measure_relay(std::size_t own_arguments, const RelayOptions& options) {
  const int core = pin_both(options.cores);
  RelayResults results;
  switch (options.kind) {
    case RelayKind::route:
      WAYPORT_TRY(measure_route(own_arguments, core, options, results));
      break;
    case RelayKind::ws:
      WAYPORT_TRY(measure_ws(own_arguments, core, options, results));
      break;
    case RelayKind::kcp:
      WAYPORT_TRY(measure_kcp(own_arguments, core, options, results));
      break;
  }
  return results;
}

}  // namespace wayport::tools
