// The golden packets of spec/vectors/teleport.json against TeleportProtocol: every good one at every split, what each
// malformed one comes to before any route or type is looked at, and the streams that Go's own defects produce.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/framing/teleport/protocol.h"
#include "wayport/framing/testing/vectors.h"

namespace wayport::framing {
namespace {

using testing::DefectStream;
using testing::MalformedInput;
using testing::PacketVector;
using testing::teleport_vectors;
using BodyForm = PacketVector::BodyForm;

const CodecRegistry kCodecs;

// What a reader made of a stream.
struct Outcome {
  std::size_t packets = 0;
  std::optional<ErrorCode> error{};
  bool unfinished = false;                // bytes are left over
  std::optional<ErrorCode> first_body{};  // why the first packet's body has no plain bytes

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// A stream's end: shows what is unconsumed again, with `step` more bytes.
template <class Sink>
Outcome read_in_steps(std::string_view bytes, std::size_t step, std::size_t limit, Sink&& sink) {
  ProtocolContext context{kCodecs};
  context.limits = {.packet_bytes_max = limit, .inflated_bytes_max = 1u << 20};
  PacketReader reader;
  Outcome outcome;
  std::string shown;
  std::size_t given = 0;
  while (given < bytes.size()) {
    const std::size_t size = std::min(step, bytes.size() - given);
    // A buffer of its own and of exactly that size: reading past it is seen by the sanitizers.
    std::string piece = shown + std::string(bytes.substr(given, size));
    given += size;
    const Result<std::size_t> consumed =
        reader.read(as_bytes(piece), teleport_protocol(), context, [&](const PacketView& packet) {
          if (outcome.packets++ == 0) {
            const Result<Bytes> plain = plain_body(packet, context);
            if (!plain) outcome.first_body = plain.error().code;
          }
          sink(packet, context);
          return true;
        });
    if (!consumed) {
      outcome.error = consumed.error().code;
      EXPECT_FALSE(consumed.error().detail.empty());
      return outcome;
    }
    shown = piece.substr(*consumed);
  }
  outcome.unfinished = !shown.empty() || reader.buffered() != 0;
  return outcome;
}
Outcome read_in_steps(std::string_view bytes, std::size_t step, std::size_t limit) {
  return read_in_steps(bytes, step, limit, [](const PacketView&, ProtocolContext&) {});
}

void expect_packet(const PacketView& packet, const PacketVector& vector, ProtocolContext& context) {
  EXPECT_EQ(packet.header, vector.header());
  EXPECT_EQ(packet.header_codec, vector.header_codec);
  EXPECT_EQ(packet.has_body_codec, vector.body_length != 0);
  EXPECT_EQ(packet.body_codec, vector.body_codec);
  EXPECT_EQ(as_text(packet.body), vector.wire_body());
  EXPECT_EQ(packet.body_with_codec.size(), vector.body_length);
  EXPECT_EQ(packet.size, vector.bytes.size());
  if (vector.body_form == BodyForm::raw) {
    EXPECT_EQ(as_text(packet.body), vector.body);
    return;
  }
  const Result<Bytes> plain = plain_body(packet, context);
  ASSERT_TRUE(plain) << plain.error().to_string();
  EXPECT_EQ(as_text(*plain), vector.body);
}

TEST(TeleportVectors, EveryPacketDecodesToItsFieldsAtEverySplit) {
  for (const PacketVector& vector : teleport_vectors().packets) {
    SCOPED_TRACE(vector.name);
    const std::size_t size = vector.bytes.size();
    for (std::size_t step = 1; step <= size; ++step) {
      SCOPED_TRACE(step);
      Outcome outcome = read_in_steps(
          vector.bytes, step, size,
          [&](const PacketView& packet, ProtocolContext& context) { expect_packet(packet, vector, context); });
      if (vector.body_form == BodyForm::raw)
        outcome.first_body.reset();  // not to be inflated, whatever the header says
      ASSERT_EQ(outcome, (Outcome{.packets = 1}));
    }
  }
}

TEST(TeleportVectors, AllPacketsInOneStreamDecodeInOrder) {
  std::string stream;
  for (const PacketVector& vector : teleport_vectors().packets) stream += vector.bytes;
  for (const std::size_t step : {1u, 2u, 3u, 5u, 8u, 1000u, 1u << 30}) {
    std::size_t next = 0;
    const Outcome outcome = read_in_steps(stream, step, 0, [&](const PacketView& packet, ProtocolContext& context) {
      const PacketVector& vector = teleport_vectors().packets.at(next++);
      SCOPED_TRACE(vector.name);
      expect_packet(packet, vector, context);
    });
    EXPECT_EQ(outcome, (Outcome{.packets = 349}));
  }
}

TEST(TeleportVectors, EveryTruncationOfEveryPacketNeedsMore) {
  ProtocolContext context{kCodecs};
  for (const PacketVector& vector : teleport_vectors().packets) {
    for (std::size_t size = 0; size < vector.bytes.size(); ++size) {
      const std::string cut = vector.bytes.substr(0, size);
      DecodeState state;
      PacketView packet;
      const Result<std::size_t> taken = teleport_protocol().decode(as_bytes(cut), context, state, packet);
      ASSERT_TRUE(taken) << vector.name << " cut to " << size << ": " << taken.error().to_string();
      ASSERT_EQ(*taken, 0u);
      // Exact as soon as it is known, and never satisfied already.
      const std::size_t header_end = 4 + vector.header_length;
      const std::size_t wanted = size < 4                ? 4
                                 : size == 4             ? 5
                                 : size < header_end + 4 ? header_end + 4
                                                         : vector.bytes.size();
      ASSERT_EQ(state.bytes_wanted, wanted) << vector.name << " cut to " << size;
    }
  }
}

TEST(TeleportVectors, EveryPacketEncodesToTheSameBytes) {
  ProtocolContext context{kCodecs};
  std::size_t compressed = 0;
  for (const PacketVector& vector : teleport_vectors().packets) {
    SCOPED_TRACE(vector.name);
    OutgoingPacket packet{.header = vector.header(), .header_codec = vector.header_codec, .body = {}};
    const std::string with_codec = static_cast<char>(vector.body_codec) + std::string(vector.body);
    switch (vector.body_form) {
      case BodyForm::empty:
        packet.body.form = OutgoingBody::Form::none;
        break;
      case BodyForm::codec_only:
        packet.body.form = OutgoingBody::Form::codec_only;
        break;
      case BodyForm::plain:
      case BodyForm::gzip:
        packet.body.form = OutgoingBody::Form::encoded;
        break;
      case BodyForm::raw:
        packet.body.form = OutgoingBody::Form::verbatim;
        break;
    }
    packet.body.codec_id = vector.body_codec;
    packet.body.bytes = as_bytes(vector.body_form == BodyForm::raw ? with_codec : vector.body);
    Chain to;
    to.append(std::string_view("before"));
    const Result<void> encoded = teleport_protocol().encode(packet, context, to);
    ASSERT_TRUE(encoded) << encoded.error().to_string();
    const std::string bytes = to.to_string().substr(6);
    if (vector.body_form != BodyForm::gzip) {
      EXPECT_EQ(to_hex(as_bytes(bytes)), to_hex(as_bytes(vector.bytes)));
      continue;
    }
    // The deflate encoder differs from Go's: the same header, and a body that inflates to the same.
    ++compressed;
    EXPECT_EQ(bytes.substr(0, 4 + vector.header_length), vector.bytes.substr(0, 4 + vector.header_length));
    const Outcome outcome = read_in_steps(bytes, bytes.size(), 0, [&](const PacketView& read, ProtocolContext& own) {
      EXPECT_EQ(read.header, vector.header());
      EXPECT_EQ(read.body_codec, vector.body_codec);
      const Result<Bytes> plain = plain_body(read, own);
      ASSERT_TRUE(plain) << plain.error().to_string();
      EXPECT_EQ(as_text(*plain), vector.body);
    });
    EXPECT_EQ(outcome, (Outcome{.packets = 1}));
  }
  EXPECT_EQ(compressed, 54u);
}

constexpr Outcome packets(std::size_t count) { return {.packets = count}; }
constexpr Outcome body_is(ErrorCode code) { return {.packets = 1, .first_body = code}; }
constexpr Outcome error(ErrorCode code) { return {.error = code}; }
constexpr Outcome kNeedsMore = {.unfinished = true};
constexpr Outcome kMalformed = error(ErrorCode::malformed);
constexpr Outcome kTooLarge = error(ErrorCode::too_large);
constexpr Outcome kUnknownCodec = error(ErrorCode::unsupported);

// What each malformed input is at this level. A whole packet here may still be refused by rpc: type, route, codec,
// value.
const std::map<std::string, Outcome> kMalformedOutcomes = {
    {"len_truncated_2bytes_then_FIN", kNeedsMore},
    {"len_truncated_2bytes_idle", kNeedsMore},
    {"header_truncated_then_FIN", kNeedsMore},
    {"body_truncated_then_FIN", kNeedsMore},
    {"missing_body_length_then_FIN", kNeedsMore},
    // What Go takes for the end of the stream.
    {"header_len_0", kMalformed},
    // Header errors: Go swallows them and goes on with what it has.
    {"header_len_1_json_codec_only", kMalformed},
    {"header_len_1_protobuf_codec_only", packets(1)},
    {"header_len_ffffffff_partial", kNeedsMore},
    {"header_len_ffffffff_then_32MiB_data", kNeedsMore},
    {"header_unknown_codec_id_x", kUnknownCodec},
    {"header_unknown_codec_id_0", kUnknownCodec},
    {"header_unknown_codec_small_inner_len", kUnknownCodec},
    {"header_codec_string_s", kUnknownCodec},
    {"header_bad_json", kMalformed},
    {"header_json_wrong_types", kMalformed},
    {"header_json_seq_negative", kMalformed},
    {"header_json_seq_float", kMalformed},
    {"header_json_unknown_fields_and_case", packets(1)},
    {"header_json_whitespace_and_null", packets(1)},
    {"header_json_trailing_garbage", kMalformed},
    {"header_json_duplicate_keys", packets(1)},
    {"header_json_invalid_utf8_uri", packets(1)},
    {"header_pb_truncated_after_type", kMalformed},
    {"header_pb_garbage", kMalformed},
    {"header_pb_unknown_field_7", packets(1)},
    {"header_pb_reordered_dup", packets(1)},
    {"header_pb_invalid_utf8_uri", packets(1)},
    {"header_pb_wrong_wiretype", kMalformed},
    {"header_pb_type_varint_over_32bit", packets(1)},
    // Bodies are opaque here.
    {"body_unknown_codec_x", packets(1)},
    {"body_unknown_codec_0", packets(1)},
    {"body_codec_only_unknown_x", packets(1)},
    {"body_codec_only_json_nilbody", packets(1)},
    {"body_codec_only_proto_nilbody", packets(1)},
    {"body_len_0", packets(1)},
    {"body_bad_json", packets(1)},
    {"body_bad_protobuf", packets(1)},
    {"body_codec_type_mismatch_json_to_proto_struct", packets(1)},
    {"body_codec_type_mismatch_proto_to_string", packets(1)},
    {"body_codec_type_mismatch_string_to_json", packets(1)},
    {"body_len_ffffffff_known_uri_partial", kNeedsMore},
    {"body_len_ffffffff_unknown_uri_partial", kNeedsMore},
    {"body_len_1GiB_unknown_uri_partial", kNeedsMore},
    {"body_unknown_uri_complete", packets(1)},
    {"body_unknown_uri_gzip_garbage", body_is(ErrorCode::malformed)},
    {"gzip_flag_but_plain_body", body_is(ErrorCode::malformed)},
    {"gzip_complete_stream_with_trailer", packets(1)},
    {"gzip_bad_crc", body_is(ErrorCode::malformed)},
    // Go lets these three pass: garbage after the trailer, and two truncations.
    {"gzip_trailing_garbage", body_is(ErrorCode::malformed)},
    {"gzip_truncated_mid_block", body_is(ErrorCode::malformed)},
    {"gzip_header_only_10_bytes", body_is(ErrorCode::malformed)},
    {"gzip_two_members", packets(1)},
    {"gzip_level_99_request", packets(2)},
    {"gzip_level_-3_request", packets(1)},
    {"gzip_bomb_200MiB_string", body_is(ErrorCode::too_large)},
    {"gzip_bomb_to_raw_bytes_handler", body_is(ErrorCode::too_large)},  // whoever takes raw bytes does not inflate
    {"limit1M_gzip_bomb_200MiB", body_is(ErrorCode::too_large)},
    {"type_0", packets(1)},
    {"type_4", packets(1)},
    {"type_5", packets(1)},
    {"type_99", packets(1)},
    {"type_-1", packets(1)},
    {"type_3_push", packets(1)},
    {"type_4_push_v20", packets(1)},
    {"dup_seq_two_pulls", packets(2)},
    {"reply_unknown_seq", packets(1)},
    {"push_unknown_uri", packets(1)},
    {"push_bad_uri", packets(1)},
    {"push_bad_body", packets(1)},
    {"http_get_request", kUnknownCodec},
    {"tls_client_hello_prefix", kUnknownCodec},
    {"slow_first_handler_second_fast", packets(2)},
    {"client_FIN_while_handler_runs", packets(1)},
    {"nilptr_protobuf_reply_then_good", packets(2)},
    // No byte of an over-limit header is read as a packet.
    {"limit200_header_ffffffff", kTooLarge},
    {"limit200_header_300_of_data", kTooLarge},
    {"limit200_header_300_inner_len_small", kTooLarge},
    {"limit200_header_300_inner_zero_len", kTooLarge},
    {"limit_exact_total_ok", packets(1)},
    {"limit_exact_total_plus_1", kTooLarge},
    {"limit_header_plus4_exact_body0", packets(1)},
    {"limit_header_plus4_minus1_body0", kTooLarge},
    {"limit200_body_ffffffff", kTooLarge},
    {"rt1s_idle_close", packets(0)},
    {"rt1s_slowloris_header", kNeedsMore},
    {"rt1s_slow_handler", packets(1)},
    {"slowloris_no_timeout_8s", packets(1)},
    {"unknown_handler_big", packets(1)},
    {"unknown_handler_len_ffffffff", kNeedsMore},
};

TEST(TeleportVectors, EveryMalformedInputComesToItsOutcomeAtEverySplit) {
  std::size_t count = 0;
  for (const MalformedInput& input : teleport_vectors().malformed) {
    SCOPED_TRACE(input.name);
    const auto expected = kMalformedOutcomes.find(input.name.substr(sizeof("malformed/") - 1));
    ASSERT_NE(expected, kMalformedOutcomes.end());
    ++count;
    const std::string bytes = input.bytes();
    const bool is_long = bytes.size() > 2048;
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5}, std::size_t{8}, bytes.size()}) {
      const std::size_t size = is_long && step != bytes.size() ? step * 20'011 : step;
      EXPECT_EQ(read_in_steps(bytes, size, input.server_read_limit), expected->second) << "in steps of " << size;
    }
  }
  EXPECT_EQ(count, 90u);
  EXPECT_EQ(kMalformedOutcomes.size(), 90u);
}

TEST(TeleportVectors, AnAnnouncedLengthAllocatesNothing) {
  for (const char* name :
       {"header_len_ffffffff_partial", "body_len_ffffffff_known_uri_partial", "body_len_1GiB_unknown_uri_partial"}) {
    const std::string bytes = teleport_vectors().malformed_input("malformed/" + std::string(name))->bytes();
    ProtocolContext context{kCodecs};
    context.limits.packet_bytes_max = 0;
    PacketReader reader;
    const auto sink = [](const PacketView&) { return true; };
    ASSERT_EQ(reader.read(as_bytes(bytes), teleport_protocol(), context, sink), bytes.size());
    EXPECT_EQ(reader.buffered(), bytes.size());
    EXPECT_LE(reader.capacity(), 2 * bytes.size());
  }
}

TEST(TeleportVectors, StreamsOfGosDefectsAreSurvived) {
  const std::map<std::string, Outcome> expected = {
      // The header of /bad, whose body length is the header length of /good, whose header is its body. Then the lengths
      // are off.
      {"defect/orphan_header_from_writer", {.packets = 1, .error = ErrorCode::unsupported}},
      {"defect/gzip_codec_alternation_empty_member", {.packets = 1}},
      {"defect/v2.0_unsupported_type_answer", {.packets = 1}},
  };
  for (const DefectStream& stream : teleport_vectors().defect_streams) {
    SCOPED_TRACE(stream.name);
    ASSERT_TRUE(expected.contains(stream.name));
    for (std::size_t step = 1; step <= stream.bytes.size(); ++step) {
      EXPECT_EQ(read_in_steps(stream.bytes, step, 0), expected.at(stream.name)) << "in steps of " << step;
    }
  }
}

TEST(TeleportVectors, AnEmptyFlushedMemberIsABodyOfNoBytes) {
  const std::string& bytes = teleport_vectors().defect_streams.at(1).bytes;
  read_in_steps(bytes, bytes.size(), 0, [](const PacketView& packet, ProtocolContext& context) {
    EXPECT_EQ(packet.header.gzip, 5);
    EXPECT_EQ(packet.body_codec, 'j');
    EXPECT_FALSE(packet.body.empty());
    const Result<Bytes> plain = plain_body(packet, context);
    ASSERT_TRUE(plain);
    EXPECT_TRUE(plain->empty());
  });
}

TEST(TeleportVectors, AreAllCovered) {
  const auto& vectors = teleport_vectors();
  std::printf("vectors: %zu packets, %zu defect streams, %zu malformed\n", vectors.packets.size(),
              vectors.defect_streams.size(), vectors.malformed.size());
  EXPECT_EQ(vectors.packets.size(), 349u);
  EXPECT_EQ(vectors.defect_streams.size(), 3u);
  EXPECT_EQ(vectors.malformed.size(), 90u);
}

}  // namespace
}  // namespace wayport::framing
