// `wayport serve` as tests use it: one process on tcp, unix and tls, and `wayport call` against it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wayport/tools/wayport/testing/process.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::tools::testing {

// The program's path.
const std::string& wayport_program();

// `wayport ARGUMENTS...`, run to its end.
Finished wayport(std::vector<std::string> arguments, std::string_view input = {});

// Certificates for 127.0.0.1, in files.
class TlsFiles {
 public:
  TlsFiles();
  // "tls://127.0.0.1:0?cert=...&key=..."
  std::string listen_url() const;
  // What to add to the address that a server prints.
  std::string dial_parameters() const { return "?ca=" + ca_; }

 private:
  transport::TestDirectory directory_;
  std::string ca_;
  std::string cert_;
  std::string key_;
};

class Served {
 public:
  // Returns when it listens.
  explicit Served(std::vector<std::string> more_arguments = {});

  static constexpr std::string_view kTransports[] = {"tcp", "unix", "tls"};
  // To dial.
  const std::string& url(std::string_view transport) const;
  Process& process() { return process_; }

 private:
  TlsFiles tls_files_;
  Process process_;
  std::vector<std::string> urls_;
};

}  // namespace wayport::tools::testing
