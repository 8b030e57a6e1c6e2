// A running LinkGateway and plain blocking sockets as its clients and servers, who say exactly the bytes they are told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/base/runtime.h"
#include "wayport/base/socket.h"
#include "wayport/framing/link/packet.h"
#include "wayport/gateway/link/link_gateway.h"

namespace wayport::link::testing {

// One physical connection. Waits at most 20 s for anything; then what came so far is returned, and a test fails by it.
class RawEnd {
 public:
  RawEnd() = default;
  // `address`: "tcp://127.0.0.1:port..." or "unix://@name". `receive_bytes` above 0: of the kernel's receive buffer.
  explicit RawEnd(const std::string& address, int receive_bytes = 0);

  // In pieces of at most `step` bytes. False: the other end is gone.
  bool send(std::string_view bytes, std::size_t step = SIZE_MAX);
  // As much as fits the kernel's buffers now.
  std::size_t send_what_fits(std::string_view bytes);
  // Exactly `size` bytes, or fewer if the stream ends before.
  std::string read(std::size_t size);
  // Until the end, or until `enough` bytes have come.
  std::string read_to_end(std::size_t enough = SIZE_MAX);
  // One frame, without what follows.
  std::string read_frame();
  // Nothing has come but the answer to a ping, which is sent now.
  bool quiet();
  // The gateway has closed it, and said nothing more.
  bool closed() { return read_to_end() == "" && ended_; }
  void hang_up() { fd_.reset(); }
  void set_timeout(Duration limit);
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
  bool ended_ = false;
};

struct LiveSettings {
  LinkGatewayOptions options{};  // addresses that are not given: tcp on loopback
  unsigned loops = 1;
};

class LiveGateway {
 public:
  explicit LiveGateway(LiveSettings settings = {});
  ~LiveGateway();

  RawEnd client(int receive_bytes = 0) const { return RawEnd(gateway->client_addresses().at(0), receive_bytes); }
  // Not authenticated.
  RawEnd bare_server(int receive_bytes = 0) const { return RawEnd(gateway->server_addresses().at(0), receive_bytes); }
  // Authenticated, and known on all loops.
  RawEnd server(std::uint32_t id, int receive_bytes = 0);
  // What loops had been told before this call, they have read.
  void settle();

  std::uint64_t sum(Counter SwitchCounters::* counter) const;
  std::int64_t sum(Gauge SwitchCounters::* gauge) const;
  // Waits until it holds, as long as RawEnd does.
  template <class F>
  bool becomes(F&& holds) {
    for (int i = 0; i < 20'000; ++i) {
      if (holds()) return true;
      settle();
      pause();
    }
    return holds();
  }

  MemoryLog log;
  std::string key;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<LinkGateway> gateway;

 private:
  static void pause();
};

}  // namespace wayport::link::testing
