#include "wayport/transport/ws/handshake.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wayport::transport::ws {
namespace {

constexpr const char* kRfcKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr const char* kRfcAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// A browser's request; `replace`d pieces make the bad ones.
std::string request(const std::string& extra = "", const std::string& first = "GET /chat?room=a%20b&x=1 HTTP/1.1") {
  return first +
         "\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: " +
         kRfcKey + "\r\nSec-WebSocket-Version: 13\r\n" + extra + "\r\n";
}
std::string without(std::string text, const std::string& line) {
  const std::size_t at = text.find(line);
  text.erase(at, text.find("\r\n", at) + 2 - at);
  return text;
}
std::string with(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}
int refused(const std::string& head, const WsOptions& options = {}) {
  const auto read = read_request(head, options);
  return read ? 0 : read.error().status;
}

TEST(UpgradeRequest, SaysWhatWasAskedFor) {
  const auto read = read_request(request("Origin: https://example.org\r\nX-Thing: v\r\n"), {});
  ASSERT_TRUE(read.has_value()) << read.error().why;
  const HttpRequest& http = *read->http;
  EXPECT_EQ(http.target, "/chat?room=a%20b&x=1");
  EXPECT_EQ(http.path(), "/chat");
  EXPECT_EQ(http.query("room"), "a b");
  EXPECT_EQ(http.query("x"), "1");
  EXPECT_FALSE(http.query("y").has_value());
  EXPECT_EQ(http.host, "example.org");
  ASSERT_NE(http.header("x-THING"), nullptr);
  EXPECT_EQ(*http.header("x-THING"), "v");
  EXPECT_EQ(http.header("absent"), nullptr);
  EXPECT_NE(upgrade_response(*read).find(std::string("Sec-WebSocket-Accept: ") + kRfcAccept + "\r\n"),
            std::string::npos);
}

TEST(UpgradeRequest, IsRefusedWithTheStatusThatFits) {
  const struct {
    const char* name;
    std::string head;
    int status;
  } cases[] = {
      {"garbage", "garbage\r\n\r\n", 400},
      {"only line ends", "\r\n\r\n", 400},
      {"a NUL", with(request(), "example", std::string(1, '\0')), 400},
      {"HTTP/1.0", request("", "GET / HTTP/1.0"), 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", 400},
      {"POST", request("", "POST / HTTP/1.1"), 405},
      {"no path", request("", "GET http://example.org/ HTTP/1.1"), 400},
      {"a body", request("Content-Length: 5\r\n"), 400},
      {"a chunked body", request("Transfer-Encoding: chunked\r\n"), 400},
      {"no upgrade", without(request(), "Upgrade:"), 426},
      {"another upgrade", with(request(), "websocket", "h2c"), 426},
      {"Connection does not say so", with(request(), "keep-alive, Upgrade", "keep-alive"), 400},
      {"no Host", without(request(), "Host:"), 400},
      {"two Hosts", request("Host: other\r\n"), 400},
      {"no key", without(request(), "Sec-WebSocket-Key:"), 400},
      {"two keys", request("Sec-WebSocket-Key: " + std::string(kRfcKey) + "\r\n"), 400},
      {"a short key", with(request(), kRfcKey, "c2hvcnQ="), 400},
      {"a key of other letters", with(request(), kRfcKey, "dGhlIHNhbXBsZSBub25jZ$=="), 400},
      {"version 8", with(request(), "Version: 13", "Version: 8"), 426},
      {"no version", without(request(), "Sec-WebSocket-Version:"), 426},
      {"a large value", request("X: " + std::string(WsOptions::kHeaderValueBytesMax + 1, 'x') + "\r\n"), 400},
      {"a large head",
       request("X: " + std::string(4090, 'x') + "\r\nY: " + std::string(4090, 'x') +
               "\r\nZ: " + std::string(4090, 'x') + "\r\nV: " + std::string(4090, 'x') + "\r\nW: 1234567890\r\n"),
       431},
  };
  for (const auto& each : cases) EXPECT_EQ(refused(each.head), each.status) << each.name;
  EXPECT_EQ(refused(request("X: " + std::string(WsOptions::kHeaderValueBytesMax, 'x') + "\r\n")), 0);
}

TEST(UpgradeRequest, MayHaveItsBoundAndNoByteMore) {
  const std::string head = request();
  WsOptions options;
  options.header_bytes_max = head.size();
  EXPECT_EQ(refused(head, options), 0);
  options.header_bytes_max = head.size() - 1;
  EXPECT_EQ(refused(head, options), 431);
}

TEST(UpgradeRequest, OnlyPagesOfTheHostMayConnectUnlessTheListSaysMore) {
  const std::string same = request("Origin: https://EXAMPLE.org\r\n");
  const std::string other = request("Origin: https://evil.example\r\n");
  EXPECT_EQ(refused(same), 0);
  EXPECT_EQ(refused(other), 403);
  EXPECT_EQ(refused(request("Origin: null\r\n")), 403);
  EXPECT_EQ(refused(request("Origin: https://example.org.evil.example\r\n")), 403);
  EXPECT_EQ(refused(request("Origin: https://example.org\r\nOrigin: https://example.org\r\n")), 400);
  WsOptions list;
  list.origins = {"https://evil.example"};
  EXPECT_EQ(refused(other, list), 0);
  EXPECT_EQ(refused(same, list), 403);
  EXPECT_EQ(refused(request(), list), 0);
  list.origins = {"*"};
  EXPECT_EQ(refused(request("Origin: null\r\n"), list), 0);
}

TEST(UpgradeRequest, OnlyThePathThatIsServed) {
  WsOptions options;
  options.target = "/chat";
  EXPECT_EQ(refused(request(), options), 0);
  options.target = "/cha";
  EXPECT_EQ(refused(request(), options), 404);
}

TEST(UpgradeRequest, AgreesToTheBestSubProtocolOfOurs) {
  WsOptions options;
  options.protocols = {"v2", "v1", "identify.*"};
  const auto chosen = [&](const std::string& offered) -> std::string {
    const auto read = read_request(request(offered), options);
    return read ? read->http->subprotocol : std::to_string(read.error().status);
  };
  EXPECT_EQ(chosen(""), "");
  EXPECT_EQ(chosen("Sec-WebSocket-Protocol: v1, v2\r\n"), "v2");
  EXPECT_EQ(chosen("Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v2\r\n"), "v2");
  EXPECT_EQ(chosen("Sec-WebSocket-Protocol: identify.MTAuMC4wLjE6OQ\r\n"), "identify.MTAuMC4wLjE6OQ");
  EXPECT_EQ(chosen("Sec-WebSocket-Protocol: V2, other\r\n"), "400");
  options.protocols.clear();
  EXPECT_EQ(chosen("Sec-WebSocket-Protocol: v1\r\n"), "");
}

TEST(UpgradeResponse, IsCheckedAgainstWhatWasAsked) {
  WsOptions options;
  options.protocols = {"v1"};
  const std::string good =
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n"
      "sec-websocket-accept: " +
      std::string(kRfcAccept) + "\r\n";
  const auto read = [&](const std::string& head) { return read_response(head + "\r\n", options, kRfcKey, "ws://x"); };
  EXPECT_EQ(*read(good), "");
  EXPECT_EQ(*read(good + "Sec-WebSocket-Protocol: v1\r\n"), "v1");
  const auto code = [&](const std::string& head) { return read(head).error().code; };
  EXPECT_EQ(code("nonsense\r\n"), ErrorCode::malformed);
  EXPECT_EQ(code(good + "Sec-WebSocket-Protocol: v2\r\n"), ErrorCode::malformed);
  EXPECT_EQ(code(good + "Sec-WebSocket-Extensions: permessage-deflate\r\n"), ErrorCode::malformed);
  EXPECT_EQ(code(with(good, kRfcAccept, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")), ErrorCode::malformed);
  EXPECT_EQ(code(without(good, "upgrade:")), ErrorCode::malformed);
  EXPECT_EQ(code(without(good, "connection:")), ErrorCode::malformed);
  EXPECT_EQ(code(without(good, "sec-websocket-accept:")), ErrorCode::malformed);
  EXPECT_EQ(code("HTTP/1.1 302 Found\r\nLocation: ws://y\r\n"), ErrorCode::refused);
  EXPECT_EQ(code("HTTP/1.1 200 OK\r\n"), ErrorCode::refused);
}

TEST(Status, MeansTheSameOnBothSides) {
  for (const int status : {401, 403, 404, 502, 503, 504}) {
    const Error error = error_of_status(status, "ws://x");
    EXPECT_EQ(error.cause, http_status(status));
    EXPECT_EQ(status_of(error), status);
    if (status != 401) EXPECT_EQ(status_of({error.code, "", {}}), status);
  }
  EXPECT_EQ(status_of({ErrorCode::internal, "", {}}), 500);
  EXPECT_EQ(status_of({ErrorCode::refused, "", http_status(200)}), 403);
  EXPECT_EQ(refusal_response(401).substr(0, 27), "HTTP/1.1 401 Unauthorized\r\n");
}

TEST(HeadEnd, IsFoundInEveryPiece) {
  const std::string text = request() + "more";
  std::size_t scanned = 0;
  for (std::size_t size = 1; size <= text.size(); ++size) {
    const std::size_t end = find_head_end(as_bytes(std::string_view(text).substr(0, size)), scanned);
    EXPECT_EQ(end, size >= text.size() - 4 ? text.size() - 4 : 0) << size;
    if (end != 0) break;
  }
}

TEST(WsAddress, SaysWhatItTakesAndRefusesTheRest) {
  const auto address = [](const char* text) { return Address::parse(text).value(); };
  const auto dial = [&](const char* text) { return WsOptions::for_dial(address(text)); };
  const auto listen = [&](const char* text) { return WsOptions::for_listen(address(text)); };
  const WsOptions options = *dial(
      "ws://h:8080/a%20b?query=x%3D1&protocol=p&protocol=q&header=Server-Identify:%2010.0.0.1:9&message=2MiB&"
      "ping=0&text=1&origin=http://o");
  EXPECT_EQ(options.target, "/a%20b?x=1");
  EXPECT_EQ(options.host, "h:8080");
  ASSERT_EQ(options.headers.size(), 1u);
  EXPECT_EQ(options.headers[0].second, "10.0.0.1:9");
  EXPECT_EQ(options.message_bytes_max, 2u << 20);
  EXPECT_NE(request_text(options, "KEY").find("Sec-WebSocket-Protocol: p, q\r\n"), std::string::npos);
  EXPECT_EQ(dial("ws://h:80")->host, "h");
  EXPECT_EQ(dial("wss://[::1]:443")->host, "[::1]");
  EXPECT_EQ(dial("ws+unix:///run/x.sock?target=/t")->target, "/t");
  EXPECT_EQ(listen("ws://h:80")->target, "");
  for (const char* bad : {"ws://h?header=a", "ws://h?protocol=a%20b", "ws://h?query=a%20b", "ws://h?text=2",
                          "ws://h?head=61KiB", "ws://h?message=0", "ws://h/x?target=/y", "ws://h?origin=a&origin=b",
                          "ws://h?ping=1s&ping=2s", "ws://h?host=a%20b"}) {
    EXPECT_FALSE(dial(bad).has_value()) << bad;
  }
  for (const char* bad : {"ws://h?header=a:b", "ws://h?query=a", "ws://h?host=b"}) {
    EXPECT_FALSE(listen(bad).has_value()) << bad;
  }
  // A line end would let a value add headers; errors do not show what may be a secret.
  Address injected = address("ws://h");
  injected.set_parameter("header", "a:secret\r\nb:c");
  ASSERT_FALSE(WsOptions::for_dial(injected).has_value());
  EXPECT_EQ(WsOptions::for_dial(injected).error().detail.find("secret"), std::string::npos);
  EXPECT_EQ(address("ws://h?header=a:secret&query=secret").to_log(), "ws://h?header=***&query=***");
  EXPECT_EQ(WsOptions::below(address("wss://h/p?ca=x&text=1"), true)->to_string(), "tls://h:443?ca=x");
  EXPECT_EQ(WsOptions::below(address("ws://h/p"), true)->to_string(), "tcp://h:80");
  EXPECT_EQ(WsOptions::below(address("ws+unix:///s"), true)->to_string(), "unix:///s");
  EXPECT_FALSE(WsOptions::below(address("wss+tcp://h"), true).has_value());
}

}  // namespace
}  // namespace wayport::transport::ws
