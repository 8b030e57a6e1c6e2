#include "wayport/rpc/discovery/etcd_messages.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"
#include "wayport/framing/json_value.h"
#include "wayport/rpc/discovery/fill.h"

namespace wayport::rpc::etcd {
namespace {

namespace json = boost::json;

std::string base64(std::string_view text) {
  std::string to(framing::base64_size(text.size()), '\0');
  framing::write_base64(to.data(), as_bytes(text));
  return to;
}

std::unexpected<Error> wrong(std::string_view field) {
  return fail(ErrorCode::malformed, fill("etcd's answer has a wrong \"{}\"", field));
}

// A 64-bit number: a string, as the gateway writes it, or a number; absent is 0.
Result<std::int64_t> number(const json::object& from, std::string_view field) {
  const json::value* value = from.if_contains(field);
  if (value == nullptr || value->is_null()) return std::int64_t{0};
  if (const std::int64_t* plain = value->if_int64()) return *plain;
  const json::string* text = value->if_string();
  if (text == nullptr) return wrong(field);
  std::int64_t result = 0;
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, result);
  if (error != std::errc() || at != end) return wrong(field);
  return result;
}

Result<bool> flag(const json::object& from, std::string_view field) {
  const json::value* value = from.if_contains(field);
  if (value == nullptr || value->is_null()) return false;
  if (!value->is_bool()) return wrong(field);
  return value->get_bool();
}

Result<std::string> text_of(const json::object& from, std::string_view field) {
  const json::value* value = from.if_contains(field);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return wrong(field);
  return std::string(value->get_string().data(), value->get_string().size());
}

Result<std::string> bytes_of(const json::object& from, std::string_view field) {
  WAYPORT_TRY_ASSIGN(const std::string text, text_of(from, field));
  std::optional<std::string> bytes = framing::from_base64(text);
  if (!bytes) return wrong(field);
  return *std::move(bytes);
}

// The array, or nullptr when it is absent.
Result<const json::array*> array_of(const json::object& from, std::string_view field) {
  const json::value* value = from.if_contains(field);
  if (value == nullptr || value->is_null()) return static_cast<const json::array*>(nullptr);
  if (!value->is_array()) return wrong(field);
  return value->if_array();
}

Result<KeyValue> key_value(const json::value& from) {
  const json::object* object = from.if_object();
  if (object == nullptr) return wrong("kv");
  KeyValue kv;
  WAYPORT_TRY_ASSIGN(kv.key, bytes_of(*object, "key"));
  WAYPORT_TRY_ASSIGN(kv.value, bytes_of(*object, "value"));
  WAYPORT_TRY_ASSIGN(kv.create_revision, number(*object, "create_revision"));
  WAYPORT_TRY_ASSIGN(kv.mod_revision, number(*object, "mod_revision"));
  WAYPORT_TRY_ASSIGN(kv.version, number(*object, "version"));
  WAYPORT_TRY_ASSIGN(kv.lease_id, number(*object, "lease"));
  return kv;
}

Result<json::object> object_of(std::string_view text) {
  json::value value;
  if (Result<void> parsed = framing::parse_json(text, value); !parsed) {
    return fail(ErrorCode::malformed, "etcd's answer is no JSON: " + parsed.error().detail);
  }
  if (!value.is_object()) return fail(ErrorCode::malformed, "etcd's answer is no JSON object");
  return std::move(value.get_object());
}

Result<std::int64_t> revision_of(const json::object& answer) {
  const json::value* header = answer.if_contains("header");
  if (header == nullptr || !header->is_object()) return wrong("header");
  return number(header->get_object(), "revision");
}

// google.rpc.Code
ErrorCode code_of(std::int64_t grpc) noexcept {
  switch (grpc) {
    case 1:
      return ErrorCode::canceled;
    case 3:
    case 6:
    case 9:
      return ErrorCode::invalid_argument;
    case 4:
      return ErrorCode::timed_out;
    case 5:
    case 11:
      return ErrorCode::not_found;
    case 7:
    case 16:
      return ErrorCode::refused;
    case 8:
      return ErrorCode::overloaded;
    case 12:
      return ErrorCode::unsupported;
    case 14:
      return ErrorCode::unreachable;
    default:
      return ErrorCode::io;
  }
}

// A stream's error object, or that of a plain answer: "code"/"grpc_code", "message"/"error".
std::optional<Error> error_object(const json::object& from) {
  const json::object* object = &from;
  if (const json::value* inner = from.if_contains("error"); inner != nullptr && inner->is_object()) {
    object = &inner->get_object();
  }
  std::string message = text_of(*object, "message").value_or("");
  if (message.empty()) message = text_of(*object, "error").value_or("");
  std::int64_t code = number(*object, "grpc_code").value_or(0);
  if (code == 0) code = number(*object, "code").value_or(0);
  if (message.empty() && code == 0) return std::nullopt;
  if (message.empty()) message = fill("an error without a message, gRPC code {}", code);
  return Error{code_of(code), escape(message), {}};
}

// What is inside {"result": ...}, which streams have around each answer.
Result<json::object> result_of(std::string_view text) {
  WAYPORT_TRY_ASSIGN(json::object line, object_of(text));
  if (line.contains("error")) {
    if (std::optional<Error> error = error_object(line)) return fail(*std::move(error));
    return wrong("error");
  }
  json::value* result = line.if_contains("result");
  if (result == nullptr || !result->is_object()) return wrong("result");
  return std::move(result->get_object());
}

Result<LeaseAnswer> lease_of(const json::object& answer) {
  LeaseAnswer lease;
  WAYPORT_TRY_ASSIGN(lease.id, number(answer, "ID"));
  WAYPORT_TRY_ASSIGN(lease.ttl_seconds, number(answer, "TTL"));
  if (lease.id == 0) return wrong("ID");
  if (lease.ttl_seconds < 0) return wrong("TTL");
  return lease;
}

}  // namespace

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) return std::string(1, '\0');
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::string write_range(const RangeRequest& request) {
  std::string to = fill(R"({{"key":"{}")", base64(request.key));
  if (!request.end.empty()) to += fill(R"(,"range_end":"{}")", base64(request.end));
  if (request.limit != 0) to += fill(R"(,"limit":"{}")", request.limit);
  if (request.revision != 0) to += fill(R"(,"revision":"{}")", request.revision);
  return to + "}";
}

std::string write_put(std::string_view key, std::string_view value, std::int64_t lease_id) {
  return fill(R"({{"key":"{}","value":"{}","lease":"{}"}})", base64(key), base64(value), lease_id);
}

std::string write_erase(std::string_view key, std::string_view end) {
  if (end.empty()) return fill(R"({{"key":"{}"}})", base64(key));
  return fill(R"({{"key":"{}","range_end":"{}"}})", base64(key), base64(end));
}

std::string write_lease_grant(std::int64_t ttl_seconds) { return fill(R"({{"TTL":"{}"}})", ttl_seconds); }
std::string write_lease(std::int64_t id) { return fill(R"({{"ID":"{}"}})", id); }

std::string write_watch(std::string_view key, std::string_view end, std::int64_t start_revision) {
  return fill(
      R"({{"create_request":{{"key":"{}","range_end":"{}","start_revision":"{}","progress_notify":true,"fragment":true}}}})",
      base64(key), base64(end), start_revision);
}

std::string write_login(std::string_view user, std::string_view password) {
  return json::serialize(json::object{{"name", json::string_view(user.data(), user.size())},
                                      {"password", json::string_view(password.data(), password.size())}});
}

Result<RangeAnswer> read_range(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, object_of(text));
  RangeAnswer answer;
  WAYPORT_TRY_ASSIGN(answer.revision, revision_of(object));
  WAYPORT_TRY_ASSIGN(answer.more, flag(object, "more"));
  WAYPORT_TRY_ASSIGN(const json::array* const entries, array_of(object, "kvs"));
  if (entries == nullptr) return answer;
  answer.entries.reserve(entries->size());
  for (const json::value& entry : *entries) {
    WAYPORT_TRY_ASSIGN(KeyValue kv, key_value(entry));
    answer.entries.push_back(std::move(kv));
  }
  return answer;
}

Result<std::int64_t> read_put(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, object_of(text));
  return revision_of(object);
}

Result<std::int64_t> read_erase(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, object_of(text));
  WAYPORT_TRY(revision_of(object));
  return number(object, "deleted");
}

Result<LeaseAnswer> read_lease_grant(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, object_of(text));
  return lease_of(object);
}

Result<LeaseAnswer> read_lease_keep_alive(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, result_of(text));
  return lease_of(object);
}

Result<std::string> read_login(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, object_of(text));
  WAYPORT_TRY_ASSIGN(std::string token, text_of(object, "token"));
  if (token.empty()) return wrong("token");
  for (const char c : token) {
    if (c <= ' ' || c >= 0x7f) return wrong("token");  // it goes into a header
  }
  return token;
}

Result<WatchAnswer> read_watch(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json::object object, result_of(text));
  WatchAnswer answer;
  WAYPORT_TRY_ASSIGN(answer.revision, revision_of(object));
  WAYPORT_TRY_ASSIGN(answer.created, flag(object, "created"));
  WAYPORT_TRY_ASSIGN(answer.canceled, flag(object, "canceled"));
  WAYPORT_TRY_ASSIGN(answer.fragment, flag(object, "fragment"));
  WAYPORT_TRY_ASSIGN(answer.compact_revision, number(object, "compact_revision"));
  WAYPORT_TRY_ASSIGN(answer.cancel_reason, text_of(object, "cancel_reason"));
  WAYPORT_TRY_ASSIGN(const json::array* const events, array_of(object, "events"));
  if (events == nullptr) return answer;
  answer.events.reserve(events->size());
  for (const json::value& each : *events) {
    const json::object* event = each.if_object();
    const json::value* kv = event == nullptr ? nullptr : event->if_contains("kv");
    if (kv == nullptr) return wrong("events");
    WAYPORT_TRY_ASSIGN(const std::string type, text_of(*event, "type"));
    if (!type.empty() && type != "PUT" && type != "DELETE") return wrong("type");
    WAYPORT_TRY_ASSIGN(KeyValue entry, key_value(*kv));
    answer.events.push_back({type == "DELETE", std::move(entry)});
  }
  return answer;
}

Error error_of(unsigned status, std::string_view body, std::string_view endpoint) {
  Error error{status >= 500                    ? ErrorCode::unreachable
              : status == 401 || status == 403 ? ErrorCode::refused
                                               : ErrorCode::io,
              fill("HTTP status {}: {}", status, escape(body)),
              {}};
  if (const Result<json::object> object = object_of(body)) {
    if (std::optional<Error> told = error_object(*object)) error = *std::move(told);
  }
  error.detail = fill("{}: {}", endpoint, error.detail);
  return error;
}

bool is_token_error(const Error& error) noexcept {
  return error.detail.contains("invalid auth token") || error.detail.contains("user name is empty") ||
         error.detail.contains("revision of auth store is old");
}

Result<void> Lines::push(std::string_view bytes) {
  kept_.erase(0, taken_);
  looked_ -= std::min(looked_, taken_);
  taken_ = 0;
  const std::size_t last_end = bytes.rfind('\n');
  const std::size_t kept_line = kept_.size();
  const std::size_t first = std::min(bytes.find('\n'), bytes.size());
  const std::size_t open = last_end == bytes.npos ? kept_line + bytes.size() : bytes.size() - last_end - 1;
  bool over = kept_line + first > line_bytes_max_ || open > line_bytes_max_;
  for (std::size_t at = first; !over && at < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', at + 1), bytes.size());
    over = end - at - 1 > line_bytes_max_;
    at = end;
  }
  if (over) {
    return fail(ErrorCode::too_large,
                fill("a line of the watch is longer than watch_line_bytes_max ({})", line_bytes_max_));
  }
  kept_ += bytes;
  return {};
}

std::optional<std::string_view> Lines::next() {
  for (;;) {
    const std::size_t end = kept_.find('\n', std::max(taken_, looked_));
    if (end == std::string::npos) {
      looked_ = kept_.size();
      return std::nullopt;
    }
    const std::string_view line = std::string_view(kept_).substr(taken_, end - taken_);
    taken_ = end + 1;
    if (!line.empty() && line != "\r") return line;
  }
}

}  // namespace wayport::rpc::etcd
