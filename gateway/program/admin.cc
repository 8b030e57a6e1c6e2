#include "wayport/gateway/program/admin.h"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <future>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/gateway/program/on_loop.h"
#include "wayport/transport/stream.h"

namespace wayport::gateway {
namespace {

namespace http = boost::beast::http;
using transport::Address;
using transport::Stream;
using transport::StreamEvents;

constexpr std::size_t kAnswerBytesMax = 1 << 20;
constexpr unsigned kHttp11 = 11;

template <class Message>
std::string print(const Message& message) {
  std::ostringstream text;
  text << message;
  return std::move(text).str();
}

std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

// A listener that nobody thought about is not the world's.
Result<Address> admin_address(const std::string& text) {
  WAYPORT_TRY_ASSIGN(const Address address, Address::parse(text));
  if (!address.host().empty() || address.layers().back() == "unix") return address;
  const std::string whole = address.to_string();
  const std::size_t authority = whole.find("://") + 3;
  return Address::parse(whole.substr(0, authority) + "127.0.0.1" + whole.substr(authority));
}

}  // namespace

struct AdminServer::State {
  // One request of one client.
  struct Connection final : StreamEvents, Timer {
    Connection(State& its_server, std::uint64_t its_id, std::unique_ptr<Stream> its_stream)
        : server(its_server), id(its_id), stream(std::move(its_stream)) {
      parser.header_limit(kRequestBytesMax);
      parser.eager(true);  // a body, which is refused, is found at once
      server.loop.arm(*this, after(server.loop.now(), server.options.request_timeout));
      stream->start(*this);
    }

    std::size_t on_bytes(MutableBytes bytes, bool) override {
      if (answered) return bytes.size();
      boost::system::error_code error;
      const std::size_t consumed = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
      if (error == http::error::need_more) return consumed;
      if (error == http::error::header_limit) {
        answer({.status = 431, .body = "the request is too long\n"});
      } else if (error) {
        answer({.status = 400, .body = "no request: " + error.message() + "\n"});
      } else if (parser.is_done()) {
        answer(page());
      } else {
        return consumed;
      }
      return bytes.size();
    }
    void on_writable() override {}
    void on_read_end() override {
      if (!answered) stream->close(CloseReason::peer(ErrorCode::peer_closed, "ended without a request"));
    }
    void on_closed(const CloseReason&) override { server.remove(id); }
    void on_timer() override {
      server.timed_out.fetch_add(1);
      stream->close(CloseReason::local(ErrorCode::timed_out, "no request, or its answer was not taken, in time"));
    }

    AdminPage page() const {
      const auto& request = parser.get();
      if (request.method() != http::verb::get && request.method() != http::verb::head) {
        return {.status = 405, .body = "GET and HEAD only\n"};
      }
      const std::string_view target = view_of(request.target());
      std::optional<AdminPage> found = server.pages(target.substr(0, target.find('?')));
      return found ? *std::move(found) : AdminPage{.status = 404, .body = "there is no such page\n"};
    }

    void answer(AdminPage page) {
      answered = true;
      server.requests.fetch_add(1);
      http::response<http::string_body> response(static_cast<http::status>(page.status), kHttp11);
      response.set(http::field::content_type, page.type);
      response.set(http::field::cache_control, "no-store");
      response.set("X-Content-Type-Options", "nosniff");
      if (page.status == 405) response.set(http::field::allow, "GET, HEAD");
      response.keep_alive(false);
      response.content_length(page.body.size());
      if (parser.get().method() != http::verb::head) response.body() = std::move(page.body);
      Chain chain;
      chain.append(print(response));
      stream->write(std::move(chain));
      stream->close(CloseReason::local(ErrorCode::local_closed, "answered"), {server.options.request_timeout});
    }

    State& server;
    const std::uint64_t id;
    std::unique_ptr<Stream> stream;
    http::request_parser<http::empty_body> parser;
    bool answered = false;
  };

  State(Runtime& runtime, AdminOptions its_options, Pages its_pages)
      : loop(runtime.loop(0)), options(std::move(its_options)), pages(std::move(its_pages)) {}

  Result<void> listen(const transport::Transports& transports) {
    WAYPORT_TRY_ASSIGN(const Address address, admin_address(options.address));
    transport::ListenOptions how;
    how.handshakes_max = options.connections_max;
    how.handshake_timeout = options.request_timeout;
    how.inherited = options.inherited;
    WAYPORT_TRY_ASSIGN(listener, transports.listen(loop, address, how));
    listener->start([this](std::unique_ptr<transport::Incoming> incoming) { take(*incoming); });
    return {};
  }

  void take(transport::Incoming& incoming) {
    if (connections.size() >= options.connections_max) {
      refused.fetch_add(1);
      return incoming.reject({ErrorCode::overloaded, "too many admin connections", {}});
    }
    const std::uint64_t id = ++last_id;
    connections.emplace(id, std::make_unique<Connection>(*this, id, incoming.accept()));
  }

  void remove(std::uint64_t id) {
    const auto found = connections.find(id);
    if (found == connections.end()) return;
    found->second->unlink();
    loop.delete_later(std::move(found->second));
    connections.erase(found);
  }

  Loop& loop;
  const AdminOptions options;
  const Pages pages;
  std::unique_ptr<transport::Listener> listener;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections;
  std::uint64_t last_id = 0;
  bool handed_over = false;
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<std::uint64_t> timed_out = 0;
};

AdminServer::AdminServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

AdminServer::~AdminServer() {
  Loop& loop = state_->loop;
  run_on_loop(loop, [this] { state_.reset(); });
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(Runtime& runtime, const transport::Transports& transports,
                                                        AdminOptions options, Pages pages) {
  std::unique_ptr<AdminServer> server(
      new AdminServer(std::make_unique<State>(runtime, std::move(options), std::move(pages))));
  Result<void> listening;
  run_on_loop(runtime.loop(0), [&] { listening = server->state_->listen(transports); });
  if (!listening) return fail(std::move(listening.error()));
  return server;
}

std::string AdminServer::address() const { return state_->listener->address().to_log(); }

std::vector<int> AdminServer::hand_over_listeners() {
  state_->handed_over = true;
  return state_->listener->inheritable_fds();
}

void AdminServer::take_back_listeners() {
  state_->handed_over = false;
  state_->listener->take_back();
}

void AdminServer::leave_to_successor() {
  state_->loop.post([state = state_.get()] {
    if (state->handed_over) state->listener->pause(true);
  });
}

std::uint64_t AdminServer::requests() const noexcept { return state_->requests.load(); }
std::uint64_t AdminServer::refused() const noexcept { return state_->refused.load(); }
std::uint64_t AdminServer::timed_out() const noexcept { return state_->timed_out.load(); }

// --- the client ---

namespace {

// Everything but `outcome` on the loop.
struct Fetch final : StreamEvents, Timer {
  Fetch(Loop& its_loop, Address its_address, std::string its_path)
      : loop(its_loop), address(std::move(its_address)), path(std::move(its_path)) {
    parser.header_limit(AdminServer::kRequestBytesMax);
    parser.body_limit(kAnswerBytesMax);
    parser.eager(true);
  }

  void start(const transport::Transports& transports, Duration timeout) {
    loop.arm(*this, after(loop.now(), timeout));
    dial =
        transports.dial(loop, address, {.timeout = timeout, .stream = {}}, [this](Result<std::unique_ptr<Stream>> to) {
          if (!to) return finish(fail(std::move(to.error())));
          stream = *std::move(to);
          stream->start(*this);
          http::request<http::empty_body> request(http::verb::get, path, kHttp11);
          request.set(http::field::host, address.host().empty() ? "localhost" : address.host());
          request.set(http::field::user_agent, "wayport-gateway");
          request.keep_alive(false);
          Chain chain;
          chain.append(print(request));
          stream->write(std::move(chain));
        });
  }

  std::size_t on_bytes(MutableBytes bytes, bool) override {
    if (done) return bytes.size();
    boost::system::error_code error;
    const std::size_t consumed = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (error && error != http::error::need_more) {
      fail_with(error == http::error::body_limit || error == http::error::header_limit ? ErrorCode::too_large
                                                                                       : ErrorCode::malformed,
                "answers no HTTP: " + error.message());
      return bytes.size();
    }
    if (parser.is_done()) answered();
    return consumed;
  }
  void on_writable() override {}
  void on_read_end() override {
    if (done) return;
    boost::system::error_code error;
    parser.put_eof(error);
    if (error || !parser.is_done()) return fail_with(ErrorCode::peer_closed, "ended before its answer was whole");
    answered();
  }
  void on_closed(const CloseReason& reason) override {
    if (!done) finish(fail(reason.error));
  }
  void on_timer() override { fail_with(ErrorCode::timed_out, "does not answer in time"); }

  void answered() {
    const auto& response = parser.get();
    finish(AdminPage{.status = response.result_int(),
                     .type = std::string(view_of(response[http::field::content_type])),
                     .body = response.body()});
  }
  void fail_with(ErrorCode code, const std::string& what) { finish(fail(code, address.to_log() + " " + what)); }
  void finish(Result<AdminPage> page) {
    if (std::exchange(done, true)) return;
    unlink();
    outcome.set_value(std::move(page));
  }

  Loop& loop;
  const Address address;
  const std::string path;
  std::unique_ptr<transport::Dial> dial;
  std::unique_ptr<Stream> stream;
  http::response_parser<http::string_body> parser;
  bool done = false;
  std::promise<Result<AdminPage>> outcome;
};

struct Place {
  Address address;
  std::string path;
};

Result<Place> place_of(std::string_view url, std::string_view path) {
  std::string text(url);
  std::string own_path(path);
  for (const auto& [web, scheme] : {std::pair<std::string_view, std::string_view>{"http://", "tcp://"},
                                    std::pair<std::string_view, std::string_view>{"https://", "tls://"}}) {
    if (!url.starts_with(web)) continue;
    const std::size_t slash = std::min(url.find('/', web.size()), url.size());
    if (url.size() - slash > 1) own_path = url.substr(slash);
    text = std::string(scheme) + std::string(url.substr(web.size(), slash - web.size()));
  }
  WAYPORT_TRY_ASSIGN(Address address, Address::parse(text));
  return Place{std::move(address), std::move(own_path)};
}

}  // namespace

Result<AdminPage> admin_get(Runtime& runtime, const transport::Transports& transports, std::string_view url,
                            std::string_view path, Duration timeout) {
  WAYPORT_TRY_ASSIGN(Place place, place_of(url, path));
  Loop& loop = runtime.loop(0);
  auto fetch = std::make_unique<Fetch>(loop, std::move(place.address), std::move(place.path));
  std::future<Result<AdminPage>> outcome = fetch->outcome.get_future();
  loop.post([&] { fetch->start(transports, timeout); });
  Result<AdminPage> page = outcome.get();
  run_on_loop(loop, [&] { fetch.reset(); });
  return page;
}

}  // namespace wayport::gateway
