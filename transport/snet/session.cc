#include "wayport/transport/snet/session.h"

#include <algorithm>
#include <utility>

namespace wayport::transport::snet {
namespace {

// The server's key stream begins with the connection id of the handshake.
Rc4 cipher_of(Role writer, const Key& key) {
  Rc4 cipher(key);
  if (writer == Role::server) {
    std::array<std::byte, 8> spent{};
    cipher.apply(spent, spent);
  }
  return cipher;
}

}  // namespace

Session::Session(Role role, const Key& key, std::uint64_t id, const SessionOptions& options)
    : key_(key), id_(id), options_(options), ring_(options.ring_bytes) {
  if (!options.encrypt) return;
  write_cipher_ = cipher_of(role, key);
  read_cipher_ = cipher_of(role == Role::client ? Role::server : Role::client, key);
}

Chain Session::write(Chain&& plain) {
  Chain left = std::move(plain);
  Chain wire;
  while (!left.empty()) {
    const Bytes piece = left.front();
    if (write_cipher_) {
      const MutableBytes sealed = wire.append_uninitialized(piece.size());
      write_cipher_->apply(piece, sealed);
      ring_.append(sealed);
      left.consume(piece.size());
    } else {
      ring_.append(piece);
      wire.append(left.split(piece.size()));
    }
  }
  return wire;
}

MutableBytes Session::receive(MutableBytes wire) noexcept {
  const auto again = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, wire.size()));
  skip_ -= again;
  wire = wire.subspan(again);
  received_ += wire.size();
  if (read_cipher_) read_cipher_->apply(wire, wire);
  return wire;
}

Resumable Session::judge(const Counters& peer) const noexcept {
  const std::uint64_t written = ring_.end();
  // Compared before subtracted: these are a stranger's numbers.
  if (peer.received > written || peer.written < received_) return Resumable::impossible;
  if (written - peer.received > ring_.capacity()) return Resumable::overrun;
  if (peer.written - received_ > options_.peer_ring_bytes_max) return Resumable::implausible;
  return Resumable::yes;
}

std::optional<Chain> Session::resume(std::uint64_t announced, std::uint64_t peer_received) {
  if (peer_received < ring_.begin() || peer_received > ring_.end() || announced > received_) return std::nullopt;
  Chain missing;
  ring_.copy_from(peer_received, missing);
  skip_ = received_ - announced;
  ++generation_;
  return missing;
}

}  // namespace wayport::transport::snet
