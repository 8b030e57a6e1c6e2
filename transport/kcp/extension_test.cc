#include "wayport/transport/kcp/extension.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {
namespace {

constexpr std::uint32_t kConv = 0x11223344;
constexpr std::uint64_t kCookie = 0x0123456789abcdef;

struct Worked {
  ExtensionKind kind;
  std::uint32_t una;
  std::uint32_t value;
  std::string_view hex;
};
// The worked bytes of spec/kcp.md 8.
constexpr Worked kWorked[] = {
    {ExtensionKind::hello, 1, 0, "44332211540020002909758f3ea1190201000000100000000101000000000000efcdab8967452301"},
    {ExtensionKind::confirm, 0, 0, "44332211540020002909758f3ea1190200000000100000000102000000000000efcdab8967452301"},
    {ExtensionKind::close, 0, 1, "44332211540020002909758f3ea1190200000000100000000105000001000000efcdab8967452301"},
    {ExtensionKind::closed, 1, 1, "44332211540020002909758f3ea1190201000000100000000106000001000000efcdab8967452301"},
};

TEST(Extension, AsksByTheClockOfThePage) {
  EXPECT_EQ(asking_ts(kConv), 0xedcc054au);
  EXPECT_TRUE(asks(0xedcc054au, asking_ts(kConv)));
  EXPECT_TRUE(asks(0xedcc054au + 16383, asking_ts(kConv)));
  EXPECT_FALSE(asks(0xedcc054au + 16384, asking_ts(kConv)));
  EXPECT_FALSE(asks(0xedcc054au - 1, asking_ts(kConv)));
}

TEST(Extension, WritesAndReadsTheBytesOfThePage) {
  for (const Worked& worked : kWorked) {
    SCOPED_TRACE(worked.hex);
    std::string bytes(kSegmentHeaderBytes + kExtensionPayloadBytes, '\0');
    write_extension(reinterpret_cast<std::byte*>(bytes.data()), {.conv = kConv, .wnd = 32, .una = worked.una},
                    {worked.kind, worked.value, kCookie});
    EXPECT_EQ(bytes, from_hex(worked.hex));
    const std::optional<Segment> segment = SegmentReader(as_bytes(bytes), kConv).next();
    ASSERT_TRUE(segment);
    const std::optional<ExtensionMessage> read = read_extension(*segment);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->kind, worked.kind);
    EXPECT_EQ(read->value, worked.value);
    EXPECT_EQ(read->cookie, kCookie);
  }
}

TEST(Extension, ReadsNothingElse) {
  const std::string good = *from_hex(kWorked[2].hex);
  // The command, any byte of the mark, the version, and kinds that there are not.
  for (const auto& [at, value] : {std::pair{4, '\x51'},
                                  {8, '\x28'},
                                  {11, '\x0f'},
                                  {12, '\x3f'},
                                  {15, '\x03'},
                                  {24, '\x02'},
                                  {25, '\x00'},
                                  {25, '\x08'}}) {
    std::string bytes = good;
    bytes[static_cast<std::size_t>(at)] = value;
    SCOPED_TRACE(at);
    const std::optional<Segment> segment = SegmentReader(as_bytes(bytes), kConv).next();
    ASSERT_TRUE(segment);
    EXPECT_FALSE(read_extension(*segment));
  }
}

}  // namespace
}  // namespace wayport::transport::kcp
