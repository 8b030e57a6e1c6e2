// AdmissionGate: Admission for the loops of one gateway, with places that give themselves back.
//
//   Result<AdmissionPlace> place = gate->enter(incoming->peer().remote);
//   if (!place) return incoming->reject(place.error());
//   ...
//   place->handshake_done();   // the relay begins
//
// Any thread; one lock, taken for a few dozen nanoseconds three times in a connection's life. Places keep the gate.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "wayport/base/socket.h"
#include "wayport/gateway/route/admission.h"
#include "wayport/gateway/route/own_addresses.h"

namespace wayport::route {

class AdmissionGate;

class AdmissionPlace {
 public:
  AdmissionPlace() = default;  // no place
  AdmissionPlace(AdmissionPlace&&) noexcept = default;
  AdmissionPlace& operator=(AdmissionPlace&& other) noexcept {
    if (this != &other) {
      leave();
      gate_ = std::move(other.gate_);
      source_ = other.source_;
      in_handshake_ = other.in_handshake_;
    }
    return *this;
  }
  ~AdmissionPlace() { leave(); }

  explicit operator bool() const noexcept { return gate_ != nullptr; }
  void handshake_done();  // idempotent
  void leave();           // idempotent

 private:
  friend class AdmissionGate;
  AdmissionPlace(std::shared_ptr<AdmissionGate> gate, std::optional<IpAddress> source)
      : gate_(std::move(gate)), source_(source) {}

  std::shared_ptr<AdmissionGate> gate_;
  std::optional<IpAddress> source_;
  bool in_handshake_ = true;
};

class AdmissionGate : public std::enable_shared_from_this<AdmissionGate> {
 public:
  // REQUIRES: limits.validate(). `seed`: random and secret. Held by shared_ptr.
  AdmissionGate(AdmissionLimits limits, std::uint64_t seed) : admission_(limits, seed) {}

  // overloaded: over a limit.
  Result<AdmissionPlace> enter(const SocketAddress& peer) {
    const std::optional<IpAddress> source = ip_of(peer);
    const std::lock_guard lock(mutex_);
    WAYPORT_TRY(admission_.enter(source));
    return AdmissionPlace(shared_from_this(), source);
  }
  // As Admission's.
  void set_limits(const AdmissionLimits& limits) {
    const std::lock_guard lock(mutex_);
    admission_.set_limits(limits);
  }
  const AdmissionCounters& counters() const noexcept { return admission_.counters(); }  // any thread

 private:
  friend class AdmissionPlace;
  std::mutex mutex_;
  Admission admission_;
};

inline void AdmissionPlace::handshake_done() {
  if (!gate_ || !in_handshake_) return;
  in_handshake_ = false;
  const std::lock_guard lock(gate_->mutex_);
  gate_->admission_.handshake_done(source_);
}

inline void AdmissionPlace::leave() {
  const std::shared_ptr<AdmissionGate> gate = std::exchange(gate_, nullptr);
  if (!gate) return;
  const std::lock_guard lock(gate->mutex_);
  gate->admission_.leave(source_, in_handshake_);
}

}  // namespace wayport::route
