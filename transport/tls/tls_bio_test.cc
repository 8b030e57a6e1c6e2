#include "wayport/transport/tls/tls_bio.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

namespace wayport::transport {
namespace {

std::string record(char type, std::size_t size) {
  std::string header{type, '\x03', '\x03', static_cast<char>(size >> 8), static_cast<char>(size)};
  return header + std::string(size, 'x');
}
std::size_t whole(const std::string& text) { return whole_tls_records(as_bytes(text)); }

TEST(WholeTlsRecords, CountsWholeRecordsAtTheFront) {
  const std::string one = record(0x17, 10);
  EXPECT_EQ(whole(""), 0u);
  for (std::size_t size = 0; size < one.size(); ++size) EXPECT_EQ(whole(one.substr(0, size)), 0u) << size;
  EXPECT_EQ(whole(one), one.size());
  EXPECT_EQ(whole(one + record(0x16, 0) + one.substr(0, 7)), one.size() + 5);
}

TEST(WholeTlsRecords, GivesEverythingThatIsNoTlsToOpenssl) {
  EXPECT_EQ(whole("GET / HTTP/1.0"), 14u);
  EXPECT_EQ(whole(record(0x18, 10)), 15u) << "heartbeats are none of ours";
  EXPECT_EQ(whole(std::string("\x17\x02\x03\x00\x10", 5)), 5u) << "the version";
  EXPECT_EQ(whole(std::string("\x17\x03\x03\x48\x00", 5)), 0u) << "the largest fragment";
  EXPECT_EQ(whole(std::string("\x17\x03\x03\x48\x01", 5)), 5u) << "one more";
}

TEST(TlsBio, ReadsTheLentSpanAndWritesIntoTheChain) {
  TlsPipe pipe;
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(make_tls_bio(pipe), BIO_free);
  std::array<char, 4> buffer;
  EXPECT_EQ(::BIO_read(bio.get(), buffer.data(), 4), -1);
  EXPECT_TRUE(BIO_should_retry(bio.get()));
  const std::string text = "abcdef";
  pipe.input = as_bytes(text);
  EXPECT_EQ(::BIO_read(bio.get(), buffer.data(), 4), 4);
  EXPECT_EQ(std::string(buffer.data(), 4), "abcd");
  EXPECT_EQ(::BIO_read(bio.get(), buffer.data(), 4), 2);
  EXPECT_EQ(::BIO_read(bio.get(), buffer.data(), 4), -1);
  EXPECT_EQ(::BIO_write(bio.get(), "xyz", 3), 3);
  EXPECT_EQ(BIO_flush(bio.get()), 1);
  EXPECT_EQ(pipe.output.to_string(), "xyz");
}

}  // namespace
}  // namespace wayport::transport
