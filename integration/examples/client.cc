// A player: connects to a game server (backend.cc) by any transport, through a route gateway or not, sends each TEXT as a
// request, prints what comes, and ends when every request has its answer.
//
//   client tcp://127.0.0.1:9090 one two
//   client route+kcp://gateway:7790/10.1.2.3:9090?fec=10,3 one two
//   client route+ws://gateway:7780/10.1.2.3:9090 one two
//
// Over a websocket the gateway puts the length in front of each message, so the client sends the bare request.
#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/runtime.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/stream_co.h"

namespace {

using namespace wayport;
namespace asio = boost::asio;

constexpr std::uint32_t kAnswerBytesMax = 64 * 1024;

// An error, or nothing if every request was answered.
asio::awaitable<Result<void>> play(Loop& loop, const transport::Transports& transports, transport::Address address,
                                   std::vector<std::string> requests) {
  const bool messages =
      std::ranges::any_of(address.layers(), [](auto& layer) { return layer == "ws" || layer == "wss"; });
  Result<std::unique_ptr<transport::Stream>> dialed = co_await transport::dial(transports, loop, address);
  if (!dialed) co_return fail(dialed.error());
  transport::CoStream stream(*std::move(dialed));
  for (const std::string& request : requests) {
    std::string length(messages ? 0 : 4, '\0');
    if (!messages) store_le(reinterpret_cast<std::byte*>(length.data()), static_cast<std::uint32_t>(request.size()));
    if (const Result<void> written = co_await stream.write(length + request); !written) co_return written;
    // One answer for each request; the server's greetings come in between.
    for (bool answered = false; !answered;) {
      const Result<std::string> word = co_await stream.read_exactly(4);
      if (!word) co_return fail(word.error());
      const auto size = load_le<std::uint32_t>(as_bytes(*word).data());
      if (size > kAnswerBytesMax)
        co_return fail(ErrorCode::too_large, "an answer of " + std::to_string(size) + " bytes");
      const Result<std::string> answer = co_await stream.read_exactly(size);
      if (!answer) co_return fail(answer.error());
      std::cout << escape(*answer) << std::endl;
      answered = answer->starts_with("echo: ");
    }
  }
  stream.shutdown_write();
  co_return Result<void>();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: client URL TEXT [TEXT ...]\n";
    return 2;
  }
  const Result<transport::Address> address = transport::Address::parse(argv[1]);
  if (!address) {
    std::cerr << "error: " << address.error().to_string() << '\n';
    return 2;
  }
  Runtime runtime({.loops = 1});
  const transport::Transports transports = transport::default_transports();
  Loop& loop = runtime.loop(0);
  const Result<void> played =
      asio::co_spawn(loop.asio(), play(loop, transports, *address, {argv + 2, argv + argc}), asio::use_future).get();
  if (!played) {
    std::cerr << "error: " << played.error().to_string() << '\n';
    return 1;
  }
  return 0;
}
