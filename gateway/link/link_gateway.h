// LinkGateway: the link gateway (spec/link.md) over a Runtime: one Switch per loop, and connections of any transport.
//
//   wayport::Runtime runtime;
//   wayport::link::LinkGateway gateway(runtime, {.listen_clients = {"tcp://:4900"}, .listen_servers = {"tcp://:4901"},
//                                                .key = "secret"});
//   if (auto started = gateway.start(); !started) ...
//
//     client --Stream--> Link --Frame--> Switch --Frame--> Link --Stream--> server      the same loop
//                                          |
//                                          '--MailBatch--> Mailbox --> the other loop's Switch
//
// Accepted connections are handed to the runtime's loops in turn, and live there. A frame is cut from the read buffer in
// place and copied once, into its receiver's output, or not at all if it is large; nothing is encoded again. What a turn
// produced leaves at its end: one write per receiver, one batch per other loop. An idle connection owns no buffer.
//
// Any thread, except start(), which comes first. The Runtime, and transports given in the options, outlive it. What is
// bounded, and by what: SwitchOptions; handshakes of transports (TLS, snet): ListenOptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/counters.h"
#include "wayport/base/result.h"
#include "wayport/base/runtime.h"
#include "wayport/base/time.h"
#include "wayport/gateway/link/counters.h"
#include "wayport/gateway/link/options.h"
#include "wayport/transport/transports.h"

namespace wayport::link {

struct LinkGatewayOptions {
  // Addresses of either side, any transport that listens ("tcp://:0", "snet+tcp://...", "tls://..."); port 0 takes any.
  std::vector<std::string> listen_clients{};
  std::vector<std::string> listen_servers{};
  // What servers must know [ServerAuthKey]. Hashed as it is, also if it is empty; then everyone knows it, and start()
  // warns if a server address other than loopback or unix listens.
  std::string key{};
  SwitchOptions switching{};
  // Of both sides. `loops`, `log` and `counters` are filled in if they are empty. A stream's own bound
  // (stream.queue_bytes_max) is raised to what the switch may queue there, which is the bound that counts.
  transport::ListenOptions listen_options{};
  // How long a close waits for virtual connections to end by themselves, after it stopped accepting and refuses dials.
  // 0: not at all, as the original. At most one day.
  Duration drain = Duration::zero();
  // nullptr: what this build has (default_transports()).
  const transport::Transports* transports = nullptr;

  // Errors (`invalid_argument`) name the option, its value and what it may be. start() calls it.
  Result<void> validate() const;
};

// What the driver of one loop counts, beside its switch.
struct LinkDriverCounters {
  Counter accepted_clients;
  Counter accepted_servers;
  Counter bytes_from_clients;
  Counter bytes_from_servers;
  Counter bytes_copied;  // frames that were copied on their way to a receiver's output
  Counter bytes_moved;   // large frames that were not
  Counter mail_batches;  // sent to other loops
  Counter mail_waits;    // a batch had to wait, because the other loop did not keep up
};

// What operators may look at.
enum class LinkDump : std::uint8_t {
  sessions,  // physical connections: side, id, peer, virtual connections, bytes unsent, idle time, state
  virtuals,  // virtual connections: id, client, server, loops
  queues,    // the connections with unsent bytes, most first
};
std::string_view to_string(LinkDump what) noexcept;

class LinkGateway {
 public:
  // Lines of each loop in a dump, which is written in one turn; how many are left out is said at the end.
  static constexpr std::size_t kDumpLinesMax = 10'000;

  explicit LinkGateway(Runtime& runtime, LinkGatewayOptions options = {});
  // Closes all at once. Not on a loop thread (unless the caller turns the loops itself). close first to drain.
  ~LinkGateway();
  LinkGateway(const LinkGateway&) = delete;
  LinkGateway& operator=(const LinkGateway&) = delete;

  // Binds every address and begins to accept. All or nothing: the error names the option or the address. Once.
  Result<void> start();
  // What is listened on, with the ports that were bound; in the order of the options.
  std::vector<std::string> client_addresses() const;
  std::vector<std::string> server_addresses() const;

  // --- end ---

  // Stops accepting (nobody who is connected already is lost: transport::Listener::finish), refuses dials, waits for
  // virtual connections to end, at most LinkGatewayOptions::drain, then closes every connection. `done` runs once, on
  // the runtime's first loop. A second close shares the end of the first.
  void close_async(std::move_only_function<void()> done);
  // Not on a loop thread.
  void close_blocking();
  // Ends what a close waits for, or closes without waiting.
  void abort();
  // From the first close on.
  bool closing() const noexcept;

  // The listening sockets, for a successor process (base/restart.h). They stay this gateway's; from now on a close leaves
  // whoever waits in their queues, and the files of unix sockets, to the successor.
  std::vector<int> hand_over_listeners();
  // There will be no successor: a close is as if hand_over_listeners() had not been called.
  void take_back_listeners();

  // --- looking ---

  std::size_t loop_count() const noexcept;
  // Of one loop of the runtime; sum them up. REQUIRES: start() was successful.
  const SwitchCounters& counters(std::size_t loop) const;
  const LinkDriverCounters& driver_counters(std::size_t loop) const;
  // Of all listeners, unless LinkGatewayOptions::listen_options has counters of its own.
  const transport::ListenerCounters& listener_counters() const noexcept;
  // Physical connections and handshakes of all loops, and virtual connections.
  std::size_t connection_count() const noexcept;
  std::size_t virtual_count() const noexcept;

  // Text for people, one line for each, as "client=17 loop=0 peer=tcp://10.0.0.9:51822 virtuals=2 unsent=0 idle=3.2s".
  // Each loop writes its part in a turn of its own. `done` runs on the runtime's first loop.
  void dump_async(LinkDump what, std::move_only_function<void(std::string)> done) const;
  // Not on a loop thread.
  std::string dump(LinkDump what) const;

  Runtime& runtime() noexcept;
  const LinkGatewayOptions& options() const noexcept;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport::link
