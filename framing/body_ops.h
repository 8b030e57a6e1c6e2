// body_ops<T>(): the facets of a C++ type (body.h), found at compile time. The one header that code with typed bodies
// needs.
//
// FlatBuffer<Root> brings its facet with "wayport/framing/flatbuffer.h". A protobuf message brings its own by shape;
// for its JSON facet the program links //framing:protobuf (the linker asks for protobuf_to_json otherwise).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <variant>
#include <vector>

#include "wayport/framing/body.h"
#include "wayport/framing/json.h"
#include "wayport/framing/protobuf.h"

namespace wayport::framing {

template <class T>
inline constexpr bool kIsNoBody = std::same_as<T, NoBody> || std::same_as<T, std::monostate>;

// google::protobuf::MessageLite and whatever else looks like it.
template <class T>
concept ProtobufLike = requires(const T& message, T& target, void* to, const void* from, int size) {
  { message.ByteSizeLong() } -> std::convertible_to<std::size_t>;
  { message.SerializeToArray(to, size) } -> std::convertible_to<bool>;
  { target.ParseFromArray(from, size) } -> std::convertible_to<bool>;
};

template <class T>
concept TextSource = std::same_as<T, std::string> || std::same_as<T, std::string_view> ||
                     std::same_as<T, std::vector<std::byte>> || std::same_as<T, Bytes>;
template <class T>
concept TextTarget = std::same_as<T, std::string> || std::same_as<T, std::vector<std::byte>>;

// FlatBuffer<Root>.
template <class T>
concept FlatBufferLike = requires(const T& from, T& to, Bytes bytes) {
  { from.bytes() } -> std::same_as<Bytes>;
  { to.assign(bytes) } -> std::same_as<Result<void>>;
};

// What can be an argument, or a result, of a call.
template <class T>
concept SendableBody =
    kIsNoBody<T> || std::same_as<T, RawBody> || TextSource<T> || ProtobufLike<T> || FlatBufferLike<T> || ToJson<T>;
template <class T>
concept ReceivableBody =
    kIsNoBody<T> || std::same_as<T, RawBody> || TextTarget<T> || ProtobufLike<T> || FlatBufferLike<T> || FromJson<T>;

namespace detail {

// The object behind a facet's pointer.
template <class T>
const T& body(const void* object) noexcept {
  return *static_cast<const T*>(object);
}
template <class T>
T& body(void* object) noexcept {
  return *static_cast<T*>(object);
}

template <class T>
Bytes body_text(const T& from) noexcept {
  if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
    return as_bytes(from);
  } else {
    return from;
  }
}
template <class T>
void assign_body_text(T& to, Bytes text) {
  if constexpr (std::same_as<T, std::string>) {
    to.assign(as_text(text));
  } else {
    to.assign(text.begin(), text.end());
  }
}

template <class T>
bool write_protobuf(const T& message, MutableBytes to) {
  if constexpr (requires(std::uint8_t* at) {
                  message.SerializeWithCachedSizesToArray(at);
                  message.IsInitialized();
                }) {
    // The sizes are known from protobuf_size(): no second walk over the message.
    if (!message.IsInitialized()) return false;
    message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(to.data()));
    return true;
  } else {
    return message.SerializeToArray(to.data(), static_cast<int>(to.size()));
  }
}

template <class T>
bool parse_protobuf(T& message, Bytes from) {
  if (from.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return false;
  const int size = static_cast<int>(from.size());
  if constexpr (requires {
                  message.ParsePartialFromArray(from.data(), size);
                  message.IsInitialized();
                }) {
    // Without the line that ParseFromArray prints to stderr when a field is missing: peers would choose how many.
    return message.ParsePartialFromArray(from.data(), size) && message.IsInitialized();
  } else {
    return message.ParseFromArray(from.data(), size);
  }
}

template <class T>
constexpr BodyOps make_body_ops() {
  BodyOps ops;
  ops.type = &typeid(T);
  if constexpr (kIsNoBody<T>) {
    ops.assign_raw = [](void*, std::uint8_t, Bytes) {};
  } else if constexpr (std::same_as<T, RawBody>) {
    ops.assign_raw = [](void* object, std::uint8_t codec_id, Bytes bytes) {
      body<RawBody>(object).codec_id = codec_id;
      body<RawBody>(object).bytes.assign(as_text(bytes));
    };
  }
  if constexpr (TextSource<T>) ops.text = [](const void* object) { return body_text(body<T>(object)); };
  if constexpr (TextTarget<T>) {
    ops.assign_text = [](void* object, Bytes text) {
      assign_body_text(body<T>(object), text);
      return Result<void>();
    };
  }
  if constexpr (ProtobufLike<T>) {
    ops.protobuf_size = [](const void* object) -> std::size_t { return body<T>(object).ByteSizeLong(); };
    ops.protobuf_write = [](const void* object, MutableBytes to) { return write_protobuf(body<T>(object), to); };
    ops.protobuf_parse = [](void* object, Bytes from) { return parse_protobuf(body<T>(object), from); };
  }
  if constexpr (std::derived_from<T, google::protobuf::Message>) {
    ops.to_json = [](const void* object, boost::json::value& to) { return protobuf_to_json(body<T>(object), to); };
    ops.from_json = [](void* object, const boost::json::value& from) {
      return protobuf_from_json(from, body<T>(object));
    };
  } else {
    if constexpr (ToJson<T>) {
      ops.to_json = [](const void* object, boost::json::value& to) { return to_json(body<T>(object), to); };
    }
    if constexpr (FromJson<T>) {
      ops.from_json = [](void* object, const boost::json::value& from) { return from_json(from, body<T>(object)); };
    }
  }
  if constexpr (FlatBufferLike<T>) {
    ops.flatbuffer = [](const void* object) -> Bytes { return body<T>(object).bytes(); };
    ops.assign_flatbuffer = [](void* object, Bytes from) { return body<T>(object).assign(from); };
  }
  return ops;
}

template <class T>
inline constexpr BodyOps kBodyOps = make_body_ops<T>();

}  // namespace detail

// One constant object per type.
template <class T>
const BodyOps& body_ops() noexcept {
  static_assert(SendableBody<T> || ReceivableBody<T>,
                "no codec can carry this type: describe it (BOOST_DESCRIBE_STRUCT), or see wayport/framing/json.h");
  return detail::kBodyOps<T>;
}

}  // namespace wayport::framing
