// Whatever a client sends and when it leaves: it gets at most one answer, success or "error", and then nothing but the
// backend's bytes; nothing is dialed that the allow list refuses; the backend gets what lay behind the identify, in order;
// and when the client has left nothing is kept of it. Who stays, and has said its identify in time, does get an answer:
// success and then every byte both ways if the target is allowed and the input has nothing fail, else "error".
//
// Input: three bytes (how names resolve and dials go, options, pieces), then operations of one byte and what they need.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/gateway/route/resolver_registry.h"
#include "wayport/gateway/route/route_gateway.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace {

using namespace wayport;
using namespace wayport::route;
using namespace std::chrono_literals;

constexpr std::size_t kBlockBytes = 48 * 1024;
constexpr std::size_t kOperationsMax = 200;
// More than dial_timeout and what is late; after connect_timeout still less than any idle time.
constexpr Duration kAnswerTime = 6s;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Input {
  const std::uint8_t* data;
  std::size_t size;

  std::uint8_t next() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
  std::string take(std::size_t count) {
    count = std::min(count, size);
    std::string text(reinterpret_cast<const char*>(data), count);
    data += count;
    size -= count;
    return text;
  }
};

// Calls, after a time or never.
template <class Base>
class Later final : public Base, private Timer {
 public:
  Later(Loop& loop, Duration when, std::move_only_function<void()> call, int& alive)
      : call_(std::move(call)), alive_(alive) {
    ++alive_;
    if (when != Duration::max()) loop.arm(*this, after(loop.now(), when));
  }
  ~Later() { --alive_; }

 private:
  void on_timer() override {
    auto call = std::move(call_);
    call();  // `this` may be gone
  }
  std::move_only_function<void()> call_;
  int& alive_;
};

struct World {
  enum class Goes : std::uint8_t { at_once, late, fails, never };

  static Goes goes(std::uint8_t bits) { return static_cast<Goes>(bits & 3); }
  static Duration time_of(Goes how) {
    return how == Goes::never ? Duration::max() : how == Goes::at_once ? Duration::zero() : Duration(500ms);
  }

  bool can_connect() const {
    const auto ends_well = [](Goes how) { return how == Goes::at_once || how == Goes::late; };
    return ends_well(resolves) && ends_well(dials);
  }

  Goes resolves = Goes::at_once, dials = Goes::at_once;
  int alive = 0;  // resolutions and dials
  std::unique_ptr<transport::Stream> backend;
  transport::RecordingEvents backend_events;
  std::size_t connected = 0;
};

class Backends final : public transport::Transport {
 public:
  explicit Backends(World& world) : world_(world) {}
  std::unique_ptr<transport::Dial> dial(const transport::Transports&, Loop& loop, const transport::Address& address,
                                        const transport::DialOptions& options,
                                        transport::OnDialed on_done) const override {
    check(address.host().starts_with("10.") && address.port() >= 1000);
    check(world_.connected == 0);
    auto call = [this, &loop, stream = options.stream, on_done = std::move(on_done)]() mutable {
      if (world_.dials == World::Goes::fails) return on_done(fail(ErrorCode::refused, "as the input says"));
      transport::MemoryPair pair = transport::make_memory_pair(loop, loop, {.stream = stream});
      world_.backend = std::move(pair.b);
      world_.backend->start(world_.backend_events);
      ++world_.connected;
      on_done(std::move(pair.a));
    };
    return std::make_unique<Later<transport::Dial>>(loop, World::time_of(world_.dials), std::move(call), world_.alive);
  }
  Result<std::unique_ptr<transport::Listener>> listen(const transport::Transports&, Loop&, const transport::Address&,
                                                      const transport::ListenOptions&) const override {
    return fail(ErrorCode::unsupported, "backends only");
  }

 private:
  World& world_;
};

class Names final : public Resolver {
 public:
  explicit Names(World& world) : world_(world) {}
  std::unique_ptr<Resolution> resolve(Loop& loop, const ResolveRequest& request, OnOutcome on_done) override {
    Result<Target> target = parse_target(request.identify);
    auto call = [this, target = std::move(target), on_done = std::move(on_done)]() mutable {
      if (world_.resolves == World::Goes::fails) return on_done(refuse(RouteError::unauthorized, "as the input says"));
      if (!target) return on_done(refuse(RouteError::bad_request, "no target"));
      Resolved resolved;
      resolved.backends.push_back({*std::move(target), std::nullopt});
      on_done(std::move(resolved));
    };
    return std::make_unique<Later<Resolution>>(loop, World::time_of(world_.resolves), std::move(call), world_.alive);
  }

 private:
  World& world_;
};

// Bytes of the identify with its length; nullopt: it is not whole, or of no length that is allowed.
std::optional<std::size_t> identify_frame(std::string_view sent) {
  if (sent.size() < 4) return std::nullopt;
  const std::size_t size = load_le<std::uint32_t>(as_bytes(sent).data());
  if (size == 0 || size > kIdentifyBytesMax || sent.size() < 4 + size) return std::nullopt;
  return 4 + size;
}

// Read by hand: 10.x.y.z and a port from 1000 on, as the allow list has it.
bool is_allowed(std::string_view target) {
  const auto number = [&target](char after) {
    const std::size_t end = after == 0 ? target.size() : std::min(target.find(after), target.size());
    const std::string_view digits = target.substr(0, end);
    target.remove_prefix(std::min(end + 1, target.size()));
    const bool plain = !digits.empty() && digits.size() <= 5 && (digits == "0" || !digits.starts_with('0')) &&
                       digits.find_first_not_of("0123456789") == std::string_view::npos;
    return plain ? std::stoi(std::string(digits)) : -1;
  };
  const auto is_byte = [](int value) { return value >= 0 && value <= 255; };
  const bool in_ten = number('.') == 10;
  const bool second = is_byte(number('.')), third = is_byte(number('.')), fourth = is_byte(number(':'));
  const int port = number(0);
  return in_ten && second && third && fourth && port >= 1000 && port <= 65535;
}

// What is said behind a whole identify frame.
std::string behind_identify(std::string_view sent) {
  if (sent.size() < 4) return {};
  const std::size_t frame = std::size_t{4} + load_le<std::uint32_t>(as_bytes(sent).data());
  return std::string(sent.substr(std::min(frame, sent.size())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input{data, size};
  World world;
  const std::uint8_t goes = input.next();
  world.resolves = World::goes(goes);
  world.dials = World::goes(goes >> 2);
  const std::uint8_t flags = input.next();
  const std::size_t show = input.next();

  ManualClock clock;
  Runtime runtime({.loops = 1, .log = &null_log(), .clock = &clock, .start_threads = false});
  Loop& loop = runtime.loop(0);
  transport::Transports all;
  all.add("mem", std::make_shared<transport::MemoryTransport>(transport::MemoryOptions{.show_bytes_max = show}));
  all.add("tcp", std::make_shared<Backends>(world));
  ResolverRegistry resolvers;
  resolvers.add("names", [&world](const SettingsTable&, const ResolverContext&) -> Result<std::shared_ptr<Resolver>> {
    return std::make_shared<Names>(world);
  });
  RouteOptions route;
  route.listen = {"mem://gate"};
  route.resolver = "names";
  route.allow = {"10.0.0.0/8:1000-65535"};
  route.dial_retry = 0;
  route.success_message = (flags & 1) != 0 ? "" : "ok";
  route.idle_timeout = (flags & 2) != 0 ? Duration(20s) : Duration::zero();
  const std::string success = (flags & 1) != 0 ? std::string(4, '\0') : std::string("\2\0\0\0ok", 6);
  RouteGateway gateway(runtime, {.routes = {route}, .transports = &all, .resolvers = &resolvers});
  check(gateway.start().has_value());

  std::unique_ptr<transport::Stream> client;
  transport::RecordingEvents events;
  const auto dial = all.dial(loop, transport::Address::parse("mem://gate").value(), {},
                             [&](Result<std::unique_ptr<transport::Stream>> stream) { client = *std::move(stream); });
  loop.advance(Duration::zero());
  check(client != nullptr);
  client->start(events);

  std::string sent, from_backend;
  bool ended = false, backend_ended = false, backend_left = false, paused = false;
  Duration passed = Duration::zero();
  for (std::size_t count = 0; input.size != 0 && count < kOperationsMax; ++count) {
    const std::uint8_t operation = input.next();
    switch (operation % 8) {
      case 0:
      case 1: {
        const std::string bytes = operation % 8 == 0 ? input.take(operation / 8 + 1u)
                                                     : std::string(kBlockBytes, static_cast<char>(operation));
        if (client && !ended && sent.size() < 16 * kBlockBytes) {
          sent += bytes;
          client->write(transport::chain_of(bytes));
        }
        break;
      }
      case 2:
        passed += Duration(10ms) * (operation / 8 * (operation / 8));
        loop.advance(Duration(10ms) * (operation / 8 * (operation / 8)));
        break;
      case 3:
        if (client) client->shutdown_write();
        ended = true;
        break;
      case 4:
        if (client) client->read((operation & 8) != 0);
        paused = paused || (operation & 8) == 0;
        break;
      case 5:
        if (world.backend && !world.backend_events.closed) {
          const std::string bytes = input.take(operation / 8 + 1u);
          if (!backend_ended) from_backend += bytes;
          world.backend->write(transport::chain_of(bytes));
          if ((operation & 8) != 0) world.backend->shutdown_write();
          backend_ended = backend_ended || (operation & 8) != 0;
        }
        break;
      case 6:
        if ((operation & 8) != 0 && world.backend) {
          backend_left = true;
          world.backend.reset();
        }
        if ((operation & 16) != 0) client.reset();
        break;
      case 7:
        check(gateway.reload({route}).has_value());
        break;
    }
    loop.advance(Duration::zero());
    check(gateway.connection_count() <= 1 && world.connected <= 1 && world.alive <= 2);
  }
  const std::optional<std::size_t> frame = identify_frame(sent);
  const bool served = client && frame && passed < route.connect_timeout;
  if (served) {
    client->read(true);
    loop.advance(kAnswerTime);
  }
  const std::string_view received = events.received;
  if (served) {
    const bool good = is_allowed(std::string_view(sent).substr(4, *frame - 4)) && world.can_connect();
    if (good && !backend_left) {
      check(received == success + from_backend);
      check(world.backend_events.received == behind_identify(sent));
    }
    // What is not drained or not read may be lost to the end of the connection.
    if (!good && !paused && sent.size() - *frame <= route.refusal_drain_bytes) check(received == kErrorAnswer);
  }
  if (world.connected != 0) {
    check((success + from_backend).starts_with(received));
    check(behind_identify(sent).starts_with(world.backend_events.received));
  } else {
    check(kErrorAnswer.starts_with(received));
  }
  check(events.faults.empty() && world.backend_events.faults.empty());

  client.reset();
  world.backend.reset();
  loop.advance(2min);
  check(gateway.connection_count() == 0);
  check(world.alive == 0);
  return 0;
}
