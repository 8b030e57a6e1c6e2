// A client of etcd v3 over its JSON gateway (HTTP/1.1; etcd 3.4 and later): keys, leases, watches.
//
//   WAYPORT_TRY_ASSIGN(auto client, EtcdClient::make(loop, transports, {.endpoints = {"http://10.0.0.1:2379"}}));
//   auto put = co_await client->put("/services/a", "tcp://10.0.0.7:9090");
//   EtcdWatch watch(*client, "/services/", [](const EtcdEvent& event) { ... });
//
// Endpoints: "http://host:port" or "https://host:port", with the parameters of the tcp and tls transports behind
// (https://h:2379?ca=etcd-ca.pem&cert=...&key=...). They are tried in turn; the one that answered is kept. With a user,
// http:// is refused but for loopback (localhost, 127.0.0.0/8, ::1), unless plaintext_login.
// Connections: one for requests, which go one after the other, and one per watch.
// Errors: the detail begins with the endpoint and has etcd's message. `refused`: credentials; `unreachable`: no endpoint
// answers; `not_found` with "compacted": the revision is gone; `too_large`, `overloaded`: a bound below. A request that
// failed on the way, or was not answered in time, goes to the next endpoint and may have been done all the same: put,
// erase and reads may be repeated, a lease granted twice ends with its time; call() is not repeated unless told so.
// Bounds: EtcdOptions. Threads: everything on the loop. Lifetime: leases and watches share what they need, so all may be
// destroyed in any order and at any moment, also from inside callbacks; when the client goes, its requests end with
// `local_closed`, and its watches and leases stop. Loop and Transports outlive all.
// Sources: etcd v3.4 documentation, "gRPC gateway", "API reference", "Watch".
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/rpc/discovery/etcd_messages.h"
#include "wayport/transport/transports.h"

namespace wayport {
class TaskGroup;
}

namespace wayport::rpc {

using EtcdKeyValue = etcd::KeyValue;

struct EtcdOptions {
  std::vector<std::string> endpoints{};
  Duration request_timeout =
      std::chrono::seconds(5);  // connect; request with answer; a watch until etcd says it watches
  std::size_t response_bytes_max = 16 * 1024 * 1024;   // one answer; a page of get_prefix()
  std::size_t watch_line_bytes_max = 4 * 1024 * 1024;  // one message of a watch; above: the prefix is listed again
  std::size_t requests_waiting_max = 1024;             // behind the one under way; then `overloaded`
  std::size_t keys_max = 100'000;                      // of get_prefix() and of a watch's list; then `too_large`
  std::size_t page_keys = 1000;                        // asked for at once
  std::string user{};                                  // empty: no authentication
  std::string password{};
  bool plaintext_login = false;  // user, password and token may go over http:// to hosts that are not loopback
  Duration retry_first = std::chrono::milliseconds(100);  // watches and leases: doubles from here,
  Duration retry_max = std::chrono::seconds(10);          // up to here; each wait is half to whole of it
  std::function<std::uint64_t()> random{};                // jitter; null: seeded by the system
  Log* log = nullptr;                                     // null: none
};

struct EtcdCounters {
  std::uint64_t requests = 0;
  std::uint64_t failovers = 0;  // to the next endpoint
  std::uint64_t logins = 0;
  std::uint64_t overloaded = 0;  // requests_waiting_max bit
  std::uint64_t too_large = 0;   // response_bytes_max, watch_line_bytes_max or keys_max bit
  std::uint64_t timed_out = 0;   // request_timeout bit: connects, requests, watches without an answer
  std::uint64_t watch_reconnects = 0;
  std::uint64_t watch_lists = 0;  // the first included
  std::uint64_t leases_lost = 0;
};

class EtcdClient {
 public:
  template <class T>
  using Task = boost::asio::awaitable<Result<T>>;

  // invalid_argument: no endpoint, one that cannot be read, or one that a user's password would reach in the clear.
  static Result<std::unique_ptr<EtcdClient>> make(Loop& loop, const transport::Transports& transports,
                                                  EtcdOptions options);
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  // The revision it made. `lease_id` 0: the key stays until erased.
  Task<std::int64_t> put(std::string key, std::string value, std::int64_t lease_id = 0);
  Task<std::optional<EtcdKeyValue>> get(std::string key);
  // In order of keys, all as of one revision. `limit` 0: all. At most keys_max, else too_large.
  Task<etcd::RangeAnswer> get_prefix(std::string prefix, std::size_t limit = 0);
  // How many were erased.
  Task<std::int64_t> erase(std::string key);
  Task<std::int64_t> erase_prefix(std::string prefix);

  Task<etcd::LeaseAnswer> lease_grant(std::int64_t ttl_seconds);
  // not_found: the lease is gone.
  Task<etcd::LeaseAnswer> lease_keep_alive(std::int64_t id);
  Task<void> lease_revoke(std::int64_t id);

  // Any other method of the gateway ("/v3/kv/txn"), with its JSON; the answer's JSON. Unless `repeatable`, it is made on a
  // fresh connection and is not made again once it may have reached a server.
  Task<std::string> call(std::string path, std::string json, bool repeatable = false);

  const EtcdCounters& counters() const noexcept;

 private:
  friend class EtcdLease;
  friend class EtcdWatch;
  struct Core;
  explicit EtcdClient(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

// A lease that keeps itself alive each third of its time. When it is lost (etcd says so, or its time passed without an
// answer) `on_lost` is called and a new one is granted, with back-off; `on_granted` is called with each, and is where
// keys are put. Destroying it stops without revoking: its keys go when its time is over.
class EtcdLease {
 public:
  using OnGranted = std::function<void(std::int64_t id)>;
  using OnLost = std::function<void(const Error& why)>;

  // REQUIRES: ttl_seconds >= 1.
  EtcdLease(EtcdClient& client, std::int64_t ttl_seconds, OnGranted on_granted, OnLost on_lost = nullptr);
  ~EtcdLease();
  EtcdLease(const EtcdLease&) = delete;
  EtcdLease& operator=(const EtcdLease&) = delete;

  std::int64_t id() const noexcept;  // 0: none at this moment
  // Stops at once; awaiting it revokes, so that its keys go, too. The lease may be destroyed before it is awaited.
  boost::asio::awaitable<Result<void>> revoke();

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::unique_ptr<TaskGroup> tasks_;  // not in State, which its task may be the last to hold
};

struct EtcdEvent {
  enum class Kind : std::uint8_t {
    put,
    erase,   // of `entry` only key and, if etcd told, mod_revision
    synced,  // everything that the prefix had as of `revision` was told
  };
  Kind kind = Kind::put;
  EtcdKeyValue entry;
  std::int64_t revision = 0;
};

// Follows the keys under a prefix: tells what is there, then `synced`, then each change in order. After a reconnect it
// goes on behind the last revision told. When that has been compacted, or the store is another (its revision went back),
// it lists again and tells only the differences, erased keys included, and `synced`. It never gives up; it ends when it
// or the client is destroyed.
class EtcdWatch {
 public:
  using OnEvent = std::function<void(const EtcdEvent&)>;

  // `from_revision` not 0: no list, every change from that revision on.
  EtcdWatch(EtcdClient& client, std::string prefix, OnEvent on_event, std::int64_t from_revision = 0);
  ~EtcdWatch();
  EtcdWatch(const EtcdWatch&) = delete;
  EtcdWatch& operator=(const EtcdWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::unique_ptr<TaskGroup> tasks_;  // not in State, which its task may be the last to hold
};

}  // namespace wayport::rpc
