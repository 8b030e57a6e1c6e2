// A relay for tests of clients that reconnect: it stands between them and a server, and cuts, refuses, or plays dead.
// Deterministic where killing and restarting the server is not.
//
// On the loop. Everything ends when it is destroyed.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "wayport/base/loop.h"
#include "wayport/base/task_group.h"
#include "wayport/transport/stream_co.h"
#include "wayport/transport/transports.h"

namespace wayport::rpc {

class TcpRelay {
 public:
  enum class Mode : std::uint8_t {
    forward,
    refuse,  // new connections are closed at once
    silent,  // new connections are read from and never answered, but for `greeting`
  };

  // `to`: "127.0.0.1:2379"
  TcpRelay(Loop& loop, const transport::Transports& transports, std::string to);
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  std::string address() const;  // "127.0.0.1:40001"
  // Of connections from now on. `greeting`: what `silent` answers the first bytes with.
  void set_mode(Mode mode, std::string greeting = {});
  // Drops every connection there is.
  void cut();
  std::size_t accepted() const noexcept { return accepted_; }

 private:
  struct Pair {
    std::optional<transport::CoStream> in;
    std::optional<transport::CoStream> out;
  };
  static boost::asio::awaitable<void> accept(TcpRelay* self);
  static boost::asio::awaitable<void> connect(TcpRelay* self, std::shared_ptr<Pair> pair);
  static boost::asio::awaitable<void> swallow(std::shared_ptr<Pair> pair, std::string greeting);
  static boost::asio::awaitable<void> pump(std::shared_ptr<Pair> pair, bool forward);

  Loop& loop_;
  const transport::Transports& transports_;
  const std::string to_;
  std::optional<transport::CoListener> listener_;
  std::list<std::weak_ptr<Pair>> pairs_;
  Mode mode_ = Mode::forward;
  std::string greeting_;
  std::size_t accepted_ = 0;
  TaskGroup tasks_;
};

}  // namespace wayport::rpc
