#include "wayport/transport/kcp/reed_solomon.h"

#include <isa-l.h>

#include <algorithm>
#include <string>

namespace wayport::transport::kcp {
namespace {

// ISA-L's signatures lack const.
unsigned char* raw(const std::byte* bytes) noexcept {
  return reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes));
}

}  // namespace

Result<std::unique_ptr<ReedSolomon>> ReedSolomon::make(std::size_t data, std::size_t parity) {
  if (data == 0 || parity == 0 || data + parity > kShardsMax)
    return fail(ErrorCode::invalid_argument, "kcp: fec " + std::to_string(data) + "," + std::to_string(parity) +
                                                 " is refused: give at least 1,1 and at most 256 shards together");
  return std::unique_ptr<ReedSolomon>(new ReedSolomon(data, parity));
}

ReedSolomon::ReedSolomon(std::size_t data, std::size_t parity)
    : data_(data), parity_(parity), matrix_(shards() * data), tables_(32 * data * parity) {
  // V[r][c] = r^c, then V times the inverse of its top square. ISA-L's own generators give other matrices.
  std::vector<std::uint8_t> powers(shards() * data), top(data * data), inverse(data * data);
  for (std::size_t row = 0; row < shards(); ++row) {
    std::uint8_t power = 1;
    for (std::size_t column = 0; column < data; ++column) {
      powers[row * data + column] = power;
      power = gf_mul(power, static_cast<std::uint8_t>(row));
    }
  }
  std::copy_n(powers.begin(), data * data, top.begin());
  const int singular = gf_invert_matrix(top.data(), inverse.data(), static_cast<int>(data));
  WAYPORT_ASSERT(singular == 0, "a Vandermonde square is regular");
  for (std::size_t row = 0; row < shards(); ++row) {
    for (std::size_t column = 0; column < data; ++column) {
      std::uint8_t sum = 0;
      for (std::size_t i = 0; i < data; ++i) sum ^= gf_mul(powers[row * data + i], inverse[i * data + column]);
      matrix_[row * data + column] = sum;
    }
  }
  ec_init_tables(static_cast<int>(data), static_cast<int>(parity), matrix_.data() + data * data, tables_.data());
}

std::span<const std::uint8_t> ReedSolomon::parity_rows() const noexcept {
  return std::span(matrix_).subspan(data_ * data_);
}

void ReedSolomon::add(std::size_t index, Bytes shard, std::span<std::byte* const> parity) const noexcept {
  std::array<unsigned char*, kShardsMax> to;
  for (std::size_t i = 0; i < parity_; ++i) to[i] = raw(parity[i]);
  ec_encode_data_update(static_cast<int>(shard.size()), static_cast<int>(data_), static_cast<int>(parity_),
                        static_cast<int>(index), const_cast<unsigned char*>(tables_.data()), raw(shard.data()),
                        to.data());
}

ReedSolomon::Decoder& ReedSolomon::decoder_for(const Pattern& used, std::span<const std::uint8_t> rows) {
  ++uses_;
  Decoder* oldest = nullptr;
  for (Decoder& decoder : decoders_) {
    if (decoder.used == used) {
      decoder.last_use = uses_;
      return decoder;
    }
    if (oldest == nullptr || decoder.last_use < oldest->last_use) oldest = &decoder;
  }
  Decoder& decoder = decoders_.size() < kDecodersMax ? decoders_.emplace_back() : *oldest;
  decoder.used = used;
  decoder.last_use = uses_;
  ++inversions_;
  std::vector<std::uint8_t> square(data_ * data_), inverse(data_ * data_), wanted;
  for (std::size_t i = 0; i < data_; ++i)
    std::copy_n(matrix_.begin() + static_cast<std::ptrdiff_t>(rows[i] * data_), data_,
                square.begin() + static_cast<std::ptrdiff_t>(i * data_));
  const int singular = gf_invert_matrix(square.data(), inverse.data(), static_cast<int>(data_));
  WAYPORT_ASSERT(singular == 0, "any `data` rows of the generator are independent");
  std::size_t missing = 0;
  for (std::size_t i = 0; i < data_; ++i) {
    if ((used[i / 64] >> (i % 64) & 1) != 0) continue;
    wanted.insert(wanted.end(), inverse.begin() + static_cast<std::ptrdiff_t>(i * data_),
                  inverse.begin() + static_cast<std::ptrdiff_t>((i + 1) * data_));
    ++missing;
  }
  decoder.tables.resize(32 * data_ * missing);
  ec_init_tables(static_cast<int>(data_), static_cast<int>(missing), wanted.data(), decoder.tables.data());
  return decoder;
}

void ReedSolomon::rebuild(std::span<const std::byte* const> shards_in, std::size_t size,
                          std::span<std::byte* const> rebuilt) {
  if (rebuilt.empty()) return;
  Pattern used{};
  std::array<std::uint8_t, kShardsMax> rows;
  std::array<unsigned char*, kShardsMax> from, to;
  std::size_t count = 0;
  for (std::size_t i = 0; i < shards_in.size() && count < data_; ++i) {
    if (shards_in[i] == nullptr) continue;
    used[i / 64] |= std::uint64_t{1} << (i % 64);
    rows[count] = static_cast<std::uint8_t>(i);
    from[count++] = raw(shards_in[i]);
  }
  WAYPORT_ASSERT(count == data_, "too few shards to rebuild");
  for (std::size_t i = 0; i < rebuilt.size(); ++i) to[i] = raw(rebuilt[i]);
  Decoder& decoder = decoder_for(used, std::span(rows).first(data_));
  WAYPORT_ASSERT(decoder.tables.size() == 32 * data_ * rebuilt.size(), "one block per missing data shard");
  ec_encode_data(static_cast<int>(size), static_cast<int>(data_), static_cast<int>(rebuilt.size()),
                 decoder.tables.data(), from.data(), to.data());
}

}  // namespace wayport::transport::kcp
