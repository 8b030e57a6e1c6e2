// Virtual connections for coroutines: one send() is one frame, one receive() is one message. For handlers, tools, tests;
// what serves many connections implements VirtualEvents, since a suspended coroutine costs kilobytes.
//
//   CoChannel channel(std::move(connection));
//   co_await channel.send("hello");
//   Result<std::string> answer = co_await channel.receive();
//   Result<Score> score = co_await channel.receive<Score>(codec);
//
// Everything on the connection's loop. At most one receive and one send (or close) are awaited at a time. Messages that
// nobody awaits wait in the connection, within its bounds. Dropping a CoChannel closes its connection.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/link/typed.h"

namespace wayport::link {

class CoChannel {
 public:
  explicit CoChannel(std::unique_ptr<VirtualConnection> connection);
  CoChannel(CoChannel&&) noexcept;
  CoChannel& operator=(CoChannel&&) noexcept;
  ~CoChannel();

  // Errors: why the connection closed (peer_closed: the other end did), canceled.
  boost::asio::awaitable<Result<std::string>> receive();
  template <framing::ReceivableBody T>
  boost::asio::awaitable<Result<T>> receive(const framing::Codec& codec) {
    const Result<std::string> message = co_await receive();
    if (!message) co_return fail(message.error());
    co_return decode_message<T>(codec, as_bytes(*message));
  }
  // Suspends while there is no room for more. Errors: VirtualConnection::send()'s.
  boost::asio::awaitable<Result<void>> send(std::string message);
  template <framing::SendableBody T>
  boost::asio::awaitable<Result<void>> send(const framing::Codec& codec, T value) {
    Chain message;
    if (Result<void> encoded = codec.encode({&framing::body_ops<T>(), &value}, message); !encoded) co_return encoded;
    co_return co_await send_chain(std::move(message));
  }
  // Until the gateway has taken what was sent, or the linger is over.
  boost::asio::awaitable<Result<void>> close(Linger linger = {std::chrono::seconds(1)});

  VirtualConnection& connection() noexcept;

 private:
  struct State;
  boost::asio::awaitable<Result<void>> send_chain(Chain message);

  std::unique_ptr<State> state_;
};

// Endpoint::dial(). `timeout` zero or less: none.
boost::asio::awaitable<Result<CoChannel>> dial(Endpoint& endpoint, std::uint32_t remote, Duration timeout);

}  // namespace wayport::link
