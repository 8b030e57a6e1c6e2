#include "wayport/framing/link/frame_reader.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/framing/link/testing/vectors.h"
#include "wayport/framing/testing/allocation_count.h"

namespace wayport::link {
namespace {

using testing::FrameVector;
using testing::link_vectors;
using testing::pattern;

struct Outcome {
  std::vector<std::string> frames{};
  std::optional<ErrorCode> error{};
  std::size_t unfinished = 0;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// As a stream does: what is unconsumed is shown again with `step` more bytes.
Outcome read_in_steps(std::string_view bytes, std::size_t step, std::uint32_t max) {
  FrameReader reader(max);
  Outcome outcome;
  std::string shown;
  while (!bytes.empty()) {
    shown.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    const std::vector<char> piece(shown.begin(), shown.end());  // exactly that size, for the sanitizers
    const auto consumed = reader.read(as_bytes(std::string_view(piece.data(), piece.size())), [&](Frame& frame) {
      const std::size_t size = frame.size();
      Chain copy;
      frame.move_to(copy);
      outcome.frames.push_back(copy.to_string());
      EXPECT_EQ(outcome.frames.back().size(), size);
      EXPECT_EQ(load_le<std::uint32_t>(as_bytes(outcome.frames.back()).data() + 4), frame.connection);
      return true;
    });
    if (!consumed) {
      outcome.error = consumed.error().code;
      return outcome;
    }
    shown.erase(0, *consumed);
    EXPECT_LT(shown.size(), FrameReader::kInPlaceBytesMax);
    EXPECT_LE(reader.buffered(), std::size_t{max} + 4);
  }
  outcome.unfinished = shown.size() + reader.buffered();
  return outcome;
}

std::string numbered_frame(std::uint32_t connection, std::size_t size) {
  Chain chain;
  EXPECT_TRUE(append_data(chain, connection, as_bytes(pattern(size))));
  return chain.to_string();
}

TEST(LinkFrameReader, GivesEveryRecordedFrameAtEverySplit) {
  std::string all;
  std::vector<std::string> expected;
  for (const FrameVector& vector : link_vectors().frames) {
    if (vector.length > 300) continue;
    all += vector.bytes;
    expected.push_back(vector.bytes);
  }
  ASSERT_EQ(expected.size(), 21u);  // all but the three that are longer
  for (std::size_t step = 1; step <= all.size(); ++step) {
    const Outcome outcome = read_in_steps(all, step, 304);
    ASSERT_EQ(outcome.frames, expected) << "in steps of " << step;
    ASSERT_EQ(outcome.unfinished, 0u);
  }
}

TEST(LinkFrameReader, GivesTheLargestFrameAtManySplitsAndRefusesOneByteMore) {
  const FrameVector& largest = link_vectors().frame("data-max-default");
  const FrameVector& over = link_vectors().frame("data-over-max-default");
  for (const std::size_t step : {1009u, 4096u, 32767u, 32768u, 32769u, 65536u, 262144u, 1000000u}) {
    const Outcome outcome = read_in_steps(largest.bytes + largest.bytes, step, kPacketBytesMaxDefault);
    ASSERT_EQ(outcome.frames.size(), 2u) << "in steps of " << step;
    EXPECT_EQ(outcome.frames[0], largest.bytes);
    EXPECT_EQ(outcome.frames[1], largest.bytes);
    EXPECT_EQ(outcome.unfinished, 0u);
    const Outcome refused = read_in_steps(over.bytes, step, kPacketBytesMaxDefault);
    EXPECT_EQ(refused.error, ErrorCode::too_large);
    EXPECT_TRUE(refused.frames.empty());
  }
}

TEST(LinkFrameReader, SizesAroundTheInPlaceBoundAreCutTheSame) {
  for (const std::size_t size : {32759u, 32760u, 32761u}) {  // 32,768 with the header is the bound
    const std::string stream = numbered_frame(1, 3) + numbered_frame(2, size) + numbered_frame(3, 5);
    const Outcome whole = read_in_steps(stream, stream.size(), kPacketBytesMaxDefault);
    ASSERT_EQ(whole.frames.size(), 3u);
    for (const std::size_t step : {7u, 100u, 11000u, 32768u, 32780u}) {
      EXPECT_EQ(read_in_steps(stream, step, kPacketBytesMaxDefault), whole) << size << " in steps of " << step;
    }
  }
}

TEST(LinkFrameReader, RefusesABadLengthAtItsWordAndStaysFailed) {
  const std::string good = numbered_frame(9, 2);
  for (const std::string& bad :
       {std::string("\x03\0\0\0", 4), std::string("\x01\x01\0\0", 4), std::string(4, '\xff')}) {
    FrameReader reader(256);
    std::size_t frames = 0;
    const auto count = [&](Frame&) { return ++frames, true; };
    EXPECT_FALSE(reader.read(as_bytes(good + bad), count));
    EXPECT_EQ(frames, 1u);
    EXPECT_FALSE(reader.read(as_bytes(good), count));
    EXPECT_EQ(frames, 1u);
  }
}

TEST(LinkFrameReader, StopsBehindTheFrameAtWhichTheSinkStops) {
  const std::string small = numbered_frame(1, 3);
  const std::string large = numbered_frame(2, 40000);
  FrameReader reader;
  const auto stop = [](Frame&) { return false; };
  EXPECT_EQ(reader.read(as_bytes(small + small), stop).value(), small.size());
  const std::string stream = large + small;
  EXPECT_EQ(reader.read(as_bytes(stream).first(20000), stop).value(), 20000u);  // collected
  EXPECT_EQ(reader.read(as_bytes(stream).subspan(20000), stop).value(), large.size() - 20000);
  EXPECT_EQ(reader.read(as_bytes(small), stop).value(), small.size());
  EXPECT_EQ(reader.buffered(), 0u);
}

TEST(LinkFrameReader, AnAnnouncedLengthCostsNothing) {
  FrameReader reader;
  std::string start = numbered_frame(1, 524284).substr(0, 40000);
  EXPECT_EQ(reader.read(as_bytes(start), [](Frame&) { return true; }).value(), 40000u);
  EXPECT_EQ(reader.buffered(), 40000u);
}

TEST(LinkFrameReader, AllocatesNothingForSmallFrames) {
  std::string stream;
  for (std::uint32_t i = 1; i <= 1000; ++i) stream += numbered_frame(i, 64);
  FrameReader reader;
  std::uint64_t sum = 0;
  const std::uint64_t before = framing::testing::allocation_count();
  const Result<std::size_t> consumed = reader.read(as_bytes(stream), [&](Frame& frame) {
    sum += frame.connection;
    return true;
  });
  EXPECT_EQ(framing::testing::allocation_count(), before);
  EXPECT_EQ(consumed.value(), stream.size());
  EXPECT_EQ(sum, 500500u);
}

TEST(LinkFrameReader, CommandsMayTrailAnythingUpToMaxPacket) {
  std::string frame(8, '\0');
  store_le(reinterpret_cast<std::byte*>(frame.data()), std::uint32_t{400000});
  frame += std::string("\0\x07\0\0\0", 5);
  frame.resize(400004, 'x');
  for (const std::size_t step : {frame.size(), std::size_t{5000}}) {
    FrameReader reader;
    std::string_view rest = frame;
    std::string shown;
    std::size_t seen = 0;
    while (!rest.empty()) {
      shown += rest.substr(0, step);
      rest.remove_prefix(std::min(step, rest.size()));
      const auto consumed = reader.read(as_bytes(shown), [&](Frame& command) {
        std::array<std::byte, kCommandMessageBytesMax> message;
        const std::size_t size = command.copy_message(message);
        EXPECT_EQ(decode_command(Bytes(message).first(size)).value(), Command::dial(7));
        return ++seen, true;
      });
      shown.erase(0, consumed.value());
    }
    EXPECT_EQ(seen, 1u);
  }
}

}  // namespace
}  // namespace wayport::link
