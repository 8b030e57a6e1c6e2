#include "wayport/tools/wayport/capture/tcp_segment.h"

#include <gtest/gtest.h>

#include "wayport/tools/wayport/capture/frames.h"

namespace wayport::tools {
namespace {

struct Found {
  FrameKind kind;
  TcpSegment segment;
  std::string payload;  // the frame may be gone
};
Found find(std::uint32_t link_type, std::string_view frame, std::size_t wire_bytes = 0) {
  Found found;
  found.kind = find_tcp_segment(link_type, as_bytes(frame), wire_bytes ? wire_bytes : frame.size(), found.segment);
  found.payload = as_text(found.segment.payload);
  return found;
}

const std::string kTcp = tcp({.from_port = 40000, .to_port = 9090, .seq = 7, .flags = 0x11}, "hello");

TEST(TcpSegment, IsFoundBehindEveryKnownLinkHeader) {
  const std::string v4 = ipv4(kTcp);
  struct {
    const char* name;
    std::uint32_t link_type;
    std::string frame;
  } cases[] = {
      {"ethernet", 1, ethernet(v4)},
      {"ethernet with a VLAN tag", 1, ethernet(v4, 0x0800, true)},
      {"ethernet, padded", 1, ethernet(v4) + std::string(6, '\0')},
      {"null, little endian", 0, std::string("\x02\0\0\0", 4) + v4},
      {"null, big endian", 0, std::string("\0\0\0\x02", 4) + v4},
      {"loop", 108, std::string("\0\0\0\x02", 4) + v4},
      {"raw", 101, v4},
      {"raw, old number", 12, v4},
      {"IPv4", 228, v4},
      {"cooked", 113, std::string(14, '\0') + "\x08" + std::string(1, '\0') + v4},
      {"cooked 2", 276, "\x08" + std::string(19, '\0') + v4},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const Found found = find(c.link_type, c.frame);
    ASSERT_EQ(found.kind, FrameKind::tcp);
    EXPECT_EQ(found.segment.from.to_string(), "10.0.0.1:40000");
    EXPECT_EQ(found.segment.to.to_string(), "10.0.0.2:9090");
    EXPECT_EQ(found.segment.seq, 7u);
    EXPECT_TRUE(found.segment.fin);
    EXPECT_FALSE(found.segment.syn || found.segment.rst);
    EXPECT_EQ(found.payload, "hello");
    EXPECT_EQ(found.segment.cut_bytes, 0u);
  }
}

TEST(TcpSegment, IsFoundInIpv6AndBehindItsExtensionHeaders) {
  for (const bool extended : {false, true}) {
    const Found found = find(1, ethernet(ipv6(kTcp, extended), 0x86dd));
    ASSERT_EQ(found.kind, FrameKind::tcp);
    EXPECT_EQ(found.segment.from.to_string(), "[::1]:40000");
    EXPECT_EQ(found.segment.to.to_string(), "[::2]:9090");
    EXPECT_EQ(found.payload, "hello");
  }
}

TEST(TcpSegment, TellsWhatTheCaptureCutOff) {
  const std::string frame = ethernet(ipv4(kTcp));
  const Found found = find(1, std::string_view(frame).substr(0, frame.size() - 3), frame.size());
  ASSERT_EQ(found.kind, FrameKind::tcp);
  EXPECT_EQ(found.payload, "he");
  EXPECT_EQ(found.segment.cut_bytes, 3u);
}

TEST(TcpSegment, NamesWhatItIsNot) {
  EXPECT_EQ(find(1, ethernet(ipv4(kTcp, 0, 17))).kind, FrameKind::other);
  EXPECT_EQ(find(1, ethernet(ipv4(kTcp), 0x0806)).kind, FrameKind::other);
  EXPECT_EQ(find(1, ethernet(ipv4(kTcp, 0x2000))).kind, FrameKind::fragment);
  EXPECT_EQ(find(1, ethernet(ipv4(kTcp, 0x0001))).kind, FrameKind::fragment);
  EXPECT_EQ(find(1, ethernet(ipv4(kTcp, 0x4000))).kind, FrameKind::tcp);  // "don't fragment"
  EXPECT_EQ(find(147, ipv4(kTcp)).kind, FrameKind::unknown_link);
  EXPECT_EQ(find(101, "\x90 what is this").kind, FrameKind::broken);
}

TEST(TcpSegment, SurvivesEveryTruncation) {
  const std::string frames[] = {ethernet(ipv4(kTcp), 0x0800, true), ethernet(ipv6(kTcp, true), 0x86dd)};
  for (const std::string& frame : frames) {
    for (std::size_t size = 0; size < frame.size() - 5; ++size) {
      // An exact allocation, so that reading past its end is seen by the sanitizer.
      const std::string cut(frame, 0, size);
      EXPECT_EQ(find(1, cut, frame.size()).kind, FrameKind::broken) << size;
    }
  }
}

}  // namespace
}  // namespace wayport::tools
