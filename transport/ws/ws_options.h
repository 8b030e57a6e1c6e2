// What a ws or wss address says. Parameters that are not websocket's own belong to the layers below.
//
// Both sides:
//   message=1MiB      message_bytes_max: of a message that is received; above close code 1009
//   head=16KiB        header_bytes_max: of the peer's whole HTTP head; above 431 (at most 60KiB). One header's value may
//                     have 4096 bytes (kHeaderValueBytesMax); above 400
//   text=0            1: text messages are taken as well, their UTF-8 checked (else 1003, else 1007)
//   messages=0        1: messages are kept as they are: what is written ends one only with message_end, and empty
//                     messages are shown. 0: a byte stream; each turn's output leaves as messages of up to 64 KiB, and
//                     message_end ends one as well
//   ping=30s          after that long without a byte from the peer it is asked whether it lives (0: never)
//   ping_timeout=20s  then it has so long to send something, from when the ping has left our queue; else the stream
//                     closes with timed_out
//   close_wait=10s    after the peer's Close frame: how long our side may let nothing leave before it ends
// Dialing:
//   protocol=NAME     sub-protocol to offer, best first; may be repeated
//   origin=ORIGIN     the Origin header; none by default
//   header=NAME:VALUE another header; may be repeated. Not shown in logs
//   query=TEXT        what follows "?" in the request's target; not shown in logs
//   host=HOST[:PORT]  the Host header, if not the address's
//   target=/PATH      the request's path, where the address has none of its own (unix); else its path
// Listening:
//   protocol=NAME     sub-protocol to agree to, best first; "NAME*" agrees to all that begin so. May be repeated. Clients
//                     that offer only others get 400; those that offer none are taken
//   origin=ORIGIN     browsers' pages that may connect, such as https://example.org; may be repeated; "*": all. By
//                     default those of the Host that the request names. Clients that send no Origin are taken
//   target=/PATH      the only path that is served (else 404), if the address has none of its own; by default all
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/time.h"
#include "wayport/transport/address.h"

namespace wayport::transport {

struct WsOptions {
  static constexpr std::size_t kHeaderValueBytesMax = 4096;
  static constexpr std::size_t kHeaderBytesLargest = 60 * 1024;  // a head waits unconsumed in the lower stream

  std::size_t message_bytes_max = 1024 * 1024;
  std::size_t header_bytes_max = 16 * 1024;
  bool text = false;
  bool messages = false;
  Duration ping = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(20);
  Duration close_wait = std::chrono::seconds(10);

  std::vector<std::string> protocols{};
  std::vector<std::string> origins{};  // dialing: none or one
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string target{};  // with the query; listening: a path, or empty
  std::string host{};    // dialing
  bool secure = false;   // wss

  static Result<WsOptions> for_dial(const Address& address);
  static Result<WsOptions> for_listen(const Address& address);
  // The address of the layer below: tcp under ws, tls under wss. A port that is not given is 80 or 443, when dialing.
  static Result<Address> below(const Address& address, bool dialing);
};

}  // namespace wayport::transport
