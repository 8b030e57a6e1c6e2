// Certificates made when a test runs: authorities, and what they issue (EC P-256, seconds-fresh, never for production).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace wayport::transport {

struct CertificateRequest {
  std::string common_name = "test";
  std::vector<std::string> dns_names{};
  std::vector<std::string> ip_addresses{};
  std::chrono::seconds valid_from{-3600};  // from now
  std::chrono::seconds valid_for{7200};    // from valid_from
};

struct IssuedCertificate {
  std::string cert_pem;
  std::string key_pem;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "test authority");
  ~TestAuthority();

  const std::string& cert_pem() const noexcept { return cert_pem_; }
  IssuedCertificate issue(const CertificateRequest& request) const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
  std::string cert_pem_;
};

// A directory of its own under TEST_TMPDIR (or /tmp), removed at the end.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  // Writes (replaces, as a rename does) a file and returns its path.
  std::string write(const std::string& name, const std::string& content) const;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace wayport::transport
