#include "wayport/transport/link/testing/hand_gateway.h"

#include <algorithm>

#include "wayport/framing/link/auth.h"

namespace wayport::link::testing {

struct HandGateway::Connection final : transport::StreamEvents {
  Connection(HandGateway& which, bool is_server) : gateway(which), server(is_server) {}

  std::size_t on_bytes(MutableBytes bytes, bool) override {
    std::size_t taken = 0;
    if (server && !authenticated) {
      if (bytes.size() < kAuthResponseBytes) return 0;
      taken = kAuthResponseBytes;
      const Result<std::uint32_t> said =
          check_auth_response(kChallenge, as_bytes(gateway.key_), Bytes(bytes).first(taken));
      if (!said) {
        stream->close(CloseReason::local(ErrorCode::refused, "key"));
        return bytes.size();
      }
      authenticated = true;
      id = *said;
    }
    const Result<std::size_t> read = reader.read(bytes.subspan(taken), [this](Frame& frame) {
      gateway.handle(*this, frame);
      return true;
    });
    WAYPORT_ASSERT(read.has_value(), "an endpoint sent what is no frame");
    return taken + *read;
  }
  void on_writable() override {}
  void on_read_end() override { stream->shutdown_write(); }
  void on_closed(const CloseReason&) override { gateway.gone(*this); }

  void say(const Command& command) {
    Chain chain;
    chain.append(Bytes(EncodedCommand(command)));
    say(std::move(chain));
  }
  void say(Chain&& chain) {
    if (!gateway.silent) stream->write(std::move(chain));
  }

  static constexpr Challenge kChallenge{std::byte{9}, std::byte{8}, std::byte{7}};
  HandGateway& gateway;
  const bool server;
  std::unique_ptr<transport::Stream> stream;
  FrameReader reader;
  bool authenticated = false;
  std::uint32_t id = 0;
};

HandGateway::HandGateway(Loop& loop, const transport::Transports& all, const std::string& clients,
                         const std::string& servers, std::string key)
    : loop_(loop), key_(std::move(key)) {
  const auto listen = [&](const std::string& where, bool server) {
    auto listener = all.listen(loop, *transport::Address::parse(where), {});
    WAYPORT_ASSERT(listener.has_value(), listener.error().detail.c_str());
    (*listener)->start(
        [this, server](std::unique_ptr<transport::Incoming> incoming) { open(server, std::move(incoming)); });
    return *std::move(listener);
  };
  clients_ = listen(clients, false);
  servers_ = listen(servers, true);
}
HandGateway::~HandGateway() = default;

void HandGateway::die(bool for_good) {
  if (for_good) {
    clients_.reset();
    servers_.reset();
  }
  for (const auto& connection : connections_) {
    connection->stream->close(CloseReason::local(ErrorCode::local_closed, "dies"));
  }
}

std::size_t HandGateway::connections() const { return connections_.size(); }

void HandGateway::open(bool server, std::unique_ptr<transport::Incoming> incoming) {
  auto connection = std::make_unique<Connection>(*this, server);
  connection->stream = incoming->accept();
  connection->stream->start(*connection);
  if (!server) connection->id = next_client_++;
  if (server && !hold_challenge) {
    Chain challenge;
    challenge.append(Bytes(Connection::kChallenge));
    connection->say(std::move(challenge));
  }
  connections_.push_back(std::move(connection));
}

void HandGateway::handle(Connection& from, Frame& frame) {
  if (frame.connection == kControlConnection) {
    std::byte prefix[kCommandMessageBytesMax];
    const Result<Command> command = decode_command(Bytes(prefix).first(frame.copy_message(prefix)));
    WAYPORT_ASSERT(command.has_value(), "an endpoint sent what is no command");
    switch (command->type) {
      case CommandType::dial:
        ++dials;
        if (hold_dials) return held_.emplace_back(&from, command->remote), void();
        return dial(from, command->remote);
      case CommandType::close:
        ++closes;
        return close_virtual(command->connection);
      case CommandType::ping:
        ++pings;
        return from.say(Command::ping());
      default:
        WAYPORT_ASSERT(false, "an endpoint sent what only a gateway says");
    }
  }
  ++frames;
  const auto known = virtuals_.find(frame.connection);
  if (known == virtuals_.end()) return from.say(Command::close(frame.connection));
  Chain whole;
  frame.move_to(whole);
  (from.server ? known->second.client : known->second.server)->say(std::move(whole));
}

void HandGateway::release_dials() {
  hold_dials = false;
  for (const auto& [from, remote] : std::exchange(held_, {})) dial(*from, remote);
}

void HandGateway::dial(Connection& from, std::uint32_t remote) {
  // The newest of an id.
  const auto found = std::ranges::find_if(connections_.rbegin(), connections_.rend(), [&](const auto& other) {
    return other->server != from.server && other->id == remote && (!other->server || other->authenticated);
  });
  if (found == connections_.rend()) return from.say(Command::refuse(remote));
  const std::uint32_t connection = next_connection_++;
  virtuals_[connection] = from.server ? Ends{found->get(), &from} : Ends{&from, found->get()};
  from.say(Command::accept(connection, remote));
  (*found)->say(Command::connect(connection, from.id));
}

void HandGateway::close_virtual(std::uint32_t connection) {
  const auto known = virtuals_.find(connection);
  if (known == virtuals_.end()) return;
  const Ends ends = known->second;
  virtuals_.erase(known);
  ends.client->say(Command::close(connection));
  ends.server->say(Command::close(connection));
}

void HandGateway::gone(Connection& connection) {
  std::vector<std::uint32_t> lost;
  for (const auto& [id, ends] : virtuals_) {
    if (ends.client == &connection || ends.server == &connection) lost.push_back(id);
  }
  for (const std::uint32_t id : lost) close_virtual(id);
  std::erase_if(held_, [&](const auto& held) { return held.first == &connection; });
  const auto self = std::ranges::find(connections_, &connection, &std::unique_ptr<Connection>::get);
  loop_.delete_later(std::move(*self));
  connections_.erase(self);
}

}  // namespace wayport::link::testing
