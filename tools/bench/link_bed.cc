#include "wayport/tools/bench/link_bed.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "wayport/framing/link/auth.h"

namespace wayport::tools {
namespace {

using link::Command;
using link::CommandType;
using link::EncodedCommand;

// Clients that connect at one time: fewer than a listener's queue holds.
constexpr std::size_t kAtOnce = 64;
constexpr int kTurnMs = 100;

// Counts answers to pings.
struct Pongs final : LinkBedEvents {
  void on_client_frame(std::size_t, std::uint32_t connection, Bytes frame) override {
    if (connection == 0 && command_of(frame) == Command::ping()) ++count;
  }
  void on_server_frame(std::uint32_t, Bytes) override { ++count; }
  std::size_t count = 0;
};

// A dial of each client. A server that was let in need not be known to all loops of the gateway yet: then once more.
struct FirstDials final : LinkBedEvents {
  explicit FirstDials(LinkBed& of) : bed(of), ids(of.clients()) {}
  void dial(std::size_t client) { bed.send_client(client, EncodedCommand(Command::dial(kLinkServerId))); }
  void on_client_frame(std::size_t client, std::uint32_t, Bytes frame) override {
    const Command command = command_of(frame);
    if (command.type == CommandType::refuse) return dial(client);
    if (command.type != CommandType::accept) return;
    ids[client] = command.connection;
    ++accepted;
  }
  void on_server_frame(std::uint32_t, Bytes frame) override {
    connected += command_of(frame).type == CommandType::connect ? 1 : 0;
  }

  LinkBed& bed;
  std::vector<std::uint32_t> ids;
  std::size_t accepted = 0;
  std::size_t connected = 0;
};

Result<void> receive_exactly(int fd, MutableBytes to) {
  const timeval limit{.tv_sec = kLinkPatience.count(), .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  const ssize_t size = ::recv(fd, to.data(), to.size(), MSG_WAITALL);
  if (size == static_cast<ssize_t>(to.size())) return {};
  return size < 0 ? Result<void>(fail(system_error(errno, "the gateway's challenge")))
                  : fail(ErrorCode::peer_closed, "the gateway closed before its challenge was there");
}

}  // namespace

LinkBed::LinkBed(LinkPlace place) : place_(std::move(place)) { poll_.add(timer_.fd()); }

Result<std::unique_ptr<LinkBed>> LinkBed::connect(const LinkPlace& place) {
  std::unique_ptr<LinkBed> bed(new LinkBed(place));
  WAYPORT_TRY(bed->connect_server());
  return bed;
}

Result<void> LinkBed::connect_server() {
  WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(place_.server_port));
  link::Challenge challenge;
  WAYPORT_TRY(receive_exactly(fd.get(), challenge));
  WAYPORT_TRY_ASSIGN(const link::AuthResponse response,
                     link::encode_auth_response(challenge, as_bytes(place_.key), kLinkServerId));
  server_ = add(std::move(fd), kServer);
  send_server(response);
  send_server(EncodedCommand(Command::ping()));
  Pongs pongs;
  return turn_until(pongs, "an answer to the server's ping", [&] { return pongs.count == 1; });
}

Result<void> LinkBed::add_clients(std::size_t count) {
  Pongs pongs;
  for (std::size_t added = 0; added < count;) {
    for (std::size_t i = 0; i < kAtOnce && added < count; ++i, ++added) {
      WAYPORT_TRY_ASSIGN(Fd fd, connect_to_port(place_.client_port));
      clients_.push_back(add(std::move(fd), clients_.size()));
      send_client(clients_.size() - 1, EncodedCommand(Command::ping()));
    }
    WAYPORT_TRY(turn_until(pongs, "answers to the clients' pings", [&] { return pongs.count == added; }));
  }
  return {};
}

LinkBed::End* LinkBed::add(Fd fd, std::size_t index) {
  const int number = fd.get();
  const auto at = static_cast<std::size_t>(number);
  if (ends_.size() <= at) ends_.resize(at + 1);
  ends_[at] = std::make_unique<End>(std::move(fd), index);
  poll_.add(number);
  return ends_[at].get();
}

void LinkBed::send_client(std::size_t client, Bytes frame) {
  std::ranges::copy(frame, append_client(client, frame.size()));
}
void LinkBed::send_server(Bytes frame) { std::ranges::copy(frame, append_server(frame.size())); }

Result<void> LinkBed::turn(LinkBedEvents& events) {
  WAYPORT_TRY(flush());
  for (const epoll_event& event : poll_.wait(kTurnMs)) {
    if (event.data.fd == timer_.fd()) {
      timer_.clear();
      continue;
    }
    End& end = *ends_[static_cast<std::size_t>(event.data.fd)];
    if (event.events & EPOLLOUT) output_of(end);
    if (!(event.events & ~static_cast<std::uint32_t>(EPOLLOUT))) continue;
    const bool alive = end.socket.receive(scratch_, [&](std::uint32_t connection, Bytes frame) {
      if (end.index == kServer) {
        events.on_server_frame(connection, frame);
      } else {
        events.on_client_frame(end.index, connection, frame);
      }
    });
    if (!alive) return fail(gone(end));
  }
  return {};
}

Result<void> LinkBed::flush() {
  for (End* const end : marked_) {
    end->has_output = false;
    LinkSocket& socket = end->socket;
    const bool was_blocked = socket.output().blocked();
    if (!socket.flush()) return fail(gone(*end));
    if (socket.output().blocked() != was_blocked) poll_.want_output(socket.fd(), socket.output().blocked());
  }
  marked_.clear();
  return {};
}

Error LinkBed::gone(const End& end) {
  return {ErrorCode::peer_closed,
          "the gateway closed " + (end.index == kServer ? "the server" : "client " + std::to_string(end.index)),
          {}};
}

void LinkSurprises::add(std::string what) {
  ++count_;
  if (first_.size() < kFirst) first_.push_back(std::move(what));
}

void LinkSurprises::add_frame(const std::string& at, std::uint32_t connection, Bytes frame) {
  if (connection != link::kControlConnection) {
    return add(at + ": " + std::to_string(frame.size()) + " bytes on connection " + std::to_string(connection));
  }
  const Command command = command_of(frame);
  add(at + ": " + std::string(to_string(command.type)) + ", connection " + std::to_string(command.connection) +
      ", remote " + std::to_string(command.remote));
}

Command command_of(Bytes frame) {
  const Result<Command> command = link::decode_command(frame.subspan(link::kFrameHeaderBytes));
  return command ? *command : Command::ping();
}

Result<std::vector<std::uint32_t>> dial_all(LinkBed& bed) {
  FirstDials dials(bed);
  for (std::size_t client = 0; client < bed.clients(); ++client) dials.dial(client);
  WAYPORT_TRY(bed.turn_until(dials, "virtual connections for all clients",
                             [&] { return dials.accepted == bed.clients() && dials.connected == bed.clients(); }));
  return std::move(dials.ids);
}

}  // namespace wayport::tools
