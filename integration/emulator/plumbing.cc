#include "wayport/integration/emulator/plumbing.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "wayport/integration/emulator/policy_routing.h"

namespace wayport::emulator {
namespace {

// A burst of a fast sender waits in the device until the program reads it.
constexpr std::uint32_t kDeviceQueuePackets = 10'000;

// Into another network namespace, and back at the end.
class Visit {
 public:
  static Result<Visit> to(const std::string& path) {
    Visit visit;
    if (path.empty()) return visit;
    visit.home_ = Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    const Fd there(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!there) return system_error(errno, "open the network namespace " + path);
    if (::setns(there.get(), CLONE_NEWNET) != 0) {
      const int error = errno;
      visit.home_.reset();
      return system_error(error, "enter the network namespace " + path);
    }
    return visit;
  }
  Visit(Visit&&) = default;
  Visit& operator=(Visit&&) = delete;
  ~Visit() {
    if (home_) WAYPORT_ASSERT(::setns(home_.get(), CLONE_NEWNET) == 0, "back to the first network namespace");
  }

 private:
  Visit() = default;
  Fd home_;
};

Result<ino_t> namespace_number(const std::string& path) {
  struct stat found{};
  const std::string& file = path.empty() ? std::string("/proc/self/ns/net") : path;
  if (::stat(file.c_str(), &found) != 0) return system_error(errno, "find the network namespace " + file);
  return found.st_ino;
}

class Joined final : public Plumbing {
 public:
  explicit Joined(const JoinOptions& options) : options_(options) {}

  Result<void> build() {
    const std::array<const JoinSide*, 2> sides = {&options_.left, &options_.right};
    for (std::size_t i = 0; i < 2; ++i) {
      const JoinSide& side = *sides[i];
      WAYPORT_TRY_ASSIGN(const Visit visit, Visit::to(side.network_namespace));
      WAYPORT_TRY(make_device(i, side.device, options_.mtu));
      Tun& tun = devices_[i];
      WAYPORT_TRY(tun.netlink->add_address(tun.index, side.address));
      for (const Prefix& to : side.routes) {
        WAYPORT_TRY(tun.netlink->add_route(kMainTable, {.to = to, .device = tun.index, .gateway = {}, .source = {}}));
      }
      carries_v6_ = carries_v6_ || !side.address.is_v4();
    }
    return {};
  }
  std::string description() const override {
    return "joins " + options_.left.address.to_string() + " and " + options_.right.address.to_string();
  }

 private:
  const JoinOptions options_;
};

}  // namespace

Plumbing::~Plumbing() = default;

Result<std::unique_ptr<Plumbing>> Plumbing::join(const JoinOptions& options) {
  WAYPORT_TRY_ASSIGN(const ino_t left, namespace_number(options.left.network_namespace));
  WAYPORT_TRY_ASSIGN(const ino_t right, namespace_number(options.right.network_namespace));
  if (left == right) {
    return fail(ErrorCode::invalid_argument,
                "left and right are the same network namespace, where the kernel would not use the link; see route and "
                "attach");
  }
  auto joined = std::make_unique<Joined>(options);
  WAYPORT_TRY(joined->build());
  return joined;
}

Result<std::unique_ptr<Plumbing>> Plumbing::route(const RouteOptions& options) { return route_between(options); }
Result<std::unique_ptr<Plumbing>> Plumbing::attach(const AttachOptions& options) { return attach_here(options); }

Result<void> Plumbing::make_device(std::size_t side, const std::string& name, std::uint32_t mtu) {
  Tun& tun = devices_[side];
  tun.fd = Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun.fd) return system_error(errno, "open /dev/net/tun (a container needs --device /dev/net/tun)");
  ifreq request{};
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL);
  name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  if (::ioctl(tun.fd.get(), TUNSETIFF, &request) != 0) {
    return system_error(errno, "make the device " + name + " (it needs CAP_NET_ADMIN in its network namespace)");
  }
  tun.index = static_cast<int>(::if_nametoindex(name.c_str()));
  WAYPORT_TRY_ASSIGN(Netlink netlink, Netlink::open());
  tun.netlink = std::make_unique<Netlink>(std::move(netlink));
  return tun.netlink->set_up(tun.index, mtu, kDeviceQueuePackets);
}

bool Plumbing::carries(Bytes packet) const noexcept {
  if (packet.empty()) return false;
  const unsigned version = static_cast<unsigned>(packet[0]) >> 4;
  return version == 4 || (version == 6 && carries_v6_);
}

std::uint64_t Plumbing::device_dropped(std::size_t side) {
  const Result<std::vector<Device>> all = devices_[side].netlink->devices();
  if (!all) return 0;
  for (const Device& device : *all) {
    if (device.index == devices_[side].index) return device.tx_dropped;
  }
  return 0;
}

}  // namespace wayport::emulator
