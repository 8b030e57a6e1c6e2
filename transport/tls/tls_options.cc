#include "wayport/transport/tls/tls_options.h"

#include <initializer_list>
#include <string_view>

#include "wayport/transport/parameters.h"

namespace wayport::transport {
namespace {

const std::initializer_list<std::string_view> kOwn = {
    "ca", "name", "cert", "key", "alpn", "insecure", "optional_client", "reload"};

Result<std::string> alpn_parameter(const Address& address) {
  std::string wire;
  const std::string* list = address.parameter("alpn");
  if (!list) return wire;
  std::string_view rest = *list;
  for (;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    if (name.empty() || name.size() > 255) return bad_parameter(address, "alpn", "is not a list such as h2,http/1.1");
    wire.push_back(static_cast<char>(name.size()));
    wire += name;
    if (comma == std::string_view::npos) return wire;
    rest.remove_prefix(comma + 1);
  }
}

Result<std::vector<TlsOptions::Certificate>> certificates(const Address& address) {
  const std::vector<std::string> certs = repeated_parameter(address, "cert");
  const std::vector<std::string> keys = repeated_parameter(address, "key");
  if (!keys.empty() && keys.size() != certs.size()) {
    return fail(ErrorCode::invalid_argument, address.scheme() + " address: " + std::to_string(certs.size()) +
                                                 " cert and " + std::to_string(keys.size()) +
                                                 " key: each cert needs its key, or none has one");
  }
  std::vector<TlsOptions::Certificate> pairs;
  for (std::size_t i = 0; i < certs.size(); ++i) {
    pairs.push_back({certs[i], keys.empty() ? certs[i] : keys[i]});
    if (pairs.back().cert.empty() || pairs.back().key.empty()) return bad_parameter(address, "cert", "names no file");
  }
  return pairs;
}

// Of the parameters that are TLS' own, only those in `known`, and once but for `repeatable`.
Result<void> check_own(const Address& address, std::initializer_list<std::string_view> known,
                       std::initializer_list<std::string_view> repeatable) {
  Address own = Address::of(address.scheme(), "", 0);
  std::vector<std::string_view> seen;
  for (const auto& [key, value] : address.parameters()) {
    bool ours = false;
    for (const std::string_view name : kOwn) ours = ours || name == key;
    if (!ours) continue;
    for (const std::string_view before : seen) {
      bool may_repeat = false;
      for (const std::string_view name : repeatable) may_repeat = may_repeat || name == key;
      if (before == key && !may_repeat) {
        return fail(ErrorCode::invalid_argument,
                    address.scheme() + " address: parameter \"" + key + "\" is given twice");
      }
    }
    seen.push_back(key);
    own.set_parameter(key, value);
  }
  return own.check_parameters(known, repeatable);
}

Result<TlsOptions> read_common(const Address& address) {
  TlsOptions options;
  WAYPORT_TRY_ASSIGN(options.certificates, certificates(address));
  WAYPORT_TRY_ASSIGN(options.alpn, alpn_parameter(address));
  if (const std::string* ca = address.parameter("ca")) {
    if (ca->empty()) return bad_parameter(address, "ca", "names no file");
    options.ca = *ca;
  }
  return options;
}

}  // namespace

Result<TlsOptions> TlsOptions::for_dial(const Address& address) {
  WAYPORT_TRY(check_own(address, {"ca", "name", "cert", "key", "alpn", "insecure"}, {}));
  WAYPORT_TRY_ASSIGN(TlsOptions options, read_common(address));
  WAYPORT_TRY_ASSIGN(const auto insecure, bool_parameter(address, "insecure"));
  options.insecure = insecure.value_or(false);
  const std::string* name = address.parameter("name");
  options.name = name ? *name : address.host();
  if (options.name.empty() && !options.insecure) {
    return fail(ErrorCode::invalid_argument,
                address.scheme() + " address: no host, and no name= to expect in the certificate");
  }
  return options;
}

Result<TlsOptions> TlsOptions::for_listen(const Address& address) {
  WAYPORT_TRY(check_own(address, {"ca", "alpn", "optional_client", "reload"}, {"cert", "key"}));
  WAYPORT_TRY_ASSIGN(TlsOptions options, read_common(address));
  WAYPORT_TRY_ASSIGN(const auto optional_client, bool_parameter(address, "optional_client"));
  WAYPORT_TRY_ASSIGN(const auto reload, duration_parameter(address, "reload"));
  options.optional_client = optional_client.value_or(false);
  options.reload = reload.value_or(options.reload);
  if (options.certificates.empty()) {
    return fail(ErrorCode::invalid_argument, address.scheme() + " address: a listener needs cert=");
  }
  if (options.optional_client && options.ca.empty()) {
    return bad_parameter(address, "optional_client", "means nothing without ca=");
  }
  return options;
}

Address TlsOptions::below(const Address& address) { return address.below("tcp", kOwn); }

std::vector<std::string> TlsOptions::files() const {
  std::vector<std::string> all;
  for (const Certificate& certificate : certificates) {
    all.push_back(certificate.cert);
    if (certificate.key != certificate.cert) all.push_back(certificate.key);
  }
  if (!ca.empty()) all.push_back(ca);
  return all;
}

}  // namespace wayport::transport
