#include "wayport/framing/teleport/version.h"

#include <gtest/gtest.h>

namespace wayport::framing {
namespace {

TEST(PeerVersion, IsParsedFromEveryReleaseAndNothingElse) {
  EXPECT_EQ(parse_peer_version("2.0"), PeerVersion::v2_0);
  for (const char* text : {"2.1", "2.2", "2.3", "2.4"}) EXPECT_EQ(parse_peer_version(text), PeerVersion::v2_1);
  EXPECT_EQ(parse_peer_version("2.5"), PeerVersion::v2_5);
  EXPECT_EQ(parse_peer_version("2.6"), PeerVersion::v2_6);
  for (const char* text : {"", "2", "2.", "2.7", "3.0", "v2.5", "2.50", " 2.5"}) {
    EXPECT_EQ(parse_peer_version(text), std::nullopt) << text;
  }
}

TEST(PeerVersion, PrintsWhatItParses) {
  for (PeerVersion version : {PeerVersion::v2_0, PeerVersion::v2_1, PeerVersion::v2_5, PeerVersion::v2_6}) {
    EXPECT_EQ(parse_peer_version(to_string(version)), version);
  }
}

TEST(PeerVersion, PushIsFourInTheFirstReleaseAndThreeLater) {
  EXPECT_EQ(push_type(PeerVersion::v2_0), 4);
  for (PeerVersion version : {PeerVersion::v2_1, PeerVersion::v2_5, PeerVersion::v2_6})
    EXPECT_EQ(push_type(version), 3);
  EXPECT_TRUE(is_push(PeerVersion::v2_0, 4));
  EXPECT_FALSE(is_push(PeerVersion::v2_0, 3));
  EXPECT_TRUE(is_push(PeerVersion::v2_5, 3));
  EXPECT_FALSE(is_push(PeerVersion::v2_5, 4));
}

TEST(PeerVersion, NoReleaseNeedsACodecIdWithoutBody) {
  for (PeerVersion version : {PeerVersion::v2_0, PeerVersion::v2_1, PeerVersion::v2_5, PeerVersion::v2_6}) {
    for (PacketKind kind : {PacketKind::pull, PacketKind::push, PacketKind::reply}) {
      EXPECT_EQ(no_body_form(version, kind), OutgoingBody::Form::none);
    }
  }
}

TEST(PeerVersion, OnlyReleasesBefore25AnswerUnsupportedTypes) {
  EXPECT_TRUE(answers_unsupported_type(PeerVersion::v2_0));
  EXPECT_TRUE(answers_unsupported_type(PeerVersion::v2_1));
  EXPECT_FALSE(answers_unsupported_type(PeerVersion::v2_5));
  EXPECT_FALSE(answers_unsupported_type(PeerVersion::v2_6));
}

}  // namespace
}  // namespace wayport::framing
