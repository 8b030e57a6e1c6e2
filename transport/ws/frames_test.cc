// What a browser and what a hostile client may send (RFC 6455, section 5), as bytes: every case at every split, with
// the close code that it has to end in.
#include "wayport/transport/ws/frames.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace wayport::transport::ws {
namespace {

// What a whole input did: "data:...|" for each message, "ping:", "pong:", "close:CODE:text", "failed:CODE".
std::string outcome(const FrameReaderOptions& options, const std::string& input, std::size_t split) {
  FrameReader reader(options);
  std::string log, message;
  std::string kept;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t take = std::min(split, input.size() - at);
    kept += input.substr(at, take);
    at += take;
    for (;;) {
      const FrameEvent event = reader.next(std::as_writable_bytes(std::span(kept.data(), kept.size())));
      const std::string payload(as_text(event.payload));
      kept.erase(0, event.consumed);
      const std::string code = std::to_string(static_cast<unsigned>(event.code));
      if (event.kind == FrameEvent::Kind::more) break;
      if (event.kind == FrameEvent::Kind::data) {
        message += payload;
        if (event.message_end) log += "data:" + std::exchange(message, "") + "|";
      }
      if (event.kind == FrameEvent::Kind::ping) log += "ping:" + payload + "|";
      if (event.kind == FrameEvent::Kind::pong) log += "pong:" + payload + "|";
      if (event.kind == FrameEvent::Kind::close) return log + "close:" + code + ":" + payload;
      if (event.kind == FrameEvent::Kind::failed) return log + "failed:" + code;
    }
  }
  return log + (message.empty() ? "" : "part:" + message);
}

// A client's frame with its payload masked. `first`: FIN, reserved bits and opcode.
std::string masked(unsigned first, std::string_view payload) {
  const MaskKey key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
  std::string frame(kFrameHeaderBytesMax, '\0');
  auto* const to = reinterpret_cast<std::byte*>(frame.data());
  frame.resize(write_frame_header(to, Opcode::binary, true, payload.size(), &key));
  frame[0] = static_cast<char>(first);
  std::string body(payload);
  apply_mask(std::as_writable_bytes(std::span(body.data(), body.size())), key, 0);
  return frame + body;
}
std::string hex(std::string_view text) { return *from_hex(text); }

struct Case {
  const char* name;
  std::string input;
  std::string outcome;
};

void check(const FrameReaderOptions& options, const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    for (const std::size_t split : {1, 2, 3, 5, 8, 1'000'000}) {
      EXPECT_EQ(outcome(options, each.input, split), each.outcome) << each.name << ", split " << split;
    }
  }
}

TEST(FrameReader, ReadsWhatABrowserSends) {
  check({.text = true},
        {
            {"the RFC's masked Hello", hex("818537fa213d7f9f4d5158"), "data:Hello|"},
            {"binary", masked(0x82, "ab"), "data:ab|"},
            {"empty", masked(0x82, ""), "data:|"},
            {"126 bytes", masked(0x82, std::string(126, 'x')), "data:" + std::string(126, 'x') + "|"},
            {"65536 bytes", masked(0x82, std::string(65536, 'y')), "data:" + std::string(65536, 'y') + "|"},
            {"fragments", masked(0x02, "a") + masked(0x00, "b") + masked(0x80, "c"), "data:abc|"},
            {"an empty last fragment", masked(0x02, "a") + masked(0x80, ""), "data:a|"},
            {"empty fragments", masked(0x02, "") + masked(0x00, "") + masked(0x80, "z"), "data:z|"},
            {"control frames inside fragments",
             masked(0x02, "a") + masked(0x89, "p") + masked(0x00, "b") + masked(0x8a, "q") + masked(0x80, "c"),
             "ping:p|pong:q|data:abc|"},
            {"125 bytes of ping", masked(0x89, std::string(125, 'p')), "ping:" + std::string(125, 'p') + "|"},
            {"close without code", masked(0x88, ""), "close:1005:"},
            {"close with code and text", masked(0x88, std::string("\x03\xe8") + "bye"), "close:1000:bye"},
            {"nothing counts after close", masked(0x88, "\x03\xe9") + masked(0x82, "late"), "close:1001:"},
            {"close inside fragments", masked(0x02, "a") + masked(0x88, ""), "close:1005:"},
            {"two messages", masked(0x82, "a") + masked(0x82, "b"), "data:a|data:b|"},
            {"half a message", masked(0x02, "half"), "part:half"},
        });
}

TEST(FrameReader, EndsWithTheRequiredCodes) {
  check({.text = true}, {
                            {"no mask", hex("820161"), "failed:1002"},
                            {"no mask on a ping", hex("8900"), "failed:1002"},
                            {"reserved bit 1", masked(0xc2, "a"), "failed:1002"},
                            {"reserved bit 2", masked(0xa2, "a"), "failed:1002"},
                            {"reserved bit 3", masked(0x92, "a"), "failed:1002"},
                            {"opcode 3", masked(0x83, "a"), "failed:1002"},
                            {"opcode 7", masked(0x87, "a"), "failed:1002"},
                            {"opcode 11", masked(0x8b, "a"), "failed:1002"},
                            {"opcode 15", masked(0x8f, "a"), "failed:1002"},
                            {"continuation of nothing", masked(0x80, "a"), "failed:1002"},
                            {"continuation after the end", masked(0x82, "a") + masked(0x80, "b"), "data:a|failed:1002"},
                            {"a message inside a message", masked(0x02, "a") + masked(0x82, "b"), "failed:1002"},
                            {"a fragmented ping", masked(0x09, "a"), "failed:1002"},
                            {"a fragmented close", masked(0x08, ""), "failed:1002"},
                            {"126 bytes of ping", masked(0x89, std::string(126, 'p')), "failed:1002"},
                            {"125 in 16 bits", hex("82fe007d00000000"), "failed:1002"},
                            {"65535 in 64 bits", hex("82ff000000000000ffff00000000"), "failed:1002"},
                            {"0 in 64 bits", hex("82ff000000000000000000000000"), "failed:1002"},
                            {"the highest bit of a length", hex("82ff800000000000000000000000"), "failed:1002"},
                            {"the largest length", hex("82ff7fffffffffffffff00000000"), "failed:1009"},
                            {"half a close code", masked(0x88, "\x03"), "failed:1002"},
                            {"close code 0", masked(0x88, std::string(2, '\0')), "failed:1002"},
                            {"close code 999", masked(0x88, "\x03\xe7"), "failed:1002"},
                            {"close code 1004", masked(0x88, "\x03\xec"), "failed:1002"},
                            {"close code 1005", masked(0x88, "\x03\xed"), "failed:1002"},
                            {"close code 1006", masked(0x88, "\x03\xee"), "failed:1002"},
                            {"close code 1015", masked(0x88, "\x03\xf7"), "failed:1002"},
                            {"close code 2999", masked(0x88, "\x0b\xb7"), "failed:1002"},
                            {"close code 5000", masked(0x88, "\x13\x88"), "failed:1002"},
                            {"close text is no UTF-8", masked(0x88, "\x03\xe8\xff"), "failed:1007"},
                        });
  check({}, {{"text where none is taken", masked(0x81, "a"), "failed:1003"},
             {"fragmented text where none is taken", masked(0x01, "a"), "failed:1003"}});
  check({.from_client = false}, {{"a masked server", masked(0x82, "a"), "failed:1002"},
                                 {"the RFC's unmasked fragments", hex("0203486568") + hex("80026c6c"), "data:Hehll|"}});
}

TEST(FrameReader, TextIsUtf8WhateverTheFragments) {
  const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
  std::string bytewise;
  for (std::size_t i = 0; i < kosme.size(); ++i) {
    bytewise += masked((i == 0 ? 1u : 0u) | (i + 1 == kosme.size() ? 0x80u : 0u), kosme.substr(i, 1));
  }
  check({.text = true},
        {
            {"split within characters", bytewise, "data:" + kosme + "|"},
            {"the largest", masked(0x81, "\xf4\x8f\xbf\xbf"), "data:\xf4\x8f\xbf\xbf|"},
            {"above the largest", masked(0x81, "\xf4\x90\x80\x80"), "failed:1007"},
            {"a surrogate", masked(0x81, "\xed\xa0\x80"), "failed:1007"},
            {"two bytes for ASCII", masked(0x81, "\xc1\xbf"), "failed:1007"},
            {"three bytes for two", masked(0x81, "\xe0\x9f\xbf"), "failed:1007"},
            {"four bytes for three", masked(0x81, "\xf0\x8f\xbf\xbf"), "failed:1007"},
            {"five bytes", masked(0x81, "\xf8\x88\x80\x80\x80"), "failed:1007"},
            {"a lone continuation", masked(0x81, "0123456789\x80"), "failed:1007"},
            {"cut off at the end", masked(0x81, "abc\xce"), "failed:1007"},
            {"cut off over fragments", masked(0x01, "abc\xce") + masked(0x80, ""), "failed:1007"},
            {"bad in the second fragment", masked(0x01, "\xce") + masked(0x80, "\x41"), "failed:1007"},
            {"binary is not text", masked(0x82, "\xff\xfe"), "data:\xff\xfe|"},
            {"a new message starts anew", masked(0x81, "\xce\xba") + masked(0x81, "a"), "data:\xce\xba|data:a|"},
        });
}

// At the end of what was sent, not when the character could be complete.
TEST(FrameReader, BadTextIsFoundAtItsFirstWrongByte) {
  FrameReader reader({.text = true});
  std::string frame = masked(0x81, "ab\xff and a lot that never comes").substr(0, 6 + 3);
  const FrameEvent event = reader.next(std::as_writable_bytes(std::span(frame.data(), frame.size())));
  EXPECT_EQ(event.kind, FrameEvent::Kind::failed);
  EXPECT_EQ(event.code, CloseCode::invalid_data);
}

TEST(FrameReader, AMessageMayHaveItsBoundAndNoByteMore) {
  const FrameReaderOptions options{.message_bytes_max = 10};
  check(options, {
                     {"at", masked(0x82, "0123456789"), "data:0123456789|"},
                     {"above", masked(0x82, "0123456789a"), "failed:1009"},
                     {"fragments at", masked(0x02, "01234") + masked(0x80, "56789"), "data:0123456789|"},
                     {"each counts from zero", masked(0x82, "0123456789") + masked(0x82, "0123456789"),
                      "data:0123456789|data:0123456789|"},
                     {"fragments above", masked(0x02, "01234") + masked(0x80, "56789a"), "failed:1009"},
                 });
  // The announcement is enough.
  FrameReader reader(options);
  std::string header = hex("828b");
  EXPECT_EQ(reader.next(std::as_writable_bytes(std::span(header.data(), header.size()))).code, CloseCode::too_big);
}

TEST(FrameHeader, IsWrittenInTheShortestWay) {
  const auto header = [](std::uint64_t size) {
    std::array<std::byte, kFrameHeaderBytesMax> to;
    return to_hex(Bytes(to).first(write_frame_header(to.data(), Opcode::binary, true, size, nullptr)));
  };
  EXPECT_EQ(header(0), "8200");
  EXPECT_EQ(header(125), "827d");
  EXPECT_EQ(header(126), "827e007e");
  EXPECT_EQ(header(65535), "827effff");
  EXPECT_EQ(header(65536), "827f0000000000010000");
}

TEST(Mask, IsTheSameForEveryOffsetAndSize) {
  const MaskKey key{std::byte{1}, std::byte{2}, std::byte{4}, std::byte{8}};
  const std::string text = "The quick brown fox jumps over the lazy dog";
  for (std::size_t offset = 0; offset < 9; ++offset) {
    std::string masked = text;
    apply_mask(std::as_writable_bytes(std::span(masked.data(), masked.size())), key, offset);
    for (std::size_t i = 0; i < text.size(); ++i) {
      ASSERT_EQ(static_cast<std::byte>(masked[i]), static_cast<std::byte>(text[i]) ^ key[(i + offset) % 4]);
    }
  }
}

TEST(CloseCode, MapsBothWays) {
  for (const ErrorCode code :
       {ErrorCode::malformed, ErrorCode::too_large, ErrorCode::overloaded, ErrorCode::unsupported,
        ErrorCode::unreachable, ErrorCode::refused, ErrorCode::internal}) {
    EXPECT_EQ(reason_of(close_code_of(code), "", "ws://x").error.code, code) << to_string(code);
    EXPECT_FALSE(is_orderly(close_code_of(code)));
  }
  EXPECT_TRUE(is_orderly(close_code_of(ErrorCode::local_closed)));
  const CloseReason reason = reason_of(static_cast<CloseCode>(4001), "a\nb", "ws://x");
  EXPECT_EQ(reason.error.code, ErrorCode::peer_closed);
  EXPECT_EQ(reason.by, CloseReason::By::peer);
  EXPECT_NE(reason.error.detail.find("code 4001: \"a\\x0ab\""), std::string::npos) << reason.error.detail;
}

}  // namespace
}  // namespace wayport::transport::ws
