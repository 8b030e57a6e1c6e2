// One HTTP/1.1 connection of the etcd client: requests one after the other, or one answer that is a stream.
//
// On the loop's thread. One request at a time. Whoever awaits keeps the link alive; drop() ends what is awaited with an
// error. A request that did not end in order (canceled, timed out, malformed) drops the connection.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/transport/address.h"
#include "wayport/transport/transports.h"

namespace wayport::rpc::etcd {

struct HttpRequest {
  std::string host;
  std::string path;
  std::string body;   // JSON
  std::string token;  // Authorization; empty: none
};
struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

class HttpLink {
 public:
  static constexpr std::size_t kHeaderBytesMax = 16 * 1024;

  HttpLink(Loop& loop, const transport::Transports& transports);
  ~HttpLink();

  boost::asio::awaitable<Result<void>> connect(transport::Address address, Duration timeout);
  bool connected() const noexcept;
  void drop() noexcept;

  // too_large: a body above `body_bytes_max`.
  boost::asio::awaitable<Result<HttpAnswer>> request(HttpRequest request, Duration timeout, std::size_t body_bytes_max);
  // The status; the body is read piece by piece with read_body(), whatever its length.
  boost::asio::awaitable<Result<unsigned>> open(HttpRequest request, Duration timeout);
  // "" at the end of the body. timed_out: `timeout` passed, if it is not zero; the connection is dropped.
  boost::asio::awaitable<Result<std::string>> read_body(Duration timeout = Duration::zero());

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wayport::rpc::etcd
