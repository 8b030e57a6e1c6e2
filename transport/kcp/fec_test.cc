#include "wayport/transport/kcp/fec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <boost/json.hpp>
#include <cstdlib>
#include <set>

#include "wayport/transport/kcp/testing/kcp_vectors.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;

std::vector<std::string> hexes(const boost::json::value& array) {
  std::vector<std::string> result;
  for (const auto& item : array.as_array()) result.push_back(hex_of(item));
  return result;
}
std::unique_ptr<ReedSolomon> code_of(const boost::json::object& vector) {
  return *ReedSolomon::make(number_of<std::size_t>(vector, "data"), number_of<std::size_t>(vector, "parity"));
}
constexpr TimePoint kNow{std::chrono::hours(1)};

double scale() {
  const char* const given = std::getenv("WAYPORT_TEST_SCALE");
  return given == nullptr ? 1 : std::atof(given);
}

// All sets of `lost` out of `total` shards as bits; of more than 13 shards only this share of the sets, evenly. Returns
// how many sets there are.
template <class F>
std::size_t each_loss(unsigned total, unsigned lost, double share, F&& visit) {
  const auto stride = total <= 13 || share >= 1 ? std::size_t{1} : static_cast<std::size_t>(1 / share);
  std::size_t sets = 0;
  for (std::uint64_t set = (std::uint64_t{1} << lost) - 1; set < std::uint64_t{1} << total; ++sets) {
    if (sets % stride == 0) visit(set);
    if (set == 0) return 1;
    // The next larger number with as many bits.
    const std::uint64_t low = set & -set, ripple = set + low;
    set = ripple | ((set ^ ripple) / low >> 2);
  }
  return sets;
}

TEST(ReedSolomon, EveryParityMatrixIsTheOriginals) {
  for (const auto& entry : kcp_vectors().at("reed_solomon").at("parity_matrices").as_array()) {
    const auto& vector = entry.as_object();
    const auto code = code_of(vector);
    std::string rows;
    for (const std::string& row : hexes(vector.at("parity_rows"))) rows += row;
    const auto ours = code->parity_rows();
    EXPECT_EQ(std::string(ours.begin(), ours.end()), rows) << code->data() << '+' << code->parity();
  }
}

// Of the 20+5 case one pattern in twenty: EveryGroupSurvivesEveryLossPattern has them all.
TEST(ReedSolomon, EveryEncodeCaseAndEveryLossPatternOfIt) {
  std::size_t cases = 0;
  for (const auto& entry : kcp_vectors().at("reed_solomon").at("encode_cases").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    const auto code = code_of(vector);
    const std::size_t size = number_of<std::size_t>(vector, "shard_len");
    const std::vector<std::string> data = hexes(vector.at("data_shards_unpadded"));
    const std::vector<std::string> parity = hexes(vector.at("parity_shards"));
    std::vector<std::string> shards = data;
    for (std::string& shard : shards) shard.resize(size);
    std::vector<std::string> made(code->parity(), std::string(size, '\0'));
    std::vector<std::byte*> to;
    for (std::string& block : made) to.push_back(reinterpret_cast<std::byte*>(block.data()));
    for (std::size_t i = 0; i < data.size(); ++i) code->add(i, as_bytes(data[i]), to);
    EXPECT_EQ(made, parity);
    shards.insert(shards.end(), parity.begin(), parity.end());
    const unsigned total = static_cast<unsigned>(shards.size());
    const std::size_t patterns = each_loss(total, static_cast<unsigned>(code->parity()), 0.05, [&](std::uint64_t lost) {
      std::vector<const std::byte*> from;
      std::vector<std::string> rebuilt;
      std::vector<std::size_t> missing;
      for (std::size_t i = 0; i < total; ++i) {
        const bool there = (lost >> i & 1) == 0;
        from.push_back(there ? as_bytes(shards[i]).data() : nullptr);
        if (!there && i < code->data()) missing.push_back(i);
      }
      rebuilt.assign(missing.size(), std::string(size, '\0'));
      std::vector<std::byte*> blocks;
      for (std::string& block : rebuilt) blocks.push_back(reinterpret_cast<std::byte*>(block.data()));
      code->rebuild(from, size, blocks);
      for (std::size_t i = 0; i < missing.size(); ++i) ASSERT_EQ(rebuilt[i], shards[missing[i]]) << lost;
    });
    if (code->data() == 10 && code->parity() == 3) EXPECT_EQ(patterns, 286u);
    if (code->data() == 20 && code->parity() == 5) EXPECT_EQ(patterns, 53'130u);
    ++cases;
  }
  EXPECT_EQ(cases, 11u);
}

TEST(ReedSolomon, RefusesMoreThan256Shards) {
  EXPECT_TRUE(ReedSolomon::make(128, 128).has_value());
  EXPECT_EQ(ReedSolomon::make(128, 129).error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(ReedSolomon::make(0, 3).has_value());
  EXPECT_FALSE(ReedSolomon::make(3, 0).has_value());
}

TEST(ReedSolomon, KeepsDecodersOfRepeatedLossAndNoMoreThanItsBound) {
  const auto code = *ReedSolomon::make(10, 3);
  std::vector<std::string> shards(13, std::string(64, 'x'));
  const auto lose = [&](std::set<std::size_t> lost) {
    std::vector<const std::byte*> from;
    std::size_t missing = 0;
    for (std::size_t i = 0; i < 13; ++i) {
      from.push_back(lost.contains(i) ? nullptr : as_bytes(shards[i]).data());
      missing += i < 10 && lost.contains(i);
    }
    std::vector<std::string> out(missing, std::string(64, '\0'));
    std::vector<std::byte*> blocks;
    for (std::string& block : out) blocks.push_back(reinterpret_cast<std::byte*>(block.data()));
    code->rebuild(from, 64, blocks);
  };
  for (int i = 0; i < 10; ++i) lose({3});
  EXPECT_EQ(code->inversions(), 1u);
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t j = 0; j < i; ++j)
      for (std::size_t k = 0; k < j; ++k) lose({i, j, k});
  const std::uint64_t before = code->inversions();
  lose({9, 8, 7});
  EXPECT_EQ(code->inversions(), before);
  lose({2, 1, 0});  // the oldest of 121 patterns was dropped
  EXPECT_EQ(code->inversions(), before + 1);
}

TEST(Fec, EveryEncodeGroupByteForByte) {
  for (const auto& entry : kcp_vectors().at("fec").at("encode_groups").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    const auto code = code_of(vector);
    EXPECT_EQ(fec_wrap(code->shards()), number_of<std::uint32_t>(vector, "paws"));
    PacketPool pool;
    {
      FecEncoder encoder(*code, pool, number_of<std::uint32_t>(vector, "first_seqid"));
      std::vector<std::string> made;
      TimePoint now = kNow;
      for (const std::string& kcp : hexes(vector.at("kcp_packets"))) {
        std::string packet = std::string(kFecHeaderBytes, '\0') + kcp;
        encoder.seal_data({reinterpret_cast<std::byte*>(packet.data()), packet.size()}, now);
        now += std::chrono::milliseconds(1);
        made.push_back(packet);
        while (const std::size_t size = encoder.parity_size()) {
          made.emplace_back(size, '\0');
          encoder.write_parity({reinterpret_cast<std::byte*>(made.back().data()), size});
        }
      }
      EXPECT_EQ(made, hexes(vector.at("fec_packets")));
    }
    EXPECT_EQ(pool.bytes_in_use(), 0u);
  }
}

TEST(Fec, EveryDecodeCase) {
  for (const auto& entry : kcp_vectors().at("fec").at("decode_cases").as_array()) {
    const auto& vector = entry.as_object();
    SCOPED_TRACE(text_of(vector, "name"));
    const auto code = code_of(vector);
    PacketPool pool;
    KcpCounters counters;
    FecDecoder decoder(*code, pool, counters, {});
    std::vector<std::pair<std::size_t, std::string>> rebuilt, wanted;
    std::size_t index = 0;
    for (const auto& fed : vector.at("feed").as_array()) {
      const std::string bytes = hex_of(fed.as_object(), "bytes");
      if (decoder.handle_packet(as_bytes(bytes), kNow))
        for (const Bytes packet : decoder.rebuilt()) rebuilt.emplace_back(index, as_text(packet));
      ++index;
    }
    for (const auto& one : vector.at("recovered").as_array())
      wanted.emplace_back(number_of<std::size_t>(one.as_object(), "after_input"),
                          hex_of(one.as_object(), "kcp_packet"));
    EXPECT_EQ(rebuilt, wanted);
  }
}

TEST(Fec, GroupsBeforeAndAfterTheWrapAreNeighbours) {
  const auto code = *ReedSolomon::make(3, 1);
  PacketPool pool;
  KcpCounters counters;
  FecEncoder encoder(*code, pool, fec_wrap(4) - 4);
  FecDecoder decoder(*code, pool, counters, {.groups = 4});
  std::vector<std::string> packets;  // of the last group before the wrap, and of the first behind it
  for (int i = 0; i < 6; ++i) {
    std::string packet = std::string(kFecHeaderBytes, '\0') + std::string(1, static_cast<char>('a' + i));
    encoder.seal_data({reinterpret_cast<std::byte*>(packet.data()), packet.size()}, kNow);
    packets.push_back(packet);
    while (const std::size_t size = encoder.parity_size()) {
      packets.emplace_back(size, '\0');
      encoder.write_parity({reinterpret_cast<std::byte*>(packets.back().data()), size});
    }
  }
  ASSERT_EQ(packets.size(), 8u);
  // Each lost one data packet; the older one's last packet comes when the younger is under way.
  const auto rebuilt_by = [&](std::size_t which) {
    std::string rebuilt;
    if (decoder.handle_packet(as_bytes(packets[which]), kNow))
      for (const Bytes packet : decoder.rebuilt()) rebuilt += as_text(packet);
    return rebuilt;
  };
  for (const std::size_t which : {0u, 1u, 4u, 5u}) EXPECT_EQ(rebuilt_by(which), "") << which;
  EXPECT_EQ(rebuilt_by(3), "c");
  EXPECT_EQ(rebuilt_by(7), "f");
  EXPECT_EQ(counters.fec_far_seqids.read(), 0u);
}

// Goal: every group of the vectors survives every loss of up to `parity` packets, and a larger loss does no harm.
// Method: all subsets of small groups; of large ones all that can be rebuilt.
TEST(Fec, EveryGroupSurvivesEveryLossPattern) {
  std::size_t groups = 0;
  for (const auto& entry : kcp_vectors().at("fec").at("encode_groups").as_array()) {
    const auto& vector = entry.as_object();
    const auto code = code_of(vector);
    const std::vector<std::string> packets = hexes(vector.at("fec_packets"));
    const std::vector<std::string> kcp = hexes(vector.at("kcp_packets"));
    ASSERT_EQ(packets.size(), code->shards());
    ++groups;
    const auto total = static_cast<unsigned>(packets.size());
    std::size_t patterns = 0;
    const auto lose = [&](std::uint64_t lost) {
      PacketPool pool;
      KcpCounters counters;
      FecDecoder decoder(*code, pool, counters, {});
      std::multiset<std::string> got;
      for (std::size_t i = 0; i < packets.size(); ++i) {
        if ((lost >> i & 1) != 0) continue;
        if (i < kcp.size()) got.insert(kcp[i]);
        if (decoder.handle_packet(as_bytes(packets[i]), kNow))
          for (const Bytes packet : decoder.rebuilt()) got.insert(std::string(as_text(packet)));
      }
      if (std::popcount(lost) <= static_cast<int>(code->parity()))
        ASSERT_EQ(got, std::multiset<std::string>(kcp.begin(), kcp.end())) << lost;
      ASSERT_LE(decoder.packets_held(), code->shards());
    };
    const auto most = total <= 13 ? total : static_cast<unsigned>(code->parity());
    for (unsigned lost = 0; lost <= most; ++lost) patterns += each_loss(total, lost, scale(), lose);
    EXPECT_EQ(patterns, total <= 13 ? std::size_t{1} << total : 68'406u);
  }
  EXPECT_EQ(groups, 7u);
}

TEST(Fec, ParityIsLeftOutAfterALongGapAndItsNumbersAreNot) {
  const auto code = *ReedSolomon::make(2, 1);
  PacketPool pool;
  FecEncoder encoder(*code, pool);
  const auto send = [&](TimePoint now) {
    std::string packet(kFecHeaderBytes + 30, 'x');
    const bool parity = encoder.seal_data({reinterpret_cast<std::byte*>(packet.data()), packet.size()}, now);
    if (parity) {
      std::string block(encoder.parity_size(), '\0');
      encoder.write_parity({reinterpret_cast<std::byte*>(block.data()), block.size()});
    }
    return std::pair(load_le<std::uint32_t>(as_bytes(packet).data()), parity);
  };
  EXPECT_EQ(send(kNow), std::pair(0u, false));
  EXPECT_EQ(send(kNow + std::chrono::milliseconds(499)), std::pair(1u, true));
  EXPECT_EQ(send(kNow + std::chrono::milliseconds(500)), std::pair(3u, false));
  EXPECT_EQ(send(kNow + std::chrono::milliseconds(1000)), std::pair(4u, false));
  EXPECT_EQ(send(kNow + std::chrono::milliseconds(1001)), std::pair(6u, false));
}

}  // namespace
}  // namespace wayport::transport::kcp
