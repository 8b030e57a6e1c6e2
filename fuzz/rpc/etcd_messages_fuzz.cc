// Whatever bytes come from etcd: an answer is read or refused with `malformed` (or with the error that it says etcd had);
// what is read keeps its promises; and the lines of a watch are the same however its bytes were split.
//
// Input: one byte that chooses the reader, then its text. For the splitting of lines: one byte for the bound, one for the
// seed of the pieces' sizes, then the bytes.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/rpc/discovery/etcd_messages.h"

namespace wayport::rpc::etcd {
namespace {

template <class T>
void check(const Result<T>& read) {
  if (!read) WAYPORT_ASSERT(!read.error().detail.empty(), "an error says what is wrong");
}
template <class T>
void check_plain(const Result<T>& read) {
  if (!read) WAYPORT_ASSERT(read.error().code == ErrorCode::malformed, "what is no answer is malformed");
}

struct Cut {
  std::vector<std::string> lines;
  bool over = false;
};

Cut cut(std::string_view bytes, std::size_t bound, std::uint32_t seed) {
  Cut result;
  Lines lines(bound);
  while (!bytes.empty()) {
    seed = seed * 1664525 + 1013904223;
    const std::size_t size = seed == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 1 + (seed >> 24) % 9);
    if (!lines.push(bytes.substr(0, size))) {
      result.over = true;
      return result;
    }
    bytes.remove_prefix(size);
    while (const std::optional<std::string_view> line = lines.next()) {
      WAYPORT_ASSERT(line->size() <= bound, "a line keeps its bound");
      WAYPORT_ASSERT(!line->empty() && line->find('\n') == line->npos, "a line is one line");
      result.lines.emplace_back(*line);
    }
  }
  return result;
}

void split(std::string_view bytes) {
  if (bytes.size() < 2) return;
  const std::size_t bound = static_cast<unsigned char>(bytes[0]);
  const auto seed = static_cast<unsigned char>(bytes[1]);
  bytes.remove_prefix(2);
  Lines at_once(bound);
  Cut whole;
  whole.over = !at_once.push(bytes);
  if (!whole.over) {
    while (const std::optional<std::string_view> line = at_once.next()) whole.lines.emplace_back(*line);
  }
  const Cut pieces = cut(bytes, bound, seed);
  WAYPORT_ASSERT(pieces.over == whole.over, "the bound bites however the bytes were split");
  if (!whole.over) WAYPORT_ASSERT(pieces.lines == whole.lines, "the same lines however the bytes were split");
}

void range(std::string_view text) {
  const Result<RangeAnswer> read = read_range(text);
  check_plain(read);
  if (!read) return;
  for (const KeyValue& entry : read->entries) {
    // What was read can be asked for again.
    WAYPORT_ASSERT(!write_range({.key = entry.key, .end = {}}).empty(), "a key can be written");
    const std::string end = prefix_end(entry.key);
    WAYPORT_ASSERT(end == std::string(1, '\0') || end > entry.key, "a range ends behind its prefix");
  }
}

void login(std::string_view text) {
  const Result<std::string> token = read_login(text);
  check_plain(token);
  if (!token) return;
  for (const char c : *token) WAYPORT_ASSERT(c > ' ' && c < 0x7f, "a token fits into a header");
}

void lease(std::string_view text) {
  for (const Result<LeaseAnswer>& read : {read_lease_grant(text), read_lease_keep_alive(text)}) {
    check(read);
    if (read) WAYPORT_ASSERT(read->id != 0 && read->ttl_seconds >= 0, "a lease has an id and a time");
  }
}

}  // namespace
}  // namespace wayport::rpc::etcd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::rpc::etcd;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      split(text);
      break;
    case 1:
      range(text);
      break;
    case 2:
      check_plain(read_put(text));
      break;
    case 3:
      check_plain(read_erase(text));
      break;
    case 4:
      lease(text);
      break;
    case 5:
      login(text);
      break;
    case 6:
      check(read_watch(text));
      break;
    default: {
      const wayport::Error error = error_of(size > 1 ? 100u + data[1] * 2u : 500u, text, "http://h:1");
      WAYPORT_ASSERT(error.detail.starts_with("http://h:1: "), "the endpoint is named");
      for (const unsigned char c : error.detail)
        WAYPORT_ASSERT(c >= ' ' && c != 0x7f, "nothing of etcd drives a terminal");
      static_cast<void>(is_token_error(error));
      break;
    }
  }
  return 0;
}
