#include "wayport/tools/wayport/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "wayport/framing/testing/vectors.h"
#include "wayport/tools/wayport/capture/frames.h"

namespace wayport::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Decoded {
  int exit_code;
  std::string out;
  std::string err;

  std::size_t lines() const { return static_cast<std::size_t>(std::ranges::count(out, '\n')); }
};
Decoded decoded(std::string_view input, const DecodeOptions& options = {}) {
  std::istringstream in{std::string(input)};
  std::ostringstream out;
  std::ostringstream err;
  Console console{in, out, err};
  const int exit_code = decode(options, console);
  return {exit_code, out.str(), err.str()};
}

// Both directions of a conversation of two golden packets, cut into segments.
struct Conversation {
  std::string request;
  std::string reply;
};
Conversation conversation() {
  const auto& vectors = framing::testing::teleport_vectors();
  return {vectors.packet("v2.5/h_protobuf.gz5.pull_json/c2s/0")->bytes,
          vectors.packet("v2.5/h_protobuf.gz5.pull_json/s2c/0")->bytes};
}

TEST(Decode, TellsTheFormsApart) {
  const std::string packet = conversation().request;
  const Decoded raw = decoded(packet);
  EXPECT_EQ(raw.exit_code, 0) << raw.err;
  EXPECT_THAT(raw.out, HasSubstr("uri=/group/home/json"));
  EXPECT_EQ(decoded(to_hex(as_bytes(packet))).out, raw.out);
  EXPECT_EQ(decoded(to_hex(as_bytes(packet)), {.form = CaptureForm::hex}).out, raw.out);
  EXPECT_EQ(decoded("").exit_code, 0);
  EXPECT_EQ(decoded(packet, {.form = CaptureForm::hex}).exit_code, 1);
  EXPECT_EQ(decoded(packet, {.form = CaptureForm::pcap}).err,
            "error: malformed: no pcap file: it begins with 00000017\n");
  EXPECT_THAT(decoded("\x0a\x0d\x0d\x0a...").err, HasSubstr("editcap"));
}

TEST(Decode, ReadsFilesAndNamesThoseItCannotOpen) {
  const std::string file = std::string(std::getenv("TEST_TMPDIR")) + "/packets";
  std::ofstream(file, std::ios::binary) << conversation().request << conversation().reply;
  EXPECT_EQ(decoded("", {.file = file}).lines(), 2u);
  const Decoded missing = decoded("", {.file = "/nowhere"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("cannot open /nowhere"));
}

TEST(Decode, FollowsBothDirectionsOfAConnectionThroughOutOfOrderSegments) {
  const auto [request, reply] = conversation();
  for (const bool v6 : {false, true}) {
    const auto frame = [v6](const TcpFields& fields, std::string_view payload) {
      return v6 ? ethernet(ipv6(tcp(fields, payload)), 0x86dd) : ethernet(ipv4(tcp(fields, payload)));
    };
    const TcpFields back{.from_port = 9090, .to_port = 40000};
    const auto at = [](TcpFields fields, std::uint32_t seq, std::uint8_t flags = 0x10) {
      fields.seq = seq;
      fields.flags = flags;
      return fields;
    };
    PcapText file(1);
    file.add(frame(at({}, 0, 2), ""));
    file.add(frame(at(back, 0, 2), ""));
    file.add(frame(at({}, 11), request.substr(10)));  // early
    file.add(frame(at({}, 1), request.substr(0, 10)));
    file.add(frame(at(back, 1), reply));
    file.add(frame(at(back, 1), reply));  // repeated
    file.add(ethernet("something else", 0x0806));
    file.add(frame(at({}, 1 + static_cast<std::uint32_t>(request.size()), 0x11), ""));
    const Decoded text = decoded(file.text());
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_EQ(text.lines(), 2u) << text.out;
    // Both directions have the same addresses in these frames.
    const std::string host = v6 ? "[::1]" : "10.0.0.1";
    const std::string other = v6 ? "[::2]" : "10.0.0.2";
    EXPECT_THAT(text.out, HasSubstr("0 " + host + ":40000 > " + other + ":9090         0  pull "));
    EXPECT_THAT(text.out, HasSubstr("1 " + host + ":9090 > " + other + ":40000         0  reply"));
    const Decoded json = decoded(file.text(), {.json = true});
    EXPECT_THAT(json.out, HasSubstr("\"stream\":\"1 " + host + ":9090 \\u003e " + other + ":40000\",\"offset\":0,"));
  }
}

TEST(Decode, KeepsTheStreamsApartWhenOneIsBroken) {
  const auto [request, reply] = conversation();
  PcapText file(101);
  file.add(ipv4(tcp({.from_port = 1}, "GET / HTTP/1.1\r\n\r\n")));
  file.add(ipv4(tcp({.from_port = 2}, request)));
  file.add(ipv4(tcp({.from_port = 3, .seq = 1}, request.substr(0, 5))));
  file.add(ipv4(tcp({.from_port = 3, .seq = 7}, request.substr(6))));  // a byte is missing
  file.add(ipv4(tcp({.from_port = 4}, request.substr(0, 9)), 0x2000));
  const Decoded all = decoded(file.text());
  EXPECT_EQ(all.exit_code, 1);
  EXPECT_EQ(all.err, "error: 2 streams do not decode to their end, 1 IP fragments were skipped\n");
  EXPECT_THAT(all.out, AllOf(HasSubstr("10.0.0.1:1 > 10.0.0.2:9090         0  error  too_large"),
                             HasSubstr("10.0.0.1:2 > 10.0.0.2:9090         0  pull "),
                             HasSubstr("the capture lacks 1 bytes of the stream here")));
  PcapText two(101);
  two.add(ipv4(tcp({.from_port = 1}, "GET / HTTP/1.1\r\n\r\n")));
  two.add(ipv4(tcp({.from_port = 2}, request)));
  const Decoded chosen = decoded(two.text(), {.ports = {2}});
  EXPECT_EQ(chosen.exit_code, 0) << chosen.err;
  EXPECT_THAT(chosen.out, Not(HasSubstr("10.0.0.1:1")));
}

TEST(Decode, SaysWhenTheCaptureEndsInsideARecord) {
  const PcapText file = PcapText(101).add(ipv4(tcp({}, conversation().request)));
  const Decoded cut = decoded(std::string_view(file.text()).substr(0, file.text().size() - 1));
  EXPECT_EQ(cut.exit_code, 1);
  EXPECT_THAT(cut.err, HasSubstr("the capture ends inside a record"));
}

TEST(Decode, HoldsTheReadLimitAtItAndOneAbove) {
  const std::string packet = conversation().request;
  framing::ReadLimits limits;
  limits.packet_bytes_max = packet.size();
  EXPECT_EQ(decoded(packet, {.limits = limits}).exit_code, 0);
  --limits.packet_bytes_max;
  const Decoded above = decoded(packet, {.limits = limits});
  EXPECT_EQ(above.exit_code, 1);
  EXPECT_THAT(above.out, HasSubstr("error  too_large"));
}

TEST(Decode, PrintsEveryGoldenPacketOfACapture) {
  PcapText file(0, true, true);
  std::uint16_t port = 1;
  for (const framing::testing::PacketVector& vector : framing::testing::teleport_vectors().packets) {
    file.add(std::string("\0\0\0\x02", 4) + ipv4(tcp({.from_port = port++}, vector.bytes)));
  }
  const Decoded all = decoded(file.text());
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_EQ(all.lines(), 349u);
}

}  // namespace
}  // namespace wayport::tools
