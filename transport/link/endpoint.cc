#include "wayport/transport/link/endpoint.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "wayport/transport/link/endpoint_driver.h"

namespace wayport::link {
namespace {

constexpr std::size_t kBatchBytes = 64 * 1024;  // given to the stream at once
// What is left when nobody needs the physical connection any more may take so long to leave.
constexpr Linger kLastLinger{std::chrono::seconds(1)};

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

// --- VirtualConnection ---

// The time that a lingering close may take.
struct VirtualConnection::Drain final : Timer {
  explicit Drain(VirtualConnection& which) : connection(which) {}
  void on_timer() override {
    connection.driver_->core().abort(*connection.channel_, {});
    connection.driver_->touch();
  }
  VirtualConnection& connection;
};

VirtualConnection::VirtualConnection(std::shared_ptr<EndpointDriver> driver, std::unique_ptr<Channel> channel)
    : driver_(std::move(driver)), channel_(std::move(channel)) {
  channel_->context = this;
}

VirtualConnection::~VirtualConnection() { driver_->touch(); }

std::uint32_t VirtualConnection::id() const noexcept { return channel_->connection(); }
std::uint32_t VirtualConnection::remote_id() const noexcept { return channel_->remote(); }
std::size_t VirtualConnection::message_bytes_max() const noexcept { return driver_->core().payload_max(); }
std::size_t VirtualConnection::unsent_bytes() const noexcept { return channel_->unsent_bytes(); }
std::size_t VirtualConnection::unread_bytes() const noexcept { return channel_->unread_bytes(); }
const transport::PeerInfo& VirtualConnection::peer() const noexcept { return driver_->stream().peer(); }
Loop& VirtualConnection::loop() const noexcept { return driver_->loop(); }
unsigned VirtualConnection::scratch_depth() const noexcept { return driver_->stream().scratch_depth() + 1; }

void VirtualConnection::start(VirtualEvents& events) {
  WAYPORT_ASSERT(!events_, "a virtual connection is started once");
  events_ = &events;
  driver_->core().read(*channel_, true);
  driver_->touch();
}

void VirtualConnection::read(bool on) {
  driver_->core().read(*channel_, on);
  driver_->touch();
}

Result<Pressure> VirtualConnection::send(Chain&& message) {
  const Result<bool> room = driver_->core().send(*channel_, std::move(message));
  driver_->touch_output();
  if (!room) return fail(room.error());
  return *room ? Pressure::none : Pressure::high;
}

Result<Pressure> VirtualConnection::send(Bytes message) {
  Chain chain;
  if (message.size() <= message_bytes_max()) {
    chain.append(message);
    return send(std::move(chain));
  }
  return fail(ErrorCode::too_large, "a message of " + std::to_string(message.size()) + " bytes is more than " +
                                        std::to_string(message_bytes_max()) + " (packet_bytes_max - 4)");
}

bool VirtualConnection::has_room(std::size_t message_bytes) {
  return driver_->core().has_room(*channel_, message_bytes);
}

void VirtualConnection::close(CloseReason reason, Linger linger) {
  if (linger.time <= Duration::zero()) {
    driver_->core().abort(*channel_, std::move(reason));
  } else {
    driver_->core().close(*channel_, std::move(reason));
    if (!drain_) drain_ = std::make_unique<Drain>(*this);
    loop().arm(*drain_, after(loop().now(), linger.time));
  }
  driver_->touch();
}

// --- Endpoint ---

namespace {

class DialHandle final : public VirtualDial {
 public:
  DialHandle(std::weak_ptr<EndpointDriver> driver, std::uint64_t number)
      : driver_(std::move(driver)), number_(number) {}
  ~DialHandle() override {
    if (const auto driver = driver_.lock()) driver->cancel(number_);
  }

 private:
  const std::weak_ptr<EndpointDriver> driver_;
  const std::uint64_t number_;
};

}  // namespace

Endpoint::Endpoint(std::unique_ptr<Stream> stream, EndpointIdentity identity, const EndpointOptions& options,
                   EndpointEvents& events)
    : driver_(std::make_shared<EndpointDriver>(std::move(stream), std::move(identity), options, events)) {
  driver_->begin();
}
Endpoint::~Endpoint() { driver_->orphan(); }

std::unique_ptr<VirtualDial> Endpoint::dial(std::uint32_t remote, Duration timeout, OnVirtual on_done) {
  return std::make_unique<DialHandle>(driver_, driver_->dial(remote, timeout, std::move(on_done)));
}
void Endpoint::close(CloseReason reason, Linger linger) { driver_->close(std::move(reason), linger); }
bool Endpoint::ready() const noexcept { return driver_->core().ready() && !closed(); }
bool Endpoint::closed() const noexcept { return driver_->closed(); }
std::size_t Endpoint::virtual_count() const noexcept { return driver_->core().channel_count(); }
const EndpointCounters& Endpoint::counters() const noexcept { return driver_->core().counters(); }
Loop& Endpoint::loop() const noexcept { return driver_->loop(); }

// --- EndpointDriver ---

EndpointDriver::EndpointDriver(std::unique_ptr<Stream> stream, EndpointIdentity identity,
                               const EndpointOptions& options, EndpointEvents& events)
    : loop_(stream->loop()),
      stream_(std::move(stream)),
      events_(&events),
      core_(std::move(identity), options, loop_.now(), random_seed()) {}
EndpointDriver::~EndpointDriver() = default;

void EndpointDriver::begin() {
  keep_ = shared_from_this();
  loop_.at_close(*this);
  stream_->start(*this);
  touch();
}

void EndpointDriver::on_loop_close() noexcept { const std::shared_ptr<EndpointDriver> last = std::move(keep_); }

void EndpointDriver::orphan() noexcept {
  events_ = nullptr;
  touch();
}

std::uint64_t EndpointDriver::dial(std::uint32_t remote, Duration timeout, OnVirtual on_done) {
  const std::uint64_t number = next_number_++;
  const TimePoint due = timeout > Duration::zero() ? after(loop_.now(), timeout) : kNever;
  const Result<std::uint64_t> token = core_.dial(remote, due);
  if (token) {
    numbers_.emplace(*token, number);
    dials_.emplace(number, Dialing{*token, std::move(on_done), {}});
  } else {
    ++failed_dials_;
    dials_.emplace(number, Dialing{0, std::move(on_done), token.error()});
  }
  touch();
  return number;
}

void EndpointDriver::cancel(std::uint64_t number) noexcept {
  const auto dial = dials_.find(number);
  if (dial == dials_.end()) return;
  if (dial->second.token == 0) {
    --failed_dials_;
  } else {
    core_.cancel(dial->second.token);
    numbers_.erase(dial->second.token);
  }
  const Dialing dropped = std::move(dial->second);
  dials_.erase(dial);
  touch();
}

OnVirtual EndpointDriver::take_dial(std::uint64_t token) {
  const auto number = numbers_.find(token);
  if (number == numbers_.end()) return nullptr;
  const auto dial = dials_.find(number->second);
  OnVirtual on_done = std::move(dial->second.on_done);
  dials_.erase(dial);
  numbers_.erase(number);
  return on_done;
}

void EndpointDriver::close(CloseReason reason, Linger linger) {
  if (closing_) return;
  if (linger.time > Duration::zero()) flush();
  core_.handle_closed(reason);
  finish(reason, linger);
}

void EndpointDriver::finish(const CloseReason& reason, Linger linger) {
  if (std::exchange(closing_, true)) return;
  if (!reason_) reason_ = reason;
  loop_.disarm(*this);
  stream_->close(reason, linger);
  touch();
}

// --- the stream's events ---

std::size_t EndpointDriver::on_bytes(MutableBytes bytes, bool) {
  const auto self = shared_from_this();
  reconnect_tried_ = false;
  std::size_t consumed = 0;
  for (;;) {
    EndpointCore::Event event;
    consumed += core_.handle_bytes(bytes.subspan(consumed), loop_.now(), event);
    if (!event) break;
    handle(std::move(event));
  }
  if (closing_) return bytes.size();
  if (!core_.wants_bytes() && std::exchange(reading_, false)) stream_->read(false);
  touch();
  return consumed;
}

void EndpointDriver::on_writable() {
  lower_high_ = false;
  core_.handle_pressure(false);
  // Here and not at turn end: a stream puts off what is written in its on_writable(), so that no fast pair holds the
  // loop.
  flush();
  touch();
}

void EndpointDriver::on_read_end() {
  const auto self = shared_from_this();
  core_.handle_closed(CloseReason::peer(ErrorCode::peer_closed,
                                        "the gateway " + stream_->peer().remote_url() + " closed the connection"));
  tell_events();
}

void EndpointDriver::on_closed(const CloseReason& reason) {
  const auto self = shared_from_this();
  keep_.reset();
  closing_ = true;
  loop_.disarm(*this);
  core_.handle_closed(reason);
  tell_events();
  if (events_) std::exchange(events_, nullptr)->on_closed(reason_ ? *reason_ : reason);
}

void EndpointDriver::on_timer() {
  core_.tick(loop_.now());
  touch();
}

void EndpointDriver::on_turn_end() {
  const auto self = shared_from_this();
  tell_events();
  flush();
  settle();
}

// --- carrying ---

void EndpointDriver::tell_events() {
  while (EndpointCore::Event event = core_.next_event()) handle(std::move(event));
  if (failed_dials_ == 0) return;
  std::vector<Dialing> failed;
  for (auto dial = dials_.begin(); dial != dials_.end();) {
    if (dial->second.token == 0) failed.push_back(std::move(dial->second));
    dial = dial->second.token == 0 ? dials_.erase(dial) : std::next(dial);
  }
  failed_dials_ = 0;
  for (Dialing& dial : failed) dial.on_done(fail(std::move(dial.error)));
}

void EndpointDriver::handle(EndpointCore::Event event) {
  using Kind = EndpointCore::Event::Kind;
  VirtualConnection* const connection =
      event.channel && !event.fresh ? static_cast<VirtualConnection*>(event.channel->context) : nullptr;
  const auto adopt = [&] {
    return std::unique_ptr<VirtualConnection>(new VirtualConnection(shared_from_this(), std::move(event.fresh)));
  };
  switch (event.kind) {
    case Kind::none:
      return;
    case Kind::message:
      return show(*connection, event);
    case Kind::ready:
      if (events_) events_->on_ready();
      return;
    case Kind::connected: {
      if (!events_) return;  // it closes itself
      return events_->on_connected(adopt());
    }
    case Kind::dialed:
      if (OnVirtual on_done = take_dial(event.dial)) on_done(adopt());
      return;
    case Kind::dial_failed:
      if (OnVirtual on_done = take_dial(event.dial)) on_done(fail(std::move(event.reason.error)));
      return;
    case Kind::writable:
      return connection->events_->on_writable();
    case Kind::closed: {
      if (connection->drain_) loop_.disarm(*connection->drain_);
      return connection->events_->on_closed(event.reason);
    }
    case Kind::ping_timeout:
      if (!std::exchange(reconnect_tried_, true) && stream_->reconnect_now()) {
        return core_.handle_reconnecting(loop_.now());
      }
      if (events_ && events_->on_ping_timeout()) return;
      core_.handle_closed(event.reason);
      return;
    case Kind::broken:
      if (!reason_) reason_ = event.reason;
      return finish(event.reason, {});
  }
}

void EndpointDriver::show(VirtualConnection& connection, const EndpointCore::Event& event) {
  if (!event.pieces) {
    // Scratch space of the stream, or a chunk that is ours.
    return connection.events_->on_message({const_cast<std::byte*>(event.whole.data()), event.whole.size()});
  }
  const std::size_t size = event.message_bytes();
  MutableBytes to = loop_.scratch(stream_->scratch_depth() + 1);
  std::vector<std::byte> large;
  if (size > to.size()) {
    large.resize(size);
    to = large;
  }
  event.pieces->copy_to(to.first(size), kFrameHeaderBytes);
  connection.events_->on_message(to.first(size));
}

void EndpointDriver::touch_output() {
  if (core_.unsent_bytes() >= kBatchBytes && !lower_high_) flush();
  touch();
}

void EndpointDriver::flush() {
  while (!closing_ && !lower_high_ && core_.has_output()) {
    Chain batch;
    core_.take_output(batch, kBatchBytes, loop_.now());
    lower_high_ = stream_->write(std::move(batch)) == Pressure::high;
  }
  core_.handle_pressure(lower_high_);
}

// What the turn has changed for the stream and the timer.
void EndpointDriver::settle() {
  if (closing_) return;
  if (core_.has_event()) touch();
  if (!reading_ && core_.wants_bytes()) {
    reading_ = true;
    stream_->read(true);
  }
  if (!events_ && core_.channel_count() == 0 && dials_.empty() && !core_.has_output() && !core_.has_event()) {
    return finish(CloseReason::local(ErrorCode::local_closed, "no virtual connection is left"), kLastLinger);
  }
  // Traffic only moves deadlines back: the timer need not follow.
  const TimePoint due = core_.next_due();
  if (!armed() || due < armed_for_) loop_.arm(*this, armed_for_ = due);
}

}  // namespace wayport::link
