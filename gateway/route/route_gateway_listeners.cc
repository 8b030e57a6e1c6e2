#include "wayport/gateway/route/route_gateway_listeners.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "wayport/base/socket.h"

namespace wayport::route {

using transport::Address;
using transport::Incoming;
using transport::Listener;

struct RouteListeners::Entry {
  std::string key;
  std::unique_ptr<Listener> listener;
  std::shared_ptr<RouteSlot> slot;
};

namespace {

using Admitted = Result<std::unique_ptr<transport::ConnectionPlace>>;

// nullptr: it is not the runtime's.
RouteLoop* this_loop(const RouteListeners::Loops& loops) noexcept {
  Loop* const here = Loop::current();
  const auto found = std::ranges::find(loops, here, [](const auto& loop) { return &loop->loop(); });
  return found != loops.end() ? found->get() : nullptr;
}

// Whether both say the same socket. A port that was left to the system never is another's.
bool same_place(const Address& wanted, const Address& bound) {
  const bool unix = wanted.layers().back() == "unix";
  if (unix != (bound.layers().back() == "unix")) return false;
  if (unix) return wanted.path() == bound.path();
  // kcp has sockets of its own.
  const auto datagram = [](const Address& address) { return address.layers().back() == "kcp"; };
  return wanted.port() != 0 && wanted.port() == bound.port() && wanted.host() == bound.host() &&
         datagram(wanted) == datagram(bound);
}

bool is_same_socket(int a, int b) noexcept {
  struct stat first{}, second{};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

}  // namespace

RouteListeners::RouteListeners(std::shared_ptr<const RouteEnvironment> environment, std::shared_ptr<const Loops> loops,
                               const transport::ListenOptions& options)
    : environment_(std::move(environment)), loops_(std::move(loops)), options_(options) {}

RouteListeners::~RouteListeners() = default;

Result<std::unique_ptr<RouteListeners::Change>> RouteListeners::prepare(const std::vector<Wanted>& wanted) {
  std::unique_ptr<Change> change(new Change(*this));
  std::vector<std::shared_ptr<Entry>> free = entries_;
  const auto take = [&free](const auto& fits) {
    const auto found = std::ranges::find_if(free, fits);
    std::shared_ptr<Entry> entry;
    if (found != free.end()) {
      entry = std::move(*found);
      free.erase(found);
    }
    return entry;
  };
  change->items_.resize(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string key = wanted[i].listen.key();
    change->items_[i].entry = take([&key](const std::shared_ptr<Entry>& entry) { return entry->key == key; });
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    Change::Item& item = change->items_[i];
    if (item.entry) continue;
    const Address& address = wanted[i].listen.address;
    transport::ListenOptions how = options_;
    how.stream = wanted[i].listen.stream;
    how.handshake_timeout = wanted[i].listen.handshake_timeout;
    how.handshakes_max = wanted[i].listen.handshakes_max;
    auto slot = std::make_shared<RouteSlot>();
    how.admit = [weak = std::weak_ptr(slot), loops = loops_](const SocketAddress& remote) -> Admitted {
      const std::shared_ptr<RouteSlot> its = weak.lock();
      RouteLoop* const loop = its ? this_loop(*loops) : nullptr;
      if (!loop) return fail(ErrorCode::local_closed, "the gateway is closing");
      return loop->admit(*its, remote);
    };
    item.instead_of = take(
        [&address](const std::shared_ptr<Entry>& entry) { return same_place(address, entry->listener->address()); });
    Fd socket;
    int original = -1;
    if (item.instead_of && wanted[i].listen.is_datagram()) {
      return fail(ErrorCode::unsupported, "route \"" + wanted[i].route + "\" cannot listen on " + address.to_log() +
                                              " instead of " + item.instead_of->listener->address().to_log() +
                                              ": its sessions share the socket. Take another port, or restart");
    }
    if (item.instead_of) {
      const std::vector<int> sockets = item.instead_of->listener->inheritable_fds();
      if (sockets.size() == 1) socket = Fd(::fcntl(sockets.front(), F_DUPFD_CLOEXEC, 0));
      if (!socket) {
        const Error why = sockets.size() == 1
                              ? system_error(errno, "duplicating the listening socket")
                              : Error{ErrorCode::unsupported, "it has no single socket to take over", {}};
        return fail(why.code, "route \"" + wanted[i].route + "\" cannot listen on " + address.to_log() +
                                  " instead of " + item.instead_of->listener->address().to_log() + ": " + why.detail);
      }
      how.inherited_fd = socket.get();
      original = sockets.front();
    }
    Result<std::unique_ptr<Listener>> listener = environment_->transports.listen(environment_->home, address, how);
    if (!listener) {
      // It may have been taken, and closed.
      if (socket && !is_same_socket(socket.get(), original)) socket.release();
      Error error = std::move(listener.error());
      error.detail = "route \"" + wanted[i].route + "\" cannot listen on " + address.to_log() + ": " + error.detail;
      return fail(std::move(error));
    }
    socket.release();
    item.is_new = true;
    item.entry = std::make_shared<Entry>();
    item.entry->slot = std::move(slot);
    item.entry->key = wanted[i].listen.key();
    item.entry->listener = *std::move(listener);
  }
  return change;
}

RouteListeners::Change::~Change() {
  if (committed_) return;
  for (const Item& item : items_) {
    // What it does not own any more it must not take along, such as a unix socket's file.
    if (item.instead_of && item.is_new) static_cast<void>(item.entry->listener->inheritable_fds());
    if (item.instead_of && !owner_.handed_over_) item.instead_of->listener->take_back();
  }
}

std::vector<Address> RouteListeners::Change::addresses() const {
  std::vector<Address> all;
  for (const Item& item : items_) all.push_back(item.entry->listener->address());
  return all;
}

void RouteListeners::Change::commit(const std::vector<ServedRoutePtr>& routes) {
  committed_ = true;
  std::vector<std::shared_ptr<Entry>> before = std::exchange(owner_.entries_, {});
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    item.entry->slot->set(routes[i]);
    owner_.entries_.push_back(item.entry);
    if (!item.is_new) continue;
    item.entry->listener->start([loops = owner_.loops_, slot = item.entry->slot](std::unique_ptr<Incoming> incoming) {
      if (RouteLoop* const loop = this_loop(*loops)) return loop->accept(*slot, std::move(incoming));
      incoming->reject({ErrorCode::internal, "accepted on a loop that is not the runtime's", {}});
    });
    // The socket of a unix path is this listener's now, and so is the end of its file.
    if (item.instead_of && !owner_.handed_over_) item.entry->listener->take_back();
    owner_.environment_->log.write(
        LogLevel::info, "route gateway listens",
        {{"route", routes[i]->options.name}, {"address", item.entry->listener->address().to_log()}});
  }
  for (const std::shared_ptr<Entry>& entry : before) {
    if (std::ranges::find(owner_.entries_, entry) != owner_.entries_.end()) continue;
    const bool replaced = std::ranges::find(items_, entry, &Item::instead_of) != items_.end();
    if (!replaced) {
      owner_.environment_->log.write(LogLevel::info, "route gateway listens no more",
                                     {{"address", entry->listener->address().to_log()}});
    }
    owner_.finish_entry(entry);
  }
}

void RouteListeners::finish_entry(const std::shared_ptr<Entry>& entry) {
  leaving_.push_back(entry);
  entry->listener->finish([weak = weak_from_this(), gone = entry.get()] {
    const std::shared_ptr<RouteListeners> self = weak.lock();
    if (!self) return;
    const auto found = std::ranges::find(self->leaving_, gone, [](const auto& each) { return each.get(); });
    if (found == self->leaving_.end()) return;
    // A callback of the listener may be on the stack.
    self->environment_->home.delete_later(std::make_unique<std::shared_ptr<Entry>>(std::move(*found)));
    self->leaving_.erase(found);
    if (!self->listening() && self->then_) std::exchange(self->then_, {})();
  });
}

std::vector<int> RouteListeners::inheritable_fds() {
  handed_over_ = true;
  std::vector<int> fds;
  for (const std::shared_ptr<Entry>& entry : entries_) {
    const std::vector<int> its = entry->listener->inheritable_fds();
    fds.insert(fds.end(), its.begin(), its.end());
  }
  return fds;
}

void RouteListeners::take_back() {
  handed_over_ = false;
  for (const std::shared_ptr<Entry>& entry : entries_) entry->listener->take_back();
}

void RouteListeners::finish() {
  if (std::exchange(finishing_, true)) return;
  for (const std::shared_ptr<Entry>& entry : std::exchange(entries_, {})) finish_entry(entry);
}

void RouteListeners::clear() {
  finishing_ = true;
  for (auto* const list : {&entries_, &leaving_}) {
    for (const std::shared_ptr<Entry>& entry : std::exchange(*list, {})) {
      entry->listener.reset();
      entry->slot->set(nullptr);
    }
  }
}

}  // namespace wayport::route
