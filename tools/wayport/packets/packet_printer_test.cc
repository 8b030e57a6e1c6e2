#include "wayport/tools/wayport/packets/packet_printer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wayport/framing/codec_registry.h"
#include "wayport/framing/testing/vectors.h"

namespace wayport::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Printed {
  std::vector<std::string> lines;
  bool failed = false;
  std::uint64_t packets = 0;
  std::uint64_t bad_bodies = 0;
};
Printed print(std::string_view bytes, PacketPrinterOptions options = {}, std::size_t piece = 1 << 20) {
  const framing::CodecRegistry codecs;
  framing::ProtocolContext context{codecs};
  context.limits.packet_bytes_max = 1 << 20;
  Printed printed;
  PacketPrinter printer(context, std::move(options), [&](std::string_view line) { printed.lines.emplace_back(line); });
  for (std::size_t at = 0; at < bytes.size(); at += piece) printer.feed(as_bytes(bytes.substr(at, piece)));
  printer.finish();
  printed.failed = printer.failed();
  printed.packets = printer.packets();
  printed.bad_bodies = printer.bad_bodies();
  return printed;
}

std::string packet(std::string_view header, std::string_view body_with_codec) {
  std::string out(4, '\0');
  store_be(reinterpret_cast<std::byte*>(out.data()), static_cast<std::uint32_t>(header.size()));
  out += header;
  std::string length(4, '\0');
  store_be(reinterpret_cast<std::byte*>(length.data()), static_cast<std::uint32_t>(body_with_codec.size()));
  return out + length + std::string(body_with_codec);
}

const std::string kPull = packet(R"(j{"seq":7,"type":1,"uri":"/sum?x=\u001b[2J"})", "j[1,2]");
const std::string kReply = packet(R"(j{"type":2,"status_code":404,"status":"Not \"Found\""})", "");

TEST(PacketPrinter, GivesOneLinePerPacketAtEverySplit) {
  const std::string bytes = kPull + kReply;
  for (const std::size_t piece : {1, 2, 3, 5, 8, 1000}) {
    const Printed printed = print(bytes, {}, piece);
    EXPECT_FALSE(printed.failed);
    EXPECT_THAT(
        printed.lines,
        ElementsAre("       0  pull   seq=7 uri=/sum?x=\\x1b[2J header=json/43 body=json/5 size=58 : [1,2]\n",
                    "      58  reply  seq=0 status=404 \"Not \\x22Found\\x22\" header=json/53 body=none size=62\n"));
  }
}

TEST(PacketPrinter, GivesJsonThatProgramsCanRead) {
  const Printed printed = print(kPull, {.json = true, .stream = "a>b"});
  ASSERT_EQ(printed.lines.size(), 1u);
  EXPECT_EQ(printed.lines[0],
            R"({"stream":"a\u003eb","offset":0,"size":58,"type":1,"type_name":"pull","seq":7,"uri":"/sum?x=\u001b[2J",)"
            R"("gzip":0,"status_code":0,"status":"","header_codec":"json","header_bytes":43,"body_codec":"json",)"
            R"("body_bytes":5,"body":"[1,2]"})"
            "\n");
}

TEST(PacketPrinter, TellsWhereAndWhyAStreamFails) {
  const Printed over_limit = print(kPull + std::string("\x7f\xff\xff\xff and more", 13));
  EXPECT_TRUE(over_limit.failed);
  ASSERT_EQ(over_limit.lines.size(), 2u);
  EXPECT_THAT(over_limit.lines[1], HasSubstr("      58  error  too_large: "));

  const Printed cut = print(kPull + kReply.substr(0, 20), {.json = true});
  EXPECT_TRUE(cut.failed);
  ASSERT_EQ(cut.lines.size(), 2u);
  EXPECT_THAT(cut.lines[1],
              HasSubstr(R"({"offset":58,"error":{"code":"peer_closed","detail":"the stream ends inside)"));
}

TEST(PacketPrinter, ShowsWhatACompressedBodyInflatesTo) {
  // As Go writes it: flushed, without end block and trailer.
  std::string member = from_hex("1f8b08000000000000ffca48cdc9c957284fac2cc82f2a01000000ffff").value();
  const Printed good = print(packet(R"(j{"type":3,"gzip":5})", "s" + member));
  EXPECT_EQ(good.bad_bodies, 0u);
  EXPECT_THAT(good.lines[0], HasSubstr("gzip=5 header=json/19 body=string/29 size=58 inflated=13 : hello wayport\n"));

  member[10] = '\x07';  // a block type that does not exist
  const Printed bad = print(packet(R"(j{"type":3,"gzip":5})", "s" + member) + kPull);
  EXPECT_FALSE(bad.failed);
  EXPECT_EQ(bad.bad_bodies, 1u);
  EXPECT_EQ(bad.packets, 2u);
  EXPECT_THAT(bad.lines[0], HasSubstr("malformed"));

  // A byte slice of a Go peer: never compressed.
  const Printed slice = print(packet(R"(j{"type":3,"gzip":5})", "raw bytes"));
  EXPECT_EQ(slice.bad_bodies, 0u);
  EXPECT_THAT(slice.lines[0], HasSubstr("(not compressed) : aw bytes\n"));
}

TEST(PacketPrinter, CutsLongBodiesOnlyInText) {
  const std::string bytes = packet(R"(j{"type":3})", "s" + std::string(100, 'x'));
  EXPECT_THAT(print(bytes).lines[0], HasSubstr(" : " + std::string(64, 'x') + "...(+36 bytes)\n"));
  EXPECT_THAT(print(bytes, {.json = true}).lines[0], HasSubstr(std::string(100, 'x') + "\""));
}

TEST(PacketPrinter, PrintsEveryGoldenPacketAndFailsOnEveryTruncation) {
  std::size_t packets = 0;
  std::size_t truncations = 0;
  for (const framing::testing::PacketVector& vector : framing::testing::teleport_vectors().packets) {
    SCOPED_TRACE(vector.name);
    const std::string& bytes = vector.bytes;
    for (const bool json : {false, true}) {
      const Printed printed = print(bytes, {.json = json});
      EXPECT_EQ(printed.packets, 1u);
      EXPECT_FALSE(printed.failed);
      EXPECT_EQ(printed.bad_bodies, 0u);
    }
    ++packets;
    for (std::size_t size = 1; size < bytes.size(); size += 7) {
      const Printed printed = print(std::string_view(bytes).substr(0, size));
      EXPECT_TRUE(printed.failed);
      EXPECT_EQ(printed.packets, 0u);
      ++truncations;
    }
  }
  EXPECT_EQ(packets, 349u);
  std::printf("%zu golden packets printed, %zu truncations refused\n", packets, truncations);
}

}  // namespace
}  // namespace wayport::tools
