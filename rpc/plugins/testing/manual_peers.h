// Real peers, joined by connections in memory, whose time moves only when a test says so.
//
//   ManualPeers world;
//   auto server = world.listening(), client = world.dialling();
//   server->router().on_pull("/echo", ...);
//   world.start(*server), world.start(*client);
//   Session session = world.dial(*client).value();
//   EXPECT_EQ(*world.pull<std::string>(session, "/echo", std::string("a")), "a");
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "wayport/base/log_testing.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"
#include "wayport/transport/testing/memory_transport.h"

namespace wayport::rpc::testing {

class ManualPeers {
 public:
  static constexpr const char* kAddress = "mem://server";

  ManualPeers() : runtime({.loops = 1, .log = &log, .clock = &clock, .start_threads = false}) {
    transports.add("mem", std::make_shared<transport::MemoryTransport>());
  }

  std::unique_ptr<Peer> listening(PeerOptions options = {}) {
    options.listen = {kAddress};
    return dialling(std::move(options));
  }
  std::unique_ptr<Peer> dialling(PeerOptions options = {}) {
    options.transports = &transports;
    return std::make_unique<Peer>(runtime, std::move(options));
  }
  static void start(Peer& peer) {
    const Result<void> started = peer.start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }

  Loop& loop() { return runtime.loop(0); }
  void settle() { loop().drain(); }
  void advance(Duration by) {
    loop().advance(by);
    settle();
  }

  Result<Session> dial(Peer& peer) {
    std::optional<Result<Session>> dialled;
    peer.dial_async(kAddress, {}, [&](Result<Session> result) { dialled = std::move(result); });
    settle();
    if (dialled) return *std::move(dialled);
    advance(std::chrono::seconds(20));
    return dialled ? *std::move(dialled) : Result<Session>(fail(ErrorCode::internal, "the dial never ended"));
  }
  template <class R = void, class A = framing::NoBody>
  Reply<R> pull(const Session& session, std::string_view uri, const A& argument = {}, const CallOptions& options = {}) {
    std::optional<Reply<R>> got;
    session.pull_async<R>(uri, argument, options, [&](Reply<R> reply) { got = std::move(reply); });
    settle();
    return got ? *std::move(got) : Reply<R>(Status::make(-1, "no reply"));
  }
  // The first session that a peer has.
  static Session only_session(const Peer& peer) {
    Session found;
    peer.for_each([&](const Session& session) { found = session; });
    return found;
  }

  ManualClock clock;
  MemoryLog log;
  Runtime runtime;
  transport::Transports transports;
};

}  // namespace wayport::rpc::testing
