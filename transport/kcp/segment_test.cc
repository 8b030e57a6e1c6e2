#include "wayport/transport/kcp/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "wayport/transport/kcp/arq.h"
#include "wayport/transport/kcp/testing/kcp_vectors.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;
using ::testing::IsEmpty;

TEST(Segment, EveryVectorReadsToItsFieldsAndIsWrittenBack) {
  for (const auto& entry : kcp_vectors().at("segments").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    const std::string bytes = hex_of(vector, "bytes");
    SegmentReader reader(as_bytes(bytes), load_le<std::uint32_t>(as_bytes(bytes).data()));
    std::string again;
    std::size_t count = 0;
    while (const auto segment = reader.next()) {
      ++count;
      std::string header(kSegmentHeaderBytes, '\0');
      write_segment_header(reinterpret_cast<std::byte*>(header.data()), *segment, segment->payload.size());
      again += header + std::string(as_text(segment->payload));
      if (vector.contains("conv")) {
        EXPECT_EQ(segment->conv, number_of<std::uint32_t>(vector, "conv"));
        EXPECT_EQ(segment->cmd, number_of<std::uint8_t>(vector, "cmd"));
        EXPECT_EQ(segment->frg, number_of<std::uint8_t>(vector, "frg"));
        EXPECT_EQ(segment->wnd, number_of<std::uint16_t>(vector, "wnd"));
        EXPECT_EQ(segment->ts, number_of<std::uint32_t>(vector, "ts"));
        EXPECT_EQ(segment->sn, number_of<std::uint32_t>(vector, "sn"));
        EXPECT_EQ(segment->una, number_of<std::uint32_t>(vector, "una"));
        EXPECT_EQ(segment->payload.size(), number_of<std::size_t>(vector, "len"));
        EXPECT_EQ(as_text(segment->payload), hex_of(vector, "payload"));
      }
    }
    EXPECT_EQ(reader.end(), ParseEnd::whole);
    EXPECT_EQ(count, vector.contains("segments") ? number_of<std::size_t>(vector, "segments") : 1u);
    EXPECT_EQ(again, bytes);
  }
}

TEST(Segment, EveryInputVectorHasTheResultOfTheOriginal) {
  for (const auto& entry : kcp_vectors().at("segment_inputs").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    PacketPool pool;
    KcpCounters counters;
    KcpOptions options;
    Arq arq(options, pool, counters, {.conv = number_of<std::uint32_t>(vector, "conv_of_receiver")}, 1400);
    const std::string bytes = hex_of(vector, "bytes");
    const Arq::Heard heard = arq.handle_datagram(as_bytes(bytes), false, TimePoint(), [](const Segment&) {});
    const int result = heard.end == ParseEnd::whole                                            ? 0
                       : heard.end == ParseEnd::too_short || heard.end == ParseEnd::wrong_conv ? -1
                       : heard.end == ParseEnd::truncated                                      ? -2
                                                                                               : -3;
    EXPECT_EQ(result, number_of<int>(vector, "kcp_go_input_result"));
    iovec piece;
    const ReceiveQueue::Readable readable = arq.received().readable({&piece, 1});
    EXPECT_EQ(readable.pieces == 0 ? -1 : static_cast<int>(readable.bytes), number_of<int>(vector, "peek_size_after"));
    const bool acknowledges = arq.next_deadline() != kNever;
    if (text_of(vector, "name") == "sn_at_window_edge_rejected_no_ack") EXPECT_FALSE(acknowledges);
    if (text_of(vector, "name") == "sn_in_window_last") EXPECT_TRUE(acknowledges);
  }
}

TEST(Segment, FragmentedSendIsReadAsOneMessageInAnyOrderAndWrittenAlike) {
  for (const auto& entry : kcp_vectors().at("fragmented_send").as_array()) {
    const auto& vector = entry.as_object();
    std::vector<std::string> datagrams;
    for (const auto& datagram : vector.at("datagrams").as_array()) datagrams.push_back(hex_of(datagram));
    const std::string message = hex_of(vector, "message");
    std::vector<std::size_t> order = {0, 1, 2};
    do {
      PacketPool pool;
      KcpCounters counters;
      KcpOptions options;
      Arq arq(options, pool, counters, {.conv = number_of<std::uint32_t>(vector, "conv")}, 1400);
      for (const std::size_t i : order) {
        EXPECT_FALSE(arq.received().has_readable());
        (void)arq.handle_datagram(as_bytes(datagrams[i]), false, TimePoint(), [](const Segment&) {});
      }
      iovec pieces[4];
      const ReceiveQueue::Readable readable = arq.received().readable(pieces);
      std::string text;
      for (std::size_t i = 0; i < readable.pieces; ++i)
        text.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      EXPECT_TRUE(readable.message_end);
      EXPECT_EQ(text, message);
    } while (std::ranges::next_permutation(order).found);

    struct Output final : SegmentOutput {
      std::byte* room(std::size_t size) override {
        sent.emplace_back(size, '\0');
        return reinterpret_cast<std::byte*>(sent.back().data());
      }
      std::vector<std::string> sent;
    } output;
    PacketPool pool;
    KcpCounters counters;
    KcpOptions options;
    options.congestion = Congestion::none;
    Arq arq(options, pool, counters, {.conv = number_of<std::uint32_t>(vector, "conv")},
            number_of<std::size_t>(vector, "mtu"));
    ASSERT_TRUE(*arq.write_message(as_bytes(message), TimePoint()));
    EXPECT_TRUE(arq.flush(TimePoint(), output));
    ASSERT_EQ(output.sent.size(), datagrams.size());
    for (std::size_t i = 0; i < datagrams.size(); ++i) {
      // All but ts (the clock) and wnd (our window) is the same.
      for (std::string* text : {&output.sent[i], &datagrams[i]}) text->replace(6, 6, 6, '\0');
      EXPECT_EQ(to_hex(as_bytes(output.sent[i])), to_hex(as_bytes(datagrams[i])));
    }
  }
}

TEST(Segment, EveryTruncationAndEveryLengthStaysInsideTheDatagram) {
  std::string bytes(kSegmentHeaderBytes + 3, '\0');
  for (std::uint32_t length : {0u, 3u, 4u, 0x7fffffffu, 0x80000000u, 0xfffffffdu, 0xffffffffu}) {
    write_segment_header(reinterpret_cast<std::byte*>(bytes.data()), {.conv = 1}, length);
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
      const std::string exact = bytes.substr(0, size);  // memory checkers see reads past it
      SegmentReader reader(as_bytes(exact), 1);
      const auto segment = reader.next();
      EXPECT_EQ(segment.has_value(), size >= 24 && length <= size - 24) << size << ' ' << length;
    }
  }
}

}  // namespace
}  // namespace wayport::transport::kcp
