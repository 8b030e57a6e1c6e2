#include "wayport/gateway/link/testing/arena.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::link::testing {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kWiresMax = 40;   // ever, in one arena: the reference looks at all of them
constexpr std::size_t kBatchesMax = 3;  // in a mailbox; then it is full, and outboxes grow
constexpr std::uint32_t kServerIds[] = {0, 1, 2, 0xffffffff};

}  // namespace

RigSettings Arena::settings(Choices& choices) {
  RigSettings settings;
  settings.manual_mail = true;
  settings.loops = 1 + choices.below(3);
  settings.first_connection_id = choices.below(4) == 0 ? 0xffffffff - choices.below(40) : 1;
  settings.hash_seed = choices.below(1u << 30);
  SwitchOptions& options = settings.options;
  options.packet_bytes_max = 1000;
  options.client_virtual_max = choices.below(4);
  options.slow_policy = static_cast<SlowPolicy>(choices.below(3));
  options.close_replaced_server = choices.below(4) == 0;
  options.clients_max = 1 + choices.below(20);
  options.servers_max = 1 + choices.below(8);
  options.handshakes_max = 1 + choices.below(4);
  options.virtual_max = choices.below(4) == 0 ? 1 + choices.below(6) : 1000;
  const std::uint32_t scale = choices.below(2) == 0 ? 1 : 8;  // tight bounds, or wide ones
  options.virtual_queue = {1004 + scale * choices.below(1000), 1 + scale * choices.below(8)};
  options.client_queue = {1004 + scale * choices.below(3000), 1 + scale * choices.below(12)};
  options.server_queue = {1004 + scale * choices.below(6000), 1 + scale * choices.below(30)};
  options.command_reserve_bytes = 1024;
  options.process_bytes_max = settings.loops * (1004 + scale * choices.below(8000));
  options.mail_bytes_max = 1004 + scale * choices.below(3000);
  options.server_dials_max = 1 + choices.below(6);
  if (choices.below(4) == 0) {
    options.client_idle_timeout = milliseconds(50 + choices.below(300));
    options.server_idle_timeout = milliseconds(50 + choices.below(300));
    options.handshake_timeout = milliseconds(20 + choices.below(100));
  } else {
    options.client_idle_timeout = options.server_idle_timeout = options.handshake_timeout = Duration::zero();
  }
  return settings;
}

Arena::Arena(Choices& choices)
    : choices_(choices),
      settings_(settings(choices)),
      rig_(settings_),
      reference_(settings_.options, settings_.loops, settings_.first_connection_id, rig_.now()) {}
Arena::~Arena() = default;

Wire* Arena::any(bool readable) {
  std::vector<Wire*> all;
  for (const auto& wire : rig_.wires()) {
    if (wire->port == nullptr || (readable && (!wire->reading || !wire->port->authenticated()))) continue;
    all.push_back(wire.get());
  }
  return all.empty() ? nullptr : all[choices_.below(static_cast<std::uint32_t>(all.size()))];
}

std::uint32_t Arena::any_connection() {
  const std::vector<std::uint32_t> all = reference_.connections();
  if (chance(30)) return chance(2) ? choices_.below(60) : 5000 + choices_.below(10);
  if (all.empty()) return 0;
  return all[choices_.below(static_cast<std::uint32_t>(all.size()))];
}

std::uint32_t Arena::server_id() { return chance(2) ? 1 : kServerIds[choices_.below(4)]; }

// Mostly one that is there.
std::uint32_t Arena::id_to_dial(Side dialer) {
  std::vector<std::uint32_t> ids;
  for (const auto& wire : rig_.wires()) {
    if (wire->port != nullptr && wire->side != dialer && wire->port->authenticated()) ids.push_back(wire->port->id());
  }
  if (!ids.empty() && !chance(5)) return ids[choices_.below(static_cast<std::uint32_t>(ids.size()))];
  return dialer == Side::client ? server_id() : choices_.below(12);
}

void Arena::step() {
  if (chance(2)) rig_.set_now(rig_.now() + milliseconds(1));
  switch (choices_.below(32)) {
    case 0:
    case 1:
      open_one();
      break;
    case 2:
    case 3:
      authenticate_one();
      break;
    case 4:
    case 5:
    case 6:
      dial_one();
      break;
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
      data_one();
      break;
    case 14:
    case 15:
      close_one();
      break;
    case 16:
      if (Wire* const wire = any(true)) {
        for (std::uint32_t i = chance(20) ? choices_.below(400) : 1; i-- > 0 && wire->port != nullptr;) {
          send_frame(*wire, command(Command::ping()));
        }
      }
      break;
    case 17:
      if (chance(30)) hostile_one();
      break;
    case 18:
      if (Wire* const wire = any(false); wire != nullptr && chance(8)) {
        rig_.hang_up(*wire);
        reference_.hang_up(wire->number);
        ++seen_["hang up"];
      }
      break;
    case 19:
      if (Wire* const wire = any(false)) {
        wire->stuck = !wire->stuck && chance(2);
        if (wire->stuck) {
          stuck_.insert(wire->number);
        } else {
          stuck_.erase(wire->number);
        }
      }
      break;
    case 20:
    case 21:
      drain_one();
      break;
    case 22:
    case 23:
    case 24: {
      const unsigned loop = choices_.below(settings_.loops);
      rig_.end_turn(loop);
      reference_.end_turn(loop, stuck_);
      collect_all(loop);
      break;
    }
    case 25:
    case 26:
    case 27:
    case 28:
      deliver_one();
      break;
    case 29:
    case 30:
      pass_time();
      break;
    case 31:
      if (chance(30)) {
        const unsigned loop = choices_.below(settings_.loops);
        const bool on = chance(2);
        rig_.at(loop).set_draining(on);
        reference_.set_draining(loop, on);
      }
      break;
  }
  compare();
}

void Arena::open_one() {
  if (rig_.wires().size() >= kWiresMax) return;
  // Most early, so that there is somebody.
  if (rig_.wires().size() > 12 && !chance(6)) return;
  const Side side = chance(3) ? Side::server : Side::client;
  const unsigned loop = choices_.below(settings_.loops);
  Wire& wire = rig_.open(side, loop);
  const bool let_in = reference_.open(side, loop, rig_.now());
  WAYPORT_ASSERT(let_in == (wire.port != nullptr), "the same are let in");
  endpoints_.resize(rig_.wires().size());
  if (!let_in) {
    ++seen_["not let in"];
  } else if (side == Side::client) {
    WAYPORT_ASSERT(wire.port->id() == reference_.peers()[wire.number].id, "clients get the same ids");
  }
}

void Arena::authenticate_one() {
  for (const auto& wire : rig_.wires()) {
    if (wire->port == nullptr || wire->port->authenticated()) continue;
    const std::uint32_t id = server_id();
    const bool let_in = rig_.authenticate(*wire, id);
    WAYPORT_ASSERT(reference_.authenticate(wire->number, id, rig_.now()) == let_in, "the same servers are let in");
    ++seen_[let_in ? "server" : "server too many"];
    return;
  }
}

void Arena::send_frame(Wire& wire, const std::string& frame) {
  rig_.receive(wire, frame);
  reference_.frame(wire.number, frame, rig_.now());
}

void Arena::dial_one() {
  Wire* const wire = any(true);
  if (wire == nullptr) return;
  const std::uint32_t id = id_to_dial(wire->side);
  ++endpoints_[wire->number].dials[id];
  send_frame(*wire, command(Command::dial(id)));
}

void Arena::data_one() {
  const std::uint32_t connection = any_connection();
  const std::optional<unsigned> owner = chance(2) ? reference_.client_of(connection) : reference_.server_of(connection);
  Wire* wire = owner && !chance(100) ? rig_.wires()[*owner].get() : any(true);
  if (connection == 0 || wire == nullptr || wire->port == nullptr || !wire->reading) return;
  Endpoint& endpoint = endpoints_[wire->number];
  std::string payload(4 + (chance(4) ? choices_.below(990) : choices_.below(40)), 'x');
  store_le(reinterpret_cast<std::byte*>(payload.data()), endpoint.sent[connection]++);
  if (!endpoint.connections[connection].open) ++endpoint.strays[connection];
  send_frame(*wire, data(connection, payload));
  ++seen_["data"];
}

void Arena::close_one() {
  const std::uint32_t connection = any_connection();
  const std::optional<unsigned> owner = chance(2) ? reference_.client_of(connection) : reference_.server_of(connection);
  Wire* wire = owner && !chance(50) ? rig_.wires()[*owner].get() : any(true);
  if (wire == nullptr || wire->port == nullptr || !wire->reading) return;
  send_frame(*wire, command(Command::close(connection)));
  ++seen_["close"];
}

void Arena::hostile_one() {
  Wire* const wire = any(true);
  if (wire == nullptr) return;
  std::string bytes = command(Command::dial(1));
  switch (choices_.below(3)) {
    case 0:  // a length that no frame has
      bytes.resize(4);
      store_le(reinterpret_cast<std::byte*>(bytes.data()), chance(2) ? 1001u : choices_.below(4));
      rig_.receive(*wire, bytes);
      reference_.malformed(wire->number);
      break;
    case 1:  // a command that endpoints do not send, or none
      bytes[8] = static_cast<char>(chance(2) ? 1 + choices_.below(3) : 6 + choices_.below(250));
      send_frame(*wire, bytes);
      break;
    default:  // cut
      bytes.resize(8 + choices_.below(5));
      store_le(reinterpret_cast<std::byte*>(bytes.data()), static_cast<std::uint32_t>(bytes.size() - 4));
      send_frame(*wire, bytes);
      break;
  }
  WAYPORT_ASSERT(wire->closed, "who breaks the format is closed");
  ++seen_["hostile"];
}

void Arena::drain_one() {
  std::vector<Wire*> slow;
  for (const auto& wire : rig_.wires()) {
    if (wire->port != nullptr && wire->port->slow()) slow.push_back(wire.get());
  }
  if (slow.empty()) return;
  Wire& wire = *slow[choices_.below(static_cast<std::uint32_t>(slow.size()))];
  const std::size_t bytes = chance(3) ? wire.unsent : choices_.below(static_cast<std::uint32_t>(wire.unsent) + 1);
  const bool tell = chance(2);
  rig_.drain(wire, bytes, tell);
  reference_.drain(wire.number, bytes, tell);
  ++seen_["drain"];
}

void Arena::collect_all(unsigned from) {
  for (unsigned to = 0; to < settings_.loops; ++to) {
    if (rig_.batches(from, to) >= kBatchesMax) continue;
    rig_.collect_mail(from, to);
    reference_.collect(from, to);
  }
}

void Arena::deliver_one() {
  std::vector<std::pair<unsigned, unsigned>> full;
  for (unsigned from = 0; from < settings_.loops; ++from) {
    for (unsigned to = 0; to < settings_.loops; ++to) {
      if (rig_.batches(from, to) != 0) full.emplace_back(from, to);
    }
  }
  if (full.empty()) return;
  const auto [from, to] = full[choices_.below(static_cast<std::uint32_t>(full.size()))];
  WAYPORT_ASSERT(rig_.front_size(from, to) == reference_.front_size(from, to), "as many messages as steps");
  rig_.deliver(from, to);
  reference_.deliver(from, to, rig_.now());
  ++seen_["batch"];
}

void Arena::pass_time() {
  rig_.set_now(rig_.now() + milliseconds(choices_.below(40)));
  const unsigned loop = choices_.below(settings_.loops);
  rig_.take_closed();
  rig_.tick(loop);
  std::vector<unsigned> closed;
  for (const Wire* const wire : rig_.take_closed()) closed.push_back(wire->number);
  WAYPORT_ASSERT(reference_.tick(loop, rig_.now(), closed), "the same are idle");
  if (!closed.empty()) ++seen_["idle"];
}

void Arena::compare() {
  const std::vector<unsigned> sent_to = rig_.take_sent_to(), expected_to = reference_.take_sent_to();
  for (const auto& wire : rig_.wires()) {
    Reference::Peer& peer = reference_.peers()[wire->number];
    const std::string out = wire->take();
    const std::string expected = std::exchange(peer.out, {});
    if (out != expected) {
      std::cerr << "wire " << wire->number << " was sent\n  " << to_hex(as_bytes(out))
                << "\nbut should have been sent\n  " << to_hex(as_bytes(expected)) << '\n';
    }
    WAYPORT_ASSERT(out == expected, "the same is sent");
    WAYPORT_ASSERT((wire->port != nullptr) == peer.open, "the same are open");
    if (peer.open) {
      WAYPORT_ASSERT(wire->reading == reference_.reading(peer), "the same are read");
      WAYPORT_ASSERT(wire->port->slow() == peer.slow, "the same are slow");
      WAYPORT_ASSERT(wire->port->queued() == peer.known, "as much is known to be unsent");
      WAYPORT_ASSERT(wire->port->virtual_count() == peer.ends.size(), "as many connections");
      if (!wire->reading) ++seen_["paused"];
      if (peer.slow) ++seen_["slow"];
    } else if (!wire->closed) {
      peer.unsent = wire->unsent = 0;
    }
    if (!out.empty()) watch(*wire, out);
  }
  WAYPORT_ASSERT(sent_to == expected_to, "and in the same order, for all together");
}

void Arena::watch(Wire& wire, const std::string& out) {
  Endpoint& endpoint = endpoints_[wire.number];
  for (const std::string& frame : frames_of(out)) {
    const auto connection = load_le<std::uint32_t>(as_bytes(frame).data() + 4);
    if (connection != 0) {
      View& view = endpoint.connections[connection];
      WAYPORT_ASSERT(view.open, "data comes after Accept or Connect, and before Close");
      WAYPORT_ASSERT(load_le<std::uint32_t>(as_bytes(frame).data() + 8) == view.next_data,
                     "data comes in order, whole");
      ++view.next_data;
      continue;
    }
    const Command got = decode_command(as_bytes(frame).subspan(8)).value();
    switch (got.type) {
      case CommandType::accept:
      case CommandType::refuse:
        WAYPORT_ASSERT(endpoint.dials[got.remote]-- != 0, "an answer has its dial");
        ++seen_[std::string(to_string(got.type))];
        if (got.type == CommandType::refuse) break;
        [[fallthrough]];
      case CommandType::connect: {
        View& view = endpoint.connections[got.connection];
        WAYPORT_ASSERT(!view.was_open, "ids are not used twice");
        view = {true, true, 0};
        // What was sent to the id before was answered as stray; the other end counts from here.
        endpoint.sent[got.connection] = 0;
        break;
      }
      case CommandType::close: {
        View& view = endpoint.connections[got.connection];
        WAYPORT_ASSERT(view.open || endpoint.strays[got.connection]-- != 0, "a Close ends what is open");
        view.open = false;
        break;
      }
      case CommandType::ping:
        break;
      default:
        WAYPORT_ASSERT(false, "a gateway does not dial");
    }
  }
}

void Arena::to_quiet() {
  for (bool busy = true; busy;) {
    busy = false;
    for (unsigned from = 0; from < settings_.loops; ++from) {
      rig_.end_turn(from);
      reference_.end_turn(from, stuck_);
      for (unsigned to = 0; to < settings_.loops; ++to) {
        rig_.collect_mail(from, to);
        reference_.collect(from, to);
        while (rig_.batches(from, to) != 0) {
          busy = true;
          WAYPORT_ASSERT(rig_.front_size(from, to) == reference_.front_size(from, to), "as many messages as steps");
          rig_.deliver(from, to);
          reference_.deliver(from, to, rig_.now());
        }
      }
    }
    compare();
  }
}

// With no mail under way, both ends of everything that is open are connected and know of it.
void Arena::check_agreement() {
  std::map<std::uint32_t, int> ends;
  for (const auto& wire : rig_.wires()) {
    if (wire->port == nullptr) continue;
    const Endpoint& endpoint = endpoints_[wire->number];
    for (const auto& [id, count] : endpoint.dials) WAYPORT_ASSERT(count == 0, "every dial was answered");
    for (const auto& [connection, view] : endpoint.connections) {
      if (view.open) ++ends[connection];
    }
  }
  for (const auto& [connection, count] : ends) {
    WAYPORT_ASSERT(count == 2, "a connection is open at both ends");
  }
  WAYPORT_ASSERT(ends.size() == rig_.group().ids().alive(), "and the gateway knows the same ones");
  for (std::uint32_t id : kServerIds) {
    for (unsigned loop = 1; loop < settings_.loops; ++loop) {
      WAYPORT_ASSERT(rig_.at(loop).find_server(id) == rig_.at(0).find_server(id), "all loops know the same servers");
    }
  }
}

void Arena::finish() {
  to_quiet();
  check_agreement();
  stuck_.clear();
  for (const auto& wire : rig_.wires()) {
    wire->stuck = false;
    rig_.hang_up(*wire);
    reference_.hang_up(wire->number);
  }
  to_quiet();
  WAYPORT_ASSERT(reference_.connections().empty(), "the reference forgets all");
  WAYPORT_ASSERT(rig_.group().ids().alive() == 0, "no connection is left");
  WAYPORT_ASSERT(rig_.group().clients.taken() + rig_.group().servers.taken() + rig_.group().handshakes.taken() == 0,
                 "no place is left taken");
  for (unsigned loop = 0; loop < settings_.loops; ++loop) {
    const Switch& core = rig_.at(loop);
    WAYPORT_ASSERT(core.port_count() + core.client_ends() + core.server_ends() == 0, "nothing is left");
    for (const Gauge* const gauge :
         {&core.counters().clients, &core.counters().servers, &core.counters().handshakes, &core.counters().virtuals,
          &core.counters().queued_bytes, &core.counters().slow, &core.counters().paused}) {
      WAYPORT_ASSERT(gauge->read() == 0, "gauges are back at zero");
    }
    for (const std::uint32_t id : kServerIds) {
      WAYPORT_ASSERT(!core.find_server(id), "no server is left");
    }
  }
  for (const auto& [name, counter] : std::initializer_list<std::pair<const char*, Counter SwitchCounters::*>>{
           {"takeover", &SwitchCounters::takeovers},
           {"replaced", &SwitchCounters::replaced},
           {"crossed", &SwitchCounters::crossed},
           {"stray", &SwitchCounters::strays},
           {"foreign data", &SwitchCounters::foreign_data},
           {"foreign close", &SwitchCounters::foreign_closes},
           {"absent", &SwitchCounters::refused_absent},
           {"client full", &SwitchCounters::refused_client_full},
           {"virtual max", &SwitchCounters::refused_virtual_max},
           {"draining", &SwitchCounters::refused_draining},
           {"cut slow", &SwitchCounters::cut_slow},
           {"cut commands", &SwitchCounters::cut_commands},
           {"cut process", &SwitchCounters::cut_process_bytes},
           {"cut dials", &SwitchCounters::cut_dials},
           {"closed virtual queue", &SwitchCounters::closed_virtual_queue},
           {"closed client queue", &SwitchCounters::closed_client_queue},
           {"closed server queue", &SwitchCounters::closed_server_queue},
           {"closed process", &SwitchCounters::closed_process_bytes},
           {"closed mail full", &SwitchCounters::closed_mail_full},
           {"pause", &SwitchCounters::pauses},
           {"over mail", &SwitchCounters::frames_over_mail}}) {
    seen_[name] += rig_.sum(counter);
  }
}

}  // namespace wayport::link::testing
