#include "wayport/rpc/plugins/run_log/run_log.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/session_core.h"

namespace wayport::rpc::plugins {
namespace {

using framing::OutgoingBody;
using framing::PacketHeader;

RunLogOptions bounded(RunLogOptions options) {
  options.body_bytes_max = std::min(options.body_bytes_max, kRunLogTextBytesMax);
  options.uri_bytes_max = std::min(options.uri_bytes_max, kRunLogTextBytesMax);
  return options;
}

// "json"; of an id that nobody registered, the number.
std::string codec_name(std::uint8_t id, SessionCore& session) {
  const framing::Codec* const codec = session.context().codecs.find(id);
  return codec ? std::string(codec->name()) : std::to_string(id);
}

// At most `bytes_max` bytes, and how many more there are. The log escapes it.
std::string shortened(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  return std::string(text.substr(0, bytes_max)) + "...(+" + std::to_string(text.size() - bytes_max) + " bytes)";
}

std::string encoded(const OutgoingBody& body) {
  Chain chain;
  try {
    if (const Result<void> done = body.codec->encode(body.value, chain); !done) return "(not encodable)";
  } catch (...) {
    return "(not encodable)";
  }
  return chain.to_string();
}

std::uint8_t codec_of(const OutgoingBody& body) noexcept {
  if (body.form == OutgoingBody::Form::verbatim) {
    return body.bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(body.bytes[0]);
  }
  return body.codec ? body.codec->id() : body.codec_id;
}

}  // namespace

struct RunLog::Line {
  SessionCore& session;
  const PacketHeader& header;
  std::uint8_t header_codec;
  std::uint8_t body_codec;
  std::size_t packet_bytes;
  std::optional<Duration> cost{};
  std::int32_t status_code = 0;
  std::string_view status{};
  std::optional<std::size_t> body_bytes{};
  // What is shown of the body: one of them, or none.
  const framing::PacketView* read = nullptr;
  const OutgoingBody* written = nullptr;

  bool slow = false;
  std::uint64_t suppressed = 0;
};

RunLog::RunLog(Log& log, RunLogOptions options)
    : log_(log),
      options_(bounded(options)),
      limits_{LogLimit(options.lines_per_second, options.lines_burst),
              LogLimit(options.lines_per_second, options.lines_burst),
              LogLimit(options.lines_per_second, options.lines_burst),
              LogLimit(options.lines_per_second, options.lines_burst),
              LogLimit(options.lines_per_second, options.lines_burst),
              LogLimit(options.lines_per_second, options.lines_burst)},
      slow_limit_(options.slow_lines_per_second, options.slow_lines_burst) {}

// --- hooks ---

Status RunLog::post_read_pull_header(Call& call) {
  received(pull_received, call.session(), call.packet(), nullptr, call.header().status_code);
  return {};
}

void RunLog::end_call(const Call& call, std::int32_t status_code) noexcept {
  if (call.kind() != Call::Kind::push) return;
  try {
    std::optional<Duration> cost;
    if (times()) cost = call.session().host().exact_now() - call.received();
    received(push_received, call.session(), call.packet(), cost ? &*cost : nullptr, status_code);
  } catch (const std::exception&) {
    // Out of memory: the line is lost.
  }
}

Status RunLog::post_read_reply_header(const IncomingReply& reply) {
  std::optional<Duration> cost;
  if (times()) cost = reply.session.host().exact_now() - reply.started;
  received(reply_received, reply.session, reply.packet, cost ? &*cost : nullptr, reply.packet.header.status_code);
  return {};
}

Status RunLog::post_write_reply(const OutgoingView& reply) {
  sent(reply_sent, reply);
  return {};
}

Status RunLog::post_write_pull(const OutgoingView& pull) {
  sent(pull_sent, pull);
  return {};
}

Status RunLog::post_write_push(const OutgoingView& push) {
  sent(push_sent, push);
  return {};
}

// --- lines ---

void RunLog::received(Kind kind, SessionCore& session, const framing::PacketView& packet, const Duration* cost,
                      std::int32_t status_code) {
  Line line{session, packet.header, packet.header_codec, packet.body_codec, packet.size};
  if (cost) line.cost = *cost;
  line.status_code = status_code;
  line.status = packet.header.status;
  if (packet.has_body_codec) {
    line.body_bytes = packet.body.size();
    line.read = &packet;
  }
  if (due(kind, session.host().now(), line)) write(kind, line);
}

void RunLog::sent(Kind kind, const OutgoingView& view) {
  const OutgoingBody& body = view.packet.body;
  Line line{view.session, view.packet.header, view.packet.header_codec, codec_of(body), view.packet_bytes};
  if (kind == reply_sent && times()) line.cost = view.session.host().exact_now() - view.started;
  line.status_code = view.packet.header.status_code;
  line.status = view.packet.header.status;
  if (body.form == OutgoingBody::Form::verbatim && !body.bytes.empty()) line.body_bytes = body.bytes.size() - 1;
  if (body.form == OutgoingBody::Form::encoded && view.packet.header.gzip == 0) line.body_bytes = body.bytes.size();
  if (body.form != OutgoingBody::Form::none) line.written = &body;
  if (due(kind, view.session.host().now(), line)) write(kind, line);
}

bool RunLog::due(Kind kind, TimePoint now, Line& line) {
  line.slow = options_.slow_call > Duration::zero() && line.cost && *line.cost >= options_.slow_call;
  if (!log_.enabled(line.slow ? LogLevel::warning : options_.level)) return false;
  return (line.slow ? slow_limit_ : limits_[kind]).pass(now, line.suppressed);
}

void RunLog::write(Kind kind, const Line& line) {
  static constexpr std::array<std::string_view, kKinds> kEvents = {"pull received", "reply sent",     "push received",
                                                                   "pull sent",     "reply received", "push sent"};
  std::vector<LogField> fields;
  fields.reserve(16);
  fields.emplace_back("peer", line.session.host().peer_name());
  fields.emplace_back("seq", line.header.seq);
  if (line.cost) fields.emplace_back("cost", *line.cost);
  if (line.slow) fields.emplace_back("slow", true);
  fields.emplace_back("uri", shortened(line.header.uri, options_.uri_bytes_max));
  const bool reply = kind == reply_sent || kind == reply_received;
  // Requests may carry a status of their own; of pushes that were handled it is how that went.
  if (reply || line.status_code != 0 || kind == push_received) fields.emplace_back("status_code", line.status_code);
  if (!line.status.empty()) fields.emplace_back("status", shortened(line.status, options_.uri_bytes_max));
  fields.emplace_back("header_codec", codec_name(line.header_codec, line.session));
  if (line.body_codec != 0) fields.emplace_back("body_codec", codec_name(line.body_codec, line.session));
  if (line.header.gzip != 0) fields.emplace_back("gzip", line.header.gzip);
  fields.emplace_back("packet_bytes", line.packet_bytes);
  if (line.body_bytes) fields.emplace_back("body_bytes", *line.body_bytes);
  if (options_.print_body && line.read) {
    const Result<Bytes> plain = framing::plain_body(*line.read, line.session.context());
    fields.emplace_back("body", plain ? shortened(as_text(*plain), options_.body_bytes_max) : "(not inflatable)");
  } else if (options_.print_body && line.written) {
    const OutgoingBody& body = *line.written;
    if (body.form == OutgoingBody::Form::value) {
      fields.emplace_back("body", shortened(encoded(body), options_.body_bytes_max));
    } else if (!body.bytes.empty()) {
      const bool with_codec = body.form == OutgoingBody::Form::verbatim;
      fields.emplace_back("body", shortened(as_text(body.bytes.subspan(with_codec ? 1 : 0)), options_.body_bytes_max));
    }
  }
  if (line.suppressed != 0) fields.emplace_back("suppressed", line.suppressed);
  log_.write_fields(line.slow ? LogLevel::warning : options_.level, kEvents[kind], fields);
}

}  // namespace wayport::rpc::plugins
