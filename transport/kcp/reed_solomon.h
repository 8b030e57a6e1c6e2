// ReedSolomon: the erasure code of kcp-go for one choice of data and parity shards, on ISA-L (spec/kcp.md 6).
//
// Shared by all sessions of a loop. Decode matrices are kept per loss pattern, at most kDecodersMax of them (least
// recently used goes first), so that steady loss costs no inversions. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::transport::kcp {

class ReedSolomon {
 public:
  static constexpr std::size_t kShardsMax = 256;
  static constexpr std::size_t kDecodersMax = 64;

  // invalid_argument: a count is zero, or their sum is above 256.
  static Result<std::unique_ptr<ReedSolomon>> make(std::size_t data, std::size_t parity);

  std::size_t data() const noexcept { return data_; }
  std::size_t parity() const noexcept { return parity_; }
  std::size_t shards() const noexcept { return data_ + parity_; }
  // The lower rows of the generator, `data()` coefficients each.
  std::span<const std::uint8_t> parity_rows() const noexcept;

  // Adds data shard `index` to the parity of its group. The parity blocks start as zeros and are at least as long as
  // the longest shard.
  void add(std::size_t index, Bytes shard, std::span<std::byte* const> parity) const noexcept;

  // `shards`: one pointer per shard of the group, null where it is missing, each `size` bytes long. Rebuilds the
  // missing data shards, in order, into `rebuilt` (one block each). REQUIRES: at least data() are there.
  void rebuild(std::span<const std::byte* const> shards, std::size_t size, std::span<std::byte* const> rebuilt);

  std::uint64_t inversions() const noexcept { return inversions_; }

 private:
  using Pattern = std::array<std::uint64_t, kShardsMax / 64>;  // bit: this shard is used
  struct Decoder {
    Pattern used{};
    std::uint64_t last_use = 0;
    std::vector<std::uint8_t> tables;
  };
  ReedSolomon(std::size_t data, std::size_t parity);
  Decoder& decoder_for(const Pattern& used, std::span<const std::uint8_t> rows);

  std::size_t data_;
  std::size_t parity_;
  std::vector<std::uint8_t> matrix_;  // (data + parity) rows of data; the top is the identity
  std::vector<std::uint8_t> tables_;  // of the parity rows
  std::vector<Decoder> decoders_;
  std::uint64_t uses_ = 0;
  std::uint64_t inversions_ = 0;
};

}  // namespace wayport::transport::kcp
