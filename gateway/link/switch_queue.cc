// Sending, what may wait for a receiver, and what happens to those who are slow.
//
//     admit() --take--> charge() --> host.send()      per frame; one comparison while the receiver keeps up
//        |                 |
//        |                 '--> touched_ --end_turn()--> refresh(): unsent == 0: fine; else slow: a Backlog begins
//        '--bound reached--> refresh(), then the policy
//
// A slow receiver is looked at when it is sent to, when its stream has room again, when a bound would bite, and every
// slow_poll_interval.
#include <algorithm>
#include <string>
#include <tuple>

#include "wayport/gateway/link/switch.h"

namespace wayport::link {

void Switch::send_command(Port& to, const Command& command) {
  if (to.state_ != Port::State::open) return;
  const EncodedCommand encoded(command);
  const std::size_t size = encoded.bytes().size();
  const std::size_t bytes_max = limits(to).bytes_max + options_.command_reserve_bytes;
  if (to.queued_ + size > bytes_max) {
    refresh(to);
    if (to.queued_ + size > bytes_max) {
      counters_.cut_commands.add();
      return doom(
          to, CloseReason::local(ErrorCode::overloaded, std::to_string(to.queued_) +
                                                            " bytes wait unsent, so many that not even commands fit "
                                                            "(command_reserve_bytes on top of the queue's bytes_max)"));
    }
  }
  charge(to, kControlConnection, size);
  host_.send(to, encoded.bytes());
}

void Switch::send_frame(Port& to, Frame& frame, Counter& frames, Counter& bytes) {
  const std::size_t size = frame.size();
  frames.add();
  bytes.add(size);
  charge(to, frame.connection, size);
  if (frame.chain != nullptr) {
    host_.send(to, std::move(*frame.chain));
  } else {
    host_.send(to, frame.bytes);
  }
}

void Switch::forward_to_client(std::uint32_t slot, Frame& frame) {
  Port& to = *ports_[client_ends_[slot].port];
  if (to.state_ != Port::State::open) return;  // its ends go when this event is done
  switch (admit(to, frame.connection, frame.size(), false)) {
    case Admission::take:
    case Admission::take_and_pause:
      return send_frame(to, frame, counters_.frames_to_clients, counters_.bytes_to_clients);
    case Admission::close:
      return end_by_client(slot, true);
    case Admission::gone:
      return;
  }
}

void Switch::forward_to_server(std::uint32_t slot, Frame& frame) {
  Port& to = *ports_[server_ends_[slot].port];
  if (to.state_ != Port::State::open) return;
  switch (admit(to, frame.connection, frame.size(), true)) {
    case Admission::take:
      return send_frame(to, frame, counters_.frames_to_servers, counters_.bytes_to_servers);
    case Admission::take_and_pause:
      send_frame(to, frame, counters_.frames_to_servers, counters_.bytes_to_servers);
      return pause_sender(slot);
    case Admission::close:
      return end_by_server(slot, true);
    case Admission::gone:
      return;
  }
}

Switch::Admission Switch::admit_slowly(Port& to, std::uint32_t connection, std::size_t size, bool from_client) {
  refresh(to);
  const bool room = queued_ + size <= queued_max_ || make_room(size);
  if (to.state_ != Port::State::open) return Admission::gone;
  if (!room) {
    counters_.closed_process_bytes.add();
    return Admission::close;
  }
  const QueueLimits& own = limits(to);
  const QueueLimits& of_virtual = options_.virtual_queue;
  const bool slow = to.backlog_ != nullptr;
  const Backlog::Share share = slow ? to.backlog_->share(connection) : Backlog::Share{};
  const std::size_t messages = slow ? to.backlog_->messages() : 0;
  const bool own_full = to.queued_ + size > own.bytes_max || (slow && messages >= own.messages_max);
  const bool virtual_full =
      slow && (share.bytes + size > of_virtual.bytes_max || share.messages >= of_virtual.messages_max);
  if (own_full || virtual_full) {
    if (options_.slow_policy == SlowPolicy::cut) {
      counters_.cut_slow.add();
      doom(to, CloseReason::local(ErrorCode::overloaded, "does not keep up: " + std::to_string(to.queued_) +
                                                             " bytes and " + std::to_string(messages) +
                                                             " messages wait unsent (slow_policy is cut)"));
      return Admission::gone;
    }
    (virtual_full               ? counters_.closed_virtual_queue
     : to.side_ == Side::client ? counters_.closed_client_queue
                                : counters_.closed_server_queue)
        .add();
    return Admission::close;
  }
  if (options_.slow_policy != SlowPolicy::pause || !from_client || !slow || share.paused) return Admission::take;
  const bool half_full = to.queued_ + size > own.bytes_max / 2 || messages >= own.messages_max / 2 ||
                         share.bytes + size > of_virtual.bytes_max / 2 || share.messages >= of_virtual.messages_max / 2;
  return half_full ? Admission::take_and_pause : Admission::take;
}

// Cuts slow receivers, those with most unsent bytes first, until `size` more bytes fit this loop's share; clients before
// servers, since behind a server are many. False: there is nobody left to cut.
bool Switch::make_room(std::size_t size) {
  slow_.for_each([this](Port& port) { refresh(port); });
  while (queued_ + size > queued_max_) {
    // Registrations and ids only decide between equals.
    const auto weight = [](const Port& port) {
      return std::tuple(port.side_ == Side::client, port.queued_, port.registration_, port.id_);
    };
    Port* worst = nullptr;
    slow_.for_each([&](Port& port) {
      if (worst == nullptr || weight(port) > weight(*worst)) worst = &port;
    });
    if (worst == nullptr) return false;
    Port& victim = *worst;
    counters_.cut_process_bytes.add();
    doom(victim, CloseReason::local(ErrorCode::overloaded, "does not keep up, and holds the most unsent bytes (" +
                                                               std::to_string(victim.queued_) +
                                                               ") while process_bytes_max is used up"));
  }
  return true;
}

void Switch::charge(Port& to, std::uint32_t connection, std::size_t size) {
  to.queued_ += size;
  queued_ += size;
  if (to.backlog_) to.backlog_->push(connection, size);
  if (to.touched_at_ != Port::kNone) return;
  to.touched_at_ = static_cast<std::uint32_t>(touched_.size());
  touched_.push_back(&to);
  ask_for_turn_end();
}

void Switch::refresh(Port& port) {
  const std::size_t unsent = std::min(host_.unsent(port), port.queued_);
  const std::size_t gone = port.queued_ - unsent;
  port.queued_ = unsent;
  queued_ -= gone;
  if (!port.backlog_) return;
  const QueueLimits& of_virtual = options_.virtual_queue;
  port.backlog_->release(gone, {of_virtual.bytes_max / 4, of_virtual.messages_max / 4, false},
                         [this](std::uint32_t connection) { resume_sender(connection); });
  if (unsent == 0) forget_queue(port);
}

void Switch::become_slow(Port& port) {
  port.backlog_ = std::make_unique<Backlog>(group_.hash_seed());
  port.backlog_->start(port.queued_);
  slow_.push_back(port);
  counters_.slow.add();
  if (next_poll_ == kNever) next_poll_ = after(now_, options_.slow_poll_interval);
}

// It owes nothing to anyone any more: all was sent, or never will be.
void Switch::forget_queue(Port& port) noexcept {
  queued_ -= port.queued_;
  port.queued_ = 0;
  if (!port.backlog_) return;
  port.backlog_.reset();
  static_cast<ListNode<Port>&>(port).unlink();
  counters_.slow.add(-1);
}

void Switch::handle_writable(Port& port) {
  if (port.backlog_) refresh(port);
}

void Switch::end_turn() {
  turn_end_asked_ = false;
  for (Port* const port : touched_) {
    if (port == nullptr) continue;
    port->touched_at_ = Port::kNone;
    if (port->state_ != Port::State::open) continue;
    refresh(*port);
    if (port->queued_ != 0 && !port->backlog_) become_slow(*port);
  }
  touched_.clear();
  counters_.queued_bytes.set(static_cast<std::int64_t>(queued_));
}

// --- pausing clients ---

void Switch::pause_sender(std::uint32_t server_slot) {
  const ServerEnd& end = server_ends_[server_slot];
  ports_[end.port]->backlog_->set_paused(end.connection);
  counters_.pauses.add();
  if (end.loop == loop_) {
    pause_client_end(end.other, true);
  } else {
    mail(end.loop, {.kind = MailKind::pause_client, .connection = end.connection});
  }
}

void Switch::resume_sender(std::uint32_t connection) {
  const std::uint32_t slot = server_table_.find(connection);
  if (slot == kNone) return;  // closed meanwhile, which resumed its client
  const ServerEnd& end = server_ends_[slot];
  if (end.loop == loop_) {
    pause_client_end(end.other, false);
  } else {
    mail(end.loop, {.kind = MailKind::resume_client, .connection = connection});
  }
}

void Switch::pause_client_end(std::uint32_t slot, bool on) {
  ClientEnd& end = client_ends_[slot];
  if (end.paused == on) return;
  end.paused = on;
  pause_client(*ports_[end.port], on);
}

void Switch::pause_client(Port& client, bool on) {
  client.pauses_ += on ? 1 : -1;
  if (client.state_ != Port::State::open || client.pauses_ != (on ? 1u : 0u)) return;
  counters_.paused.add(on ? 1 : -1);
  if (!on) client.last_frame_ = now_;  // the time in which it was not read does not count as idle
  host_.set_reading(client, !on);
}

// The word that pauses a client comes late from another loop. So that what comes meanwhile fits the other half of the
// bounds, a client stops by itself after a quarter, until the other loops have seen all that it sent.
void Switch::count_ahead(Port& client, std::size_t size) {
  client.ahead_bytes_ += size;
  ++client.ahead_messages_;
  const QueueLimits& of_virtual = options_.virtual_queue;
  if (client.ahead_bytes_ <= of_virtual.bytes_max / 4 && client.ahead_messages_ <= of_virtual.messages_max / 4) return;
  client.ahead_bytes_ = client.ahead_messages_ = 0;
  client.marks_ = group_.loops() - 1;
  pause_client(client, true);
  broadcast({.kind = MailKind::mark, .id = client.id_});
}

void Switch::handle_mark_seen(std::uint32_t client_id) {
  const std::uint32_t index = clients_.find(client_id);
  if (index == kNone) return;  // it closed meanwhile
  Port& client = *ports_[index];
  if (client.marks_ != 0 && --client.marks_ == 0) pause_client(client, false);
}

}  // namespace wayport::link
