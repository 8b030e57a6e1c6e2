#include "wayport/rpc/discovery/etcd_core.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <iterator>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/rpc/discovery/fill.h"

namespace wayport::rpc {

Result<etcd::Endpoint> etcd::parse_endpoint(std::string_view text) {
  std::string_view layer;
  std::string_view rest = text;
  if (text.starts_with("http://")) {
    layer = "tcp";
    rest.remove_prefix(7);
  } else if (text.starts_with("https://")) {
    layer = "tls";
    rest.remove_prefix(8);
  } else {
    return fail(ErrorCode::invalid_argument, "an endpoint of etcd begins with http:// or https://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  WAYPORT_TRY_ASSIGN(transport::Address address, transport::Address::parse(etcd::fill("{}://{}", layer, rest)));
  if (address.host().empty() || address.port() == 0 || !address.path().empty()) {
    return fail(ErrorCode::invalid_argument, "an endpoint of etcd has a host and a port and no path");
  }
  // A watch is quiet for hours; a server that vanished must still be noticed.
  if (address.parameter("keepalive") == nullptr) address.set_parameter("keepalive", "30s");
  std::string host(rest.substr(0, rest.find('?')));
  return Endpoint{std::string(text.substr(0, text.find('?'))), std::move(host), std::move(address)};
}

// Names other than localhost are resolved elsewhere, so what they lead to today says nothing.
bool etcd::in_the_clear(const Endpoint& endpoint) {
  if (endpoint.address.scheme() != "tcp" || endpoint.address.host() == "localhost") return false;
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(endpoint.address.host(), error);
  return error || !ip.is_loopback();
}

namespace {

// Whether another endpoint may do better.
bool may_fail_over(ErrorCode code) noexcept {
  return code == ErrorCode::unreachable || code == ErrorCode::refused || code == ErrorCode::timed_out ||
         code == ErrorCode::peer_closed || code == ErrorCode::io || code == ErrorCode::malformed ||
         code == ErrorCode::not_found;
}

}  // namespace

EtcdClient::Core::Core(Loop& on, const transport::Transports& all, EtcdOptions given)
    : loop(on),
      transports(all),
      options(std::move(given)),
      log(options.log ? *options.log : null_log()),
      link(on, all) {}

EtcdClient::Core::Turn::~Turn() {
  core->turns.remove(this);
  if (!held) return;
  core->busy = false;
  if (core->turns.empty()) return;
  Turn* const next = core->turns.front();
  core->turns.pop_front();
  core->busy = next->held = true;
  core->loop.post([done = std::move(next->granted)]() mutable { done({}); });
}

asio::awaitable<Result<void>> EtcdClient::Core::Turn::take() {
  if (!core->busy) {
    core->busy = held = true;
    co_return Result<void>();
  }
  if (core->turns.size() >= core->options.requests_waiting_max) {
    ++core->counters.overloaded;
    co_return fail(ErrorCode::overloaded, "etcd: more than requests_waiting_max requests wait");
  }
  core->turns.push_back(this);
  co_return co_await async_callback<void>([this](Completion<void> done) { granted = std::move(done); });
}

// One request to the current endpoint. A kept connection may have died unnoticed: then once more on a fresh one.
asio::awaitable<Result<std::string>> EtcdClient::Core::once(std::shared_ptr<Core> core, std::string path,
                                                            std::string body, etcd::Repeat repeat) {
  const etcd::Endpoint& endpoint = core->endpoints[core->current];
  core->sent = false;
  // A kept connection may have died unnoticed, and then nobody knows whether the request was done.
  if (repeat == etcd::Repeat::no) core->link.drop();
  for (;;) {
    if (core->closed) co_return fail(core->closed_error());
    const bool kept = core->link.connected();
    if (!kept) {
      Result<void> connected = co_await core->link.connect(endpoint.address, core->options.request_timeout);
      if (core->closed) co_return fail(core->closed_error());
      if (!connected) {
        Error error = connected.error();
        if (error.code == ErrorCode::timed_out) ++core->counters.timed_out;
        // A refused connection is not a refusal of credentials.
        if (error.code == ErrorCode::refused || error.code == ErrorCode::not_found) error.code = ErrorCode::unreachable;
        error.detail = etcd::fill("{}: {}", endpoint.name, error.detail);
        co_return fail(std::move(error));
      }
    }
    core->sent = true;
    Result<etcd::HttpAnswer> answer = co_await core->link.request(
        {endpoint.host, path, body, core->token}, core->options.request_timeout, core->options.response_bytes_max);
    if (core->closed) co_return fail(core->closed_error());
    if (answer) {
      if (answer->status == 200) co_return std::move(answer->body);
      co_return fail(etcd::error_of(answer->status, answer->body, endpoint.name));
    }
    Error error = std::move(answer.error());
    if (kept && (error.code == ErrorCode::peer_closed || error.code == ErrorCode::io)) continue;
    if (error.code == ErrorCode::too_large) ++core->counters.too_large;
    if (error.code == ErrorCode::timed_out) ++core->counters.timed_out;
    error.detail = etcd::fill("{}: {}", endpoint.name, error.detail);
    co_return fail(std::move(error));
  }
}

asio::awaitable<Result<std::string>> EtcdClient::Core::any_endpoint(std::shared_ptr<Core> core, std::string path,
                                                                    std::string body, etcd::Repeat repeat) {
  ++core->counters.requests;
  Result<std::string> answer = co_await once(core, path, body, repeat);
  for (std::size_t tried = 1; tried < core->endpoints.size(); ++tried) {
    if (answer || core->closed || core->link.connected() || !may_fail_over(answer.error().code)) break;
    if (core->sent && repeat == etcd::Repeat::no) break;
    core->current = (core->current + 1) % core->endpoints.size();
    ++core->counters.failovers;
    answer = co_await once(core, path, body, repeat);
  }
  // One that answers `unavailable` on a good connection, or not at all, is left, too, for the next request.
  if (!answer && !core->closed && core->endpoints.size() > 1 &&
      (answer.error().code == ErrorCode::unreachable || answer.error().code == ErrorCode::timed_out)) {
    core->link.drop();
    core->current = (core->current + 1) % core->endpoints.size();
    ++core->counters.failovers;
  }
  co_return answer;
}

asio::awaitable<Result<void>> EtcdClient::Core::login(std::shared_ptr<Core> core) {
  if (core->options.user.empty() || !core->token.empty()) co_return Result<void>();
  ++core->counters.logins;
  Result<std::string> answer = co_await any_endpoint(
      core, "/v3/auth/authenticate", etcd::write_login(core->options.user, core->options.password), etcd::Repeat::yes);
  if (!answer) co_return fail(answer.error());
  Result<std::string> token = etcd::read_login(*answer);
  if (!token) co_return fail(core->named(token.error()));
  core->token = *std::move(token);
  co_return Result<void>();
}

asio::awaitable<Result<std::string>> EtcdClient::Core::call(std::shared_ptr<Core> core, std::string path,
                                                            std::string body, etcd::Repeat repeat) {
  Turn turn(core);
  if (Result<void> taken = co_await turn.take(); !taken) co_return fail(taken.error());
  for (bool renewed = false;; renewed = true) {
    if (Result<void> done = co_await login(core); !done) co_return fail(done.error());
    Result<std::string> answer = co_await any_endpoint(core, path, body, repeat);
    if (answer || renewed || core->token.empty() || !etcd::is_token_error(answer.error())) co_return answer;
    core->token.clear();
  }
}

asio::awaitable<Result<void>> EtcdClient::Core::ensure_login(std::shared_ptr<Core> core) {
  if (core->options.user.empty() || !core->token.empty()) co_return Result<void>();
  Turn turn(core);
  if (Result<void> taken = co_await turn.take(); !taken) co_return fail(taken.error());
  co_return co_await login(core);
}

asio::awaitable<Result<etcd::RangeAnswer>> EtcdClient::Core::list(std::shared_ptr<Core> core, std::string prefix,
                                                                  std::size_t limit) {
  const std::size_t wanted = limit == 0 ? core->options.keys_max : std::min(limit, core->options.keys_max);
  const std::string end = etcd::prefix_end(prefix);
  std::string from = prefix.empty() ? std::string(1, '\0') : prefix;
  etcd::RangeAnswer all;
  for (;;) {
    const std::size_t page = std::min(core->options.page_keys, wanted - all.entries.size());
    Result<std::string> answer = co_await call(
        core, "/v3/kv/range", etcd::write_range({from, end, static_cast<std::int64_t>(page), all.revision}));
    if (!answer) co_return fail(answer.error());
    Result<etcd::RangeAnswer> read = etcd::read_range(*answer);
    if (!read) co_return fail(core->named(read.error()));
    if (read->entries.size() > page || (read->more && read->entries.empty())) {
      co_return fail(core->named({ErrorCode::malformed, "a page has another size than was asked for", {}}));
    }
    if (all.revision == 0) all.revision = read->revision;
    all.more = read->more;
    std::ranges::move(read->entries, std::back_inserter(all.entries));
    if (!all.more) co_return all;
    if (all.entries.size() >= wanted) {
      if (limit != 0 && limit <= core->options.keys_max) co_return all;
      ++core->counters.too_large;
      co_return fail(ErrorCode::too_large, etcd::fill("etcd: \"{}\" has more keys than keys_max ({})", escape(prefix),
                                                      core->options.keys_max));
    }
    from = all.entries.back().key + '\0';
  }
}

Error EtcdClient::Core::named(Error error) const {
  error.detail = etcd::fill("{}: {}", endpoints[current].name, error.detail);
  return error;
}

Duration EtcdClient::Core::retry_wait(unsigned failures) {
  Duration wait = options.retry_first;
  for (unsigned i = 1; i < failures && wait < options.retry_max; ++i) wait *= 2;
  wait = std::min(wait, options.retry_max);
  const auto half = static_cast<std::uint64_t>(std::max<std::int64_t>(wait.count() / 2, 1));
  return wait / 2 + Duration(static_cast<std::int64_t>(options.random() % half));
}

}  // namespace wayport::rpc
