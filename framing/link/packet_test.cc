#include "wayport/framing/link/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/framing/link/testing/vectors.h"

namespace wayport::link {
namespace {

using testing::FrameVector;
using ::testing::HasSubstr;
using testing::link_vectors;

Bytes message_of(const std::string& frame) { return as_bytes(frame).subspan(kFrameHeaderBytes); }

TEST(LinkPacket, EveryRecordedFrameHasTheHeaderOfItsFields) {
  for (const FrameVector& vector : link_vectors().frames) {
    SCOPED_TRACE(vector.name);
    const auto header = decode_frame_header(as_bytes(vector.bytes), 0xffffffff);
    ASSERT_TRUE(header && *header);
    EXPECT_EQ(**header, (FrameHeader{vector.length, vector.connection}));
    EXPECT_EQ((*header)->frame_bytes(), vector.bytes.size());
    std::string again(kFrameHeaderBytes, '\0');
    encode_frame_header(**header, reinterpret_cast<std::byte*>(again.data()));
    EXPECT_EQ(again, vector.bytes.substr(0, kFrameHeaderBytes));
  }
}

TEST(LinkPacket, EveryRecordedCommandDecodesAndEncodesBack) {
  std::size_t seen = 0;
  for (const FrameVector& vector : link_vectors().frames) {
    if (!vector.type) continue;
    SCOPED_TRACE(vector.name);
    const Result<Command> command = decode_command(message_of(vector.bytes));
    ASSERT_TRUE(command) << command.error().to_string();
    EXPECT_EQ(static_cast<unsigned>(command->type), *vector.type);
    EXPECT_EQ(command->connection, vector.command_connection);
    EXPECT_EQ(command->remote, vector.remote);
    EXPECT_EQ(as_text(EncodedCommand(*command)), vector.bytes);
    ++seen;
  }
  EXPECT_EQ(seen, 16u);
}

TEST(LinkPacket, EveryRecordedDataFrameIsWrittenTheSame) {
  std::size_t seen = 0;
  for (const FrameVector& vector : link_vectors().frames) {
    if (vector.type) continue;
    SCOPED_TRACE(vector.name);
    Chain chain;
    ASSERT_TRUE(append_data(chain, vector.connection, as_bytes(vector.payload), vector.length));
    EXPECT_EQ(chain.to_string(), vector.bytes);
    ++seen;
  }
  EXPECT_EQ(seen, 8u);
}

TEST(LinkPacket, LengthIsJudgedOnItsOwnWord) {
  const auto judge = [](std::uint32_t length, std::uint32_t max) {
    std::byte word[4];
    store_le(word, length);
    return decode_frame_header(word, max);
  };
  EXPECT_TRUE(judge(256, 256).has_value());
  EXPECT_EQ(judge(257, 256).error().code, ErrorCode::too_large);
  EXPECT_THAT(judge(257, 256).error().detail, HasSubstr("257"));
  EXPECT_THAT(judge(257, 256).error().detail, HasSubstr("MaxPacket allows (256)"));
  EXPECT_EQ(judge(0xffffffff, kPacketBytesMaxDefault).error().code, ErrorCode::too_large);
  EXPECT_TRUE(judge(kPacketBytesMaxDefault, kPacketBytesMaxDefault).has_value());
  EXPECT_FALSE(judge(kPacketBytesMaxDefault + 1, kPacketBytesMaxDefault).has_value());
  for (std::uint32_t length = 0; length < 4; ++length) {
    EXPECT_EQ(judge(length, 256).error().code, ErrorCode::malformed) << length;
  }
  EXPECT_TRUE(judge(4, 256).has_value());
  EXPECT_FALSE(judge(4, 256)->has_value());  // the connection id is still to come
}

TEST(LinkPacket, CutCommandsAreMalformedAndBytesBehindAreIgnored) {
  for (const Command command : {Command::dial(7), Command::accept(1, 2), Command::connect(3, 4), Command::refuse(5),
                                Command::close(6), Command::ping()}) {
    const EncodedCommand encoded(command);
    const std::string frame(as_text(encoded.bytes()));
    for (std::size_t cut = kFrameHeaderBytes; cut < frame.size(); ++cut) {
      const Result<Command> decoded = decode_command(message_of(frame.substr(0, cut)));
      ASSERT_FALSE(decoded) << to_string(command.type) << " cut to " << cut;
      EXPECT_EQ(decoded.error().code, ErrorCode::malformed);
    }
    EXPECT_EQ(decode_command(message_of(frame)).value(), command);
    EXPECT_EQ(decode_command(message_of(frame + "abcd")).value(), command);
  }
}

TEST(LinkPacket, UnknownCommandTypesAreMalformed) {
  for (unsigned type = 6; type < 256; ++type) {
    const std::string message(13, static_cast<char>(type));
    const Result<Command> decoded = decode_command(as_bytes(message));
    ASSERT_FALSE(decoded);
    EXPECT_THAT(decoded.error().detail, HasSubstr(std::to_string(type)));
  }
}

// The original's library compares the message, not the length word, with MaxPacket, and gets disconnected.
TEST(LinkPacket, MessagesAreLimitedToMaxPacketLessFour) {
  Chain chain;
  EXPECT_TRUE(append_data(chain, 1, as_bytes(testing::pattern(252)), 256));
  EXPECT_EQ(chain.size(), 260u);
  const Result<void> larger = append_data(chain, 1, as_bytes(testing::pattern(253)), 256);
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().code, ErrorCode::too_large);
  EXPECT_THAT(larger.error().detail, HasSubstr("252"));
  EXPECT_EQ(chain.size(), 260u);
  EXPECT_EQ(append_data(chain, 0, {}, 256).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(payload_bytes_max(kPacketBytesMaxDefault), 524284u);
}

}  // namespace
}  // namespace wayport::link
