// ServiceDirectory: the instances of a service that are alive, as a registry knows them; follows every change.
//
//   ServiceDirectory directory(loop, *client, {.service = "home"}, [&](const ServiceInstances& all) {
//     pool.set_addresses(addresses_of(all));
//   });
//
// `on_change` gets the whole list: once the first list is complete, then after each turn in which something changed.
// While etcd is out of reach the last list stays: a registry that is down takes nobody out of service. Records that cannot
// be read are left out, counted and logged. On the loop of the client; destroy it at any moment, also in `on_change`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/plugins/registry/service_record.h"

namespace wayport::rpc {

struct ServiceInstance {
  std::string id;
  ServiceRecord record;

  friend bool operator==(const ServiceInstance&, const ServiceInstance&) = default;
};
using ServiceInstances = std::vector<ServiceInstance>;

// Of each instance the first address with one of these schemes; instances without are left out.
std::vector<std::string> addresses_of(const ServiceInstances& instances,
                                      const std::vector<std::string>& schemes = {"tls", "tcp"});

struct ServiceDirectoryOptions {
  std::string service;
  std::string prefix = "/wayport/services/";
  // More are left out, and counted; when one that is listed goes, the service is listed anew, and one of them comes in.
  std::size_t instances_max = 10'000;
};

struct ServiceDirectoryCounters {
  std::uint64_t changes = 0;      // calls of on_change
  std::uint64_t records_bad = 0;  // could not be read
  std::uint64_t too_many = 0;     // left out by instances_max; in each list again
};

class ServiceDirectory {
 public:
  using OnChange = std::function<void(const ServiceInstances& instances)>;

  // REQUIRES: service_key() takes prefix and service.
  ServiceDirectory(Loop& loop, EtcdClient& client, ServiceDirectoryOptions options, OnChange on_change,
                   Log& log = null_log());
  ~ServiceDirectory();
  ServiceDirectory(const ServiceDirectory&) = delete;
  ServiceDirectory& operator=(const ServiceDirectory&) = delete;

  // The first list is complete.
  bool synced() const noexcept;
  ServiceInstances instances() const;  // sorted by id
  const ServiceDirectoryCounters& counters() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace wayport::rpc
