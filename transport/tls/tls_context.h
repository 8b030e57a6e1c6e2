// TlsContext: what many connections share, made from TlsOptions: certificates, trust, ALPN, and for clients the
// sessions that can be resumed. TlsContextFiles follows the files it was made from.
//
// Both thread-safe once made.
#pragma once

#include <openssl/ssl.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/transport/tls/tls_options.h"

namespace wayport::transport {

namespace tls {
template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Deleter<SSL_free>>;
using Session = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION_free>>;
}  // namespace tls

// Sessions by place ("host:port"), newest first out; sessions of TLS 1.3 are used once (RFC 8446, C.4).
class TlsSessionCache {
 public:
  static constexpr std::size_t kPlacesMax = 1024;

  void put(const std::string& place, tls::Session session);
  tls::Session take(const std::string& place);
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, tls::Session> sessions_;
  std::deque<std::string> order_;  // oldest first; each place once
};

class TlsContext : public std::enable_shared_from_this<TlsContext> {
 public:
  static Result<std::shared_ptr<const TlsContext>> for_clients(const TlsOptions& options);
  static Result<std::shared_ptr<const TlsContext>> for_servers(const TlsOptions& options);

  // One connection. It keeps this context alive. `name` (or IP address) is asked for and expected in the certificate;
  // `place` keys the session cache, and says all that makes a session another one: address and name.
  Result<tls::Connection> make_client(const std::string& name, const std::string& place) const;
  Result<tls::Connection> make_server() const;

  bool verifies() const noexcept { return !options_.insecure; }
  const TlsOptions& options() const noexcept { return options_; }
  std::size_t cached_sessions() const { return sessions_.size(); }

 private:
  explicit TlsContext(TlsOptions options) : options_(std::move(options)) {}

  Result<tls::Context> make(const SSL_METHOD* method) const;
  Result<tls::Connection> attach(tls::Connection connection, std::string place) const;
  static int choose_certificate(SSL* connection, int* alert, void* self);
  static int choose_alpn(SSL* connection, const unsigned char** chosen, unsigned char* chosen_size,
                         const unsigned char* offered, unsigned offered_size, void* self);
  static int keep_session(SSL* connection, SSL_SESSION* session);

  const TlsOptions options_;
  std::vector<tls::Context> contexts_;  // one per certificate; the first is the default
  mutable TlsSessionCache sessions_;
};

// Looks at the files at most every `every`, and only when asked; a set of files that does not load is told to the log
// and the old one stays in force.
class TlsContextFiles {
 public:
  using Load = std::function<Result<std::shared_ptr<const TlsContext>>()>;

  // Fails if the first load does.
  static Result<std::unique_ptr<TlsContextFiles>> open(std::vector<std::string> files, Load load, Duration every,
                                                       Log* log);
  std::shared_ptr<const TlsContext> current(TimePoint now);

 private:
  struct Stamp {
    std::uint64_t device, inode, size;
    std::int64_t modified_ns, changed_ns;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  TlsContextFiles(std::vector<std::string> files, Load load, Duration every, Log* log)
      : files_(std::move(files)), load_(std::move(load)), every_(every), log_(log) {}
  std::vector<Stamp> look() const;

  const std::vector<std::string> files_;
  const Load load_;
  const Duration every_;
  Log* const log_;
  std::mutex mutex_;
  std::shared_ptr<const TlsContext> current_;
  std::vector<Stamp> stamps_;
  TimePoint next_look_{};
};

}  // namespace wayport::transport
