#include "wayport/tools/bench/raw_link.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

#include "wayport/framing/link/auth.h"
#include "wayport/tools/bench/link_socket.h"
#include "wayport/tools/bench/raw_socket.h"

namespace wayport::tools {
namespace {

using link::Command;
using link::CommandType;
using link::EncodedCommand;

struct Peer {
  explicit Peer(Fd fd) : socket(std::move(fd)) {}
  LinkSocket socket;
  bool has_output = false;  // since the last flush
};

// Both ends of a virtual connection; nullptr: it left.
struct Route {
  Peer* client = nullptr;
  Peer* server = nullptr;
};

class Forwarder {
 public:
  explicit Forwarder(Poll& poll) : poll_(poll) {}

  void add_client(Fd fd) { add(std::move(fd)); }
  // Blocks until it has answered the challenge, which can be anything.
  void add_server(Fd fd) {
    const link::Challenge challenge{};
    link::AuthResponse response;
    if (::send(fd.get(), challenge.data(), challenge.size(), MSG_NOSIGNAL) < 0) return;
    if (::recv(fd.get(), response.data(), response.size(), MSG_WAITALL) != static_cast<ssize_t>(response.size()))
      return;
    server_ = add(std::move(fd));
  }

  void handle(const epoll_event& event) {
    const auto index = static_cast<std::size_t>(event.data.fd);
    if (index >= peers_.size() || !peers_[index]) return;
    Peer& peer = *peers_[index];
    if (event.events & EPOLLOUT) mark(peer);
    if (!(event.events & ~static_cast<std::uint32_t>(EPOLLOUT))) return;
    const bool alive = peer.socket.receive(scratch_, [&](std::uint32_t connection, Bytes frame) {
      if (connection == link::kControlConnection) return obey(peer, frame);
      if (connection >= routes_.size()) return;
      const Route& route = routes_[connection];
      if (Peer* const other = route.client == &peer ? route.server : route.client) send(*other, frame);
    });
    if (!alive) remove(peer);
  }

  void flush() {
    for (Peer* const peer : marked_) {
      peer->has_output = false;
      const bool was_blocked = peer->socket.output().blocked();
      if (!peer->socket.flush()) {
        broken_.push_back(peer);
      } else if (const bool blocked = peer->socket.output().blocked(); blocked != was_blocked) {
        poll_.want_output(peer->socket.fd(), blocked);
      }
    }
    marked_.clear();
    for (Peer* const peer : std::exchange(broken_, {})) remove(*peer);
  }

 private:
  Peer* add(Fd fd) {
    const int number = fd.get();
    const auto index = static_cast<std::size_t>(number);
    tune_tcp(number);
    if (peers_.size() <= index) peers_.resize(index + 1);
    peers_[index] = std::make_unique<Peer>(std::move(fd));
    poll_.add(number);
    return peers_[index].get();
  }

  void obey(Peer& peer, Bytes frame) {
    const Result<Command> command = link::decode_command(frame.subspan(link::kFrameHeaderBytes));
    if (!command) return;
    if (command->type == CommandType::ping) send(peer, frame);
    if (command->type != CommandType::dial) return;
    if (!server_) return send(peer, EncodedCommand(Command::refuse(command->remote)));
    const auto connection = static_cast<std::uint32_t>(routes_.size());
    routes_.push_back({&peer, server_});
    send(peer, EncodedCommand(Command::accept(connection, command->remote)));
    send(*server_, EncodedCommand(Command::connect(connection, static_cast<std::uint32_t>(peer.socket.fd()))));
  }

  void send(Peer& peer, Bytes frame) {
    peer.socket.send(frame);
    mark(peer);
  }
  void mark(Peer& peer) {
    if (!std::exchange(peer.has_output, true)) marked_.push_back(&peer);
  }

  void remove(Peer& peer) {
    for (Route& route : routes_) {
      if (route.client == &peer) route.client = nullptr;
      if (route.server == &peer) route.server = nullptr;
    }
    if (server_ == &peer) server_ = nullptr;
    std::erase(marked_, &peer);
    peers_[static_cast<std::size_t>(peer.socket.fd())].reset();
  }

  Poll& poll_;
  std::vector<std::byte> scratch_ = std::vector<std::byte>(kLinkReadBytes);
  std::vector<std::unique_ptr<Peer>> peers_;  // by descriptor
  std::vector<Route> routes_{Route{}};        // by connection id; 0 is none
  Peer* server_ = nullptr;
  std::vector<Peer*> marked_;
  std::vector<Peer*> broken_;
};

}  // namespace

RawLinkGateway::RawLinkGateway()
    : clients_(listen_on_loopback()), servers_(listen_on_loopback()), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  check(static_cast<bool>(stop_), "eventfd");
  client_port_ = port_of(clients_.get());
  server_port_ = port_of(servers_.get());
  thread_ = std::thread([this] { serve(); });
}

RawLinkGateway::~RawLinkGateway() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof(one)));
  thread_.join();
}

void RawLinkGateway::serve() {
  Poll poll;
  poll.add(clients_.get());
  poll.add(servers_.get());
  poll.add(stop_.get());
  Forwarder forwarder(poll);
  while (true) {
    for (const epoll_event& event : poll.wait()) {
      const int fd = event.data.fd;
      if (fd == stop_.get()) return;
      if (fd == clients_.get() || fd == servers_.get()) {
        Fd accepted(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted) continue;
        if (fd == clients_.get()) {
          forwarder.add_client(std::move(accepted));
        } else {
          forwarder.add_server(std::move(accepted));
        }
        continue;
      }
      forwarder.handle(event);
    }
    forwarder.flush();
  }
}

}  // namespace wayport::tools
