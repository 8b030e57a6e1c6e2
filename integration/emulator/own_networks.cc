#include "wayport/integration/emulator/own_networks.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace wayport::emulator::testing {
namespace {

constexpr std::uint32_t kQueuePackets = 1000;

bool write_file(const char* path, const std::string& text) {
  const Fd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool leave() {
  if (::unshare(CLONE_NEWNET) == 0) return true;
  const std::string user = "0 " + std::to_string(::getuid()) + " 1";
  const std::string group = "0 " + std::to_string(::getgid()) + " 1";
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_file("/proc/self/uid_map", user) &&
         write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/gid_map", group);
}

template <class T>
T must(Result<T> made) {
  WAYPORT_ASSERT(made.has_value(), made.error().to_string().c_str());
  return *std::move(made);
}
void must(const Result<void>& done) { WAYPORT_ASSERT(done.has_value(), done.error().to_string().c_str()); }

int index_of(Netlink& netlink, const std::string& name) {
  for (const Device& device : must(netlink.devices())) {
    if (device.name == name) return device.index;
  }
  WAYPORT_ASSERT(false, "a device of that name");
  return 0;
}

Fd present() { return Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)); }

}  // namespace

bool enter_own_networks() {
  static const bool left = leave() && Fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  return left;
}

Machine::Machine() {
  const Fd home = present();
  WAYPORT_ASSERT(::unshare(CLONE_NEWNET) == 0, "a network namespace");
  namespace_ = present();
  WAYPORT_ASSERT(::setns(home.get(), CLONE_NEWNET) == 0, "back");
  Netlink here = netlink();
  must(here.set_up(index_of(here, "lo"), 65536, kQueuePackets));
}

void Machine::in(const std::function<void()>& work) const {
  const Fd home = present();
  WAYPORT_ASSERT(::setns(namespace_.get(), CLONE_NEWNET) == 0, "into the namespace");
  work();
  WAYPORT_ASSERT(::setns(home.get(), CLONE_NEWNET) == 0, "back");
}

std::string Machine::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(namespace_.get());
}

Netlink Machine::netlink() const {
  Result<Netlink> made = fail(ErrorCode::internal, "not opened");
  in([&made] { made = Netlink::open(); });
  return must(std::move(made));
}

void Machine::add_address(const std::string& device, const std::string& address) const {
  Netlink here = netlink();
  must(here.add_address(index_of(here, device), must(parse_prefix(address))));
}

void Machine::remove_device(const std::string& device) const {
  Netlink here = netlink();
  must(here.remove_device(index_of(here, device)));
}

void Machine::connect(const std::string& device, const std::string& address, const Machine& other,
                      const std::string& other_device, const std::string& other_address) const {
  Netlink here = netlink();
  must(here.add_veth(device, other_device, other.namespace_.get()));
  Netlink there = other.netlink();
  must(here.set_up(index_of(here, device), 1500, kQueuePackets));
  must(there.set_up(index_of(there, other_device), 1500, kQueuePackets));
  add_address(device, address);
  other.add_address(other_device, other_address);
}

void Machine::add_route(const std::string& network, const std::string& gateway) const {
  Netlink here = netlink();
  must(here.add_route(
      254,
      {.to = must(parse_prefix(network)), .device = 0, .gateway = must(parse_prefix(gateway)).address, .source = {}}));
}

Fd Machine::udp(const std::string& address, std::uint16_t port) const {
  Fd fd;
  in([&] {
    fd = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_storage name{};
    const socklen_t size = must(SocketAddress::from_ip(address, port)).store(name);
    WAYPORT_ASSERT(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0, "bind a UDP socket");
    // Bursts of a test wait here until it looks.
    const int bytes = 4 << 20;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  });
  return fd;
}

}  // namespace wayport::emulator::testing
