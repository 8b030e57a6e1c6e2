// Heads of HTTP: what is taken for an upgrade is one (key, host, path, bounds), its answer is taken by our own client,
// and no answer of a server makes a dial succeed without the right proof. First byte: 0 a request, else a response;
// bit 1: with options.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/transport/ws/handshake.h"

namespace {

using namespace wayport;
using namespace wayport::transport;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "ws_handshake_fuzz: %s\n", what);
  std::abort();
}

void check_request(const std::string& head, const WsOptions& options) {
  const auto read = ws::read_request(head, options);
  if (!read) {
    require(read.error().status >= 400 && read.error().status <= 431, "a refusal has no status of a client's mistake");
    return;
  }
  const HttpRequest& http = *read->http;
  require(head.size() <= options.header_bytes_max, "a head above its bound was taken");
  require(http.target.starts_with('/') && !http.host.empty() && read->key.size() == 24, "something is missing");
  for (const auto& [name, value] : http.headers) {
    require(value.size() <= WsOptions::kHeaderValueBytesMax, "a value above its bound was taken");
    require(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a line end is in a value");
  }
  require(http.subprotocol.find_first_of("\r\n ,") == std::string::npos, "the sub-protocol is no token");
  (void)http.query("server-identify");
  WsOptions client;
  if (!http.subprotocol.empty()) client.protocols = {http.subprotocol};
  const auto answer = ws::read_response(ws::upgrade_response(*read), client, read->key, "fuzz");
  require(answer.has_value() && *answer == http.subprotocol, "our client does not take our own answer");
}

void check_response(const std::string& head, const WsOptions& options) {
  static constexpr const char* kKey = "dGhlIHNhbXBsZSBub25jZQ==";
  const auto read = ws::read_response(head, options, kKey, "fuzz");
  if (!read) return;
  require(head.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos, "an upgrade without proof was taken");
  require(read->empty() || std::ranges::find(options.protocols, *read) != options.protocols.end(),
          "a sub-protocol that was not offered was taken");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 64 * 1024) return 0;
  std::string head(reinterpret_cast<const char*>(data) + 1, size - 1);
  // The corpus is kept with plain line ends, so that it can be read and edited.
  if (head.find('\r') == std::string::npos) {
    std::string lines;
    for (const char c : head) lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
    head = std::move(lines);
  }
  WsOptions options;
  if ((data[0] & 2) != 0) {
    options.header_bytes_max = 512;
    options.protocols = {"v2", "identify.*"};
    options.origins = {"https://example.org"};
    options.target = "/chat";
  }
  // As it is collected from a stream: in growing pieces.
  std::size_t scanned = 0;
  std::size_t end = 0;
  for (std::size_t shown = 1; shown <= head.size() && end == 0; ++shown) {
    end = ws::find_head_end(as_bytes(std::string_view(head).substr(0, shown)), scanned);
  }
  std::size_t at_once = 0;
  require(end == ws::find_head_end(as_bytes(head), at_once), "the end of the head depends on the pieces");
  if (end != 0) head.resize(end);
  if ((data[0] & 1) == 0) {
    check_request(head, options);
  } else {
    check_response(head, options);
  }
  return 0;
}
