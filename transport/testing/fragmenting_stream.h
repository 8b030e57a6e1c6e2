// FragmentingStream: shows what its lower stream reads in pieces of given sizes, over and over: {1} is byte by byte,
// {3, 1000} alternates. Nothing is copied and no time passes between pieces.
//
// For decoders on streams: the same bytes must give the same result for every split.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "wayport/transport/testing/stream_wrapper.h"

namespace wayport::transport {

class FragmentingStream final : public StreamWrapper {
 public:
  // REQUIRES: sizes are not empty, and none is 0.
  FragmentingStream(std::unique_ptr<Stream> lower, std::vector<std::size_t> sizes)
      : StreamWrapper(std::move(lower)), sizes_(std::move(sizes)) {}

  void read(bool on) override;

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;

  const std::vector<std::size_t> sizes_;
  std::size_t next_size_ = 0;
  std::size_t seen_ = 0;  // bytes at the front that were shown and not consumed
  bool reading_ = true;
};

}  // namespace wayport::transport
