// Settings: the INTEROP_* variables of integration/CONTRACT.md, read and checked. Whatever is wrong with them is found here,
// before a word is printed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/teleport/version.h"
#include "wayport/transport/address.h"

namespace wayport::tools::interop {

enum class Role : std::uint8_t { server, client, link_server, link_client, stream_server, stream_client };

enum class Case : std::uint8_t {
  echo,
  large,
  concurrent,
  order,
  push,
  status,
  not_found,
  bad_body,
  query,
  back,
  limit,
  link_echo,
  link_max,
  link_many,
  link_unknown,
  link_close,
  link_key,
  link_dialed,
  stream,
  stream_half,
  stream_slow,
  stream_cut,
  route_refused,
};

struct Settings {
  static constexpr std::uint32_t kTimeoutSecondsMax = 24 * 60 * 60;
  static constexpr std::uint32_t kCountMax = 1'000'000;
  static constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 30;
  static constexpr std::size_t kKeyBytesMax = 64 * 1024;
  static constexpr std::uint32_t kMaxPacketMin = 13;  // as MaxPacket of the gateways
  static constexpr std::uint32_t kMaxPacketMax = 1u << 30;

  Role role = Role::client;
  Case what = Case::echo;
  transport::Address address;
  std::uint32_t seed = 0;
  Duration timeout{0};

  // Teleport.
  framing::PeerVersion version = framing::PeerVersion::v2_5;
  std::uint8_t codec = framing::kCodecJson;
  std::uint8_t header_codec = framing::kCodecJson;
  std::int32_t gzip = 0;

  // By case. There if the client of the case needs them.
  std::uint32_t count = 0;
  std::uint64_t bytes = 0;

  // Link.
  std::uint32_t id = 0;
  std::string key;
  std::uint32_t max_packet = 512 * 1024;
};

// nullptr: not set.
using Lookup = std::function<const char*(const char* name)>;

// Errors: unsupported (a role, case, transport or value that this program does not have: exit code 127), invalid_argument (a
// variable is missing, or is no value of its kind; names it).
Result<Settings> read_settings(const Lookup& lookup);

// Certificates of the run, where the address needs them and names none. `directory`: "/certs".
void add_certificates(transport::Address& address, bool listening, std::string_view directory);

bool has_layer(const transport::Address& address, std::string_view layer) noexcept;

std::string_view to_string(Case what) noexcept;

}  // namespace wayport::tools::interop
