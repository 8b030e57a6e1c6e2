#include "wayport/tools/bench/self_signed.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "wayport/base/socket.h"

namespace wayport::tools {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

constexpr long kValidSeconds = 24L * 3600;

bool add_extension(X509* certificate, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Certificate sign(EVP_PKEY* key) {
  Certificate certificate(X509_new());
  X509* const made = certificate.get();
  X509_NAME* const name = made ? X509_get_subject_name(made) : nullptr;
  const bool good =
      name && X509_set_version(made, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(made), 1) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(made), -3600) && X509_gmtime_adj(X509_getm_notAfter(made), kValidSeconds) &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("wayport bench"), -1,
                                 -1, 0) == 1 &&
      X509_set_issuer_name(made, name) == 1 && X509_set_pubkey(made, key) == 1 &&
      add_extension(made, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost") &&
      add_extension(made, NID_basic_constraints, "critical,CA:TRUE") && X509_sign(made, key, EVP_sha256()) > 0;
  return good ? std::move(certificate) : nullptr;
}

template <class Write>
bool write_file(const std::string& path, Write&& write) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  std::FILE* const file = fd ? ::fdopen(fd.get(), "w") : nullptr;
  if (!file) return false;
  fd.release();
  const bool written = write(file) == 1;
  return std::fclose(file) == 0 && written;
}

}  // namespace

Result<SelfSigned> SelfSigned::make() {
  const char* const temporary = std::getenv("TMPDIR");
  std::string directory = std::string(temporary ? temporary : "/tmp") + "/wayport-bench-XXXXXX";
  if (!::mkdtemp(directory.data())) return fail(system_error(errno, "mkdtemp " + directory));
  SelfSigned made;
  made.directory_ = directory;
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate = key ? sign(key.get()) : nullptr;
  if (!certificate) return fail(ErrorCode::internal, "a certificate could not be made");
  const bool written =
      write_file(made.certificate(), [&](std::FILE* file) { return PEM_write_X509(file, certificate.get()); }) &&
      write_file(made.key(), [&](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
      });
  if (!written) return fail(ErrorCode::io, "the certificate could not be written to " + directory);
  return made;
}

SelfSigned::~SelfSigned() {
  if (directory_.empty()) return;
  ::unlink(certificate().c_str());
  ::unlink(key().c_str());
  ::rmdir(directory_.c_str());
}

}  // namespace wayport::tools
