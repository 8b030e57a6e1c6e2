// Streams for coroutines: handlers, tools, tests, handshakes. Not for sessions: a suspended coroutine per connection
// costs kilobytes, and an awaited call per message microseconds; those implement StreamEvents.
//
//   CoStream stream(co_await ...);
//   Result<std::string> header = co_await stream.read_exactly(8);
//   if (!header) co_return header.error();
//   co_await stream.write("hello");
//
// Everything on the stream's loop. At most one read and one write (or flush, or close) are awaited at a time. Canceling
// an awaiting coroutine gives `canceled`; the stream stays usable. Dropping a CoStream aborts its stream.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "wayport/transport/stream.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class CoStream {
 public:
  // Starts the stream, or, if it was started, takes it over from its consumer.
  explicit CoStream(std::unique_ptr<Stream> stream, bool started = false);
  CoStream(CoStream&&) noexcept;
  CoStream& operator=(CoStream&&) noexcept;
  ~CoStream();

  // At least one byte; "" at the end of the stream. Errors: why the stream closed.
  boost::asio::awaitable<Result<std::string>> read_some(std::size_t bytes_max = 64 * 1024);
  // peer_closed if the stream ends before. `size` is memory that the peer makes you use.
  boost::asio::awaitable<Result<std::string>> read_exactly(std::size_t size);
  // Returns at once, but suspends while the stream is under pressure.
  boost::asio::awaitable<Result<void>> write(Chain bytes);
  boost::asio::awaitable<Result<void>> write(std::string bytes);
  // Until everything was given to the kernel (looked at every millisecond: for tools and tests).
  boost::asio::awaitable<Result<void>> flush();
  void shutdown_write();
  // Until the stream has closed. Fine if it had closed before.
  boost::asio::awaitable<Result<void>> close(Linger linger = {std::chrono::seconds(1)});

  const PeerInfo& peer() const noexcept;
  Loop& loop() const noexcept;
  // Gives the stream away with every byte that was not read, for a session to take with replace_events(). REQUIRES:
  // nothing is awaited. Reading is off. nullptr if it has closed.
  std::unique_ptr<Stream> release();

 private:
  struct State;
  std::shared_ptr<State> state_;  // nobody else owns it; what cancels has to know that it is gone
};

boost::asio::awaitable<Result<std::unique_ptr<Stream>>> dial(const Transports& all, Loop& loop, Address address,
                                                             DialOptions options = {});

// Accepts one connection after the other on the listener's own loop. REQUIRES: ListenOptions::loops empty, or only it.
class CoListener {
 public:
  // Accepted connections that nobody awaits yet; then the listener pauses.
  static constexpr std::size_t kWaitingMax = 64;

  explicit CoListener(std::unique_ptr<Listener> listener);
  CoListener(CoListener&&) noexcept;
  CoListener& operator=(CoListener&&) noexcept;
  ~CoListener();

  boost::asio::awaitable<Result<std::unique_ptr<Stream>>> accept();
  const Address& address() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;  // nobody else owns it; what cancels has to know that it is gone
};

}  // namespace wayport::transport
