#include "wayport/gateway/route/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wayport/gateway/route/backend_table.h"

namespace wayport::route {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string dialed(std::string_view backend, std::string_view ip, std::string_view route = "tcp") {
  const auto address = Backend::parse(backend)->dial_address(*IpAddress::parse(ip), *BackendTransport::parse(route));
  return address ? address->to_string() : address.error().to_string();
}
std::string why_not(std::string_view text) {
  const Result<Backend> backend = Backend::parse(text);
  return backend ? "" : backend.error().detail;
}

TEST(Backend, IsReadAndPrinted) {
  for (const char* const text : {"10.0.0.1:80", "[2001:db8::1]:80", "backend.example.:443", "tcp://10.0.0.1:80",
                                 "kcp://h:1?fec=10,3", "tls://[2001:db8::1]:443?ca=x&name=y", "snet+tls://h:1"}) {
    const Result<Backend> backend = Backend::parse(text);
    ASSERT_TRUE(backend.has_value()) << text;
    EXPECT_EQ(backend->to_string(), text);
    EXPECT_EQ(backend->transport.has_value(), std::string_view(text).find("://") != std::string_view::npos);
  }
  EXPECT_THAT(Backend::parse("tls://h:1?key=secret&password=other")->to_log(),
              AllOf(HasSubstr("tls://h:1?"), Not(HasSubstr("secret")), Not(HasSubstr("other"))));
}

TEST(Backend, SaysWhatIsWrong) {
  EXPECT_THAT(why_not("10.0.0.1"), HasSubstr("it is not HOST:PORT"));
  EXPECT_THAT(why_not("tcp://10.0.0.1"), HasSubstr("port 0 is not in 1 to 65535"));
  EXPECT_THAT(why_not("tcp://127.1:80"), HasSubstr("ends in a number"));
  EXPECT_THAT(why_not("tcp://[fe80::1%25eth0]:80"), HasSubstr("names no backend"));
  EXPECT_THAT(why_not("unix:///run/x"), HasSubstr("backends are reached by host and port"));
  EXPECT_THAT(why_not("ws://h:1/chat"), HasSubstr("a path is not taken"));
  EXPECT_THAT(why_not("tcp://h:1?a=1&a=2"), HasSubstr("a is given twice"));
  EXPECT_THAT(why_not("h:1" + std::string(Backend::kBytesMax - 2, ' ')),
              HasSubstr("at most 2048 bytes, this one 2049"));
  EXPECT_THAT(why_not("h:1" + std::string(Backend::kBytesMax - 3, ' ')), Not(HasSubstr("a backend has at most")));
}

TEST(Backend, IsDialedAtTheCheckedAddressUnderItsName) {
  EXPECT_EQ(dialed("b.example:80", "10.0.0.1"), "tcp://10.0.0.1:80");
  EXPECT_EQ(dialed("b.example:80", "2001:db8::1", "kcp?fec=10,3"), "kcp://[2001:db8::1]:80?fec=10,3");
  EXPECT_EQ(dialed("tcp://b.example:80", "10.0.0.1", "kcp?fec=10,3"), "tcp://10.0.0.1:80");
  EXPECT_EQ(dialed("b.example.:443", "10.0.0.1", "tls?ca=x"), "tls://10.0.0.1:443?ca=x&name=b.example");
  EXPECT_EQ(dialed("tls://b.example:443?name=other", "10.0.0.1"), "tls://10.0.0.1:443?name=other");
  EXPECT_EQ(dialed("wss://b.example:443", "10.0.0.1"), "wss://10.0.0.1:443?name=b.example&host=b.example:443");
  EXPECT_EQ(dialed("ws://b.example:80?host=x", "10.0.0.1"), "ws://10.0.0.1:80?host=x");
  EXPECT_EQ(dialed("10.0.0.1:443", "10.0.0.1", "tls"), "tls://10.0.0.1:443") << "an address is its own name";
}

TEST(BackendTransport, IsASchemeWithParameters) {
  EXPECT_EQ(BackendTransport::parse("tcp")->to_string(), "tcp");
  const std::string longest = "tcp?a=" + std::string(Backend::kBytesMax - 300 - 20, 'x');
  EXPECT_TRUE(BackendTransport::parse(longest));
  EXPECT_FALSE(BackendTransport::parse(longest + "x"));
  EXPECT_EQ(BackendTransport::parse("kcp?fec=10,3")->to_string(), "kcp?fec=10,3");
  EXPECT_EQ(BackendTransport::parse("snet+tls?key=f")->to_string(), "snet+tls?key=***");
  for (const char* const bad : {"", "unix", "snet+unix", "tcp:", "tcp://h:1", "tcp/x", "tcp?a=1&a=2", "?a=1"}) {
    EXPECT_FALSE(BackendTransport::parse(bad).has_value()) << bad;
  }
}

TEST(BackendTable, IsReadLineByLine) {
  const Result<BackendTable> table = BackendTable::parse("# a table\n\n b  10.0.0.1:80\t10.0.0.2:80\r\na h:1");
  ASSERT_TRUE(table.has_value()) << table.error().to_string();
  EXPECT_EQ(table->to_text(), "a h:1\nb 10.0.0.1:80 10.0.0.2:80\n");
  EXPECT_EQ(*BackendTable::parse(table->to_text()), *table);
  EXPECT_EQ(table->find("b")->size(), 2u);
  EXPECT_EQ(table->find("c"), nullptr);
}

TEST(BackendTable, ErrorsNameTheLine) {
  const auto wrong = [](std::string_view text, BackendTable::Limits limits = {}) {
    const Result<BackendTable> table = BackendTable::parse(text, limits);
    return table ? "" : table.error().to_string();
  };
  EXPECT_THAT(wrong("a h:1\nb\n"), HasSubstr("line 2: there is no backend"));
  EXPECT_THAT(wrong("a h:1\n\na h:2\n"), HasSubstr("line 3: \"a\" is there twice"));
  EXPECT_THAT(wrong("a nowhere\n"), HasSubstr("line 1: \"nowhere\" names no backend"));
  const std::string longest(4096, 'i');
  EXPECT_EQ(wrong(longest + " h:1"), "");
  EXPECT_THAT(wrong(longest + "i h:1"), HasSubstr("line 1: an identify has 4097 bytes; at most 4096"));
  EXPECT_EQ(wrong("a h:1 h:2\nb h:1", {.entries_max = 2, .backends_max = 2, .text_bytes_max = 15}), "");
  EXPECT_THAT(wrong("a h:1\nb h:1", {.entries_max = 1}), HasSubstr("line 2: the table is full: at most 1 entries"));
  EXPECT_THAT(wrong("a h:1 h:2", {.backends_max = 1}), HasSubstr("line 1: there are more than 1 backends"));
  EXPECT_THAT(wrong("a h:1 h:2\nb h:1", {.text_bytes_max = 14}), HasSubstr("too_large: a table has at most 14"));
}

TEST(BackendTable, IsChangedEntryByEntry) {
  BackendTable table({.entries_max = 2});
  const auto one = [](const char* text) { return *BackendTable::parse_backends(text); };
  EXPECT_TRUE(table.set("a", one("h:1")).has_value());
  EXPECT_TRUE(table.set("b", one("h:2")).has_value());
  EXPECT_FALSE(table.set("c", one("h:3")).has_value());
  const auto before = table.find("a");
  EXPECT_TRUE(table.set("a", one("h:4")).has_value()) << "replaces, also in a full table";
  EXPECT_EQ(before->front().to_string(), "h:1") << "who has it keeps it";
  EXPECT_EQ(table.find("a")->front().to_string(), "h:4");
  EXPECT_TRUE(table.erase("a"));
  EXPECT_FALSE(table.erase("a"));
  EXPECT_FALSE(table.add("", one("h:1")).has_value());
  EXPECT_FALSE(table.add("d", {}).has_value());
  EXPECT_FALSE(table.join(table).has_value()) << "everything would be there twice";
}

}  // namespace
}  // namespace wayport::route
