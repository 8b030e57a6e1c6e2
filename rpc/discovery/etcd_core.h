// What a client of etcd, its leases and its watches share: endpoints, the one connection for requests, and the order in
// which it is used. Internal to rpc/discovery; applications see etcd.h.
//
// On the loop. Held by shared_ptr, so that it outlives the client while something of it is awaited.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/co.h"
#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/discovery/etcd_http.h"

namespace wayport::rpc {

namespace etcd {

struct Endpoint {
  std::string name;  // as given, without parameters
  std::string host;  // for the header
  transport::Address address;
};
// "http://host:port", "https://host:port?ca=..."; invalid_argument says what is wrong.
Result<Endpoint> parse_endpoint(std::string_view text);
// What is sent there may be read on the way: neither https nor loopback.
bool in_the_clear(const Endpoint& endpoint);

// Whether a request may be made again after it may have reached a server.
enum class Repeat : bool { no, yes };

}  // namespace etcd

struct EtcdClient::Core : std::enable_shared_from_this<Core> {
  // The right to use the connection, in order of asking.
  struct Turn {
    explicit Turn(std::shared_ptr<Core> of) : core(std::move(of)) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();
    asio::awaitable<Result<void>> take();

    std::shared_ptr<Core> core;
    Completion<void> granted;
    bool held = false;
  };

  Core(Loop& on, const transport::Transports& all, EtcdOptions given);

  // One request, at the current endpoint first, then at the others as far as `repeat` allows it.
  static asio::awaitable<Result<std::string>> call(std::shared_ptr<Core> core, std::string path, std::string body,
                                                   etcd::Repeat repeat = etcd::Repeat::yes);
  static asio::awaitable<Result<void>> ensure_login(std::shared_ptr<Core> core);
  // Page by page, as of one revision.
  static asio::awaitable<Result<etcd::RangeAnswer>> list(std::shared_ptr<Core> core, std::string prefix,
                                                         std::size_t limit);

  Error closed_error() const { return {ErrorCode::local_closed, "the client of etcd was destroyed", {}}; }
  // With the current endpoint's name in front.
  Error named(Error error) const;
  // Before attempt `failures` + 1.
  Duration retry_wait(unsigned failures);

  Loop& loop;
  const transport::Transports& transports;
  EtcdOptions options;
  Log& log;
  LogLimit log_limit;
  std::vector<etcd::Endpoint> endpoints;
  std::size_t current = 0;
  etcd::HttpLink link;
  std::string token;
  EtcdCounters counters;
  std::list<Turn*> turns;  // waiting
  bool busy = false;
  bool sent = false;  // the request under way may have reached a server
  bool closed = false;

 private:
  // REQUIRES of these: the turn is held.
  static asio::awaitable<Result<std::string>> once(std::shared_ptr<Core> core, std::string path, std::string body,
                                                   etcd::Repeat repeat);
  static asio::awaitable<Result<std::string>> any_endpoint(std::shared_ptr<Core> core, std::string path,
                                                           std::string body, etcd::Repeat repeat);
  static asio::awaitable<Result<void>> login(std::shared_ptr<Core> core);
};

}  // namespace wayport::rpc
