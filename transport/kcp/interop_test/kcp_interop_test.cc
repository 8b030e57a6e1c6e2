// Against KCP not written here: the distribution's kcp-go, in a small program built when the test runs, and its kcptun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/testing/process.h"
#include "wayport/transport/kcp/kcp_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using wayport::testing::Finished;
using wayport::testing::Process;
using wayport::testing::ProcessOptions;
using wayport::testing::runfile;

constexpr std::size_t kMiB = 1u << 20;

std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint64_t state = 7;
  for (char& c : text) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return text;
}
std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  ::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
  return to_hex(std::as_bytes(std::span(digest)).first(size));
}

// Two streams joined; keeps the two of them.
class Joint {
 public:
  Joint(std::unique_ptr<Stream> one, std::unique_ptr<Stream> other) : a_(*this), b_(*this) {
    a_.to = &b_;
    b_.to = &a_;
    a_.stream = std::move(one);
    b_.stream = std::move(other);
    a_.stream->start(a_);
    b_.stream->start(b_);
  }

 private:
  struct Half final : StreamEvents {
    explicit Half(Joint& its_joint) : joint(its_joint) {}
    std::size_t on_bytes(MutableBytes bytes, bool) override {
      Chain chain;
      chain.append(Bytes(bytes));
      if (to->stream->write(std::move(chain)) == Pressure::high) stream->read(false);
      return bytes.size();
    }
    void on_writable() override { to->stream->read(true); }
    void on_read_end() override { to->stream->shutdown_write(); }
    void on_closed(const CloseReason& reason) override { to->stream->close(reason, {5s}); }
    Joint& joint;
    Half* to = nullptr;
    std::unique_ptr<Stream> stream;
  };
  Half a_, b_;
};

class KcpInterop : public ::testing::Test {
 protected:
  KcpInterop() {
    all.add("kcp", std::make_shared<KcpTransport>());
    all.add("tcp", std::make_shared<TcpTransport>());
  }
  std::unique_ptr<Listener> listen(const std::string& address, OnIncoming on_incoming) {
    auto made = all.listen(loop, *Address::parse(address), {});
    EXPECT_TRUE(made) << made.error().to_string();
    (*made)->start(std::move(on_incoming));
    return *std::move(made);
  }
  std::unique_ptr<Stream> dial(const std::string& address) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, address);
    EXPECT_TRUE(run_until(loop, [&] { return outcome.done(); }));
    EXPECT_EQ(outcome.error(), "");
    return std::move(**outcome.result);
  }
  static std::string port_of(const Listener& listener) { return std::to_string(listener.address().port()); }

  Transports all;
  Loop loop;
};

// --- kcp-go ---

struct GoCase {
  const char* name;
  std::string crypt;
  std::string key;
  int data;
  int parity;
  std::string parameters() const {
    std::string text = "?mode=fast3&sndwnd=512&rcvwnd=512&ack_nodelay=1";
    if (!crypt.empty()) text += "&crypt=" + crypt + "&key=" + key;
    if (data != 0) text += "&fec=" + std::to_string(data) + "," + std::to_string(parity);
    return text;
  }
};

class KcpGo : public KcpInterop {
 protected:
  // Built once; empty: the packages are not there.
  static const std::string& program() {
    static const std::string path = [] {
      if (!std::filesystem::exists("/usr/share/gocode/src/github.com/xtaci/kcp-go")) return std::string();
      for (const char* go : {"/usr/bin/go", "/usr/local/go/bin/go"}) {
        if (!std::filesystem::exists(go)) continue;
        static TestDirectory directory;
        const std::string out = directory.path() + "/echo";
        Finished built;
        // On a busy machine one build may take longer than a program is given; what it has compiled stays.
        for (int tries = 0; tries < 5 && built.exit_code < 0; ++tries) {
          built = wayport::testing::run(
              {go, "build", "-o", out, runfile("transport/kcp/interop_test/echo.go")},
              ProcessOptions{.environment = {"GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOFLAGS=",
                                             "GOCACHE=" + directory.path() + "/cache", "HOME=" + directory.path()}});
        }
        EXPECT_EQ(built.exit_code, 0) << built.err;
        return built.exit_code == 0 ? out : std::string("failed");
      }
      return std::string();
    }();
    return path;
  }
  static std::vector<GoCase> cases() {
    const std::string key(64, '7');
    return {{"plain", "", "", 0, 0},
            {"fec", "", "", 10, 3},
            {"aes", "aes", key, 0, 0},
            {"aes with fec", "aes", key, 10, 3},
            {"none", "none", key, 3, 2},
            {"sm4", "sm4", key.substr(0, 32), 0, 0},
            {"3des", "3des", key.substr(0, 48), 0, 0},
            {"blowfish", "blowfish", key, 0, 0},
            {"cast5", "cast5", key.substr(0, 32), 0, 0},
            {"xor", "xor", key, 10, 3}};
  }
};

TEST_F(KcpGo, EchoesToOurDialer) {
  ASSERT_NE(program(), "") << "needs the packages golang-go and golang-github-xtaci-kcp-dev";
  ASSERT_NE(program(), "failed");
  for (const GoCase& each : cases()) {
    SCOPED_TRACE(each.name);
    Process server({program(), "server", each.crypt, each.key, std::to_string(each.data), std::to_string(each.parity)});
    const std::string line = server.wait_for_line("listening ");
    ASSERT_FALSE(line.empty());
    const auto stream = dial("kcp://127.0.0.1:" + line.substr(10) + each.parameters());
    RecordingEvents events;
    stream->start(events);
    const std::string sent = noise(2 * kMiB);
    stream->write(chain_of(sent));
    ASSERT_TRUE(run_until(loop, [&] { return events.received.size() >= sent.size(); }, 60s)) << events.received.size();
    EXPECT_EQ(sha256(events.received), sha256(sent));
  }
}

TEST_F(KcpGo, IsEchoedByOurListener) {
  ASSERT_NE(program(), "") << "needs the packages golang-go and golang-github-xtaci-kcp-dev";
  ASSERT_NE(program(), "failed");
  for (const GoCase& each : cases()) {
    SCOPED_TRACE(each.name);
    std::unique_ptr<Stream> stream;
    RecordingEvents events;
    std::size_t returned = 0;
    events.then_bytes = [&] {
      stream->write(chain_of(std::string_view(events.received).substr(returned)));
      returned = events.received.size();
    };
    const auto listener = listen("kcp://127.0.0.1:0" + each.parameters(), [&](std::unique_ptr<Incoming> incoming) {
      stream = incoming->accept();
      stream->start(events);
    });
    Process client({program(), "client", "127.0.0.1:" + port_of(*listener), each.crypt, each.key,
                    std::to_string(each.data), std::to_string(each.parity), std::to_string(2 * kMiB)});
    ASSERT_TRUE(run_until(loop, [&] { return returned >= 2 * kMiB && stream->queued() == 0; }, 60s)) << returned;
    // Until the program has all of it, our loop has to go on.
    stream->close(CloseReason::local(ErrorCode::local_closed, "echoed"), {30s});
    ASSERT_TRUE(run_until(loop, [&] { return events.closed.has_value(); }, 60s));
    const Finished finished = client.finish();
    EXPECT_EQ(finished.out, "same\n") << finished.err;
  }
}

// --- kcptun ---

//   bytes -> kcptun-client -> kcp -> [our listener | our dialer] -> kcp -> kcptun-server -> bytes
class Kcptun : public KcpInterop {
 protected:
  static bool installed() {
    return std::filesystem::exists("/usr/bin/kcptun-client") && std::filesystem::exists("/usr/bin/kcptun-server");
  }
  // Free at the moment of asking, on a loopback that is this test's own.
  std::uint16_t free_port(const char* scheme) {
    const auto listener = all.listen(loop, *Address::parse(std::string(scheme) + "://127.0.0.1:0"), {});
    EXPECT_TRUE(listener);
    return (*listener)->address().port();
  }

  void carries(const std::string& parameters, const std::vector<std::string>& flags, std::size_t size) {
    // What the tunnel's far end reaches.
    std::unique_ptr<Stream> far;
    RecordingEvents far_events;
    const std::string answer = noise(size);
    const auto target = listen("tcp://127.0.0.1:0", [&](std::unique_ptr<Incoming> incoming) {
      far = incoming->accept();
      far->start(far_events);
      far->write(chain_of(answer));
    });
    const std::string server_port = std::to_string(free_port("kcp"));
    std::vector<std::string> server_command = {"/usr/bin/kcptun-server", "--listen", "127.0.0.1:" + server_port,
                                               "--target", "127.0.0.1:" + port_of(*target)};
    server_command.insert(server_command.end(), flags.begin(), flags.end());
    Process server(server_command);
    ASSERT_FALSE(server.wait_for_error_line("listening on").empty());

    std::list<Joint> joints;
    std::list<DialOutcome> dials;
    const auto middle = listen("kcp://127.0.0.1:0" + parameters, [&](std::unique_ptr<Incoming> incoming) {
      auto accepted = std::make_shared<std::unique_ptr<Stream>>(incoming->accept());
      dials.emplace_back();
      dials.back().dial = all.dial(loop, *Address::parse("kcp://127.0.0.1:" + server_port + parameters), {},
                                   [&joints, accepted](Result<std::unique_ptr<Stream>> dialed) {
                                     ASSERT_TRUE(dialed) << dialed.error().to_string();
                                     joints.emplace_back(std::move(*accepted), *std::move(dialed));
                                   });
    });
    const std::string client_port = std::to_string(free_port("tcp"));
    std::vector<std::string> client_command = {"/usr/bin/kcptun-client", "--localaddr", "127.0.0.1:" + client_port,
                                               "--remoteaddr", "127.0.0.1:" + port_of(*middle)};
    client_command.insert(client_command.end(), flags.begin(), flags.end());
    Process client(client_command);
    ASSERT_FALSE(client.wait_for_error_line("listening on").empty());

    const std::unique_ptr<Stream> near = dial("tcp://127.0.0.1:" + client_port);
    RecordingEvents near_events;
    near->start(near_events);
    const std::string question = noise(size + 1);
    near->write(chain_of(question));
    EXPECT_TRUE(run_until(
        loop,
        [&] { return near_events.received.size() >= answer.size() && far_events.received.size() >= question.size(); },
        60s))
        << near_events.received.size() << " and " << far_events.received.size();
    EXPECT_EQ(sha256(near_events.received), sha256(answer));
    EXPECT_EQ(sha256(far_events.received), sha256(question));
  }
};

constexpr const char* kTuned = "?mode=fast&mtu=1350&sndwnd=1024&rcvwnd=1024&stream=1&ack_nodelay=1";

TEST_F(Kcptun, ItsDefaultsGoThroughUs) {
  ASSERT_TRUE(installed()) << "needs the package kcptun";
  carries(std::string(kTuned) + "&fec=10,3&crypt=aes&password=it%27s%20a%20secrect", {}, 64 * kMiB);
}

TEST_F(Kcptun, WithoutFecAndWithTheCipherNone) {
  ASSERT_TRUE(installed()) << "needs the package kcptun";
  carries(std::string(kTuned) + "&crypt=none", {"--crypt", "none", "--datashard", "0", "--parityshard", "0"},
          64 * kMiB);
}

}  // namespace
}  // namespace wayport::transport
