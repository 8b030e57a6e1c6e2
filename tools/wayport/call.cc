#include "wayport/tools/wayport/call.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <optional>

#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/body_source.h"
#include "wayport/tools/wayport/plain_body.h"
#include "wayport/tools/wayport/session_options.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

// The reply is here; what remains is the orderly end.
constexpr Duration kCloseTimeout = std::chrono::seconds(2);

rpc::PeerOptions peer_options(const CallOptions& options, Duration close_timeout) {
  rpc::PeerOptions peer;
  peer.session = session_options(options.wire);
  peer.session.close_timeout = close_timeout;
  return peer;
}

rpc::CallOptions call_options(const CallOptions& options) {
  rpc::CallOptions call;
  call.gzip = options.body.gzip;
  return call;
}

void print_reply(const PlainBody& body, const CallOptions& options, const framing::CodecRegistry& codecs,
                 Console& console) {
  if (options.json) {
    boost::json::object line;
    line["code"] = rpc::code::kOk;
    line["codec"] = body.present ? boost::json::value(codec_label(codecs, body.codec)) : nullptr;
    line["gzip"] = body.gzip;
    add_bytes(line, "body", as_bytes(body.bytes));
    console.out << json_line(line);
  } else if (console.out_is_terminal) {
    console.out << shown_on_terminal(body.bytes) << (body.bytes.ends_with('\n') || body.bytes.empty() ? "" : "\n");
  } else {
    console.out << body.bytes;
  }
  console.out << std::flush;
}

void print_error(const rpc::Status& status, const CallOptions& options, Console& console) {
  if (options.json) {
    boost::json::object line;
    line["code"] = status.code;
    add_bytes(line, "text", as_bytes(status.text));
    line["origin"] = status.origin == rpc::Status::Origin::remote ? "remote" : "local";
    console.out << json_line(line) << std::flush;
  }
  // A remote code without text still says what it means.
  const std::string_view text = status.text.empty() ? rpc::status_text(status.code) : std::string_view(status.text);
  console.err << "error: " << status.code << " " << shown_in_line(text)
              << (status.origin == rpc::Status::Origin::remote ? "" : " (from this side)") << "\n";
}

// On an error, which is told.
Result<std::optional<framing::RawBody>> loaded(const CallOptions& options, Console& console) {
  Result<std::optional<framing::RawBody>> body = load_body(options.body, console.in);
  if (!body) console.err << "error: " << body.error().to_string() << "\n";
  return body;
}

}  // namespace

int call(Runtime& runtime, const CallOptions& options, Console& console) {
  const Result<std::optional<framing::RawBody>> body = loaded(options, console);
  if (!body) return kExitUsage;
  // The time-out covers the dial as well.
  const TimePoint due = runtime.clock().now() + options.timeout;
  rpc::Peer peer(runtime, peer_options(options, kCloseTimeout));
  const rpc::Session session = connect(peer, options.url, options.timeout, console);
  if (!session) return kExitFailure;
  rpc::CallOptions call = call_options(options);
  // In whole milliseconds, for the message.
  call.timeout =
      std::max(std::chrono::ceil<std::chrono::milliseconds>(due - runtime.clock().now()), std::chrono::milliseconds(1));
  const rpc::Reply<PlainBody> reply = pull_plain(session, options.path, *body, call).get();
  if (reply) {
    print_reply(*reply, options, peer.codecs(), console);
  } else {
    print_error(reply.status(), options, console);
  }
  // A call without an answer is not waited for any longer.
  if (reply || reply.status().origin == rpc::Status::Origin::remote) peer.close_blocking();
  return reply && console.out.good() ? kExitSuccess : kExitFailure;
}

int push(Runtime& runtime, const PushOptions& options, Console& console) {
  const Result<std::optional<framing::RawBody>> body = loaded(options, console);
  if (!body) return kExitUsage;
  rpc::Peer peer(runtime, peer_options(options, options.timeout));
  const rpc::Session session = connect(peer, options.url, options.timeout, console);
  if (!session) return kExitFailure;
  const rpc::CallOptions call = call_options(options);
  const Result<void> pushed =
      *body ? session.push(options.path, **body, call) : session.push(options.path, framing::NoBody{}, call);
  if (!pushed) {
    console.err << "error: " << pushed.error().to_string() << "\n";
    return kExitFailure;
  }
  // The end of a graceful close is that the peer has taken everything and has ended its side; else time runs out.
  const TimePoint start = runtime.clock().now();
  peer.close_blocking();
  const std::optional<CloseReason> reason = session.close_reason();
  if (reason && (reason->by != CloseReason::By::local || reason->error.code != ErrorCode::local_closed)) {
    console.err << "error: the session ended before the push was taken: " << shown_in_line(to_string(*reason)) << "\n";
    return kExitFailure;
  }
  if (runtime.clock().now() - start >= options.timeout) {
    console.err << "error: the peer did not take the push within " << format_duration(options.timeout) << "\n";
    return kExitFailure;
  }
  return kExitSuccess;
}

}  // namespace wayport::tools
