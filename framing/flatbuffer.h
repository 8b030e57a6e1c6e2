// FlatBuffer<Root>: the bytes of a flatbuffer with root table Root, known to be good.
//
//     router.on_pull("/move", [](FlatBuffer<Move> move) { return move->x() + move->y(); });
//
// It cannot hold bytes that were not verified, or built here. It owns or views them; assign() copies.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::framing {

// What a received flatbuffer may be. The work of verifying is not bounded by its size alone: tables may share a vector
// of strings, and each walks it again. With these defaults the worst took 0.1 s, with 256 KiB and 16 384 tables 1.4 s.
// Larger messages of trusted senders need a specialization of kFlatBufferLimits.
struct FlatBufferLimits {
  std::size_t bytes_max = 64 * 1024;
  std::uint32_t tables_max = 4096;
  std::uint32_t depth_max = 64;
};
template <class Root>
inline constexpr FlatBufferLimits kFlatBufferLimits{};

template <class Root>
class FlatBuffer {
 public:
  // No bytes: get() is nullptr.
  FlatBuffer() noexcept = default;
  // Takes what was built here, unverified.
  explicit FlatBuffer(flatbuffers::DetachedBuffer&& built) noexcept
      : built_(std::move(built)), bytes_(reinterpret_cast<const std::byte*>(built_.data()), built_.size()) {}
  explicit FlatBuffer(flatbuffers::FlatBufferBuilder&& finished) : FlatBuffer(finished.Release()) {}

  // A view of `bytes`, which outlive it; a copy if they are not aligned as flatbuffers need it. Error as assign().
  static Result<FlatBuffer> view(Bytes bytes) {
    FlatBuffer buffer;
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment != 0) {
      WAYPORT_TRY(buffer.assign(bytes));
    } else {
      WAYPORT_TRY(verify(bytes));
      buffer.bytes_ = bytes;
    }
    return buffer;
  }

  FlatBuffer(FlatBuffer&& other) noexcept
      : built_(std::move(other.built_)), copy_(std::move(other.copy_)), bytes_(std::exchange(other.bytes_, {})) {}
  FlatBuffer& operator=(FlatBuffer&& other) noexcept {
    built_ = std::move(other.built_);
    copy_ = std::move(other.copy_);
    bytes_ = std::exchange(other.bytes_, {});
    return *this;
  }

  // Copies. malformed: not a good buffer with that root; too_large: over kFlatBufferLimits<Root>.bytes_max. Then it is
  // as before. Nested flatbuffers (vectors of bytes that hold another one) are not looked into: view() them.
  Result<void> assign(Bytes bytes) {
    if (bytes.size() > kFlatBufferLimits<Root>.bytes_max) return too_large(bytes.size());
    // Verified in the copy, which is aligned.
    Copy copy(static_cast<std::byte*>(::operator new(bytes.size() + 1, std::align_val_t(kAlignment))));
    if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
    const Bytes copied(copy.get(), bytes.size());
    WAYPORT_TRY(verify(copied));
    built_ = {};
    copy_ = std::move(copy);
    bytes_ = copied;
    return {};
  }

  Bytes bytes() const noexcept { return bytes_; }
  const Root* get() const noexcept { return bytes_.empty() ? nullptr : flatbuffers::GetRoot<Root>(bytes_.data()); }
  const Root* operator->() const noexcept { return get(); }
  const Root& operator*() const noexcept { return *get(); }
  explicit operator bool() const noexcept { return !bytes_.empty(); }

 private:
  static constexpr std::size_t kAlignment = 16;
  struct Free {
    void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, std::align_val_t(kAlignment)); }
  };
  using Copy = std::unique_ptr<std::byte, Free>;

  static Result<void> verify(Bytes bytes) {
    constexpr FlatBufferLimits kLimits = kFlatBufferLimits<Root>;
    if (bytes.size() > kLimits.bytes_max) return too_large(bytes.size());
    flatbuffers::Verifier::Options options;
    options.max_depth = kLimits.depth_max;
    options.max_tables = kLimits.tables_max;
    // flatbuffers gives a nested one a verifier of its own, whose depth starts at zero: bytes within bytes would
    // exhaust the stack.
    options.check_nested_flatbuffers = false;
    flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), options);
    if (verifier.VerifyBuffer<Root>(nullptr)) return {};
    return fail(ErrorCode::malformed, "flatbuffer: " + std::to_string(bytes.size()) +
                                          " bytes are no good buffer of this root type, or exceed " +
                                          std::to_string(kLimits.tables_max) + " tables or a depth of " +
                                          std::to_string(kLimits.depth_max));
  }
  static std::unexpected<Error> too_large(std::size_t size) {
    return fail(ErrorCode::too_large, "flatbuffer: " + std::to_string(size) +
                                          " bytes, the limit (kFlatBufferLimits<>.bytes_max) is " +
                                          std::to_string(kFlatBufferLimits<Root>.bytes_max));
  }

  // At most one of the two owns bytes_; neither: a view.
  flatbuffers::DetachedBuffer built_;
  Copy copy_;
  Bytes bytes_;
};

}  // namespace wayport::framing
