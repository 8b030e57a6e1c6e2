#include "wayport/transport/tls/tls_bio.h"

#include <algorithm>
#include <cstring>

#include "wayport/base/result.h"

namespace wayport::transport {
namespace {

constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kFragmentBytesMax = 16 * 1024 + 2048;  // RFC 5246, 6.2.3

TlsPipe& pipe_of(BIO* bio) { return *static_cast<TlsPipe*>(::BIO_get_data(bio)); }

int read_input(BIO* bio, char* to, std::size_t size, std::size_t* taken) {
  Bytes& input = pipe_of(bio).input;
  ::BIO_clear_retry_flags(bio);
  *taken = std::min(size, input.size());
  if (*taken == 0) {
    ::BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(to, input.data(), *taken);
  input = input.subspan(*taken);
  return 1;
}

int write_output(BIO* bio, const char* from, std::size_t size, std::size_t* written) {
  ::BIO_clear_retry_flags(bio);
  pipe_of(bio).output.append(std::string_view(from, size));
  *written = size;
  return 1;
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0; }

int create(BIO* bio) {
  ::BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* method() {
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* const m = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wayport stream");
    WAYPORT_ASSERT(m, "OpenSSL has no memory");
    ::BIO_meth_set_read_ex(m, read_input);
    ::BIO_meth_set_write_ex(m, write_output);
    ::BIO_meth_set_ctrl(m, control);
    ::BIO_meth_set_create(m, create);
    return m;
  }();
  return made;
}

}  // namespace

BIO* make_tls_bio(TlsPipe& pipe) {
  BIO* const bio = ::BIO_new(method());
  WAYPORT_ASSERT(bio, "OpenSSL has no memory");
  ::BIO_set_data(bio, &pipe);
  return bio;
}

std::size_t whole_tls_records(Bytes bytes) noexcept {
  std::size_t whole = 0;
  while (bytes.size() - whole >= kHeaderBytes) {
    const std::byte* const header = bytes.data() + whole;
    const auto type = static_cast<unsigned>(header[0]);
    const std::size_t fragment = load_be<std::uint16_t>(header + 3);
    if (type < 20 || type > 23 || header[1] != std::byte{3} || fragment > kFragmentBytesMax) return bytes.size();
    if (fragment > bytes.size() - whole - kHeaderBytes) break;
    whole += kHeaderBytes + fragment;
  }
  return whole;
}

}  // namespace wayport::transport
