#include "wayport/transport/tls/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"
#include "wayport/transport/tls/tls_error.h"

namespace wayport::transport {
namespace {

constexpr unsigned char kSessionContext[] = "wayport";

// What a connection needs of its context while it lives.
struct Attachment {
  std::shared_ptr<const TlsContext> context;
  std::string place;
};

int attachment_index() {
  static const int index = ::SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* attachment, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Attachment*>(attachment); });
  return index;
}

Error file_error(const char* what, const std::string& file) {
  return tls_error(ErrorCode::invalid_argument, std::string("tls: ") + what + " " + escape(file));
}

bool is_ip(const std::string& name) { return SocketAddress::from_ip(name, 0).has_value(); }

}  // namespace

// --- TlsSessionCache ---

void TlsSessionCache::put(const std::string& place, tls::Session session) {
  const std::lock_guard lock(mutex_);
  const auto [at, is_new] = sessions_.insert_or_assign(place, std::move(session));
  if (!is_new) return;
  order_.push_back(place);
  while (order_.size() > kPlacesMax) {
    sessions_.erase(order_.front());
    order_.pop_front();
  }
}

tls::Session TlsSessionCache::take(const std::string& place) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(place);
  if (found == sessions_.end() || !found->second) return nullptr;
  if (::SSL_SESSION_get_protocol_version(found->second.get()) >= TLS1_3_VERSION) {
    return std::move(found->second);  // the place stays in `order_`
  }
  ::SSL_SESSION_up_ref(found->second.get());
  return tls::Session(found->second.get());
}

std::size_t TlsSessionCache::size() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [place, session] : sessions_) count += session ? 1 : 0;
  return count;
}

// --- TlsContext ---

Result<tls::Context> TlsContext::make(const SSL_METHOD* method) const {
  ::ERR_clear_error();
  tls::Context context(::SSL_CTX_new(method));
  if (!context) return fail(tls_error(ErrorCode::internal, "tls: no context"));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  // Never a prompt on the terminal.
  ::SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return -1; });
  return context;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::for_clients(const TlsOptions& options) {
  const std::shared_ptr<TlsContext> made(new TlsContext(options));
  WAYPORT_TRY_ASSIGN(tls::Context context, made->make(::TLS_client_method()));
  SSL_CTX* const raw = context.get();
  if (options.insecure) {
    ::SSL_CTX_set_verify(raw, SSL_VERIFY_NONE, nullptr);
  } else {
    ::SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    if (options.ca.empty()) {
      ::SSL_CTX_set_default_verify_paths(raw);
    } else if (::SSL_CTX_load_verify_file(raw, options.ca.c_str()) != 1) {
      return fail(file_error("cannot trust", options.ca));
    }
  }
  for (const auto& [cert, key] : options.certificates) {
    if (::SSL_CTX_use_certificate_chain_file(raw, cert.c_str()) != 1) return fail(file_error("certificate", cert));
    if (::SSL_CTX_use_PrivateKey_file(raw, key.c_str(), SSL_FILETYPE_PEM) != 1) return fail(file_error("key", key));
  }
  if (!options.alpn.empty()) {
    ::SSL_CTX_set_alpn_protos(raw, reinterpret_cast<const unsigned char*>(options.alpn.data()),
                              static_cast<unsigned>(options.alpn.size()));
  }
  ::SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  ::SSL_CTX_sess_set_new_cb(raw, &TlsContext::keep_session);
  made->contexts_.push_back(std::move(context));
  return made;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::for_servers(const TlsOptions& options) {
  const std::shared_ptr<TlsContext> made(new TlsContext(options));
  for (const auto& [cert, key] : options.certificates) {
    WAYPORT_TRY_ASSIGN(tls::Context context, made->make(::TLS_server_method()));
    SSL_CTX* const raw = context.get();
    if (::SSL_CTX_use_certificate_chain_file(raw, cert.c_str()) != 1) return fail(file_error("certificate", cert));
    if (::SSL_CTX_use_PrivateKey_file(raw, key.c_str(), SSL_FILETYPE_PEM) != 1) return fail(file_error("key", key));
    if (!options.ca.empty()) {
      if (::SSL_CTX_load_verify_file(raw, options.ca.c_str()) != 1) return fail(file_error("cannot trust", options.ca));
      ::SSL_CTX_set_client_CA_list(raw, ::SSL_load_client_CA_file(options.ca.c_str()));
      const int required = options.optional_client ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
      ::SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | required, nullptr);
    }
    // Tickets carry the sessions; nothing is kept here. Their keys die with the context, so a new `ca` is enforced.
    ::SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    ::SSL_CTX_set_session_id_context(raw, kSessionContext, sizeof(kSessionContext) - 1);
    if (!options.alpn.empty()) ::SSL_CTX_set_alpn_select_cb(raw, &TlsContext::choose_alpn, made.get());
    if (options.certificates.size() > 1) {
      ::SSL_CTX_set_tlsext_servername_callback(raw, &TlsContext::choose_certificate);
      ::SSL_CTX_set_tlsext_servername_arg(raw, made.get());
    }
    made->contexts_.push_back(std::move(context));
  }
  return made;
}

Result<tls::Connection> TlsContext::attach(tls::Connection connection, std::string place) const {
  if (!connection) return fail(tls_error(ErrorCode::internal, "tls: no connection object"));
  auto attachment = std::make_unique<Attachment>(Attachment{shared_from_this(), std::move(place)});
  if (::SSL_set_ex_data(connection.get(), attachment_index(), attachment.get()) != 1) {
    return fail(tls_error(ErrorCode::internal, "tls: no connection object"));
  }
  attachment.release();
  return connection;
}

Result<tls::Connection> TlsContext::make_client(const std::string& name, const std::string& place) const {
  ::ERR_clear_error();
  WAYPORT_TRY_ASSIGN(tls::Connection connection, attach(tls::Connection(::SSL_new(contexts_.front().get())), place));
  SSL* const raw = connection.get();
  ::SSL_set_connect_state(raw);
  if (is_ip(name)) {
    // A zone is of this machine only.
    const std::string ip = name.substr(0, name.find('%'));
    if (verifies() && ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(raw), ip.c_str()) != 1) {
      return fail(tls_error(ErrorCode::invalid_argument, "tls: cannot expect the address " + escape(name)));
    }
  } else if (!name.empty()) {
    if (::SSL_set_tlsext_host_name(raw, name.c_str()) != 1) {
      return fail(tls_error(ErrorCode::invalid_argument, "tls: cannot ask for the name " + escape(name)));
    }
    if (verifies()) {
      ::SSL_set_hostflags(raw, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      if (::SSL_set1_host(raw, name.c_str()) != 1) {
        return fail(tls_error(ErrorCode::invalid_argument, "tls: cannot expect the name " + escape(name)));
      }
    }
  }
  if (const tls::Session session = sessions_.take(place)) ::SSL_set_session(raw, session.get());
  return connection;
}

Result<tls::Connection> TlsContext::make_server() const {
  ::ERR_clear_error();
  WAYPORT_TRY_ASSIGN(tls::Connection connection, attach(tls::Connection(::SSL_new(contexts_.front().get())), ""));
  ::SSL_set_accept_state(connection.get());
  return connection;
}

int TlsContext::choose_certificate(SSL* connection, int*, void* self) {
  const char* const name = ::SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
  if (!name) return SSL_TLSEXT_ERR_NOACK;
  for (const tls::Context& context : static_cast<const TlsContext*>(self)->contexts_) {
    X509* const certificate = ::SSL_CTX_get0_certificate(context.get());
    if (::X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1) {
      ::SSL_set_SSL_CTX(connection, context.get());
      break;
    }
  }
  return SSL_TLSEXT_ERR_OK;
}

int TlsContext::choose_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                            const unsigned char* offered, unsigned offered_size, void* self) {
  const std::string& ours = static_cast<const TlsContext*>(self)->options_.alpn;
  unsigned char* agreed = nullptr;
  const int found = ::SSL_select_next_proto(&agreed, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                            static_cast<unsigned>(ours.size()), offered, offered_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = agreed;
  return SSL_TLSEXT_ERR_OK;
}

// Takes the reference by returning 1.
int TlsContext::keep_session(SSL* connection, SSL_SESSION* session) {
  const auto* attachment = static_cast<const Attachment*>(::SSL_get_ex_data(connection, attachment_index()));
  if (!attachment || attachment->place.empty() || !::SSL_SESSION_is_resumable(session)) return 0;
  attachment->context->sessions_.put(attachment->place, tls::Session(session));
  return 1;
}

// --- TlsContextFiles ---

Result<std::unique_ptr<TlsContextFiles>> TlsContextFiles::open(std::vector<std::string> files, Load load,
                                                               Duration every, Log* log) {
  std::unique_ptr<TlsContextFiles> opened(
      new TlsContextFiles(std::move(files), std::move(load), every, log ? log : &null_log()));
  opened->stamps_ = opened->look();
  WAYPORT_TRY_ASSIGN(opened->current_, opened->load_());
  return opened;
}

std::vector<TlsContextFiles::Stamp> TlsContextFiles::look() const {
  std::vector<Stamp> stamps;
  for (const std::string& file : files_) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0) status = {};
    const auto ns = [](const timespec& at) {
      return static_cast<std::int64_t>(at.tv_sec) * 1'000'000'000 + at.tv_nsec;
    };
    stamps.push_back({status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), ns(status.st_mtim),
                      ns(status.st_ctim)});
  }
  return stamps;
}

std::shared_ptr<const TlsContext> TlsContextFiles::current(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (every_ <= Duration::zero() || now < next_look_) return current_;
  next_look_ = now + every_;
  std::vector<Stamp> stamps = look();
  if (stamps == stamps_) return current_;
  stamps_ = std::move(stamps);  // a broken set is not tried again until it changes
  if (Result<std::shared_ptr<const TlsContext>> loaded = load_()) {
    current_ = *std::move(loaded);
    log_->write(LogLevel::info, "tls certificates reloaded", {{"first", files_.front()}});
  } else {
    log_->write(LogLevel::error, "tls certificates not reloaded, the old ones stay",
                {{"error", loaded.error().to_string()}});
  }
  return current_;
}

}  // namespace wayport::transport
