// The JSON that etcd's gateway speaks (etcd v3 API, "gRPC gateway"): requests written, answers read. Keys and values
// are base64; 64-bit numbers come as strings, and what is zero, false or empty is absent. Answers come from a server
// that may be anything: `malformed` for what is no answer of etcd, never an assertion.
//
// Pure functions; no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::rpc::etcd {

struct KeyValue {
  std::string key;
  std::string value;
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t version = 0;   // 1 for a new key
  std::int64_t lease_id = 0;  // 0: none
};

struct RangeAnswer {
  std::int64_t revision = 0;  // of the store when it answered
  std::vector<KeyValue> entries;
  bool more = false;  // the limit cut it
};
struct LeaseAnswer {
  std::int64_t id = 0;
  std::int64_t ttl_seconds = 0;  // of a keep-alive: 0 means that the lease is gone
};
struct WatchEvent {
  bool erased = false;
  KeyValue entry;  // erased: key and mod_revision only
};
struct WatchAnswer {
  std::int64_t revision = 0;
  bool created = false;
  bool canceled = false;
  bool fragment = false;              // more of the same revision follows
  std::int64_t compact_revision = 0;  // not 0: what was asked for is compacted
  std::string cancel_reason;
  std::vector<WatchEvent> events;
};

// The end of the range of keys that begin with `prefix`; "\0" (no end) for "" and for nothing but 0xff.
std::string prefix_end(std::string_view prefix);

struct RangeRequest {
  std::string_view key;
  std::string_view end;       // empty: the one key
  std::int64_t limit = 0;     // 0: none
  std::int64_t revision = 0;  // 0: now
};
std::string write_range(const RangeRequest& request);
std::string write_put(std::string_view key, std::string_view value, std::int64_t lease_id);
std::string write_erase(std::string_view key, std::string_view end);
std::string write_lease_grant(std::int64_t ttl_seconds);
std::string write_lease(std::int64_t id);  // of keep-alive and revoke
std::string write_watch(std::string_view key, std::string_view end, std::int64_t start_revision);
std::string write_login(std::string_view user, std::string_view password);

Result<RangeAnswer> read_range(std::string_view json);
Result<std::int64_t> read_put(std::string_view json);    // the revision
Result<std::int64_t> read_erase(std::string_view json);  // how many were erased
Result<LeaseAnswer> read_lease_grant(std::string_view json);
Result<LeaseAnswer> read_lease_keep_alive(std::string_view json);
Result<std::string> read_login(std::string_view json);  // the token
// One line of a watch. An error that etcd put there comes as error_of() makes it.
Result<WatchAnswer> read_watch(std::string_view json);

// What a status other than 200 says: `code` by the gRPC code in it, else by the status; `detail` begins with `endpoint`
// and has etcd's message.
Error error_of(unsigned status, std::string_view body, std::string_view endpoint);
// Whether `error` says that the token is no longer good, and a new one may be.
bool is_token_error(const Error& error) noexcept;

// Cuts a watch's bytes, which come in pieces of any size, into lines.
class Lines {
 public:
  explicit Lines(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}
  // too_large: a line longer than the bound; then push no more.
  Result<void> push(std::string_view bytes);
  // The next whole line without its end; empty lines are skipped. Valid until the next push().
  std::optional<std::string_view> next();

 private:
  const std::size_t line_bytes_max_;
  std::string kept_;
  std::size_t taken_ = 0;   // of kept_, given out
  std::size_t looked_ = 0;  // of kept_, known to have no line end
};

}  // namespace wayport::rpc::etcd
