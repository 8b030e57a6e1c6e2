#include "wayport/tools/wayport/capture/tcp_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace wayport::tools {
namespace {

using testing::ElementsAre;

class Recorder final : public TcpStreamEvents {
 public:
  void on_stream(StreamIndex stream, const TcpEndpoint& from, const TcpEndpoint& to) override {
    EXPECT_EQ(stream, bytes.size());
    bytes.emplace_back();
    ends.emplace_back("open");
    names.push_back(from.to_string() + ">" + to.to_string());
  }
  void on_stream_bytes(StreamIndex stream, Bytes more) override {
    EXPECT_EQ(ends[stream], "open");
    bytes[stream] += as_text(more);
  }
  void on_stream_end(StreamIndex stream, std::uint64_t missing) override {
    EXPECT_EQ(ends[stream], "open");
    ends[stream] = missing ? "missing " + std::to_string(missing) : "end";
  }

  std::vector<std::string> bytes;
  std::vector<std::string> ends;
  std::vector<std::string> names;
};

constexpr std::uint32_t kStart = 0xfffffffa;  // wraps after a few bytes

TcpSegment segment(std::uint32_t offset, std::string_view payload) {
  TcpSegment made;
  made.from.ip = {10, 0, 0, 1};
  made.from.port = 40000;
  made.to.ip = {10, 0, 0, 2};
  made.to.port = 9090;
  made.seq = kStart + 1 + offset;
  made.payload = as_bytes(payload);
  return made;
}
TcpSegment syn() {
  TcpSegment made = segment(0, "");
  made.seq = kStart;
  made.syn = true;
  return made;
}
TcpSegment fin(std::uint32_t offset) {
  TcpSegment made = segment(offset, "");
  made.fin = true;
  return made;
}

class TcpStreamsTest : public testing::Test {
 protected:
  Recorder recorder_;
  TcpStreams streams_{recorder_, {.stream_bytes_waiting_max = 1000, .bytes_waiting_max = 100'000, .streams_max = 3}};
};

TEST_F(TcpStreamsTest, DeliversInOrderAcrossTheSequenceWrap) {
  streams_.add(syn());
  streams_.add(segment(0, "abcdef"));
  streams_.add(segment(6, "ghijkl"));
  streams_.add(fin(12));
  EXPECT_THAT(recorder_.names, ElementsAre("10.0.0.1:40000>10.0.0.2:9090"));
  EXPECT_THAT(recorder_.bytes, ElementsAre("abcdefghijkl"));
  EXPECT_THAT(recorder_.ends, ElementsAre("end"));
}

TEST_F(TcpStreamsTest, PutsEveryOrderOfFourSegmentsRight) {
  std::vector<int> order = {0, 1, 2, 3};
  const std::string_view pieces[] = {"abc", "def", "ghi", "jkl"};
  std::size_t tried = 0;
  do {
    Recorder recorder;
    TcpStreams streams(recorder);
    streams.add(syn());
    for (const int i : order) streams.add(segment(static_cast<std::uint32_t>(i) * 3, pieces[i]));
    streams.add(fin(12));
    EXPECT_THAT(recorder.bytes, ElementsAre("abcdefghijkl"));
    EXPECT_THAT(recorder.ends, ElementsAre("end"));
    EXPECT_EQ(streams.bytes_waiting(), 0u);
    ++tried;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(tried, 24u);
}

TEST_F(TcpStreamsTest, TakesEachByteOnceFromRepeatedAndOverlappingSegments) {
  streams_.add(syn());
  streams_.add(syn());
  streams_.add(segment(0, "abcd"));
  streams_.add(segment(0, "abcd"));
  streams_.add(segment(2, "cdef"));
  streams_.add(segment(8, "ij"));
  streams_.add(segment(8, "ijk"));
  streams_.add(segment(4, "efghij"));
  streams_.finish();
  EXPECT_THAT(recorder_.bytes, ElementsAre("abcdefghijk"));
  EXPECT_THAT(recorder_.ends, ElementsAre("end"));
}

TEST_F(TcpStreamsTest, WaitsForTheHoleEvenAfterTheFin) {
  streams_.add(syn());
  streams_.add(segment(3, "def"));
  streams_.add(fin(6));
  EXPECT_THAT(recorder_.ends, ElementsAre("open"));
  streams_.add(segment(0, "abc"));
  EXPECT_THAT(recorder_.bytes, ElementsAre("abcdef"));
  EXPECT_THAT(recorder_.ends, ElementsAre("end"));
}

TEST_F(TcpStreamsTest, EndsAtAHoleThatTheCaptureNeverFills) {
  streams_.add(syn());
  streams_.add(segment(0, "ab"));
  streams_.add(segment(5, "fg"));
  streams_.finish();
  EXPECT_THAT(recorder_.bytes, ElementsAre("ab"));
  EXPECT_THAT(recorder_.ends, ElementsAre("missing 3"));
  EXPECT_EQ(streams_.bytes_waiting(), 0u);
}

TEST_F(TcpStreamsTest, BoundsWhatWaitsAndCountsItsOverhead) {
  // 1000 bytes are allowed, and each waiting segment counts 128 more.
  const std::string fits(1000 - 128, 'x');
  streams_.add(syn());
  streams_.add(segment(10, fits));
  EXPECT_THAT(recorder_.ends, ElementsAre("open"));
  streams_.add(segment(2000, "y"));
  EXPECT_THAT(recorder_.ends, ElementsAre("missing 10"));
  EXPECT_EQ(streams_.bytes_waiting(), 0u);
}

TEST_F(TcpStreamsTest, EmptySegmentsAheadOfAHoleCostNothing) {
  streams_.add(syn());
  for (std::uint32_t offset = 10; offset < 50; ++offset) streams_.add(segment(offset, ""));
  EXPECT_EQ(streams_.bytes_waiting(), 0u);
  streams_.add(segment(0, "0123456789abcdef"));
  EXPECT_EQ(streams_.bytes_waiting(), 0u);
  EXPECT_THAT(recorder_.ends, ElementsAre("open"));
}

TEST_F(TcpStreamsTest, EndsWhereTheCaptureCutASegment) {
  TcpSegment cut = segment(0, "abc");
  cut.cut_bytes = 100;
  streams_.add(syn());
  streams_.add(cut);
  EXPECT_THAT(recorder_.bytes, ElementsAre("abc"));
  EXPECT_THAT(recorder_.ends, ElementsAre("missing 1"));
}

TEST_F(TcpStreamsTest, JoinsAConnectionThatBeganBeforeTheCapture) {
  streams_.add(segment(100, "late"));
  streams_.add(segment(90, "older, and"));  // what came before is not wanted any more
  streams_.add(segment(104, "r"));
  streams_.finish();
  EXPECT_THAT(recorder_.bytes, ElementsAre("later"));
}

TEST_F(TcpStreamsTest, BeginsANewStreamForANewConnectionOnTheSameEndpoints) {
  streams_.add(syn());
  streams_.add(segment(0, "one"));
  TcpSegment again = syn();
  again.seq += 5000;
  streams_.add(again);
  streams_.add(segment(5000, "two"));
  streams_.finish();
  EXPECT_THAT(recorder_.bytes, ElementsAre("one", "two"));
  EXPECT_THAT(recorder_.ends, ElementsAre("end", "end"));
}

TEST_F(TcpStreamsTest, KeepsTheTwoDirectionsApartAndEndsAtAReset) {
  TcpSegment back = segment(0, "reply");
  std::swap(back.from, back.to);
  streams_.add(syn());
  streams_.add(segment(0, "request"));
  streams_.add(back);
  TcpSegment reset = segment(7, "");
  reset.rst = true;
  streams_.add(reset);
  EXPECT_THAT(recorder_.bytes, ElementsAre("request", "reply"));
  EXPECT_THAT(recorder_.ends, ElementsAre("end", "open"));
}

TEST_F(TcpStreamsTest, RefusesStreamsAboveTheirNumberAndCountsTheirSegments) {
  for (std::uint16_t port = 1; port <= 4; ++port) {
    TcpSegment one = segment(0, "x");
    one.from.port = port;
    streams_.add(one);
  }
  EXPECT_EQ(recorder_.bytes.size(), 3u);
  EXPECT_EQ(streams_.segments_refused(), 1u);
}

}  // namespace
}  // namespace wayport::tools
