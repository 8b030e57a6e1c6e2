// How streams come to be: dialers, listeners, and the table from scheme to factory that composes stacks of them.
//
// The table is built in main and handed to peers and gateways; default_transports() (default_transports.h) has
// everything this build knows. There is no static registration. All calls and callbacks on the loop that is named.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/transport/address.h"
#include "wayport/transport/stream.h"

namespace wayport::transport {

class InheritedSockets;

struct DialOptions {
  Duration timeout = std::chrono::seconds(10);  // name resolution, connect and handshakes together; zero or less: none
  StreamOptions stream{};
};

// A dial in progress. Destroying it cancels; the callback is then never called.
class Dial {
 public:
  virtual ~Dial() = default;
};
using OnDialed = std::move_only_function<void(Result<std::unique_ptr<Stream>>)>;

// A dial that fails with `error` at turn end: how implementations report what they know at once.
std::unique_ptr<Dial> failed_dial(Loop& loop, Error error, OnDialed on_done);

class Dialer {
 public:
  virtual ~Dialer() = default;
  // Calls `on_done` exactly once on `loop`, never from inside this call, unless the returned object is destroyed first.
  // Errors: timed_out, refused, unreachable, not_found (name), invalid_argument, malformed (handshake), unsupported.
  virtual std::unique_ptr<Dial> dial(Loop& loop, const Address& address, const DialOptions& options,
                                     OnDialed on_done) = 0;
};

// What ListenOptions::admit gives a connection. Destroying it gives the place back; any loop's thread.
class ConnectionPlace {
 public:
  virtual ~ConnectionPlace() = default;
};

// A connection that is about to exist. Destroying it undecided rejects it.
class Incoming {
 public:
  virtual ~Incoming() = default;
  virtual const PeerInfo& peer() const noexcept = 0;
  // The stream, on the loop that on_incoming ran on. A transport that upgrades (websocket, TLS) has finished by then,
  // or does so inside the stream.
  virtual std::unique_ptr<Stream> accept() = 0;
  virtual void reject(const Error& why) = 0;
  // The place that it was admitted to before its handshake, to be kept by whoever decides; else it is given back with
  // this object. Once. nullptr: nobody was asked.
  virtual std::unique_ptr<ConnectionPlace> take_place() { return nullptr; }
  // When its first handshake began. nullopt: there was none.
  virtual std::optional<TimePoint> handshake_began() const noexcept { return std::nullopt; }
};
// Runs on the loop to which the connection was handed.
using OnIncoming = std::function<void(std::unique_ptr<Incoming>)>;

// What a listener and its layers count; added to from every loop it hands connections to.
struct ListenerCounters {
  std::atomic<std::uint64_t> accepted{0};            // taken from the kernel
  std::atomic<std::uint64_t> exhausted{0};           // accepts that found no descriptor or memory
  std::atomic<std::uint64_t> handshakes_refused{0};  // over handshakes_max, or not admitted
  std::atomic<std::uint64_t> handshakes_failed{0};   // malformed, refused, timed out
};

struct ListenOptions {
  StreamOptions stream{};
  int backlog = 4096;
  // Of connections accepted, those whose handshake is not done: for each listener, and each of its layers.
  std::size_t handshakes_max = 10'000;
  // For all layers together (tls, and a websocket over it), from the first handshake's beginning. Zero or less: none.
  Duration handshake_timeout = std::chrono::seconds(10);
  // Asked by tls and ws before a handshake begins, on the connection's loop, unless the layer below has asked: an error
  // refuses the connection, a place is held during handshakes and then goes with the Incoming. Empty, or a null place:
  // let in. So whoever bounds connections of one address has it bounded in handshakes, too.
  using Admit = std::function<Result<std::unique_ptr<ConnectionPlace>>(const SocketAddress& remote)>;
  Admit admit{};
  // Accepted connections are handed out to these loops in turn; empty: they stay on the listener's loop.
  std::vector<Loop*> loops{};
  Log* log = nullptr;                    // null: none
  ListenerCounters* counters = nullptr;  // null: not counted; outlives the listener and its connections' handshakes
  // A listening socket that already exists (inherited); -1: bind one.
  int inherited_fd = -1;
  // unix: the file of an inherited socket is another's, who unlinks it: a service manager's.
  bool keep_socket_file = false;
  // What this process was started with: Transports::listen looks there for the address's socket, unless inherited_fd
  // names one. A listen that fails has used it up. nullptr: nothing.
  InheritedSockets* inherited = nullptr;
};

class Listener {
 public:
  // On the listener's loop. Stops listening; connections live on; no callback starts after this returns. Callbacks that
  // run on other loops are waited for: they must not wait for this loop.
  virtual ~Listener() = default;
  // Once, on the listener's loop.
  virtual void start(OnIncoming on_incoming) = 0;
  virtual void pause(bool paused) = 0;                  // stop or go on accepting; the backlog keeps filling
  virtual const Address& address() const noexcept = 0;  // with the port that was bound
  // The listening sockets, for a successor that goes on listening there. From then on the end of this listener takes
  // nothing from it: queued connections and socket files are the successor's.
  virtual std::vector<int> inheritable_fds() const = 0;
  // The successor does not come: back to how it was before inheritable_fds().
  virtual void take_back() {}
  // Once, after start(): stops listening without losing anybody who is connected. Whoever waits in the kernel's queue
  // is accepted (at most ListenOptions::backlog; not if there is a successor, who does it), those on their way to their
  // loops and in handshakes arrive or fail; then `done`, on this loop, which may destroy the listener. Never if it is
  // destroyed first. Bounded by ListenOptions::handshake_timeout.
  virtual void finish(std::move_only_function<void()> done) {
    pause(true);
    done();
  }
};

// One scheme, or one layer ("snet" in snet+tcp). Layers receive the table to build what is below them.
class Transports;
class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address,
                                     const DialOptions& options, OnDialed on_done) const = 0;
  virtual Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                                   const ListenOptions& options) const = 0;
};

class Transports {
 public:
  // The first element of a stack's scheme chooses: "tcp", "tls", "snet" for snet+tcp://. Replaces an earlier one.
  void add(std::string scheme, std::shared_ptr<const Transport> transport);
  std::vector<std::string> schemes() const;

  // Address errors arrive like any other, through `on_done` or the result.
  std::unique_ptr<Dial> dial(Loop& loop, const Address& address, const DialOptions& options, OnDialed on_done) const;
  Result<std::unique_ptr<Listener>> listen(Loop& loop, const Address& address, const ListenOptions& options) const;

 private:
  const Transport* find(const Address& address) const;
  std::map<std::string, std::shared_ptr<const Transport>, std::less<>> transports_;
};

}  // namespace wayport::transport
