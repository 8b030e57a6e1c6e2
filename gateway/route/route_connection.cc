#include "wayport/gateway/route/route_connection.h"

#include <algorithm>
#include <string_view>

#include "wayport/framing/proxy_protocol/proxy_protocol.h"
#include "wayport/gateway/route/route_connection_identify.h"
#include "wayport/gateway/route/route_loop.h"
#include "wayport/transport/ws/handshake.h"

namespace wayport::route {

using relay::RelaySide;
using transport::Linger;
using transport::PeerInfo;

namespace {

// Of the PROXY header: names and values of claims, each as one value.
constexpr std::uint8_t kClaimType = proxy_protocol::kCustomTypeFirst;

std::string joined(const std::vector<std::pair<std::string, std::string>>& claims) {
  std::string text;
  for (const auto& [name, value] : claims) text += (text.empty() ? "" : " ") + name + "=" + value;
  return text;
}

ErrorCode code_of(RouteError code) noexcept {
  switch (code) {
    case RouteError::bad_request:
      return ErrorCode::malformed;
    case RouteError::unauthorized:
    case RouteError::forbidden:
    case RouteError::dial_refused:
      return ErrorCode::refused;
    case RouteError::resolve_failed:
    case RouteError::dial_unreachable:
      return ErrorCode::unreachable;
    case RouteError::dial_timeout:
      return ErrorCode::timed_out;
    case RouteError::overloaded:
      return ErrorCode::overloaded;
    case RouteError::internal:
      break;
  }
  return ErrorCode::internal;
}

}  // namespace

RouteConnection::RouteConnection(RouteLoop& owner, ServedRoutePtr route, AdmissionPlace place)
    : owner_(owner), route_(std::move(route)), place_(std::move(place)), accepted_(owner.loop_.now()) {
  owner_.counters_.handshakes.add(1);
}

RouteConnection::~RouteConnection() = default;

Loop& RouteConnection::loop() const noexcept { return owner_.loop_; }

const PeerInfo& RouteConnection::peer() const noexcept {
  if (incoming_) return incoming_->peer();
  return relay_ ? relay_->stream(RelaySide::client).peer() : stream_->peer();
}

void RouteConnection::begin(std::unique_ptr<transport::Incoming> incoming) {
  if (const std::optional<TimePoint> began = incoming->handshake_began()) accepted_ = *began;
  if (incoming->peer().http) {
    incoming_ = std::move(incoming);
    const Result<std::string> identify =
        identify_of(*incoming_->peer().http, route_->options.websocket, route_->options.identify_bytes_max);
    if (!identify) return refuse(RouteError::bad_request, identify.error().detail);
    return resolve(*identify);
  }
  stream_ = incoming->accept();
  reader_ = std::make_unique<IdentifyReader>(static_cast<std::uint32_t>(route_->options.identify_bytes_max));
  loop().arm(*this, after(accepted_, route_->options.connect_timeout));
  stream_->start(*this);
}

// --- what a client that is a byte stream sends ---

std::size_t RouteConnection::on_bytes(MutableBytes bytes, bool) {
  switch (phase_) {
    case Phase::identify:
      return read_identify(bytes);
    case Phase::resolving:
    case Phase::dialing:
      return keep(bytes);
    case Phase::waiting:
    case Phase::refused:
      dropped_ += bytes.size();
      if (dropped_ <= route_->options.refusal_drain_bytes) return bytes.size();
      if (phase_ == Phase::refused) {
        stream_->close(CloseReason::local(ErrorCode::refused, "route: refused, and refusal_drain_bytes are read"));
      } else if (!std::exchange(reading_stopped_, true)) {
        stream_->read(false);
      }
      return bytes.size();
    case Phase::relaying:
    case Phase::over:
      break;
  }
  return bytes.size();
}

std::size_t RouteConnection::read_identify(MutableBytes bytes) {
  const Result<std::size_t> taken = reader_->read(bytes);
  if (!taken) {
    refuse(RouteError::bad_request, taken.error().detail);
    return bytes.size();
  }
  if (!reader_->done()) return *taken;
  loop().disarm(*this);
  const std::unique_ptr<IdentifyReader> reader = std::move(reader_);
  resolve(reader->identify());
  const Bytes rest = bytes.subspan(*taken);
  return *taken + (rest.empty() ? 0 : keep(rest));
}

std::size_t RouteConnection::keep(Bytes bytes) {
  const std::size_t taken = std::min(bytes.size(), kKeptBytesMax - kept_.size());
  kept_.append(bytes.first(taken));
  if (kept_.size() == kKeptBytesMax && !std::exchange(reading_stopped_, true)) {
    owner_.counters_.reads_stopped.add();
    stream_->read(false);
  }
  return taken;
}

void RouteConnection::on_read_end() {
  if (phase_ != Phase::identify) return;
  if (reader_->received() != 0) {
    return refuse(RouteError::bad_request,
                  "it ended after " + std::to_string(reader_->received()) + " bytes, within its identify");
  }
  stream_->close(CloseReason::peer(ErrorCode::peer_closed, "it ended before its identify"));
}

void RouteConnection::on_closed(const CloseReason& reason) {
  if (phase_ != Phase::refused && phase_ != Phase::waiting && phase_ != Phase::over) {
    owner_.counters_.gone.add();
    owner_.shared_->log.write(owner_.shared_->gone, loop().now(), LogLevel::info,
                              "route client left before it had an answer",
                              {{"route", route_->options.name},
                               {"client", peer().remote_url()},
                               {"phase", name_of(phase_)},
                               {"reason", to_string(reason)}});
  }
  finish();
}

void RouteConnection::on_timer() {
  const RouteOptions& options = route_->options;
  switch (phase_) {
    case Phase::identify:
      phase_ = Phase::over;
      owner_.counters_.identify_timeouts.add();
      owner_.shared_->log.write(owner_.shared_->late, loop().now(), LogLevel::info, "route client did not identify",
                                {{"route", options.name},
                                 {"client", peer().remote_url()},
                                 {"bytes", reader_->received()},
                                 {"connect_timeout", options.connect_timeout}});
      return stream_->close(CloseReason::local(ErrorCode::timed_out, "route: no identify within connect_timeout " +
                                                                         format_duration(options.connect_timeout)));
    case Phase::resolving:
      return refuse(RouteError::resolve_failed, "resolver \"" + options.resolver + "\" had no answer within " +
                                                    format_duration(options.dial_timeout) + " (dial_timeout)");
    case Phase::waiting:
      return answer_refused();
    case Phase::refused:
      return stream_->close(CloseReason::local(ErrorCode::timed_out, "route: refused, and refusal_drain_time is over"));
    case Phase::dialing:
    case Phase::relaying:
    case Phase::over:
      break;
  }
}

// --- from identify to backend ---

void RouteConnection::resolve(std::string_view identify) {
  phase_ = Phase::resolving;
  identified_ = loop().now();
  loop().arm(*this, after(identified_, route_->options.dial_timeout));
  const ResolveRequest request{.identify = identify, .peer = &peer()};
  resolution_ = route_->resolver->resolve(loop(), request, [this](ResolveOutcome outcome) {
    loop().delete_later(std::move(resolution_));
    handle_resolved(std::move(outcome));
  });
}

void RouteConnection::handle_resolved(ResolveOutcome outcome) {
  loop().disarm(*this);
  if (!outcome) return refuse(outcome.error().code, outcome.error().reason);
  if (outcome->backends.empty()) {
    return refuse(RouteError::internal, "resolver \"" + route_->options.resolver + "\" named no backend");
  }
  phase_ = Phase::dialing;
  claims_ = std::move(outcome->claims);
  owner_.counters_.dials.add();
  const RouteEnvironment& environment = *route_->environment;
  dial_ = dial_backend(loop(), environment.transports, *environment.names, route_->allow, std::move(outcome->backends),
                       route_->dial, [this](BackendOutcome dialed) {
                         loop().delete_later(std::move(dial_));
                         handle_dialed(std::move(dialed));
                       });
}

void RouteConnection::handle_dialed(BackendOutcome outcome) {
  if (!outcome) return refuse(outcome.error().code, outcome.error().reason);
  owner_.counters_.dial_attempts.add(outcome->attempts);
  join(*std::move(outcome));
}

Chain RouteConnection::preface() const {
  Chain chain;
  const ProxyProtocol version = route_->options.proxy_protocol;
  if (version == ProxyProtocol::none) return chain;
  const PeerInfo& client = peer();
  proxy_protocol::Header header;
  if (client.remote.family() == client.local.family()) {
    header.source = client.remote;
    header.destination = client.local;
  }
  if (version == ProxyProtocol::v1) {
    if (proxy_protocol::append_v1(chain, header)) return chain;
    header = {};
    WAYPORT_ASSERT(proxy_protocol::append_v1(chain, header).has_value(), "unknown addresses can always be said");
    return chain;
  }
  proxy_protocol::Header full = header;
  if (client.tls) {
    full.alpn = client.tls->alpn;
    full.authority = client.tls->server_name;
    full.ssl.emplace();
    full.ssl->certificate_connection = full.ssl->certificate_session = !client.tls->fingerprint_sha256.empty();
    full.ssl->verified = client.tls->verified;
    full.ssl->version = client.tls->protocol;
    full.ssl->cipher = client.tls->cipher;
  }
  for (const auto& [name, value] : claims_) full.custom.push_back({kClaimType, name + "=" + value});
  // What has no room is left out; whose connection it is always has.
  if (proxy_protocol::append_v2(chain, full) || proxy_protocol::append_v2(chain, header)) return chain;
  WAYPORT_ASSERT(proxy_protocol::append_v2(chain, {}).has_value(), "unknown addresses can always be said");
  return chain;
}

void RouteConnection::join(BackendStream backend) {
  const RouteOptions& options = route_->options;
  backend_ = backend.backend;
  if (backend.address != backend.backend) backend_ += " at " + backend.address;
  Chain header = preface();
  const bool websocket = incoming_ != nullptr;
  Chain answer;
  if (websocket) {
    stream_ = incoming_->accept();
    incoming_.reset();
    stream_->start(*this);
    stream_->read(false);
    answer.append(options.success_message);
  } else {
    const Result<void> written = write_success(answer, as_bytes(options.success_message));
    WAYPORT_ASSERT(written.has_value(), "the options bound the success message");
  }
  stream_->write(std::move(answer), websocket);
  place_.handshake_done();
  owner_.counters_.handshakes.add(-1);
  owner_.counters_.relays.add(1);
  owner_.counters_.joined.add();
  phase_ = Phase::relaying;
  const relay::RelayOptions how{
      .linger = options.linger_time,
      .idle = options.idle_timeout,
      .message_bytes_max = options.websocket.message_bytes_max,
      .message_timeout = options.websocket.message_timeout,
      .zero_copy = options.zero_copy ? relay::ZeroCopy::automatic : relay::ZeroCopy::never,
      .pipes = &owner_.pipes_,
  };
  const bool client_half_closes = stream_->half_closes();
  const bool backend_half_closes = backend.stream->half_closes();
  relay_ = std::make_unique<relay::Relay>(
      relay::RelayEndpoint{.stream = std::move(stream_),
                           .started = true,
                           .messages = websocket && options.websocket.length_prefix,
                           .half_close = client_half_closes},
      relay::RelayEndpoint{.stream = std::move(backend.stream), .half_close = backend_half_closes}, how,
      [this](const relay::RelayReport& report) { handle_ended(report); });
  relay_->start(std::move(kept_), std::move(header));
  owner_.look_soon();
}

void RouteConnection::look() {
  if (!relay_) return;
  const std::array<std::uint64_t, 2> now = {relay_->bytes_from(RelaySide::client),
                                            relay_->bytes_from(RelaySide::backend)};
  owner_.counters_.bytes_from_clients.add(now[0] - looked_[0]);
  owner_.counters_.bytes_from_backends.add(now[1] - looked_[1]);
  looked_ = now;
  if (relay_->mode() == relay::RelayMode::splice && !std::exchange(looked_splicing_, true)) {
    owner_.counters_.splicing.add(1);
    owner_.counters_.joined_spliced.add();
  }
}

void RouteConnection::handle_ended(const relay::RelayReport& report) {
  look();
  RouteCounters& counters = owner_.counters_;
  counters.bytes_spliced.add(report.bytes_spliced);
  counters.client_waits.add(report.client_waits);
  counters.backend_waits.add(report.backend_waits);
  counters.message_timeouts.add(report.message_timeouts);
  counters.ended[static_cast<std::size_t>(report.end)].add();
  const TimePoint now = loop().now();
  std::uint64_t suppressed = 0;
  if (Log& log = owner_.shared_->log; log.enabled(LogLevel::info) && owner_.shared_->ended.pass(now, suppressed)) {
    std::vector<LogField> fields{{"route", route_->options.name},
                                 {"client", peer().remote_url()},
                                 {"backend", backend_},
                                 {"end", relay::to_string(report.end)},
                                 {"from_client", report.bytes_from_client},
                                 {"from_backend", report.bytes_from_backend},
                                 {"mode", relay::to_string(report.mode)},
                                 {"mode_reason", report.mode_reason},
                                 {"time", now - accepted_}};
    if (report.end == relay::RelayEnd::backend_failed) {
      fields.emplace_back("reason", to_string(report.backend));
    } else if (report.end != relay::RelayEnd::both_ended) {
      fields.emplace_back("reason", to_string(report.client));
    }
    if (!claims_.empty()) fields.emplace_back("claims", joined(claims_));
    if (suppressed != 0) fields.emplace_back("suppressed", suppressed);
    log.write_fields(LogLevel::info, "route connection ended", fields);
  }
  finish();
}

// --- refusals ---

void RouteConnection::refuse(RouteError code, const std::string& reason) {
  loop().disarm(*this);
  stop_asking();
  kept_.clear();
  refusal_ = code;
  const bool identified = phase_ != Phase::identify;
  phase_ = Phase::waiting;
  owner_.counters_.refused_as(code).add();
  owner_.shared_->log.write(owner_.shared_->refused[static_cast<std::size_t>(code)], loop().now(), LogLevel::warning,
                            "route client refused",
                            {{"route", route_->options.name},
                             {"client", peer().remote_url()},
                             {"code", to_string(code)},
                             {"reason", reason}});
  if (!identified) return answer_refused();
  loop().arm(*this, after(identified_, owner_.draw_delay(route_->options)));
}

void RouteConnection::answer_refused() {
  const RouteError shown = shown_to_clients(refusal_);
  if (incoming_) {
    incoming_->reject({code_of(shown), "route: refused", transport::ws::http_status(http_status(shown))});
    return finish();
  }
  phase_ = Phase::refused;
  Chain answer;
  answer.append(kErrorAnswer);
  stream_->write(std::move(answer));
  stream_->shutdown_write();
  loop().arm(*this, after(loop().now(), std::max(route_->options.refusal_drain_time, TimerWheel::kTick)));
  if (std::exchange(reading_stopped_, false)) stream_->read(true);
}

void RouteConnection::stop_asking() {
  if (dial_) owner_.counters_.dials_canceled.add();
  dial_.reset();
  resolution_.reset();
}

void RouteConnection::close(const CloseReason& reason, Linger linger) {
  if (relay_) return relay_->close(reason, linger);
  loop().disarm(*this);
  stop_asking();
  phase_ = Phase::over;
  if (stream_) return stream_->close(reason);
  if (incoming_) {
    incoming_->reject(reason.error);
    finish();
  }
}

void RouteConnection::finish() {
  loop().disarm(*this);
  stop_asking();
  phase_ = Phase::over;
  if (relay_) {
    owner_.counters_.relays.add(-1);
    if (looked_splicing_) owner_.counters_.splicing.add(-1);
  } else {
    owner_.counters_.handshakes.add(-1);
  }
  place_.leave();
  owner_.forget(*this);
}

// --- looking ---

const char* RouteConnection::name_of(Phase phase) noexcept {
  switch (phase) {
    case Phase::identify:
      return "identify";
    case Phase::resolving:
      return "resolving";
    case Phase::dialing:
      return "dialing";
    case Phase::relaying:
      return "relaying";
    case Phase::waiting:
    case Phase::refused:
      return "refused";
    case Phase::over:
      return "closing";
  }
  return "";
}

std::size_t RouteConnection::unsent() const noexcept {
  if (!relay_) return stream_ ? stream_->queued() : 0;
  return relay_->stream(RelaySide::client).queued() + relay_->stream(RelaySide::backend).queued();
}

std::string RouteConnection::describe() const {
  std::string text = "route=" + route_->options.name + " loop=" + std::to_string(loop().index()) +
                     " client=" + escape(peer().remote_url()) + " phase=" + name_of(phase_);
  if (relay_) {
    text += " backend=\"" + escape(backend_) + "\" mode=" + relay::to_string(relay_->mode()) +
            " from_client=" + std::to_string(relay_->bytes_from(RelaySide::client)) +
            " from_backend=" + std::to_string(relay_->bytes_from(RelaySide::backend)) +
            " unsent_to_client=" + std::to_string(relay_->stream(RelaySide::client).queued()) +
            " unsent_to_backend=" + std::to_string(relay_->stream(RelaySide::backend).queued());
  } else {
    text += " kept=" + std::to_string(kept_.size());
  }
  return text + " age=" + format_duration(loop().now() - accepted_);
}

}  // namespace wayport::route
