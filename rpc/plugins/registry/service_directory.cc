#include "wayport/rpc/plugins/registry/service_directory.h"

#include <algorithm>
#include <map>
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

  void take(const EtcdEvent& event) {
    if (event.kind == EtcdEvent::Kind::synced) {
      synced = true;
      return changed();
    }
    const std::string id = event.entry.key.substr(std::min(prefix.size(), event.entry.key.size()));
    if (event.kind == EtcdEvent::Kind::erase) {
      if (instances.erase(id) != 0) changed();
      return;
    }
    Result<ServiceRecord> record = read_record(event.entry.value);
    if (!record) {
      ++counters.records_bad;
      log.write(log_limit, loop.now(), LogLevel::warning, "a registered instance cannot be read and is left out",
                {{"key", event.entry.key}, {"error", record.error()}});
      if (instances.erase(id) != 0) changed();
      return;
    }
    const auto at = instances.find(id);
    if (at == instances.end() && instances.size() >= options.instances_max) {
      ++counters.too_many;
      log.write(log_limit, loop.now(), LogLevel::warning, "more instances than instances_max: left out",
                {{"key", event.entry.key}, {"instances_max", options.instances_max}});
      return;
    }
    if (at != instances.end() && at->second == *record) return;  // registered anew, the same
    instances[id] = *std::move(record);
    changed();
  }

  // Told once per turn, however many events it had.
  void changed() {
    if (!synced || std::exchange(telling, true)) return;
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
  ServiceDirectoryCounters counters;
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
  watch_ = std::make_unique<EtcdWatch>(client, *prefix, [weak = std::weak_ptr(state_)](const EtcdEvent& event) {
    if (const std::shared_ptr<State> state = weak.lock(); state && !state->stopped) state->take(event);
  });
}

ServiceDirectory::~ServiceDirectory() { state_->stopped = true; }

bool ServiceDirectory::synced() const noexcept { return state_->synced; }
ServiceInstances ServiceDirectory::instances() const { return state_->list(); }
const ServiceDirectoryCounters& ServiceDirectory::counters() const noexcept { return state_->counters; }

}  // namespace wayport::rpc
