// The example of README.md. What is between the two marks is there word for word (readme_test.cc).
// readme:begin
#include <array>
#include <chrono>
#include <iostream>
#include <string>

#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"

namespace rpc = wayport::rpc;
using namespace std::chrono_literals;

int main() {
  wayport::Runtime runtime;                                    // one event loop per core
  rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});  // server and client at once
  peer.router().on_pull("/home/sum", [](rpc::Context&, std::array<int, 2> v) { return v[0] + v[1]; });
  peer.router().on_push("/log", [](rpc::Context& c, std::string line) { std::cout << c.ip() << ": " << line << '\n'; });
  if (!peer.start()) return 1;

  auto session = peer.dial_blocking(peer.addresses()[0]);  // in a coroutine: co_await peer.dial(...)
  if (!session || !session->push("/log", std::string("hello"))) return 1;
  auto sum = session->pull_blocking<int>("/home/sum", std::array{1, 2}, {.timeout = 2s});
  std::cout << "sum: " << sum.value() << '\n';  // throws the status if there is no value
  peer.close_blocking();
  return *sum == 3 ? 0 : 1;
}
// readme:end
