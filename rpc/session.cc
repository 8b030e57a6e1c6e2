#include "wayport/rpc/session.h"

#include "wayport/rpc/guard.h"
#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {
namespace {

using framing::OutgoingBody;

// The body to send for an argument. Views into it live as long as the argument.
Result<OutgoingBody> body_of(const SessionDriver& session, const detail::Argument& argument, std::uint8_t codec,
                             framing::PacketKind kind) {
  OutgoingBody body;
  if (argument.raw) {
    const framing::RawBody& raw = *argument.raw;
    body.form = raw.codec_id != 0 ? OutgoingBody::Form::encoded : OutgoingBody::Form::verbatim;
    body.codec_id = raw.codec_id;
    body.bytes = as_bytes(raw.bytes);
    return body;
  }
  const SessionOptions& options = session.options();
  if (!argument.value.ops) {
    body.form = framing::no_body_form(options.version, kind);
    body.codec_id = codec != 0 ? codec : options.body_codec;
    return body;
  }
  const std::uint8_t id = codec != 0 ? codec : fitting_codec(*argument.value.ops, options.body_codec);
  body.codec = session.codecs().find(id);
  if (!body.codec) return fail(ErrorCode::unsupported, "no body codec is registered under id " + std::to_string(id));
  body.form = OutgoingBody::Form::value;
  body.value = argument.value;
  return body;
}

Request request_of(const SessionDriver& session, std::string_view uri, const CallOptions& options) {
  const SessionOptions& defaults = session.options();
  Request request;
  request.uri = uri;
  request.header_codec = options.header_codec;
  request.gzip = options.gzip.value_or(defaults.gzip);
  request.status_code = options.status_code;
  request.status = options.status;
  request.timeout = options.timeout.value_or(defaults.call_timeout);
  if (request.timeout < Duration::zero()) request.timeout = Duration(1);
  return request;
}

// A request on its way from another thread to the loop: everything owned, the value encoded already.
struct PostedRequest {
  std::string uri;
  CallOptions options;
  OutgoingBody body;
  std::string bytes;

  Request view(const SessionDriver& session) {
    Request request = request_of(session, uri, options);
    body.bytes = as_bytes(bytes);
    request.body = body;
    return request;
  }
};

Result<PostedRequest> own(std::string_view uri, const CallOptions& options, const OutgoingBody& body) {
  PostedRequest posted{std::string(uri), options, body, {}};
  if (body.form == OutgoingBody::Form::value) {
    Chain encoded;
    WAYPORT_TRY(body.codec->encode(body.value, encoded));
    posted.bytes = encoded.to_string();
    posted.body.codec_id = body.codec->id();
    posted.body.form = posted.bytes.empty() ? OutgoingBody::Form::codec_only : OutgoingBody::Form::encoded;
    posted.body.codec = nullptr;
    posted.body.value = {};
  } else {
    posted.bytes = std::string(as_text(body.bytes));
  }
  return posted;
}

// Counts a command of another thread against the bound; false: over it.
bool reserve(SessionDriver& session, std::size_t bytes) {
  const bool few = session.posted.fetch_add(1, std::memory_order_relaxed) < session.options().calls_max;
  const bool small =
      session.posted_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes <= session.options().output_bytes_max;
  if (few && small) return true;
  session.posted.fetch_sub(1, std::memory_order_relaxed);
  session.posted_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}
void unreserve(SessionDriver& session, std::size_t bytes) {
  session.posted.fetch_sub(1, std::memory_order_relaxed);
  session.posted_bytes.fetch_sub(bytes, std::memory_order_relaxed);
}
constexpr std::string_view kTooManyPosted =
    "calls_max or output_bytes_max reached: commands of other threads wait for the session's loop";

void fail_on_loop(SessionDriver& session, std::unique_ptr<PendingCall> call, Status status) {
  session.loop().post(
      [self = session.shared_from_this(), call = std::move(call), status = std::move(status)]() mutable {
        guarded(self->environment().session.log, "pull completion", [&] { call->on_failed(std::move(status)); });
      });
}

void pull_on_loop(SessionDriver& session, const Request& request, const std::shared_ptr<Canceler>& canceler,
                  std::unique_ptr<PendingCall> call) {
  const std::optional<std::uint64_t> seq = session.core().pull(request, std::move(call));
  if (!seq || !canceler) return;
  canceler->bind([weak = session.weak_from_this(), seq = *seq] {
    if (const std::shared_ptr<SessionDriver> alive = weak.lock()) {
      SessionDriver& driver = *alive;
      driver.on_loop([&driver, seq] { driver.core().cancel(seq); });
    }
  });
}

}  // namespace

namespace detail {

Result<void> decode_reply(const framing::PacketView& packet, framing::ProtocolContext& context,
                          const framing::BodyTarget& target) noexcept {
  try {
    return framing::decode_body(packet, context, target);
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string("decoding threw: ") + error.what());
  } catch (...) {
    return fail(ErrorCode::internal, "decoding threw");
  }
}

void start_pull(SessionDriver& session, std::string_view uri, const Argument& argument, const CallOptions& options,
                std::unique_ptr<PendingCall> call) {
  Result<OutgoingBody> body = body_of(session, argument, options.body_codec, framing::PacketKind::pull);
  if (!body)
    return fail_on_loop(session, std::move(call), Status::not_executed(code::kWriteFailed, body.error().detail));
  if (session.loop().in_loop_thread()) {
    Request request = request_of(session, uri, options);
    request.body = *body;
    return pull_on_loop(session, request, options.canceler, std::move(call));
  }
  Result<PostedRequest> posted = own(uri, options, *body);
  if (posted && !reserve(session, posted->bytes.size())) {
    return fail_on_loop(session, std::move(call),
                        Status::not_executed(code::kServiceUnavailable, std::string(kTooManyPosted)));
  }
  if (!posted) {
    return fail_on_loop(session, std::move(call), Status::not_executed(code::kWriteFailed, posted.error().detail));
  }
  session.loop().post(
      [self = session.shared_from_this(), posted = *std::move(posted), call = std::move(call)]() mutable {
        unreserve(*self, posted.bytes.size());
        pull_on_loop(*self, posted.view(*self), posted.options.canceler, std::move(call));
      });
}

}  // namespace detail

Result<void> Session::push_argument(std::string_view uri, const detail::Argument& argument,
                                    const CallOptions& options) const {
  SessionDriver& session = *driver_;
  WAYPORT_TRY_ASSIGN(const OutgoingBody body,
                     body_of(session, argument, options.body_codec, framing::PacketKind::push));
  if (session.loop().in_loop_thread()) {
    Request request = request_of(session, uri, options);
    request.body = body;
    return session.core().push(request);
  }
  if (!session.healthy()) return fail(ErrorCode::local_closed, "connection is closed");
  WAYPORT_TRY_ASSIGN(PostedRequest posted, own(uri, options, body));
  if (!reserve(session, posted.bytes.size())) return fail(ErrorCode::overloaded, std::string(kTooManyPosted));
  session.loop().post([self = driver_, posted = std::move(posted)]() mutable {
    unreserve(*self, posted.bytes.size());
    // The caller has gone on; what the core refuses here it has counted.
    static_cast<void>(self->core().push(posted.view(*self)));
  });
  return {};
}

Status Session::blocked_loop() {
  return Status::not_executed(
      code::kWriteFailed,
      "a blocking pull on a loop thread would wait for itself: await the pull, or register the handler "
      "as blocking");
}

std::string Session::id() const { return driver_->id(); }
void Session::rename(std::string id) { driver_->environment().registry.rename(*driver_, std::move(id)); }
std::string Session::remote() const { return driver_->peer().remote_url(); }
std::string Session::local() const { return driver_->peer().local_url(); }
const transport::PeerInfo& Session::peer() const { return driver_->peer(); }
Loop& Session::loop() const { return driver_->loop(); }
SessionStore& Session::store() const { return driver_->store(); }
bool Session::healthy() const { return driver_->healthy(); }
std::optional<CloseReason> Session::close_reason() const { return driver_->close_reason(); }

void Session::set_read_timeout(Duration timeout) const {
  driver_->on_loop([driver = driver_.get(), timeout] { driver->core().set_read_timeout(timeout); });
}
void Session::set_write_timeout(Duration timeout) const {
  driver_->on_loop([driver = driver_.get(), timeout] { driver->core().set_write_timeout(timeout); });
}
void Session::close(std::string why) const {
  driver_->on_loop([driver = driver_.get(), why = std::move(why)]() mutable {
    driver->begin_close(CloseReason::local(ErrorCode::local_closed, std::move(why)));
  });
}
void Session::abort(std::string why) const {
  driver_->on_loop([driver = driver_.get(), why = std::move(why)]() mutable {
    driver->core().abort(CloseReason::local(ErrorCode::local_closed, std::move(why)));
  });
}

void Session::on_closed(std::move_only_function<void(const CloseReason&)> callback) const {
  driver_->on_loop(
      [driver = driver_.get(), callback = std::move(callback)]() mutable { driver->on_closed(std::move(callback)); });
}

boost::asio::awaitable<CloseReason> Session::closed() const {
  const std::shared_ptr<SessionDriver> driver = driver_;
  Result<CloseReason> reason = co_await async_callback<CloseReason>([driver](Completion<CloseReason> done) {
    Session(driver).on_closed([done = std::move(done)](const CloseReason& why) mutable { done(why); });
  });
  co_return reason ? *std::move(reason) : CloseReason{CloseReason::By::local, std::move(reason.error())};
}

}  // namespace wayport::rpc
