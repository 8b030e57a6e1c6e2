#include "wayport/framing/proxy_protocol/proxy_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace wayport::proxy_protocol {
namespace {

using testing::HasSubstr;

constexpr const char* kSignatureHex = "0d0a0d0a000d0a515549540a";
// 192.0.2.1, 198.51.100.7, 50112, 443
constexpr const char* kIp4Hex = "c0000201c6336407c3c001bb";

std::string bytes_of(const std::string& hex) {
  const auto bytes = from_hex(hex);
  WAYPORT_ASSERT(bytes, "a literal of the test");
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

Header tcp4() {
  Header header;
  header.source = *SocketAddress::from_ip("192.0.2.1", 50112);
  header.destination = *SocketAddress::from_ip("198.51.100.7", 443);
  return header;
}

Header tcp6() {
  Header header;
  header.source = *SocketAddress::from_ip("2001:db8::1", 50112);
  header.destination = *SocketAddress::from_ip("2001:db8::2", 443);
  return header;
}

Header unix_pair() {
  Header header;
  header.source = *SocketAddress::from_unix("/run/a");
  header.destination = *SocketAddress::from_unix("@app");
  return header;
}

Header with_tlvs() {
  Header header = tcp4();
  header.alpn = "h2";
  header.authority = "example.org";
  header.unique_id = "\x01\x02\x03";
  header.network_namespace = "blue";
  header.ssl = Ssl{.certificate_connection = true,
                   .certificate_session = true,
                   .verified = true,
                   .version = "TLSv1.3",
                   .common_name = "client"};
  header.custom = {{0xe0, R"({"sub":"a"})"}, {0xef, ""}};
  return header;
}

std::string v2_of(const Header& header, bool with_crc32c) {
  Chain chain;
  const Result<void> done = append_v2(chain, header, with_crc32c);
  EXPECT_TRUE(done) << done.error().to_string();
  return chain.to_string();
}

std::string v1_of(const Header& header) {
  Chain chain;
  const Result<void> done = append_v1(chain, header);
  EXPECT_TRUE(done) << done.error().to_string();
  return chain.to_string();
}

// Parses `text` whole, and then byte by byte: every prefix needs more, and bytes behind the header change nothing.
ParsedHeader parsed(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string prefix = text.substr(0, i);
    const auto early = parse_header(as_bytes(prefix), {.header_bytes_max = 65551});
    EXPECT_TRUE(early) << i << ": " << early.error().to_string();
    EXPECT_FALSE(early && *early) << "a whole header in " << i << " bytes of " << text.size();
  }
  const auto whole = parse_header(as_bytes(text), {.header_bytes_max = 65551});
  const std::string longer = text + "PROXY and more";
  const auto behind = parse_header(as_bytes(longer), {.header_bytes_max = 65551});
  if (!whole || !*whole || !behind || !*behind) {
    ADD_FAILURE() << "no header: " << (whole ? "needs more" : whole.error().to_string());
    return {};
  }
  EXPECT_EQ((*whole)->size, text.size());
  EXPECT_EQ((*behind)->size, text.size());
  EXPECT_EQ((*behind)->header, (*whole)->header);
  return **whole;
}

std::string error_of(const std::string& text, const ReadOptions& options = {}) {
  const auto result = parse_header(as_bytes(text), options);
  return result ? (*result ? "accepted" : "needs more") : result.error().to_string();
}

struct Vector {
  const char* name;
  Header header;
  bool checksum;
  std::string hex;
};

std::vector<Vector> vectors() {
  const std::string start = kSignatureHex;
  return {
      // PROXY, TCP over IPv4, 12 bytes
      {"tcp4", tcp4(), false, start + "2111000c" + kIp4Hex},
      {"tcp4 with a checksum", tcp4(), true, start + "21110013" + kIp4Hex + "030004abe83e79"},
      // PROXY, TCP over IPv6, 36 bytes
      {"tcp6", tcp6(), false,
       start + "21210024" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "c3c001bb"},
      // PROXY, unix stream, 216 bytes
      {"unix", unix_pair(), false,
       start + "213100d8" + "2f72756e2f61" + std::string(204, '0') + "00617070" + std::string(208, '0')},
      // LOCAL, nothing
      {"local", Header{.local = true}, false, start + "20000000"},
      {"unknown", Header{}, false, start + "21000000"},
      {"every TLV", with_tlvs(), true,
       start + "2111005f" + kIp4Hex +
           "0100026832"                    // ALPN "h2"
           "02000b6578616d706c652e6f7267"  // authority "example.org"
           "050003010203"                  // unique id
           "200018"
           "07"
           "00000000"  // SSL: all flags, verified
           "210007544c5376312e33"
           "220006636c69656e74"  // "TLSv1.3", "client"
           "300004626c7565"      // namespace "blue"
           "e0000b7b22737562223a2261227d"
           "ef0000"  // custom
           "030004e0d40a16"},
  };
}

TEST(ProxyProtocol, WritesTheBytesOfVersion2) {
  for (const Vector& vector : vectors()) {
    EXPECT_EQ(to_hex(as_bytes(v2_of(vector.header, vector.checksum))), vector.hex) << vector.name;
  }
}

TEST(ProxyProtocol, ReadsTheBytesOfVersion2AtEverySplit) {
  for (const Vector& vector : vectors()) {
    SCOPED_TRACE(vector.name);
    const ParsedHeader header = parsed(bytes_of(vector.hex));
    EXPECT_EQ(header.header, vector.header);
    EXPECT_EQ(header.version, Version::v2);
    EXPECT_EQ(header.checksum, vector.checksum);
  }
}

TEST(ProxyProtocol, WritesAndReadsTheLinesOfVersion1) {
  Header local;
  local.local = true;
  const struct {
    Header header;
    Header read;
    const char* line;
  } cases[] = {
      {tcp4(), tcp4(), "PROXY TCP4 192.0.2.1 198.51.100.7 50112 443\r\n"},
      {tcp6(), tcp6(), "PROXY TCP6 2001:db8::1 2001:db8::2 50112 443\r\n"},
      {unix_pair(), {}, "PROXY UNKNOWN\r\n"},
      {{}, {}, "PROXY UNKNOWN\r\n"},
      {local, {}, "PROXY UNKNOWN\r\n"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(v1_of(c.header), c.line);
    const ParsedHeader header = parsed(c.line);
    EXPECT_EQ(header.header, c.read) << c.line;
    EXPECT_EQ(header.version, Version::v1);
  }
}

TEST(ProxyProtocol, ALineOf107BytesIsReadAndOneOf108IsNot) {
  const std::string longest = "PROXY UNKNOWN " + std::string(kV1BytesMax - 16, 'x') + "\r\n";
  ASSERT_EQ(longest.size(), kV1BytesMax);
  EXPECT_EQ(parsed(longest).header, Header{});
  const std::string longer = "PROXY UNKNOWN " + std::string(kV1BytesMax - 15, 'x') + "\r\n";
  EXPECT_THAT(error_of(longer), HasSubstr("107"));
  EXPECT_EQ(error_of(longer.substr(0, kV1BytesMax - 1)), "needs more");
}

TEST(ProxyProtocol, RefusesLinesThatAreAlmostRight) {
  for (const char* line : {
           "PROXY TCP4 192.0.2.1 198.51.100.7 50112\r\n",        // a field too few
           "PROXY TCP4 192.0.2.1 198.51.100.7 50112 443 1\r\n",  // a field too many
           "PROXY TCP4 192.0.2.1  198.51.100.7 50112 443\r\n",   // two blanks
           "PROXY TCP4 192.0.2.1 198.51.100.7 50112 443\n",      // no CR
           "PROXY TCP4 192.0.2.1 198.51.100.7 50112 0443\r\n",   // leading zero
           "PROXY TCP4 192.0.2.1 198.51.100.7 50112 65536\r\n",  // no port
           "PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n",       // sign
           "PROXY TCP4 192.0.2.1 198.51.100.7 50112 \r\n",       // empty
           "PROXY TCP4 192.0.2.01 198.51.100.7 50112 443\r\n",   // leading zero in an address
           "PROXY TCP4 2001:db8::1 2001:db8::2 50112 443\r\n",   // the other family
           "PROXY TCP6 192.0.2.1 198.51.100.7 50112 443\r\n",    // the other family
           "PROXY TCP6 fe80::1%lo ::1 50112 443\r\n",            // a scope
           "PROXY UDP4 192.0.2.1 198.51.100.7 50112 443\r\n",    // no such family
           "PROXY tcp4 192.0.2.1 198.51.100.7 50112 443\r\n",    // letter case
           "PROXY UNKNOWNS\r\n",
           "PROXY \r\n",
           "PROXY\r\n",
           "proxy UNKNOWN\r\n",
           "GET / HTTP/1.1\r\n",
           " PROXY UNKNOWN\r\n",
       }) {
    EXPECT_THAT(error_of(line), HasSubstr("malformed")) << line;
  }
}

TEST(ProxyProtocol, RefusesAConnectionAtItsFirstWrongByte) {
  EXPECT_THAT(error_of("X"), HasSubstr("malformed"));
  EXPECT_EQ(error_of("P"), "needs more");
  EXPECT_THAT(error_of("PX"), HasSubstr("malformed"));
  EXPECT_EQ(error_of("\r\n"), "needs more");
  EXPECT_THAT(error_of("\r\n\n"), HasSubstr("malformed"));
  EXPECT_THAT(error_of(bytes_of(std::string(kSignatureHex) + "22")), HasSubstr("malformed"));  // no such command
  EXPECT_THAT(error_of(bytes_of(std::string(kSignatureHex) + "11")), HasSubstr("malformed"));  // no such version
}

TEST(ProxyProtocol, RefusesBlocksOfVersion2ThatDoNotAddUp) {
  const auto block = [](const std::string& family, const std::string& hex) {
    const std::size_t size = hex.size() / 2;
    char length[5];
    std::snprintf(length, sizeof length, "%04zx", size);
    return bytes_of(kSignatureHex + std::string("21") + family + length + hex);
  };
  const std::string ip4 = kIp4Hex;
  EXPECT_EQ(error_of(block("11", ip4)), "accepted");
  EXPECT_EQ(error_of(block("12", ip4)), "accepted");
  EXPECT_EQ(error_of(block("11", ip4 + "040003000000" + "f80000")), "accepted");  // padding, a later edition's
  for (const std::string& text : {
           block("11", ip4.substr(2)),             // one byte short
           block("13", ip4),                       // no such protocol
           block("10", ip4),                       // family without a protocol
           block("41", ip4),                       // no such family
           block("11", ip4 + "01"),                // a TLV cut in its type
           block("11", ip4 + "0100"),              // in its length
           block("11", ip4 + "01000268"),          // in its value
           block("11", ip4 + "010001680100016a"),  // ALPN twice
           block("11", ip4 + "010000"),            // ALPN, empty
           block("11", ip4 + "03000300000000"),    // a checksum of three bytes (and one more)
           block("11", ip4 + "03000400000000"),    // a wrong checksum
           block("11", ip4 + "20000400000000"),    // SSL without its five bytes
           block("11", ip4 + "200008"
                             "0100000000"
                             "210001"),  // a TLV in it that overruns it
           block("00", "0100"),          // unknown addresses, and half a TLV
       }) {
    EXPECT_THAT(error_of(text), HasSubstr("malformed")) << to_hex(as_bytes(text));
  }
}

TEST(ProxyProtocol, ABlockOfLocalIsNotLookedAt) {
  const ParsedHeader header = parsed(bytes_of(std::string(kSignatureHex) + "20ff0003ffffff"));
  EXPECT_EQ(header.header, Header{.local = true});
  EXPECT_EQ(header.size, 19u);
}

TEST(ProxyProtocol, HeaderBytesMaxIsDecidedOnTheAnnouncement) {
  const std::string start = bytes_of(std::string(kSignatureHex) + "21110014");  // 20 more: 36
  EXPECT_EQ(error_of(start, {.header_bytes_max = 36}), "needs more");
  EXPECT_THAT(error_of(start, {.header_bytes_max = 35}), HasSubstr("too_large"));
  EXPECT_THAT(error_of(start, {.header_bytes_max = 35}), HasSubstr("header_bytes_max 35"));
}

TEST(ProxyProtocol, AVersionThatIsNotAcceptedIsRefused) {
  EXPECT_THAT(error_of("PROXY UNKNOWN\r\n", {.accept_v1 = false}), HasSubstr("malformed"));
  EXPECT_THAT(error_of(v2_of(tcp4(), true), {.accept_v2 = false}), HasSubstr("malformed"));
  EXPECT_EQ(error_of("PROXY UNKNOWN\r\n", {.accept_v2 = false}), "accepted");
  EXPECT_EQ(error_of(v2_of(tcp4(), true), {.accept_v1 = false}), "accepted");
}

TEST(ProxyProtocol, AnyFlippedBitBreaksTheChecksumOrTheHeader) {
  const std::string good = v2_of(with_tlvs(), true);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    const auto result = parse_header(as_bytes(bad));
    // A longer header needs more, LOCAL is not looked at, a checksum's type is then another TLV's.
    if (!result || !*result || (*result)->header.local || !(*result)->checksum) continue;
    ADD_FAILURE() << "bit " << bit << " was not noticed";
  }
}

TEST(ProxyProtocol, WritersRefuseWhatTheyCannotSay) {
  Chain chain;
  const auto v2_error = [&](const Header& header) {
    const Result<void> done = append_v2(chain, header);
    return done ? std::string("written") : done.error().to_string();
  };
  Header header = tcp4();
  header.destination = tcp6().destination;
  EXPECT_THAT(v2_error(header), HasSubstr("invalid_argument"));
  EXPECT_FALSE(append_v1(chain, header));
  header = tcp4();
  header.custom = {{0xdf, "x"}};
  EXPECT_THAT(v2_error(header), HasSubstr("0xe0 to 0xef"));
  header.custom = {{0xf0, "x"}};
  EXPECT_THAT(v2_error(header), HasSubstr("0xe0 to 0xef"));
  header.custom = {{0xe0, std::string(65536, 'x')}};
  EXPECT_THAT(v2_error(header), HasSubstr("too_large"));
  header.custom = {{0xe0, std::string(40000, 'x')}, {0xe1, std::string(40000, 'x')}};
  EXPECT_THAT(v2_error(header), HasSubstr("too_large"));
  header = tcp4();
  header.unique_id.assign(kUniqueIdBytesMax + 1, 'x');
  EXPECT_THAT(v2_error(header), HasSubstr("at most 128"));
  header = tcp4();
  header.authority.assign(kAuthorityBytesMax + 1, 'x');
  EXPECT_THAT(v2_error(header), HasSubstr("at most 255"));
  header = Header{};
  header.datagram = true;
  EXPECT_THAT(v2_error(header), HasSubstr("invalid_argument"));
  EXPECT_FALSE(append_v1(chain, with_tlvs())) << "version 1 has no TLVs";
  EXPECT_TRUE(chain.empty()) << "nothing is left of a header that failed";
}

TEST(ProxyProtocol, TheLargestHeaderAndTheLongestFieldsRoundTrip) {
  Header header = tcp4();
  header.unique_id.assign(kUniqueIdBytesMax, 'u');
  header.authority.assign(kAuthorityBytesMax, 'a');
  // 65,535 - 12 of addresses - 131 - 258 - 7 of the checksum - 3
  header.custom = {{0xe5, std::string(65124, 'c')}};
  const std::string text = v2_of(header, true);
  EXPECT_EQ(text.size(), 16u + 65535u);
  const auto whole = parse_header(as_bytes(text), {.header_bytes_max = 65551});
  ASSERT_TRUE(whole && *whole);
  EXPECT_EQ((*whole)->header, header);
  header.custom.front().value += 'c';
  Chain chain;
  EXPECT_FALSE(append_v2(chain, header));
}

}  // namespace
}  // namespace wayport::proxy_protocol
