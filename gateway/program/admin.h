// The admin listener: small pages over HTTP/1.1 for probes and Prometheus, and the client that asks for one.
//
// Not for the public: no authentication, so a listener without a host is on 127.0.0.1. GET and HEAD only, one request
// for a connection, no body. Bounded: connections, bytes of a request (kRequestBytesMax), its time; whoever exceeds one
// is answered 431 or closed, and counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/runtime.h"
#include "wayport/base/time.h"
#include "wayport/transport/inherited.h"
#include "wayport/transport/transports.h"

namespace wayport::gateway {

struct AdminPage {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

struct AdminOptions {
  std::string address;                                 // any transport that listens; ":9100" is 127.0.0.1:9100
  std::size_t connections_max = 64;                    // more are closed at once
  Duration request_timeout = std::chrono::seconds(5);  // from accepting to the answer's last byte
  transport::InheritedSockets* inherited = nullptr;
};

class AdminServer {
 public:
  static constexpr std::size_t kRequestBytesMax = 8192;

  // The page of a path (no query), on the runtime's first loop; must not block. nullopt: 404.
  using Pages = std::function<std::optional<AdminPage>(std::string_view path)>;

  // Not on a loop thread, as all of its calls but those named "loop". Errors of listening name the address.
  static Result<std::unique_ptr<AdminServer>> start(Runtime& runtime, const transport::Transports& transports,
                                                    AdminOptions options, Pages pages);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  std::string address() const;
  // On the loop: for a successor process, as transport::Listener has them.
  std::vector<int> hand_over_listeners();
  void take_back_listeners();
  // Any thread. Accepts no more, if a successor has the sockets.
  void leave_to_successor();

  std::uint64_t requests() const noexcept;
  std::uint64_t refused() const noexcept;    // connections over the bound
  std::uint64_t timed_out() const noexcept;  // requests

 private:
  struct State;
  explicit AdminServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What `url` answers: "http://host:port/path", "https://..." (TLS), or any transport's address ("unix:///run/admin.sock"),
// with `path` if it has none of its own. At most 1 MiB. Not on a loop thread. Errors: of dialing; malformed (no HTTP),
// too_large, timed_out.
Result<AdminPage> admin_get(Runtime& runtime, const transport::Transports& transports, std::string_view url,
                            std::string_view path, Duration timeout);

}  // namespace wayport::gateway
