#include "wayport/gateway/link/switch.h"

#include <array>
#include <string>

namespace wayport::link {
namespace {

std::string name_of(const Port& port) {
  if (port.side() == Side::client) return "client " + std::to_string(port.id());
  return port.authenticated() ? "server " + std::to_string(port.id()) : "a server that has not authenticated";
}

}  // namespace

Switch::Switch(SwitchGroup& group, unsigned loop, SwitchHost& host, TimePoint now)
    : group_(group),
      options_(group.options()),
      loop_(loop),
      host_(host),
      now_(now),
      wheel_(now),
      clients_(group.hash_seed()),
      next_client_id_(loop + 1),
      servers_(group.hash_seed()),
      client_table_(group.hash_seed()),
      server_table_(group.hash_seed()),
      queued_max_(group.options().process_bytes_max / group.loops()),
      outboxes_(group.loops()),
      spares_(group.loops()) {
  WAYPORT_ASSERT(loop < group.loops(), "a switch has one of the group's loops");
}

Switch::~Switch() {
  for (const std::unique_ptr<Port>& port : ports_) {
    if (!port || port->state_ == Port::State::detached) continue;
    SwitchGroup::Places& places = port->state_ == Port::State::authenticating ? group_.handshakes
                                  : port->side_ == Side::client               ? group_.clients
                                                                              : group_.servers;
    places.give();
  }
  client_table_.for_each([&](std::uint32_t connection, std::uint32_t) { group_.ids().release(connection); });
}

// --- physical connections ---

Port* Switch::handle_opened(Side side, void* context, TimePoint now) {
  now_ = now;
  const bool client = side == Side::client;
  if (client ? !group_.clients.take(options_.clients_max) : !group_.handshakes.take(options_.handshakes_max)) {
    (client ? counters_.refused_clients : counters_.refused_handshakes).add();
    return nullptr;
  }
  std::uint32_t index;
  if (free_ports_.empty()) {
    index = static_cast<std::uint32_t>(ports_.size());
    ports_.emplace_back();
  } else {
    index = free_ports_.back();
    free_ports_.pop_back();
  }
  ports_[index] = std::make_unique<Port>(*this, side, index, context);
  Port& port = *ports_[index];
  port.last_frame_ = now;
  if (client) {
    port.id_ = new_client_id();
    port.state_ = Port::State::open;
    clients_.insert(port.id_, index);
    counters_.clients.add();
    arm_idle(port);
  } else {
    counters_.handshakes.add();
    if (options_.handshake_timeout > Duration::zero()) wheel_.arm(port, after(now, options_.handshake_timeout));
  }
  return &port;
}

bool Switch::handle_authenticated(Port& server, std::uint32_t server_id, TimePoint now) {
  WAYPORT_ASSERT(server.side_ == Side::server, "only servers authenticate");
  now_ = now;
  if (server.state_ != Port::State::authenticating) return false;
  if (!group_.servers.take(options_.servers_max)) {
    counters_.refused_servers.add();
    doom(server, CloseReason::local(ErrorCode::overloaded, "server " + std::to_string(server_id) +
                                                               " is one too many: servers_max is " +
                                                               std::to_string(options_.servers_max)));
    settle();
    return false;
  }
  group_.handshakes.give();
  counters_.handshakes.add(-1);
  counters_.servers.add();
  server.id_ = server_id;
  server.state_ = Port::State::open;
  server.last_frame_ = now;
  wheel_.disarm(server);
  arm_idle(server);
  register_server(server);
  settle();
  return true;
}

bool Switch::handle_frame(Port& from, Frame& frame, TimePoint now) {
  if (from.state_ != Port::State::open) {
    WAYPORT_ASSERT(from.state_ != Port::State::authenticating, "frames come after authentication");
    return false;
  }
  now_ = from.last_frame_ = now;
  if (frame.connection == kControlConnection) {
    handle_command(from, frame);
  } else if (from.side_ == Side::client) {
    data_from_client(from, frame);
  } else {
    data_from_server(from, frame);
  }
  if (!doomed_.empty()) settle();
  return from.state_ == Port::State::open && from.pauses_ == 0;
}

void Switch::handle_malformed(Port& from, const Error& error) {
  if (from.closing()) return;
  (!from.authenticated()                ? counters_.auth_failures
   : error.code == ErrorCode::too_large ? counters_.too_large
                                        : counters_.malformed)
      .add();
  doom(from, CloseReason::local(error.code, name_of(from) + ": " + error.detail));
  settle();
}

void Switch::handle_closed(Port& port) {
  if (!port.closing()) {
    start_closing(port);
    if (port.state_ == Port::State::closing) detach(port);
    settle();
  }
  WAYPORT_ASSERT(port.state_ == Port::State::detached, "a host call must not call the switch");
  if (port.touched_at_ != Port::kNone) touched_[port.touched_at_] = nullptr;
  const std::uint32_t index = port.index_;
  ports_[index].reset();
  free_ports_.push_back(index);
}

void Switch::close(Port& port, CloseReason reason) {
  if (port.closing()) return;
  doom(port, std::move(reason));
  settle();
}

void Switch::close_all(const CloseReason& reason) {
  for (const std::unique_ptr<Port>& port : ports_) {
    if (port && !port->closing()) doom(*port, reason);
  }
  settle();
}

void Switch::doom(Port& port, CloseReason reason) {
  if (port.closing()) return;
  start_closing(port);
  doomed_.emplace_back(&port, std::move(reason));
}

void Switch::start_closing(Port& port) {
  forget_queue(port);
  wheel_.disarm(port);
  if (port.state_ == Port::State::authenticating) {
    group_.handshakes.give();
    counters_.handshakes.add(-1);
    port.state_ = Port::State::detached;  // nothing refers to it
    return;
  }
  if (port.pauses_ != 0) counters_.paused.add(-1);
  port.state_ = Port::State::closing;
}

// Closing one connection sends to others, which may doom those: one after the other, not one inside the other.
void Switch::settle() {
  if (settling_) return;
  settling_ = true;
  for (std::size_t i = 0; i < doomed_.size(); ++i) {
    Port& port = *doomed_[i].first;
    if (port.state_ == Port::State::closing) detach(port);
    host_.close(port, doomed_[i].second);
  }
  doomed_.clear();
  settling_ = false;
}

void Switch::detach(Port& port) {
  if (port.side_ == Side::client) {
    clients_.erase(port.id_);
    group_.clients.give();
    counters_.clients.add(-1);
  } else {
    unregister_server(port);
    group_.servers.give();
    counters_.servers.add(-1);
  }
  counters_.closed_by_loss.add(port.end_count_);
  while (port.first_end_ != kNone) {
    if (port.side_ == Side::client) {
      end_by_client(port.first_end_, false);
    } else {
      end_by_server(port.first_end_, false);
    }
  }
  port.state_ = Port::State::detached;
}

// --- frames ---

void Switch::handle_command(Port& from, Frame& frame) {
  std::array<std::byte, kCommandMessageBytesMax> message;
  const std::size_t size = frame.copy_message(message);
  const Result<Command> command = decode_command(Bytes(message).first(size));
  if (!command) {
    handle_malformed(from, command.error());
    return;
  }
  const bool client = from.side_ == Side::client;
  switch (command->type) {
    case CommandType::dial:
      return client ? dial_from_client(from, command->remote) : dial_from_server(from, command->remote);
    case CommandType::close:
      return client ? close_from_client(from, command->connection) : close_from_server(from, command->connection);
    case CommandType::ping:
      counters_.pings.add();
      return send_command(from, Command::ping());
    default:
      handle_malformed(
          from,
          {ErrorCode::malformed, "sent " + std::string(to_string(command->type)) + ", which only a gateway sends", {}});
  }
}

void Switch::foreign_data(Port& from, std::uint32_t connection) {
  counters_.foreign_data.add();
  doom(from, CloseReason::local(ErrorCode::malformed, name_of(from) + " sent data on connection " +
                                                          std::to_string(connection) + ", which is not its own"));
}

void Switch::data_from_client(Port& from, Frame& frame) {
  const std::uint32_t slot = client_table_.find(frame.connection);
  if (slot == kNone) {
    counters_.strays.add();
    return send_command(from, Command::close(frame.connection));
  }
  const ClientEnd& end = client_ends_[slot];
  if (end.port != from.index_) return foreign_data(from, frame.connection);
  if (end.loop == loop_) return forward_to_server(end.other, frame);
  if (!end.announced) {
    counters_.strays.add();
    return send_command(from, Command::close(frame.connection));
  }
  const std::size_t size = frame.size();
  if (!mail_frame(end.loop, MailKind::data_to_server, frame)) return end_by_client(slot, true);
  if (options_.slow_policy == SlowPolicy::pause) count_ahead(from, size);
}

void Switch::data_from_server(Port& from, Frame& frame) {
  const std::uint32_t slot = server_table_.find(frame.connection);
  if (slot == kNone) {
    counters_.strays.add();
    return send_command(from, Command::close(frame.connection));
  }
  const ServerEnd& end = server_ends_[slot];
  if (end.port != from.index_) return foreign_data(from, frame.connection);
  if (end.loop == loop_) return forward_to_client(end.other, frame);
  if (!mail_frame(end.loop, MailKind::data_to_client, frame)) end_by_server(slot, true);
}

void Switch::close_from_client(Port& from, std::uint32_t connection) {
  const std::uint32_t slot = client_table_.find(connection);
  if (slot == kNone || (client_ends_[slot].port == from.index_ && !client_ends_[slot].announced)) {
    return counters_.closes_ignored.add();
  }
  if (client_ends_[slot].port != from.index_) return counters_.foreign_closes.add();
  counters_.closed_by_endpoint.add();
  end_by_client(slot, true);
}

void Switch::close_from_server(Port& from, std::uint32_t connection) {
  const std::uint32_t slot = server_table_.find(connection);
  if (slot == kNone) return counters_.closes_ignored.add();
  if (server_ends_[slot].port != from.index_) return counters_.foreign_closes.add();
  counters_.closed_by_endpoint.add();
  end_by_server(slot, true);
}

// --- ends of virtual connections ---

template <class End>
void Switch::link_end(Slab<End>& ends, Port& port, std::uint32_t slot) noexcept {
  End& end = ends[slot];
  end.port = port.index_;
  end.previous = kNone;
  end.next = port.first_end_;
  if (end.next != kNone) ends[end.next].previous = slot;
  port.first_end_ = slot;
  ++port.end_count_;
}

template <class End>
void Switch::unlink_end(Slab<End>& ends, std::uint32_t slot) noexcept {
  const End& end = ends[slot];
  Port& port = *ports_[end.port];
  if (end.previous != kNone) {
    ends[end.previous].next = end.next;
  } else {
    port.first_end_ = end.next;
  }
  if (end.next != kNone) ends[end.next].previous = end.previous;
  --port.end_count_;
}

std::uint32_t Switch::add_client_end(Port& client, std::uint32_t connection, unsigned server_loop) {
  const std::uint32_t slot = client_ends_.take();
  ClientEnd& end = client_ends_[slot];
  end.connection = connection;
  end.loop = static_cast<std::uint16_t>(server_loop);
  link_end(client_ends_, client, slot);
  WAYPORT_ASSERT(client_table_.insert(connection, slot), "a new connection id has no living namesake");
  counters_.virtuals.add();
  return slot;
}

std::uint32_t Switch::add_server_end(Port& server, std::uint32_t connection, std::uint32_t client_id,
                                     unsigned client_loop) {
  const std::uint32_t slot = server_ends_.take();
  ServerEnd& end = server_ends_[slot];
  end.connection = connection;
  end.client_id = client_id;
  end.loop = client_loop;
  link_end(server_ends_, server, slot);
  WAYPORT_ASSERT(server_table_.insert(connection, slot), "a new connection id has no living namesake");
  return slot;
}

void Switch::remove_client_end(std::uint32_t slot) {
  if (client_ends_[slot].paused) pause_client_end(slot, false);
  const std::uint32_t connection = client_ends_[slot].connection;
  unlink_end(client_ends_, slot);
  client_table_.erase(connection);
  client_ends_.give(slot);
  group_.ids().release(connection);
  counters_.virtuals.add(-1);
}

void Switch::remove_server_end(std::uint32_t slot) {
  const std::uint32_t connection = server_ends_[slot].connection;
  unlink_end(server_ends_, slot);
  server_table_.erase(connection);
  server_ends_.give(slot);
}

void Switch::end_by_client(std::uint32_t slot, bool tell) {
  const ClientEnd end = client_ends_[slot];
  remove_client_end(slot);
  if (tell) send_command(*ports_[end.port], Command::close(end.connection));
  if (end.loop != loop_) return mail(end.loop, {.kind = MailKind::close_to_server, .connection = end.connection});
  Port& server = *ports_[server_ends_[end.other].port];
  remove_server_end(end.other);
  send_command(server, Command::close(end.connection));
}

void Switch::end_by_server(std::uint32_t slot, bool tell) {
  const ServerEnd end = server_ends_[slot];
  remove_server_end(slot);
  if (tell) send_command(*ports_[end.port], Command::close(end.connection));
  if (end.loop != loop_) return mail(end.loop, {.kind = MailKind::close_to_client, .connection = end.connection});
  Port& client = *ports_[client_ends_[end.other].port];
  remove_client_end(end.other);
  send_command(client, Command::close(end.connection));
}

// --- time ---

void Switch::arm_idle(Port& port) {
  const Duration timeout = idle_timeout(port);
  if (timeout > Duration::zero()) wheel_.arm(port, after(now_, timeout));
}

void Switch::on_port_timer(Port& port) {
  if (port.state_ == Port::State::authenticating) {
    counters_.handshake_timeouts.add();
    return doom(port, CloseReason::local(ErrorCode::timed_out, "a server did not authenticate within " +
                                                                   format_duration(options_.handshake_timeout)));
  }
  if (port.closing()) return;
  if (port.pauses_ != 0) return arm_idle(port);
  const TimePoint due = after(port.last_frame_, idle_timeout(port));
  if (due > now_) return wheel_.arm(port, due);
  if (host_.idle_expired(port)) {
    port.last_frame_ = now_;
    return arm_idle(port);
  }
  counters_.idle.add();
  doom(port, CloseReason::local(ErrorCode::timed_out,
                                name_of(port) + " sent no whole frame for " + format_duration(idle_timeout(port))));
}

void Switch::tick(TimePoint now) {
  now_ = now;
  wheel_.expire(now);
  settle();
  if (now < next_poll_) return;
  slow_.for_each([this](Port& port) { refresh(port); });
  next_poll_ = slow_.empty() ? kNever : after(now, options_.slow_poll_interval);
  settle();
}

TimePoint Switch::next_due() const noexcept { return std::min(wheel_.next_due(), next_poll_); }

}  // namespace wayport::link
