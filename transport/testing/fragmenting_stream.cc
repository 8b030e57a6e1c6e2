#include "wayport/transport/testing/fragmenting_stream.h"

#include <algorithm>

namespace wayport::transport {

void FragmentingStream::read(bool on) {
  reading_ = on;
  StreamWrapper::read(on);
}

std::size_t FragmentingStream::on_bytes(MutableBytes bytes, bool message_end) {
  DropWatch watch(*this);
  const std::size_t all = bytes.size();
  do {
    const std::size_t add =
        std::min(sizes_[next_size_++ % sizes_.size()], bytes.size() - std::min(seen_, bytes.size()));
    const std::size_t size = std::min(seen_, bytes.size()) + add;
    const std::size_t consumed = events_->on_bytes(bytes.first(size), message_end && size == bytes.size());
    if (watch.dropped()) return all - bytes.size() + consumed;
    bytes = bytes.subspan(consumed);
    seen_ = size - consumed;
  } while (seen_ < bytes.size() && reading_);
  return all - bytes.size();
}

}  // namespace wayport::transport
