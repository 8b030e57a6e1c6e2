// Classic pcap files: the global header, then records. Pure: give it the bytes from where it stopped.
//
// Both byte orders, microseconds and nanoseconds. A pcapng file is recognised and refused with the command that
// converts it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::tools {

struct PcapRecord {
  std::uint64_t time_ns = 0;    // since 1970
  std::uint32_t link_type = 0;  // LINKTYPE_ number of the file
  Bytes frame{};                // into what read() was given
  std::size_t wire_bytes = 0;   // more than the frame has: the capture cut it
};

class PcapReader {
 public:
  // No capture program writes more per record.
  static constexpr std::size_t kRecordBytesMax = 1 << 20;

  // Takes the file header or one record from the front of `in`, and returns how many bytes that was; 0: more are
  // needed. `record` is set if it was a record. malformed and too_large name the rule; then no later call succeeds.
  Result<std::size_t> read(Bytes in, std::optional<PcapRecord>& record);

 private:
  Result<std::size_t> read_file_header(Bytes in);
  std::uint32_t load(const std::byte* from) const noexcept;

  bool started_ = false;
  bool swapped_ = false;  // big-endian file
  bool nanoseconds_ = false;
  std::uint32_t link_type_ = 0;
};

}  // namespace wayport::tools
