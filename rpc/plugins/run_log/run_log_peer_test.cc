// The run log in real peers over a real socket.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "wayport/base/log_testing.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugins/run_log/run_log.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc::plugins {
namespace {

TEST(RunLogPeer, WritesALineForEachPacketWithTheAddressOfThePeer) {
  MemoryLog log;
  MemoryLog calls;
  Runtime runtime({.loops = 2, .log = &log});
  Peer server(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  server.plugins().add(std::make_shared<RunLog>(calls, RunLogOptions{.print_body = true}));
  server.router().on_pull("/echo", [](std::string text) { return text; });
  server.router().on_pull("/wait", [](int value) { return value + 1; }, {.blocking = true});
  server.router().on_push("/note", [](const std::string&) {});
  Peer client(runtime);
  ASSERT_TRUE(server.start().has_value());
  ASSERT_TRUE(client.start().has_value());
  const Result<Session> session = client.dial_blocking(server.addresses().at(0));
  ASSERT_TRUE(session.has_value());
  EXPECT_TRUE(session->push("/note", std::string("x")).has_value());
  EXPECT_TRUE(session->pull_blocking<std::string>("/echo", std::string("hello")).ok());
  EXPECT_EQ(*session->pull_blocking<int>("/wait", 41), 42);
  EXPECT_EQ(session->pull_blocking("/nowhere").status().code, code::kNotFound);
  EXPECT_EQ(calls.count("push received peer=" + session->local()), 1u);
  EXPECT_EQ(calls.count("pull received peer=" + session->local()), 3u);
  EXPECT_EQ(calls.count("reply sent peer=" + session->local()), 3u);
  EXPECT_EQ(calls.count("body=42"), 1u);
  EXPECT_EQ(calls.count("status_code=404"), 1u);
  client.close_blocking();
  server.close_blocking();
}

}  // namespace
}  // namespace wayport::rpc::plugins
