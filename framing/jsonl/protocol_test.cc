#include "wayport/framing/jsonl/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/framing/testing/vectors.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;
using Form = OutgoingBody::Form;

const CodecRegistry kCodecs;

struct Decoded {
  explicit Decoded(std::string from, std::size_t limit = 0) : input(std::move(from)), context{kCodecs} {
    context.limits.packet_bytes_max = limit;
    taken = jsonl_protocol().decode(as_bytes(input), context, state, packet);
  }
  std::string input;
  ProtocolContext context;
  DecodeState state;
  PacketView packet;
  Result<std::size_t> taken = 0;
};
void expect_error(std::string_view line, ErrorCode code, std::string_view said, std::size_t limit = 0) {
  SCOPED_TRACE(line);
  const Decoded decoded(std::string(line), limit);
  ASSERT_FALSE(decoded.taken);
  EXPECT_EQ(decoded.taken.error().code, code);
  EXPECT_THAT(decoded.taken.error().detail, HasSubstr(std::string(said)));
}
std::string encode(const OutgoingPacket& packet) {
  ProtocolContext context{kCodecs};
  Chain to;
  to.append(std::string_view("before "));
  const Result<void> encoded = jsonl_protocol().encode(packet, context, to);
  if (!encoded) {
    EXPECT_EQ(to.to_string(), "before ");
    return encoded.error().to_string();
  }
  return to.to_string().substr(7);
}

TEST(JsonLines, AJsonBodyIsPartOfTheLine) {
  const std::string line =
      R"({"seq":7,"type":"reply","uri":"/home/sum","status_code":200,"status":"OK","codec":"json","body":{"a":[1,2]}})"
      "\n";
  const PacketHeader header{.seq = 7, .type = kTypeReply, .uri = "/home/sum", .status_code = 200, .status = "OK"};
  const Decoded decoded(line);
  ASSERT_TRUE(decoded.taken) << decoded.taken.error().to_string();
  EXPECT_EQ(*decoded.taken, line.size());
  EXPECT_EQ(decoded.packet.header, header);
  EXPECT_EQ(decoded.packet.body_codec, 'j');
  EXPECT_EQ(as_text(decoded.packet.body), R"({"a":[1,2]})");
  EXPECT_EQ(as_text(decoded.packet.body_with_codec), R"(j{"a":[1,2]})");
  EXPECT_EQ(encode({header, 'p', {.form = Form::encoded, .bytes = as_bytes(R"({"a":[1,2]})"), .codec_id = 'j'}}), line);
}

TEST(JsonLines, OtherBodiesAreBase64) {
  const std::string line = R"({"type":"push","uri":"/log","codec":"string","body":"aGVsbG8="})"
                           "\n";
  const Decoded decoded(line);
  ASSERT_TRUE(decoded.taken) << decoded.taken.error().to_string();
  EXPECT_EQ(decoded.packet.header.type, kTypePush);
  EXPECT_EQ(as_text(decoded.packet.body_with_codec), "shello");
  const std::string text = "hello";
  OutgoingPacket packet{{.type = kTypePush, .uri = "/log"}, 'j', {.form = Form::value}};
  packet.body.codec = kCodecs.find('s');
  packet.body.value = {&body_ops<std::string>(), &text};
  EXPECT_EQ(encode(packet), line);
}

TEST(JsonLines, NoBodyACodecAloneAndNullDiffer) {
  EXPECT_FALSE(Decoded("{}\n").packet.has_body_codec);
  const Decoded alone("{\"codec\":\"protobuf\"}\n");
  EXPECT_TRUE(alone.packet.has_body_codec);
  EXPECT_EQ(as_text(alone.packet.body_with_codec), "p");
  EXPECT_EQ(as_text(Decoded("{\"body\":null}\n").packet.body_with_codec), "jnull");
  EXPECT_EQ(encode({{}, 'j', {}}), "{}\n");
  EXPECT_EQ(encode({{}, 'j', {.form = Form::codec_only, .codec_id = 'p'}}), "{\"codec\":\"protobuf\"}\n");
}

TEST(JsonLines, TypesAndCodecsMayBeNumbers) {
  const std::string line = "{\"type\":4,\"codec\":120,\"body\":\"eA==\"}\n";
  const Decoded decoded(line);
  EXPECT_EQ(decoded.packet.header.type, 4);
  EXPECT_EQ(as_text(decoded.packet.body_with_codec), "xx");
  EXPECT_EQ(encode({{.type = 4}, 'j', {.form = Form::verbatim, .bytes = as_bytes("xx")}}), line);
}

TEST(JsonLines, ReadsAnyOrderSpaceEscapesUnknownKeysAndNull) {
  const Decoded decoded(
      "\t{ \"b\\u006fdy\" : [1, 2] , \"extra\" : {\"x\":[]}, \"uri\":\"\\/a\\n\", \"seq\":null, \"seq\":1,\"seq\":2 } "
      "\r\n");
  ASSERT_TRUE(decoded.taken) << decoded.taken.error().to_string();
  EXPECT_EQ(decoded.packet.header.seq, 2u);
  EXPECT_EQ(decoded.packet.header.uri, "/a\n");
  EXPECT_EQ(as_text(decoded.packet.body), "[1, 2]");
}

TEST(JsonLines, LineEndsWithinAJsonBodyBecomeSpaces) {
  EXPECT_EQ(encode({{}, 'j', {.form = Form::verbatim, .bytes = as_bytes("j[1,\r\n2]\n")}}),
            "{\"codec\":\"json\",\"body\":[1,  2] }\n");
  EXPECT_THAT(encode({{}, 'j', {.form = Form::verbatim, .bytes = as_bytes("j[1,")}}), HasSubstr("is no JSON"));
  EXPECT_THAT(encode({{}, 'j', {.form = Form::verbatim, .bytes = as_bytes("j1 2")}}), HasSubstr("is no JSON"));
}

TEST(JsonLines, CompressedBytesPassAsTheyAre) {
  const std::string line = R"({"gzip":5,"codec":"json","body":"AP8="})"
                           "\n";
  const Decoded decoded(line);
  ASSERT_TRUE(decoded.taken);
  EXPECT_EQ(decoded.packet.header.gzip, 5);
  EXPECT_EQ(to_hex(decoded.packet.body), "00ff");
  EXPECT_EQ(encode({{.gzip = 5}, 'j', {.form = Form::verbatim, .bytes = decoded.packet.body_with_codec}}), line);
  // What is encoded here is not compressed.
  EXPECT_EQ(encode({{.gzip = 5}, 'j', {.form = Form::encoded, .bytes = as_bytes("1"), .codec_id = 'j'}}),
            "{\"codec\":\"json\",\"body\":1}\n");
}

TEST(JsonLines, RefusesWhatIsNoSuchLine) {
  for (const char* line :
       {"\n", "\r\n", "[]\n", "null\n", "{\n", "{\"seq\":1}x\n", "{\"seq\":1,}\n", "{seq:1}\n", "{\"body\":}\n"}) {
    expect_error(line, ErrorCode::malformed, "expected at byte");
  }
  expect_error("{\"seq\":-1}\n", ErrorCode::malformed, "seq must be a whole number from 0 to 18446744073709551615");
  expect_error("{\"status_code\":1.5}\n", ErrorCode::malformed, "status_code must be");
  expect_error("{\"type\":\"call\"}\n", ErrorCode::malformed, "type must be");
  expect_error("{\"uri\":1}\n", ErrorCode::malformed, "uri must be a string");
  expect_error("{\"codec\":0}\n", ErrorCode::malformed, "codec must be a whole number from 1 to 255");
  expect_error("{\"codec\":256}\n", ErrorCode::malformed, "codec must be");
  expect_error("{\"codec\":\"thrift\"}\n", ErrorCode::unsupported, "no codec named \"thrift\"");
  expect_error("{\"codec\":\"string\",\"body\":[1]}\n", ErrorCode::malformed, "base64");
  expect_error("{\"codec\":\"string\",\"body\":\"?\"}\n", ErrorCode::malformed, "base64");
}

TEST(JsonLines, BodiesNestUpToTheLimit) {
  const auto line = [](int depth) { return "{\"body\":" + std::string(depth, '[') + std::string(depth, ']') + "}\n"; };
  EXPECT_TRUE(Decoded(line(64)).taken);
  expect_error(line(65), ErrorCode::malformed, "64 deep");
}

TEST(JsonLines, ALineIsAsLongAsTheLimitAndNoLonger) {
  const std::string line = "{\"seq\":1}\n";
  EXPECT_EQ(Decoded(line, line.size()).taken, line.size());
  expect_error(line, ErrorCode::too_large, "no end within the limit of 9 bytes", line.size() - 1);
  // As soon as it is clear.
  EXPECT_EQ(Decoded(std::string(9, ' '), 10).taken, 0u);
  expect_error(std::string(10, ' '), ErrorCode::too_large, "limit of 10", 10);
}

TEST(JsonLines, EveryTruncationNeedsMore) {
  const std::string line = R"({"seq":7,"type":"pull","uri":"/a","codec":"string","body":"aGVsbG8="})"
                           "\n";
  for (std::size_t size = 0; size < line.size(); ++size) {
    const Decoded decoded(line.substr(0, size));
    ASSERT_EQ(decoded.taken, 0u);
    EXPECT_EQ(decoded.state.scanned, size);
  }
}

bool is_no_json(const testing::PacketVector& vector) {
  return vector.gzip == 0 && vector.body_codec == 'j' && vector.body == "note";
}

TEST(JsonLines, GoldenPacketsSurviveALineAtEverySplit) {
  std::string stream;
  const auto& vectors = testing::teleport_vectors().packets;
  for (const testing::PacketVector& vector : vectors) {
    OutgoingPacket packet{vector.header(), vector.header_codec, {}};
    const std::string with_codec = vector.bytes.substr(vector.header_length + 8);
    // One golden body carries codec json and is none.
    if (vector.body_length != 0 && !is_no_json(vector))
      packet.body = {.form = Form::verbatim, .bytes = as_bytes(with_codec)};
    const std::string line = encode(packet);
    ASSERT_EQ(line.front(), '{') << vector.name << line;
    stream += line;
  }
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5}, std::size_t{8}, stream.size()}) {
    ProtocolContext context{kCodecs};
    PacketReader reader;
    std::size_t next = 0;
    std::string unconsumed;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      unconsumed += stream.substr(at, step);
      const Result<std::size_t> consumed =
          reader.read(as_bytes(unconsumed), jsonl_protocol(), context, [&](const PacketView& packet) {
            const testing::PacketVector& vector = vectors.at(next++);
            EXPECT_EQ(packet.header.seq, vector.seq);
            EXPECT_EQ(packet.header.type, vector.type);
            EXPECT_EQ(packet.header.uri, vector.uri);
            EXPECT_EQ(packet.header.status_code, vector.status_code);
            EXPECT_EQ(packet.header.status, vector.status);
            if (!is_no_json(vector)) {
              EXPECT_EQ(as_text(packet.body_with_codec), vector.bytes.substr(vector.header_length + 8));
            }
            return true;
          });
      ASSERT_TRUE(consumed) << consumed.error().to_string();
      unconsumed.erase(0, *consumed);
    }
    EXPECT_EQ(next, vectors.size());
    EXPECT_TRUE(unconsumed.empty());
  }
}

}  // namespace
}  // namespace wayport::framing
