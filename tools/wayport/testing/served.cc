#include "wayport/tools/wayport/testing/served.h"

#include <unistd.h>

#include <algorithm>

#include "wayport/base/result.h"

namespace wayport::tools::testing {
namespace {

std::string unix_name() {
  static int count = 0;
  return "unix://@wayport-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

std::vector<std::string> serve_arguments(const TlsFiles& tls, std::vector<std::string> more) {
  std::vector<std::string> arguments = {wayport_program(), "serve",     "--listen", "tcp://127.0.0.1:0",
                                        "--listen",        unix_name(), "--listen", tls.listen_url()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

const std::string& wayport_program() {
  static const std::string program = runfile("tools/wayport/wayport");
  return program;
}

Finished wayport(std::vector<std::string> arguments, std::string_view input) {
  arguments.insert(arguments.begin(), wayport_program());
  return run(arguments, input);
}

TlsFiles::TlsFiles() {
  const transport::TestAuthority authority;
  const transport::IssuedCertificate issued =
      authority.issue({.common_name = "wayport serve", .dns_names = {"localhost"}, .ip_addresses = {"127.0.0.1"}});
  ca_ = directory_.write("ca.pem", authority.cert_pem());
  cert_ = directory_.write("cert.pem", issued.cert_pem);
  key_ = directory_.write("key.pem", issued.key_pem);
}

std::string TlsFiles::listen_url() const { return "tls://127.0.0.1:0?cert=" + cert_ + "&key=" + key_; }

Served::Served(std::vector<std::string> more_arguments)
    : process_(serve_arguments(tls_files_, std::move(more_arguments))) {
  for (const std::string_view transport : kTransports) {
    const std::string line = process_.wait_for_line("listening on " + std::string(transport) + "://");
    WAYPORT_ASSERT(!line.empty(), "wayport serve does not listen");
    std::string url = line.substr(std::string_view("listening on ").size());
    if (transport == "tls") url += tls_files_.dial_parameters();
    urls_.push_back(std::move(url));
  }
}

const std::string& Served::url(std::string_view transport) const {
  const auto found = std::ranges::find_if(urls_, [&](const std::string& url) { return url.starts_with(transport); });
  WAYPORT_ASSERT(found != urls_.end(), "a transport that is not served");
  return *found;
}

}  // namespace wayport::tools::testing
