#include "wayport/framing/teleport/header_protobuf.h"

#include <cstring>

namespace wayport::framing {
namespace {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroupStart = 3, kGroupEnd = 4, kFixed32 = 5 };

constexpr std::byte tag(std::uint32_t field, WireType type) noexcept {
  return static_cast<std::byte>(field << 3 | type);
}
constexpr std::byte kSeq = tag(1, kVarint);
constexpr std::byte kType = tag(2, kVarint);
constexpr std::byte kUri = tag(3, kBytes);
constexpr std::byte kGzip = tag(4, kVarint);
constexpr std::byte kStatusCode = tag(5, kVarint);
constexpr std::byte kStatus = tag(6, kBytes);

constexpr int kGroupsMax = 64;
constexpr std::ptrdiff_t kTagBytesMax = 5;

// protobuf writes a negative int32 as the 64-bit number.
constexpr std::uint64_t extended(std::int32_t value) noexcept {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
}

std::size_t size_of(std::uint64_t value) noexcept { return value == 0 ? 0 : 1 + varint_size(value); }
std::size_t size_of(std::string_view value) noexcept {
  return value.empty() ? 0 : 1 + varint_size(value.size()) + value.size();
}

std::byte* write(std::byte* to, std::byte field, std::uint64_t value) noexcept {
  if (value == 0) return to;
  *to++ = field;
  return store_varint(to, value);
}
std::byte* write(std::byte* to, std::byte field, std::string_view value) noexcept {
  if (value.empty()) return to;
  *to++ = field;
  to = store_varint(to, value.size());
  std::memcpy(to, value.data(), value.size());
  return to + value.size();
}

class Reader {
 public:
  explicit Reader(Bytes from) noexcept : begin_(from.data()), at_(begin_), end_(begin_ + from.size()) {}

  Result<void> read(PacketHeader& header) {
    while (at_ != end_) {
      switch (*at_) {
        case kSeq:
          if (!number(header.seq)) return cut_off("seq");
          break;
        case kType:
          if (!number(header.type)) return cut_off("type");
          break;
        case kUri:
          if (!text(header.uri)) return cut_off("uri");
          break;
        case kGzip:
          if (!number(header.gzip)) return cut_off("gzip");
          break;
        case kStatusCode:
          if (!number(header.status_code)) return cut_off("status_code");
          break;
        case kStatus:
          if (!text(header.status)) return cut_off("status");
          break;
        default:
          WAYPORT_TRY(other_field(header));
          break;
      }
    }
    return {};
  }

 private:
  bool varint(std::uint64_t& value) noexcept {
    if (at_ == end_) return false;
    if ((*at_ & std::byte{0x80}) == std::byte{0}) {
      value = static_cast<std::uint64_t>(*at_++);
      return true;
    }
    const std::optional<Varint> read = load_varint({at_, end_});
    if (!read) return false;
    value = read->value;
    at_ += read->size;
    return true;
  }
  bool skip(std::uint64_t size) noexcept {
    if (size > static_cast<std::uint64_t>(end_ - at_)) return false;
    at_ += size;
    return true;
  }

  // At the one-byte tag of a known field.
  template <class Int>
  bool number(Int& to) noexcept {
    ++at_;
    std::uint64_t value = 0;
    if (!varint(value)) return false;
    to = static_cast<Int>(value);
    return true;
  }
  bool text(std::string_view& to) noexcept {
    ++at_;
    std::uint64_t size = 0;
    if (!varint(size)) return false;
    const std::byte* const from = at_;
    if (!skip(size)) return false;
    to = as_text({from, at_});
    return true;
  }

  struct Tag {
    std::uint32_t field;
    std::uint32_t type;
  };
  Result<Tag> read_tag() {
    const std::byte* const from = at_;
    std::uint64_t value = 0;
    if (!varint(value)) return cut_off("a tag");
    if (at_ - from > kTagBytesMax) return bad("a tag of more than 5 bytes");
    const std::uint64_t field = value >> 3;
    if (field == 0 || field >= 1u << 29) return bad("field number " + std::to_string(field));
    return Tag{static_cast<std::uint32_t>(field), static_cast<std::uint32_t>(value & 7)};
  }

  // A field that is not ours, or ours with the wrong wire type, or ours with a tag in more bytes than needed.
  Result<void> other_field(PacketHeader& header) {
    WAYPORT_TRY_ASSIGN(const Tag tag, read_tag());
    if (tag.field > 6) return skip_field(tag, 0);
    const bool is_text = tag.field == 3 || tag.field == 6;
    if (tag.type != (is_text ? kBytes : kVarint)) {
      return bad("wire type " + std::to_string(tag.type) + " for field " + std::to_string(tag.field));
    }
    --at_;  // number() and text() step over one byte of tag
    bool whole = false;
    switch (tag.field) {
      case 1:
        whole = number(header.seq);
        break;
      case 2:
        whole = number(header.type);
        break;
      case 3:
        whole = text(header.uri);
        break;
      case 4:
        whole = number(header.gzip);
        break;
      case 5:
        whole = number(header.status_code);
        break;
      case 6:
        whole = text(header.status);
        break;
      default:
        break;
    }
    return whole ? Result<void>() : Result<void>(cut_off("a field"));
  }

  Result<void> skip_field(Tag tag, int groups) {
    std::uint64_t value = 0;
    switch (tag.type) {
      case kVarint:
        return varint(value) ? Result<void>() : Result<void>(cut_off("an unknown field"));
      case kFixed64:
        return skip(8) ? Result<void>() : Result<void>(cut_off("an unknown field"));
      case kFixed32:
        return skip(4) ? Result<void>() : Result<void>(cut_off("an unknown field"));
      case kBytes:
        return varint(value) && skip(value) ? Result<void>() : Result<void>(cut_off("an unknown field"));
      case kGroupStart:
        if (groups == kGroupsMax) return bad("more than " + std::to_string(kGroupsMax) + " groups in each other");
        for (;;) {
          WAYPORT_TRY_ASSIGN(const Tag inner, read_tag());
          if (inner.type == kGroupEnd) {
            if (inner.field == tag.field) return {};
            return bad("group " + std::to_string(tag.field) + " ended by " + std::to_string(inner.field));
          }
          WAYPORT_TRY(skip_field(inner, groups + 1));
        }
      default:
        return bad("wire type " + std::to_string(tag.type) + " for field " + std::to_string(tag.field));
    }
  }

  std::unexpected<Error> cut_off(const char* what) const {
    return bad(std::string(what) + " cut off, or a number of more than 10 bytes");
  }
  std::unexpected<Error> bad(const std::string& what) const {
    return fail(ErrorCode::malformed, "protobuf header: " + what + ", at byte " + std::to_string(at_ - begin_) +
                                          " of " + std::to_string(end_ - begin_));
  }

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace

std::size_t header_protobuf_size(const PacketHeader& header) noexcept {
  return size_of(header.seq) + size_of(extended(header.type)) + size_of(header.uri) + size_of(extended(header.gzip)) +
         size_of(extended(header.status_code)) + size_of(header.status);
}

std::byte* write_header_protobuf(std::byte* to, const PacketHeader& header) noexcept {
  to = write(to, kSeq, header.seq);
  to = write(to, kType, extended(header.type));
  to = write(to, kUri, header.uri);
  to = write(to, kGzip, extended(header.gzip));
  to = write(to, kStatusCode, extended(header.status_code));
  return write(to, kStatus, header.status);
}

Result<void> read_header_protobuf(Bytes from, PacketHeader& header) {
  header = {};
  return Reader(from).read(header);
}

}  // namespace wayport::framing
