#include "wayport/tools/wayport/capture/pcap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wayport/tools/wayport/capture/frames.h"

namespace wayport::tools {
namespace {

struct Read {
  std::vector<std::string> frames;
  std::vector<std::uint64_t> times_ns;
  std::vector<std::uint32_t> link_types;
  std::string error;
  std::size_t left = 0;
};

// Feeds the file piece by piece, as a program does that reads it.
Read read_all(std::string_view file, std::size_t piece) {
  Read result;
  PcapReader reader;
  std::string buffer;
  for (std::size_t at = 0; at < file.size(); at += piece) {
    buffer += file.substr(at, piece);
    for (;;) {
      std::optional<PcapRecord> record;
      const Result<std::size_t> taken = reader.read(as_bytes(buffer), record);
      if (!taken) {
        result.error = taken.error().to_string();
        return result;
      }
      if (*taken == 0) break;
      if (record) {
        result.frames.emplace_back(as_text(record->frame));
        result.times_ns.push_back(record->time_ns);
        result.link_types.push_back(record->link_type);
      }
      buffer.erase(0, *taken);
    }
  }
  result.left = buffer.size();
  return result;
}

TEST(Pcap, ReadsBothByteOrdersAndBothResolutionsAtEverySplit) {
  for (const bool big_endian : {false, true}) {
    for (const bool nanoseconds : {false, true}) {
      PcapText file(101, big_endian, nanoseconds);
      file.add("first").add("").add("third");
      for (const std::size_t piece : {1, 2, 3, 5, 8, 1000}) {
        const Read read = read_all(file.text(), piece);
        EXPECT_EQ(read.error, "");
        EXPECT_THAT(read.frames, testing::ElementsAre("first", "", "third"));
        EXPECT_THAT(read.link_types, testing::Each(101));
        EXPECT_EQ(read.times_ns[1], 1'500'000'001'000'000'000u + (nanoseconds ? 5u : 5000u));
        EXPECT_EQ(read.left, 0u);
      }
    }
  }
}

TEST(Pcap, WaitsForTheRestOfATruncatedFile) {
  const PcapText file = PcapText(1).add("abc");
  for (std::size_t size = 0; size < file.text().size(); ++size) {
    const Read read = read_all(std::string_view(file.text()).substr(0, size), 1000);
    EXPECT_EQ(read.error, "") << size;
    EXPECT_TRUE(read.frames.empty());
  }
}

TEST(Pcap, RefusesWhatIsNoPcapFileByName) {
  EXPECT_THAT(read_all("GET / HTTP/1.1\r\n\r\n........", 1000).error,
              testing::HasSubstr("no pcap file: it begins with 47455420"));
  EXPECT_THAT(read_all("\x0a\x0d\x0d\x0a.....................", 1000).error, testing::HasSubstr("editcap"));
}

TEST(Pcap, BelievesRecordsUpToTheLimitAndNoLarger) {
  const std::string largest(PcapReader::kRecordBytesMax, 'x');
  EXPECT_EQ(read_all(PcapText(1).add(largest).text(), 1 << 20).frames.size(), 1u);
  EXPECT_THAT(read_all(PcapText(1).add(largest + "x").text(), 1 << 20).error,
              testing::HasSubstr("too_large: a pcap record of 1048577 bytes"));
}

}  // namespace
}  // namespace wayport::tools
