// A chain is a string, whatever is done in whatever order.
//
// Input: operations of three bytes: what and which of three chains; u16 size (scaled, so that all chunk sizes occur).
#include "wayport/base/chain.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

namespace wayport {
namespace {

constexpr std::size_t kBytesMax = 1u << 20;  // of one chain
constexpr std::size_t kOperationsMax = 1000;

void check(bool promise) {
  if (!promise) std::abort();
}

struct Pair {
  Chain chain;
  std::string model;

  void check_equal() const {
    check(chain.size() == model.size());
    check(chain.front().empty() == model.empty());
    std::array<iovec, 8> slots;
    const std::size_t filled = chain.gather(slots);
    std::size_t at = 0;
    for (const iovec& slot : std::span(slots).first(filled)) {
      check(slot.iov_len != 0);
      check(std::string_view(model).substr(at, slot.iov_len) ==
            std::string_view(static_cast<const char*>(slot.iov_base), slot.iov_len));
      at += slot.iov_len;
    }
    check(filled == slots.size() || at == model.size());
  }
};

std::string filler(std::size_t size, std::uint8_t seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(seed + i);
  return text;
}

void step(std::array<Pair, 3>& pairs, std::uint8_t what, std::size_t size) {
  Pair& one = pairs[what % 3];
  Pair& other = pairs[(what + 1) % 3];
  const bool full = one.model.size() + std::max(size, other.model.size()) > kBytesMax;
  switch (what / 3 % 10) {
    case 0:
      if (full) break;
      one.chain.append(std::string_view(filler(size, what)));
      one.model += filler(size, what);
      break;
    case 1:
      if (full) break;
      one.chain.append(filler(size, what));
      one.model += filler(size, what);
      break;
    case 2:
      if (full) break;
      one.chain.append(std::move(other.chain));
      one.model += std::exchange(other.model, {});
      break;
    case 3: {
      if (full) break;
      const std::string text = filler(size / 2, what);
      std::ranges::copy(as_bytes(text), one.chain.prepare(size).begin());
      one.chain.commit(text.size());
      one.model += text;
      break;
    }
    case 4:
      size = std::min(size, one.model.size());
      one.chain.consume(size);
      one.model.erase(0, size);
      break;
    case 5:
      one.chain.truncate(size);
      one.model.resize(std::min(size, one.model.size()));
      break;
    case 6:
      size = std::min(size, one.model.size());
      if (other.model.size() + size > kBytesMax) break;
      other.chain.append(one.chain.split(size));
      other.model += one.model.substr(0, size);
      one.model.erase(0, size);
      break;
    case 7:
      one.chain.swap(other.chain);
      one.model.swap(other.model);
      break;
    case 8: {
      std::string copy(std::min<std::size_t>(size, 4096), '\0');
      const std::size_t offset = size / 2;
      const std::size_t copied = one.chain.copy_to({reinterpret_cast<std::byte*>(copy.data()), copy.size()}, offset);
      check(copy.substr(0, copied) == (offset < one.model.size() ? one.model.substr(offset, copy.size()) : ""));
      break;
    }
    default: {
      if (full || size == 0) break;
      const MutableBytes field = one.chain.append_uninitialized(size);
      std::ranges::fill(field, std::byte{what});
      one.model.append(size, static_cast<char>(what));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<Pair, 3> pairs;
  for (std::size_t at = 0; at + 3 <= size && at < 3 * kOperationsMax; at += 3) {
    const std::size_t raw = data[at + 1] | std::size_t{data[at + 2]} << 8;
    step(pairs, data[at], raw & 1 ? raw * 4 : raw >> 4);
    for (const Pair& pair : pairs) pair.check_equal();
  }
  for (const Pair& pair : pairs) check(pair.chain.to_string() == pair.model);
  return 0;
}

}  // namespace wayport
