// What idle connections cost the gateway: heap bytes, with bounds. Sanitizers have a heap of their own, so there only
// the connections are made.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/gateway/link/testing/live_gateway.h"
#include "wayport/gateway/link/testing/rig.h"

namespace wayport::link {
namespace {

using testing::command;
using testing::LiveGateway;
using testing::RawEnd;

std::size_t scaled(std::size_t count) {
  const char* const given = std::getenv("WAYPORT_TEST_SCALE");
  return given ? static_cast<std::size_t>(static_cast<double>(count) * std::atof(given)) : count;
}

bool heap_is_measured() {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return false;
#endif
#endif
  return true;
}

double heap_bytes() {
  const auto heap = ::mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

LiveGateway patient(unsigned loops) {
  LinkGatewayOptions options;
  options.switching.client_idle_timeout = Duration::zero();
  options.switching.server_idle_timeout = Duration::zero();
  options.switching.client_virtual_max = 0;
  return LiveGateway({options, loops});
}

void raise_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(IdleCost, AClientThatWasUsedOnceCostsAtMost1024Bytes) {
  raise_descriptors();
  LiveGateway live = patient(2);
  const std::size_t count = scaled(5000);
  std::vector<RawEnd> clients;
  clients.reserve(count + 10);
  for (int i = 0; i < 10; ++i) clients.push_back(live.client());
  for (RawEnd& client : clients) ASSERT_TRUE(client.quiet());
  const double before = heap_bytes();
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(live.client());
    ASSERT_TRUE(clients.back().quiet());
  }
  live.settle();
  const double each = (heap_bytes() - before) / static_cast<double>(count);
  std::printf("an idle client: %.0f heap bytes\n", each);
  RecordProperty("heap_bytes", static_cast<int>(each));
  EXPECT_EQ(live.sum(&SwitchCounters::clients), static_cast<std::int64_t>(count + 10));
  if (heap_is_measured()) EXPECT_LE(each, 1024);
}

TEST(IdleCost, AnIdleVirtualConnectionCostsAtMost128Bytes) {
  raise_descriptors();
  for (const unsigned loops : {1u, 2u}) {
    LiveGateway live = patient(loops);
    RawEnd other = live.bare_server();  // so that the server is on the second loop
    RawEnd server = live.server(1);
    const std::size_t clients_count = scaled(1000);
    constexpr std::size_t kEach = 100;
    std::vector<RawEnd> clients;
    clients.reserve(clients_count);
    for (std::size_t i = 0; i < clients_count; ++i) {
      clients.push_back(live.client());
      ASSERT_TRUE(clients.back().quiet());
    }
    std::string dials;
    for (std::size_t i = 0; i < kEach; ++i) dials += command(Command::dial(1));
    const double before = heap_bytes();
    for (RawEnd& client : clients) {
      ASSERT_TRUE(client.send(dials));
      std::size_t bytes = client.read(kEach * 17).size();
      ASSERT_EQ(bytes, kEach * 17);
      bytes = server.read(kEach * 17).size();
      ASSERT_EQ(bytes, kEach * 17);
    }
    live.settle();
    const double each = (heap_bytes() - before) / static_cast<double>(clients_count * kEach);
    std::printf("an idle virtual connection, %u loops: %.0f heap bytes\n", loops, each);
    EXPECT_EQ(live.gateway->virtual_count(), clients_count * kEach);
    if (heap_is_measured()) EXPECT_LE(each, 128);
  }
}

}  // namespace
}  // namespace wayport::link
