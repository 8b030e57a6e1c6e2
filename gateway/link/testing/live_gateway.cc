#include "wayport/gateway/link/testing/live_gateway.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <future>
#include <stdexcept>

#include "wayport/base/bytes.h"
#include "wayport/framing/link/auth.h"
#include "wayport/transport/address.h"

namespace wayport::link::testing {
namespace {

void check(bool good, const char* what) {
  if (!good) throw std::system_error(errno, std::system_category(), what);
}

}  // namespace

RawEnd::RawEnd(const std::string& address_text, int receive_bytes) {
  const transport::Address address = transport::Address::parse(address_text).value();
  const bool is_unix = address.layers().back() == "unix";
  const SocketAddress to = is_unix ? SocketAddress::from_unix(address.path()).value()
                                   : SocketAddress::from_ip(address.host(), address.port()).value();
  fd_ = Fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  check(static_cast<bool>(fd_), "socket");
  if (receive_bytes > 0) ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  const int on = 1;
  if (!is_unix) ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  set_timeout(std::chrono::seconds(20));
  sockaddr_storage raw{};
  const socklen_t size = to.store(raw);
  check(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&raw), size) == 0, "connect");
}

void RawEnd::set_timeout(Duration limit) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(limit).count();
  const timeval time{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

bool RawEnd::send(std::string_view bytes, std::size_t step) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), std::min(bytes.size(), step), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::size_t RawEnd::send_what_fits(std::string_view bytes) {
  const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

std::string RawEnd::read(std::size_t size) {
  std::string all;
  std::string piece(std::min<std::size_t>(size, 1u << 18), '\0');
  while (all.size() < size) {
    const ssize_t got = ::recv(fd_.get(), piece.data(), std::min(piece.size(), size - all.size()), 0);
    ended_ = got == 0 || (got < 0 && errno == ECONNRESET);
    if (got <= 0) break;
    all.append(piece.data(), static_cast<std::size_t>(got));
  }
  return all;
}

std::string RawEnd::read_to_end(std::size_t enough) { return read(enough); }

std::string RawEnd::read_frame() {
  std::string frame = read(kLengthBytes);
  if (frame.size() < kLengthBytes) return frame;
  return frame += read(load_le<std::uint32_t>(as_bytes(frame).data()));
}

bool RawEnd::quiet() {
  const EncodedCommand encoded(Command::ping());
  const std::string ping(as_text(encoded.bytes()));
  return send(ping) && read_frame() == ping;
}

LiveGateway::LiveGateway(LiveSettings settings) : key(settings.options.key) {
  LinkGatewayOptions& options = settings.options;
  if (options.listen_clients.empty()) options.listen_clients = {"tcp://127.0.0.1:0"};
  if (options.listen_servers.empty()) options.listen_servers = {"tcp://127.0.0.1:0"};
  runtime = std::make_unique<Runtime>(RuntimeOptions{.loops = settings.loops, .log = &log});
  gateway = std::make_unique<LinkGateway>(*runtime, std::move(options));
  if (const Result<void> started = gateway->start(); !started) throw std::runtime_error(started.error().to_string());
}

LiveGateway::~LiveGateway() { gateway.reset(); }

RawEnd LiveGateway::server(std::uint32_t id, int receive_bytes) {
  RawEnd end = bare_server(receive_bytes);
  const std::string challenge = end.read(kChallengeBytes);
  Challenge bytes;
  if (challenge.size() != bytes.size()) throw std::runtime_error("no challenge came");
  std::ranges::copy(as_bytes(challenge), bytes.begin());
  end.send(as_text(encode_auth_response(bytes, as_bytes(key), id).value()));
  if (!end.quiet()) throw std::runtime_error("the server was not let in");
  settle();
  return end;
}

void LiveGateway::settle() {
  // Twice: what one loop tells another when it reads its mail.
  for (std::size_t i = 0; i < 2 * runtime->loop_count(); ++i) {
    std::promise<void> done;
    runtime->loop(i % runtime->loop_count()).post([&done] { done.set_value(); });
    done.get_future().wait();
  }
}

void LiveGateway::pause() { ::poll(nullptr, 0, 1); }

std::uint64_t LiveGateway::sum(Counter SwitchCounters::* counter) const {
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < gateway->loop_count(); ++i) all += (gateway->counters(i).*counter).read();
  return all;
}

std::int64_t LiveGateway::sum(Gauge SwitchCounters::* gauge) const {
  std::int64_t all = 0;
  for (std::size_t i = 0; i < gateway->loop_count(); ++i) all += (gateway->counters(i).*gauge).read();
  return all;
}

}  // namespace wayport::link::testing
