// What Wireshark shows with wayport.lua, against `wayport decode --json` and the golden vectors. The captures are made,
// and tshark is run, by testing/dissector_check.py.
#include <gtest/gtest.h>

#include <string>

#include "wayport/base/testing/process.h"

namespace wayport::tools {
namespace {

using wayport::testing::Finished;
using wayport::testing::run;
using wayport::testing::runfile;

// `compared`: what the check says it has compared, so that vectors cannot get lost unseen.
void expect_same(const std::string& check, const std::string& compared) {
  const std::string teleport = runfile("spec/vectors/teleport.json");
  const Finished finished = run({"/usr/bin/python3", "-B", runfile("tools/wireshark/testing/dissector_check.py"), check,
                                 runfile("tools/wireshark/wayport.lua"), runfile("tools/wayport/wayport"),
                                 teleport.substr(0, teleport.rfind('/'))});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  if (finished.exit_code == 0) EXPECT_EQ(finished.out, compared + "\n");
}

TEST(Wireshark, ShowsTeleportPacketsAsDecodeDoesInAnySegmentation) {
  expect_same("teleport", "357 packets, 5 segmentations");
}
TEST(Wireshark, MarksMalformedTeleportWhereDecodeFails) {
  expect_same("teleport_malformed", "92 malformed and defect vectors, 42 layers with expert information");
}
TEST(Wireshark, ShowsNothingBehindTeleportBytesThatAreNotThere) { expect_same("teleport_cut", "2 captures"); }
TEST(Wireshark, TellsADrainNoticeFromOtherReplies) { expect_same("teleport_drain", "7 packets"); }

TEST(Wireshark, ShowsTheLinkVectorsAndTranscripts) { expect_same("link", "48 vectors, 96 steps of transcripts"); }
TEST(Wireshark, MarksWhatALinkGatewayRefuses) { expect_same("link_malformed", "29 inputs, 17 of them refused"); }

TEST(Wireshark, ShowsTheSnetScenarios) { expect_same("snet", "118 steps of 12 scenarios"); }
TEST(Wireshark, MarksWhatSnetRefuses) { expect_same("snet_malformed", "12 inputs"); }

TEST(Wireshark, ShowsTheRouteHandshakesAndMarksBadOnes) { expect_same("route", "22 vectors, 4 transcripts"); }

TEST(Wireshark, ShowsKcpSegmentsAndFecHeaders) { expect_same("kcp", "538 datagrams"); }
TEST(Wireshark, MarksWhereAKcpReaderStops) { expect_same("kcp_malformed", "18 inputs"); }
TEST(Wireshark, ShowsTheKcpExtensionOnlyWithItsMark) { expect_same("kcp_extension", "14 segments"); }

TEST(Wireshark, ShowsTheRecordsOfTlsInOneFrameEachInItsPlace) {
  expect_same("tls", "12 conversations, half of them shown twice");
}

TEST(Wireshark, ClaimsNoPortThatNobodyAskedFor) { expect_same("ports", "2030 frames"); }
TEST(Wireshark, SurvivesChangedVectorsWithoutALuaError) {
  expect_same("mutations", "3051 streams and datagrams, seed 20");
}

}  // namespace
}  // namespace wayport::tools
