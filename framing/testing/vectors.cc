#include "wayport/framing/testing/vectors.h"

#include <zlib.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::framing::testing {
namespace {

namespace json = boost::json;

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "spec/vectors/teleport.json: " << why << '\n';
  std::abort();
}

std::string read_file() {
  // Bazel runs tests in the runfiles of the main repository; imported, ours are beside it.
  std::vector<std::string> roots = {".", "../wayport"};
  if (const char* runfiles = std::getenv("TEST_SRCDIR")) roots.push_back(std::string(runfiles) + "/wayport");
  for (const std::string& root : roots) {
    std::ifstream file(root + "/spec/vectors/teleport.json", std::ios::binary);
    if (file) return {std::istreambuf_iterator<char>(file), {}};
  }
  give_up("not among the runfiles");
}

class Entry {
 public:
  explicit Entry(const json::object& object) : object_(object) {}

  std::string text(std::string_view key) const {
    const json::value* value = object_.if_contains(json::string_view(key.data(), key.size()));
    return value == nullptr ? std::string() : std::string(value->as_string());
  }
  std::string hex(std::string_view key) const {
    std::optional<std::string> bytes = from_hex(text(key));
    if (!bytes) give_up(text("name") + ": bad hex in " + std::string(key));
    return *std::move(bytes);
  }
  template <class T>
  T number(std::string_view key) const {
    const json::value* value = object_.if_contains(json::string_view(key.data(), key.size()));
    return value == nullptr ? T{} : value->to_number<T>();
  }
  bool flag(std::string_view key) const {
    const json::value* value = object_.if_contains(json::string_view(key.data(), key.size()));
    return value != nullptr && value->as_bool();
  }
  bool has(std::string_view key) const { return object_.contains(json::string_view(key.data(), key.size())); }
  Entry inner(std::string_view key) const {
    return Entry(object_.at(json::string_view(key.data(), key.size())).as_object());
  }

 private:
  const json::object& object_;
};

std::uint8_t codec_id(const std::string& name) {
  if (name.empty()) return 0;
  if (name == "json") return 'j';
  if (name == "protobuf") return 'p';
  if (name == "string") return 's';
  give_up("unknown codec name " + name);
}

PacketVector::BodyForm body_form(const std::string& name) {
  static const std::map<std::string, PacketVector::BodyForm> kForms = {
      {"empty", PacketVector::BodyForm::empty},
      {"codec_only", PacketVector::BodyForm::codec_only},
      {"plain", PacketVector::BodyForm::plain},
      {"gzip", PacketVector::BodyForm::gzip},
      {"raw", PacketVector::BodyForm::raw}};
  const auto found = kForms.find(name);
  if (found == kForms.end()) give_up("unknown body form " + name);
  return found->second;
}

PacketVector read_packet(const Entry& entry) {
  const Entry header = entry.inner("header");
  PacketVector packet;
  packet.name = entry.text("name");
  packet.version = entry.text("version");
  packet.from_client = entry.text("direction") == "client_to_server";
  packet.bytes = entry.hex("hex");
  packet.seq = header.number<std::uint64_t>("seq");
  packet.type = header.number<std::int32_t>("type");
  packet.uri = header.text("uri");
  packet.gzip = header.number<std::int32_t>("gzip");
  packet.status_code = header.number<std::int32_t>("status_code");
  packet.status = header.text("status");
  packet.header_codec = codec_id(entry.text("header_codec"));
  packet.header_length = entry.number<std::size_t>("header_length");
  packet.body_length = entry.number<std::size_t>("body_length");
  packet.body_codec = codec_id(entry.text("body_codec"));
  packet.body = entry.hex("body_hex");
  packet.body_form = body_form(entry.text("body_form"));
  packet.notes = entry.text("notes");
  return packet;
}

MalformedInput read_malformed(const Entry& entry) {
  MalformedInput input;
  input.name = entry.text("name");
  input.prefix = entry.hex("hex");
  input.generator = entry.text("generator");
  input.total_bytes = entry.flag("hex_truncated") ? entry.number<std::size_t>("total_bytes") : input.prefix.size();
  input.server_read_limit = entry.number<std::size_t>("server_read_limit");
  if (entry.has("server_read_timeout")) {
    if (entry.text("server_read_timeout") != "1s") give_up(input.name + ": unknown read timeout");
    input.server_read_timeout = std::chrono::seconds(1);
  }
  input.server_unknown_handler = entry.flag("server_unknown_handler");
  input.client_half_closes = entry.flag("client_half_closes_after_sending");
  input.pacing = entry.text("pacing");
  input.reply = entry.hex("reply_hex");
  input.go_behaviour = entry.text("go_behaviour");
  if (entry.has("reply_hex_v2_0")) input.reply_v2_0 = entry.hex("reply_hex_v2_0");
  if (entry.has("reply_hex_v2_6")) input.reply_v2_6 = entry.hex("reply_hex_v2_6");
  input.go_behaviour_v2_0 = entry.text("go_behaviour_v2_0");
  input.go_behaviour_v2_6 = entry.text("go_behaviour_v2_6");
  return input;
}

// gzip -9 of 200 MiB of 'A', as zlib writes it.
const std::string& gzip_bomb() {
  static const std::string bomb = [] {
    std::string out(1u << 20, '\0');
    std::string piece(1u << 20, 'A');
    z_stream stream{};
    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) give_up("deflateInit2 failed");
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    for (int i = 0; i < 200; ++i) {
      stream.next_in = reinterpret_cast<Bytef*>(piece.data());
      stream.avail_in = static_cast<uInt>(piece.size());
      deflate(&stream, i == 199 ? Z_FINISH : Z_NO_FLUSH);
    }
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }();
  return bomb;
}

TeleportVectors load() {
  const std::string text = read_file();
  json::error_code failed;
  const json::value document = json::parse(text, failed);
  if (failed) give_up(failed.message());
  TeleportVectors vectors;
  for (const json::value& value : document.as_array()) {
    const Entry entry(value.as_object());
    const std::string kind = entry.text("kind");
    if (kind == "packet") {
      vectors.packets.push_back(read_packet(entry));
    } else if (kind == "defect_stream") {
      vectors.defect_streams.push_back(
          {entry.text("name"), entry.text("version"), entry.hex("hex"), entry.text("notes")});
    } else if (kind == "malformed") {
      vectors.malformed.push_back(read_malformed(entry));
    } else {
      give_up("unknown kind " + kind);
    }
  }
  return vectors;
}

template <class Vector>
const Vector* find(const std::vector<Vector>& all, std::string_view name) {
  for (const Vector& vector : all) {
    if (vector.name == name) return &vector;
  }
  return nullptr;
}

}  // namespace

std::string MalformedInput::bytes() const {
  if (generator.empty()) return prefix;
  std::string all;
  if (generator.starts_with("prefix shown, then 0x20 repeated")) {
    all = prefix;
    all.resize(total_bytes, ' ');
  } else if (generator.starts_with("prefix shown, then gzip(level 9")) {
    // The prefix shows the beginning of the compressed data, too: that starts where the announced body fits the end.
    all = prefix.substr(0, total_bytes - gzip_bomb().size()) + gzip_bomb();
  } else {
    give_up(name + ": unknown generator: " + generator);
  }
  if (all.size() != total_bytes || !all.starts_with(prefix))
    give_up(name + ": the generated bytes are not the recorded ones");
  return all;
}

const PacketVector* TeleportVectors::packet(std::string_view name) const { return find(packets, name); }
const MalformedInput* TeleportVectors::malformed_input(std::string_view name) const { return find(malformed, name); }

const TeleportVectors& teleport_vectors() {
  static const TeleportVectors vectors = load();
  return vectors;
}

}  // namespace wayport::framing::testing
