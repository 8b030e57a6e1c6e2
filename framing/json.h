// C++ values to boost::json::value and back, by the rules of Go's encoding/json, so that peers of both languages agree:
//
//   bool, integers, floats     true, 12, 0.5; range-checked, a fraction does not fit an integer
//   std::string                "text" (std::string_view: to JSON only)
//   std::vector<std::byte>     base64 in a string, as Go's []byte (Bytes: to JSON only)
//   std::vector, deque, list   arrays
//   std::array                 arrays; surplus elements are ignored, missing ones become T{}
//   maps with string keys      objects; entries that are not mentioned stay
//   std::optional, unique_ptr  the value or null
//   enums                      numbers; described ones (BOOST_DESCRIBE_ENUM) names, and numbers when reading
//   described structs          objects (BOOST_DESCRIBE_STRUCT): unknown keys are ignored, missing ones leave their
//   member as
//                              it is, keys match in any letter case; inherited members count
//   boost::json::value         whatever it is
//
// null empties vectors, maps, optionals and pointers, and leaves anything else as it is.
// A type of another shape takes part by a specialization of JsonTraits.
//
// Not thread-safe by itself, but stateless. Errors say where: "value.names[3] must be a string, got 5".
#pragma once

#include <array>
#include <boost/describe/class.hpp>  // for the macros that users need
#include <boost/describe/enum.hpp>
#include <boost/describe/enum_from_string.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/json/value.hpp>
#include <boost/mp11/algorithm.hpp>
#include <charconv>
#include <concepts>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::framing {

// Specialize with either or both of
//     static Result<void> to(const T& from, boost::json::value& to);    // set `to` in place: it may have its own
//     storage static Result<void> from(const boost::json::value& from, T& to);  // never null, unless kTakesNull
// and, if null means something, static constexpr bool kTakesNull = true. Errors: json_mismatch() below.
template <class T>
struct JsonTraits;

template <class T>
concept ToJson = requires(const T& from, boost::json::value& to) {
  { JsonTraits<T>::to(from, to) } -> std::same_as<Result<void>>;
};
template <class T>
concept FromJson = requires(const boost::json::value& from, T& to) {
  { JsonTraits<T>::from(from, to) } -> std::same_as<Result<void>>;
};

template <class T>
Result<void> to_json(const T& from, boost::json::value& to) {
  static_assert(ToJson<T>, "no JSON for this type: describe it (BOOST_DESCRIBE_STRUCT), or specialize JsonTraits");
  return JsonTraits<T>::to(from, to);
}

template <class T>
Result<void> from_json(const boost::json::value& from, T& to) {
  static_assert(FromJson<T>, "no JSON for this type: describe it (BOOST_DESCRIBE_STRUCT), or specialize JsonTraits");
  if (from.is_null()) {
    if constexpr (!requires { JsonTraits<T>::kTakesNull; }) return {};
  }
  return JsonTraits<T>::from(from, to);
}

// " must be a string, got 5": what a conversion returns. Each level around it puts its part of the path in front.
std::unexpected<Error> json_mismatch(std::string_view wanted, const boost::json::value& got);

namespace detail {

// ".name", "[3]" or "[\"key\"]" in front of an error.
std::unexpected<Error> json_within(std::string_view member, Error error);
std::unexpected<Error> json_within(std::size_t index, Error error);
std::unexpected<Error> json_within_key(std::string_view key, Error error);

std::optional<std::int64_t> json_signed(const boost::json::value& value) noexcept;
std::optional<std::uint64_t> json_unsigned(const boost::json::value& value) noexcept;
std::optional<double> json_real(const boost::json::value& value) noexcept;

void json_set_text(std::string_view text, boost::json::value& to);
void json_set_base64(Bytes bytes, boost::json::value& to);
// The double that prints with as few digits as the float does.
double json_double_like(float value) noexcept;
bool json_key_folds(std::string_view member, std::string_view key) noexcept;

template <class T>
concept JsonInteger =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <class T>
concept JsonSequence = requires(T& sequence, typename T::value_type element) {
  sequence.begin() != sequence.end();
  sequence.push_back(std::move(element));
  sequence.clear();
} && !std::same_as<typename T::value_type, char> && !std::same_as<typename T::value_type, std::byte>;

template <class T>
concept JsonMap = requires(T& map) {
  typename T::mapped_type;
  requires std::same_as<typename T::key_type, std::string>;
  map[std::string()];
};

template <class T>
concept JsonDescribed = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;

template <class T>
using JsonMembers = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;

inline std::string_view json_view(boost::json::string_view text) noexcept { return {text.data(), text.size()}; }

}  // namespace detail

template <>
struct JsonTraits<bool> {
  static Result<void> to(const bool& from, boost::json::value& to) {
    to = from;
    return {};
  }
  static Result<void> from(const boost::json::value& from, bool& to) {
    const bool* const value = from.if_bool();
    if (value == nullptr) return json_mismatch("true or false", from);
    to = *value;
    return {};
  }
};

template <detail::JsonInteger T>
struct JsonTraits<T> {
  using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;

  static Result<void> to(const T& from, boost::json::value& to) {
    to = static_cast<Wide>(from);
    return {};
  }
  static Result<void> from(const boost::json::value& from, T& to) {
    std::optional<Wide> value;
    if constexpr (std::is_signed_v<T>) {
      value = detail::json_signed(from);
    } else {
      value = detail::json_unsigned(from);
    }
    if (!value || !std::in_range<T>(*value)) {
      return json_mismatch("a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                               std::to_string(std::numeric_limits<T>::max()),
                           from);
    }
    to = static_cast<T>(*value);
    return {};
  }
};

template <std::floating_point T>
struct JsonTraits<T> {
  static Result<void> to(const T& from, boost::json::value& to) {
    if constexpr (std::same_as<T, float>) {
      to = detail::json_double_like(from);
    } else {
      to = static_cast<double>(from);
    }
    return {};
  }
  static Result<void> from(const boost::json::value& from, T& to) {
    const std::optional<double> value = detail::json_real(from);
    if (!value) return json_mismatch("a number", from);
    if constexpr (std::same_as<T, float>) {
      // As Go: what rounds to a float is one, what would be infinite is out of range.
      if (*value > kFloatEnd || *value < -kFloatEnd) return json_mismatch("a number in the range of a float", from);
    }
    to = static_cast<T>(*value);
    return {};
  }

 private:
  // The last double that rounds to the largest float.
  static constexpr double kFloatEnd = 0x1.fffffefffffffp+127;
};

template <class T>
  requires std::is_enum_v<T>
struct JsonTraits<T> {
  using Number = std::underlying_type_t<T>;
  static constexpr bool kDescribed = boost::describe::has_describe_enumerators<T>::value;

  static Result<void> to(const T& from, boost::json::value& to) {
    if constexpr (kDescribed) {
      if (const char* name = boost::describe::enum_to_string(from, nullptr)) {
        detail::json_set_text(name, to);
        return {};
      }
    }
    return JsonTraits<Number>::to(static_cast<Number>(from), to);
  }
  static Result<void> from(const boost::json::value& from, T& to) {
    if constexpr (kDescribed) {
      if (const boost::json::string* name = from.if_string()) {
        if (boost::describe::enum_from_string(std::string(detail::json_view(*name)).c_str(), to)) return {};
        return json_mismatch("the name of an enumerator", from);
      }
    }
    Number number{};
    WAYPORT_TRY(JsonTraits<Number>::from(from, number));
    to = static_cast<T>(number);
    return {};
  }
};

template <>
struct JsonTraits<std::string> {
  static Result<void> to(const std::string& from, boost::json::value& to) {
    detail::json_set_text(from, to);
    return {};
  }
  static Result<void> from(const boost::json::value& from, std::string& to) {
    const boost::json::string* const text = from.if_string();
    if (text == nullptr) return json_mismatch("a string", from);
    to.assign(text->data(), text->size());
    return {};
  }
};

template <>
struct JsonTraits<std::string_view> {
  static Result<void> to(const std::string_view& from, boost::json::value& to) {
    detail::json_set_text(from, to);
    return {};
  }
};

template <>
struct JsonTraits<std::vector<std::byte>> {
  static constexpr bool kTakesNull = true;
  static Result<void> to(const std::vector<std::byte>& from, boost::json::value& to) {
    detail::json_set_base64(from, to);
    return {};
  }
  static Result<void> from(const boost::json::value& from, std::vector<std::byte>& to);
};

template <>
struct JsonTraits<Bytes> {
  static Result<void> to(const Bytes& from, boost::json::value& to) {
    detail::json_set_base64(from, to);
    return {};
  }
};

template <>
struct JsonTraits<boost::json::value> {
  static constexpr bool kTakesNull = true;
  static Result<void> to(const boost::json::value& from, boost::json::value& to) {
    to = from;
    return {};
  }
  static Result<void> from(const boost::json::value& from, boost::json::value& to) {
    to = from;
    return {};
  }
};

template <>
struct JsonTraits<boost::json::object> {
  static constexpr bool kTakesNull = true;
  static Result<void> to(const boost::json::object& from, boost::json::value& to) {
    to = from;
    return {};
  }
  static Result<void> from(const boost::json::value& from, boost::json::object& to);
};

template <>
struct JsonTraits<boost::json::array> {
  static constexpr bool kTakesNull = true;
  static Result<void> to(const boost::json::array& from, boost::json::value& to) {
    to = from;
    return {};
  }
  static Result<void> from(const boost::json::value& from, boost::json::array& to);
};

// std::optional and std::unique_ptr.
template <class Holder, class T>
struct JsonHolderTraits {
  static constexpr bool kTakesNull = true;
  static Result<void> to(const Holder& from, boost::json::value& to) {
    if (from) return to_json(*from, to);
    to = nullptr;
    return {};
  }
  static Result<void> from(const boost::json::value& from, Holder& to) {
    if (from.is_null()) {
      to.reset();
      return {};
    }
    if (!to) make(to);
    return from_json(from, *to);
  }

 private:
  static void make(std::optional<T>& to) { to.emplace(); }
  static void make(std::unique_ptr<T>& to) { to = std::make_unique<T>(); }
};
template <class T>
struct JsonTraits<std::optional<T>> : JsonHolderTraits<std::optional<T>, T> {};
template <class T>
struct JsonTraits<std::unique_ptr<T>> : JsonHolderTraits<std::unique_ptr<T>, T> {};

template <detail::JsonSequence T>
struct JsonTraits<T> {
  using Element = typename T::value_type;
  static constexpr bool kTakesNull = true;

  static Result<void> to(const T& from, boost::json::value& to) {
    boost::json::array& array = to.emplace_array();
    for (const Element& element : from) {
      auto converted = to_json(element, array.emplace_back(nullptr));
      if (!converted) return detail::json_within(array.size() - 1, std::move(converted.error()));
    }
    return {};
  }
  static Result<void> from(const boost::json::value& from, T& to) {
    to.clear();
    if (from.is_null()) return {};
    const boost::json::array* const array = from.if_array();
    if (array == nullptr) return json_mismatch("an array", from);
    if constexpr (requires { to.reserve(array->size()); }) to.reserve(array->size());
    for (std::size_t i = 0; i < array->size(); ++i) {
      Element element{};
      auto converted = from_json((*array)[i], element);
      if (!converted) return detail::json_within(i, std::move(converted.error()));
      to.push_back(std::move(element));
    }
    return {};
  }
};

template <class T, std::size_t kSize>
struct JsonTraits<std::array<T, kSize>> {
  static Result<void> to(const std::array<T, kSize>& from, boost::json::value& to) {
    boost::json::array& array = to.emplace_array();
    array.reserve(kSize);
    for (const T& element : from) {
      auto converted = to_json(element, array.emplace_back(nullptr));
      if (!converted) return detail::json_within(array.size() - 1, std::move(converted.error()));
    }
    return {};
  }
  static Result<void> from(const boost::json::value& from, std::array<T, kSize>& to) {
    const boost::json::array* const array = from.if_array();
    if (array == nullptr) return json_mismatch("an array", from);
    for (std::size_t i = 0; i < kSize; ++i) {
      if (i >= array->size()) {
        to[i] = T{};
        continue;
      }
      auto converted = from_json((*array)[i], to[i]);
      if (!converted) return detail::json_within(i, std::move(converted.error()));
    }
    return {};
  }
};

template <detail::JsonMap T>
struct JsonTraits<T> {
  static constexpr bool kTakesNull = true;

  static Result<void> to(const T& from, boost::json::value& to) {
    boost::json::object& object = to.emplace_object();
    for (const auto& [key, mapped] : from) {
      auto converted =
          to_json(mapped, object.emplace(boost::json::string_view(key.data(), key.size()), nullptr).first->value());
      if (!converted) return detail::json_within_key(key, std::move(converted.error()));
    }
    return {};
  }
  static Result<void> from(const boost::json::value& from, T& to) {
    if (from.is_null()) {
      to.clear();
      return {};
    }
    const boost::json::object* const object = from.if_object();
    if (object == nullptr) return json_mismatch("an object", from);
    for (const boost::json::key_value_pair& member : *object) {
      const std::string_view key = detail::json_view(member.key());
      typename T::mapped_type mapped{};
      auto converted = from_json(member.value(), mapped);
      if (!converted) return detail::json_within_key(key, std::move(converted.error()));
      to[std::string(key)] = std::move(mapped);
    }
    return {};
  }
};

template <detail::JsonDescribed T>
struct JsonTraits<T> {
  static Result<void> to(const T& from, boost::json::value& to) {
    boost::json::object& object = to.emplace_object();
    object.reserve(boost::mp11::mp_size<detail::JsonMembers<T>>::value);
    Result<void> result;
    boost::mp11::mp_for_each<detail::JsonMembers<T>>([&](auto member) {
      if (!result) return;
      auto converted = to_json(from.*member.pointer, object.emplace(member.name, nullptr).first->value());
      if (!converted) result = detail::json_within(member.name, std::move(converted.error()));
    });
    return result;
  }
  static Result<void> from(const boost::json::value& from, T& to) {
    const boost::json::object* const object = from.if_object();
    if (object == nullptr) return json_mismatch("an object", from);
    for (const boost::json::key_value_pair& member : *object) {
      const std::string_view key = detail::json_view(member.key());
      Result<void> result;
      const auto exactly = [](std::string_view name, std::string_view other) { return name == other; };
      if (!assign(key, exactly, member.value(), to, result)) {
        assign(key, detail::json_key_folds, member.value(), to, result);
      }
      WAYPORT_TRY(std::move(result));
    }
    return {};
  }

 private:
  // True if a member has that name.
  template <class Matches>
  static bool assign(std::string_view key, Matches matches, const boost::json::value& from, T& to,
                     Result<void>& result) {
    bool found = false;
    boost::mp11::mp_for_each<detail::JsonMembers<T>>([&](auto member) {
      if (found || !matches(member.name, key)) return;
      found = true;
      auto converted = from_json(from, to.*member.pointer);
      if (!converted) result = detail::json_within(member.name, std::move(converted.error()));
    });
    return found;
  }
};

}  // namespace wayport::framing
