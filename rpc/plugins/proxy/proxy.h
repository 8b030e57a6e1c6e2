// ReverseProxy: hands pulls and pushes that this peer has no route for on to other peers, undecoded, and their replies
// back.
//
//   auto proxy = rpc::ReverseProxy::make(back, {.backends = {{"tcp://10.0.0.7:9090"}, {"tcp://10.0.0.8:9090"}}});
//   (*proxy)->attach(front.router());          // unknown pulls and pushes; or forward() in routes of your own
//   if (auto started = front.start(); !started) ...
//   if (auto started = back.start(); !started) ...
//   (*proxy)->start();
//
// Uri, header codec, gzip level, status fields and the body with its codec id go on as they came, in both directions,
// errors with bodies included; sequence numbers are each session's own. Compressed bodies stay compressed. Where a hook has
// changed the path (Call::set_path, PathAlias), the new path goes on, escaped, with the query as it came.
//
// Each loop of the runtime has sessions of its own to each backend (SessionPool), so a call never changes its thread;
// balancing and health are per loop, too. `back` dials and its sessions carry what is forwarded; it may be the peer that
// is attached to, but then a backend's own pulls of unknown paths are forwarded, too.
//
// A pull is made again, on another backend if there is one, when it is proven that it was not executed
// (Status::never_executed: it did not leave, or the backend's drain notice said so, spec/teleport 12), and, when the
// options call its path idempotent, also when the backend was lost or did not answer in time.
//
// What the caller sees when no backend gave a reply:
//   503  no backend in rotation within wait_max, or waiting_max calls wait; a backend refused it unexecuted
//   502  the backend was lost before it replied: perhaps executed
//   504  the backend did not reply within call_timeout
//   508  the path leads back to this proxy
// with a text that has the backend's name, never more of what is behind; the log has it. Pushes that cannot go on are
// dropped and counted. A pull that still waits when its session has ended, when its caller has ended the stream, or when its
// route's deadline has answered it, is not forwarded any more.
//
// Loops: a new connection to a backend carries nothing until one pull of /wayport/proxy/loop, with a token of this proxy,
// was answered: a token that comes back means that the backend leads here, directly or through other proxies, and it is
// left out with an error in the log. No answer, and 502, 503 and 504, say nothing: it is asked again after check_interval.
//
// Threads: attach() before the peer starts; forward() in handlers; the rest from any thread, the destructor not on a
// loop's. Front and back run on one Runtime. The proxy goes before `back`; handlers of `front` may outlive it (503).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/counters.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugins/proxy/balance.h"
#include "wayport/rpc/pool/backoff.h"

namespace wayport::rpc {

struct Backend {
  std::string address;
  std::string name{};        // what callers are told, and the hash policy goes by; empty: the address
  std::uint32_t weight = 1;  // 1 to 1000

  friend bool operator==(const Backend&, const Backend&) = default;
};

struct ReverseProxyOptions {
  std::vector<Backend> backends{};  // at most backends_max; may be none at first (set_backends)
  std::size_t backends_max = 1024;
  Balance balance = Balance::least_outstanding;
  // For Balance::hash; null: the source's IP address. On the session's loop, per call; hash_text() makes a number.
  std::function<std::uint64_t(const Call&)> key{};

  std::size_t sessions_per_backend = 1;                // per loop
  DialOptions dial{};                                  // `session_id`, `canceler` and `loop` are not used
  BackoffOptions redial{};                             // between failed dials
  std::size_t calls_max = 4096;                        // outstanding per backend and loop; more wait
  Duration call_timeout = std::chrono::seconds(30);    // of each attempt; more than zero
  Duration wait_max = std::chrono::seconds(5);         // for a backend; zero: not at all
  std::size_t waiting_max = 1024;                      // calls and pushes that wait, per loop
  std::size_t waiting_bytes_max = 16u << 20;           // their bodies and uris, per loop
  unsigned retries_max = 2;                            // 0 to kRetriesMax
  std::function<bool(std::string_view)> idempotent{};  // the path that goes on, percent-decoded; null: none is

  HealthOptions health{};
  // Active checks: a pull of this uri without a body, answered with 200. Empty: none.
  std::string check_uri{};
  Duration check_interval = std::chrono::seconds(5);  // from 10 ms; also of loop checks without an answer
  Duration check_timeout = std::chrono::seconds(2);
  bool loop_check = true;
};

// Of one loop.
struct ReverseProxyCounters {
  Counter pulls;           // taken
  Counter pushes;          // handed on
  Counter replies;         // handed back
  Counter retries;         // made again
  Counter waited;          // found no backend at once
  Counter refused;         // 503: wait_max, waiting_max, waiting_bytes_max, no backends
  Counter abandoned;       // waited until nobody waited for them; not forwarded
  Counter backends_lost;   // 502
  Counter timed_out;       // 504
  Counter pushes_dropped;  // no backend, or its output_bytes_max
  Counter ejections;       // HealthOptions::failures_max
  Counter checks_failed;   // active ones
  Counter loops_found;     // connections that lead back here
};

// Of one backend, over all loops.
struct BackendStatus {
  Backend backend;
  std::uint64_t calls = 0;  // attempts
  std::uint64_t pushes = 0;
  std::uint64_t failures = 0;     // lost or timed out
  std::int64_t outstanding = 0;   // calls without a reply
  std::int64_t loops_usable = 0;  // loops in which it is in rotation
};

class ReverseProxy {
 public:
  static constexpr unsigned kRetriesMax = 7;
  static constexpr std::uint32_t kWeightMax = 1000;
  static constexpr std::string_view kLoopPath = "/wayport/proxy/loop";

  // invalid_argument names the option or the backend.
  static Result<std::unique_ptr<ReverseProxy>> make(Peer& back, ReverseProxyOptions options);
  // Waiting calls end with 503, sessions close gracefully: what is outstanding still gets its reply.
  ~ReverseProxy();
  ReverseProxy(const ReverseProxy&) = delete;
  ReverseProxy& operator=(const ReverseProxy&) = delete;

  // The router's unknown-handlers.
  void attach(Router router);
  // As a handler of your own: `router.on_pull("/a", proxy->handler())`, or on_push.
  std::function<void(Context&)> handler() const;
  // Dialling begins. REQUIRES: `back` is started.
  void start();

  // Those that stay keep their sessions; sessions to those that go close gracefully. Errors as make(); then nothing changes.
  Result<void> set_backends(std::vector<Backend> backends);
  std::vector<BackendStatus> backends() const;
  const ReverseProxyCounters& counters(std::size_t loop_index) const;

 private:
  struct Shared;
  explicit ReverseProxy(std::shared_ptr<Shared> shared);
  std::shared_ptr<Shared> shared_;
};

}  // namespace wayport::rpc
