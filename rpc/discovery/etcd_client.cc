#include "wayport/rpc/discovery/etcd.h"

#include <random>
#include <utility>

#include "wayport/rpc/discovery/etcd_core.h"
#include "wayport/rpc/discovery/fill.h"

namespace wayport::rpc {

Result<std::unique_ptr<EtcdClient>> EtcdClient::make(Loop& loop, const transport::Transports& transports,
                                                     EtcdOptions options) {
  if (options.endpoints.empty()) return fail(ErrorCode::invalid_argument, "etcd: no endpoints are given");
  if (options.page_keys == 0 || options.keys_max == 0) {
    return fail(ErrorCode::invalid_argument, "etcd: page_keys and keys_max are at least 1");
  }
  if (!options.random)
    options.random = [random = std::mt19937_64(std::random_device{}())]() mutable { return random(); };
  const auto core = std::make_shared<Core>(loop, transports, std::move(options));
  for (const std::string& text : core->options.endpoints) {
    Result<etcd::Endpoint> endpoint = etcd::parse_endpoint(text);
    if (!endpoint) {
      return fail(ErrorCode::invalid_argument,
                  etcd::fill("endpoint {}: {}", core->endpoints.size() + 1, endpoint.error().detail));
    }
    if (!core->options.user.empty() && !core->options.plaintext_login && etcd::in_the_clear(*endpoint)) {
      return fail(
          ErrorCode::invalid_argument,
          etcd::fill("endpoint {}: http:// to {} would send user and password in the clear; use https://, or set "
                     "EtcdOptions::plaintext_login where the network is trusted",
                     core->endpoints.size() + 1, endpoint->host));
    }
    core->endpoints.push_back(*std::move(endpoint));
  }
  return std::unique_ptr<EtcdClient>(new EtcdClient(core));
}

EtcdClient::EtcdClient(std::shared_ptr<Core> core) : core_(std::move(core)) {}

EtcdClient::~EtcdClient() {
  core_->closed = true;
  core_->link.drop();
}

const EtcdCounters& EtcdClient::counters() const noexcept { return core_->counters; }

// Calls `path` and reads the answer with `read`, which gives a Result<T>.
#define WAYPORT_ETCD_CALL_(name, path, body, read)                              \
  Result<std::string> answer_of_##name = co_await Core::call(core, path, body); \
  if (!answer_of_##name) co_return fail(answer_of_##name.error());              \
  auto name = read(*answer_of_##name);                                          \
  if (!name) co_return fail(core->named(name.error()))

asio::awaitable<Result<std::int64_t>> EtcdClient::put(std::string key, std::string value, std::int64_t lease_id) {
  return [](std::shared_ptr<Core> core, std::string key, std::string value,
            std::int64_t lease_id) -> asio::awaitable<Result<std::int64_t>> {
    WAYPORT_ETCD_CALL_(revision, "/v3/kv/put", etcd::write_put(key, value, lease_id), etcd::read_put);
    co_return revision;
  }(core_, std::move(key), std::move(value), lease_id);
}

asio::awaitable<Result<std::optional<EtcdKeyValue>>> EtcdClient::get(std::string key) {
  return [](std::shared_ptr<Core> core, std::string key) -> asio::awaitable<Result<std::optional<EtcdKeyValue>>> {
    WAYPORT_ETCD_CALL_(range, "/v3/kv/range", etcd::write_range({.key = key, .end = {}}), etcd::read_range);
    if (range->entries.empty()) co_return std::optional<EtcdKeyValue>();
    co_return std::optional<EtcdKeyValue>(std::move(range->entries.front()));
  }(core_, std::move(key));
}

asio::awaitable<Result<etcd::RangeAnswer>> EtcdClient::get_prefix(std::string prefix, std::size_t limit) {
  return Core::list(core_, std::move(prefix), limit);
}

asio::awaitable<Result<std::int64_t>> EtcdClient::erase(std::string key) {
  return [](std::shared_ptr<Core> core, std::string key) -> asio::awaitable<Result<std::int64_t>> {
    WAYPORT_ETCD_CALL_(erased, "/v3/kv/deleterange", etcd::write_erase(key, {}), etcd::read_erase);
    co_return erased;
  }(core_, std::move(key));
}

asio::awaitable<Result<std::int64_t>> EtcdClient::erase_prefix(std::string prefix) {
  return [](std::shared_ptr<Core> core, std::string prefix) -> asio::awaitable<Result<std::int64_t>> {
    const std::string end = etcd::prefix_end(prefix);
    if (prefix.empty()) prefix.push_back('\0');
    WAYPORT_ETCD_CALL_(erased, "/v3/kv/deleterange", etcd::write_erase(prefix, end), etcd::read_erase);
    co_return erased;
  }(core_, std::move(prefix));
}

asio::awaitable<Result<etcd::LeaseAnswer>> EtcdClient::lease_grant(std::int64_t ttl_seconds) {
  return [](std::shared_ptr<Core> core, std::int64_t ttl_seconds) -> asio::awaitable<Result<etcd::LeaseAnswer>> {
    WAYPORT_ETCD_CALL_(lease, "/v3/lease/grant", etcd::write_lease_grant(ttl_seconds), etcd::read_lease_grant);
    co_return lease;
  }(core_, ttl_seconds);
}

asio::awaitable<Result<etcd::LeaseAnswer>> EtcdClient::lease_keep_alive(std::int64_t id) {
  return [](std::shared_ptr<Core> core, std::int64_t id) -> asio::awaitable<Result<etcd::LeaseAnswer>> {
    WAYPORT_ETCD_CALL_(lease, "/v3/lease/keepalive", etcd::write_lease(id), etcd::read_lease_keep_alive);
    if (lease->ttl_seconds == 0) co_return fail(core->named({ErrorCode::not_found, "the lease is gone", {}}));
    co_return lease;
  }(core_, id);
}

asio::awaitable<Result<void>> EtcdClient::lease_revoke(std::int64_t id) {
  return [](std::shared_ptr<Core> core, std::int64_t id) -> asio::awaitable<Result<void>> {
    Result<std::string> answer = co_await Core::call(core, "/v3/lease/revoke", etcd::write_lease(id));
    if (!answer) co_return fail(answer.error());
    co_return Result<void>();
  }(core_, id);
}

asio::awaitable<Result<std::string>> EtcdClient::call(std::string path, std::string json, bool repeatable) {
  return Core::call(core_, std::move(path), std::move(json), repeatable ? etcd::Repeat::yes : etcd::Repeat::no);
}

}  // namespace wayport::rpc
