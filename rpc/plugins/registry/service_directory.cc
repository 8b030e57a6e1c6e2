#include "wayport/rpc/plugins/registry/service_directory.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "wayport/transport/address.h"

namespace wayport::rpc {

std::vector<std::string> addresses_of(const ServiceInstances& instances, const std::vector<std::string>& schemes) {
  std::vector<std::string> addresses;
  for (const ServiceInstance& instance : instances) {
    for (const std::string& text : instance.record.addresses) {
      const Result<transport::Address> address = transport::Address::parse(text);
      if (!address || std::ranges::find(schemes, address->scheme()) == schemes.end()) continue;
      addresses.push_back(text);
      break;
    }
  }
  return addresses;
}

struct ServiceDirectory::State : std::enable_shared_from_this<State> {
  State(Loop& on, ServiceDirectoryOptions given, OnChange tell, Log& to)
      : loop(on), options(std::move(given)), on_change(std::move(tell)), log(to) {}

  // Follows the prefix from its list on.
  void follow(EtcdClient& client) {
    left_out = false;
    watch = std::make_unique<EtcdWatch>(client, prefix, [weak = weak_from_this(), &client](const EtcdEvent& event) {
      const std::shared_ptr<State> state = weak.lock();
      if (!state || state->stopped) return;
      state->take(event);
      if (state->left_out && !state->listing && state->instances.size() < state->options.instances_max) {
        state->relist(client);
      }
    });
  }

  // There is room again, and etcd knows who was left out. What is listed now stays until that list is complete.
  void relist(EtcdClient& client) {
    listing.emplace();
    follow(client);
  }

  void take(const EtcdEvent& event) {
    if (event.kind == EtcdEvent::Kind::synced) {
      const bool first = !std::exchange(synced, true);
      if (listing) {
        const bool same = *listing == instances;
        instances = *std::move(listing);
        listing.reset();
        if (same && !first) return;
      }
      return changed();
    }
    put_or_erase(event, listing ? *listing : instances);
  }

  void put_or_erase(const EtcdEvent& event, std::map<std::string, ServiceRecord>& into) {
    const std::string id = event.entry.key.substr(std::min(prefix.size(), event.entry.key.size()));
    if (event.kind == EtcdEvent::Kind::erase) {
      if (into.erase(id) != 0) changed();
      return;
    }
    Result<ServiceRecord> record = read_record(event.entry.value);
    if (!record) {
      ++counters.records_bad;
      log.write(log_limit, loop.now(), LogLevel::warning, "a registered instance cannot be read and is left out",
                {{"key", event.entry.key}, {"error", record.error()}});
      if (into.erase(id) != 0) changed();
      return;
    }
    const auto at = into.find(id);
    if (at == into.end() && into.size() >= options.instances_max) {
      left_out = true;
      ++counters.too_many;
      log.write(log_limit, loop.now(), LogLevel::warning, "more instances than instances_max: left out",
                {{"key", event.entry.key}, {"instances_max", options.instances_max}});
      return;
    }
    if (at != into.end() && at->second == *record) return;  // registered anew, the same
    into[id] = *std::move(record);
    changed();
  }

  // Told once per turn, however many events it had.
  void changed() {
    if (!synced || listing || std::exchange(telling, true)) return;
    loop.post([weak = weak_from_this()] {
      const std::shared_ptr<State> state = weak.lock();
      if (!state || state->stopped) return;
      state->telling = false;
      ++state->counters.changes;
      if (state->on_change) state->on_change(state->list());
    });
  }

  ServiceInstances list() const {
    ServiceInstances all;
    all.reserve(instances.size());
    for (const auto& [id, record] : instances) all.push_back({id, record});
    return all;
  }

  Loop& loop;
  const ServiceDirectoryOptions options;
  const OnChange on_change;
  Log& log;
  LogLimit log_limit;
  std::string prefix;
  std::map<std::string, ServiceRecord> instances;
  std::optional<std::map<std::string, ServiceRecord>> listing;  // what is to follow, while it is listed anew
  std::unique_ptr<EtcdWatch> watch;
  ServiceDirectoryCounters counters;
  bool left_out = false;  // instances_max has bitten since the last list began
  bool synced = false;
  bool telling = false;
  bool stopped = false;
};

ServiceDirectory::ServiceDirectory(Loop& loop, EtcdClient& client, ServiceDirectoryOptions options, OnChange on_change,
                                   Log& log)
    : state_(std::make_shared<State>(loop, std::move(options), std::move(on_change), log)) {
  const Result<std::string> prefix = service_key(state_->options.prefix, state_->options.service, "");
  WAYPORT_ASSERT(prefix, "ServiceDirectoryOptions: service or prefix cannot be a key");
  state_->prefix = *prefix;
  state_->follow(client);
}

ServiceDirectory::~ServiceDirectory() {
  state_->stopped = true;
  state_->watch.reset();
}

bool ServiceDirectory::synced() const noexcept { return state_->synced; }
ServiceInstances ServiceDirectory::instances() const { return state_->list(); }
const ServiceDirectoryCounters& ServiceDirectory::counters() const noexcept { return state_->counters; }

}  // namespace wayport::rpc
