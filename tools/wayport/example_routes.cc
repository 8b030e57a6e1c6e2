#include "wayport/tools/wayport/example_routes.h"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <vector>

#include "wayport/base/co.h"
#include "wayport/framing/body_ops.h"
#include "wayport/rpc/handlers.h"
#include "wayport/rpc/router.h"
#include "wayport/rpc/uri.h"
#include "wayport/tools/wayport/example.pb.h"
#include "wayport/tools/wayport/plain_body.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

using framing::RawBody;
using rpc::Context;
using rpc::RawBodyView;
using rpc::Reply;
using rpc::Status;

constexpr std::int64_t kSleepMsMax = 10 * 60 * 1000;

Status bad_request(std::string why) { return Status::make(rpc::code::kBadUri, std::move(why)); }
RawBody json_number(std::int64_t number) { return {framing::kCodecJson, std::to_string(number)}; }

// A whole number in the query; `otherwise` without one.
Reply<std::int64_t> number_in(const rpc::Query& query, std::string_view key, std::int64_t otherwise, std::int64_t least,
                              std::int64_t most) {
  const std::string_view text = rpc::query_value(query, key);
  if (text.empty()) return otherwise;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) {
    return bad_request(std::string(key) + " is a whole number from " + std::to_string(least) + " to " +
                       std::to_string(most));
  }
  return number;
}

Reply<RawBody> sum(Context& context) {
  if (context.body_codec() == framing::kCodecProtobuf) {
    Result<Pair> pair = context.bind<Pair>();
    if (!pair) return bad_request("no Pair: " + pair.error().detail);
    Sum sum;
    sum.set_sum(std::int64_t{pair->a()} + pair->b());
    return RawBody{framing::kCodecProtobuf, sum.SerializeAsString()};
  }
  if (context.body_codec() != framing::kCodecJson) {
    return Status::make(rpc::code::kUnsupportedCodec, "send a json array of whole numbers, or a protobuf Pair");
  }
  Result<std::vector<std::int64_t>> numbers = context.bind<std::vector<std::int64_t>>();
  if (!numbers) return bad_request("no array of whole numbers: " + numbers.error().detail);
  std::int64_t total = 0;
  for (const std::int64_t number : *numbers) {
    if (__builtin_add_overflow(total, number, &total)) return bad_request("the sum does not fit 64 bits");
  }
  return json_number(total);
}

asio::awaitable<Reply<RawBody>> sleep_as_told(Context& context) {
  const Reply<std::int64_t> ms = number_in(context.query(), "ms", 0, 0, kSleepMsMax);
  if (!ms) co_return ms.status();
  const Result<void> slept = co_await sleep_for(context.session().loop(), std::chrono::milliseconds(*ms));
  if (!slept) co_return Status::make(rpc::code::kCanceled, slept.error().detail);
  co_return json_number(*ms);
}

Status fail_as_told(Context& context) {
  const rpc::Query query = context.query();
  const Reply<std::int64_t> code = number_in(query, "code", rpc::code::kInternal, INT32_MIN, INT32_MAX);
  if (!code) return code.status();
  return Status::make(static_cast<std::int32_t>(*code), std::string(rpc::query_value(query, "text")));
}

// The request's body, as it is, to `path` of `to`; the reply, as it is, back to the caller.
asio::awaitable<Reply<RawBody>> forward(rpc::Session to, Context& context, RawBodyView body) {
  const rpc::Query query = context.query();
  const std::string path(rpc::query_value(query, "path"));
  if (path.empty()) co_return bad_request("path is missing");
  rpc::CallOptions options;
  options.gzip = context.header().gzip;  // the bytes are compressed already, if they are
  options.header_codec = context.header_codec();
  Reply<RawBody> reply = co_await to.pull<RawBody>(path, RawBody{0, std::string(as_text(body.with_codec))}, options);
  if (!reply) co_return reply.status();
  // Compressed as the request was: with the id in front it goes back verbatim.
  RawBody verbatim{0, std::string(1, static_cast<char>(reply->codec_id)) + reply->bytes};
  if (reply->codec_id == 0) verbatim.bytes.clear();
  co_return verbatim;
}

void print_push(Context& context, RawBodyView body, Lines& lines, const ExampleRoutesOptions& options,
                const framing::CodecRegistry& codecs) {
  const std::string from = context.session().remote();
  const Result<PlainBody> plain =
      plain_body(context.header(), context.has_body(), body.codec_id(), body.bytes(), options.inflated_bytes_max);
  if (options.json) {
    boost::json::object line;
    add_bytes(line, "push", as_bytes(context.uri()));
    line["from"] = from;
    line["codec"] = context.has_body() ? boost::json::value(codec_label(codecs, body.codec_id())) : nullptr;
    if (plain) {
      add_bytes(line, "body", as_bytes(plain->bytes));
    } else {
      line["error"] = plain.error().detail;
    }
    return lines.write(json_line(line));
  }
  std::string line = "push " + shown_in_line(context.uri()) + " from " + shown_in_line(from) + " " +
                     codec_label(codecs, body.codec_id()) + ": ";
  line += plain ? shown_in_line(plain->bytes) : "(" + plain.error().to_string() + ")";
  lines.write(line + "\n");
}

}  // namespace

void add_example_routes(rpc::Peer& peer, Lines& lines, const ExampleRoutesOptions& options) {
  rpc::Router router = peer.router();
  router.on_pull("/echo", [](RawBodyView body) { return body; });
  router.on_pull("/sum", &sum);
  router.on_pull("/sleep", &sleep_as_told);
  router.on_pull("/fail", &fail_as_told);
  router.on_pull("/sessions", [&peer](Context& context) {
    std::vector<std::string> ids;
    peer.for_each([&ids](const rpc::Session& session) { ids.push_back(session.id()); });
    context.set_reply_codec(framing::kCodecJson);
    return ids;
  });
  router.on_pull("/call_back",
                 [](Context& context, RawBodyView body) { return forward(context.session(), context, body); });
  router.on_pull("/relay", [&peer](Context& context, RawBodyView body) -> asio::awaitable<Reply<RawBody>> {
    const rpc::Query query = context.query();
    const rpc::Session session = peer.find(rpc::query_value(query, "to"));
    if (!session) co_return bad_request("to names no session; /sessions lists them");
    co_return co_await forward(session, context, body);
  });
  router.on_pull("/broadcast", [&peer](Context& context, RawBodyView body) -> Reply<RawBody> {
    const rpc::Query query = context.query();
    const std::string_view path = rpc::query_value(query, "path");
    if (path.empty()) return bad_request("path is missing");
    const RawBody verbatim{0, std::string(as_text(body.with_codec))};
    rpc::CallOptions call;
    call.gzip = context.header().gzip;
    std::int64_t sent = 0;
    const rpc::Session caller = context.session();
    peer.for_each([&](const rpc::Session& session) {
      if (session != caller && session.push(path, verbatim, call)) ++sent;
    });
    return json_number(sent);
  });
  const auto print = [&lines, options, &codecs = peer.codecs()](Context& context, RawBodyView body) {
    print_push(context, body, lines, options, codecs);
  };
  router.on_push("/log", print);
  if (options.every_push) router.on_unknown_push(print);
}

}  // namespace wayport::tools
