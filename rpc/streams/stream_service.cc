#include "wayport/rpc/streams/stream_service.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/session_driver.h"
#include "wayport/rpc/streams/session_streams.h"
#include "wayport/rpc/uri.h"

namespace wayport::rpc {
namespace {

using detail::SessionStreams;
using detail::StreamHandle;

// Path and query of a target; what the handles show.
Result<void> split_target(StreamHandle& handle) {
  std::string storage;
  Uri uri;
  WAYPORT_TRY(parse_uri(handle.target, storage, uri));
  handle.path = uri.path;
  handle.raw_query = uri.raw_query;
  return {};
}

}  // namespace

struct StreamService::State : std::enable_shared_from_this<State> {
  struct PerLoop {
    StreamCounters counters;
    std::unordered_map<const SessionCore*, std::shared_ptr<SessionStreams>> sessions;
    LogLimit log_limit;
  };

  State(Peer& peer, StreamOptions given) : options(std::move(given)), log(peer.runtime().log()) {
    for (std::size_t i = 0; i < peer.runtime().loop_count(); ++i) loops.push_back(std::make_unique<PerLoop>());
  }

  PerLoop& of(const Loop& loop) { return *loops.at(loop.index()); }
  // nullptr: no stream was ever opened on this session.
  SessionStreams* find(SessionDriver& driver) {
    const auto& sessions = of(driver.loop()).sessions;
    const auto found = sessions.find(&driver.core());
    return found == sessions.end() ? nullptr : found->second.get();
  }
  std::shared_ptr<SessionStreams> of(const Session& session) {
    PerLoop& home = of(session.loop());
    const SessionCore* const key = &session.driver()->core();
    std::shared_ptr<SessionStreams>& streams = home.sessions[key];
    if (!streams) {
      streams = SessionStreams::create(session, options, home.counters, shared_from_this());
      session.on_closed([self = shared_from_this(), &home, key](const CloseReason& reason) {
        const auto found = home.sessions.find(key);
        if (found == home.sessions.end()) return;
        const std::shared_ptr<SessionStreams> gone = std::move(found->second);
        home.sessions.erase(found);
        gone->handle_lost(Status::make(code::kConnectionClosed, "Connection Closed: " + to_string(reason)));
      });
    }
    return streams;
  }

  void accept(Context& context);
  void receive(StreamMessage::Kind kind, Call& call);
  Reply<std::shared_ptr<StreamHandle>> take(Context& context, const Handler*& handler);
  static boost::asio::awaitable<void> run(std::shared_ptr<State> state, const Handler* handler, Stream stream);
  Status failure(const Stream& stream, std::exception_ptr exception);
  void start_open(const Session& session, std::string target, std::shared_ptr<Canceler> canceler,
                  Completion<Reply<Stream>> done);

  const StreamOptions options;
  Log& log;
  std::map<std::string, Handler, std::less<>> handlers;
  std::vector<std::unique_ptr<PerLoop>> loops;
};

StreamService::StreamService(Peer& peer, StreamOptions options) {
  if (options.window_bytes == 0 || options.chunk_bytes == 0) {
    throw std::invalid_argument("StreamOptions: window_bytes and chunk_bytes are at least 1");
  }
  if (!options.prefix.starts_with('/') || options.prefix.ends_with('/')) {
    throw std::invalid_argument("StreamOptions::prefix begins with '/' and does not end with one: " + options.prefix);
  }
  state_ = std::make_shared<State>(peer, std::move(options));
  Router router = peer.router();
  router.on_pull(state_->options.prefix + "/open", [state = state_](Context& context) { state->accept(context); });
  for (const StreamMessage::Kind kind : kStreamMessageKinds) {
    router.on_push(state_->options.prefix + "/" + std::string(route_of(kind)),
                   [state = state_, kind](Context& context) { state->receive(kind, context.call()); },
                   {.continuation = true});
  }
}

StreamService::~StreamService() = default;

void StreamService::add(std::string_view path, Handler handler) {
  if (!state_->handlers.emplace(path, std::move(handler)).second) {
    throw std::logic_error("stream path " + std::string(path) + " has a handler already");
  }
}

const StreamOptions& StreamService::options() const noexcept { return state_->options; }
const StreamCounters& StreamService::counters(std::size_t loop_index) const {
  return state_->loops.at(loop_index)->counters;
}

// --- streams that the peer opens ---

void StreamService::State::accept(Context& context) {
  const Handler* handler = nullptr;
  const Reply<std::shared_ptr<StreamHandle>> taken = take(context, handler);
  Call& call = context.call();
  if (!taken.ok()) return call.fail(taken.status());
  // The reply first: the opener knows no stream that it has not heard of.
  const std::string credit = std::to_string((*taken)->home->core().initial_credit());
  call.set_reply_gzip(0);
  call.reply_encoded(framing::kCodecString, as_bytes(credit));
  TaskGroup& tasks = context.session().driver()->environment().tasks;
  // A group that closes destroys the task, and the stream with it.
  static_cast<void>(tasks.spawn(run(shared_from_this(), handler, Stream(*taken))));
}

Reply<std::shared_ptr<StreamHandle>> StreamService::State::take(Context& context, const Handler*& handler) {
  const Session session = context.session();
  PerLoop& home = of(session.loop());
  const auto refuse = [&home](std::int32_t code, std::string text) {
    home.counters.refused.add();
    return Status::make(code, std::move(text));
  };
  const std::optional<StreamOpen> open = parse_stream_open(context.raw_query());
  if (!open) return refuse(code::kBadUri, "an open is ?mine=NUMBER&credit=BYTES, not ?" + escape(context.raw_query()));
  const framing::PacketView& packet = context.call().packet();
  if (packet.header.gzip != 0 || packet.body_codec != framing::kCodecString) {
    return refuse(code::kUnsupportedCodec, "the body of an open is its target, codec 's', not compressed");
  }
  if (packet.body.size() > options.target_bytes_max) {
    return refuse(code::kBadUri, "target_bytes_max reached: " + std::to_string(packet.body.size()) + " bytes");
  }
  std::string storage;
  Uri uri;
  if (const Result<void> parsed = parse_uri(as_text(packet.body), storage, uri); !parsed) {
    return refuse(code::kBadUri, parsed.error().detail);
  }
  const auto found = handlers.find(uri.path);
  if (found == handlers.end()) return refuse(code::kNotFound, "no stream is served at " + escape(uri.path));
  const LoopEnvironment& environment = session.driver()->environment();
  if (environment.tasks.running() >= environment.tasks_max) {
    return refuse(code::kServiceUnavailable, "too many coroutine handlers are running");
  }
  const std::shared_ptr<SessionStreams> streams = of(session);
  const Reply<StreamId> id = streams->core().handle_open(*open);
  if (!id.ok()) return id.status();
  handler = &found->second;
  std::shared_ptr<StreamHandle> handle = streams->add(*id, std::string(as_text(packet.body)));
  static_cast<void>(split_target(*handle));  // it parsed above
  return handle;
}

boost::asio::awaitable<void> StreamService::State::run(std::shared_ptr<State> state, const Handler* handler,
                                                       Stream stream) {
  Status status;
  try {
    status = co_await (*handler)(stream);
  } catch (...) {
    status = state->failure(stream, std::current_exception());
  }
  if (!status.ok()) {
    stream.abort(std::move(status));
  } else if (stream.writer) {
    stream.writer.finish();
  }
}

Status StreamService::State::failure(const Stream& stream, std::exception_ptr exception) {
  std::string what = "not derived from std::exception";
  try {
    std::rethrow_exception(std::move(exception));
  } catch (const StatusError& error) {
    return error.status().ok() ? Status::make(code::kInternal, "the handler failed with status 200") : error.status();
  } catch (const boost::system::system_error& error) {
    // The peer or the runtime ends, and its tasks with it.
    if (error.code() == boost::asio::error::operation_aborted) return Status::make(code::kCanceled);
    what = error.what();
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  PerLoop& home = of(stream.session().loop());
  home.counters.handler_exceptions.add();
  log.write(home.log_limit, stream.session().loop().now(), LogLevel::error, "stream handler threw",
            {{"peer", stream.session().remote()}, {"path", stream.path()}, {"what", what}});
  return Status::make(code::kInternal);
}

// --- what peers say of streams ---

void StreamService::State::receive(StreamMessage::Kind kind, Call& call) {
  SessionDriver& driver = static_cast<SessionDriver&>(call.session().host());
  StreamCounters& counters = of(driver.loop()).counters;
  const ParsedStreamMessage parsed = parse_stream_message(kind, call.raw_query());
  if (!parsed.id) return counters.messages_malformed.add();
  SessionStreams* const found = find(driver);
  if (!found || !found->core().known(*parsed.id)) return counters.messages_unmatched.add();
  const std::shared_ptr<SessionStreams> streams = found->shared_from_this();
  if (!parsed.value) {
    return streams->handle_violation(*parsed.id,
                                     "malformed " + std::string(route_of(kind)) + ": ?" + escape(call.raw_query()));
  }
  StreamMessage message;
  message.kind = kind;
  message.id = *parsed.id;
  message.value = *parsed.value;
  if (kind == StreamMessage::Kind::abort) {
    message.status = {call.header().status_code, std::string(call.header().status), Status::Origin::remote};
  }
  if (kind == StreamMessage::Kind::data && call.has_body()) {
    if (call.body_codec() != framing::kCodecString) {
      return streams->handle_violation(*parsed.id,
                                       "data has the body codec 's', not " + std::to_string(call.body_codec()));
    }
    // More than a window is refused anyway, so it need not be inflated.
    framing::ProtocolContext& context = call.session().context();
    const std::size_t limit = context.limits.inflated_bytes_max;
    context.limits.inflated_bytes_max = limit == 0 ? options.window_bytes : std::min(limit, options.window_bytes);
    const Result<Bytes> body = framing::plain_body(call.packet(), context);
    context.limits.inflated_bytes_max = limit;
    if (!body) return streams->handle_violation(*parsed.id, body.error().detail);
    message.body = *body;
  }
  streams->handle(message);
}

// --- streams that we open ---

boost::asio::awaitable<Reply<Stream>> StreamService::open(Session session, std::string target) {
  const std::shared_ptr<State> state = state_;
  const auto canceler = std::make_shared<Canceler>();
  Result<Reply<Stream>> outcome = co_await async_callback<Reply<Stream>>([&](Completion<Reply<Stream>> done) {
    session.driver()->on_loop([state, session, target = std::move(target), canceler, done = std::move(done)]() mutable {
      state->start_open(session, std::move(target), canceler, std::move(done));
    });
    return [canceler] { canceler->cancel(); };
  });
  if (!outcome) co_return Status::make(code::kCanceled);
  co_return *std::move(outcome);
}

void StreamService::State::start_open(const Session& session, std::string target, std::shared_ptr<Canceler> canceler,
                                      Completion<Reply<Stream>> done) {
  const std::shared_ptr<SessionStreams> streams = of(session);
  const Reply<StreamId> id = streams->core().open();
  if (!id.ok()) return done(id.status());
  const std::shared_ptr<StreamHandle> handle = streams->add(*id, target);
  if (const Result<void> parsed = split_target(*handle); !parsed) {
    streams->core().handle_open_failed(*id, Status::not_executed(code::kBadUri, parsed.error().detail));
    const Stream gone(handle);
    return done(Status::not_executed(code::kBadUri, parsed.error().detail));
  }
  std::string uri;
  append_open_uri(uri, options.prefix, {id->number, streams->core().initial_credit()});
  CallOptions how;
  how.timeout = options.open_timeout;
  how.body_codec = framing::kCodecString;
  how.gzip = 0;
  how.canceler = std::move(canceler);
  session.pull_async<std::string>(
      uri, target, how, [streams, handle, done = std::move(done)](const Reply<std::string>& reply) mutable {
        // Dropped below if it came to nothing.
        Reply<Stream> stream = Stream(handle);
        StreamCore& core = streams->core();
        const std::optional<std::uint64_t> credit = reply.ok() ? parse_stream_number(*reply) : std::nullopt;
        if (credit) {
          core.handle_opened(handle->id, *credit);
        } else {
          core.handle_open_failed(handle->id, reply.ok() ? Status::make(code::kBadReply,
                                                                        "the reply to an open is no "
                                                                        "number of bytes")
                                                         : reply.status());
        }
        if (const Status failed = core.status(handle->id); !failed.ok()) stream = Reply<Stream>(failed);
        streams->settle(handle->id);
        done(std::move(stream));
      });
}

}  // namespace wayport::rpc
