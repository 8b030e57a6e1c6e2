// `wayport pipe` in process, on pipes of the test, against a server made here. program_test.cc runs it as a program.
#include "wayport/tools/wayport/pipe.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/socket.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/transport/default_transports.h"

namespace wayport::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using namespace std::chrono_literals;

constexpr std::size_t kMiB = 1024 * 1024;

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 253);
  return text;
}

// Takes connections and does with them what a test says; all of it on its own loop.
class Server {
 public:
  enum class Does : std::uint8_t { echo, read_nothing, say_nothing, send_and_end, send_and_reset, route_echo };

  explicit Server(Does does, const std::string& url = "tcp://127.0.0.1:0", std::string sends = {})
      : does_(does), sends_(std::move(sends)) {
    on_loop([&] {
      auto made = all_.listen(loop_, *transport::Address::parse(url), {});
      ASSERT_TRUE(made) << made.error().to_string();
      listener_ = *std::move(made);
      listener_->start([this](std::unique_ptr<transport::Incoming> one) {
        connections_.push_back(std::make_unique<One>(*this, one->accept()));
      });
      url_ = listener_->address().to_string();
    });
  }
  ~Server() {
    on_loop([&] {
      connections_.clear();
      listener_.reset();
    });
  }

  const std::string& url() const { return url_; }
  std::string place() const { return url_.substr(url_.find("://")); }
  std::size_t received() const { return received_; }
  void read_on() {
    on_loop([&] { connections_.at(0)->stream->read(true); });
  }

 private:
  struct One final : transport::StreamEvents {
    One(Server& owner, std::unique_ptr<transport::Stream> taken) : server(owner), stream(std::move(taken)) {
      stream->start(*this);
      if (server.does_ == Does::read_nothing) stream->read(false);
      send();
    }
    void send() {
      if (server.sends_.empty()) return;
      while (sent < server.sends_.size()) {
        Chain piece;
        piece.append(std::string_view(server.sends_).substr(sent, 64 * 1024));
        sent += piece.size();
        if (stream->write(std::move(piece)) == transport::Pressure::high) return;
      }
      if (server.does_ == Does::send_and_end) stream->shutdown_write();
    }
    std::size_t on_bytes(MutableBytes bytes, bool) override {
      server.received_ += bytes.size();
      Bytes rest = bytes;
      if (server.does_ == Does::route_echo && !identify.done()) {
        rest = rest.subspan(identify.read(rest).value());
        if (!identify.done()) return bytes.size();
        Chain answer;
        EXPECT_TRUE(route::write_success(answer, as_bytes("ok")));
        stream->write(std::move(answer));
      }
      if (server.does_ == Does::send_and_reset) {
        server.loop_.post([this] {
          const std::optional<Fd> fd = stream->detach();
          ASSERT_TRUE(fd);
          const linger reset{1, 0};
          ASSERT_EQ(::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        });
        return bytes.size();
      }
      if (server.does_ == Does::echo || server.does_ == Does::route_echo) {
        Chain back;
        back.append(rest);
        if (stream->write(std::move(back)) == transport::Pressure::high) stream->read(false);
      }
      return bytes.size();
    }
    void on_writable() override {
      if (server.does_ == Does::echo) stream->read(true);
      send();
    }
    void on_read_end() override {
      if (sent < server.sends_.size()) return;  // send() ends it
      Chain bye;
      if (server.does_ == Does::echo) bye.append(std::string_view("bye"));
      stream->write(std::move(bye));
      stream->shutdown_write();
    }
    void on_closed(const CloseReason&) override {}

    Server& server;
    std::unique_ptr<transport::Stream> stream;
    route::IdentifyReader identify;
    std::size_t sent = 0;
  };

  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  const Does does_;
  const std::string sends_;
  Runtime runtime_{{.loops = 1}};
  Loop& loop_ = runtime_.loop(0);
  transport::Transports all_ = transport::default_transports();
  std::unique_ptr<transport::Listener> listener_;
  std::vector<std::unique_ptr<One>> connections_;
  std::string url_;
  std::atomic<std::size_t> received_ = 0;
};
using Does = Server::Does;

// The command in this process, on pipes.
class Piped {
 public:
  explicit Piped(const std::string& url, PipeOptions options = {}) {
    options.url = url;
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    in_ = Fd(ends[0]);
    to_in = Fd(ends[1]);
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    from_out = Fd(ends[0]);
    out_ = Fd(ends[1]);
    code_ = std::async(std::launch::async, [this, options] {
      const int code = pipe(runtime_, options, in_.get(), out_.get(), err_, interrupt);
      out_.reset();
      in_.reset();
      return code;
    });
  }
  int code() { return code_.get(); }
  std::string err() const { return err_.str(); }
  // Until the command has ended its output.
  std::string read_all() {
    std::string all, piece(64 * 1024, '\0');
    for (;;) {
      const ssize_t got = ::read(from_out.get(), piece.data(), piece.size());
      if (got <= 0) return all;
      all.append(piece, 0, static_cast<std::size_t>(got));
    }
  }

  Fd to_in, from_out;
  Interrupt interrupt;

 private:
  Runtime runtime_{{.loops = 1}};
  Fd in_, out_;
  std::ostringstream err_;
  std::future<int> code_;
};

void write_all(const Fd& fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd.get(), text.data(), text.size());
    ASSERT_GT(put, 0);
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

TEST(Pipe, CarriesBothDirectionsAndEndsWhenBothHaveEnded) {
  const std::string large = pattern(8 * kMiB);
  const Server server(Does::echo);
  Piped piped(server.url());
  std::thread feeder([&] {
    write_all(piped.to_in, large);
    piped.to_in.reset();
  });
  const std::string out = piped.read_all();
  feeder.join();
  EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
  EXPECT_TRUE(out == large + "bye") << "the peer's words after our end belong to it";
  EXPECT_EQ(piped.err(), "");
}

TEST(Pipe, ThePeersEndDoesNotEndTheInput) {
  Server server(Does::send_and_end, "tcp://127.0.0.1:0", "hello");
  Piped piped(server.url());
  std::string got(5, '\0');
  ASSERT_EQ(::read(piped.from_out.get(), got.data(), got.size()), 5);
  EXPECT_EQ(got, "hello");
  // And all of it still leaves.
  write_all(piped.to_in, pattern(4 * kMiB));
  piped.to_in.reset();
  EXPECT_EQ(piped.read_all(), "");
  EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
  EXPECT_EQ(server.received(), 4 * kMiB);
}

TEST(Pipe, APeerThatDoesNotReadHoldsUpTheInput) {
  Server server(Does::read_nothing);
  Piped piped(server.url());
  ASSERT_EQ(::fcntl(piped.to_in.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string block = pattern(64 * 1024);
  std::size_t written = 0;
  // Until the kernel's buffers, and ours, are full for a while.
  for (pollfd writable{piped.to_in.get(), POLLOUT, 0}; written < 256 * kMiB && ::poll(&writable, 1, 500) == 1;) {
    const ssize_t put = ::write(piped.to_in.get(), block.data(), block.size());
    if (put > 0) written += static_cast<std::size_t>(put);
  }
  EXPECT_LT(written, 64 * kMiB);
  server.read_on();
  piped.to_in.reset();
  EXPECT_EQ(piped.read_all(), "");
  EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
  EXPECT_EQ(server.received(), written);
}

TEST(Pipe, AnOutputThatIsReadLateGetsEverything) {
  const std::string large = pattern(32 * kMiB);
  const Server server(Does::send_and_end, "tcp://127.0.0.1:0", large);
  Piped piped(server.url());
  piped.to_in.reset();
  EXPECT_TRUE(piped.read_all() == large);
  EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
}

TEST(Pipe, AResetIsAnErrorAfterWhatHadCome) {
  Server server(Does::send_and_reset, "tcp://127.0.0.1:0", "hello");
  Piped piped(server.url());
  std::string got(5, '\0');
  ASSERT_EQ(::read(piped.from_out.get(), got.data(), got.size()), 5);
  write_all(piped.to_in, "x");
  EXPECT_EQ(piped.read_all(), "");
  EXPECT_EQ(piped.code(), kExitFailure);
  EXPECT_THAT(piped.err(), AllOf(StartsWith("error: tcp://127.0.0.1:"), HasSubstr("peer_closed")));
}

TEST(Pipe, AReaderThatIsGoneIsAnError) {
  const Server server(Does::send_and_end, "tcp://127.0.0.1:0", "hello");
  Piped piped(server.url());
  piped.from_out.reset();
  EXPECT_EQ(piped.code(), kExitFailure);
  EXPECT_THAT(piped.err(), HasSubstr("standard output (Broken pipe)"));
}

TEST(Pipe, AnInterruptEndsIt) {
  Server server(Does::say_nothing);
  Piped piped(server.url());
  piped.interrupt.raise();
  EXPECT_EQ(piped.code(), kExitFailure);
  EXPECT_THAT(piped.err(), HasSubstr("interrupted"));
}

TEST(Pipe, RunsOverAnyStack) {
  for (const char* stack : {"tcp", "ws", "ws+snet+tcp"}) {
    SCOPED_TRACE(stack);
    const Server server(Does::echo, std::string(stack) + "://127.0.0.1:0");
    Piped piped(stack + server.place());
    write_all(piped.to_in, "hello ");
    piped.to_in.reset();
    EXPECT_EQ(piped.read_all(), "hello bye");
    EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
  }
  const Server server(Does::route_echo);
  Piped piped("route+tcp" + server.place() + "/10.1.2.3:7");
  write_all(piped.to_in, "hello");
  piped.to_in.reset();
  EXPECT_EQ(piped.read_all(), "hello");
  EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
}

// snet has no message for an end, so nobody hears of ours; kcp closes once what it sent is acknowledged.
TEST(Pipe, QuietEndsWhatHasNoEnd) {
  for (const char* stack : {"snet+tcp", "kcp", "route+kcp"}) {
    SCOPED_TRACE(stack);
    const bool routed = std::string_view(stack) == "route+kcp";
    const Server server(routed ? Does::route_echo : Does::echo,
                        (routed ? "kcp" : std::string(stack)) + "://127.0.0.1:0");
    Piped piped(stack + server.place() + (routed ? "/10.1.2.3:7" : ""), {.url = {}, .quiet = 300ms});
    write_all(piped.to_in, "hello");
    piped.to_in.reset();
    EXPECT_EQ(piped.read_all(), "hello");
    EXPECT_EQ(piped.code(), kExitSuccess) << piped.err();
  }
}

TEST(Pipe, ADialThatFailsSaysWhere) {
  Piped refused("tcp://127.0.0.1:1");
  EXPECT_EQ(refused.code(), kExitFailure);
  EXPECT_THAT(refused.err(), AllOf(StartsWith("error: tcp://127.0.0.1:1: "), HasSubstr("refused")));
  Piped wrong("not an address");
  EXPECT_EQ(wrong.code(), kExitFailure);
  EXPECT_THAT(wrong.err(), StartsWith("error: "));
  const Server silent(Does::say_nothing);
  Piped late("ws" + silent.place(), {.url = {}, .timeout = 200ms});
  write_all(late.to_in, "waits for the stream");
  EXPECT_EQ(late.code(), kExitFailure);
  EXPECT_THAT(late.err(), AllOf(HasSubstr("timed_out"), HasSubstr("200ms")));
}

}  // namespace
}  // namespace wayport::tools
