// Connections that break at any byte: nothing is lost, nothing comes twice, no session ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

#include "wayport/transport/snet/snet_testing.h"

namespace wayport::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// FNV-1a, fed piece by piece.
struct Hash {
  void add(Bytes bytes) {
    for (const std::byte byte : bytes) value = (value ^ static_cast<std::uint64_t>(byte)) * 0x100'0000'01b3;
    count += bytes.size();
  }
  friend bool operator==(const Hash&, const Hash&) = default;
  std::uint64_t value = 0xcbf2'9ce4'8422'2325;
  std::uint64_t count = 0;
};

// Writes random bytes at one end, hashes what comes out at the other; never more unread than the ring holds.
class Flow {
 public:
  Flow(SnetEnd& from, SnetEnd& to, std::size_t ring_bytes, std::mt19937_64& random)
      : from_(from), to_(to), ring_bytes_(ring_bytes), random_(random) {
    to_.events.consume = [this](MutableBytes bytes) {
      // Sometimes a tail is left, to be shown again.
      const std::size_t taken = random_() % 4 == 0 ? bytes.size() - random_() % (bytes.size() + 1) : bytes.size();
      read.add(bytes.first(taken));
      return taken;
    };
  }
  void step() {
    to_.events.received.clear();
    to_.events.shown.clear();
    if (random_() % 16 == 0) to_.stream->read(paused_ = !paused_);
    const std::size_t room = ring_bytes_ - static_cast<std::size_t>(written.count - read.count);
    std::string piece(std::min<std::size_t>(room, random_() % 1500), '\0');
    for (char& c : piece) c = static_cast<char>(random_());
    written.add(as_bytes(piece));
    from_.write(piece);
  }
  void settle() {
    to_.events.consume = [this](MutableBytes bytes) {
      read.add(bytes);
      return bytes.size();
    };
    to_.stream->read(false);
    to_.stream->read(true);
  }

  Hash written, read;

 private:
  SnetEnd& from_;
  SnetEnd& to_;
  const std::size_t ring_bytes_;
  std::mt19937_64& random_;
  bool paused_ = true;  // the argument of the last read(): it is reading
};

struct Case {
  const char* name;
  bool encrypt;
  bool latency;
};

class SnetCuts : public ::testing::TestWithParam<Case> {};

// Goal: 10,000 cuts (over the four cases) at random positions of either direction, also inside the reconnects
// themselves, noticed by both ends or by one: what was read is what was written. Method: virtual time; both ends write
// and read all the while; each connection is cut after random numbers of bytes.
TEST_P(SnetCuts, LoseNothingAndDoubleNothing) {
  constexpr std::size_t kRing = 4096;
  const auto wanted = static_cast<std::size_t>(2500 * test_scale());
  const std::uint64_t seed = test_seed() + GetParam().encrypt * 2 + GetParam().latency;
  SCOPED_TRACE("WAYPORT_TEST_SEED=" + std::to_string(test_seed()));
  std::mt19937_64 random(seed);

  SnetNetwork net({.latency = std::chrono::milliseconds(GetParam().latency ? 7 : 0), .window_bytes = 3000});
  // Many attempts in a row may be cut silently, each of which then costs its whole time limit.
  const std::string parameters = std::string("?buffer=4KiB&wait=1h&encrypt=") + (GetParam().encrypt ? "1" : "0");
  net.listen(parameters);
  net.network->plan = [&]() -> CutPlan {
    // The first connection lives through its handshake.
    const std::uint64_t least = net.network->dials <= 1 ? 100 : 0;
    const auto some = [&] { return least + (random() % 3 == 0 ? random() % 64 : random() % 6000); };
    return {.up = some(),
            .down = some(),
            .noticed = static_cast<CutPlan::Noticed>(random() % 3),
            .late = std::chrono::milliseconds(random() % 50)};
  };
  auto client = net.dial(parameters);
  ASSERT_TRUE(client);
  while (net.accepted.empty()) net.loop.advance(std::chrono::milliseconds(10));
  SnetEnd& server = *net.accepted.front();
  Flow up(**client, server, kRing, random);
  Flow down(server, **client, kRing, random);

  std::size_t stalled = 0;
  std::uint64_t before = 0;
  while (net.network->cuts < wanted) {
    up.step();
    down.step();
    net.loop.advance(std::chrono::milliseconds(random() % 200));
    ASSERT_FALSE((*client)->events.closed) << (*client)->closed();
    ASSERT_FALSE(server.events.closed) << server.closed();
    const std::uint64_t moved = up.read.count + down.read.count;
    stalled = moved == before ? stalled + 1 : 0;
    before = moved;
    // The ping of whoever uses the stream finds a silently dead path.
    if (stalled > 20 && stalled % 20 == 0) EXPECT_TRUE((*client)->stream->reconnect_now());
    ASSERT_LT(stalled, 10'000u);
  }
  net.network->plan = nullptr;
  net.network->cut_all();
  (*client)->stream->reconnect_now();  // the last cut may be one that it has not noticed
  up.settle();
  down.settle();
  net.loop.advance(std::chrono::seconds(20));

  EXPECT_GE(net.network->cuts, wanted);
  EXPECT_EQ(up.read, up.written);
  EXPECT_EQ(down.read, down.written);
  EXPECT_EQ(net.accepted.size(), 1u);
  EXPECT_EQ(net.snet->counters().gave_up, 0u);
  EXPECT_EQ(net.snet->counters().resumes_refused, 0u);
  EXPECT_GT(net.snet->counters().resumed, wanted / 3);
  EXPECT_THAT((*client)->events.faults, IsEmpty());
  EXPECT_THAT(server.events.faults, IsEmpty());
  ::testing::Test::RecordProperty("cuts", static_cast<int>(net.network->cuts));
  std::printf("%zu cuts, %zu dials, %llu resumed, %llu + %llu bytes\n", net.network->cuts, net.network->dials,
              static_cast<unsigned long long>(net.snet->counters().resumed.load()),
              static_cast<unsigned long long>(up.read.count), static_cast<unsigned long long>(down.read.count));
}

INSTANTIATE_TEST_SUITE_P(All, SnetCuts,
                         ::testing::Values(Case{"Plain", false, false}, Case{"Encrypted", true, false},
                                           Case{"PlainLate", false, true}, Case{"EncryptedLate", true, true}),
                         [](const auto& info) { return info.param.name; });

// snet has no acknowledgements: the ring is all there is.
TEST(SnetOverrun, OfTheClientsRingEndsTheSessionWithThatReason) {
  SnetNetwork net({.window_bytes = 1 << 20});
  net.listen("?buffer=4KiB");
  auto client = net.dial("?buffer=4KiB");
  ASSERT_TRUE(client);
  net.accepted.front()->stream->read(false);
  for (int i = 0; i < 10; ++i) {
    (*client)->write(std::string(1000, 'x'));
    net.loop.drain();
  }
  net.network->cut_all();
  net.loop.advance(std::chrono::seconds(1));
  // The server read what memory showed it before the connection ended, up to what its consumer held back.
  EXPECT_THAT((*client)->closed(),
              HasSubstr("too_large: snet session with snet+mem://server?buffer=4KiB: unread bytes "
                        "exceeded the ring: the server lacks 10000 bytes, the ring holds 4096 (buffer=)"));
  EXPECT_EQ(net.snet->counters().gave_up, 1u);
}

TEST(SnetOverrun, OfTheServersRingIsARefusal) {
  SnetNetwork net({.window_bytes = 1 << 20});
  net.listen("?buffer=4KiB&wait=5s");
  auto client = net.dial("?buffer=4KiB");
  ASSERT_TRUE(client);
  (*client)->stream->read(false);
  for (int i = 0; i < 5; ++i) {
    net.accepted.front()->write(std::string(1000, 'x'));
    net.loop.drain();
  }
  net.network->cut_all();
  net.loop.advance(std::chrono::seconds(1));
  EXPECT_THAT((*client)->closed(), HasSubstr("closed by the peer: peer_closed: snet session with"));
  EXPECT_THAT((*client)->closed(), HasSubstr("the server refused to resume"));
  EXPECT_EQ(net.snet->counters().resumes_refused, 1u);
  // The session is not touched by that; nobody comes back.
  EXPECT_EQ(net.accepted.front()->closed(), "");
  net.loop.advance(std::chrono::seconds(5));
  EXPECT_THAT(net.accepted.front()->closed(), HasSubstr("timed_out"));
}

// Exactly the ring is fine, one more is not.
TEST(SnetOverrun, BeginsOneByteBeyondTheRing) {
  for (const std::size_t size : {4096u, 4097u}) {
    SnetNetwork net({.window_bytes = 1 << 20});
    net.listen();
    auto client = net.dial("?buffer=4KiB");
    ASSERT_TRUE(client);
    net.accepted.front()->stream->read(false);
    for (std::size_t i = 0; i < size; i += 1024) {
      (*client)->write(std::string(std::min<std::size_t>(1024, size - i), 'x'));
      net.loop.drain();
    }
    net.network->cut_all();
    net.loop.advance(std::chrono::seconds(1));
    EXPECT_EQ((*client)->events.closed.has_value(), size == 4097) << (*client)->closed();
    net.accepted.front()->stream->read(true);
    net.loop.drain();
    if (size == 4096) EXPECT_EQ(net.accepted.front()->events.received.size(), size);
  }
}

// What the application writes while nobody carries it does not count against the ring.
TEST(SnetOverrun, IsNotForWhatIsWrittenWithoutAConnection) {
  SnetNetwork net;
  net.listen("?buffer=4KiB");
  auto client = net.dial("?buffer=4KiB");
  ASSERT_TRUE(client);
  net.network->refuse = true;
  net.network->cut_all();
  net.loop.advance(std::chrono::seconds(1));
  const std::string much(300'000, 'm');
  EXPECT_EQ((*client)->stream->write(chain_of(much)), Pressure::high);
  EXPECT_EQ(net.accepted.front()->stream->write(chain_of(much)), Pressure::high);
  EXPECT_EQ((*client)->stream->queued(), much.size());
  net.loop.advance(std::chrono::seconds(10));
  EXPECT_EQ((*client)->events.writables, 0u);
  net.network->refuse = false;
  net.loop.advance(std::chrono::seconds(10));
  EXPECT_TRUE(net.accepted.front()->events.received == much) << net.accepted.front()->events.received.size();
  EXPECT_TRUE((*client)->events.received == much) << (*client)->events.received.size();
  EXPECT_EQ((*client)->events.writables, 1u);
  EXPECT_EQ(net.accepted.front()->events.writables, 1u);
}

}  // namespace
}  // namespace wayport::transport
