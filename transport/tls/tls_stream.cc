#include "wayport/transport/tls/tls_stream.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "wayport/transport/tls/tls_error.h"

namespace wayport::transport {
namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;
// After a failure: how long our alert may take to leave. After our end: how long the peer may take to end, too.
constexpr Linger kAlertLinger{std::chrono::seconds(1)};

using MemoryBio = std::unique_ptr<BIO, tls::Deleter<BIO_free_all>>;

std::string take_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string subject_of(X509* certificate) {
  const MemoryBio bio(::BIO_new(::BIO_s_mem()));
  ::X509_NAME_print_ex(bio.get(), ::X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  return take_text(bio.get());
}

std::string alt_names_of(X509* certificate) {
  const int index = ::X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (index < 0) return "";
  const MemoryBio bio(::BIO_new(::BIO_s_mem()));
  ::X509V3_EXT_print(bio.get(), ::X509_get_ext(certificate, index), 0, 0);
  return take_text(bio.get());
}

std::string fingerprint_of(X509* certificate) {
  std::array<std::byte, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (::X509_digest(certificate, ::EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), &size) != 1)
    return "";
  return to_hex(Bytes(digest).first(size));
}

std::string text(const char* value) { return value ? value : ""; }

}  // namespace

struct TlsStream::Handshake {
  std::move_only_function<void(Result<void>)> on_done;
  std::optional<Result<void>> result;
};

StreamOptions TlsStream::lower_options(StreamOptions options) noexcept {
  options.queue_bytes_max += options.queue_bytes_max / 16 + 64 * 1024;
  return options;
}

TlsStream::TlsStream(std::unique_ptr<Stream> lower, tls::Connection connection, const StreamOptions& options)
    : lower_(std::move(lower)),
      connection_(std::move(connection)),
      queue_bytes_max_(options.queue_bytes_max),
      high_water_bytes_(options.high_water_bytes),
      low_water_bytes_(options.low_water_bytes) {
  BIO* const bio = make_tls_bio(pipe_);
  ::SSL_set_bio(connection_.get(), bio, bio);
  const PeerInfo& below = lower_->peer();
  peer_.remote = below.remote;
  peer_.local = below.local;
  peer_.unix_peer = below.unix_peer;
  peer_.scheme = "tls";
}

TlsStream::~TlsStream() {
  // Else OpenSSL takes a connection without close_notify for a reason never to resume its session.
  ::SSL_set_shutdown(connection_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

// --- the handshake ---

void TlsStream::handshake(std::move_only_function<void(Result<void>)> on_done) {
  handshake_ = std::make_unique<Handshake>();
  handshake_->on_done = std::move(on_done);
  lower_->start(*this);
  advance_handshake();
}

void TlsStream::advance_handshake() {
  ::ERR_clear_error();
  const int done = ::SSL_do_handshake(connection_.get());
  hand_down();
  if (done == 1) {
    describe_peer();
    finish_handshake({});
    return;
  }
  const int error = ::SSL_get_error(connection_.get(), done);
  if (error != SSL_ERROR_WANT_READ) finish_handshake(std::unexpected(handshake_error(error)));
}

void TlsStream::finish_handshake(Result<void> result) {
  if (!handshake_ || handshake_->result) return;
  ready_ = trim_ = result.has_value();
  handshake_->result.emplace(std::move(result));
  // What follows waits for the consumer.
  lower_->read(false);
  schedule();
}

Error TlsStream::handshake_error(int ssl_error) {
  const std::string what = "tls handshake with " + peer_.remote_url();
  const long verdict = ::SSL_get_verify_result(connection_.get());
  const unsigned long first = ::ERR_peek_error();
  if (verdict != X509_V_OK && ERR_GET_REASON(first) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    ::ERR_clear_error();
    return {ErrorCode::refused, what + ": certificate not accepted: " + ::X509_verify_cert_error_string(verdict), {}};
  }
  if (ssl_error == SSL_ERROR_ZERO_RETURN) return {ErrorCode::peer_closed, what + ": it was closed by the peer", {}};
  const int reason = ERR_GET_REASON(first);
  // Alerts of the peer are 1000 and their number; the rest is our own opinion of what it sent.
  const bool its_opinion = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
  const bool no_common_ground = reason == SSL_R_NO_SHARED_CIPHER || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
                                reason == SSL_R_NO_APPLICATION_PROTOCOL || reason == SSL_R_UNSUPPORTED_PROTOCOL;
  return tls_error(its_opinion || no_common_ground ? ErrorCode::refused : ErrorCode::malformed, what);
}

void TlsStream::describe_peer() {
  SSL* const connection = connection_.get();
  auto peer = std::make_unique<TlsPeer>();
  peer->protocol = text(::SSL_get_version(connection));
  if (const SSL_CIPHER* cipher = ::SSL_get_current_cipher(connection))
    peer->cipher = text(::SSL_CIPHER_standard_name(cipher));
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  ::SSL_get0_alpn_selected(connection, &alpn, &alpn_size);
  if (alpn_size != 0) peer->alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  peer->server_name = text(::SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name));
  peer->resumed = ::SSL_session_reused(connection) == 1;
  if (X509* const certificate = ::SSL_get0_peer_certificate(connection)) {
    const bool verifying = (::SSL_get_verify_mode(connection) & SSL_VERIFY_PEER) != 0;
    peer->verified = verifying && ::SSL_get_verify_result(connection) == X509_V_OK;
    peer->subject = subject_of(certificate);
    peer->subject_alt_names = alt_names_of(certificate);
    peer->fingerprint_sha256 = fingerprint_of(certificate);
  }
  peer_.tls = std::move(peer);
}

// --- the consumer's side ---

void TlsStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(!events_, "a stream is started once");
  events_ = &events;
  if (dead_) return schedule();
  if (ready_ && reading_) lower_->read(true);
}

void TlsStream::read(bool on) {
  if (closing_ || on == reading_) return;
  reading_ = on;
  lower_->read(on);
  if (!on) return;
  if (showing_ || !kept_.empty()) show_again_ = true;
  if (show_again_ || tell_read_end_) schedule();
}

Pressure TlsStream::write(Chain&& chain, bool) {
  Chain taken = std::move(chain);
  if (closing_ || shutdown_wanted_ || !ready_) return Pressure::none;
  const std::size_t total = queued() + taken.size();
  if (total > queue_bytes_max_) {
    plain_.clear();
    fail(CloseReason::local(ErrorCode::overloaded, "queue (" + peer_.remote_url() + "): " + std::to_string(total) +
                                                       " bytes are more than queue_bytes_max " +
                                                       std::to_string(queue_bytes_max_)),
         {});
    return Pressure::high;
  }
  plain_.append(std::move(taken));
  if (!plain_.empty() && !lower_pressed_) schedule();
  if (total < high_water_bytes_) return Pressure::none;
  pressed_ = true;
  return Pressure::high;
}

void TlsStream::shutdown_write() {
  if (closing_ || shutdown_wanted_) return;
  shutdown_wanted_ = true;
  schedule();
}

void TlsStream::close(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  if (!closing_ && ready_ && linger.time > Duration::zero()) {
    // Sealed at once: from here on the lower stream's drain is ours.
    seal(true);
    send_end();
  }
  fail(std::move(reason), linger);
}

void TlsStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (closing_) return;
  if (!kept_.empty()) show_again_ = true;
  if (read_end_) tell_read_end_ = true;
  if (show_again_ || tell_read_end_) schedule();
}

// --- the lower stream's side ---

std::size_t TlsStream::on_bytes(MutableBytes bytes, bool) {
  if (closing_ || read_end_) return bytes.size();
  const std::size_t whole = whole_tls_records(bytes);
  pipe_.input = bytes.first(whole);
  DropWatch watch(*this);
  if (handshake_ && !handshake_->result) advance_handshake();
  if (ready_ && events_ && reading_) decrypt();
  if (watch.dropped()) return bytes.size();
  const std::size_t consumed = whole - pipe_.input.size();
  pipe_.input = {};
  return closing_ || read_end_ ? bytes.size() : consumed;
}

void TlsStream::decrypt() {
  DropWatch watch(*this);
  for (;;) {
    if (show_again_) {
      show_kept();
      if (watch.dropped() || closing_ || !reading_) return;
    }
    const MutableBytes scratch = loop().scratch(scratch_depth());
    const std::size_t kept = kept_.copy_to(scratch);
    std::size_t filled = kept;
    int verdict = 1;
    bool drained = false;
    ::ERR_clear_error();
    while (scratch.size() - filled >= kRecordBytes) {
      std::size_t got = 0;
      verdict = ::SSL_read_ex(connection_.get(), scratch.data() + filled, scratch.size() - filled, &got);
      if (verdict != 1) break;
      filled += got;
      // Asking once more, only to hear that there is no more, would allocate OpenSSL's read buffer again.
      if (pipe_.input.empty() && ::SSL_has_pending(connection_.get()) == 0) {
        drained = true;
        break;
      }
    }
    const int error = verdict == 1 ? SSL_ERROR_NONE : ::SSL_get_error(connection_.get(), verdict);
    hand_down();  // a key update is answered
    const std::string reason = error == SSL_ERROR_SSL ? take_tls_reason() : std::string();
    if (filled > kept) {
      kept_.clear();
      show(scratch.first(filled));
      if (watch.dropped() || closing_) return;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
      read_end_ = true;
      tell_read_end_ = true;
      schedule();
      return;
    }
    if (drained || error == SSL_ERROR_WANT_READ) {
      ::SSL_free_buffers(connection_.get());
      return;
    }
    if (error != SSL_ERROR_NONE) return handle_broken(reason);
    if (!reading_) return;
  }
}

// Same rules as every stream's.
void TlsStream::show(MutableBytes bytes) {
  DropWatch watch(*this);
  showing_ = true;
  for (;;) {
    StreamEvents* const consumer = events_;
    const std::size_t consumed = consumer->on_bytes(bytes, false);
    if (watch.dropped()) return;
    WAYPORT_ASSERT(consumed <= bytes.size(), "on_bytes() consumed more than it was shown");
    bytes = bytes.subspan(consumed);
    if (bytes.empty() || events_ == consumer || !reading_ || closing_) break;
  }
  showing_ = false;
  if (closing_ || bytes.empty()) return;
  if (reading_ && bytes.size() > kUnconsumedBytesMax) {
    return fail(CloseReason::local(ErrorCode::internal, "consumer (" + peer_.remote_url() + ") left " +
                                                            std::to_string(bytes.size()) + " bytes unconsumed"),
                {});
  }
  kept_.append(bytes);
}

void TlsStream::show_kept() {
  show_again_ = false;
  if (kept_.empty()) return;
  const MutableBytes scratch = loop().scratch(scratch_depth());
  const std::size_t kept = kept_.copy_to(scratch);
  kept_.clear();
  show(scratch.first(kept));
}

void TlsStream::handle_broken(const std::string& reason) {
  const bool alert = reason.find(" alert ") != std::string::npos;
  fail({CloseReason::By::peer,
        {alert ? ErrorCode::refused : ErrorCode::malformed, "tls with " + peer_.remote_url() + ": " + reason, {}}},
       kAlertLinger);
}

void TlsStream::on_writable() {
  lower_pressed_ = false;
  schedule();
}

void TlsStream::on_read_end() {
  if (closing_ || read_end_) return;
  const std::string what = "the connection with " + peer_.remote_url();
  if (handshake_ && !handshake_->result) {
    return finish_handshake(wayport::fail(ErrorCode::peer_closed, what + " ended during the tls handshake"));
  }
  fail(
      {CloseReason::By::peer, {ErrorCode::peer_closed, what + " was truncated: it ended without tls close_notify", {}}},
      {});
}

void TlsStream::on_closed(const CloseReason& reason) {
  if (leaving_) leaving_->stop();
  if (!events_) {
    dead_ = std::make_unique<CloseReason>(reason);
    finish_handshake(std::unexpected(reason.error));
    return;
  }
  closing_ = true;
  told_closed_ = true;
  events_->on_closed(reason);  // `this` may be gone
}

void TlsStream::on_turn_end() {
  DropWatch watch(*this);
  if (handshake_ && handshake_->result) {
    const std::unique_ptr<Handshake> done = std::move(handshake_);
    if (closing_) return;
    done->on_done(*std::move(done->result));
    if (watch.dropped()) return;
  }
  if (dead_ && events_ && !told_closed_) {
    closing_ = true;
    told_closed_ = true;
    const CloseReason reason = *dead_;
    return events_->on_closed(reason);  // `this` may be gone
  }
  if (closing_ || !ready_) return;
  // Handshake messages leave buffers behind, SSL_MODE_RELEASE_BUFFERS or not.
  if (trim_) ::SSL_free_buffers(connection_.get());
  trim_ = false;
  seal(false);
  if (shutdown_wanted_ && !shutdown_sent_ && plain_.empty()) {
    send_end();
    lower_->shutdown_write();
  }
  if (!events_) return;
  // A lower stream below its high water will not call.
  if (pressed_ && !closing_ && (queued() <= low_water_bytes_ || (plain_.empty() && !lower_pressed_))) {
    pressed_ = false;
    events_->on_writable();
    if (watch.dropped()) return;
  }
  if (show_again_ && reading_ && !closing_) show_kept();
  if (watch.dropped()) return;
  if (tell_read_end_ && reading_ && !show_again_ && !closing_) {
    tell_read_end_ = false;
    events_->on_read_end();
    if (watch.dropped()) return;
  }
  if (read_end_ && !tell_read_end_ && shutdown_sent_ && !closing_ && !leaving_) leave();
}

// Both ends are said; sealed bytes may be queued in front of ours. The lower stream may end in order by itself before
// the verdict.
void TlsStream::leave() {
  leaving_ = std::make_unique<QueueWatch>(*lower_, [this](QueueWatch::Verdict verdict) {
    const std::string who = "tls with " + peer_.remote_url();
    if (verdict == QueueWatch::Verdict::empty) {
      return fail({CloseReason::By::peer, {ErrorCode::peer_closed, who + " ended in order", {}}}, kAlertLinger);
    }
    fail(CloseReason::local(ErrorCode::timed_out, who + ": of " + std::to_string(lower_->queued()) +
                                                      " bytes up to our close_notify none left in " +
                                                      format_duration(QueueWatch::kStallMax)),
         {});
  });
}

// --- output ---

void TlsStream::seal(bool whatever_the_pressure) {
  std::unique_ptr<std::byte[]> own;
  while (!plain_.empty() && (!lower_pressed_ || whatever_the_pressure) && !closing_) {
    // Full records straight from a large chunk; small pieces are put together first.
    Bytes piece = plain_.front();
    if (piece.size() >= kRecordBytes) {
      piece = piece.first(piece.size() / kRecordBytes * kRecordBytes);
    } else if (piece.size() < plain_.size()) {
      // Out of turn the loop's buffer may be on show to the consumer of another stream.
      MutableBytes scratch;
      if (whatever_the_pressure) {
        if (!own) own = std::make_unique<std::byte[]>(kRecordBytes);
        scratch = {own.get(), kRecordBytes};
      } else {
        scratch = loop().scratch(scratch_depth());
      }
      piece = scratch.first(plain_.copy_to(scratch.first(scratch.size() / kRecordBytes * kRecordBytes)));
    }
    std::size_t written = 0;
    ::ERR_clear_error();
    if (::SSL_write_ex(connection_.get(), piece.data(), piece.size(), &written) != 1) {
      return fail({CloseReason::By::system, tls_error(ErrorCode::internal, "tls with " + peer_.remote_url())}, {});
    }
    plain_.consume(written);
    hand_down();
  }
}

void TlsStream::hand_down() {
  if (pipe_.output.empty()) return;
  if (lower_->write(std::exchange(pipe_.output, Chain())) == Pressure::high) lower_pressed_ = true;
}

void TlsStream::send_end() {
  if (shutdown_sent_) return;
  shutdown_wanted_ = true;
  shutdown_sent_ = true;
  ::ERR_clear_error();
  ::SSL_shutdown(connection_.get());  // "not finished": the peer's is not awaited here
  hand_down();
}

void TlsStream::fail(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  if (leaving_) leaving_->stop();
  closing_ = true;
  plain_.clear();
  kept_.clear();
  hand_down();
  lower_->close(std::move(reason), linger);
}

}  // namespace wayport::transport
