#include "wayport/framing/teleport/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/framing/testing/allocation_count.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;
using Form = OutgoingBody::Form;

const CodecRegistry kCodecs;

std::string bytes(std::string_view hex) { return from_hex(hex).value(); }

struct Decoded {
  Decoded(std::string from, std::size_t limit) : input(std::move(from)), context{kCodecs} {
    context.limits.packet_bytes_max = limit;
    taken = teleport_protocol().decode(as_bytes(input), context, state, packet);
  }
  std::string input;
  ProtocolContext context;
  DecodeState state;
  PacketView packet;
  Result<std::size_t> taken = 0;
};
void expect_error(const std::string& input, std::size_t limit, ErrorCode code, std::string_view said) {
  const Decoded decoded(input, limit);
  ASSERT_FALSE(decoded.taken);
  EXPECT_EQ(decoded.taken.error().code, code);
  EXPECT_THAT(decoded.taken.error().detail, HasSubstr(std::string(said)));
}

Result<std::string> encode(const OutgoingPacket& packet) {
  ProtocolContext context{kCodecs};
  Chain to;
  to.append(std::string_view("before"));
  const Result<void> encoded = teleport_protocol().encode(packet, context, to);
  const std::string all = to.to_string();
  EXPECT_EQ(all.substr(0, 6), "before");
  if (!encoded) {
    EXPECT_EQ(all, "before") << "a failed packet leaves nothing";
    return encoded.error();
  }
  return all.substr(6);
}

// A codec that appends something and then fails.
class FailingCodec final : public Codec {
 public:
  std::uint8_t id() const noexcept override { return 'f'; }
  std::string_view name() const noexcept override { return "failing"; }
  Result<void> encode(const BodyView&, Chain& to) const override {
    to.append(Bytes(as_bytes(std::string_view("half of it"))));
    return fail(ErrorCode::invalid_argument, "no more");
  }
  Result<void> decode(Bytes, const BodyTarget&) const override { return {}; }
};

TEST(TeleportProtocol, TheWireIsAsWrittenHere) {
  const std::string wire = bytes(
      "0000000b"  // HL: codec id and header
      "70"        // protobuf
      "0807"      // seq 7
      "1001"      // pull
      "1a022f61"  // uri /a
      "2802"      // status_code 2
      "00000003"  // BL: codec id and body
      "73"        // string
      "6869");    // hi
  const PacketHeader header{.seq = 7, .type = kTypePull, .uri = "/a", .status_code = 2};
  const Decoded decoded(wire, 0);
  ASSERT_TRUE(decoded.taken) << decoded.taken.error().to_string();
  EXPECT_EQ(*decoded.taken, wire.size());
  EXPECT_EQ(decoded.packet.header, header);
  EXPECT_EQ(decoded.packet.body_codec, 's');
  EXPECT_EQ(as_text(decoded.packet.body), "hi");
  EXPECT_EQ(as_text(decoded.packet.body_with_codec), "shi");
  EXPECT_EQ(encode({header, 'p', {.form = Form::encoded, .bytes = as_bytes("hi"), .codec_id = 's'}}), wire);
}

TEST(TeleportProtocol, TakesOnePacketAndLeavesTheRest) {
  const std::string one = *encode({{.type = 1}, 'p', {.form = Form::codec_only, .codec_id = 'j'}});
  const Decoded decoded(one + "rest", 0);
  EXPECT_EQ(decoded.taken, one.size());
  EXPECT_EQ(decoded.packet.size, one.size());
}

TEST(TeleportProtocol, NoBodyAndABareCodecIdDiffer) {
  const Decoded none(*encode({{.type = 1}, 'j', {}}), 0);
  EXPECT_FALSE(none.packet.has_body_codec);
  EXPECT_TRUE(none.packet.body_with_codec.empty());
  const Decoded bare(*encode({{.type = 1}, 'j', {.form = Form::codec_only, .codec_id = 'p'}}), 0);
  EXPECT_TRUE(bare.packet.has_body_codec);
  EXPECT_EQ(bare.packet.body_codec, 'p');
  EXPECT_TRUE(bare.packet.body.empty());
  EXPECT_EQ(as_text(bare.packet.body_with_codec), "p");
}

// --- errors, each as soon as its bytes are there ---

TEST(TeleportProtocol, HeaderLengthZeroIsAnErrorAtFourBytes) {
  expect_error(bytes("00000000"), 0, ErrorCode::malformed, "header length 0");
}

TEST(TeleportProtocol, HeaderLengthIsCheckedAtFourBytes) {
  expect_error(bytes("ffffffff"), 200, ErrorCode::too_large, "header length 4294967295 + 4 is over the limit 200");
}

TEST(TeleportProtocol, HeaderCodecIsCheckedAtFiveBytes) {
  expect_error(bytes("0000000573"), 0, ErrorCode::unsupported, "codec id 0x73 ('s')");
  expect_error(bytes("ffffffff00"), 0, ErrorCode::unsupported, "0x00");
}

TEST(TeleportProtocol, BodyLengthIsCheckedBeforeTheBodyIsThere) {
  expect_error(bytes("0000000170"
                     "ffffffff"),
               200, ErrorCode::too_large, "header length 1 + body length 4294967295 + 8 is over the limit 200");
}

TEST(TeleportProtocol, ABadHeaderDoesNotWaitForTheBody) {
  expect_error(bytes("000000027008"
                     "00010000"),
               0, ErrorCode::malformed, "protobuf header");
  expect_error(bytes("000000026a7b"
                     "00010000"),
               0, ErrorCode::malformed, "json header");
}

TEST(TeleportProtocol, LimitsHoldExactly) {
  // HL 1, BL 3: 12 bytes.
  const std::string packet = bytes(
      "0000000170"
      "00000003"
      "736869");
  EXPECT_EQ(Decoded(packet, 12).taken, 12u);
  expect_error(packet, 11, ErrorCode::too_large, "over the limit 11");
  // Without body only the header counts, and with 4 instead of 8.
  const std::string empty = bytes(
      "0000000170"
      "00000000");
  EXPECT_EQ(Decoded(empty, 5).taken, 9u);
  expect_error(empty, 4, ErrorCode::too_large, "header length 1 + 4 is over the limit 4");
}

TEST(TeleportProtocol, LengthsOfAllOnesDoNotOverflow) {
  const Decoded decoded(bytes("ffffffff70"), 0);
  EXPECT_EQ(decoded.taken, 0u);
  EXPECT_EQ(decoded.state.bytes_wanted, 0xffffffffu + std::size_t{8});
  const Decoded body(bytes("0000000170"
                           "ffffffff"),
                     0);
  EXPECT_EQ(body.taken, 0u);
  EXPECT_EQ(body.state.bytes_wanted, 0xffffffffu + std::size_t{9});
}

TEST(TeleportProtocol, AStreamMayEndOnlyBetweenPackets) {
  EXPECT_TRUE(teleport_protocol().may_end({}));
  EXPECT_FALSE(teleport_protocol().may_end(as_bytes("x")));
}

// --- encoding ---

TEST(TeleportProtocol, ValuesGoThroughTheirCodec) {
  const std::string text = "<hi>";
  OutgoingPacket packet{{.type = 1, .uri = "/a"}, 'j', {.form = Form::value}};
  packet.body.codec = kCodecs.find('j');
  packet.body.value = {&body_ops<std::string>(), &text};
  const Decoded decoded(*encode(packet), 0);
  EXPECT_EQ(decoded.packet.body_codec, 'j');
  EXPECT_EQ(as_text(decoded.packet.body), R"("\u003chi\u003e")");
}

TEST(TeleportProtocol, GzipCompressesValuesAndEncodedBytesButNotVerbatimOnes) {
  const std::string text(1000, 'x');
  OutgoingPacket packet{{.type = 1, .gzip = 5}, 'p', {}};
  packet.body.codec = kCodecs.find('s');
  packet.body.codec_id = 's';
  packet.body.value = {&body_ops<std::string>(), &text};
  packet.body.bytes = as_bytes(text);
  for (const Form form : {Form::value, Form::encoded}) {
    packet.body.form = form;
    Decoded decoded(*encode(packet), 0);
    EXPECT_LT(decoded.packet.body.size(), 100u);
    const Result<Bytes> plain = plain_body(decoded.packet, decoded.context);
    ASSERT_TRUE(plain);
    EXPECT_EQ(as_text(*plain), text);
  }
  packet.body.form = Form::verbatim;
  const Decoded decoded(*encode(packet), 0);
  EXPECT_EQ(as_text(decoded.packet.body_with_codec), text);
}

TEST(TeleportProtocol, LargeBodiesOfEveryFormArriveWhole) {
  const std::string text(300'000, 'x');
  for (const Form form : {Form::value, Form::encoded, Form::verbatim}) {
    for (const std::size_t size : {1023u, 1024u, 1025u, 300'000u}) {
      const std::string part = text.substr(0, size);
      OutgoingPacket packet{{.type = 1, .uri = "/a"}, 'p', {.form = form}};
      packet.body.codec = kCodecs.find('s');
      packet.body.value = {&body_ops<std::string>(), &part};
      packet.body.bytes = as_bytes(part);
      const Decoded decoded(*encode(packet), 0);
      ASSERT_TRUE(decoded.taken);
      EXPECT_EQ(as_text(form == Form::verbatim ? decoded.packet.body_with_codec : decoded.packet.body), part);
    }
  }
}

TEST(TeleportProtocol, LargeHeadersArriveWhole) {
  const std::string uri = "/" + std::string(200'000, '&');
  for (const std::uint8_t codec : {'p', 'j'}) {
    const Decoded decoded(*encode({{.type = 1, .uri = uri}, codec, {}}), 0);
    ASSERT_TRUE(decoded.taken);
    EXPECT_EQ(decoded.packet.header.uri, uri);
  }
}

TEST(TeleportProtocol, AFailedPacketLeavesNothing) {
  const FailingCodec failing;
  OutgoingPacket packet{{.type = 1, .uri = "/a"}, 'p', {.form = Form::value, .codec = &failing}};
  EXPECT_EQ(encode(packet).error().code, ErrorCode::invalid_argument);
  packet.header.gzip = 5;
  EXPECT_EQ(encode(packet).error().code, ErrorCode::invalid_argument);
}

TEST(TeleportProtocol, IllegalGzipLevelsAreRefusedForWhatWouldBeCompressed) {
  const std::string text = "x";
  for (const int level : {99, -3, 10}) {
    OutgoingPacket packet{{.type = 1, .gzip = level}, 'j', {.form = Form::value}};
    packet.body.codec = kCodecs.find('s');
    packet.body.value = {&body_ops<std::string>(), &text};
    EXPECT_EQ(encode(packet).error().code, ErrorCode::invalid_argument);
    packet.body.form = Form::none;
    EXPECT_TRUE(encode(packet));
  }
}

TEST(TeleportProtocol, RefusesWhatCannotBeWritten) {
  EXPECT_EQ(encode({{.type = 1}, 's', {}}).error().code, ErrorCode::unsupported);
  EXPECT_EQ(encode({{.type = 1}, 0, {}}).error().code, ErrorCode::unsupported);
  EXPECT_EQ(encode({{.type = 1}, 'j', {.form = Form::encoded, .bytes = as_bytes("x")}}).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(encode({{.type = 1}, 'j', {.form = Form::value, .codec_id = 'j'}}).error().code,
            ErrorCode::invalid_argument);
}

// --- cost ---

TEST(TeleportProtocol, AllocatesNothingPerPacketInSteadyState) {
  const PacketHeader header{.seq = 12345, .type = kTypePull, .uri = "/group/home/echo?a=1&b=2"};
  const std::string text = "some text";
  ProtocolContext context{kCodecs};
  for (const std::uint8_t header_codec : {'p', 'j'}) {
    for (const Form form : {Form::none, Form::codec_only, Form::value, Form::encoded, Form::verbatim}) {
      OutgoingPacket packet{header, header_codec, {.form = form}};
      packet.body.codec = kCodecs.find('s');
      packet.body.value = {&body_ops<std::string>(), &text};
      packet.body.bytes = as_bytes(text);
      std::uint64_t before = 0;
      for (int round = 0; round < 3; ++round) {
        before = testing::allocation_count();
        Chain to;
        ASSERT_TRUE(teleport_protocol().encode(packet, context, to));
        DecodeState state;
        PacketView read;
        ASSERT_TRUE(teleport_protocol().decode(to.front(), context, state, read));
        ASSERT_EQ(read.header, header);
      }
      EXPECT_EQ(testing::allocation_count(), before) << header_codec << static_cast<int>(form);
    }
  }
}

}  // namespace
}  // namespace wayport::framing
