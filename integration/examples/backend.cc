// A game server as those behind a route gateway are: it says hello every few seconds and answers requests, each of them
// u32 little endian length | bytes.
//
//   backend tcp://127.0.0.1:9090 kcp://127.0.0.1:9090?fec=10,3 [--hello 3s]
//
// Prints an address for each listener, then serves until it is told to end. It knows nothing of the gateway: clients come
// through one, or directly.
#include <signal.h>

#include <chrono>
#include <deque>
#include <iostream>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/signals.h"
#include "wayport/transport/default_transports.h"

namespace {

using namespace wayport;

constexpr std::size_t kLengthBytes = 4;
constexpr std::uint32_t kRequestBytesMax = 16 * 1024;

class Player;
struct Server {
  Loop loop;
  Duration hello = std::chrono::seconds(3);
  std::list<std::unique_ptr<Player>> players;
};

class Player final : transport::StreamEvents, Timer {
 public:
  Player(Server& server, std::unique_ptr<transport::Stream> stream) : server_(server), stream_(std::move(stream)) {
    stream_->start(*this);
    say_hello();
  }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    std::size_t used = 0;
    while (bytes.size() - used >= kLengthBytes) {
      const auto length = load_le<std::uint32_t>(bytes.data() + used);
      if (length > kRequestBytesMax) {
        stream_->close(CloseReason::local(ErrorCode::too_large, "a request has at most 16 KiB"), {});
        return bytes.size();
      }
      if (bytes.size() - used - kLengthBytes < length) break;  // the rest is shown again with what comes next
      send("echo: " + std::string(as_text(bytes.subspan(used + kLengthBytes, length))));
      used += kLengthBytes + length;
    }
    return used;
  }
  void on_writable() override { stream_->read(true); }
  void on_read_end() override { stream_->shutdown_write(); }
  void on_closed(const CloseReason&) override {
    server_.players.remove_if([this](const auto& player) { return player.get() == this; });
  }
  void on_timer() override { say_hello(); }

  void say_hello() {
    send("hello");
    server_.loop.arm(*this, server_.loop.now() + server_.hello);
  }
  void send(const std::string& text) {
    std::string frame(kLengthBytes, '\0');
    store_le(reinterpret_cast<std::byte*>(frame.data()), static_cast<std::uint32_t>(text.size()));
    Chain chain;
    chain.append(as_bytes(frame + text));
    // Whoever does not take the answers is not asked for more requests.
    if (stream_->write(std::move(chain)) == transport::Pressure::high) stream_->read(false);
  }

  Server& server_;
  std::unique_ptr<transport::Stream> stream_;
};

int fail_with(const Error& error) {
  std::cerr << "error: " << error.to_string() << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Server server;
  const transport::Transports transports = transport::default_transports();
  std::vector<std::unique_ptr<transport::Listener>> listeners;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--hello" && i + 1 < argc) {
      const Result<Duration> hello = parse_duration(argv[++i]);
      if (!hello || *hello <= Duration::zero()) return fail_with({ErrorCode::invalid_argument, "--hello 3s"});
      server.hello = *hello;
      continue;
    }
    const Result<transport::Address> address = transport::Address::parse(argument);
    if (!address) return fail_with(address.error());
    Result<std::unique_ptr<transport::Listener>> listener = transports.listen(server.loop, *address, {});
    if (!listener) return fail_with(listener.error());
    (*listener)->start([&server](std::unique_ptr<transport::Incoming> incoming) {
      server.players.push_back(std::make_unique<Player>(server, incoming->accept()));
    });
    std::cout << "listening on " << (*listener)->address().to_string() << std::endl;
    listeners.push_back(*std::move(listener));
  }
  if (listeners.empty()) {
    std::cerr << "usage: backend URL [URL ...] [--hello 3s]\n";
    return 2;
  }
  const auto signals = SignalSet::open(server.loop, {SIGTERM, SIGINT}, [&server](int) { server.loop.stop(); });
  if (!signals) return fail_with(signals.error());
  server.loop.run();
  listeners.clear();
  server.players.clear();
  return 0;
}
