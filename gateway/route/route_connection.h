// RouteConnection: one client of a route gateway, from accept to the end of its relay. Internal to gateway/route.
//
//   identify --> resolving --> dialing --> relaying
//       |            |            |
//       '------------+------------'--> waiting --> refused         "error", our end, then a short and bounded drain
//
// A websocket is not upgraded before its backend was dialed: until then it is an Incoming, of which nothing is read, and a
// refusal is an HTTP status. Of others at most kKeptBytesMax and one read are kept for the backend before there is one;
// then reading stops. A client that breaks off cancels its resolution and its dial; one that only ends its side does not:
// it may want the answer.
//
// Refusals whose difference a client must not learn (unauthorized, forbidden, and all that dials come to) come no earlier
// than RouteOptions::refusal_delay and a random part of refusal_delay_spread after the identify, off a timer, and off the
// same lines of code.
//
// On its loop. Owned by its RouteLoop, which is told when it is done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/intrusive_list.h"
#include "wayport/base/loop.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/gateway/route/route_gateway_route.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

class RouteLoop;

class RouteConnection final : private transport::StreamEvents, private Timer, public ListNode<RouteConnection> {
 public:
  static constexpr std::size_t kKeptBytesMax = 64 * 1024;

  RouteConnection(RouteLoop& owner, ServedRoutePtr route, AdmissionPlace place);
  ~RouteConnection();

  void begin(std::unique_ptr<transport::Incoming> incoming);
  // Whatever it is doing; relays send what is queued within `linger`. The owner is told, maybe from inside this call.
  void close(const CloseReason& reason, transport::Linger linger);

  bool relaying() const noexcept { return relay_ != nullptr; }
  // Adds what was carried since the last look to the loop's counters.
  void look();
  std::size_t unsent() const noexcept;
  std::string describe() const;

 private:
  enum class Phase : std::uint8_t { identify, resolving, dialing, relaying, waiting, refused, over };
  static const char* name_of(Phase phase) noexcept;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override {}
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_timer() override;

  std::size_t read_identify(MutableBytes bytes);
  std::size_t keep(Bytes bytes);
  void resolve(std::string_view identify);
  void handle_resolved(ResolveOutcome outcome);
  void handle_dialed(BackendOutcome outcome);
  void join(BackendStream backend);
  Chain preface() const;  // the PROXY header
  void handle_ended(const relay::RelayReport& report);
  void refuse(RouteError code, const std::string& reason);
  void answer_refused();
  void stop_asking();
  void finish();  // `this` goes at turn end

  const transport::PeerInfo& peer() const noexcept;
  Loop& loop() const noexcept;

  RouteLoop& owner_;
  const ServedRoutePtr route_;
  AdmissionPlace place_;
  TimePoint accepted_;  // or when its first handshake began
  TimePoint identified_{};
  std::unique_ptr<transport::Incoming> incoming_;  // a websocket before its upgrade
  std::unique_ptr<transport::Stream> stream_;      // before the relay
  std::unique_ptr<IdentifyReader> reader_;
  std::unique_ptr<Resolution> resolution_;
  std::unique_ptr<BackendDial> dial_;
  std::unique_ptr<relay::Relay> relay_;
  Chain kept_;               // for the backend
  std::size_t dropped_ = 0;  // bytes of a client that is refused
  std::string backend_;      // and where it was dialed, for logs
  std::vector<std::pair<std::string, std::string>> claims_;
  std::array<std::uint64_t, 2> looked_{};  // bytes from client and backend that are counted
  RouteError refusal_ = RouteError::internal;
  Phase phase_ = Phase::identify;
  bool reading_stopped_ = false;
  bool looked_splicing_ = false;
};

}  // namespace wayport::route
