// Address: one string that names a whole stack of transports, the same in library, command line and configuration.
//
//   tcp://127.0.0.1:9090        tcp://[::1]:0          tcp://example.org:80?keepalive=30s&nodelay=0
//   unix:///run/app.sock?mode=0660                     unix://@abstract-name
//   tls://host:443?ca=ca.pem&name=other.host           tls://0.0.0.0:443?cert=c.pem&key=k.pem&ca=clients.pem
//   snet+tcp://host:port?encrypt=1                     link+tls://gateway:7001/42?key_file=key
//
// Grammar (spec/address.md): layers = name *("+" name); layers "://" (authority [path] | path) ["?" key=value *("&"
// ...)]. parse and to_string are inverse on what to_string gives. A bare "host:port" is tcp. Unknown parameters are
// refused by the transport that reads them, by name.
//
// What is not as in URLs: no user, no fragment; "+" in a parameter is a plus; a host is ASCII and has no percent coding
// except the "%25" before a zone id; a stack whose last layer is "unix" has a path and no authority.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::transport {

inline constexpr std::size_t kAddressBytesMax = 4096;

class Address {
 public:
  // Errors (invalid_argument) name the position and the offending part, never the whole text: it may hold secrets.
  static Result<Address> parse(std::string_view text);
  // `layer`://host:port without parameters. REQUIRES: a valid host, as parse would take it.
  static Address of(std::string layer, std::string host, std::uint16_t port);
  std::string to_string() const;  // canonical; secrets included
  std::string to_log() const;     // values of key, password, token, header and query are "***"

  // Outermost first: {"snet", "tcp"}.
  const std::vector<std::string>& layers() const noexcept { return layers_; }
  std::string scheme() const;                                 // "snet+tcp"
  const std::string& host() const noexcept { return host_; }  // no brackets; empty for unix, and for ":80" (any)
  std::uint16_t port() const noexcept { return port_; }       // 0: none given, or any
  const std::string& path() const noexcept { return path_; }  // "/42", "/run/app.sock"; unix "@name" keeps its @
  bool is_abstract_unix() const noexcept { return path_.starts_with('@'); }

  // Percent-decoded. nullptr: absent. The first, if it is repeated.
  const std::string* parameter(std::string_view key) const noexcept;
  const std::vector<std::pair<std::string, std::string>>& parameters() const noexcept { return parameters_; }
  void set_parameter(std::string_view key, std::string value);
  void set_port(std::uint16_t port) noexcept { port_ = port; }
  void set_path(std::string path) { path_ = std::move(path); }  // a layer whose own the path was takes it away
  // Fails naming the first parameter that is not in `known`, or that is given twice and not in `repeatable`.
  Result<void> check_parameters(std::initializer_list<std::string_view> known,
                                std::initializer_list<std::string_view> repeatable = {}) const;

  // The address of the next layer down: without the outermost layer (with `implied`, if that was the only one) and
  // without the parameters in `own`. Host, port and path are the same.
  Address below(std::string_view implied, std::initializer_list<std::string_view> own) const;

  friend bool operator==(const Address&, const Address&) = default;

 private:
  std::string print(bool secrets) const;

  std::vector<std::string> layers_;
  std::string host_;
  std::uint16_t port_ = 0;
  std::string path_;
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace wayport::transport
