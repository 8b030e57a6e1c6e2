// What each command was asked to do: plain values, made by cli.h from the command line, or by tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/time.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/protocol.h"
#include "wayport/framing/teleport/version.h"
#include "wayport/tools/wayport/load/load_options.h"
#include "wayport/tools/wayport/packets/packet_input.h"

namespace wayport::tools {

// How packets are read and written, on whichever side.
struct WireOptions {
  framing::PeerVersion version = framing::PeerVersion::v2_5;
  framing::ReadLimits limits{};
  std::uint8_t header_codec = framing::kCodecJson;
};

struct ServeOptions {
  std::vector<std::string> listen;
  std::vector<framing::PeerVersion> versions;  // none: as `wire` says; one: for all; else one per address
  WireOptions wire{};
  Duration read_timeout{0};
  std::optional<Duration> close_timeout{};            // nullopt: drain_timeout
  Duration drain_timeout = std::chrono::seconds(15);  // negative: no bound
  bool json = false;
};

// Where the body of a call comes from.
struct BodyOptions {
  std::optional<std::string> source{};  // TEXT, @FILE or -; nullopt: no body
  bool raw = false;                     // the bytes as they are, the first one is the codec id
  std::uint8_t codec = framing::kCodecJson;
  std::int32_t gzip = 0;
};

// call and push.
struct CallOptions {
  std::string url;
  std::string path;
  WireOptions wire{};
  BodyOptions body{};
  Duration timeout = std::chrono::seconds(5);
  bool json = false;
};
struct PushOptions : CallOptions {};

struct ListenOptions {
  std::string url;
  WireOptions wire{};
  Duration timeout = std::chrono::seconds(5);  // of the dial
  bool json = false;
};

struct PipeOptions {
  std::string url;
  Duration timeout = std::chrono::seconds(5);  // of the dial
  Duration quiet{0};                           // ends so long after the input if nothing comes; 0: the peer ends
};

struct RouteExplainOptions {
  std::string config;
  std::string identify;  // "-": standard input
  std::string route{};   // its name; empty: all
  bool gogateway = false;
  bool allow_any_target = false;
  bool lookup = false;
  bool json = false;
  Duration timeout = std::chrono::seconds(10);
};

struct DecodeOptions {
  std::string file = "-";
  std::optional<CaptureForm> form{};  // nullopt: what it looks like
  framing::ReadLimits limits{};
  std::vector<std::uint16_t> ports{};  // of TCP connections in a capture; none: all
  bool json = false;
};

// What to be stands in the environment (integration/CONTRACT.md).
struct InteropOptions {
  enum class Broken : std::uint8_t { no, status, frame };
  Broken broken = Broken::no;  // a promise that is not kept: shows that a suite can fail
};

// Its arguments are its own business.
struct BenchOptions {
  std::vector<std::string> arguments;
};

struct GlobalOptions {
  std::optional<LogLevel> log_level{};  // none: errors only, for a command tells its own
  unsigned loops = 1;                   // 0: one per core
};

struct Invocation {
  GlobalOptions global{};
  std::variant<ServeOptions, CallOptions, PushOptions, ListenOptions, PipeOptions, RouteExplainOptions, DecodeOptions,
               InteropOptions, LoadServeOptions, LoadRunOptions, BenchOptions>
      command;
};

}  // namespace wayport::tools
