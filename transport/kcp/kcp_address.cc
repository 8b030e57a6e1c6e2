#include "wayport/transport/kcp/kcp_address.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <utility>

#include "wayport/transport/kcp/kcp_random.h"
#include "wayport/transport/parameters.h"

namespace wayport::transport::kcp {
namespace {

constexpr std::size_t kSecretBytesMax = 4096;

std::optional<std::uint64_t> whole_number(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

// Sets `to` if the key is there.
template <class T>
Result<void> read_number(const Address& address, std::string_view key, std::uint64_t least, std::uint64_t most, T& to) {
  const std::string* const text = address.parameter(key);
  if (text == nullptr) return {};
  const std::optional<std::uint64_t> number = whole_number(*text);
  if (!number || *number < least || *number > most)
    return bad_parameter(address, key, "is not a number from " + std::to_string(least) + " to " + std::to_string(most));
  to = static_cast<T>(*number);
  return {};
}
Result<void> read_bool(const Address& address, std::string_view key, bool& to) {
  WAYPORT_TRY_ASSIGN(const auto value, bool_parameter(address, key));
  to = value.value_or(to);
  return {};
}
Result<void> read_duration(const Address& address, std::string_view key, Duration& to) {
  WAYPORT_TRY_ASSIGN(const auto value, duration_parameter(address, key));
  to = value.value_or(to);
  return {};
}
Result<void> read_bytes(const Address& address, std::string_view key, std::size_t least, std::size_t most,
                        std::size_t& to) {
  WAYPORT_TRY_ASSIGN(const auto value, bytes_parameter(address, key));
  if (!value) return {};
  if (*value < least || *value > most)
    return bad_parameter(address, key, "is outside " + format_bytes(least) + " to " + format_bytes(most));
  to = *value;
  return {};
}

Result<void> read_profile(const Address& address, KcpOptions& options) {
  if (const std::string* const mode = address.parameter("mode")) {
    if (*mode == "normal") {
      options.set_nodelay(false, 40, 2, true);
    } else if (*mode == "fast") {
      options.set_nodelay(false, 30, 2, true);
    } else if (*mode == "fast2") {
      options.set_nodelay(true, 20, 2, true);
    } else if (*mode == "fast3") {
      options.set_nodelay(true, 10, 2, true);
    } else {
      return bad_parameter(address, "mode", "is none of normal, fast, fast2, fast3");
    }
  }
  WAYPORT_TRY(read_bool(address, "nodelay", options.nodelay));
  WAYPORT_TRY(read_duration(address, "interval", options.interval));
  if (options.interval < std::chrono::milliseconds(10) || options.interval > std::chrono::seconds(5))
    return bad_parameter(address, "interval", "is outside 10ms to 5s");
  WAYPORT_TRY(read_number(address, "resend", 0, 65535, options.resend));
  WAYPORT_TRY_ASSIGN(const auto nc, bool_parameter(address, "nc"));
  if (nc) options.congestion = *nc ? Congestion::none : Congestion::original;
  if (const std::string* const name = address.parameter("congestion")) {
    if (nc) return bad_parameter(address, "congestion", "and nc say the same thing: give one");
    if (*name == "none") {
      options.congestion = Congestion::none;
    } else if (*name == "original") {
      options.congestion = Congestion::original;
    } else if (*name == "paced") {
      options.congestion = Congestion::paced;
    } else {
      return bad_parameter(address, "congestion", "is none of none, original, paced");
    }
  }
  return {};
}

Result<void> read_fec(const Address& address, KcpOptions& options) {
  const std::string* const text = address.parameter("fec");
  if (text == nullptr) return {};
  const std::size_t comma = text->find(',');
  if (comma == std::string::npos) return bad_parameter(address, "fec", "is not DATA,PARITY such as 10,3");
  const auto data = whole_number(std::string_view(*text).substr(0, comma));
  const auto parity = whole_number(std::string_view(*text).substr(comma + 1));
  const bool none = data == 0 && parity == 0;
  if (!data || !parity ||
      (!none && (*data == 0 || *parity == 0 || *data > 255 || *parity > 255 || *data + *parity > 256)))
    return bad_parameter(address, "fec",
                         "is not DATA,PARITY such as 10,3: both at least 1 and together at most 256, or 0,0");
  options.fec_data = static_cast<std::uint32_t>(*data);
  options.fec_parity = static_cast<std::uint32_t>(*parity);
  return {};
}

Result<std::string> read_secret_file(const Address& address, std::string_view key) {
  const std::string& path = *address.parameter(key);
  std::FILE* const file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    Error error = system_error(errno, address.scheme() + " address: " + std::string(key) + "=" + escape(path, 64));
    return fail(std::move(error));
  }
  std::string text(kSecretBytesMax + 1, '\0');
  const std::size_t size = std::fread(text.data(), 1, text.size(), file);
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed)
    return fail(ErrorCode::io, address.scheme() + " address: cannot read " + std::string(key) + "=" + escape(path, 64));
  if (size > kSecretBytesMax) return bad_parameter(address, key, "is a file of more than 4096 bytes");
  text.resize(size);
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

// Which of the four ways to give a key was taken; names no secret in errors.
Result<std::string> read_key(const Address& address, const CipherFacts& cipher) {
  const auto refuse = [&address](std::string_view key, const std::string& why) {
    return fail(ErrorCode::invalid_argument, address.scheme() + " address: " + std::string(key) + " " + why);
  };
  std::string_view given;
  for (const std::string_view key : {"key", "key_file", "password", "password_file"}) {
    if (address.parameter(key) == nullptr) continue;
    if (!given.empty()) return refuse(key, "and " + std::string(given) + " both give the key: give one");
    given = key;
  }
  if (given.empty()) {
    if (cipher.name == "none") return std::string();
    return refuse("crypt=" + std::string(cipher.name), "needs key, key_file, password or password_file (a key of " +
                                                           std::to_string(cipher.key_bytes) + " bytes, as hex)");
  }
  std::string text;
  if (given.ends_with("_file")) {
    WAYPORT_TRY_ASSIGN(text, read_secret_file(address, given));
  } else {
    text = *address.parameter(given);
  }
  if (given.starts_with("password")) {
    if (text.empty()) return refuse(given, "is empty");
    return derive_key(text, "kcp-go", 4096, 32).substr(0, cipher.name == "none" ? 32 : cipher.key_bytes);
  }
  std::optional<std::string> key = from_hex(text);
  if (!key) return refuse(given, "is not a row of pairs of hex digits");
  if (cipher.name != "none" && key->size() != cipher.key_bytes)
    return refuse(given, "holds " + std::to_string(key->size()) + " bytes; " + std::string(cipher.name) + " needs " +
                             std::to_string(cipher.key_bytes));
  return *std::move(key);
}

}  // namespace

#define WAYPORT_KCP_COMMON_KEYS                                                                                     \
  "crypt", "key", "key_file", "password", "password_file", "fec", "mode", "nodelay", "interval", "resend", "nc",    \
      "congestion", "mtu", "sndwnd", "rcvwnd", "ack_nodelay", "stream", "write_delay", "dead_link", "idle_timeout", \
      "extension", "keepalive", "liveness_timeout", "send_bytes", "sndbuf", "rcvbuf", "offload"

Result<KcpAddress> KcpAddress::read(const Address& address) {
  KcpAddress kcp;
  KcpOptions options;
  WAYPORT_TRY(read_profile(address, options));
  WAYPORT_TRY(read_fec(address, options));
  WAYPORT_TRY(read_number(address, "mtu", 128, 1500, options.mtu));
  WAYPORT_TRY(read_number(address, "sndwnd", 1, 65535, options.send_window));
  WAYPORT_TRY(read_number(address, "rcvwnd", 1, 65535, options.receive_window));
  WAYPORT_TRY(read_bool(address, "ack_nodelay", options.ack_nodelay));
  WAYPORT_TRY(read_bool(address, "stream", options.stream_mode));
  WAYPORT_TRY(read_bool(address, "write_delay", options.write_delay));
  WAYPORT_TRY(read_number(address, "dead_link", 2, 1000, options.dead_link));
  WAYPORT_TRY(read_duration(address, "idle_timeout", options.idle_timeout));
  bool extension = false;
  WAYPORT_TRY(read_bool(address, "extension", extension));
  options.extension = extension ? ExtensionWish::ask : ExtensionWish::off;
  WAYPORT_TRY(read_duration(address, "keepalive", options.keepalive));
  WAYPORT_TRY(read_duration(address, "liveness_timeout", options.liveness_timeout));
  options.stream_reads = true;
  // Full windows of large segments; what more is written waits in the stream's chain.
  options.send_bytes_max =
      std::clamp<std::size_t>(2 * std::size_t{options.send_window} * options.mtu, 64 * 1024, 16u << 20);
  WAYPORT_TRY(read_bytes(address, "send_bytes", 4096, 1u << 30, options.send_bytes_max));
  options.send_segments_max = std::max<std::size_t>(options.send_segments_max, 2 * std::size_t{options.send_window});
  WAYPORT_TRY(options.check());

  constexpr auto kKernelMax = static_cast<std::size_t>(std::numeric_limits<int>::max() / 2);
  WAYPORT_TRY(read_bytes(address, "sndbuf", 1, kKernelMax, kcp.udp.sndbuf));
  WAYPORT_TRY(read_bytes(address, "rcvbuf", 1, kKernelMax, kcp.udp.rcvbuf));
  WAYPORT_TRY(read_bool(address, "offload", kcp.udp.offload));

  if (const std::string* const name = address.parameter("crypt")) {
    const Result<CipherFacts> facts = cipher_facts(*name);
    if (!facts) return bad_parameter(address, "crypt", "cannot be used: " + facts.error().detail);
    kcp.crypt = facts->name;
    kcp.cipher_warning = facts->warning;
    WAYPORT_TRY_ASSIGN(kcp.key_, read_key(address, *facts));
    WAYPORT_TRY(make_cipher(kcp.crypt, as_bytes(kcp.key_), PacketCipher::Seed{}));
  } else {
    for (const std::string_view key : {"key", "key_file", "password", "password_file"}) {
      if (address.parameter(key) != nullptr)
        return fail(ErrorCode::invalid_argument,
                    address.scheme() + " address: " + std::string(key) + " needs crypt=, the cipher that it is for");
    }
  }
  kcp.session = std::make_shared<const KcpOptions>(options);
  return kcp;
}

Result<KcpAddress> KcpAddress::for_dial(const Address& address) {
  WAYPORT_TRY(address.check_parameters({WAYPORT_KCP_COMMON_KEYS}));
  return read(address);
}

Result<KcpAddress> KcpAddress::for_listen(const Address& address) {
  WAYPORT_TRY(address.check_parameters({WAYPORT_KCP_COMMON_KEYS, "sessions", "half_open", "backlog", "opener_burst",
                                        "opener_rate", "replace", "follow_moves", "reuseport", "v6only"}));
  WAYPORT_TRY_ASSIGN(KcpAddress kcp, read(address));
  WAYPORT_TRY(read_number(address, "sessions", 1, 1u << 24, kcp.table.sessions_max));
  WAYPORT_TRY(read_number(address, "half_open", 1, 1u << 24, kcp.table.half_open_max));
  WAYPORT_TRY(read_number(address, "backlog", 1, 1u << 24, kcp.table.backlog_max));
  WAYPORT_TRY(read_number(address, "opener_burst", 1, 1u << 24, kcp.table.prefix_burst));
  WAYPORT_TRY(read_number(address, "opener_rate", 0, 1u << 24, kcp.table.prefix_rate));
  if (const std::string* const replace = address.parameter("replace")) {
    if (*replace == "never") {
      kcp.table.replace = KcpTableOptions::Replace::never;
    } else if (*replace == "when_silent") {
      kcp.table.replace = KcpTableOptions::Replace::when_silent;
    } else if (*replace == "push_zero") {
      kcp.table.replace = KcpTableOptions::Replace::push_zero;
    } else {
      return bad_parameter(address, "replace", "is none of never, when_silent, push_zero");
    }
  }
  WAYPORT_TRY(read_bool(address, "follow_moves", kcp.table.follow_moves));
  WAYPORT_TRY(read_bool(address, "reuseport", kcp.udp.reuse_port));
  WAYPORT_TRY(read_bool(address, "v6only", kcp.udp.v6only));
  return kcp;
}

#undef WAYPORT_KCP_COMMON_KEYS

std::unique_ptr<PacketCipher> KcpAddress::new_cipher() const {
  if (crypt.empty()) return nullptr;
  PacketCipher::Seed seed;
  random_bytes(seed);
  Result<std::unique_ptr<PacketCipher>> cipher = make_cipher(crypt, as_bytes(key_), seed);
  WAYPORT_ASSERT(cipher.has_value(), "read() has made one like it");
  return *std::move(cipher);
}

std::unique_ptr<ReedSolomon> KcpAddress::new_code() const {
  if (session->fec_data == 0) return nullptr;
  Result<std::unique_ptr<ReedSolomon>> code = ReedSolomon::make(session->fec_data, session->fec_parity);
  WAYPORT_ASSERT(code.has_value(), "KcpOptions::check() has passed");
  return *std::move(code);
}

}  // namespace wayport::transport::kcp
