// A typed value seen without its type: how codecs get at what an application sends and receives.
//
// A type takes part by facets: bytes as they are (text), a JSON value, a protobuf-style message, a verified flatbuffer.
// A codec uses the facet it needs and refuses (`unsupported`, naming the type) when it is not there. body_ops<T>() of
// "wayport/framing/body_ops.h" finds them:
//   text       std::string, std::string_view (sending only), std::vector<std::byte>, Bytes (sending only)
//   protobuf   anything with ByteSizeLong, SerializeToArray and ParseFromArray; no protobuf header is needed here
//   json       what "wayport/framing/json.h" can convert: numbers, bool, strings, containers, std::optional, described
//              structs, boost::json::value; also protobuf messages (link //framing:protobuf)
//   flatbuffer FlatBuffer<Root> of "wayport/framing/flatbuffer.h"
//   raw        RawBody, for any codec id
// NoBody and std::monostate have none: nothing is sent, and what arrives is dropped.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <typeinfo>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::framing {

// Facets of one type; a null member is an absent facet. One constant object per type.
struct BodyOps {
  const std::type_info* type = nullptr;

  Bytes (*text)(const void* object) = nullptr;
  Result<void> (*assign_text)(void* object, Bytes text) = nullptr;

  std::size_t (*protobuf_size)(const void* object) = nullptr;             // must come right before write
  bool (*protobuf_write)(const void* object, MutableBytes to) = nullptr;  // `to` has exactly that size
  bool (*protobuf_parse)(void* object, Bytes from) = nullptr;

  Result<void> (*to_json)(const void* object, boost::json::value& to) = nullptr;
  // Go's rules: unknown keys ignored, missing ones keep their value, keys in any letter case; null empties containers
  // and optionals and leaves anything else as it is.
  Result<void> (*from_json)(void* object, const boost::json::value& from) = nullptr;

  Bytes (*flatbuffer)(const void* object) = nullptr;
  Result<void> (*assign_flatbuffer)(void* object, Bytes from) = nullptr;  // verifies first

  // Takes a body with any codec id, as it was on the wire.
  void (*assign_raw)(void* object, std::uint8_t codec_id, Bytes body) = nullptr;
};

// A value to send. The object outlives the view.
struct BodyView {
  const BodyOps* ops = nullptr;
  const void* object = nullptr;
};
// Where a received body goes. Without `ops` it is dropped undecoded.
struct BodyTarget {
  const BodyOps* ops = nullptr;
  void* object = nullptr;
};

// No body at all: as a result or argument type.
struct NoBody {
  friend bool operator==(const NoBody&, const NoBody&) = default;
};

// Encoded bytes that the application made or wants to see itself.
//
// To send: `codec_id` goes in front of `bytes` (OutgoingBody::Form::encoded, gzip applies); with id 0 the bytes go out
// as they are and the first one acts as codec id (Form::verbatim). Received: the id, and what followed it on the wire,
// which is still compressed if the header says so: a byte slice of a Go peer is never compressed, whatever its header
// says (spec/teleport 5), so only the application knows.
struct RawBody {
  std::uint8_t codec_id = 0;
  std::string bytes{};

  friend bool operator==(const RawBody&, const RawBody&) = default;
};

}  // namespace wayport::framing
