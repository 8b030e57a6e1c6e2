#include "wayport/transport/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::transport {
namespace {

bool is_localhost(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower == "localhost" || lower.ends_with(".localhost");
}

void start_library() {
  static std::once_flag once;
  std::call_once(once, [] { ::ares_library_init(ARES_LIB_INIT_ALL); });
}

Error lookup_error(int status, const std::string& name) {
  const std::string what = "name " + escape(name, 64) + ": " + ::ares_strerror(status);
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
    case ARES_ENONAME:
      return {ErrorCode::not_found, what, {}};
    case ARES_ETIMEOUT:
      return {ErrorCode::timed_out, what, {}};
    default:
      return {ErrorCode::unreachable, what, {}};
  }
}

class AresLookup final : public Lookup, private Timer, private TurnEnd {
 public:
  AresLookup(Loop& loop, std::string name, std::uint16_t port, OnResolved on_done)
      : loop_(loop), name_(std::move(name)), port_(port), on_done_(std::move(on_done)) {}

  ~AresLookup() override {
    finished_ = true;
    if (channel_) ::ares_destroy(channel_);  // calls back, closes its sockets
  }

  void begin(const ResolverOptions& options) {
    start_library();
    ares_options how{};
    how.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
      static_cast<AresLookup*>(self)->handle_socket(fd, readable != 0, writable != 0);
    };
    how.sock_state_cb_data = this;
    how.timeout = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(options.query_timeout).count());
    how.tries = options.rounds;
    int status = ::ares_init_options(&channel_, &how, ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS) return finish(fail(lookup_error(status, name_)));
    if (!options.servers.empty()) {
      status = ::ares_set_servers_ports_csv(channel_, options.servers.c_str());
      if (status != ARES_SUCCESS) {
        return finish(
            fail(ErrorCode::invalid_argument, "name servers " + options.servers + ": " + ::ares_strerror(status)));
      }
    }
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ::ares_getaddrinfo(
        channel_, name_.c_str(), nullptr, &hints,
        [](void* self, int answer, int, ares_addrinfo* found) {
          static_cast<AresLookup*>(self)->handle_answer(answer, found);
        },
        this);
    arm_timer();
  }

 private:
  struct Watch final : FdEvents {
    Watch(AresLookup& owner, ares_socket_t which) : lookup(owner), fd(which) {}
    void on_fd(std::uint32_t events) override {
      const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
      lookup.process(broken || (events & EPOLLIN) ? fd : ARES_SOCKET_BAD,
                     broken || (events & EPOLLOUT) ? fd : ARES_SOCKET_BAD);  // `this` may be gone
    }
    AresLookup& lookup;
    ares_socket_t fd;
    bool watched = false;
  };

  void handle_socket(ares_socket_t fd, bool readable, bool writable) {
    auto found = std::ranges::find(watches_, fd, [](const auto& watch) { return watch->fd; });
    if (!readable && !writable) {
      if (found == watches_.end()) return;
      // It may be the one whose on_fd() is on the stack: swept later.
      if ((*found)->watched) loop_.unwatch(fd, **found);
      (*found)->fd = ARES_SOCKET_BAD;
      return;
    }
    if (found == watches_.end()) {
      watches_.push_back(std::make_unique<Watch>(*this, fd));
      found = watches_.end() - 1;
    }
    Watch& watch = **found;
    const auto interest = static_cast<Interest>((readable ? 1 : 0) | (writable ? 2 : 0));
    // A failure shows as a time-out of the query.
    const Result<void> done = watch.watched ? loop_.change(fd, interest, watch) : loop_.watch(fd, interest, watch);
    if (done) watch.watched = true;
  }

  void process(ares_socket_t readable, ares_socket_t writable) {
    ::ares_process_fd(channel_, readable, writable);
    std::erase_if(watches_, [](const auto& watch) { return watch->fd == ARES_SOCKET_BAD; });
    if (!finished_) arm_timer();
  }

  void arm_timer() {
    if (finished_) return;
    timeval wait{};
    if (!::ares_timeout(channel_, nullptr, &wait)) return;
    loop_.arm(*this, loop_.now() + std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec));
  }
  void on_timer() override { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }

  void handle_answer(int status, ares_addrinfo* found) {
    std::vector<SocketAddress> addresses;
    if (found) {
      for (const ares_addrinfo_node* node = found->nodes; node; node = node->ai_next) {
        sockaddr_storage address{};
        std::copy_n(reinterpret_cast<const char*>(node->ai_addr),
                    std::min<std::size_t>(node->ai_addrlen, sizeof(address)), reinterpret_cast<char*>(&address));
        if (address.ss_family == AF_INET) reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port_);
        if (address.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port_);
        addresses.push_back(SocketAddress::from(reinterpret_cast<const sockaddr*>(&address), node->ai_addrlen));
      }
      ::ares_freeaddrinfo(found);
    }
    if (finished_) return;
    if (status == ARES_SUCCESS && !addresses.empty()) {
      finish(interleave_families(std::move(addresses)));
    } else {
      finish(fail(lookup_error(status == ARES_SUCCESS ? ARES_ENODATA : status, name_)));
    }
  }

  void finish(Result<std::vector<SocketAddress>> result) {
    finished_ = true;
    result_.emplace(std::move(result));
    loop_.disarm(*this);
    loop_.at_turn_end(*this);
  }
  void on_turn_end() override {
    OnResolved on_done = std::move(on_done_);
    auto result = *std::move(result_);
    on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string name_;
  const std::uint16_t port_;
  OnResolved on_done_;
  ares_channel channel_ = nullptr;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::optional<Result<std::vector<SocketAddress>>> result_;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<Lookup> resolve(Loop& loop, const ResolverOptions& options, const std::string& name, std::uint16_t port,
                                OnResolved on_done) {
  auto lookup = std::make_unique<AresLookup>(loop, name, port, std::move(on_done));
  lookup->begin(options);
  return lookup;
}

std::vector<SocketAddress> resolve_literally(const std::string& name, std::uint16_t port) {
  std::vector<SocketAddress> addresses;
  const auto add = [&](std::string_view ip) {
    if (Result<SocketAddress> address = SocketAddress::from_ip(ip, port)) addresses.push_back(*std::move(address));
  };
  if (is_localhost(name)) {
    add("127.0.0.1");
    add("::1");
  } else {
    add(name);
  }
  return addresses;
}

std::vector<SocketAddress> resolve_from_hosts_file(const std::string& name, std::uint16_t port) {
  start_library();
  std::vector<SocketAddress> addresses;
  ares_channel channel = nullptr;
  if (::ares_init(&channel) != ARES_SUCCESS) return addresses;
  for (const int family : {AF_INET, AF_INET6}) {
    hostent* host = nullptr;
    if (::ares_gethostbyname_file(channel, name.c_str(), family, &host) != ARES_SUCCESS) continue;
    for (char** raw = host->h_addr_list; *raw; ++raw) {
      if (family == AF_INET) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&v4.sin_addr, *raw, sizeof(v4.sin_addr));
        addresses.push_back(SocketAddress::from(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4)));
      } else {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&v6.sin6_addr, *raw, sizeof(v6.sin6_addr));
        addresses.push_back(SocketAddress::from(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6)));
      }
    }
    ::ares_free_hostent(host);
  }
  ::ares_destroy(channel);
  return addresses;
}

std::vector<SocketAddress> interleave_families(std::vector<SocketAddress> addresses) {
  std::vector<SocketAddress> mixed;
  mixed.reserve(addresses.size());
  std::size_t next[2] = {0, 0};  // of the first one's family, of the other
  while (mixed.size() < addresses.size()) {
    for (const bool other : {false, true}) {
      std::size_t& at = next[other ? 1 : 0];
      while (at < addresses.size() && (addresses[at].family() != addresses.front().family()) != other) ++at;
      if (at < addresses.size()) mixed.push_back(addresses[at++]);
    }
  }
  return mixed;
}

}  // namespace wayport::transport
