#include "wayport/transport/transports.h"

#include <optional>
#include <utility>

#include "wayport/transport/inherited.h"

namespace wayport::transport {
namespace {

class FailedDial final : public Dial, private TurnEnd {
 public:
  FailedDial(Loop& loop, Error error, OnDialed on_done) : error_(std::move(error)), on_done_(std::move(on_done)) {
    loop.at_turn_end(*this);
  }

 private:
  void on_turn_end() override {
    OnDialed on_done = std::move(on_done_);
    on_done(fail(std::move(error_)));  // `this` may be gone
  }

  Error error_;
  OnDialed on_done_;
};

Error unknown_scheme(const Address& address, const std::vector<std::string>& known) {
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  return {ErrorCode::unsupported,
          "no transport for \"" + address.layers().front() + "\" in " + address.to_log() + "; there are: " + list,
          {}};
}

}  // namespace

std::unique_ptr<Dial> failed_dial(Loop& loop, Error error, OnDialed on_done) {
  return std::make_unique<FailedDial>(loop, std::move(error), std::move(on_done));
}

void Transports::add(std::string scheme, std::shared_ptr<const Transport> transport) {
  transports_.insert_or_assign(std::move(scheme), std::move(transport));
}

std::vector<std::string> Transports::schemes() const {
  std::vector<std::string> names;
  for (const auto& [name, transport] : transports_) names.push_back(name);
  return names;
}

const Transport* Transports::find(const Address& address) const {
  if (address.layers().empty()) return nullptr;
  const auto found = transports_.find(address.layers().front());
  return found == transports_.end() ? nullptr : found->second.get();
}

std::unique_ptr<Dial> Transports::dial(Loop& loop, const Address& address, const DialOptions& options,
                                       OnDialed on_done) const {
  if (address.layers().empty()) {
    return failed_dial(loop, {ErrorCode::invalid_argument, "the address is empty", {}}, std::move(on_done));
  }
  const Transport* transport = find(address);
  if (!transport) return failed_dial(loop, unknown_scheme(address, schemes()), std::move(on_done));
  return transport->dial(*this, loop, address, options, std::move(on_done));
}

Result<std::unique_ptr<Listener>> Transports::listen(Loop& loop, const Address& address,
                                                     const ListenOptions& options) const {
  if (address.layers().empty()) return fail(ErrorCode::invalid_argument, "the address is empty");
  const Transport* transport = find(address);
  if (!transport) return fail(unknown_scheme(address, schemes()));
  if (options.inherited && options.inherited_fd < 0) {
    if (const std::optional<InheritedSockets::Taken> socket = options.inherited->take(address)) {
      ListenOptions with = options;
      with.inherited_fd = socket->fd;
      with.keep_socket_file = socket->keep_file;
      return transport->listen(*this, loop, address, with);
    }
  }
  return transport->listen(*this, loop, address, options);
}

}  // namespace wayport::transport
