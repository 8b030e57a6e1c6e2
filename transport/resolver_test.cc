#include "wayport/transport/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/transport/testing/connect.h"

namespace wayport::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using namespace std::chrono_literals;

std::vector<std::string> printed(const std::vector<SocketAddress>& addresses) {
  std::vector<std::string> texts;
  for (const SocketAddress& address : addresses) texts.push_back(address.to_string());
  return texts;
}

// A name server on a datagram socket, which answers as it is told: A and AAAA records, "no such name", or nothing.
class NameServer final : FdEvents {
 public:
  explicit NameServer(Loop& loop) : loop_(loop), fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(where);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&where), &size), 0);
    place = "127.0.0.1:" + std::to_string(ntohs(where.sin_port));
    EXPECT_TRUE(loop_.watch(fd_.get(), Interest::read, *this));
  }
  ~NameServer() { loop_.unwatch(fd_.get(), *this); }

  std::string place;
  bool silent = false;
  bool knows = true;
  int queries = 0;

 private:
  void on_fd(std::uint32_t) override {
    std::array<std::byte, 512> packet{};
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        ::recvfrom(fd_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 17) return;
    ++queries;
    if (silent) return;
    // Header, one question (name, type, class), perhaps more; the answer repeats the question only.
    std::size_t end = 12;
    while (packet[end] != std::byte{0}) end += static_cast<std::size_t>(packet[end]) + 1;
    const auto type = load_be<std::uint16_t>(packet.data() + end + 1);
    end += 5;
    std::string answer(reinterpret_cast<const char*>(packet.data()), end);
    answer[2] = '\x81';
    answer[3] = knows ? '\x80' : '\x83';
    answer.replace(4, 8, std::string("\0\1\0\0\0\0\0\0", 8));
    if (knows) {
      answer[7] = 1;
      answer += std::string("\xc0\x0c\0", 3) + static_cast<char>(type) + std::string("\0\1\0\0\0\x3c\0", 7);
      answer += type == 28 ? '\x10' : '\4';
      if (type == 28) answer += std::string(15, '\0') + '\1';
      if (type != 28) answer += std::string("\x7f\0\0\x05", 4);
    }
    ::sendto(fd_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }

  Loop& loop_;
  Fd fd_;
};

class ResolverTest : public ::testing::Test {
 protected:
  void look_up(const std::string& name) {
    result.reset();
    lookup = resolve(loop, {.servers = server.place, .query_timeout = 100ms, .rounds = 2}, name, 80,
                     [&](Result<std::vector<SocketAddress>> found) { result.emplace(std::move(found)); });
    EXPECT_FALSE(result) << "called back from inside";
  }
  bool finish() {
    return run_until(loop, [&] { return result.has_value(); });
  }

  Loop loop;
  NameServer server{loop};
  std::unique_ptr<Lookup> lookup;
  std::optional<Result<std::vector<SocketAddress>>> result;
};

TEST_F(ResolverTest, AsksTheNameServerForBothFamilies) {
  look_up("host.example");
  ASSERT_TRUE(finish());
  ASSERT_TRUE(*result) << result->error().to_string();
  EXPECT_THAT(printed(**result), UnorderedElementsAre("127.0.0.5:80", "[::1]:80"));
}

TEST_F(ResolverTest, AnUnknownNameIsNotFound) {
  server.knows = false;
  look_up("host.example");
  ASSERT_TRUE(finish());
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().code, ErrorCode::not_found);
  EXPECT_THAT(result->error().detail, HasSubstr("host.example"));
}

TEST_F(ResolverTest, ASilentNameServerTimesOut) {
  server.silent = true;
  look_up("host.example");
  ASSERT_TRUE(finish());
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().code, ErrorCode::timed_out);
  EXPECT_GE(server.queries, 2);
}

TEST_F(ResolverTest, DestroyingALookupCancelsIt) {
  server.silent = true;
  look_up("host.example");
  EXPECT_TRUE(run_until(loop, [&] { return server.queries > 0; }));
  lookup.reset();
  look_up("localhost.localdomain");
  lookup.reset();
  loop.drain();
  EXPECT_FALSE(result);
}

TEST_F(ResolverTest, NamesThatAreNoNamesAreNotFound) {
  look_up(std::string(300, 'x'));
  ASSERT_TRUE(finish());
  EXPECT_FALSE(*result);
}

TEST(ResolveLiterally, KnowsNumbersAndLocalhost) {
  EXPECT_THAT(printed(resolve_literally("127.0.0.1", 1)), ElementsAre("127.0.0.1:1"));
  EXPECT_THAT(printed(resolve_literally("::1", 1)), ElementsAre("[::1]:1"));
  for (const char* name : {"localhost", "LocalHost", "localhost.", "a.localhost"}) {
    EXPECT_THAT(printed(resolve_literally(name, 1)), ElementsAre("127.0.0.1:1", "[::1]:1")) << name;
  }
  EXPECT_THAT(resolve_literally("notlocalhost", 1), IsEmpty());
  EXPECT_THAT(resolve_literally("1.2.3", 1), IsEmpty());
}

TEST(InterleaveFamilies, AlternatesBeginningWithTheFirst) {
  const auto ip = [](const char* text) { return *SocketAddress::from_ip(text, 1); };
  EXPECT_THAT(printed(interleave_families({ip("::1"), ip("::2"), ip("::3"), ip("1.1.1.1")})),
              ElementsAre("[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"));
  EXPECT_THAT(printed(interleave_families({ip("1.1.1.1"), ip("::1"), ip("::2")})),
              ElementsAre("1.1.1.1:1", "[::1]:1", "[::2]:1"));
  EXPECT_THAT(interleave_families({}), IsEmpty());
}

}  // namespace
}  // namespace wayport::transport
