// PacketReader: whole packets from the pieces that a Stream pushes. Pure: no I/O, no clock.
//
// Small packets are decoded in place in the pushed bytes, and an unfinished one is left unconsumed there (the stream
// shows it again). One that is larger than kInPlaceBytesMax is collected in a buffer of its own that grows with what
// has really arrived, so an announced length costs nothing. Any split of the same bytes gives the same packets. Once
// failed, stays failed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wayport/framing/protocol.h"

namespace wayport::framing {

class PacketReader {
 public:
  static constexpr std::size_t kInPlaceBytesMax = 32 * 1024;

  // Calls `sink(const PacketView&) -> bool` for each whole packet, in order; false stops after that packet (paused or
  // closing; the rest stays unconsumed). Returns how many bytes of `in` were consumed. The rest, fewer than
  // kInPlaceBytesMax bytes unless the sink stopped, must be shown again in front of what follows.
  template <class Sink>
  Result<std::size_t> read(Bytes in, const Protocol& protocol, ProtocolContext& context, Sink&& sink);

  // Bytes held in the reader's own buffer.
  std::size_t buffered() const noexcept { return large_ ? large_->size() : 0; }
  // What that buffer takes: at most twice what arrived of the packet, and never more than it needs.
  std::size_t capacity() const noexcept { return large_ ? large_->capacity() : 0; }

 private:
  // Moves bytes into the large buffer; returns how many, at least one.
  std::size_t collect(Bytes in);

  DecodeState state_;
  std::unique_ptr<std::vector<std::byte>> large_;
  bool failed_ = false;
};

template <class Sink>
Result<std::size_t> PacketReader::read(Bytes in, const Protocol& protocol, ProtocolContext& context, Sink&& sink) {
  if (failed_) return fail(ErrorCode::malformed, "the byte stream failed before");
  std::size_t consumed = 0;
  while (consumed < in.size()) {
    Bytes rest = in.subspan(consumed);
    if (large_) {
      consumed += collect(rest);
      if (large_->size() < state_.bytes_wanted) continue;
      rest = *large_;
    } else if (rest.size() < state_.bytes_wanted && state_.bytes_wanted <= kInPlaceBytesMax) {
      break;
    }
    PacketView packet;
    Result<std::size_t> taken = protocol.decode(rest, context, state_, packet);
    if (!taken) {
      failed_ = true;
      return fail(std::move(taken.error()));
    }
    if (*taken == 0) {
      if (large_) continue;
      if (state_.bytes_wanted <= kInPlaceBytesMax && rest.size() < kInPlaceBytesMax) break;
      large_ = std::make_unique<std::vector<std::byte>>();
      continue;
    }
    state_ = {};
    // Keeps the packet's bytes until the sink is done.
    const std::unique_ptr<std::vector<std::byte>> collected = std::move(large_);
    if (collected) {
      // A protocol that does not know the end beforehand was given bytes after the packet: they come from this push.
      const std::size_t surplus = collected->size() - *taken;
      if (*taken > collected->size() || surplus > consumed) {
        failed_ = true;
        return fail(ErrorCode::internal,
                    "protocol " + std::string(protocol.name()) + " took a packet later than it could");
      }
      consumed -= surplus;
    } else {
      if (*taken > rest.size()) {
        failed_ = true;
        return fail(ErrorCode::internal, "protocol " + std::string(protocol.name()) + " took more than it was given");
      }
      consumed += *taken;
    }
    if (!sink(std::as_const(packet))) break;
  }
  return consumed;
}

}  // namespace wayport::framing
