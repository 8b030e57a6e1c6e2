#include "wayport/tools/wayport/capture/pcap.h"

namespace wayport::tools {
namespace {

constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::size_t kRecordHeaderBytes = 16;
constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kPcapNg = 0x0a0d0d0a;  // the same in both orders

}  // namespace

std::uint32_t PcapReader::load(const std::byte* from) const noexcept {
  return swapped_ ? load_be<std::uint32_t>(from) : load_le<std::uint32_t>(from);
}

Result<std::size_t> PcapReader::read_file_header(Bytes in) {
  if (in.size() < 4) return 0;
  const auto magic_le = load_le<std::uint32_t>(in.data());
  const auto magic_be = load_be<std::uint32_t>(in.data());
  if (magic_le == kPcapNg) {
    return fail(ErrorCode::unsupported, "a pcapng file; convert it with: editcap -F pcap FILE OUT.pcap");
  }
  swapped_ = magic_be == kMicroseconds || magic_be == kNanoseconds;
  const std::uint32_t magic = swapped_ ? magic_be : magic_le;
  if (magic != kMicroseconds && magic != kNanoseconds) {
    return fail(ErrorCode::malformed, "no pcap file: it begins with " + to_hex(in.first(4)));
  }
  nanoseconds_ = magic == kNanoseconds;
  if (in.size() < kFileHeaderBytes) return 0;
  // The upper bits tell of frame check sequences.
  link_type_ = load(in.data() + 20) & 0x03ffffff;
  started_ = true;
  return kFileHeaderBytes;
}

Result<std::size_t> PcapReader::read(Bytes in, std::optional<PcapRecord>& record) {
  record.reset();
  if (!started_) return read_file_header(in);
  if (in.size() < kRecordHeaderBytes) return 0;
  const std::uint32_t captured = load(in.data() + 8);
  if (captured > kRecordBytesMax) {
    return fail(ErrorCode::too_large, "a pcap record of " + std::to_string(captured) + " bytes; at most " +
                                          std::to_string(kRecordBytesMax) + " are believed");
  }
  if (in.size() - kRecordHeaderBytes < captured) return 0;
  PcapRecord& found = record.emplace();
  const std::uint64_t fraction = load(in.data() + 4);
  found.time_ns = load(in.data()) * std::uint64_t{1'000'000'000} + (nanoseconds_ ? fraction : fraction * 1000);
  found.link_type = link_type_;
  found.frame = in.subspan(kRecordHeaderBytes, captured);
  found.wire_bytes = load(in.data() + 12);
  return kRecordHeaderBytes + captured;
}

}  // namespace wayport::tools
