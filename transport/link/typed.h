// Values of a Codec as messages: one value is one frame, in the codec's encoding and nothing around it.
//
//   send_value(connection, codec, Score{7});
//   Result<Score> score = decode_message<Score>(codec, message);     // in on_message()
#pragma once

#include <utility>

#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec.h"
#include "wayport/transport/link/endpoint.h"

namespace wayport::link {

// Errors: the codec's (nothing was sent), and send()'s.
template <framing::SendableBody T>
Result<Pressure> send_value(VirtualConnection& to, const framing::Codec& codec, const T& value) {
  Chain message;
  WAYPORT_TRY(codec.encode({&framing::body_ops<T>(), &value}, message));
  return to.send(std::move(message));
}

// An empty message is a T{}, as an empty body is. Errors: the codec's; the connection is not closed for them.
template <framing::ReceivableBody T>
Result<T> decode_message(const framing::Codec& codec, Bytes message) {
  T value{};
  if (!message.empty()) WAYPORT_TRY(codec.decode(message, {&framing::body_ops<T>(), &value}));
  return value;
}

}  // namespace wayport::link
