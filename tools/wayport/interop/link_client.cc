#include <boost/asio/awaitable.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/generator.h"
#include "wayport/tools/wayport/interop/link_cases.h"
#include "wayport/tools/wayport/interop/link_peer.h"
#include "wayport/tools/wayport/interop/on_loop.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/link/channel_co.h"

namespace wayport::tools::interop {
namespace {

using boost::asio::awaitable;
using link::CoChannel;

constexpr Duration kRefusalTime = std::chrono::seconds(5);
constexpr std::size_t kOnTheirWay = 16;  // messages that were sent and have not come back
constexpr int kMessagesEach = 10;        // of link-many

std::string size_of(const std::string& message) { return std::to_string(message.size()) + " bytes"; }

// Lives in the frame of its run().
class LinkClient {
 public:
  LinkClient(Loop& loop, Settings settings, std::shared_ptr<Progress> progress)
      : loop_(loop),
        settings_(std::move(settings)),
        progress_(std::move(progress)),
        all_(transport::default_transports()),
        random_(settings_.seed),
        peer_({.endpoint = endpoint_options(settings_)}) {}

  awaitable<void> run() {
    take(co_await peer_.connect(all_, loop_, settings_.address, settings_.timeout), "a connection to the gateway");
    switch (settings_.what) {
      case Case::link_echo:
        co_return co_await echo();
      case Case::link_max:
        co_return co_await max();
      case Case::link_many:
        co_return co_await many();
      case Case::link_unknown:
        co_return co_await unknown();
      case Case::link_close:
        co_return co_await close();
      case Case::link_dialed:
        co_return co_await dialed();
      default:
        throw Failure("a case of links was expected");
    }
  }

 private:
  // --- steps ---

  awaitable<CoChannel> dial() {
    progress_->waits_for("that the gateway takes a dial");
    co_return take(co_await link::dial(peer_.endpoint(), settings_.id, settings_.timeout),
                   "a virtual connection to " + std::to_string(settings_.id));
  }
  static awaitable<void> send(CoChannel& channel, std::string message) {
    take(co_await channel.send(std::move(message)), "a message that leaves");
  }
  awaitable<void> check_next(CoChannel& channel, const std::string& expected, std::string what) {
    progress_->waits_for(what);
    const std::string came = take(co_await channel.receive(), what);
    expect(came == expected, what + " as it was sent, " + size_of(expected), size_of(came) + ", not the same");
  }
  awaitable<void> check_echo(CoChannel& channel, std::string message) {
    co_await send(channel, message);
    co_await check_next(channel, message, "an echo");
  }

  // --- cases ---

  awaitable<void> echo() {
    CoChannel channel = co_await dial();
    std::deque<std::string> sent;
    std::uint32_t received = 0;
    while (received < settings_.count) {
      if (sent.size() < kOnTheirWay && received + sent.size() < settings_.count) {
        sent.push_back(random_.bytes(1 + random_.length(settings_.bytes - 1)));
        co_await send(channel, sent.back());
        continue;
      }
      ++received;
      co_await check_next(channel, sent.front(), "the echo of message " + std::to_string(received));
      sent.pop_front();
    }
  }

  awaitable<void> max() {
    CoChannel channel = co_await dial();
    co_await check_echo(channel, random_.bytes(settings_.max_packet - 4));
  }

  awaitable<void> many() {
    std::vector<CoChannel> channels;
    for (std::uint32_t i = 0; i < settings_.count; ++i) channels.push_back(co_await dial());
    for (int round = 1; round <= kMessagesEach; ++round) {
      std::vector<std::string> sent;
      for (std::size_t i = 0; i < channels.size(); ++i) {
        sent.push_back("connection " + std::to_string(i) + " message " + std::to_string(round) + " " +
                       random_.letters(20));
        co_await send(channels[i], sent[i]);
      }
      for (std::size_t i = 0; i < channels.size(); ++i) {
        co_await check_next(channels[i], sent[i],
                            "the echo of message " + std::to_string(round) + " of connection " + std::to_string(i));
      }
    }
  }

  awaitable<void> unknown() {
    const std::uint32_t id = settings_.id + 1;
    progress_->waits_for("the refusal of a dial to an unknown id");
    const Result<CoChannel> refused = co_await link::dial(peer_.endpoint(), id, kRefusalTime);
    expect(!refused && refused.error().code == ErrorCode::refused,
           "the refusal of a dial to " + std::to_string(id) + " within " + format_duration(kRefusalTime),
           refused ? "a virtual connection" : refused.error().to_string());
    CoChannel channel = co_await dial();
    co_await check_echo(channel, random_.bytes(100));
  }

  awaitable<void> close() {
    CoChannel first = co_await dial();
    CoChannel second = co_await dial();
    co_await check_echo(second, random_.bytes(100));
    co_await send(first, "close");
    progress_->waits_for("the end of the virtual connection");
    const Result<std::string> end = co_await first.receive();
    expect(!end && end.error().code == ErrorCode::peer_closed, "the end of the virtual connection",
           end ? "a message of " + size_of(*end) : end.error().to_string());
    co_await check_echo(second, random_.bytes(100));
  }

  // LinkPeer echoes what the server sends.
  awaitable<void> dialed() {
    CoChannel channel = co_await dial();
    co_await send(channel, "dial");
    co_await check_next(channel, "dialed", "the message \"dialed\"");
  }

  Loop& loop_;
  const Settings settings_;
  const std::shared_ptr<Progress> progress_;
  const transport::Transports all_;
  Generator random_;
  LinkPeer peer_;
};

awaitable<void> run(Loop& loop, Settings settings, std::shared_ptr<Progress> progress) {
  LinkClient client(loop, std::move(settings), std::move(progress));
  co_await client.run();
}

}  // namespace

void run_link_case(Runtime& runtime, const Settings& settings) {
  Loop& loop = runtime.loop(0);
  const auto progress = std::make_shared<Progress>();
  run_case_on(loop, run(loop, settings, progress), settings.timeout, *progress);
}

}  // namespace wayport::tools::interop
