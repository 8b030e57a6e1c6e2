// dial_backend(): from backends to a connection, through the allow list (spec/route.md 3.1, 3.3).
//
//     backend --decide()--> name --lookup, once--> addresses --decide_addresses()--> dial the checked addresses
//                   '--> address --------------------------------------------------------^
//
// One attempt is for one backend: its addresses in order, the next one when one has failed or 250 ms later (RFC 8305);
// the first that stands wins. At most 1 + retries attempts, which go around the backends. A backend is tried again only
// after a time-out: one that said no, cannot be reached or has no address says so again, and by the wait a client could
// tell such a refusal from that of the allow list. Each attempt is bounded by attempt_timeout, with the lookup, and all
// of them together by attempt_timeout x (1 + retries), names that turn out to be forbidden included. A backend that the
// allow list refuses is never dialed and costs no attempt. What is dialed is the address that was checked: an answer
// that changes later changes nothing.
//
// On the loop, never from inside the call; destroying the BackendDial cancels. The references outlive it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/backend.h"
#include "wayport/gateway/route/resolver.h"
#include "wayport/transport/resolver.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

// Names to addresses; tests have their own.
class NameLookup {
 public:
  virtual ~NameLookup() = default;
  // As transport::resolve(): on `loop`, never from inside the call. Any loop.
  virtual std::unique_ptr<transport::Lookup> lookup(Loop& loop, const std::string& name, std::uint16_t port,
                                                    transport::OnResolved on_done) = 0;
};

// By DNS and /etc/hosts (transport/resolver.h).
class SystemNameLookup final : public NameLookup {
 public:
  explicit SystemNameLookup(transport::ResolverOptions options = {}) : options_(std::move(options)) {}
  std::unique_ptr<transport::Lookup> lookup(Loop& loop, const std::string& name, std::uint16_t port,
                                            transport::OnResolved on_done) override {
    return transport::resolve(loop, options_, name, port, std::move(on_done));
  }

 private:
  const transport::ResolverOptions options_;
};

struct BackendDialOptions {
  Duration attempt_timeout = std::chrono::seconds(5);    // dial_timeout; over zero
  unsigned retries = 2;                                  // dial_retry: attempts after the first
  Duration retry_wait = std::chrono::milliseconds(100);  // before a backend is tried again
  Duration address_wait = std::chrono::milliseconds(250);
  std::size_t addresses_max = 16;  // of one name, that are dialed; all of them are checked
  BackendTransport transport{};    // of backends that have none of their own
  transport::StreamOptions stream{};
};

struct BackendStream {
  std::unique_ptr<transport::Stream> stream;
  std::string backend{};  // as it was named, for logs
  std::string address{};  // that was dialed, for logs
  std::string rule{};     // of the allow list
  unsigned attempts = 0;
};
// A refusal is of the last attempt; its reason has what came before.
using BackendOutcome = std::expected<BackendStream, Refusal>;
using OnBackend = std::move_only_function<void(BackendOutcome)>;

class BackendDial {
 public:
  virtual ~BackendDial() = default;
};

// REQUIRES: backends is not empty.
std::unique_ptr<BackendDial> dial_backend(Loop& loop, const transport::Transports& transports, NameLookup& names,
                                          std::shared_ptr<const AllowList> allow, std::vector<Backend> backends,
                                          BackendDialOptions options, OnBackend on_done);

}  // namespace wayport::route
