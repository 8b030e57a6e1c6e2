#include "wayport/tools/wayport/packets/packet_printer.h"

#include <boost/json/object.hpp>

#include "wayport/framing/teleport/protocol.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

std::string type_name(std::int32_t type) {
  switch (type) {
    case framing::kTypePull:
      return "pull";
    case framing::kTypeReply:
      return "reply";
    case framing::kTypePush:
      return "push";
    case framing::kTypePushV20:
      return "push(2.0)";
    default:
      return "type(" + std::to_string(type) + ")";
  }
}

std::string aligned(std::uint64_t offset, std::string_view what) {
  std::string out = std::to_string(offset);
  if (out.size() < 8) out.insert(0, 8 - out.size(), ' ');
  out += "  ";
  out += what;
  if (what.size() < 5) out.append(5 - what.size(), ' ');
  return out;
}

// Header and body lengths without their codec ids.
std::size_t header_size(const framing::PacketView& packet) {
  constexpr std::size_t kLengthFields = 8;
  return packet.size - kLengthFields - packet.body_with_codec.size() - 1;
}

}  // namespace

PacketPrinter::PacketPrinter(framing::ProtocolContext& context, PacketPrinterOptions options, Sink sink)
    : context_(context), options_(std::move(options)), sink_(std::move(sink)) {}

void PacketPrinter::feed(Bytes bytes) {
  if (failed_) return;
  unread_ += as_text(bytes);
  const Result<std::size_t> taken = reader_.read(as_bytes(unread_), framing::teleport_protocol(), context_,
                                                 [this](const framing::PacketView& packet) {
                                                   print(packet);
                                                   offset_ += packet.size;
                                                   ++packets_;
                                                   return true;
                                                 });
  if (!taken) return fail(taken.error());
  unread_.erase(0, *taken);
}

void PacketPrinter::finish() {
  const std::size_t left = unread_.size() + reader_.buffered();
  if (failed_ || left == 0) return;
  fail({ErrorCode::peer_closed,
        "the stream ends inside a packet, after " + std::to_string(left) +
            " bytes of it: " + shown_in_line(unread_, options_.preview_bytes_max),
        {}});
}

void PacketPrinter::fail(const Error& error) {
  if (failed_) return;
  failed_ = true;
  unread_ = {};
  reader_ = {};
  if (options_.json) {
    boost::json::object line;
    if (!options_.stream.empty()) line["stream"] = options_.stream;
    line["offset"] = offset_;
    line["error"] = {{"code", to_string(error.code)}, {"detail", error.detail}};
    return sink_(json_line(line));
  }
  std::string line = options_.stream.empty() ? std::string() : options_.stream + "  ";
  line += aligned(offset_, "error");
  sink_(line + "  " + error.to_string() + "\n");
}

void PacketPrinter::print(const framing::PacketView& packet) {
  Bytes body = packet.body;
  std::string note;
  if (packet.header.gzip != 0 && !body.empty()) {
    if (looks_compressed(body)) {
      if (const Result<Bytes> plain = framing::plain_body(packet, context_)) {
        body = *plain;
      } else {
        note = plain.error().to_string();
        ++bad_bodies_;
      }
    } else {
      note = "not compressed";
    }
  }
  options_.json ? print_json(packet, body, note) : print_text(packet, body, note);
}

void PacketPrinter::print_text(const framing::PacketView& packet, Bytes body, std::string_view note) {
  const framing::PacketHeader& header = packet.header;
  std::string line = options_.stream.empty() ? std::string() : options_.stream + "  ";
  line += aligned(offset_, type_name(header.type));
  line += "  seq=" + std::to_string(header.seq);
  if (!header.uri.empty()) line += " uri=" + shown_in_line(header.uri);
  if (header.status_code != 0 || !header.status.empty()) {
    line += " status=" + std::to_string(header.status_code) + " \"" + escape(header.status) + "\"";
  }
  if (header.gzip != 0) line += " gzip=" + std::to_string(header.gzip);
  line += " header=" + codec_label(context_.codecs, packet.header_codec) + "/" + std::to_string(header_size(packet));
  line += " body=";
  line += packet.has_body_codec
              ? codec_label(context_.codecs, packet.body_codec) + "/" + std::to_string(packet.body.size())
              : "none";
  line += " size=" + std::to_string(packet.size);
  if (!note.empty()) {
    line += " (" + std::string(note) + ")";
  } else if (header.gzip != 0 && !packet.body.empty()) {
    line += " inflated=" + std::to_string(body.size());
  }
  if (!body.empty()) line += " : " + shown_in_line(as_text(body), options_.preview_bytes_max);
  sink_(line + "\n");
}

void PacketPrinter::print_json(const framing::PacketView& packet, Bytes body, std::string_view note) {
  const framing::PacketHeader& header = packet.header;
  boost::json::object line;
  if (!options_.stream.empty()) line["stream"] = options_.stream;
  line["offset"] = offset_;
  line["size"] = packet.size;
  line["type"] = header.type;
  line["type_name"] = type_name(header.type);
  line["seq"] = header.seq;
  add_bytes(line, "uri", as_bytes(header.uri));
  line["gzip"] = header.gzip;
  line["status_code"] = header.status_code;
  add_bytes(line, "status", as_bytes(header.status));
  line["header_codec"] = codec_label(context_.codecs, packet.header_codec);
  line["header_bytes"] = header_size(packet);
  line["body_codec"] = packet.has_body_codec ? boost::json::value(codec_label(context_.codecs, packet.body_codec))
                                             : boost::json::value(nullptr);
  line["body_bytes"] = packet.body.size();
  if (!note.empty()) {
    line["body_note"] = note;
  } else if (header.gzip != 0 && !packet.body.empty()) {
    line["inflated_bytes"] = body.size();
  }
  add_bytes(line, "body", body);
  sink_(json_line(line));
}

}  // namespace wayport::tools
