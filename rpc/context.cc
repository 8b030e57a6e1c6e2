#include "wayport/rpc/context.h"

#include <utility>

#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {
namespace {

// Every call that reaches a typed handler belongs to a driven session.
SessionDriver& driver_of(const Call& call) { return static_cast<SessionDriver&>(call.session().host()); }

}  // namespace

std::string_view Context::body_codec_name() const {
  const framing::Codec* codec = driver_of(call_).codecs().find(call_.body_codec());
  return codec ? codec->name() : std::string_view();
}

Session Context::session() const { return Session(driver_of(call_).shared_from_this()); }

std::string Context::ip() const { return driver_of(call_).peer().remote.ip(); }

Result<void> Context::bind_to(const framing::BodyTarget& target) const {
  SessionDriver& driver = driver_of(call_);
  if (driver.loop().in_loop_thread()) {
    // After an await the loop's context has the limits of whichever session was read last.
    framing::ProtocolContext& shared = driver.core().context();
    const framing::ReadLimits current = std::exchange(shared.limits, driver.options().limits);
    Result<void> decoded = framing::decode_body(call_.packet(), shared, target);
    shared.limits = current;
    return decoded;
  }
  // A worker thread must not use the loop's inflater.
  framing::ProtocolContext own{driver.codecs()};
  own.limits = driver.options().limits;
  return framing::decode_body(call_.packet(), own, target);
}

}  // namespace wayport::rpc
