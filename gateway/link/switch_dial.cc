// Dials, server ids, and what loops tell each other.
#include <string>

#include "wayport/gateway/link/switch.h"

namespace wayport::link {

// --- dials ---

void Switch::dial_from_client(Port& client, std::uint32_t server_id) {
  counters_.dials.add();
  const auto refuse = [&](Counter& why) {
    why.add();
    send_command(client, Command::refuse(server_id));
  };
  const std::uint32_t found = servers_.find(server_id);
  if (found == kNone) return refuse(counters_.refused_absent);
  const Registration& server = registrations_[found];
  const bool here = server.loop == loop_;
  if (here && ports_[server.port]->closing()) return refuse(counters_.refused_absent);
  if (draining_) return refuse(counters_.refused_draining);
  if (!here && outboxes_[server.loop].frame_bytes() >= options_.mail_bytes_max) {
    return refuse(counters_.refused_mail_full);
  }
  const std::optional<std::uint32_t> connection = group_.ids().take();
  if (!connection) return refuse(counters_.refused_virtual_max);
  if (options_.client_virtual_max != 0 && client.end_count_ >= options_.client_virtual_max) {
    group_.ids().release(*connection);  // and is lost, as in the original
    return refuse(counters_.refused_client_full);
  }
  counters_.dials_accepted.add();
  const std::uint32_t slot = add_client_end(client, *connection, server.loop);
  client_ends_[slot].announced = true;
  send_command(client, Command::accept(*connection, server_id));
  if (here) {
    Port& to = *ports_[server.port];
    const std::uint32_t other = add_server_end(to, *connection, client.id_, loop_);
    client_ends_[slot].other = other;
    server_ends_[other].other = slot;
    send_command(to, Command::connect(*connection, client.id_));
  } else {
    mail(server.loop, {.kind = MailKind::dial_server,
                       .connection = *connection,
                       .id = client.id_,
                       .port = server.port,
                       .registration = server.number});
  }
}

void Switch::dial_from_server(Port& server, std::uint32_t client_id) {
  if (client_id == 0) {  // no client's, so no loop would know
    counters_.dials.add();
    counters_.refused_absent.add();
    return send_command(server, Command::refuse(client_id));
  }
  const unsigned loop = group_.loop_of_client(client_id);
  if (loop == loop_) {
    const std::uint32_t slot = reserve(client_id, loop_);
    if (slot == kNone) return send_command(server, Command::refuse(client_id));
    const std::uint32_t connection = client_ends_[slot].connection;
    const std::uint32_t other = add_server_end(server, connection, client_id, loop_);
    client_ends_[slot].other = other;
    client_ends_[slot].announced = true;
    server_ends_[other].other = slot;
    send_command(server, Command::accept(connection, client_id));
    return send_command(*ports_[client_ends_[slot].port], Command::connect(connection, server.id_));
  }
  if (server.dials_ >= options_.server_dials_max) {
    counters_.cut_dials.add();
    return doom(server,
                CloseReason::local(ErrorCode::overloaded, "server " + std::to_string(server.id_) + " has more than " +
                                                              std::to_string(options_.server_dials_max) +
                                                              " dials under way (server_dials_max)"));
  }
  ++server.dials_;
  mail(loop,
       {.kind = MailKind::dial_client, .id = client_id, .port = server.index_, .registration = server.registration_});
}

// A place for a connection that a server opens to a client of this loop. kNone: refused, and counted.
std::uint32_t Switch::reserve(std::uint32_t client_id, unsigned server_loop) {
  counters_.dials.add();
  const auto refuse = [](Counter& why) {
    why.add();
    return kNone;
  };
  const std::uint32_t index = clients_.find(client_id);
  if (index == kNone || ports_[index]->closing()) return refuse(counters_.refused_absent);
  if (draining_) return refuse(counters_.refused_draining);
  const std::optional<std::uint32_t> connection = group_.ids().take();
  if (!connection) return refuse(counters_.refused_virtual_max);
  counters_.dials_accepted.add();
  return add_client_end(*ports_[index], *connection, server_loop);
}

std::uint32_t Switch::new_client_id() noexcept {
  for (;;) {
    if (next_client_id_ > 0xffffffff) next_client_id_ = loop_ + 1;  // all were given out once; skip who is still here
    const auto id = static_cast<std::uint32_t>(next_client_id_);
    next_client_id_ += group_.loops();
    if (clients_.find(id) == kNone) return id;
  }
}

// --- server ids ---
//
// Each loop knows who has which id. The newest registration wins, by its number, on every loop; so all agree once the
// mail is read. A loop that hears that its own server lost the id says so to all: a loop that hears of the older one
// after the newer one has come and gone would otherwise take it for the holder.

void Switch::register_server(Port& server) {
  server.registration_ = group_.next_registration();
  server.registered_ = true;
  const std::uint32_t holder = servers_.find(server.id_);
  if (holder != kNone) {
    counters_.takeovers.add();
    if (registrations_[holder].loop == loop_) replaced(*ports_[registrations_[holder].port]);
  }
  set_registration(server.id_, {server.registration_, server.index_, loop_, 0});
  broadcast(
      {.kind = MailKind::server_here, .id = server.id_, .port = server.index_, .registration = server.registration_});
}

void Switch::unregister_server(Port& server) {
  if (!std::exchange(server.registered_, false)) return;
  erase_registration(server.id_, server.registration_);
  broadcast({.kind = MailKind::server_gone, .id = server.id_, .registration = server.registration_});
}

void Switch::set_registration(std::uint32_t server_id, const Registration& registration) {
  std::uint32_t slot = servers_.find(server_id);
  if (slot == kNone) {
    slot = registrations_.take();
    servers_.insert(server_id, slot);
  }
  registrations_[slot] = registration;
}

// Only if it is still that one's: a late cleanup must not take away its successor.
void Switch::erase_registration(std::uint32_t server_id, std::uint64_t number) {
  const std::uint32_t slot = servers_.find(server_id);
  if (slot == kNone || registrations_[slot].number != number) return;
  servers_.erase(server_id);
  registrations_.give(slot);
}

void Switch::replaced(Port& server) {
  server.registered_ = false;
  if (!options_.close_replaced_server || server.closing()) return;
  counters_.replaced.add();
  doom(server, CloseReason::local(ErrorCode::refused, "another server took the id " + std::to_string(server.id_)));
}

void Switch::handle_server_mail(unsigned from, const Mail& mail) {
  if (mail.kind == MailKind::server_gone) return erase_registration(mail.id, mail.registration);
  const std::uint32_t slot = servers_.find(mail.id);
  if (slot != kNone) {
    const Registration& holder = registrations_[slot];
    if (holder.number > mail.registration) return;
    if (holder.loop == loop_) {
      Port& server = *ports_[holder.port];
      broadcast({.kind = MailKind::server_gone, .id = mail.id, .registration = holder.number});
      replaced(server);
    }
  }
  set_registration(mail.id, {mail.registration, mail.port, from, 0});
}

std::optional<std::pair<unsigned, std::uint64_t>> Switch::find_server(std::uint32_t server_id) const noexcept {
  const std::uint32_t slot = servers_.find(server_id);
  if (slot == kNone) return std::nullopt;
  return std::pair<unsigned, std::uint64_t>(registrations_[slot].loop, registrations_[slot].number);
}

// --- mail ---

MailBatch& Switch::open_outbox(unsigned to) {
  if (outboxes_[to].empty()) outboxes_[to].reuse(spares_[to]);
  return outboxes_[to];
}

void Switch::mail(unsigned to, const Mail& command) {
  open_outbox(to).add(command);
  ask_for_turn_end();
}

bool Switch::mail_frame(unsigned to, MailKind kind, Frame& frame) {
  if (outboxes_[to].frame_bytes() + frame.size() > options_.mail_bytes_max) {
    counters_.closed_mail_full.add();
    return false;
  }
  open_outbox(to).add_frame(kind, frame.connection, frame);
  ask_for_turn_end();
  return true;
}

void Switch::broadcast(const Mail& news) {
  for (unsigned to = 0; to < group_.loops(); ++to) {
    if (to != loop_) mail(to, news);
  }
}

Port* Switch::server_of(const Mail& mail) noexcept {
  if (mail.port >= ports_.size() || !ports_[mail.port]) return nullptr;
  Port& port = *ports_[mail.port];
  return port.registration_ == mail.registration && port.state_ == Port::State::open ? &port : nullptr;
}

void Switch::handle_mail(unsigned from, MailBatch& batch, TimePoint now) {
  now_ = now;
  Mail one;
  while (batch.next(one)) {
    handle_one(from, one);
    if (!doomed_.empty()) settle();
  }
  batch.clear();
  spares_[from].reuse(batch);
}

void Switch::handle_one(unsigned from, Mail& one) {
  switch (one.kind) {
    case MailKind::server_here:
    case MailKind::server_gone:
      return handle_server_mail(from, one);

    case MailKind::dial_server: {
      Port* const server = server_of(one);
      if (!server) return mail(from, {.kind = MailKind::close_to_client, .connection = one.connection});
      add_server_end(*server, one.connection, one.id, from);
      return send_command(*server, Command::connect(one.connection, one.id));
    }
    case MailKind::dial_client: {
      const std::uint32_t slot = reserve(one.id, from);
      Mail answer{.kind = MailKind::dial_refused, .id = one.id, .port = one.port, .registration = one.registration};
      if (slot != kNone) {
        answer.kind = MailKind::dial_reserved;
        answer.connection = client_ends_[slot].connection;
      }
      return mail(from, answer);
    }
    case MailKind::dial_refused:
      if (Port* const server = server_of(one)) {
        --server->dials_;
        send_command(*server, Command::refuse(one.id));
      }
      return;
    case MailKind::dial_reserved: {
      Port* const server = server_of(one);
      if (!server) return mail(from, {.kind = MailKind::close_to_client, .connection = one.connection});
      --server->dials_;
      add_server_end(*server, one.connection, one.id, from);
      send_command(*server, Command::accept(one.connection, one.id));
      return mail(from, {.kind = MailKind::connect, .connection = one.connection, .id = server->id_});
    }

    case MailKind::connect: {
      const std::uint32_t slot = client_table_.find(one.connection);
      if (slot == kNone) return;  // the client went meanwhile, and the server's loop will hear of it
      client_ends_[slot].announced = true;
      return send_command(*ports_[client_ends_[slot].port], Command::connect(one.connection, one.id));
    }
    case MailKind::data_to_server: {
      const std::uint32_t slot = server_table_.find(one.connection);
      if (slot == kNone) return counters_.crossed.add();
      counters_.frames_over_mail.add();
      return forward_to_server(slot, one.frame);
    }
    case MailKind::data_to_client: {
      const std::uint32_t slot = client_table_.find(one.connection);
      if (slot == kNone) return counters_.crossed.add();
      counters_.frames_over_mail.add();
      return forward_to_client(slot, one.frame);
    }
    case MailKind::close_to_server: {
      const std::uint32_t slot = server_table_.find(one.connection);
      if (slot == kNone) return;  // both closed at once
      Port& server = *ports_[server_ends_[slot].port];
      remove_server_end(slot);
      return send_command(server, Command::close(one.connection));
    }
    case MailKind::close_to_client: {
      const std::uint32_t slot = client_table_.find(one.connection);
      if (slot == kNone) return;
      const ClientEnd end = client_ends_[slot];
      remove_client_end(slot);
      if (end.announced) send_command(*ports_[end.port], Command::close(one.connection));
      return;
    }
    case MailKind::pause_client:
    case MailKind::resume_client: {
      const std::uint32_t slot = client_table_.find(one.connection);
      if (slot != kNone) pause_client_end(slot, one.kind == MailKind::pause_client);
      return;
    }
    case MailKind::mark:
      return mail(from, {.kind = MailKind::mark_seen, .id = one.id});
    case MailKind::mark_seen:
      return handle_mark_seen(one.id);
  }
}

}  // namespace wayport::link
