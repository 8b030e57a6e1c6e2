#include "wayport/gateway/link/testing/reference.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::link::testing {

Reference::Reference(const SwitchOptions& options, unsigned loops, std::uint32_t first_connection_id, TimePoint now)
    : options_(options), loops_(loops), boxes_(std::size_t{loops} * loops), next_connection_(first_connection_id) {
  peers_.reserve(100'000);  // addresses stay
  for (unsigned loop = 0; loop < loops; ++loop) {
    loops_[loop].now = now;
    loops_[loop].next_client_id = loop + 1;
  }
}

Reference::ClientEnd* Reference::client_end(unsigned loop, std::uint32_t connection) {
  const auto found = client_ends_.find(connection);
  return found != client_ends_.end() && peers_[found->second.client].loop == loop ? &found->second : nullptr;
}
Reference::ServerEnd* Reference::server_end(unsigned loop, std::uint32_t connection) {
  const auto found = server_ends_.find(connection);
  return found != server_ends_.end() && peers_[found->second.server].loop == loop ? &found->second : nullptr;
}

// --- connections come and go ---

bool Reference::open(Side side, unsigned loop, TimePoint now) {
  loops_[loop].now = now;
  std::size_t others = 0;
  for (const Peer& peer : peers_) {
    others += peer.open && peer.side == side && (side == Side::client || !peer.authenticated) ? 1 : 0;
  }
  Peer& peer = peers_.emplace_back();
  WAYPORT_ASSERT(peers_.size() < peers_.capacity(), "addresses stay");
  peer.number = static_cast<unsigned>(peers_.size() - 1);
  peer.loop = loop;
  peer.side = side;
  peer.last_frame = now;
  if (others >= (side == Side::client ? options_.clients_max : options_.handshakes_max)) {
    peer.open = false;
    peer.ended = true;
    return false;
  }
  if (side == Side::client) {
    peer.authenticated = true;
    peer.id = static_cast<std::uint32_t>(loops_[loop].next_client_id);
    loops_[loop].next_client_id += loops_.size();
  }
  return true;
}

bool Reference::authenticate(unsigned number, std::uint32_t id, TimePoint now) {
  Peer& peer = peers_[number];
  loops_[peer.loop].now = now;
  if (!peer.open) return false;
  std::size_t others = 0;
  for (const Peer& other : peers_) {
    others += other.open && other.side == Side::server && other.authenticated ? 1 : 0;
  }
  if (others >= options_.servers_max) {
    doom(peer);
    settle(peer.loop);
    return false;
  }
  peer.id = id;
  peer.authenticated = true;
  peer.last_frame = now;
  peer.registration = ++registrations_;
  std::map<std::uint32_t, Holder>& servers = loops_[peer.loop].servers;
  const auto holder = servers.find(id);
  if (holder != servers.end() && options_.close_replaced_server) {
    Peer& older = peers_[holder->second.server];
    if (older.loop == peer.loop) doom(older);
  }
  servers[id] = {peer.registration, number};
  broadcast(peer.loop, {MailKind::server_here, 0, id, number, peer.registration});
  settle(peer.loop);
  return true;
}

void Reference::malformed(unsigned number) {
  doom(peers_[number]);
  settle(peers_[number].loop);
}

void Reference::hang_up(unsigned number) {
  Peer& peer = peers_[number];
  if (!peer.open) return;
  doom(peer);
  settle(peer.loop);
}

void Reference::doom(Peer& peer) {
  if (!peer.open) return;
  peer.open = false;
  peer.known = 0;
  peer.slow = false;
  peer.backlog.clear();
  peer.paused.clear();
  std::erase(loops_[peer.loop].slow, peer.number);
  loops_[peer.loop].doomed.push_back(peer.number);
}

void Reference::settle(unsigned loop) {
  std::vector<unsigned>& doomed = loops_[loop].doomed;
  for (std::size_t i = 0; i < doomed.size(); ++i) detach(peers_[doomed[i]]);
  doomed.clear();
}

void Reference::detach(Peer& peer) {
  peer.ended = true;
  if (peer.side == Side::server && peer.authenticated) {
    std::map<std::uint32_t, Holder>& servers = loops_[peer.loop].servers;
    const auto holder = servers.find(peer.id);
    if (holder != servers.end() && holder->second.registration == peer.registration) {
      servers.erase(holder);
      broadcast(peer.loop, {MailKind::server_gone, 0, peer.id, 0, peer.registration});
    }
  }
  while (!peer.ends.empty()) {
    if (peer.side == Side::client) {
      end_by_client(peer.ends.back(), false);
    } else {
      end_by_server(peer.ends.back(), false);
    }
  }
}

// --- frames ---

void Reference::frame(unsigned number, const std::string& frame, TimePoint now) {
  Peer& from = peers_[number];
  if (!from.open) return;
  loops_[from.loop].now = from.last_frame = now;
  const auto connection = load_le<std::uint32_t>(as_bytes(frame).data() + 4);
  if (connection == 0) {
    const Result<Command> command = decode_command(as_bytes(frame).subspan(8));
    if (!command) {
      doom(from);
    } else if (command->type == CommandType::ping) {
      send(from, Command::ping());
    } else if (command->type == CommandType::dial) {
      dial(from, command->remote);
    } else if (command->type == CommandType::close) {
      if (from.side == Side::client) {
        const ClientEnd* const end = client_end(from.loop, command->connection);
        if (end != nullptr && end->client == number && end->announced) end_by_client(command->connection, true);
      } else {
        const ServerEnd* const end = server_end(from.loop, command->connection);
        if (end != nullptr && end->server == number) end_by_server(command->connection, true);
      }
    } else {
      doom(from);
    }
  } else if (from.side == Side::client) {
    const ClientEnd* const end = client_end(from.loop, connection);
    if (end != nullptr && end->client != number) {
      doom(from);
    } else if (end == nullptr || !end->announced) {
      send(from, Command::close(connection));
    } else if (end->server_loop == from.loop) {
      to_server(connection, frame);
    } else if (box(from.loop, end->server_loop).outbox_bytes + frame.size() > options_.mail_bytes_max) {
      end_by_client(connection, true);
    } else {
      post(from.loop, end->server_loop, {MailKind::data_to_server, connection, 0, 0, 0, frame});
      const QueueLimits& each = options_.virtual_queue;
      from.ahead_bytes += frame.size();
      ++from.ahead_messages;
      if (options_.slow_policy == SlowPolicy::pause &&
          (from.ahead_bytes > each.bytes_max / 4 || from.ahead_messages > each.messages_max / 4)) {
        from.ahead_bytes = from.ahead_messages = 0;
        from.marks = static_cast<unsigned>(loops_.size() - 1);
        broadcast(from.loop, {MailKind::mark, 0, from.id});
      }
    }
  } else {
    const ServerEnd* const end = server_end(from.loop, connection);
    if (end == nullptr) {
      send(from, Command::close(connection));
    } else if (end->server != number) {
      doom(from);
    } else if (end->client_loop == from.loop) {
      to_client(connection, frame);
    } else if (box(from.loop, end->client_loop).outbox_bytes + frame.size() > options_.mail_bytes_max) {
      end_by_server(connection, true);
    } else {
      post(from.loop, end->client_loop, {MailKind::data_to_client, connection, 0, 0, 0, frame});
    }
  }
  settle(from.loop);
}

std::optional<std::uint32_t> Reference::new_connection() {
  if (client_ends_.size() >= options_.virtual_max) return std::nullopt;
  while (next_connection_ == 0 || client_ends_.contains(next_connection_)) ++next_connection_;
  return next_connection_++;
}

std::optional<std::uint32_t> Reference::reserve(unsigned loop, std::uint32_t client_id, unsigned server_loop) {
  for (Peer& peer : peers_) {
    if (peer.side != Side::client || peer.loop != loop || !peer.open || peer.id != client_id) continue;
    if (loops_[loop].draining) return std::nullopt;
    const std::optional<std::uint32_t> connection = new_connection();
    if (!connection) return std::nullopt;
    client_ends_[*connection] = {peer.number, server_loop, false};
    peer.ends.push_back(*connection);
    return connection;
  }
  return std::nullopt;
}

void Reference::dial(Peer& from, std::uint32_t id) {
  Loop& loop = loops_[from.loop];
  if (from.side == Side::client) {
    const auto found = loop.servers.find(id);
    if (found == loop.servers.end() || loop.draining) return send(from, Command::refuse(id));
    const Holder holder = found->second;
    Peer& server = peers_[holder.server];
    const bool here = server.loop == from.loop;
    if (here && !server.open) return send(from, Command::refuse(id));
    if (!here && box(from.loop, server.loop).outbox_bytes >= options_.mail_bytes_max) {
      return send(from, Command::refuse(id));
    }
    const std::optional<std::uint32_t> connection = new_connection();
    if (!connection) return send(from, Command::refuse(id));
    if (options_.client_virtual_max != 0 && from.ends.size() >= options_.client_virtual_max) {
      return send(from, Command::refuse(id));
    }
    client_ends_[*connection] = {from.number, server.loop, true};
    from.ends.push_back(*connection);
    send(from, Command::accept(*connection, id));
    if (here) {
      server_ends_[*connection] = {server.number, from.loop};
      server.ends.push_back(*connection);
      send(server, Command::connect(*connection, from.id));
    } else {
      post(from.loop, server.loop, {MailKind::dial_server, *connection, from.id, server.number, holder.registration});
    }
    return;
  }
  if (id == 0) return send(from, Command::refuse(0));
  const auto client_loop = static_cast<unsigned>((id - 1) % loops_.size());
  if (client_loop != from.loop) {
    if (from.dials >= options_.server_dials_max) return doom(from);
    ++from.dials;
    return post(from.loop, client_loop, {MailKind::dial_client, 0, id, from.number, from.registration});
  }
  const std::optional<std::uint32_t> connection = reserve(client_loop, id, from.loop);
  if (!connection) return send(from, Command::refuse(id));
  server_ends_[*connection] = {from.number, client_loop};
  from.ends.push_back(*connection);
  client_ends_[*connection].announced = true;
  send(from, Command::accept(*connection, id));
  send(peers_[client_ends_[*connection].client], Command::connect(*connection, from.id));
}

// --- the ends of connections ---

void Reference::remove_client_end(std::uint32_t connection) {
  Peer& client = peers_[client_ends_[connection].client];
  pause(connection, false);
  std::erase(client.ends, connection);
  client_ends_.erase(connection);
}

void Reference::remove_server_end(std::uint32_t connection) {
  std::erase(peers_[server_ends_[connection].server].ends, connection);
  server_ends_.erase(connection);
}

void Reference::end_by_client(std::uint32_t connection, bool tell) {
  const ClientEnd end = client_ends_[connection];
  Peer& client = peers_[end.client];
  remove_client_end(connection);
  if (tell) send(client, Command::close(connection));
  if (end.server_loop != client.loop) {
    return post(client.loop, end.server_loop, {MailKind::close_to_server, connection});
  }
  Peer& server = peers_[server_ends_[connection].server];
  remove_server_end(connection);
  send(server, Command::close(connection));
}

void Reference::end_by_server(std::uint32_t connection, bool tell) {
  const ServerEnd end = server_ends_[connection];
  Peer& server = peers_[end.server];
  remove_server_end(connection);
  if (tell) send(server, Command::close(connection));
  if (end.client_loop != server.loop) {
    return post(server.loop, end.client_loop, {MailKind::close_to_client, connection});
  }
  Peer& client = peers_[client_ends_[connection].client];
  remove_client_end(connection);
  send(client, Command::close(connection));
}

// --- sending ---

void Reference::charge(Peer& to, std::uint32_t connection, const std::string& frame) {
  to.out += frame;
  sent_to_.push_back(to.number);
  to.unsent += frame.size();
  to.known += frame.size();
  if (to.slow) to.backlog.push_back({connection, frame.size()});
  std::vector<unsigned>& touched = loops_[to.loop].touched;
  if (std::find(touched.begin(), touched.end(), to.number) == touched.end()) touched.push_back(to.number);
}

void Reference::send(Peer& to, const Command& command) {
  if (!to.open) return;
  const std::string frame(as_text(EncodedCommand(command).bytes()));
  const std::size_t max = limits(to).bytes_max + options_.command_reserve_bytes;
  if (to.known + frame.size() > max) look(to);
  if (to.known + frame.size() > max) return doom(to);
  charge(to, 0, frame);
}

std::size_t Reference::known_on(unsigned loop) const {
  std::size_t known = 0;
  for (const Peer& peer : peers_) known += peer.loop == loop ? peer.known : 0;
  return known;
}

// False: the virtual connection has to close, unless the receiver is gone.
bool Reference::forward(Peer& to, std::uint32_t connection, const std::string& frame, bool from_client, bool& pause) {
  const std::size_t size = frame.size();
  const std::size_t share_max = options_.process_bytes_max / loops_.size();
  const QueueLimits& own = limits(to);
  if (to.slow || to.known + size > own.bytes_max || known_on(to.loop) + size > share_max) {
    look(to);
    if (known_on(to.loop) + size > share_max) {
      for (const unsigned number : std::vector<unsigned>(loops_[to.loop].slow)) look(peers_[number]);
      while (known_on(to.loop) + size > share_max && !loops_[to.loop].slow.empty()) {
        std::vector<std::tuple<bool, std::size_t, std::uint64_t, std::uint32_t, unsigned>> all;
        for (const unsigned number : loops_[to.loop].slow) {
          const Peer& peer = peers_[number];
          all.emplace_back(peer.side == Side::client, peer.known, peer.registration, peer.id, number);
        }
        doom(peers_[std::get<4>(*std::max_element(all.begin(), all.end()))]);
      }
      if (!to.open) return true;
      if (known_on(to.loop) + size > share_max) return false;
    }
    std::size_t of_connection = 0, messages_of_connection = 0;
    for (const Unsent& one : to.backlog) {
      of_connection += one.connection == connection ? one.bytes : 0;
      messages_of_connection += one.connection == connection ? 1 : 0;
    }
    const QueueLimits& each = options_.virtual_queue;
    const bool full = to.known + size > own.bytes_max ||
                      (to.slow && (to.backlog.size() + 1 > own.messages_max || of_connection + size > each.bytes_max ||
                                   messages_of_connection + 1 > each.messages_max));
    if (full && options_.slow_policy == SlowPolicy::cut) {
      doom(to);
      return true;
    }
    if (full) return false;
    pause = options_.slow_policy == SlowPolicy::pause && from_client && to.slow && !to.paused.contains(connection) &&
            (to.known + size > own.bytes_max / 2 || to.backlog.size() >= own.messages_max / 2 ||
             of_connection + size > each.bytes_max / 2 || messages_of_connection >= each.messages_max / 2);
  }
  charge(to, connection, frame);
  return true;
}

void Reference::to_client(std::uint32_t connection, const std::string& frame) {
  Peer& to = peers_[client_ends_[connection].client];
  bool pause = false;
  if (to.open && !forward(to, connection, frame, false, pause)) end_by_client(connection, true);
}

void Reference::to_server(std::uint32_t connection, const std::string& frame) {
  const ServerEnd end = server_ends_[connection];
  Peer& to = peers_[end.server];
  bool pauses = false;
  if (to.open && !forward(to, connection, frame, true, pauses)) return end_by_server(connection, true);
  if (!pauses) return;
  to.paused.insert(connection);
  if (end.client_loop == to.loop) {
    pause(connection, true);
  } else {
    post(to.loop, end.client_loop, {MailKind::pause_client, connection});
  }
}

void Reference::pause(std::uint32_t connection, bool on) {
  Peer& client = peers_[client_ends_[connection].client];
  if (on) {
    client.pausing.insert(connection);
  } else if (client.pausing.erase(connection) != 0 && reading(client) && client.open) {
    client.last_frame = loops_[client.loop].now;
  }
}

void Reference::look(Peer& peer) {
  const std::size_t unsent = std::min(peer.unsent, peer.known);
  std::size_t gone = peer.known - unsent;
  peer.known = unsent;
  if (!peer.slow) return;
  const std::size_t old = std::min(gone, peer.untracked);
  peer.untracked -= old;
  gone -= old;
  while (gone > 0) {
    Unsent& first = peer.backlog.front();
    const std::uint32_t connection = first.connection;
    const std::size_t part = std::min(gone, first.bytes);
    gone -= part;
    first.bytes -= part;
    if (first.bytes == 0) peer.backlog.pop_front();
    std::size_t bytes = 0, messages = 0;
    for (const Unsent& one : peer.backlog) {
      bytes += one.connection == connection ? one.bytes : 0;
      messages += one.connection == connection ? 1 : 0;
    }
    if (bytes > options_.virtual_queue.bytes_max / 4 || messages > options_.virtual_queue.messages_max / 4) continue;
    if (peer.paused.erase(connection) == 0) continue;
    const ServerEnd* const end = server_end(peer.loop, connection);
    if (end == nullptr) continue;
    if (end->client_loop == peer.loop) {
      pause(connection, false);
    } else {
      post(peer.loop, end->client_loop, {MailKind::resume_client, connection});
    }
  }
  if (unsent == 0) {
    peer.slow = false;
    std::erase(loops_[peer.loop].slow, peer.number);
  }
}

void Reference::drain(unsigned number, std::size_t bytes, bool tell) {
  Peer& peer = peers_[number];
  peer.unsent -= std::min(bytes, peer.unsent);
  if (tell && peer.open && peer.slow) look(peer);
}

void Reference::end_turn(unsigned loop, const std::set<unsigned>& stuck) {
  for (Peer& peer : peers_) {
    if (peer.loop == loop && !stuck.contains(peer.number)) peer.unsent = 0;
  }
  for (const unsigned number : std::exchange(loops_[loop].touched, {})) {
    Peer& peer = peers_[number];
    if (!peer.open) continue;
    look(peer);
    if (peer.known == 0 || peer.slow) continue;
    peer.slow = true;
    peer.untracked = peer.known;
    loops_[loop].slow.push_back(number);
    if (loops_[loop].next_poll == kNever) {
      loops_[loop].next_poll = after(loops_[loop].now, options_.slow_poll_interval);
    }
  }
}

bool Reference::tick(unsigned loop, TimePoint now, const std::vector<unsigned>& closed) {
  Loop& here = loops_[loop];
  here.now = now;
  std::set<unsigned> due;
  for (const Peer& peer : peers_) {
    if (!peer.open || peer.loop != loop || !reading(peer)) continue;
    const Duration timeout = !peer.authenticated         ? options_.handshake_timeout
                             : peer.side == Side::client ? options_.client_idle_timeout
                                                         : options_.server_idle_timeout;
    if (timeout > Duration::zero() && after(peer.last_frame, timeout) <= now) due.insert(peer.number);
  }
  if (closed.size() < due.size()) return false;
  const std::vector<unsigned> order(closed.begin(), closed.begin() + static_cast<std::ptrdiff_t>(due.size()));
  if (std::set<unsigned>(order.begin(), order.end()) != due) return false;
  for (const unsigned number : order) doom(peers_[number]);
  settle(loop);
  if (now >= here.next_poll) {
    for (const unsigned number : std::vector<unsigned>(here.slow)) look(peers_[number]);
    here.next_poll = here.slow.empty() ? kNever : after(now, options_.slow_poll_interval);
  }
  return true;
}

// --- between loops ---

void Reference::post(unsigned from, unsigned to, Step step) {
  box(from, to).outbox_bytes += step.frame.size();
  box(from, to).outbox.push_back(std::move(step));
}
void Reference::broadcast(unsigned from, const Step& step) {
  for (unsigned to = 0; to < loops_.size(); ++to) {
    if (to != from) post(from, to, step);
  }
}
void Reference::collect(unsigned from, unsigned to) {
  Box& mail = box(from, to);
  if (mail.outbox.empty()) return;
  mail.batches.push_back(std::exchange(mail.outbox, {}));
  mail.outbox_bytes = 0;
}
std::size_t Reference::front_size(unsigned from, unsigned to) const {
  const Box& mail = boxes_[from * loops_.size() + to];
  return mail.batches.empty() ? 0 : mail.batches.front().size();
}
void Reference::deliver(unsigned from, unsigned to, TimePoint now) {
  loops_[to].now = now;
  const std::vector<Step> batch = std::move(box(from, to).batches.front());
  box(from, to).batches.pop_front();
  for (const Step& step : batch) {
    take_step(from, to, step);
    settle(to);
  }
}

void Reference::take_step(unsigned from, unsigned to, Step step) {
  Peer& server = peers_[step.server];  // where the kind has one
  std::map<std::uint32_t, Holder>& servers = loops_[to].servers;
  switch (step.kind) {
    case MailKind::server_here: {
      const auto holder = servers.find(step.id);
      if (holder != servers.end() && holder->second.registration > step.registration) return;
      if (holder != servers.end() && peers_[holder->second.server].loop == to) {
        broadcast(to, {MailKind::server_gone, 0, step.id, 0, holder->second.registration});
        if (options_.close_replaced_server) doom(peers_[holder->second.server]);
      }
      servers[step.id] = {step.registration, step.server};
      return;
    }
    case MailKind::server_gone: {
      const auto holder = servers.find(step.id);
      if (holder != servers.end() && holder->second.registration == step.registration) servers.erase(holder);
      return;
    }
    case MailKind::dial_server:
    case MailKind::dial_reserved:
      if (!server.open) return post(to, from, {MailKind::close_to_client, step.connection});
      server_ends_[step.connection] = {server.number, from};
      server.ends.push_back(step.connection);
      if (step.kind == MailKind::dial_server) return send(server, Command::connect(step.connection, step.id));
      --server.dials;
      send(server, Command::accept(step.connection, step.id));
      return post(to, from, {MailKind::connect, step.connection, server.id});
    case MailKind::dial_client: {
      const std::optional<std::uint32_t> connection = reserve(to, step.id, from);
      if (connection) {
        return post(to, from, {MailKind::dial_reserved, *connection, step.id, step.server, step.registration});
      }
      return post(to, from, {MailKind::dial_refused, 0, step.id, step.server, step.registration});
    }
    case MailKind::dial_refused:
      if (!server.open) return;
      --server.dials;
      return send(server, Command::refuse(step.id));
    case MailKind::connect: {
      ClientEnd* const end = client_end(to, step.connection);
      if (end == nullptr) return;
      end->announced = true;
      return send(peers_[end->client], Command::connect(step.connection, step.id));
    }
    case MailKind::data_to_server:
      if (server_end(to, step.connection) != nullptr) to_server(step.connection, step.frame);
      return;
    case MailKind::data_to_client:
      if (client_end(to, step.connection) != nullptr) to_client(step.connection, step.frame);
      return;
    case MailKind::close_to_server: {
      const ServerEnd* const end = server_end(to, step.connection);
      if (end == nullptr) return;
      Peer& other = peers_[end->server];
      remove_server_end(step.connection);
      return send(other, Command::close(step.connection));
    }
    case MailKind::close_to_client: {
      const ClientEnd* const found = client_end(to, step.connection);
      if (found == nullptr) return;
      const ClientEnd end = *found;
      remove_client_end(step.connection);
      if (end.announced) send(peers_[end.client], Command::close(step.connection));
      return;
    }
    case MailKind::pause_client:
    case MailKind::resume_client:
      if (client_end(to, step.connection) != nullptr) pause(step.connection, step.kind == MailKind::pause_client);
      return;
    case MailKind::mark:
      return post(to, from, {MailKind::mark_seen, 0, step.id});
    case MailKind::mark_seen:
      for (Peer& peer : peers_) {
        if (peer.side != Side::client || peer.loop != to || !peer.open || peer.id != step.id || peer.marks == 0)
          continue;
        if (--peer.marks == 0 && reading(peer)) peer.last_frame = loops_[to].now;
      }
      return;
  }
}

std::vector<std::uint32_t> Reference::connections() const {
  std::set<std::uint32_t> all;
  for (const auto& [connection, end] : client_ends_) all.insert(connection);
  for (const auto& [connection, end] : server_ends_) all.insert(connection);
  return {all.begin(), all.end()};
}
std::optional<unsigned> Reference::client_of(std::uint32_t connection) const {
  const auto found = client_ends_.find(connection);
  return found == client_ends_.end() ? std::nullopt : std::optional(found->second.client);
}
std::optional<unsigned> Reference::server_of(std::uint32_t connection) const {
  const auto found = server_ends_.find(connection);
  return found == server_ends_.end() ? std::nullopt : std::optional(found->second.server);
}

}  // namespace wayport::link::testing
