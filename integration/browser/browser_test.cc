// Goal: a page with plain JavaScript talks to a TCP server through the gateway. Method: echo.html in headless Chromium, served
// by a few lines of HTTP that add a script which sends the page's text back once it has settled.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "wayport/base/socket.h"
#include "wayport/base/testing/process.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::integration {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Process;
using testing::ProcessOptions;
using testing::runfile;

// Runs in the page: what a reader would see, once it no longer changes.
constexpr const char* kReport = R"(<script>
const state = document.getElementById('state');
new MutationObserver(() => {
  if (!['done', 'failed'].includes(state.textContent)) return;
  fetch('/seen', {method: 'POST', body: state.textContent + '\n' + document.getElementById('output').textContent});
}).observe(state, {childList: true, characterData: true, subtree: true});
</script>)";

std::string after(const std::string& line, const std::string& mark) {
  const std::size_t found = line.find(mark);
  return found == std::string::npos ? std::string() : line.substr(found + mark.size());
}
// Of the address in a line.
std::string port_of(const std::string& line) {
  const std::size_t begin = line.find("://") + 3;
  const std::string place = line.substr(begin, line.find_first_of("?/\" ", begin) - begin);
  return place.substr(place.rfind(':') + 1);
}

// Answers each GET with the page, and returns the body of the first POST; empty if none came in a minute.
class PageServer {
 public:
  explicit PageServer(std::string page) : page_(std::move(page)) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(where);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&where), &size);
    port_ = ntohs(where.sin_port);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/echo.html"; }

  std::string wait_for_text() const {
    for (;;) {
      pollfd ready{listener_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 60'000) != 1) return {};
      const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::string request;
      std::size_t head = std::string::npos;
      char piece[4096];
      const auto read_more = [&] {
        const ssize_t got = ::recv(connection.get(), piece, sizeof(piece), 0);
        if (got > 0) request.append(piece, static_cast<std::size_t>(got));
        return got > 0;
      };
      while ((head = request.find("\r\n\r\n")) == std::string::npos && read_more()) {
      }
      if (head == std::string::npos) continue;
      if (request.starts_with("POST /seen ")) {
        std::size_t length = 0;
        for (const char* const name : {"Content-Length: ", "content-length: "}) {
          if (const std::string value = after(request, name); !value.empty()) {
            length = static_cast<std::size_t>(std::atoi(value.c_str()));
          }
        }
        while (request.size() < head + 4 + length && read_more()) {
        }
        answer(connection, "204 No Content", "");
        return request.substr(head + 4);
      }
      answer(connection, "200 OK", request.starts_with("GET /echo.html") ? page_ : "");
    }
  }

 private:
  static void answer(const Fd& connection, const std::string& status, const std::string& body) {
    const std::string text =
        "HTTP/1.1 " + status +
        "\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
    EXPECT_EQ(::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  std::string page_;
  Fd listener_;
  unsigned port_ = 0;
};

class BrowserTest : public ::testing::Test {
 protected:
  BrowserTest() {
    backend_port = port_of(backend.wait_for_line("listening on tcp:"));
    const std::string config =
        directory.write("config.toml",
                        "[wsgate]\nport = 0\nenabled = true\ndial_timeout = 5\n[allow]\ntargets = "
                        "[\"127.0.0.1:" +
                            backend_port + "\"]\n");
    gateway = std::make_unique<Process>(
        std::vector<std::string>{runfile("gateway/wayport-gateway"), "gogateway", "--config", config},
        ProcessOptions{.directory = directory.path()});
    gate_port = port_of(gateway->wait_for_error_line("route=ws address="));
    std::ifstream file(runfile("integration/browser/echo.html"), std::ios::binary);
    page = std::string(std::istreambuf_iterator<char>(file), {}) + kReport;
  }
  ~BrowserTest() override {
    for (Process* const process : {gateway.get(), &backend}) {
      process->signal(SIGTERM);
      EXPECT_EQ(process->finish().exit_code, 0);
    }
  }
  // What the page shows in the end.
  std::string text_of(const std::string& backend_name) const {
    const PageServer server(page);
    const transport::TestDirectory profile;
    // Its own sandbox wants privileges that a test has not; the page is ours.
    Process chromium(
        {"/usr/bin/chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--user-data-dir=" + profile.path(),
         server.url() + "?gateway=ws://127.0.0.1:" + gate_port + "/&backend=" + backend_name + "&say=from%20a%20page"},
        ProcessOptions{.environment = {"HOME=" + profile.path()}});
    std::string text = server.wait_for_text();
    chromium.signal(SIGTERM);
    static_cast<void>(chromium.finish());
    return text;
  }

  transport::TestDirectory directory;
  Process backend{{runfile("integration/examples/backend"), "tcp://127.0.0.1:0"}};
  std::unique_ptr<Process> gateway;
  std::string backend_port, gate_port, page;
};

TEST_F(BrowserTest, APageTalksToATcpServer) {
  EXPECT_EQ(text_of("127.0.0.1:" + backend_port), "done\njoined: ok\nhello\necho: from a page\nclosed: 1000\n");
}

TEST_F(BrowserTest, APageLearnsThatItsBackendIsRefused) {
  EXPECT_THAT(text_of("127.0.0.1:1"), AllOf(HasSubstr("failed\n"), HasSubstr("closed: 1006\n")));
}

}  // namespace
}  // namespace wayport::integration
