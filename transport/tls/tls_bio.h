// The ends of OpenSSL's pipe: it reads from a span that is lent for one call, and writes into a chain.
#pragma once

#include <openssl/bio.h>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"

namespace wayport::transport {

struct TlsPipe {
  Bytes input;   // taken from the front
  Chain output;  // appended to
};

// Reading from empty input asks for a retry; writing always succeeds. `pipe` outlives the BIO.
BIO* make_tls_bio(TlsPipe& pipe);

// How many bytes at the front of `bytes` are whole TLS records. OpenSSL is given only those, so that it never buffers a
// part of one. All of them, if they do not look like TLS: it knows best what is wrong with them.
std::size_t whole_tls_records(Bytes bytes) noexcept;

}  // namespace wayport::transport
