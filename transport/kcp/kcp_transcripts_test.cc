// The 21 recorded conversations of spec/vectors/kcp.json. What was received is replayed exactly; what is sent is compared
// by structure, because nonces and clocks differ.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "wayport/transport/kcp/testing/kcp_pair.h"
#include "wayport/transport/kcp/testing/kcp_vectors.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;

KcpOptions options_of(const boost::json::object& vector, bool client) {
  KcpOptions options;
  const auto& nodelay = vector.at("nodelay").as_array();
  options.set_nodelay(nodelay[0].to_number<int>() != 0, nodelay[1].to_number<int>(),
                      nodelay[2].to_number<std::uint32_t>(), nodelay[3].to_number<int>() != 0);
  options.mtu = number_of<std::size_t>(vector, "mtu");
  options.stream_mode = vector.at("stream_mode").as_bool();
  options.write_delay = vector.at("write_delay").as_bool();
  options.ack_nodelay = vector.at("ack_nodelay").as_bool();
  options.send_window = number_of<std::uint32_t>(vector, "sndwnd");
  options.receive_window = number_of<std::uint32_t>(vector, "rcvwnd");
  options.fec_data = number_of<std::uint32_t>(vector.at("fec").as_object(), "data");
  options.fec_parity = number_of<std::uint32_t>(vector.at("fec").as_object(), "parity");
  // Replays leave our own segments unanswered.
  options.dead_link = options.dead_link_unvalidated = 60000;
  options.half_open_timeout = std::chrono::hours(1);
  if (!client) options.amplification_max = 1000;
  return options;
}

struct Replay : KcpWorld {
  Replay(const boost::json::object& vector, bool client) : end(*this) {
    links[0].loss = 1;  // what we send goes nowhere
    if (const std::string name = text_of(vector, "crypt"); !name.empty())
      end.cipher = *make_cipher(name, as_bytes(hex_of(vector, "key")), PacketCipher::Seed{});
    end.tap = &sent;
    end.start(options_of(vector, client), client ? KcpSession::Role::dialer : KcpSession::Role::accepted,
              number_of<std::uint32_t>(vector, "conv"));
  }
  void feed(const boost::json::object& vector, std::string_view direction) {
    const TimePoint begin = now;
    for (const auto& entry : vector.at("datagrams").as_array()) {
      const auto& datagram = entry.as_object();
      if (text_of(datagram, "dir") != direction || datagram.contains("lost")) continue;
      now = begin + std::chrono::milliseconds(number_of<int>(datagram, "t_ms"));
      std::string bytes = hex_of(datagram, "hex");
      end.session->handle_datagram({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
      if (echoes) {
        for (std::size_t end_at = 0; echoed < end.received.size(); echoed = end_at) {
          const auto message = std::ranges::upper_bound(end.message_ends, echoed);
          end_at = message == end.message_ends.end() ? end.received.size() : *message;
          end.write(end.received.substr(echoed, end_at - echoed));
        }
      }
      end.flush();
      wheel.expire(now);
      end.flush();
    }
  }
  bool echoes = false;
  std::size_t echoed = 0;
  KcpEnd end;
  std::vector<std::string> sent;
};

// sn -> (frg, payload bytes) of the pushes of one direction.
using Pushes = std::map<std::uint32_t, std::pair<int, std::size_t>>;
Pushes recorded_pushes(const boost::json::object& vector, std::string_view direction) {
  Pushes pushes;
  for (const auto& entry : vector.at("datagrams").as_array()) {
    const auto& datagram = entry.as_object();
    const auto& decoded = datagram.at("decoded").as_object();
    if (text_of(datagram, "dir") != direction || !decoded.contains("segments")) continue;
    for (const auto& item : decoded.at("segments").as_array()) {
      const auto& segment = item.as_object();
      if (text_of(segment, "cmd") == "push")
        pushes[number_of<std::uint32_t>(segment, "sn")] = {number_of<int>(segment, "frg"),
                                                           number_of<std::size_t>(segment, "len")};
    }
  }
  return pushes;
}
Pushes our_pushes(const boost::json::object& vector, const std::vector<std::string>& sent) {
  Pushes pushes;
  std::unique_ptr<PacketCipher> cipher;
  if (const std::string name = text_of(vector, "crypt"); !name.empty())
    cipher = *make_cipher(name, as_bytes(hex_of(vector, "key")), PacketCipher::Seed{std::byte{9}});
  for (std::string datagram : sent) {
    EXPECT_LE(datagram.size(), number_of<std::size_t>(vector, "mtu"));
    MutableBytes packet{reinterpret_cast<std::byte*>(datagram.data()), datagram.size()};
    if (cipher) {
      const Opened opened = cipher->open(packet);
      EXPECT_EQ(opened.status, Opened::Status::ok);
      packet = opened.packet;
    }
    Bytes kcp = packet;
    if (number_of<int>(vector.at("fec").as_object(), "data") != 0) {
      if (fec_type(kcp) == kFecParity) continue;
      EXPECT_EQ(fec_type(kcp), kFecData);
      kcp = kcp.subspan(kFecHeaderBytes);
    }
    SegmentReader reader(kcp, number_of<std::uint32_t>(vector, "conv"));
    while (const auto segment = reader.next()) {
      if (segment->cmd == kPush) pushes[segment->sn] = {segment->frg, segment->payload.size()};
    }
    EXPECT_EQ(reader.end(), ParseEnd::whole);
  }
  return pushes;
}
std::string joined(const boost::json::value& array) {
  std::string all;
  for (const auto& item : array.as_array()) all += hex_of(item);
  return all;
}

TEST(KcpTranscripts, ThereAreTwentyOne) { EXPECT_EQ(kcp_vectors().at("transcripts").as_array().size(), 21u); }

TEST(KcpTranscripts, OurServerReadsWhatTheOriginalServerRead) {
  for (const auto& entry : kcp_vectors().at("transcripts").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    Replay replay(vector, false);
    // Else their acknowledgements of what the recorded server sent would be refused.
    replay.echoes = !recorded_pushes(vector, "s2c").empty();
    replay.feed(vector, "c2s");
    const std::string wanted = joined(vector.at("server_reads"));
    EXPECT_EQ(to_hex(as_bytes(replay.end.received)), to_hex(as_bytes(wanted)));
    const Pushes pushes = recorded_pushes(vector, "c2s");
    EXPECT_EQ(replay.end.session->arq().received().next(), pushes.empty() ? 0 : pushes.rbegin()->first + 1);
    EXPECT_EQ(replay.end.counters.checksum_errors.read() + replay.end.counters.in_errors.read() +
                  replay.end.counters.kcp_errors.read() + replay.end.counters.fec_errors.read(),
              0u);
    EXPECT_FALSE(replay.end.closed.has_value());
  }
}

TEST(KcpTranscripts, OurClientSendsTheSameSegmentsAndReadsWhatTheOriginalServerSent) {
  for (const auto& entry : kcp_vectors().at("transcripts").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    Replay replay(vector, true);
    const bool delayed = vector.at("write_delay").as_bool();
    for (const auto& item : vector.at("client_writes").as_array()) {
      replay.end.write(hex_of(item));
      if (!delayed) replay.end.flush();
    }
    if (delayed) {
      replay.now += std::chrono::milliseconds(number_of<int>(vector, "sndwnd") > 0 ? 10 : 0);
      replay.wheel.expire(replay.now);
      replay.end.flush();
    }
    const Pushes theirs = recorded_pushes(vector, "c2s");
    replay.feed(vector, "s2c");
    EXPECT_EQ(our_pushes(vector, replay.sent), theirs);
    const std::string echo = hex_of(vector, "client_echo_bytes");
    const std::string reads = joined(vector.at("server_reads"));
    std::size_t pushed = 0;
    for (const auto& [sn, push] : recorded_pushes(vector, "s2c")) pushed += push.second;
    EXPECT_EQ(replay.end.received.size(), pushed);
    EXPECT_TRUE(reads.starts_with(replay.end.received));
    if (!echo.empty()) EXPECT_EQ(to_hex(as_bytes(replay.end.received)), to_hex(as_bytes(echo)));
    // Everything was acknowledged by the recording.
    EXPECT_EQ(replay.end.session->arq().unacknowledged(), 0u);
  }
}

}  // namespace
}  // namespace wayport::transport::kcp
