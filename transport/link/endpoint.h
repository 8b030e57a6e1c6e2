// Endpoint: a client or server of a link gateway, on any stream (spec/link.md). It dials virtual connections, and takes
// those that the other side dials.
//
//   Endpoint endpoint(std::move(stream), EndpointIdentity::as_server(42, key), {}, events);
//   auto dial = endpoint.dial(client_id, 5s, [](Result<std::unique_ptr<VirtualConnection>> made) { ... });
//
// A VirtualConnection is a message channel: one send() is exactly one frame, and one on_message() of the other end.
// Messages of one arrive in the order of sending; there is no order between two. VirtualStream (virtual_stream.h) makes
// it a byte stream, typed.h carries values of a Codec, channel_co.h is for coroutines. Whoever only wants to dial or
// listen by address uses LinkTransport (link_transport.h).
//
// Threads: everything on the stream's loop, and nothing calls back from inside a call. Virtual connections outlive the
// Endpoint: the physical connection closes, after its output has left, when both are gone. Bounds: EndpointOptions.
#pragma once

#include <functional>
#include <memory>

#include "wayport/transport/link/endpoint_core.h"
#include "wayport/transport/stream.h"

namespace wayport::link {

using transport::Linger;
using transport::Pressure;
using transport::Stream;

class EndpointDriver;

// The consumer of a virtual connection. May drop it in any of its calls.
class VirtualEvents {
 public:
  // Exactly what one send() of the other end took, also if that was nothing. Lives until return.
  virtual void on_message(MutableBytes message) = 0;
  virtual void on_writable() {}  // there is room again, after Pressure::high or a refused send()
  // Exactly once, last, when everything that was received has been read. peer_closed: the other end closed, or is gone,
  // or the gateway closed for one of its bounds; the protocol does not tell which.
  virtual void on_closed(const CloseReason& reason) = 0;

 protected:
  ~VirtualEvents() = default;
};

class VirtualConnection {
 public:
  // Closes at once: what is unsent is dropped.
  ~VirtualConnection();
  VirtualConnection(const VirtualConnection&) = delete;
  VirtualConnection& operator=(const VirtualConnection&) = delete;

  std::uint32_t id() const noexcept;         // connection id, the same at both ends
  std::uint32_t remote_id() const noexcept;  // the other end's server id, or its client id if we are a server

  // Once; reading is on from then. What came before was kept.
  void start(VirtualEvents& events);
  void replace_events(VirtualEvents& events) noexcept { events_ = &events; }
  // Off: messages wait here, within EndpointOptions::virtual_receive.
  void read(bool on);

  // One frame, at the end of this turn. Pressure::high: on_writable() follows; what still is sent may meet the bound.
  // Errors: too_large (more than payload_bytes_max(); nothing was sent), overloaded (virtual_send or send: as
  // send_policy says), peer_closed and local_closed (nothing was sent, on_closed() says why).
  Result<Pressure> send(Chain&& message);
  Result<Pressure> send(Bytes message);
  // Whether send() would take so many bytes now. If not, on_writable() follows.
  bool has_room(std::size_t message_bytes);
  std::size_t message_bytes_max() const noexcept;
  std::size_t unsent_bytes() const noexcept;
  std::size_t unread_bytes() const noexcept;

  // on_closed(reason) follows at turn end; with a linger when what is unsent has left and the gateway has answered, or
  // when its time is over.
  void close(CloseReason reason, Linger linger = {});

  const transport::PeerInfo& peer() const noexcept;  // of the physical connection: the gateway
  Loop& loop() const noexcept;
  // In which messages are shown; those above 256 KiB are in a buffer of their own for the time of the call.
  unsigned scratch_depth() const noexcept;

 private:
  friend class EndpointDriver;
  struct Drain;

  VirtualConnection(std::shared_ptr<EndpointDriver> driver, std::unique_ptr<Channel> channel);

  const std::shared_ptr<EndpointDriver> driver_;
  const std::unique_ptr<Channel> channel_;
  VirtualEvents* events_ = nullptr;
  std::unique_ptr<Drain> drain_;
};

class Endpoint;

// The owner of an endpoint. May drop it in any of its calls.
class EndpointEvents {
 public:
  // A server: the gateway took our key. (A client needs none; it is not called.)
  virtual void on_ready() {}
  // The other side dialed us. Dropping it closes it.
  virtual void on_connected(std::unique_ptr<VirtualConnection> connection) = 0;
  // The gateway did not answer a ping, and the stream below does not reconnect (Stream::reconnect_now() was tried
  // first), or did, and nothing came for reconnect_timeout. False: close. True: go on, and ping again.
  virtual bool on_ping_timeout() { return false; }
  // Exactly once, last: the physical connection has ended. Virtual connections hear of it by themselves.
  virtual void on_closed(const CloseReason& reason) = 0;

 protected:
  ~EndpointEvents() = default;
};

// A dial in progress. Destroying it cancels; the callback is then never called, and what the gateway still makes of it
// is closed.
class VirtualDial {
 public:
  virtual ~VirtualDial() = default;
};
using OnVirtual = std::move_only_function<void(Result<std::unique_ptr<VirtualConnection>>)>;

class Endpoint {
 public:
  // `stream` is not started; its handshakes are done. REQUIRES: options.validate(). A server first waits for the
  // gateway's challenge; it may dial at once all the same.
  Endpoint(std::unique_ptr<Stream> stream, EndpointIdentity identity, const EndpointOptions& options,
           EndpointEvents& events);
  // From now on what the other side dials is closed; virtual connections and nothing else live on.
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // To a server if we are a client, and the other way round. Calls back once, never from inside, unless the result is
  // destroyed. `timeout` zero or less: none. Errors: refused (nobody has the id, or the gateway has no room), timed_out,
  // overloaded (dials_max, virtual_max), and why the physical connection ended.
  std::unique_ptr<VirtualDial> dial(std::uint32_t remote, Duration timeout, OnVirtual on_done);
  // on_closed() follows, of all virtual connections, too.
  void close(CloseReason reason, Linger linger = {});

  bool ready() const noexcept;   // a server: authenticated
  bool closed() const noexcept;  // nothing can be dialed any more
  std::size_t virtual_count() const noexcept;
  const EndpointCounters& counters() const noexcept;
  Loop& loop() const noexcept;

 private:
  const std::shared_ptr<EndpointDriver> driver_;
};

}  // namespace wayport::link
