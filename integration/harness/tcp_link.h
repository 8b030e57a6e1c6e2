// TcpLink: a forwarder of TCP connections between a test's clients and a server, that can be slow, stalled and cut. Needs no
// privilege.
//
//   auto link = *TcpLink::start("127.0.0.1", server_port, {.both = "delay=20ms rate=10Mbit"});
//   dial("tcp://127.0.0.1:" + std::to_string(link->port()));
//   link->stall();      // nothing moves, connections stay: as when packets are lost and nobody has noticed yet
//   link->resume();
//   link->cut();        // connections are reset at both ends, and so are new ones
//   link->restore();
//
// Of the words in integration/emulator/README.md delay, jitter, rate and perfect have a meaning here: what TCP hides, a
// forwarder cannot show. Bytes are never lost or changed but by a cut. An end travels through the link behind the bytes
// before it; a reset does not wait for them. Bounded: connections_max, and kBufferedBytesMax for each direction of each
// connection, at which it reads no more. Times are kept to 2 ms. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::harness {

struct TcpLinkOptions {
  std::string both{};  // words for both directions
  std::string up{};    // besides, for what goes to the target
  std::string down{};  // and for what comes from it
  std::uint64_t seed = 1;
  std::size_t connections_max = 256;  // more are reset
};

class TcpLink {
 public:
  enum class Way : std::uint8_t { up, down, both };
  static constexpr std::size_t kBufferedBytesMax = 256 * 1024;

  // `ip` and `port` of the target; the link listens at 127.0.0.1 or ::1, as the target's family is.
  static Result<std::unique_ptr<TcpLink>> start(const std::string& ip, std::uint16_t port,
                                                const TcpLinkOptions& options = {});
  ~TcpLink();  // resets what is left
  TcpLink(const TcpLink&) = delete;
  TcpLink& operator=(const TcpLink&) = delete;

  std::uint16_t port() const noexcept;
  // Changes what the words say, and keeps the rest.
  Result<void> set(Way way, std::string_view words);
  void stall();
  void resume();
  void cut();
  void restore();

  std::size_t connections() const;
  // That came out of the link, of one way.
  std::uint64_t bytes(Way way) const;

 private:
  struct Implementation;
  explicit TcpLink(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport::harness
