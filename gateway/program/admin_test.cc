#include "wayport/gateway/program/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>

#include "wayport/base/log_testing.h"
#include "wayport/base/socket.h"
#include "wayport/transport/default_transports.h"

namespace wayport::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() : runtime({.loops = 1, .log = &log}), transports(transport::default_transports()) {}

  void start(AdminOptions options = {}) {
    if (options.address.empty()) options.address = ":0";
    auto started =
        AdminServer::start(runtime, transports, options, [](std::string_view path) -> std::optional<AdminPage> {
          if (path == "/page") return AdminPage{.status = 200, .type = "text/x", .body = "hello\n"};
          if (path == "/busy") return AdminPage{.status = 503, .type = "text/x", .body = "busy\n"};
          if (path == "/huge")
            return AdminPage{.status = 200, .type = "text/x", .body = std::string((1 << 20) + 1, 'x')};
          return std::nullopt;
        });
    ASSERT_TRUE(started) << started.error().to_string();
    server = *std::move(started);
  }
  Fd connect() const {
    const std::string address = server->address();
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage where{};
    const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    const socklen_t size = SocketAddress::from_ip("127.0.0.1", port)->store(where);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
    const timeval patience{20, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return socket;
  }
  static void send(const Fd& socket, std::string_view text) {
    EXPECT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  static std::string read_all(const Fd& socket) {
    std::string text;
    std::array<char, 4096> piece;
    for (;;) {
      const ssize_t size = ::recv(socket.get(), piece.data(), piece.size(), 0);
      if (size <= 0) return text;
      text.append(piece.data(), static_cast<std::size_t>(size));
    }
  }
  std::string ask(std::string_view request) const {
    const Fd socket = connect();
    send(socket, request);
    return read_all(socket);
  }
  std::string get(const std::string& url, Duration timeout = seconds(20)) {
    const Result<AdminPage> page = admin_get(runtime, transports, url, "/page", timeout);
    return page ? std::to_string(page->status) + " " + page->body : std::string(to_string(page.error().code));
  }
  std::string http() const { return "http" + server->address().substr(3); }

  MemoryLog log;
  Runtime runtime;
  transport::Transports transports;
  std::unique_ptr<AdminServer> server;
};

TEST_F(AdminTest, WithoutAHostItIsOnLoopback) {
  start();
  EXPECT_THAT(server->address(), StartsWith("tcp://127.0.0.1:"));
  EXPECT_FALSE(AdminServer::start(runtime, transports, {.address = "nothing"},
                                  [](std::string_view) { return std::optional<AdminPage>(); }));
}

TEST_F(AdminTest, PagesAreServedWholeAndTheConnectionEnds) {
  start();
  EXPECT_THAT(ask("GET /page HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: text/x\r\n"),
                    HasSubstr("Content-Length: 6\r\n"), HasSubstr("Connection: close\r\n"),
                    ::testing::EndsWith("\r\n\r\nhello\n")));
  EXPECT_THAT(ask("GET /page?x=1 HTTP/1.0\r\n\r\n"), HasSubstr("hello"));
  EXPECT_THAT(ask("HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(HasSubstr("Content-Length: 6\r\n"), ::testing::EndsWith("\r\n\r\n")));
  EXPECT_THAT(ask("GET /nope HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("GET /busy HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(server->requests(), 5u);
}

TEST_F(AdminTest, WhatIsNoRequestIsAnsweredOnce) {
  start();
  EXPECT_THAT(ask("POST /page HTTP/1.1\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD")));
  EXPECT_THAT(ask("GET /page HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("\x16\x03\x01 nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(AdminTest, ARequestMayComeInPieces) {
  start();
  const Fd socket = connect();
  for (const char c : std::string_view("GET /page HTTP/1.1\r\nHost: x\r\n\r\n")) send(socket, {&c, 1});
  EXPECT_THAT(read_all(socket), HasSubstr("hello"));
}

TEST_F(AdminTest, ARequestHasABoundOfBytes) {
  start();
  const std::string begin = "GET /page HTTP/1.1\r\nX: ";
  const std::string end = "\r\n\r\n";
  EXPECT_THAT(ask(begin + std::string(AdminServer::kRequestBytesMax - begin.size() - end.size() - 1, 'x') + end),
              HasSubstr("hello"));
  EXPECT_THAT(ask(begin + std::string(AdminServer::kRequestBytesMax, 'x') + end), StartsWith("HTTP/1.1 431 "));
}

TEST_F(AdminTest, ARequestHasABoundOfTime) {
  start({.address = ":0", .connections_max = 64, .request_timeout = milliseconds(50)});
  const Fd socket = connect();
  send(socket, "GET /page HT");
  EXPECT_EQ(read_all(socket), "");
  EXPECT_EQ(server->timed_out(), 1u);
}

TEST_F(AdminTest, ConnectionsHaveABound) {
  start({.address = ":0", .connections_max = 2});
  const Fd first = connect();
  Fd second = connect();
  send(first, "G");
  const Fd third = connect();
  EXPECT_EQ(read_all(third), "");
  EXPECT_EQ(server->refused(), 1u);
  // Whoever was let in is served, and makes room.
  send(second, "GET /page HTTP/1.1\r\n\r\n");
  EXPECT_THAT(read_all(second), HasSubstr("hello"));
  second.reset();
  std::string answer;
  for (int i = 0; i < 10'000 && answer.empty(); ++i) answer = ask("GET /page HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("hello"));
}

TEST_F(AdminTest, TheClientAsksByAnyAddress) {
  start();
  EXPECT_EQ(get(http()), "200 hello\n");
  EXPECT_EQ(get(http() + "/"), "200 hello\n");
  EXPECT_EQ(get(http() + "/busy"), "503 busy\n");
  EXPECT_EQ(get(server->address()), "200 hello\n");
  EXPECT_EQ(get(http() + "/huge"), "too_large");
  const std::string path = "unix://@wayport-admin-" + std::to_string(::getpid());
  start({.address = path});
  EXPECT_EQ(get(path), "200 hello\n");
}

TEST_F(AdminTest, TheClientTellsWhatIsWrong) {
  start();
  const std::string gone = http();
  server.reset();
  EXPECT_EQ(get(gone), "refused");
  EXPECT_EQ(get("http://127.0.0.1"), "invalid_argument");
  EXPECT_EQ(get(""), "invalid_argument");
  // Somebody who never answers.
  const Fd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(silent.get(), 8), 0);
  const std::string place = "http://127.0.0.1:" + std::to_string(local_address(silent.get())->port());
  EXPECT_EQ(get(place, milliseconds(50)), "timed_out");
}

}  // namespace
}  // namespace wayport::gateway
