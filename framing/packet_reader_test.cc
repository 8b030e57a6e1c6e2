#include "wayport/framing/packet_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/protocol.h"

namespace wayport::framing {
namespace {

constexpr std::size_t kInPlace = PacketReader::kInPlaceBytesMax;
const CodecRegistry kCodecs;

// u32 length, then that many bytes: the end is known early.
class Counted : public Protocol {
 public:
  std::string_view name() const noexcept override { return "counted"; }
  Result<std::size_t> decode(Bytes in, ProtocolContext&, DecodeState& state, PacketView& packet) const override {
    ++calls;
    if (in.size() < 4) {
      state.bytes_wanted = 4;
      return 0;
    }
    const std::size_t size = 4 + std::size_t{load_be<std::uint32_t>(in.data())};
    if (size == 4 + 0xbad) return fail(ErrorCode::malformed, "bad");
    if (in.size() < size) {
      state.bytes_wanted = size;
      return 0;
    }
    packet.body = in.subspan(4, size - 4);
    return size;
  }
  Result<void> encode(const OutgoingPacket&, ProtocolContext&, Chain&) const override { return {}; }
  mutable std::size_t calls = 0;
};
std::string counted(std::string_view text) {
  std::string out(4, '\0');
  store_be<std::uint32_t>(reinterpret_cast<std::byte*>(out.data()), static_cast<std::uint32_t>(text.size()));
  return out.append(text);
}

// Lines: the end is known when it is there.
class Lines : public Protocol {
 public:
  std::string_view name() const noexcept override { return "lines"; }
  Result<std::size_t> decode(Bytes in, ProtocolContext&, DecodeState& state, PacketView& packet) const override {
    const std::string_view text = as_text(in);
    const std::size_t end = text.find('\n', state.scanned);
    searched += (end == std::string_view::npos ? text.size() : end + 1) - state.scanned;
    if (end == std::string_view::npos) {
      state.scanned = text.size();
      return 0;
    }
    packet.body = in.first(end);
    return end + 1;
  }
  Result<void> encode(const OutgoingPacket&, ProtocolContext&, Chain&) const override { return {}; }
  mutable std::size_t searched = 0;
};

// Takes what it should not.
class Lying : public Protocol {
 public:
  explicit Lying(bool late) : late_(late) {}
  std::string_view name() const noexcept override { return "lying"; }
  Result<std::size_t> decode(Bytes in, ProtocolContext&, DecodeState&, PacketView&) const override {
    if (!late_) return in.size() + 1;
    if (in.size() < 2 * kInPlace) return 0;
    return 1;  // could have been taken at the first call
  }
  Result<void> encode(const OutgoingPacket&, ProtocolContext&, Chain&) const override { return {}; }

 private:
  bool late_;
};

// A stream as the transport shows it: what was not consumed comes again, in front.
struct Stream {
  explicit Stream(const Protocol& to_use) : protocol(to_use) {}

  bool push(std::string_view bytes) {
    unconsumed.append(bytes);
    return show();
  }
  bool show() {
    const std::string exact = unconsumed;  // a buffer of exactly that size
    const Result<std::size_t> consumed = reader.read(as_bytes(exact), protocol, context, [&](const PacketView& packet) {
      got.emplace_back(as_text(packet.body));
      return got.size() != stop_after;
    });
    if (!consumed) {
      error = consumed.error();
      return false;
    }
    unconsumed.erase(0, *consumed);
    if (got.size() != stop_after) {
      EXPECT_LT(unconsumed.size(), kInPlace);
    }
    return true;
  }

  const Protocol& protocol;
  ProtocolContext context{kCodecs};
  PacketReader reader;
  std::string unconsumed;
  std::vector<std::string> got;
  std::size_t stop_after = 0;
  Error error;
};

std::vector<std::string> some_packets() {
  std::vector<std::string> packets;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{10}, kInPlace - 5, kInPlace - 4, kInPlace - 3, std::size_t{3},
        std::size_t{200'000}, std::size_t{0}, std::size_t{70'000}, std::size_t{1}}) {
    packets.emplace_back(size, static_cast<char>('a' + packets.size()));
  }
  return packets;
}

TEST(PacketReader, GivesTheSamePacketsForEverySplit) {
  const std::vector<std::string> packets = some_packets();
  std::string by_count;
  std::string by_line;
  for (const std::string& packet : packets) {
    by_count += counted(packet);
    by_line += packet + "\n";
  }
  for (const std::size_t step :
       {std::size_t{1000}, kInPlace - 1, kInPlace, kInPlace + 1, std::size_t{65536}, by_count.size()}) {
    SCOPED_TRACE(step);
    const Counted counts;
    const Lines lines;
    Stream one(counts);
    Stream two(lines);
    for (std::size_t at = 0; at < by_count.size(); at += step)
      ASSERT_TRUE(one.push(std::string_view(by_count).substr(at, step)));
    for (std::size_t at = 0; at < by_line.size(); at += step)
      ASSERT_TRUE(two.push(std::string_view(by_line).substr(at, step)));
    EXPECT_EQ(one.got, packets);
    EXPECT_EQ(two.got, packets);
    EXPECT_TRUE(one.unconsumed.empty());
    EXPECT_EQ(one.reader.buffered(), 0u);
    EXPECT_EQ(two.reader.buffered(), 0u);
  }
}

TEST(PacketReader, GivesTheSamePacketsForSplitsIntoFewBytes) {
  const std::string stream = counted("") + counted("a") + counted("two") + counted("");
  for (const std::size_t step : {1u, 2u, 3u, 5u, 8u}) {
    const Counted counts;
    Stream reading(counts);
    for (std::size_t at = 0; at < stream.size(); at += step)
      ASSERT_TRUE(reading.push(std::string_view(stream).substr(at, step)));
    EXPECT_EQ(reading.got, (std::vector<std::string>{"", "a", "two", ""}));
  }
}

TEST(PacketReader, AsksTheProtocolOnlyWhenItsWishIsFulfilled) {
  const Counted counts;
  Stream reading(counts);
  const std::string packet = counted(std::string(1000, 'x'));
  for (const char byte : packet) ASSERT_TRUE(reading.push({&byte, 1}));
  EXPECT_EQ(reading.got.size(), 1u);
  EXPECT_EQ(counts.calls, 3u);  // at 1 byte, at 4, at the end
}

TEST(PacketReader, SmallPacketsAreLeftWithTheStreamAndLargeOnesAreNot) {
  const Counted counts;
  Stream reading(counts);
  ASSERT_TRUE(reading.push(counted(std::string(kInPlace - 4, 'x')).substr(0, kInPlace - 1)));
  EXPECT_EQ(reading.unconsumed.size(), kInPlace - 1);
  EXPECT_EQ(reading.reader.buffered(), 0u);

  Stream large(counts);
  ASSERT_TRUE(large.push(counted(std::string(kInPlace - 3, 'x')).substr(0, 10)));
  EXPECT_EQ(large.unconsumed.size(), 0u);
  EXPECT_EQ(large.reader.buffered(), 10u);
}

TEST(PacketReader, TheBufferGrowsWithWhatArrivedAndNeverBeyondThePacket) {
  const std::size_t size = 1'000'000;
  const std::string packet = counted(std::string(size - 4, 'x'));
  const Counted counts;
  Stream reading(counts);
  std::size_t growths = 0;
  std::size_t capacity = 0;
  for (std::size_t at = 0; at + 1000 < size; at += 1000) {
    ASSERT_TRUE(reading.push(std::string_view(packet).substr(at, 1000)));
    ASSERT_LE(reading.reader.capacity(), std::min(size, std::max<std::size_t>(1000, 2 * reading.reader.buffered())));
    if (reading.reader.capacity() != capacity) ++growths;
    capacity = reading.reader.capacity();
  }
  EXPECT_LE(growths, 12u);  // doubling: copying stays linear
  EXPECT_EQ(capacity, size);
}

TEST(PacketReader, AnAnnouncedLengthCostsNothing) {
  const Counted counts;
  Stream reading(counts);
  ASSERT_TRUE(
      reading.push("\xff\xff\xff\xff"
                   "abc"));
  EXPECT_EQ(reading.reader.buffered(), 7u);
  EXPECT_LE(reading.reader.capacity(), 64u);
}

TEST(PacketReader, BytesAfterALargePacketAreReadInPlace) {
  const Lines lines;
  Stream reading(lines);
  const std::string large(100'000, 'x');
  ASSERT_TRUE(reading.push(large));
  EXPECT_EQ(reading.reader.buffered(), large.size());
  ASSERT_TRUE(reading.push("\nsmall\nunfinished"));
  EXPECT_EQ(reading.got, (std::vector<std::string>{large, "small"}));
  EXPECT_EQ(reading.unconsumed, "unfinished");
  EXPECT_EQ(reading.reader.buffered(), 0u);
}

TEST(PacketReader, SearchesEachByteOnce) {
  const Lines lines;
  Stream reading(lines);
  const std::string line(50'000, 'x');
  for (std::size_t at = 0; at < line.size(); at += 100)
    ASSERT_TRUE(reading.push(std::string_view(line).substr(at, 100)));
  ASSERT_TRUE(reading.push("\n"));
  EXPECT_EQ(reading.got.size(), 1u);
  EXPECT_EQ(lines.searched, line.size() + 1);
}

TEST(PacketReader, ASinkThatStopsKeepsTheRestForLater) {
  const Counted counts;
  for (const std::size_t large : {std::size_t{5}, kInPlace * 3}) {
    Stream reading(counts);
    reading.stop_after = 1;
    const std::string first(large, 'x');
    ASSERT_TRUE(reading.push(counted(first) + counted("b") + counted("c")));
    EXPECT_EQ(reading.got.size(), 1u);
    EXPECT_EQ(reading.unconsumed, counted("b") + counted("c"));
    reading.stop_after = 0;
    ASSERT_TRUE(reading.show());
    EXPECT_EQ(reading.got, (std::vector<std::string>{first, "b", "c"}));
  }
}

TEST(PacketReader, OnceFailedStaysFailed) {
  const Counted counts;
  Stream reading(counts);
  std::string bad = counted("good");
  bad.append(std::string("\0\0\x0b\xad", 4));
  EXPECT_FALSE(reading.push(bad));
  EXPECT_EQ(reading.got, (std::vector<std::string>{"good"}));
  EXPECT_EQ(reading.error.detail, "bad");
  reading.unconsumed.clear();
  EXPECT_FALSE(reading.push(counted("good")));
  EXPECT_EQ(reading.error.code, ErrorCode::malformed);
  EXPECT_EQ(reading.got.size(), 1u);
}

TEST(PacketReader, AProtocolThatMiscountsIsAnErrorNotACrash) {
  const Lying more(false);
  Stream one(more);
  EXPECT_FALSE(one.push("abc"));
  EXPECT_EQ(one.error.code, ErrorCode::internal);
  const Lying late(true);
  Stream two(late);
  bool good = true;
  for (int i = 0; i < 100 && good; ++i) good = two.push(std::string(1000, 'x'));
  EXPECT_FALSE(good);
  EXPECT_EQ(two.error.code, ErrorCode::internal);
}

TEST(PacketReader, IsSmallWhileIdle) { EXPECT_LE(sizeof(PacketReader), 32u); }

}  // namespace
}  // namespace wayport::framing
