#include "wayport/tools/wayport/load/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <sstream>
#include <string>
#include <thread>

#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"

namespace wayport::tools {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

// What a thread writes, for another to wait for.
class Shared : public std::stringbuf {
 public:
  // Empty: none came.
  std::string wait_for_line() {
    std::future<std::string> line = line_.get_future();
    return line.wait_for(60s) == std::future_status::ready ? line.get() : "";
  }

 private:
  int sync() override {
    const std::string text = str();
    if (!told_ && text.contains('\n')) {
      told_ = true;
      line_.set_value(text.substr(0, text.find('\n')));
    }
    return 0;
  }
  bool told_ = false;
  std::promise<std::string> line_;
};

struct Outputs {
  std::istringstream in;
  std::ostringstream out, err;
  Console console{in, out, err};
};

LoadRunOptions quick(std::string address) {
  LoadRunOptions run;
  run.addresses = {std::move(address)};
  run.clients = 3;
  run.outstanding = 2;
  run.time = 200ms;
  run.timeout = 10s;
  return run;
}

TEST(Load, EveryCallIsExecutedOnceAndBothSidesSaySo) {
  Runtime runtime({.loops = 2});
  Shared buffer;
  std::ostream out(&buffer);
  std::istringstream in;
  std::ostringstream err;
  Console console{in, out, err};
  Interrupt interrupt;
  LoadServeOptions serve;
  serve.addresses = {"tcp://127.0.0.1:0"};
  std::future<int> served =
      std::async(std::launch::async, [&] { return load_serve(runtime, serve, console, interrupt); });
  const std::string ready = buffer.wait_for_line();
  if (!ready.starts_with("READY tcp://")) {
    interrupt.raise();
    FAIL() << ready << err.str();
  }

  Outputs outputs;
  Interrupt never;
  EXPECT_EQ(load_run(runtime, quick(ready.substr(6)), outputs.console, never), kExitSuccess) << outputs.err.str();
  interrupt.raise();
  EXPECT_EQ(served.get(), kExitSuccess);

  const std::string result = outputs.out.str();
  EXPECT_THAT(result, HasSubstr("\"failed\":{},\"without_outcome\":0"));
  EXPECT_THAT(result, HasSubstr("\"dials\":3,\"dials_failed\":0,\"repeated\":0}"));
  const std::size_t at = result.find("\"replied\":") + 10;
  const std::string replied = result.substr(at, result.find(',', at) - at);
  EXPECT_NE(replied, "0");
  EXPECT_THAT(buffer.str(), HasSubstr("\"executed\":" + replied + ",\"doubled\":0,\"callers\":3}"));
}

TEST(Load, AServerThatAnswersSomethingElseFailsTheCommand) {
  Runtime runtime({.loops = 2});
  rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  peer.router().on_pull("/load/once", [](rpc::Context&, std::string) { return std::string("something else"); });
  ASSERT_TRUE(peer.start());
  Outputs outputs;
  Interrupt never;
  EXPECT_EQ(load_run(runtime, quick(peer.addresses()[0]), outputs.console, never), kExitFailure);
  EXPECT_THAT(outputs.err.str(), HasSubstr("wrong replies, 0 calls without outcome"));
}

TEST(Load, FailedCallsAreCountedByStatusAndInterruptEndsTheRunEarly) {
  Runtime runtime({.loops = 2});
  rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  Interrupt interrupt;
  peer.router().on_pull("/load/once", [&interrupt](rpc::Context&, std::string) -> rpc::Reply<std::string> {
    interrupt.raise();
    return rpc::Status::make(1234, "no");
  });
  ASSERT_TRUE(peer.start());
  Outputs outputs;
  LoadRunOptions run = quick(peer.addresses()[0]);
  run.time = 1h;
  EXPECT_EQ(load_run(runtime, run, outputs.console, interrupt), kExitSuccess) << outputs.err.str();
  EXPECT_THAT(outputs.out.str(), HasSubstr("\"failed\":{\"1234 in doubt\":"));
}

TEST(Load, AClientThatIsNeverAnsweredHasAStallOfTheWholeTime) {
  Runtime runtime({.loops = 2});
  rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  ASSERT_TRUE(peer.start());  // and has no such route
  Outputs outputs;
  Interrupt never;
  EXPECT_EQ(load_run(runtime, quick(peer.addresses()[0]), outputs.console, never), kExitSuccess);
  EXPECT_THAT(outputs.out.str(), HasSubstr("\"replied\":0,"));
  EXPECT_THAT(outputs.out.str(), HasSubstr("\"404 in doubt\":"));
  const std::string result = outputs.out.str();
  const std::size_t at = result.find("\"longest_stall_ms\":") + 19;
  EXPECT_GE(std::stoi(result.substr(at)), 150) << result;
}

TEST(Load, DialsThatFailedAreCountedThoughEveryCallWasAnswered) {
  Runtime runtime({.loops = 2});
  rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  peer.router().on_pull("/load/once", [](rpc::Context&, std::string body) { return body; });
  ASSERT_TRUE(peer.start());
  Outputs outputs;
  Interrupt never;
  LoadRunOptions run = quick(peer.addresses()[0]);
  run.addresses.insert(run.addresses.begin(), "tcp://127.0.0.1:1");  // where nobody listens
  EXPECT_EQ(load_run(runtime, run, outputs.console, never), kExitSuccess) << outputs.err.str();
  EXPECT_THAT(outputs.out.str(), HasSubstr("\"failed\":{},\"without_outcome\":0"));
  EXPECT_THAT(outputs.out.str(), HasSubstr("\"dials_failed\":"));
  EXPECT_THAT(outputs.out.str(), Not(HasSubstr("\"dials_failed\":0,")));
}

TEST(Load, PaddingTravelsBothWays) {
  Runtime runtime({.loops = 2});
  std::atomic<std::size_t> least = SIZE_MAX;
  rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  peer.router().on_pull("/load/once", [&least](rpc::Context&, std::string body) {
    least = std::min(least.load(), body.size());
    return body;
  });
  ASSERT_TRUE(peer.start());
  Outputs outputs;
  Interrupt never;
  LoadRunOptions run = quick(peer.addresses()[0]);
  run.padding = 5000;
  EXPECT_EQ(load_run(runtime, run, outputs.console, never), kExitSuccess) << outputs.err.str();
  EXPECT_GT(least.load(), 5000u);
}

TEST(Load, AnAddressThatCannotBeListenedAtIsSaid) {
  Runtime runtime({.loops = 1});
  Outputs outputs;
  Interrupt never;
  LoadServeOptions serve;
  serve.addresses = {"nothing://x"};
  EXPECT_EQ(load_serve(runtime, serve, outputs.console, never), kExitFailure);
  EXPECT_THAT(outputs.err.str(), HasSubstr("nothing"));
}

}  // namespace
}  // namespace wayport::tools
