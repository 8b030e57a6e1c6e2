// ServiceRegistration: one key of etcd that is there as long as this is, and goes when it goes or its process dies.
//
// The key is put under a lease (EtcdLease) that keeps itself alive. When the lease is lost, because etcd was out of
// reach for longer than its time or lost its data, a new one is granted and the key is put again, with back-off; it never
// gives up. On the loop of the client. Destroyed without withdraw(), the key goes when the lease's time is over.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/rpc/discovery/etcd.h"

namespace wayport::rpc {

struct ServiceRegistrationOptions {
  std::string key;
  std::string value;
  std::int64_t ttl_seconds = 10;                          // at least 1: for so long a dead process is still listed
  Duration retry_first = std::chrono::milliseconds(100);  // of puts that failed: doubles from here,
  Duration retry_max = std::chrono::seconds(10);          // up to here
  std::function<void(bool registered)> on_change{};       // on the loop
};

struct ServiceRegistrationCounters {
  std::uint64_t registered = 0;  // puts that worked: 1, and one for each lost lease
  std::uint64_t puts_failed = 0;
  std::uint64_t lost = 0;  // leases
};

class ServiceRegistration {
 public:
  ServiceRegistration(Loop& loop, EtcdClient& client, ServiceRegistrationOptions options, Log& log = null_log());
  ~ServiceRegistration();
  ServiceRegistration(const ServiceRegistration&) = delete;
  ServiceRegistration& operator=(const ServiceRegistration&) = delete;

  // The key is there, as far as is known.
  bool registered() const noexcept;
  // Stops at once; awaiting it takes the key away. May be destroyed before it is awaited.
  boost::asio::awaitable<Result<void>> withdraw();
  const ServiceRegistrationCounters& counters() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace wayport::rpc
