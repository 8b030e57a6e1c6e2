// One connection that speaks frames of the link protocol (spec/link.md 2), without a check that would cost: for the bare
// gateway, and for the clients and servers that put load on either gateway.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"
#include "wayport/framing/link/packet.h"
#include "wayport/tools/bench/raw_socket.h"

namespace wayport::tools {

// One read. Frames are smaller.
inline constexpr std::size_t kLinkReadBytes = 256 * 1024;

class LinkSocket {
 public:
  // Throws std::system_error.
  explicit LinkSocket(Fd fd) : fd_(std::move(fd)) { check(set_nonblocking(fd_.get()).has_value(), "fcntl"); }

  int fd() const noexcept { return fd_.get(); }
  RawOutput& output() noexcept { return output_; }
  void send(Bytes bytes) { std::memcpy(output_.append(bytes.size()), bytes.data(), bytes.size()); }
  bool flush() { return output_.flush(fd()); }

  // One read, then on_frame(connection id, whole frame) for each whole frame. `scratch` has kLinkReadBytes, and is free
  // again afterwards. False at the end.
  template <class OnFrame>
  bool receive(MutableBytes scratch, OnFrame&& on_frame) {
    if (!rest_.empty()) std::memcpy(scratch.data(), rest_.data(), rest_.size());
    const ssize_t size = ::recv(fd(), scratch.data() + rest_.size(), scratch.size() - rest_.size(), 0);
    if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
    const std::size_t end = rest_.size() + static_cast<std::size_t>(size);
    std::size_t at = 0;
    while (end - at >= link::kFrameHeaderBytes) {
      const std::byte* const frame = scratch.data() + at;
      const std::size_t frame_bytes = link::kLengthBytes + load_le<std::uint32_t>(frame);
      if (frame_bytes < link::kFrameHeaderBytes || frame_bytes > scratch.size()) return false;
      if (end - at < frame_bytes) break;
      on_frame(load_le<std::uint32_t>(frame + link::kLengthBytes), Bytes(frame, frame_bytes));
      at += frame_bytes;
    }
    rest_.assign(scratch.begin() + static_cast<std::ptrdiff_t>(at), scratch.begin() + static_cast<std::ptrdiff_t>(end));
    return true;
  }

 private:
  Fd fd_;
  RawOutput output_;
  std::vector<std::byte> rest_;  // of an unfinished frame
};

}  // namespace wayport::tools
