#include "wayport/rpc/discovery/etcd_http.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <utility>

#include "wayport/base/timer_wheel.h"
#include "wayport/rpc/discovery/fill.h"
#include "wayport/transport/stream_co.h"

namespace wayport::rpc::etcd {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

Result<std::string> print(HttpRequest&& from) {
  http::request<http::string_body> message{http::verb::post, from.path, 11};
  message.set(http::field::host, from.host);
  message.set(http::field::user_agent, "wayport");
  message.set(http::field::content_type, "application/json");
  if (!from.token.empty()) message.set(http::field::authorization, from.token);
  message.body() = std::move(from.body);
  message.prepare_payload();
  http::request_serializer<http::string_body> serializer(message);
  std::string to;
  boost::system::error_code error;
  while (!serializer.is_done()) {
    serializer.next(error, [&](boost::system::error_code&, const auto& buffers) {
      std::size_t size = 0;
      for (const asio::const_buffer buffer : boost::beast::buffers_range_ref(buffers)) {
        to.append(static_cast<const char*>(buffer.data()), buffer.size());
        size += buffer.size();
      }
      serializer.consume(size);
    });
    if (error) return fail(ErrorCode::internal, "an HTTP request cannot be written: " + error.message());
  }
  return to;
}

}  // namespace

struct HttpLink::State {
  // Drops the connection when the time is over, which ends what is awaited.
  struct Deadline final : Timer {
    Deadline(State& of, Duration timeout) : state(of) {
      state.timed_out = false;
      state.loop.arm(*this, after(state.loop.now(), timeout));
    }
    void on_timer() override {
      state.timed_out = true;
      state.stream.reset();
    }
    State& state;
  };
  // Drops the connection unless the exchange ended in order.
  struct Exchange {
    explicit Exchange(State& of) : state(of) {}
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    ~Exchange() {
      if (!in_order) state.stream.reset();
    }
    State& state;
    bool in_order = false;
  };

  State(Loop& on, const transport::Transports& all) : loop(on), transports(all) {}

  Error lost(Error error, std::string_view doing) const {
    if (timed_out) return {ErrorCode::timed_out, fill("no answer in time while {}", doing), {}};
    if (!stream && error.code == ErrorCode::canceled) error.detail = "the connection was dropped";
    return error;
  }

  // Parses what was read; reads more if that brought nothing. True: progress; false: the stream has ended.
  asio::awaitable<Result<bool>> step() {
    if (!unread.empty()) {
      boost::system::error_code error;
      const std::size_t used = parser->put(asio::buffer(unread), error);
      unread.erase(0, used);
      if (error == http::error::body_limit) {
        co_return fail(ErrorCode::too_large, "the answer is longer than response_bytes_max");
      }
      if (error && error != http::error::need_more) {
        co_return fail(ErrorCode::malformed, "no HTTP answer: " + error.message());
      }
      if (used != 0) co_return true;  // also with need_more: a piece of the body may be there
    }
    if (!stream) co_return fail(ErrorCode::peer_closed, "the connection is gone");
    Result<std::string> more = co_await stream->read_some();
    if (!more) co_return fail(lost(std::move(more.error()), "an answer was awaited"));
    if (more->empty()) {
      boost::system::error_code error;
      if (parser->got_some()) parser->put_eof(error);
      if (error || !parser->is_done()) {
        co_return fail(ErrorCode::peer_closed, "the connection ended inside or before an answer");
      }
      co_return false;
    }
    unread += *more;
    co_return true;
  }

  asio::awaitable<Result<void>> send(HttpRequest request, std::optional<std::size_t> body_bytes_max) {
    if (!stream) co_return fail(ErrorCode::local_closed, "not connected");
    parser.emplace();
    parser->header_limit(kHeaderBytesMax);
    if (body_bytes_max) {
      parser->body_limit(*body_bytes_max);
    } else {
      parser->body_limit(boost::none);
    }
    parser->eager(true);
    unread.clear();
    Result<std::string> bytes = print(std::move(request));
    if (!bytes) co_return fail(bytes.error());
    if (Result<void> wrote = co_await stream->write(*std::move(bytes)); !wrote) {
      co_return fail(lost(std::move(wrote.error()), "a request was sent"));
    }
    co_return Result<void>();
  }

  Loop& loop;
  const transport::Transports& transports;
  std::optional<transport::CoStream> stream;
  struct Parser : http::response_parser<http::string_body> {
    using Base = http::response_parser<http::string_body>;
    bool got_some() const { return Base::got_some(); }
  };
  std::optional<Parser> parser;
  std::string unread;
  bool timed_out = false;
};

HttpLink::HttpLink(Loop& loop, const transport::Transports& transports)
    : state_(std::make_unique<State>(loop, transports)) {}
HttpLink::~HttpLink() = default;

bool HttpLink::connected() const noexcept { return state_->stream.has_value(); }
void HttpLink::drop() noexcept { state_->stream.reset(); }

asio::awaitable<Result<void>> HttpLink::connect(transport::Address address, Duration timeout) {
  State& state = *state_;
  state.stream.reset();
  Result<std::unique_ptr<transport::Stream>> dialed =
      co_await transport::dial(state.transports, state.loop, std::move(address), {.timeout = timeout});
  if (!dialed) co_return fail(dialed.error());
  state.stream.emplace(*std::move(dialed));
  co_return Result<void>();
}

asio::awaitable<Result<HttpAnswer>> HttpLink::request(HttpRequest request, Duration timeout,
                                                      std::size_t body_bytes_max) {
  State& state = *state_;
  State::Exchange exchange(state);
  const State::Deadline deadline(state, timeout);
  if (Result<void> sent = co_await state.send(std::move(request), body_bytes_max); !sent) co_return fail(sent.error());
  while (!state.parser->is_done()) {
    Result<bool> stepped = co_await state.step();
    if (!stepped) co_return fail(stepped.error());
  }
  auto message = state.parser->release();
  exchange.in_order = message.keep_alive() && state.unread.empty();
  co_return HttpAnswer{message.result_int(), std::move(message.body())};
}

asio::awaitable<Result<unsigned>> HttpLink::open(HttpRequest request, Duration timeout) {
  State& state = *state_;
  State::Exchange exchange(state);
  const State::Deadline deadline(state, timeout);
  if (Result<void> sent = co_await state.send(std::move(request), std::nullopt); !sent) co_return fail(sent.error());
  while (!state.parser->is_header_done()) {
    Result<bool> stepped = co_await state.step();
    if (!stepped) co_return fail(stepped.error());
  }
  exchange.in_order = true;
  co_return state.parser->get().result_int();
}

asio::awaitable<Result<std::string>> HttpLink::read_body(Duration timeout) {
  State& state = *state_;
  std::optional<State::Deadline> deadline;
  if (timeout > Duration::zero()) deadline.emplace(state, timeout);
  for (;;) {
    std::string& body = state.parser->get().body();
    if (!body.empty()) co_return std::exchange(body, {});
    if (state.parser->is_done()) co_return std::string();
    Result<bool> stepped = co_await state.step();
    if (!stepped) co_return fail(stepped.error());
  }
}

}  // namespace wayport::rpc::etcd
