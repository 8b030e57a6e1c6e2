// The seam everything hangs on: an ordered byte stream with callbacks on one loop. Sessions, links and the next layer
// up (TLS over TCP) consume it; every transport implements it; nothing above knows more than this.
//
// Reading: bytes are pushed from a buffer that the loop owns. The consumer returns how many it consumed; the rest is
// kept by the stream (at most kUnconsumedBytesMax) and shown again, contiguous, with what comes next. Writing: write()
// takes a whole chain, never blocks, never calls back from inside; everything written in a turn leaves in one gathered
// write at its end. queued() tells what has not left yet; above `queue_bytes_max` the stream closes with `overloaded`,
// so a consumer that may be faced with a slow peer watches Pressure.
//
// Threads: everything on loop()'s thread. Lifetime: held by unique_ptr. Dropping it aborts without callbacks and is
// allowed from inside a callback (drop_watch.h is how implementations notice). An idle stream owns no buffer,
// coroutine, Asio object or timer.
//
// The end: after close() nothing but on_closed() is called. When both directions have ended in order (on_read_end() and
// our shutdown_write() sent) the stream closes by itself, with peer_closed.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"

namespace wayport::transport {

// What a consumer may leave unconsumed while reading is on; more means it does not make progress, and the stream closes
// (`internal`). A consumer of larger units takes bytes piecewise. One that turned reading off inside on_bytes may leave
// any part of what it was shown.
inline constexpr std::size_t kUnconsumedBytesMax = 64 * 1024;

enum class Pressure : std::uint8_t {
  none,  // below high water
  high,  // above high water: stop producing until on_writable()
};

using wayport::CloseReason;

// How close() treats bytes that are queued.
struct Linger {
  Duration time{0};  // zero: abort at once. Else drain the queue for at most this long, then close.
};

struct TlsPeer {
  std::string protocol;     // "TLSv1.3"
  std::string cipher;       // IANA name
  std::string alpn;         // empty: none agreed
  std::string server_name;  // SNI that the client asked for
  bool verified = false;    // a certificate was presented and its chain and name verified
  bool resumed = false;
  std::string subject;             // RFC 2253; empty without a certificate
  std::string subject_alt_names;   // "DNS:a, IP Address:1.2.3.4", printed order
  std::string fingerprint_sha256;  // lower-case hex of the DER certificate
};
struct UnixPeer {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

// What the client of an HTTP upgrade (websocket) asked for, in its words: all of it is the peer's, and unescaped.
struct HttpRequest {
  std::string target;                                        // "/chat?room=1"
  std::string host;                                          // the Host header
  std::string subprotocol;                                   // the one that was agreed; empty: none
  std::vector<std::pair<std::string, std::string>> headers;  // in order; the transport bounds them

  std::string_view path() const noexcept;  // "/chat"
  // The first of that name, whatever its letter case; nullptr: none.
  const std::string* header(std::string_view name) const noexcept;
  // The first such parameter, percent-decoded ("+" is a plus); nullopt: none, or not decodable.
  std::optional<std::string> query(std::string_view key) const;
};

// Who is on the other end. Addresses are printed on demand; an idle plain connection keeps only two raw addresses.
struct PeerInfo {
  SocketAddress remote;
  SocketAddress local;
  std::unique_ptr<const TlsPeer> tls;       // set once the handshake is done
  std::optional<UnixPeer> unix_peer;        // kernel-checked credentials
  std::unique_ptr<const HttpRequest> http;  // websocket: what was asked for (of a dialed one, by us)
  const char* scheme = "tcp";               // static text

  std::string remote_url() const;  // "tcp://10.0.0.1:50112", "unix://@name", "unix://?pid=7&uid=0", "tls://..."
  std::string local_url() const;
};

// The consumer of a stream. Calls come on the stream's loop, never from inside one of the consumer's own calls.
class StreamEvents {
 public:
  // Returns how many bytes from the front were consumed. The span is writable scratch space and lives until return.
  // `message_end`: the last byte ends a message of a message transport (websocket, link); false on byte streams.
  virtual std::size_t on_bytes(MutableBytes bytes, bool message_end) = 0;
  virtual void on_writable() = 0;  // queued() fell below low water after Pressure::high was returned
  virtual void on_read_end() = 0;  // the peer's end; writing still works. Bytes left unconsumed stay so for ever.
  // Exactly once, last. Never from inside one of the consumer's own calls. The stream may be dropped here or later.
  virtual void on_closed(const CloseReason& reason) = 0;

 protected:
  ~StreamEvents() = default;
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Once, before anything else, by the consumer; reading is on from then. `events` outlives the stream.
  virtual void start(StreamEvents& events) = 0;
  // False stops on_bytes (and the kernel's window closes); true shows unconsumed bytes again, then reads on.
  virtual void read(bool on) = 0;
  // Takes all of `chain`. After shutdown_write() or a close the bytes are dropped.
  virtual Pressure write(Chain&& chain, bool message_end = false) = 0;
  virtual std::size_t queued() const noexcept = 0;  // bytes not yet given to the kernel or the lower layer
  // Sends the end of the stream after what is queued.
  virtual void shutdown_write() = 0;
  // False: nothing tells the peer of our end, and the stream closes, in order, once that was reached (kcp, unless both ends
  // have its extension).
  virtual bool half_closes() const noexcept { return true; }
  // on_closed(reason) follows at turn end, or when the drain is done or its time is over. Later calls may only shorten.
  // A drain is done when the peer has everything: the queue was sent, then our end, and the peer's end has come (what
  // it sends meanwhile is dropped; a plain kernel close with unread bytes would reset the connection and lose ours).
  virtual void close(CloseReason reason, Linger linger = {}) = 0;
  // The plain kernel socket, given away when nothing is buffered in either direction and the stack is a bare socket;
  // the stream is dead afterwards (no callback). nullopt otherwise, and nothing changed.
  virtual std::optional<Fd> detach() { return std::nullopt; }
  // Replaces the consumer; used when a handshake hands over to a session. Unconsumed bytes are shown to the new one,
  // and a read end that was already told is told again.
  virtual void replace_events(StreamEvents& events) = 0;
  // For a consumer that finds the path dead before the kernel does (a ping unanswered): a stream that survives the loss
  // of its connection (snet) drops it, and dials again at once (if it was dialed) or waits for its peer as after any loss.
  // False: this one does not, and nothing changed.
  virtual bool reconnect_now() { return false; }
  virtual const PeerInfo& peer() const noexcept = 0;
  virtual Loop& loop() const noexcept = 0;
  // The depth of loop().scratch() in which on_bytes() shows its bytes. A layer that shows bytes of its own uses the
  // next.
  virtual unsigned scratch_depth() const noexcept { return 0; }

 protected:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

// Bounds of every stream; a stack passes them to each of its layers.
struct StreamOptions {
  std::size_t high_water_bytes = 256 * 1024;        // Pressure::high from here on
  std::size_t low_water_bytes = 64 * 1024;          // on_writable() from here down
  std::size_t queue_bytes_max = 128 * 1024 * 1024;  // hard bound: the stream closes with `overloaded`
};

}  // namespace wayport::transport
