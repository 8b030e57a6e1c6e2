// OpenSSL calls its low-level functions deprecated; the provider that has RC4 otherwise is a file of its own.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "wayport/transport/snet/crypto.h"

#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/rc4.h>

#include "wayport/base/result.h"

namespace wayport::transport::snet {

std::uint64_t draw_u64(RandomSource& random) {
  std::array<std::byte, 8> bytes;
  random.fill(bytes);
  return load_le<std::uint64_t>(bytes.data());
}

Mac mac_of(Bytes data, const Key& key) noexcept {
  MD5_CTX context;
  Mac mac;
  const bool done = ::MD5_Init(&context) == 1 && ::MD5_Update(&context, data.data(), data.size()) == 1 &&
                    ::MD5_Update(&context, key.data(), key.size()) == 1 &&
                    ::MD5_Final(reinterpret_cast<unsigned char*>(mac.data()), &context) == 1;
  WAYPORT_ASSERT(done, "MD5 cannot fail");
  return mac;
}

bool same_mac(const Mac& expected, Bytes received) noexcept {
  WAYPORT_ASSERT(received.size() == expected.size(), "a MAC has 16 bytes");
  return ::CRYPTO_memcmp(expected.data(), received.data(), expected.size()) == 0;
}

struct Rc4::State {
  RC4_KEY key;
};

Rc4::Rc4(const Key& key) : state_(std::make_unique<State>()) {
  ::RC4_set_key(&state_->key, static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(key.data()));
}
Rc4::Rc4(Rc4&&) noexcept = default;
Rc4& Rc4::operator=(Rc4&&) noexcept = default;
Rc4::~Rc4() = default;

void Rc4::apply(Bytes in, MutableBytes out) noexcept {
  WAYPORT_ASSERT(in.size() == out.size(), "RC4 keeps the size");
  if (in.empty()) return;
  ::RC4(&state_->key, in.size(), reinterpret_cast<const unsigned char*>(in.data()),
        reinterpret_cast<unsigned char*>(out.data()));
}

}  // namespace wayport::transport::snet
