#include "wayport/transport/testing/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "wayport/base/result.h"

namespace wayport::transport {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;

std::string text_of(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}
std::string pem_of(X509* certificate) {
  const Bio bio(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio);
}
std::string pem_of(EVP_PKEY* key) {
  const Bio bio(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio);
}

Key make_key() {
  Key key(::EVP_EC_gen("P-256"));
  WAYPORT_ASSERT(key, "OpenSSL makes no key");
  return key;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = ::X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  WAYPORT_ASSERT(extension, "bad extension");
  ::X509_add_ext(certificate, extension, -1);
  ::X509_EXTENSION_free(extension);
}

Certificate begin(const CertificateRequest& request, EVP_PKEY* key) {
  Certificate certificate(::X509_new());
  X509* const raw = certificate.get();
  ::X509_set_version(raw, X509_VERSION_3);
  long serial = 0;
  ::RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial));
  ::ASN1_INTEGER_set(::X509_get_serialNumber(raw), serial & 0x7fffffff);
  ::X509_gmtime_adj(::X509_getm_notBefore(raw), request.valid_from.count());
  ::X509_gmtime_adj(::X509_getm_notAfter(raw), (request.valid_from + request.valid_for).count());
  ::X509_set_pubkey(raw, key);
  ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(raw), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(request.common_name.c_str()), -1, -1, 0);
  return certificate;
}

}  // namespace

struct TestAuthority::Implementation {
  Key key = make_key();
  Certificate certificate;
};

TestAuthority::TestAuthority(const std::string& name) : implementation_(std::make_unique<Implementation>()) {
  EVP_PKEY* const key = implementation_->key.get();
  Certificate certificate = begin({.common_name = name}, key);
  X509* const raw = certificate.get();
  ::X509_set_issuer_name(raw, ::X509_get_subject_name(raw));
  add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(raw, raw, NID_subject_key_identifier, "hash");
  ::X509_sign(raw, key, ::EVP_sha256());
  cert_pem_ = pem_of(raw);
  implementation_->certificate = std::move(certificate);
}

TestAuthority::~TestAuthority() = default;

IssuedCertificate TestAuthority::issue(const CertificateRequest& request) const {
  const Key key = make_key();
  const Certificate certificate = begin(request, key.get());
  X509* const raw = certificate.get();
  X509* const issuer = implementation_->certificate.get();
  ::X509_set_issuer_name(raw, ::X509_get_subject_name(issuer));
  std::string names;
  for (const std::string& name : request.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& ip : request.ip_addresses) names += (names.empty() ? "IP:" : ",IP:") + ip;
  if (!names.empty()) add_extension(raw, issuer, NID_subject_alt_name, names);
  add_extension(raw, issuer, NID_basic_constraints, "CA:FALSE");
  add_extension(raw, issuer, NID_authority_key_identifier, "keyid");
  ::X509_sign(raw, implementation_->key.get(), ::EVP_sha256());
  return {pem_of(raw), pem_of(key.get())};
}

TestDirectory::TestDirectory() {
  const char* const base = std::getenv("TEST_TMPDIR");
  path_ = std::string(base ? base : "/tmp") + "/wayport-XXXXXX";
  WAYPORT_ASSERT(::mkdtemp(path_.data()), "no temporary directory");
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TestDirectory::write(const std::string& name, const std::string& content) const {
  const std::string file = path_ + "/" + name;
  const std::string fresh = file + ".new";
  std::ofstream(fresh, std::ios::binary) << content;
  std::filesystem::rename(fresh, file);
  return file;
}

}  // namespace wayport::transport
