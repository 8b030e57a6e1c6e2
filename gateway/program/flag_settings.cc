#include "wayport/gateway/program/flag_settings.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/transport/address.h"

namespace wayport::gateway {
namespace {

using std::chrono::seconds;
using transport::Address;

constexpr std::int64_t kSnetBufferMax = std::int64_t{1} << 30;
constexpr std::int64_t kMessagesMax = std::numeric_limits<std::int32_t>::max();

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

struct SideFlags {
  std::string address = ":0";
  std::int64_t buffer_size = 0;
  std::int64_t send_chan_size = 0;
  Duration idle_timeout = seconds(30);
  bool snet = false;
  bool snet_encrypt = false;
  std::int64_t snet_buffer = 65536;
  Duration snet_init_timeout = seconds(10);
  Duration snet_wait_timeout = seconds(60);
};

// The variables behind the flags.
struct Variables {
  Variables() {
    client.buffer_size = 2048;
    client.send_chan_size = 1024;
    server.buffer_size = 65536;
    server.send_chan_size = 102400;
    flags.add("ReusePort", reuse_port, "set SO_REUSEPORT on both listeners");
    flags.add("MaxPacket", max_packet, "largest packet, bytes: connection id and message");
    flags.add("MemPoolType", pool_type, "sync, atom or chan; checked, without effect");
    flags.add("MemPoolFactor", pool_factor, "growth from one chunk size to the next");
    flags.add("MemPoolMinChunk", pool_min_chunk, "smallest chunk, bytes");
    flags.add("MemPoolMaxChunk", pool_max_chunk, "largest chunk, bytes");
    flags.add("MemPoolPageSize", pool_page_size, "bytes kept for each chunk size");
    add_side("Client", client);
    flags.add("ClientMaxConn", client_max_conn, "virtual connections of a client; 0: no limit");
    add_side("Server", server);
    flags.add("ServerAuthKey", auth_key,
              "what servers must know; better: ServerAuthKeyFile, or $WAYPORT_SERVER_AUTH_KEY");
    flags.add("ServerAuthPassword", auth_password, "another name of ServerAuthKey");
    // Ours.
    flags.add("ServerAuthKeyFile", auth_key_file, "file that holds the key; a line end at its end does not count");
    flags.add("SlowPolicy", slow_policy,
              "for receivers that do not keep up: close (the virtual connection), pause, cut");
    flags.add("DrainTime", drain, "how long SIGTERM waits for virtual connections to end");
    flags.add("AdminAddr", admin, "where /healthz, /readyz and /metrics are answered; without a host: 127.0.0.1");
    flags.add("Loops", loops, "event loops; 0: one for each core");
    flags.add("LogFile", log_file, "appended to; standard error if empty");
    flags.add("LogLevel", log_level, "debug, info, warning, error or off");
    flags.add("PidFile", pid_file, "holds the process id; none if empty");
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

  void add_side(const std::string& side, SideFlags& to) {
    const std::string who = side == "Client" ? "clients" : "servers";
    flags.add(side + "Addr", to.address,
              "where " + who + " connect: host:port, or any address such as tls://:443?cert=F");
    flags.add(side + "BufferSize", to.buffer_size, "read-ahead, bytes; checked, without effect");
    flags.add(side + "SendChanSize", to.send_chan_size, "packets that may wait for one of the " + who);
    flags.add(side + "IdleTimeout", to.idle_timeout, "from one packet to the next; 0: no limit");
    flags.add(side + "SnetEnable", to.snet, "snet: connections survive a break of theirs");
    flags.add(side + "SnetEncrypt", to.snet_encrypt, "snet: RC4, for old peers");
    flags.add(side + "SnetBuffer", to.snet_buffer, "snet: bytes that survive a break");
    flags.add(side + "SnetInitTimeout", to.snet_init_timeout, "snet: for its handshake");
    flags.add(side + "SnetWaitTimeout", to.snet_wait_timeout, "snet: how long a broken connection is waited for");
  }

  bool reuse_port = false;
  std::int64_t max_packet = link::kPacketBytesMaxDefault;
  std::string pool_type = "atom";
  std::int64_t pool_factor = 2;
  std::int64_t pool_min_chunk = 64;
  std::int64_t pool_max_chunk = 65536;
  std::int64_t pool_page_size = 1 << 20;
  SideFlags client;
  std::int64_t client_max_conn = 16;
  SideFlags server;
  std::string auth_key;
  std::string auth_password;
  std::string auth_key_file;
  std::string slow_policy = "close";
  Duration drain{0};
  std::string admin;
  std::int64_t loops = 0;
  std::string log_file;
  std::string log_level = "info";
  std::string pid_file = "fastway.pid";
  GoFlags flags;
};

Result<void> check_range(const std::string& flag, std::int64_t value, std::int64_t least, std::int64_t most,
                         std::string_view advice = {}) {
  if (value >= least && value <= most) return {};
  return invalid("-" + flag + " is " + std::to_string(value) + "; it has to be " + std::to_string(least) + " to " +
                 std::to_string(most) + std::string(advice));
}

Result<void> check_time(const std::string& flag, Duration value, bool zero_allowed) {
  if (value > Duration::zero() || (zero_allowed && value == Duration::zero())) return {};
  return invalid("-" + flag + " is " + format_duration(value) + "; it has to be " +
                 (zero_allowed ? "0 (no limit) or more" : "more than 0"));
}

Result<std::string> side_address(const std::string& side, const SideFlags& flags, bool reuse_port) {
  const Result<Address> plain = Address::parse(flags.address);
  if (!plain) return invalid("-" + side + "Addr: " + plain.error().detail);
  Address address = *plain;
  if (flags.snet) {
    if (std::ranges::find(address.layers(), "snet") != address.layers().end()) {
      return invalid("-" + side + "Addr names snet already; leave -" + side + "SnetEnable out");
    }
    const Result<Address> stacked = Address::parse("snet+" + address.to_string());
    if (!stacked) return invalid("-" + side + "Addr: " + stacked.error().detail);
    address = *stacked;
    if (flags.snet_encrypt) address.set_parameter("encrypt", "1");
    address.set_parameter("buffer", std::to_string(flags.snet_buffer));
    address.set_parameter("wait", format_duration(flags.snet_wait_timeout));
  }
  if (reuse_port && address.layers().back() != "unix") address.set_parameter("reuse_port", "1");
  return address.to_string();
}

Result<void> check_side(const std::string& side, const SideFlags& flags) {
  WAYPORT_TRY(check_range(side + "BufferSize", flags.buffer_size, 0, kSnetBufferMax));
  WAYPORT_TRY(check_range(side + "SendChanSize", flags.send_chan_size, 1, kMessagesMax,
                          ": a receiver without a queue would block whoever sends to it"));
  WAYPORT_TRY(check_time(side + "IdleTimeout", flags.idle_timeout, true));
  WAYPORT_TRY(check_range(side + "SnetBuffer", flags.snet_buffer, 1, kSnetBufferMax));
  WAYPORT_TRY(check_time(side + "SnetInitTimeout", flags.snet_init_timeout, false));
  return check_time(side + "SnetWaitTimeout", flags.snet_wait_timeout, true);
}

// The original allocates a page for each chunk size at its start; ours keeps as much when it becomes free.
Result<std::size_t> pool_bytes(const Variables& from) {
  if (from.pool_type != "sync" && from.pool_type != "atom" && from.pool_type != "chan") {
    return invalid("-MemPoolType is \"" + escape(from.pool_type, 32) + "\"; it is one of sync, atom, chan");
  }
  WAYPORT_TRY(check_range("MemPoolFactor", from.pool_factor, 2, 1024));
  WAYPORT_TRY(check_range("MemPoolMinChunk", from.pool_min_chunk, 1, kSnetBufferMax));
  WAYPORT_TRY(check_range("MemPoolMaxChunk", from.pool_max_chunk, from.pool_min_chunk, kSnetBufferMax,
                          " (MemPoolMinChunk is the least)"));
  WAYPORT_TRY(check_range("MemPoolPageSize", from.pool_page_size, from.pool_min_chunk, kSnetBufferMax,
                          " (MemPoolMinChunk is the least)"));
  std::size_t bytes = 0;
  const std::int64_t largest = std::min(from.pool_max_chunk, from.pool_page_size);
  for (std::int64_t size = from.pool_min_chunk; size <= largest; size *= from.pool_factor) {
    bytes += static_cast<std::size_t>(from.pool_page_size);
  }
  return bytes;
}

Result<Settings> settings_of(const Variables& from) {
  const GoFlags& flags = from.flags;
  Settings to;
  to.link.emplace();
  WAYPORT_TRY(check_range("MaxPacket", from.max_packet, link::kFrameLengthMin + link::kCommandMessageBytesMax,
                          std::int64_t{1} << 30));
  WAYPORT_TRY_ASSIGN(const std::size_t pool, pool_bytes(from));
  WAYPORT_TRY(check_side("Client", from.client));
  WAYPORT_TRY(check_range("ClientMaxConn", from.client_max_conn, 0, kMessagesMax, " (0: no limit)"));
  WAYPORT_TRY(check_side("Server", from.server));
  WAYPORT_TRY_ASSIGN(to.link->client_addresses.front(), side_address("Client", from.client, from.reuse_port));
  WAYPORT_TRY_ASSIGN(to.link->server_addresses.front(), side_address("Server", from.server, from.reuse_port));
  const bool key = flags.given("ServerAuthKey");
  const bool password = flags.given("ServerAuthPassword");
  const bool key_file = flags.given("ServerAuthKeyFile");
  if (int{key} + int{password} + int{key_file} > 1) {
    return invalid(
        "the key of servers is given twice; give one of -ServerAuthKey, -ServerAuthPassword (another name of "
        "it) and -ServerAuthKeyFile");
  }
  to.link->server_auth_key = password ? from.auth_password : from.auth_key;
  to.link->server_auth_key_file = from.auth_key_file;

  to.link->switching.packet_bytes_max = static_cast<std::uint32_t>(from.max_packet);
  to.link->switching.client_virtual_max = static_cast<std::uint32_t>(from.client_max_conn);
  to.link->switching.client_idle_timeout = from.client.idle_timeout;
  to.link->switching.server_idle_timeout = from.server.idle_timeout;
  to.link->switching.client_queue.messages_max = static_cast<std::size_t>(from.client.send_chan_size);
  to.link->switching.server_queue.messages_max = static_cast<std::size_t>(from.server.send_chan_size);
  const Result<link::SlowPolicy> policy = link::parse_slow_policy(from.slow_policy);
  if (!policy) return invalid("-SlowPolicy: " + policy.error().detail);
  to.link->switching.slow_policy = *policy;
  to.link->fit_queues(false, false, false);

  // One bound for both sides: the longer, so that neither is cut earlier than it was told.
  Duration init{0};
  if (from.client.snet) init = std::max(init, from.client.snet_init_timeout);
  if (from.server.snet) init = std::max(init, from.server.snet_init_timeout);
  if (init > Duration::zero()) to.link->transport_handshake_timeout = init;

  to.drain = from.drain;
  to.admin_address = from.admin;
  WAYPORT_TRY(check_range("Loops", from.loops, 0, 256));
  to.loops = static_cast<std::size_t>(from.loops);
  to.log_file = from.log_file;
  to.log_level = from.log_level;
  to.pid_file = from.pid_file;

  bool pool_given = false;
  for (const char* const name : {"MemPoolFactor", "MemPoolMinChunk", "MemPoolMaxChunk", "MemPoolPageSize"}) {
    pool_given = pool_given || flags.given(name);
  }
  if (pool_given) to.pool_bytes = pool;
  if (flags.given("MemPoolType")) to.notes.emplace_back("-MemPoolType has no effect: there is one kind of pool");
  for (const char* const side : {"Client", "Server"}) {
    if (flags.given(std::string(side) + "BufferSize")) {
      to.notes.push_back("-" + std::string(side) + "BufferSize has no effect: reads go into a buffer of the loop");
    }
    const SideFlags& its = *side == 'C' ? from.client : from.server;
    for (const char* const name : {"SnetEncrypt", "SnetBuffer", "SnetInitTimeout", "SnetWaitTimeout"}) {
      if (!its.snet && flags.given(std::string(side) + name)) {
        to.notes.push_back("-" + std::string(side) + name + " has no effect without -" + std::string(side) +
                           "SnetEnable");
      }
    }
  }
  if (from.client.snet && from.server.snet && from.client.snet_init_timeout != from.server.snet_init_timeout) {
    to.notes.push_back("the longer of -ClientSnetInitTimeout and -ServerSnetInitTimeout bounds both: " +
                       format_duration(init));
  }
  WAYPORT_TRY(to.validate());
  return to;
}

}  // namespace

Result<FlagSettings> read_flags(std::span<const std::string> arguments) {
  Variables variables;
  WAYPORT_TRY_ASSIGN(const GoFlags::Parsed parsed, variables.flags.parse(arguments));
  FlagSettings read;
  read.help = parsed.help;
  if (read.help) return read;
  if (parsed.rest < arguments.size()) {
    // The original ignores it, and with it every flag behind it.
    return invalid("\"" + escape(arguments[parsed.rest], 64) + "\" is no flag, and what follows it would be ignored");
  }
  for (const char* const name : {"ServerAuthKey", "ServerAuthPassword"}) {
    const std::vector<GoFlags::Place> places = variables.flags.places(name);
    read.secrets.insert(read.secrets.end(), places.begin(), places.end());
  }
  WAYPORT_TRY_ASSIGN(read.settings, settings_of(variables));
  return read;
}

std::string flag_usage() { return Variables().flags.usage(); }

}  // namespace wayport::gateway
