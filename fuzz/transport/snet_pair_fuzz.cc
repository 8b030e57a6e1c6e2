// A client and a server of snet over a hostile link that delivers late and in pieces, cuts, lets old connections live on,
// replays requests and damages proofs: what either side has read is always the beginning of what the other wrote, and
// when the link behaves again both catch up, unless more was unread than a ring holds.
//
// Input: first byte: bit 0: encrypted. Then operations, one byte each with their operands behind it; see the switch.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/dh64.h"
#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/session.h"

namespace {

using namespace wayport;
using namespace wayport::transport::snet;

constexpr std::size_t kConnectionsMax = 12;
constexpr std::size_t kRing = 64;

class Counting final : public RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>((++count_ * 0x9e37'79b1u) >> 24);
  }

 private:
  std::uint32_t count_ = 0;
};

Chain chain_of(std::string_view text) {
  Chain chain;
  chain.append(text);
  return chain;
}

struct Connection {
  std::string up, down;  // on their way
  std::optional<ServerHandshake> handshake;
  bool damaged = false;  // on its way to the server, before the stream
  bool forged = false;   // nobody behind it knows the key
};

class World {
 public:
  explicit World(bool encrypt)
      : options_{.encrypt = encrypt, .ring_bytes = kRing},
        client_(Role::client, key_of(0xfeed'beef'1234'5677), 5, options_),
        server_(Role::server, key_of(0xfeed'beef'1234'5677), 5, options_) {
    static_cast<void>(client_.resume(0, 0));
    static_cast<void>(server_.resume(0, 0));
    connections_.resize(1);
    client_on_ = server_on_ = 0;
  }

  void write(bool by_client, std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(++written_bytes_ * 13);
    (by_client ? client_wrote_ : server_wrote_) += text;
    std::string wire = (by_client ? client_ : server_).write(chain_of(text)).to_string();
    const int on = by_client ? client_on_ : server_on_;
    if (on >= 0) (by_client ? connections_[on].up : connections_[on].down) += wire;
  }
  void deliver_up(std::size_t which, std::size_t size) {
    Connection& connection = at(which);
    std::string bytes = connection.up.substr(0, size);
    connection.up.erase(0, bytes.size());
    at_server(index_of(connection), bytes);
    check();
  }
  void deliver_down(std::size_t which, std::size_t size) {
    Connection& connection = at(which);
    std::string bytes = connection.down.substr(0, size);
    connection.down.erase(0, bytes.size());
    at_client(index_of(connection), bytes);
    check();
  }
  void reconnect() {
    if (lost_ || connections_.size() >= kConnectionsMax) return;
    client_on_ = -1;
    trying_ = static_cast<int>(connections_.size());
    Chain request;
    resume_.emplace(client_);
    resume_->start(request);
    Connection connection;
    connection.up = request.to_string();
    requests_.push_back(connection.up);
    connection.handshake.emplace(random_);
    connections_.push_back(std::move(connection));
  }
  void cut(std::size_t which) {
    Connection& connection = at(which);
    connection.up.clear();
    connection.down.clear();
    const int index = index_of(connection);
    if (client_on_ == index) client_on_ = -1;
    if (server_on_ == index) server_on_ = -1;
    if (trying_ == index) drop_attempt();
    connection.handshake.reset();
  }
  void replay(std::size_t which, std::string_view proof) {
    if (requests_.empty() || connections_.size() >= kConnectionsMax) return;
    Connection connection;
    connection.up = requests_[which % requests_.size()] + std::string(proof);
    connection.handshake.emplace(random_);
    connection.forged = true;
    connections_.push_back(std::move(connection));
  }
  void damage(std::size_t which, std::size_t bit) {
    Connection& connection = at(which);
    if (!connection.handshake || connection.up.empty() || connection.damaged) return;
    // Only the next byte is surely one of the handshake; nothing protects the stream behind it.
    connection.up[0] = static_cast<char>(connection.up[0] ^ (1 << bit % 8));
    connection.damaged = true;
  }
  void finish() {
    connections_.resize(std::min<std::size_t>(connections_.size(), kConnectionsMax - 1));
    drop_attempt();
    server_on_ = client_on_ = -1;
    reconnect();
    for (int rounds = 0; rounds < 8; ++rounds) {
      deliver_up(connections_.size() - 1, 100'000);
      deliver_down(connections_.size() - 1, 100'000);
    }
    if (lost_) return;
    WAYPORT_ASSERT(server_read_ == client_wrote_ && client_read_ == server_wrote_, "both sides catch up");
  }

 private:
  Connection& at(std::size_t which) { return connections_[which % connections_.size()]; }
  int index_of(const Connection& connection) const { return static_cast<int>(&connection - connections_.data()); }

  void drop_attempt() {
    trying_ = -1;
    resume_.reset();
  }
  static std::string receive(Session& session, std::string bytes) {
    return std::string(as_text(session.receive({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()})));
  }

  void at_server(int index, std::string bytes) {
    Connection& connection = connections_[index];
    if (connection.handshake) {
      Chain out;
      std::size_t taken = 0;
      for (bool more = true; more && taken < bytes.size();) {
        const std::size_t now = connection.handshake->handle_bytes(as_bytes(bytes).subspan(taken));
        taken += now;
        more = now != 0;
        if (connection.handshake->state() == ServerHandshake::State::wants_session) {
          connection.handshake->answer(connection.handshake->requested_id() == 5 ? &server_ : nullptr, out);
        }
        if (connection.handshake->state() == ServerHandshake::State::wants_id) connection.handshake->open(77, out);
      }
      connection.down += out.to_string();
      if (connection.handshake->state() == ServerHandshake::State::resuming_now) {
        WAYPORT_ASSERT(!connection.forged && !connection.damaged, "a connection without the proof was believed");
        const ServerHandshake done = *connection.handshake;
        connection.handshake.reset();
        if (done.generation() != server_.generation()) return;
        std::optional<Chain> missing = server_.resume(done.announced(), done.peer_received());
        if (!missing) return;
        server_on_ = index;
        connection.down += missing->to_string();
        bytes.erase(0, taken);
      } else {
        WAYPORT_ASSERT(connection.handshake->state() != ServerHandshake::State::opened, "nobody proved a new session");
        return;
      }
    }
    if (server_on_ == index) server_read_ += receive(server_, bytes);
  }

  void at_client(int index, std::string bytes) {
    if (trying_ == index) {
      Chain out;
      const std::size_t taken = resume_->handle_bytes(as_bytes(bytes), out);
      connections_[index].up += out.to_string();
      bytes.erase(0, taken);
      switch (resume_->state()) {
        case ClientResume::State::waiting:
          return;
        case ClientResume::State::resumed: {
          std::optional<Chain> missing = client_.resume(resume_->announced(), resume_->peer_received());
          drop_attempt();
          WAYPORT_ASSERT(missing.has_value(), "judged in the same call");
          client_on_ = index;
          connections_[index].up += missing->to_string();
          break;
        }
        case ClientResume::State::refused:
          // A damaged request is refused like any other.
          WAYPORT_ASSERT(
              connections_[index].damaged || server_.counters().written - client_.counters().received > kRing,
              "refused without a reason");
          lost_ = true;
          return drop_attempt();
        case ClientResume::State::overrun:
          WAYPORT_ASSERT(client_.counters().written - resume_->peer_received() > kRing, "the ring holds it");
          lost_ = true;
          return drop_attempt();
        case ClientResume::State::broken:
          WAYPORT_ASSERT(false, "honest counters are possible");
      }
    }
    if (client_on_ == index) client_read_ += receive(client_, bytes);
  }
  void check() const {
    WAYPORT_ASSERT(client_wrote_.starts_with(server_read_), "the server read what nobody wrote, or twice");
    WAYPORT_ASSERT(server_wrote_.starts_with(client_read_), "the client read what nobody wrote, or twice");
  }

  const SessionOptions options_;
  Counting random_;
  Session client_, server_;
  std::vector<Connection> connections_;
  std::vector<std::string> requests_;
  std::optional<ClientResume> resume_;
  int client_on_ = -1, server_on_ = -1, trying_ = -1;
  bool lost_ = false;
  unsigned written_bytes_ = 0;
  std::string client_wrote_, server_wrote_, client_read_, server_read_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 2000) return 0;
  World world((*data & 1) != 0);
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto u8 = [&]() -> std::uint8_t {
    if (rest.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    return value;
  };
  while (!rest.empty()) {
    const std::uint8_t operation = u8();
    const std::size_t which = operation >> 3;
    switch (operation & 7) {
      case 0:
        world.write(true, u8() % 40);
        break;
      case 1:
        world.write(false, u8() % 40);
        break;
      case 2:
        world.deliver_up(which, u8());
        break;
      case 3:
        world.deliver_down(which, u8());
        break;
      case 4:
        world.reconnect();
        break;
      case 5:
        world.cut(which);
        break;
      case 6: {
        const std::string_view proof = rest.substr(0, std::min<std::size_t>(rest.size(), 16));
        rest.remove_prefix(proof.size());
        world.replay(which, proof);
        break;
      }
      default:
        world.damage(which, u8());
        break;
    }
  }
  world.finish();
  return 0;
}
