#include "wayport/gateway/route/route_loop.h"

#include <algorithm>
#include <utility>

#include "wayport/gateway/route/route_gateway.h"

namespace wayport::route {
namespace {

// Each connection is looked at once in this time.
constexpr Duration kLookEvery = std::chrono::seconds(1);
// Connections that are looked at in one turn; with more of them, the turns come more often.
constexpr std::size_t kLookAtMost = 4096;
// What is queued when a gateway closes may leave for so long.
constexpr transport::Linger kFarewell{std::chrono::seconds(1)};

// Of a connection whose handshake a transport finishes first.
struct PlaceAtListener final : transport::ConnectionPlace {
  explicit PlaceAtListener(AdmissionPlace its) : place(std::move(its)) {}
  AdmissionPlace place;
};

Error closing_error() { return {ErrorCode::local_closed, "the gateway is closing", {}}; }

}  // namespace

RouteLoop::RouteLoop(Loop& loop, std::shared_ptr<RouteShared> shared, std::uint64_t seed)
    : loop_(loop), shared_(std::move(shared)), random_(seed) {}

RouteLoop::~RouteLoop() {
  while (RouteConnection* const connection = connections_.pop_front()) delete connection;
}

Result<AdmissionPlace> RouteLoop::enter(const ServedRoute& route, const SocketAddress& remote) {
  Result<AdmissionPlace> place = route.gate->enter(remote);
  if (!place) counters_.refused_as(RouteError::overloaded).add();
  return place;
}

Result<std::unique_ptr<transport::ConnectionPlace>> RouteLoop::admit(const RouteSlot& slot,
                                                                     const SocketAddress& remote) {
  const ServedRoutePtr route = slot.get();
  if (closing_ || !route) return std::unexpected(closing_error());
  Result<AdmissionPlace> place = enter(*route, remote);
  if (!place) {
    Error why = std::move(place.error());
    why.detail = "route \"" + route->options.name + "\": " + why.detail;
    return std::unexpected(std::move(why));
  }
  return std::make_unique<PlaceAtListener>(*std::move(place));
}

void RouteLoop::accept(const RouteSlot& slot, std::unique_ptr<transport::Incoming> incoming) {
  const ServedRoutePtr route = slot.get();
  if (closing_ || !route) return incoming->reject(closing_error());
  // Every place of these listeners is admit()'s.
  const auto held = incoming->take_place();
  Result<AdmissionPlace> place = held ? Result<AdmissionPlace>(std::move(static_cast<PlaceAtListener&>(*held).place))
                                      : enter(*route, incoming->peer().remote);
  if (!place) {
    shared_->log.write(
        shared_->at_accept, loop_.now(), LogLevel::warning, "route connection not let in",
        {{"route", route->options.name}, {"client", incoming->peer().remote_url()}, {"error", place.error()}});
    return incoming->reject(place.error());
  }
  counters_.accepted.add();
  auto* const connection = new RouteConnection(*this, route, *std::move(place));
  connections_.push_back(*connection);
  ++connection_count_;
  connection->begin(std::move(incoming));
}

void RouteLoop::forget(RouteConnection& connection) {
  static_cast<ListNode<RouteConnection>&>(connection).unlink();
  --connection_count_;
  loop_.delete_later(std::unique_ptr<RouteConnection>(&connection));
  tell_if_none();
}

Duration RouteLoop::draw_delay(const RouteOptions& options) noexcept {
  // splitmix64: clients see its output only through a timer of milliseconds.
  std::uint64_t mixed = random_ += 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  mixed ^= mixed >> 31;
  const auto spread = static_cast<std::uint64_t>(options.refusal_delay_spread.count());
  return options.refusal_delay + Duration(static_cast<Duration::rep>(mixed % (spread + 1)));
}

// --- looking ---

void RouteLoop::look_soon() {
  if (Timer::armed()) return;
  const std::size_t turns = std::max<std::size_t>((connection_count_ + kLookAtMost - 1) / kLookAtMost, 1);
  loop_.arm(*this, after(loop_.now(), kLookEvery / static_cast<Duration::rep>(turns)));
}

void RouteLoop::on_timer() {
  for (std::size_t i = std::min(connection_count_, kLookAtMost); i != 0; --i) {
    RouteConnection& connection = *connections_.pop_front();
    connections_.push_back(connection);
    connection.look();
  }
  if (counters_.relays.read() != 0) look_soon();
}

std::size_t RouteLoop::dump(RouteDump what, std::vector<DumpLine>& to) {
  std::vector<std::pair<std::size_t, RouteConnection*>> waiting;
  for (std::size_t i = 0; i < connection_count_; ++i) {
    RouteConnection& connection = *connections_.pop_front();
    connections_.push_back(connection);
    if (what == RouteDump::connections) {
      if (i < RouteGateway::kDumpLinesMax) to.push_back({i, connection.describe()});
    } else if (const std::size_t bytes = connection.unsent(); bytes != 0) {
      waiting.emplace_back(bytes, &connection);
    }
  }
  if (what == RouteDump::connections) return connection_count_;
  const auto printed = std::min(waiting.size(), RouteGateway::kDumpLinesMax);
  std::ranges::partial_sort(waiting, waiting.begin() + static_cast<std::ptrdiff_t>(printed), std::ranges::greater(),
                            [](const auto& each) { return each.first; });
  for (std::size_t i = 0; i < printed; ++i)
    to.push_back({~std::uint64_t{waiting[i].first}, waiting[i].second->describe()});
  return waiting.size();
}

// --- the end ---

void RouteLoop::drain(std::function<void()> on_idle) {
  on_idle_ = std::move(on_idle);
  tell_if_none();
}

void RouteLoop::close_all(std::move_only_function<void()> done) {
  closing_ = true;
  on_idle_ = nullptr;
  on_closed_ = std::move(done);
  const CloseReason reason = CloseReason::local(ErrorCode::local_closed, "the gateway is closing");
  // Those that are told leave the list, or come back to its end.
  for (std::size_t i = connection_count_; i != 0; --i) {
    RouteConnection& connection = *connections_.pop_front();
    connections_.push_back(connection);
    connection.close(reason, kFarewell);
  }
  tell_if_none();
}

void RouteLoop::tell_if_none() {
  if (connection_count_ != 0) return;
  if (on_idle_) on_idle_();
  if (on_closed_) std::exchange(on_closed_, {})();
}

}  // namespace wayport::route
