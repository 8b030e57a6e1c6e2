// FrameReader: whole link frames from the pieces that a Stream pushes. Pure: no I/O, no clock.
//
// A frame that lies whole in a push is shown there, in place, as a view. An unfinished one is left unconsumed (the
// stream shows it again) while it is at most kInPlaceBytesMax long; a longer one is collected in a chain that grows with
// what has really arrived, so an announced length costs nothing. The chain may be moved away by whoever forwards the
// frame: its bytes then were copied once since the kernel. Any split of the same bytes gives the same frames. Once
// failed, stays failed: a byte stream cannot resynchronise.
//
// Not thread-safe. Bounded: one frame, packet_bytes_max + 4 bytes, which an idle reader does not hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/packet.h"

namespace wayport::link {

// A whole frame, header included: as it came, and as it is forwarded.
struct Frame {
  std::uint32_t connection = 0;  // 0: a command
  Bytes bytes{};                 // the frame in one piece, or empty: see `chain`
  Chain* chain = nullptr;        // the frame in pieces; may be moved from

  std::size_t size() const noexcept { return chain != nullptr ? chain->size() : bytes.size(); }
  // The message's first bytes, at most to.size(); returns how many.
  std::size_t copy_message(MutableBytes to) const noexcept;
  // Appends the whole frame: copies a view, moves a chain (which is empty then).
  void move_to(Chain& to) {
    if (chain != nullptr) {
      to.append(std::move(*chain));
    } else {
      to.append(bytes);
    }
  }
};

class FrameReader {
 public:
  static constexpr std::size_t kInPlaceBytesMax = 32 * 1024;  // of a frame, header included

  // `packet_bytes_max` is MaxPacket: what the length word may say, at least kFrameLengthMin.
  explicit FrameReader(std::uint32_t packet_bytes_max = kPacketBytesMaxDefault) noexcept
      : packet_bytes_max_(packet_bytes_max) {}

  // Calls `sink(Frame&) -> bool` for each whole frame, in order; false stops after that frame (paused, or closing; the
  // rest stays unconsumed). Returns how many bytes of `in` were consumed. The rest, fewer than kInPlaceBytesMax bytes
  // unless the sink stopped, must be shown again in front of what follows. Errors as decode_frame_header(); frames in
  // front of the bad one were given to the sink.
  template <class Sink>
  Result<std::size_t> read(Bytes in, Sink&& sink);

  // Bytes of an unfinished frame that this holds.
  std::size_t buffered() const noexcept { return large_.size(); }

 private:
  std::uint32_t packet_bytes_max_;
  bool failed_ = false;
  std::uint32_t connection_ = 0;  // of the frame that is being collected
  std::size_t missing_ = 0;       // bytes that frame still lacks; 0: none is being collected
  Chain large_;
};

template <class Sink>
Result<std::size_t> FrameReader::read(Bytes in, Sink&& sink) {
  if (failed_) return fail(ErrorCode::malformed, "the byte stream failed before");
  std::size_t consumed = 0;
  for (;;) {
    if (missing_ != 0) {
      const std::size_t taken = std::min(missing_, in.size() - consumed);
      large_.append(in.subspan(consumed, taken));
      consumed += taken;
      missing_ -= taken;
      if (missing_ != 0) break;
      Chain whole = std::move(large_);
      Frame frame{connection_, {}, &whole};
      if (!sink(frame)) break;
      continue;
    }
    const Bytes rest = in.subspan(consumed);
    if (rest.size() < kLengthBytes) break;
    const auto length = load_le<std::uint32_t>(rest.data());
    if (length < kFrameLengthMin || length > packet_bytes_max_) {
      failed_ = true;
      return frame_length_error(length, packet_bytes_max_);
    }
    if (rest.size() < kFrameHeaderBytes) break;
    const std::size_t size = kLengthBytes + std::size_t{length};
    const auto connection = load_le<std::uint32_t>(rest.data() + kLengthBytes);
    if (rest.size() >= size) {
      consumed += size;
      Frame frame{connection, rest.first(size), nullptr};
      if (!sink(frame)) break;
    } else if (size <= kInPlaceBytesMax) {
      break;
    } else {
      connection_ = connection;
      missing_ = size;
    }
  }
  return consumed;
}

inline std::size_t Frame::copy_message(MutableBytes to) const noexcept {
  if (chain != nullptr) return chain->copy_to(to, kFrameHeaderBytes);
  const Bytes message = bytes.subspan(kFrameHeaderBytes);
  const std::size_t size = std::min(to.size(), message.size());
  std::copy_n(message.begin(), size, to.begin());
  return size;
}

}  // namespace wayport::link
