// spec/vectors/route.json: its vectors and transcripts, each by name, at every split. Its tokens are tested in framing/jwt;
// here only that each fits its frame.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/framing/route/message_prefix.h"
#include "wayport/framing/route/target.h"

namespace wayport::route {
namespace {

using boost::json::array;
using boost::json::object;
using Verdict = AnswerReader::Verdict;

const object& vectors() {
  static const object all = [] {
    std::ifstream file("spec/vectors/route.json");
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return boost::json::parse(text).as_object();
  }();
  return all;
}
std::string text_of(const object& from, std::string_view key) { return std::string(from.at(key).as_string()); }
std::string bytes_of(const object& from, std::string_view key = "hex") { return from_hex(text_of(from, key)).value(); }

std::string bytes_of(const Chain& chain) {
  std::string bytes(chain.size(), '\0');
  chain.copy_to(std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  return bytes;
}

// Shows `stream` in pieces of `piece` bytes, unconsumed bytes again, and gives what was not consumed at the end.
template <class Reader>
Result<std::string> read_in_pieces(Reader& reader, std::string_view stream, std::size_t piece) {
  std::size_t consumed = 0;
  for (std::size_t end = 0; end < stream.size();) {
    end = std::min(end + piece, stream.size());
    WAYPORT_TRY_ASSIGN(const std::size_t taken, reader.read(as_bytes(stream.substr(consumed, end - consumed))));
    consumed += taken;
  }
  return std::string(stream.substr(consumed));
}

std::string identify_of(std::string_view frame) {
  IdentifyReader reader;
  EXPECT_EQ(read_in_pieces(reader, frame, frame.size()).value(), "");
  EXPECT_TRUE(reader.done());
  return std::string(reader.identify());
}

enum class Is : std::uint8_t { target, no_target, bad_length, accepted, refused };

TEST(RouteVectors, EveryVectorIsJudgedAsItSaysAtEverySplit) {
  const std::map<std::string, Is> named = {
      {"success-default", Is::accepted},        {"success-empty", Is::accepted},
      {"success-custom", Is::accepted},         {"failure", Is::refused},
      {"identify-zero-length", Is::bad_length}, {"identify-length-ffffffff", Is::bad_length},
      {"identify-over-max", Is::bad_length},    {"identify-big-endian-mistake", Is::bad_length},
      {"identify-max", Is::no_target},
  };
  std::map<Is, int> seen;
  for (const auto& value : vectors().at("vectors").as_array()) {
    const object& vector = value.as_object();
    const object& fields = vector.at("fields").as_object();
    const std::string name = text_of(vector, "name");
    SCOPED_TRACE(name);
    Is is = Is::target;
    if (name.starts_with("identify-bad-")) is = Is::no_target;
    if (const auto found = named.find(name); found != named.end()) is = found->second;
    ++seen[is];
    std::string bytes;
    if (vector.at("hex").is_null()) {
      bytes = bytes_of(vector, "hex_prefix");
      bytes.resize(static_cast<std::size_t>(vector.at("total_bytes").as_int64()), 'h');
    } else {
      bytes = bytes_of(vector);
    }
    for (std::size_t piece = 1; piece <= std::min<std::size_t>(bytes.size(), 64); ++piece) {
      SCOPED_TRACE(piece);
      if (is == Is::accepted || is == Is::refused) {
        AnswerReader reader;
        ASSERT_EQ(read_in_pieces(reader, bytes, piece).value(), "");
        ASSERT_EQ(reader.verdict(), is == Is::accepted ? Verdict::accepted : Verdict::refused);
        if (is == Is::refused) continue;
        ASSERT_EQ(reader.message(), bytes_of(fields, "message_hex"));
        continue;
      }
      IdentifyReader reader;
      const Result<std::string> rest = read_in_pieces(reader, bytes, piece);
      ASSERT_EQ(rest.has_value(), is != Is::bad_length);
      ASSERT_EQ(reader.done(), is != Is::bad_length);
      if (!rest) continue;
      ASSERT_EQ(*rest, "");
      ASSERT_EQ(parse_target(reader.identify()).has_value(), is == Is::target);
      if (fields.contains("identify")) ASSERT_EQ(reader.identify(), text_of(fields, "identify"));
    }
    // And back.
    Chain chain;
    if (is == Is::target || is == Is::no_target) {
      ASSERT_TRUE(write_identify(chain, identify_of(bytes)));
      EXPECT_EQ(bytes_of(chain), bytes);
    } else if (is == Is::accepted) {
      const auto message = framing::from_base64(text_of(fields, "config_value"));
      ASSERT_TRUE(message);
      ASSERT_TRUE(write_success(chain, as_bytes(*message)));
      EXPECT_EQ(bytes_of(chain), bytes);
    } else if (is == Is::refused) {
      EXPECT_EQ(bytes, kErrorAnswer);
    }
  }
  EXPECT_EQ(vectors().at("vectors").as_array().size(), 22u);
  EXPECT_EQ(seen[Is::target], 3);
  EXPECT_EQ(seen[Is::no_target], 11);
  EXPECT_EQ(seen[Is::bad_length], 4);
  EXPECT_EQ(seen[Is::accepted], 3);
  EXPECT_EQ(seen[Is::refused], 1);
}

// A gateway as the codec sees it: what goes out for what comes in.
class Gateway {
 public:
  explicit Gateway(bool backend_up) : backend_up_(backend_up) {}
  void from_client(std::string_view bytes) {
    std::size_t taken = 0;
    if (!reader_.done()) {
      taken = reader_.read(as_bytes(bytes)).value();
      if (!reader_.done()) return;
      EXPECT_TRUE(parse_target(reader_.identify()));
      Chain answer;
      if (backend_up_) {
        EXPECT_TRUE(write_success(answer, as_bytes("ok")));
      } else {
        answer.append(as_bytes(kErrorAnswer));
      }
      to_client += bytes_of(answer);
    }
    to_backend += bytes.substr(taken);
  }
  std::string to_client, to_backend;

 private:
  const bool backend_up_;
  IdentifyReader reader_;
};

TEST(RouteVectors, EveryTranscriptOfAByteStreamPlaysAtEverySplit) {
  std::set<std::string> played;
  for (const auto& value : vectors().at("transcripts").as_array()) {
    const object& transcript = value.as_object();
    const std::string name = text_of(transcript, "name");
    if (name.starts_with("ws-")) continue;
    SCOPED_TRACE(name);
    played.insert(name);
    for (std::size_t piece = 1; piece <= 24; ++piece) {
      SCOPED_TRACE(piece);
      Gateway gateway(name != "tcp-backend-refused");
      std::string client_saw, backend_saw;
      for (const auto& step_value : transcript.at("steps").as_array()) {
        const object& step = step_value.as_object();
        if (step.contains("close")) continue;
        const std::string direction = text_of(step, "direction");
        const std::string bytes = bytes_of(step);
        if (direction == "client->gateway") {
          EXPECT_EQ(gateway.to_client, client_saw) << "nothing comes before its cause";
          for (std::size_t at = 0; at < bytes.size(); at += piece)
            gateway.from_client(std::string_view(bytes).substr(at, piece));
        } else if (direction == "backend->gateway") {
          gateway.to_client += bytes;
        } else if (direction == "gateway->client") {
          client_saw += bytes;
          EXPECT_EQ(gateway.to_client, client_saw);
        } else {
          backend_saw += bytes;
          if (!bytes.empty()) EXPECT_EQ(gateway.to_backend, backend_saw);
        }
      }
      AnswerReader reader;
      const std::string rest = read_in_pieces(reader, client_saw, piece).value();
      EXPECT_EQ(reader.verdict(), name == "tcp-backend-refused" ? Verdict::refused : Verdict::accepted);
      if (name == "tcp-iphost-success") EXPECT_EQ(rest, "data");
    }
  }
  EXPECT_THAT(played, ::testing::ElementsAre("tcp-backend-refused", "tcp-early-data", "tcp-identify-split",
                                             "tcp-iphost-success"));
  EXPECT_EQ(vectors().at("transcripts").as_array().size(), 5u);
}

TEST(RouteVectors, MessagesOfAWebSocketGetTheirLengthOnTheWayToTheBackend) {
  const object& transcript = vectors().at("transcripts").as_array().at(4).as_object();
  ASSERT_EQ(text_of(transcript, "name"), "ws-iphost");
  EXPECT_TRUE(parse_target(text_of(transcript.at("http_request_headers").as_object(), "server-identify")));
  std::string expected_to_backend, to_backend;
  int messages = 0;
  for (const auto& value : transcript.at("steps").as_array()) {
    const object& step = value.as_object();
    const std::string direction = text_of(step, "direction");
    if (direction == "client->gateway") {
      const std::string message = bytes_of(step);
      to_backend += as_text(message_prefix(static_cast<std::uint32_t>(message.size())));
      to_backend += message;
      ++messages;
    } else if (direction == "gateway->backend") {
      expected_to_backend += bytes_of(step);
    }
  }
  EXPECT_EQ(messages, 2);
  EXPECT_EQ(to_backend, expected_to_backend);
}

TEST(RouteVectors, EveryTokenIsTheIdentifyOfItsFrame) {
  for (const auto& value : vectors().at("jwt").as_array()) {
    const object& vector = value.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    const std::string frame = bytes_of(vector, "identify_frame_hex");
    IdentifyReader reader;
    EXPECT_EQ(read_in_pieces(reader, frame, 7).value(), "");
    EXPECT_EQ(reader.identify(), text_of(vector, "token"));
  }
  EXPECT_EQ(vectors().at("jwt").as_array().size(), 28u);
}

}  // namespace
}  // namespace wayport::route
