// JSON bodies against Boost.JSON's parser, round trip, and into C++ types.
//
// Both judge every text the same, and read the same value from it (Boost's doubles may be off in the last digits). Where
// Boost refuses what Go reads (lone surrogates, broken UTF-8), it gets the text without these; numbers beyond double are
// infinite for Boost and refused by ours; only Boost's bound on exponents has no counterpart in ours. What ours accepts
// comes back the same from what it writes.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_json.h"
#include "wayport/framing/json_text.h"
#include "wayport/framing/json_value.h"
#include "wayport/fuzz/framing/strict_json.h"

namespace wayport::framing {
namespace fuzzing {

BOOST_DEFINE_ENUM_CLASS(Color, red, green)

struct Everything {
  bool flag = false;
  std::int8_t small = 0;
  std::uint64_t large = 0;
  float single_float = 0;
  double real = 0;
  std::string text{};
  std::vector<std::byte> data{};
  Color color = Color::red;
  std::optional<int> maybe{};
  std::array<std::uint16_t, 2> pair{};
  std::vector<Everything> more{};
  std::map<std::string, std::vector<bool>> by_name{};
};
BOOST_DESCRIBE_STRUCT(Everything, (),
                      (flag, small, large, single_float, real, text, data, color, maybe, pair, more, by_name))

}  // namespace fuzzing

namespace {

namespace json = boost::json;

bool same(const json::value& ours, const json::value& theirs) {
  if (theirs.is_double() && ours.is_double()) {
    const double one = ours.get_double();
    const double two = theirs.get_double();
    // Boost is inexact, most of all near the ends of the range; 0e400 is no number to it.
    return one == two || std::abs(one - two) <= 1e-14 * std::abs(two) + 1e-300 || !std::isfinite(two);
  }
  if (ours == -0.0 && theirs == 0) return true;  // "-0" is an int for Boost
  if (ours.kind() != theirs.kind()) return false;
  if (ours.is_array()) {
    const json::array& one = ours.get_array();
    const json::array& two = theirs.get_array();
    return std::equal(one.begin(), one.end(), two.begin(), two.end(), same);
  }
  if (ours.is_object()) {
    const json::object& one = ours.get_object();
    const json::object& two = theirs.get_object();
    if (one.size() != two.size()) return false;
    for (const json::key_value_pair& member : one) {
      const json::value* other = two.if_contains(member.key());
      if (other == nullptr || !same(member.value(), *other)) return false;
    }
    return true;
  }
  return ours == theirs;
}

// Boost makes one of a number that is too large; Go and we refuse it.
bool has_infinity(const json::value& value) {
  if (value.is_double()) return std::isinf(value.get_double());
  if (value.is_array()) return std::any_of(value.get_array().begin(), value.get_array().end(), has_infinity);
  if (!value.is_object()) return false;
  const json::object& object = value.get_object();
  return std::any_of(object.begin(), object.end(),
                     [](const json::key_value_pair& member) { return has_infinity(member.value()); });
}

json::value read_with_boost(std::string_view text, json::error_code& failed) {
  json::parse_options options;
  options.max_depth = json_text::kNestingMax;
  return json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
}

std::string written(const json::value& value) {
  Chain chain;
  WAYPORT_ASSERT(write_json(value, chain).has_value(), "what was read can be written");
  return chain.to_string();
}

// Into a C++ type, and if it fits, out and in again.
template <class T>
void check_type(Bytes input) {
  const JsonCodec codec;
  T value{};
  if (!codec.decode(input, {&body_ops<T>(), &value})) return;
  Chain once;
  WAYPORT_ASSERT(codec.encode({&body_ops<T>(), &value}, once).has_value(), "what was read can be written");
  const std::string text = once.to_string();
  T again{};
  WAYPORT_ASSERT(codec.decode(as_bytes(text), {&body_ops<T>(), &again}).has_value(), "and read");
  Chain twice;
  WAYPORT_ASSERT(codec.encode({&body_ops<T>(), &again}, twice).has_value(), "and written");
  WAYPORT_ASSERT(twice.to_string() == text, "as the same text");
}

// What has no JSON form is neither filled nor sent.
struct Opaque {};
void check_refused(Bytes input) {
  const BodyOps none{};
  Opaque value;
  const Result<void> filled = JsonCodec().decode(input, {&none, &value});
  WAYPORT_ASSERT(!filled && filled.error().code == ErrorCode::unsupported, "a type without JSON is not filled");
  Chain chain;
  const Result<void> sent = JsonCodec().encode({&none, &value}, chain);
  WAYPORT_ASSERT(!sent && sent.error().code == ErrorCode::unsupported && chain.empty(), "nor sent");
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  const std::string_view input(reinterpret_cast<const char*>(data), size);

  boost::json::value value;
  const auto read = parse_json(input, value);
  const bool ours = read.has_value();
  if (ours) {
    const std::string text = written(value);
    boost::json::value again;
    WAYPORT_ASSERT(parse_json(text, again).has_value(), "we read what we write");
    WAYPORT_ASSERT(written(again) == text, "and it is the same");
  }
  boost::json::error_code failed;
  boost::json::value theirs = read_with_boost(input, failed);
  if (failed) theirs = read_with_boost(fuzzing::strict_json(input), failed);
  if (!failed) {
    // Of two members of one name Boost keeps the last: the number that is too large may be gone.
    WAYPORT_ASSERT(ours || has_infinity(theirs) || read.error().to_string().contains("beyond the range of a double"),
                   "we accept what Boost accepts");
    WAYPORT_ASSERT(!ours || same(value, theirs), "with the same value");
  } else if (failed != boost::json::error::exponent_overflow) {  // of an int, which Boost keeps it in
    WAYPORT_ASSERT(!ours, "we refuse what Boost refuses");
  }

  const wayport::Bytes bytes = wayport::as_bytes(input);
  check_type<fuzzing::Everything>(bytes);
  check_type<std::string>(bytes);
  check_type<std::vector<double>>(bytes);
  check_type<std::map<std::string, std::int64_t>>(bytes);
  check_type<std::vector<std::uint64_t>>(bytes);
  check_type<boost::json::object>(bytes);
  check_type<boost::json::array>(bytes);
  check_refused(bytes);
  return 0;
}
