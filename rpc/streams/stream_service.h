// StreamService: gives a peer's sessions streams, and says who handles those that the other end opens.
//
//   rpc::Peer peer(runtime, ...);
//   rpc::StreamService streams(peer);
//   streams.on_open("/upload", [](rpc::Stream& stream) -> boost::asio::awaitable<void> {
//     std::vector<std::byte> buffer(16384);
//     while (const std::size_t size = *co_await stream.reader.read(buffer)) store(buffer, size);
//   });
//   peer.start();
//
//   rpc::Reply<rpc::Stream> stream = co_await streams.open(session, "/upload?name=a");   // from either end
//
// A handler runs as a coroutine on the session's loop, among those of PeerOptions::coroutines_per_loop_max. When it
// returns, its writer finishes, if it has not, and what it did not read is refused; a StatusError that it throws, or the
// Status that it returns, aborts the stream with that status, and any other exception with 500. The opener reads to the
// end to know. A handler may move reader and writer out of the stream, which then go on after it.
//
// A session that closes, also gracefully, takes no pushes any more: streams end at once with 101. Let them end first
// (README.md).
//
// Registration before the peer starts, from one thread; open() from any. Made after its peer and before the start; may
// go before or after the peer.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "wayport/rpc/peer.h"
#include "wayport/rpc/streams/stream.h"
#include "wayport/rpc/streams/stream_options.h"

namespace wayport::rpc {

class StreamService {
 public:
  using Handler = std::function<boost::asio::awaitable<Status>(Stream&)>;

  // Registers the wire's routes with the peer: one service per prefix. std::invalid_argument: a window or chunk of no
  // bytes, a prefix that is no path.
  explicit StreamService(Peer& peer, StreamOptions options = {});
  ~StreamService();
  StreamService(const StreamService&) = delete;
  StreamService& operator=(const StreamService&) = delete;

  // `handler` is a coroutine function of Stream& that gives nothing or a Status; one object serves all streams on all
  // loops. std::logic_error: the path has a handler.
  template <class F>
  void on_open(std::string_view path, F handler) {
    using Output = std::invoke_result_t<F&, Stream&>;
    if constexpr (std::is_same_v<Output, boost::asio::awaitable<void>>) {
      add(path, [handler = std::move(handler)](Stream& stream) -> boost::asio::awaitable<Status> {
        co_await handler(stream);
        co_return Status();
      });
    } else {
      add(path, std::move(handler));
    }
  }

  // Target: "/path?query". Fails with 404 when the other end knows no such path or no streams, 503 for a bound of either
  // end, 504 after open_timeout, and whatever else a pull fails with.
  boost::asio::awaitable<Reply<Stream>> open(Session session, std::string target);

  const StreamOptions& options() const noexcept;
  // Of one loop of the peer's runtime; any thread.
  const StreamCounters& counters(std::size_t loop_index) const;

 private:
  struct State;
  void add(std::string_view path, Handler handler);

  std::shared_ptr<State> state_;
};

}  // namespace wayport::rpc
