// Socket calls that tcp and unix share.
#pragma once

#include <sys/socket.h>

#include <initializer_list>
#include <string_view>

#include "wayport/base/socket.h"

namespace wayport::transport {

// Non-blocking, close-on-exec stream socket. `overloaded` when descriptors have run out.
Result<Fd> open_stream_socket(int family);
Result<void> set_option(int fd, int level, int option, int value, std::string_view name);

// As the kernel gave it, but IPv4 that arrived on a dual-stack socket is plain IPv4.
SocketAddress kernel_address(const sockaddr_storage& address, socklen_t size);
SocketAddress own_address(int fd);  // empty if the kernel has none

// Checks that `fd` is a listening stream socket of one of `families`, and makes it non-blocking and close-on-exec. It
// belongs to the result; on failure it stays the caller's.
Result<Fd> take_listening_socket(int fd, std::initializer_list<int> families);

// How errno of connect() reads to the one who dials: refused, unreachable, timed_out, overloaded or io.
Error connect_error(int errno_value, std::string_view what);

}  // namespace wayport::transport
