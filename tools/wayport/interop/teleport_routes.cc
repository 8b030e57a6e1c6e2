#include "wayport/tools/wayport/interop/teleport_routes.h"

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>

#include "wayport/base/co.h"
#include "wayport/rpc/handlers.h"
#include "wayport/rpc/router.h"
#include "wayport/rpc/uri.h"
#include "wayport/tools/wayport/interop/teleport_body.h"

namespace wayport::tools::interop {
namespace {

using framing::RawBody;
using rpc::Context;
using rpc::RawBodyView;
using rpc::Reply;
using rpc::Status;

constexpr std::int64_t kSlowMsMax = 10 * 60 * 1000;
constexpr const char* kNotes = "notes";

// The session ends for a body that does not decode; what is answered matters to the other errors only.
Status bad_request(const Error& error) { return Status::make(rpc::code::kBadUri, error.to_string()); }
Status bad_number(std::int64_t number) {
  return Status::make(rpc::code::kBadUri, std::to_string(number) + " is out of range");
}

class Routes {
 public:
  explicit Routes(const RouteOptions& options) : options_(options) {}

  RawBody answer(const Context& context, const Value& value) const {
    return encode(context.has_body() ? context.body_codec() : options_.codec, value);
  }

  Reply<RawBody> length(Context& context) const {
    const Result<std::string> text = text_of(context);
    if (!text) return bad_request(text.error());
    return answer(context, static_cast<std::int64_t>(text->size()));
  }
  Status fail_as_told(Context& context) const {
    const Result<std::int64_t> code = number_of(context);
    if (!code) return bad_request(code.error());
    const std::int64_t sent = *code + (options_.wrong_status ? 1 : 0);
    if (*code < INT32_MIN || *code > INT32_MAX || sent > INT32_MAX) return bad_number(*code);
    return Status::make(static_cast<std::int32_t>(sent), "interop");
  }
  asio::awaitable<Reply<RawBody>> slow(Context& context) const {
    const Result<std::int64_t> ms = number_of(context);
    if (!ms) co_return bad_request(ms.error());
    if (*ms < 0 || *ms > kSlowMsMax) co_return bad_number(*ms);
    const Result<void> slept = co_await sleep_for(context.session().loop(), std::chrono::milliseconds(*ms));
    if (!slept) co_return Status::make(rpc::code::kCanceled, slept.error().detail);
    co_return answer(context, *ms);
  }

 private:
  const RouteOptions options_;
};

std::int64_t notes_of(const Context& context) { return context.store().get<std::int64_t>(kNotes).value_or(0); }

// The bytes as they came go to the caller, and those that come back to the caller as well.
asio::awaitable<Reply<RawBody>> back(Context& context, RawBodyView body) {
  rpc::CallOptions options;
  options.gzip = context.header().gzip;  // they are compressed already, if they are
  options.header_codec = context.header_codec();
  const rpc::Session session = context.session();
  Reply<RawBody> reply =
      co_await session.pull<RawBody>("/interop/echo", RawBody{0, std::string(as_text(body.with_codec))}, options);
  if (!reply) co_return reply.status();
  RawBody verbatim{0, std::string(1, static_cast<char>(reply->codec_id)) + reply->bytes};
  if (reply->codec_id == 0) verbatim.bytes.clear();
  co_return verbatim;
}

}  // namespace

void add_routes(rpc::Peer& peer, const RouteOptions& options) {
  const Routes routes(options);
  rpc::Router router = peer.router().group("/interop");
  router.on_pull("/echo", [](RawBodyView body) { return body; });
  router.on_pull("/length", [routes](Context& context) { return routes.length(context); });
  router.on_pull("/fail", [routes](Context& context) { return routes.fail_as_told(context); });
  router.on_pull("/query", [routes](Context& context) {
    return routes.answer(context, std::string(rpc::query_value(context.query(), "q")));
  });
  router.on_pull("/slow", [routes](Context& context) { return routes.slow(context); });
  router.on_push("/note", [](Context& context) {
    // A note that cannot be read is none; it has ended the session.
    if (text_of(context)) context.store().set(kNotes, notes_of(context) + 1);
  });
  router.on_pull("/notes", [routes](Context& context) { return routes.answer(context, notes_of(context)); });
  router.on_pull("/back", &back);
}

}  // namespace wayport::tools::interop
