// Blowfish, CAST5 and DES through OpenSSL's low-level calls: the provider that has them is a file that may be missing.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wayport/transport/kcp/packet_cipher.h"

#include <isa-l.h>
#include <openssl/blowfish.h>
#include <openssl/cast.h>
#include <openssl/des.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {
namespace {

constexpr std::array<unsigned char, 16> kIv = {0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01,
                                               0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b};
constexpr std::size_t kClassicHead = 20;
constexpr std::size_t kGcmHead = 12;
constexpr std::size_t kGcmTail = 16;

unsigned char* raw(std::byte* bytes) noexcept { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(const std::byte* bytes) noexcept { return reinterpret_cast<const unsigned char*>(bytes); }

struct ContextDeleter {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextDeleter>;

Context make_context(const EVP_CIPHER* cipher, const unsigned char* key, const unsigned char* iv, bool encrypts) {
  Context context(EVP_CIPHER_CTX_new());
  WAYPORT_ASSERT(context != nullptr && EVP_CipherInit_ex(context.get(), cipher, nullptr, key, iv, encrypts) == 1 &&
                     EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1,
                 "OpenSSL lacks a cipher of its default provider");
  return context;
}
void update(EVP_CIPHER_CTX* context, unsigned char* to, const unsigned char* from, std::size_t size) {
  int done = 0;
  WAYPORT_ASSERT(EVP_CipherUpdate(context, to, &done, from, static_cast<int>(size)) == 1, "cipher update");
}

// AES and SM4 in CFB.
class BlockCfb final : public PacketCipher {
 public:
  BlockCfb(const EVP_CIPHER* cfb, const EVP_CIPHER* ecb, Bytes key, const Seed& seed)
      : PacketCipher(kClassicHead, 0, seed),
        cfb_(make_context(cfb, raw(key.data()), kIv.data(), true)),
        ecb_(make_context(ecb, raw(key.data()), nullptr, true)) {}

 private:
  void encrypt(MutableBytes datagram) override {
    WAYPORT_ASSERT(EVP_CipherInit_ex(cfb_.get(), nullptr, nullptr, nullptr, kIv.data(), 1) == 1, "iv");
    update(cfb_.get(), raw(datagram.data()), raw(datagram.data()), datagram.size());
  }
  // The key stream of a block is the encryption of the block before it: all of them in one ECB call, ten times faster
  // than OpenSSL's CFB.
  bool decrypt(MutableBytes datagram) override {
    const std::size_t blocks = (datagram.size() + 15) / 16;
    std::memcpy(stream_.data(), kIv.data(), 16);
    std::memcpy(stream_.data() + 16, datagram.data(), (blocks - 1) * 16);
    update(ecb_.get(), stream_.data(), stream_.data(), blocks * 16);
    for (std::size_t i = 0; i < datagram.size(); ++i) datagram[i] ^= static_cast<std::byte>(stream_[i]);
    return true;
  }

  Context cfb_;
  Context ecb_;
  std::array<unsigned char, kDatagramBytesMax + 16> stream_;
};

// 8-byte blocks through a function that enciphers one of them.
template <class Key>
class OldCfb final : public PacketCipher {
 public:
  OldCfb(const Key& key, const Seed& seed) : PacketCipher(kClassicHead, 0, seed), key_(key) {}

 private:
  void encrypt(MutableBytes datagram) override { run(datagram, true); }
  bool decrypt(MutableBytes datagram) override {
    run(datagram, false);
    return true;
  }
  void run(MutableBytes datagram, bool encrypts) {
    unsigned char iv[8];
    std::memcpy(iv, kIv.data(), 8);
    int position = 0;
    key_.cfb64(raw(datagram.data()), static_cast<long>(datagram.size()), iv, &position, encrypts);
  }
  Key key_;
};
struct BlowfishKey {
  explicit BlowfishKey(Bytes key) { BF_set_key(&schedule, static_cast<int>(key.size()), raw(key.data())); }
  void cfb64(unsigned char* bytes, long size, unsigned char* iv, int* position, bool encrypts) {
    BF_cfb64_encrypt(bytes, bytes, size, &schedule, iv, position, encrypts ? BF_ENCRYPT : BF_DECRYPT);
  }
  BF_KEY schedule;
};
struct CastKey {
  explicit CastKey(Bytes key) { CAST_set_key(&schedule, static_cast<int>(key.size()), raw(key.data())); }
  void cfb64(unsigned char* bytes, long size, unsigned char* iv, int* position, bool encrypts) {
    CAST_cfb64_encrypt(bytes, bytes, size, &schedule, iv, position, encrypts ? CAST_ENCRYPT : CAST_DECRYPT);
  }
  CAST_KEY schedule;
};
struct TripleDesKey {
  explicit TripleDesKey(Bytes key) {
    for (std::size_t i = 0; i < 3; ++i) {
      DES_cblock part;
      std::memcpy(part, key.data() + 8 * i, 8);
      DES_set_key_unchecked(&part, &schedules[i]);
    }
  }
  void cfb64(unsigned char* bytes, long size, unsigned char* iv, int* position, bool encrypts) {
    DES_ede3_cfb64_encrypt(bytes, bytes, size, &schedules[0], &schedules[1], &schedules[2],
                           reinterpret_cast<DES_cblock*>(iv), position, encrypts ? DES_ENCRYPT : DES_DECRYPT);
  }
  DES_key_schedule schedules[3];
};

// A constant key stream; "none" is the one of zeros.
class Xor final : public PacketCipher {
 public:
  Xor(std::string table, const Seed& seed) : PacketCipher(kClassicHead, 0, seed), table_(std::move(table)) {}

 private:
  void encrypt(MutableBytes datagram) override {
    for (std::size_t i = 0; i < std::min(datagram.size(), table_.size()); ++i)
      datagram[i] ^= static_cast<std::byte>(table_[i]);
  }
  bool decrypt(MutableBytes datagram) override {
    encrypt(datagram);
    return true;
  }
  std::string table_;
};

class Gcm final : public PacketCipher {
 public:
  Gcm(const EVP_CIPHER* cipher, Bytes key, const Seed& seed)
      : PacketCipher(kGcmHead, kGcmTail, seed),
        seal_(make_context(cipher, raw(key.data()), nullptr, true)),
        open_(make_context(cipher, raw(key.data()), nullptr, false)) {}

 private:
  void encrypt(MutableBytes datagram) override {
    EVP_CIPHER_CTX* const context = seal_.get();
    const MutableBytes body = datagram.subspan(kGcmHead, datagram.size() - kGcmHead - kGcmTail);
    int done = 0;
    const bool sealed =
        EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, raw(datagram.data()), 1) == 1 &&
        EVP_CipherUpdate(context, raw(body.data()), &done, raw(body.data()), static_cast<int>(body.size())) == 1 &&
        EVP_CipherFinal_ex(context, raw(body.data()) + done, &done) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kGcmTail, raw(body.data() + body.size())) == 1;
    WAYPORT_ASSERT(sealed, "AES-GCM");
  }
  bool decrypt(MutableBytes datagram) override {
    EVP_CIPHER_CTX* const context = open_.get();
    const MutableBytes body = datagram.subspan(kGcmHead, datagram.size() - kGcmHead - kGcmTail);
    int done = 0;
    return EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, raw(datagram.data()), 0) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kGcmTail, raw(body.data() + body.size())) == 1 &&
           EVP_CipherUpdate(context, raw(body.data()), &done, raw(body.data()), static_cast<int>(body.size())) == 1 &&
           EVP_CipherFinal_ex(context, raw(body.data()) + done, &done) == 1;
  }
  Context seal_;
  Context open_;
};

struct Entry {
  CipherFacts facts;
  std::unique_ptr<PacketCipher> (*make)(Bytes key, const PacketCipher::Seed& seed);
};

constexpr std::string_view kOld = "an 8-byte block cipher in a mode that only a checksum guards; prefer aes-256-gcm";
constexpr std::string_view kNoSecrecy =
    "hides nothing: one known packet reveals the key stream, and anyone may change packets; prefer aes-256-gcm";
constexpr std::string_view kNothing = "neither hides nor authenticates; prefer aes-256-gcm, or tls+kcp";

template <const EVP_CIPHER* (*Cfb)(), const EVP_CIPHER* (*Ecb)()>
std::unique_ptr<PacketCipher> block(Bytes key, const PacketCipher::Seed& seed) {
  return std::make_unique<BlockCfb>(Cfb(), Ecb(), key, seed);
}
template <const EVP_CIPHER* (*Cipher)()>
std::unique_ptr<PacketCipher> gcm(Bytes key, const PacketCipher::Seed& seed) {
  return std::make_unique<Gcm>(Cipher(), key, seed);
}
template <class Key>
std::unique_ptr<PacketCipher> old(Bytes key, const PacketCipher::Seed& seed) {
  return std::make_unique<OldCfb<Key>>(Key(key), seed);
}
std::unique_ptr<PacketCipher> xor_of(Bytes key, const PacketCipher::Seed& seed) {
  return std::make_unique<Xor>(derive_key(as_text(key), "sH3CIVoF#rWLtJo6", 32, kDatagramBytesMax), seed);
}
std::unique_ptr<PacketCipher> none_of(Bytes, const PacketCipher::Seed& seed) {
  return std::make_unique<Xor>(std::string(), seed);
}

constexpr Entry kEntries[] = {
    {{"aes-128", 16, {}}, block<EVP_aes_128_cfb128, EVP_aes_128_ecb>},
    {{"aes-192", 24, {}}, block<EVP_aes_192_cfb128, EVP_aes_192_ecb>},
    {{"aes-256", 32, {}}, block<EVP_aes_256_cfb128, EVP_aes_256_ecb>},
    {{"aes", 32, {}}, block<EVP_aes_256_cfb128, EVP_aes_256_ecb>},
    {{"aes-128-gcm", 16, {}}, gcm<EVP_aes_128_gcm>},
    {{"aes-192-gcm", 24, {}}, gcm<EVP_aes_192_gcm>},
    {{"aes-256-gcm", 32, {}}, gcm<EVP_aes_256_gcm>},
    {{"sm4", 16, {}}, block<EVP_sm4_cfb128, EVP_sm4_ecb>},
    {{"3des", 24, kOld}, old<TripleDesKey>},
    {{"blowfish", 32, kOld}, old<BlowfishKey>},
    {{"cast5", 16, kOld}, old<CastKey>},
    {{"xor", 32, kNoSecrecy}, xor_of},
    {{"none", 0, kNothing}, none_of},
};
constexpr std::string_view kNames =
    "aes-128, aes-192, aes-256, aes-128-gcm, aes-192-gcm, aes-256-gcm, sm4, 3des, blowfish, cast5, xor, none";

Result<const Entry*> find_entry(std::string_view name) {
  for (const Entry& entry : kEntries)
    if (entry.facts.name == name) return &entry;
  for (const std::string_view known : {"twofish", "tea", "xtea", "salsa20"})
    if (name == known)
      return fail(ErrorCode::unsupported,
                  "kcp: crypt=" + std::string(name) +
                      " exists in kcp-go, but in no library of ours; choose on both ends one of " +
                      std::string(kNames));
  return fail(ErrorCode::not_found,
              "kcp: crypt=" + escape(name, 40) + " is no cipher of kcp-go; choose one of " + std::string(kNames));
}

}  // namespace

// A block cipher with a key of our own over a counter: never twice the same, not to be told from random, and
// recognisable to us. Twelve bytes need a Feistel network of four rounds.
class PacketCipher::Nonces {
 public:
  explicit Nonces(const Seed& seed)
      : encrypt_(make_context(EVP_aes_128_ecb(), raw(seed.data()), nullptr, true)),
        decrypt_(make_context(EVP_aes_128_ecb(), raw(seed.data()), nullptr, false)),
        counter_(load_le<std::uint64_t>(seed.data() + 16)),
        mark_(load_le<std::uint64_t>(seed.data() + 24)) {}

  void next(MutableBytes nonce) {
    ++counter_;
    unsigned char block[16];
    std::memcpy(block, &counter_, 8);
    std::memcpy(block + 8, &mark_, 8);
    if (nonce.size() == 16) {
      update(encrypt_.get(), raw(nonce.data()), block, 16);
      return;
    }
    for (unsigned char round = 0; round < 4; ++round) feistel(block, round, round % 2 == 0);
    std::memcpy(nonce.data(), block, 12);
  }
  bool is_ours(Bytes nonce) {
    unsigned char block[16];
    if (nonce.size() == 16) {
      update(decrypt_.get(), block, raw(nonce.data()), 16);
      return std::memcmp(block + 8, &mark_, 8) == 0;
    }
    std::memcpy(block, nonce.data(), 12);
    for (unsigned char round = 4; round-- > 0;) feistel(block, round, round % 2 == 0);
    return std::memcmp(block + 8, &mark_, 4) == 0;
  }

 private:
  // One half of the twelve bytes is changed by a function of the other.
  void feistel(unsigned char* block, unsigned char round, bool left) {
    unsigned char in[16]{}, out[16];
    std::memcpy(in, block + (left ? 6 : 0), 6);
    in[15] = static_cast<unsigned char>(round + 1);
    update(encrypt_.get(), out, in, 16);
    for (int i = 0; i < 6; ++i) block[(left ? 0 : 6) + i] ^= out[i];
  }

  Context encrypt_;
  Context decrypt_;
  std::uint64_t counter_;
  std::uint64_t mark_;
};
void PacketCipher::NoncesDeleter::operator()(Nonces* nonces) const noexcept { delete nonces; }

PacketCipher::PacketCipher(std::size_t head, std::size_t tail, const Seed& seed)
    : head_(head), tail_(tail), nonces_(new Nonces(seed)) {}

void PacketCipher::seal(MutableBytes datagram) {
  std::array<std::byte, 16> nonce;
  const MutableBytes used = MutableBytes(nonce).first(nonce_bytes());
  nonces_->next(used);
  seal_with_nonce(datagram, used);
}

void PacketCipher::seal_with_nonce(MutableBytes datagram, Bytes nonce) {
  WAYPORT_ASSERT(
      nonce.size() == nonce_bytes() && datagram.size() > head_ + tail_ && datagram.size() <= kDatagramBytesMax,
      "a datagram to seal has head, packet and tail");
  std::memcpy(datagram.data(), nonce.data(), nonce.size());
  if (tail_ == 0) {
    const std::uint32_t crc = crc32_gzip_refl(0, raw(datagram.data() + head_), datagram.size() - head_);
    store_le(datagram.data() + 16, crc);
  }
  encrypt(datagram);
}

Opened PacketCipher::open(MutableBytes datagram) {
  if (datagram.size() <= head_ + tail_ || datagram.size() > kDatagramBytesMax)
    return {.status = Opened::Status::too_short};
  if (!decrypt(datagram)) return {.status = Opened::Status::forged};
  const MutableBytes packet = datagram.subspan(head_, datagram.size() - head_ - tail_);
  if (tail_ == 0 &&
      load_le<std::uint32_t>(datagram.data() + 16) != crc32_gzip_refl(0, raw(packet.data()), packet.size()))
    return {.status = Opened::Status::forged};
  const Bytes nonce = datagram.first(nonce_bytes());
  if (nonces_->is_ours(nonce)) return {.status = Opened::Status::reflected};
  return {.status = Opened::Status::ok, .packet = packet, .nonce_id = load_le<std::uint64_t>(nonce.data())};
}

Result<CipherFacts> cipher_facts(std::string_view name) {
  WAYPORT_TRY_ASSIGN(const Entry* entry, find_entry(name));
  return entry->facts;
}

Result<std::unique_ptr<PacketCipher>> make_cipher(std::string_view name, Bytes key, const PacketCipher::Seed& seed) {
  WAYPORT_TRY_ASSIGN(const Entry* entry, find_entry(name));
  if (entry->facts.key_bytes != 0 && key.size() != entry->facts.key_bytes)
    return fail(ErrorCode::invalid_argument, "kcp: crypt=" + std::string(name) + " needs a key of " +
                                                 std::to_string(entry->facts.key_bytes) + " bytes, and it has " +
                                                 std::to_string(key.size()));
  return entry->make(key, seed);
}

std::string derive_key(std::string_view passphrase, std::string_view salt, int rounds, std::size_t size) {
  std::string key(size, '\0');
  WAYPORT_ASSERT(PKCS5_PBKDF2_HMAC_SHA1(passphrase.data(), static_cast<int>(passphrase.size()),
                                        raw(as_bytes(salt).data()), static_cast<int>(salt.size()), rounds,
                                        static_cast<int>(size), reinterpret_cast<unsigned char*>(key.data())) == 1,
                 "PBKDF2");
  return key;
}

}  // namespace wayport::transport::kcp
