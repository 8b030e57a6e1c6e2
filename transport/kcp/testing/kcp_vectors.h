// spec/vectors/kcp.json, for tests.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace wayport::transport::kcp::testing {

// Read once per process; a missing or odd file aborts with the reason.
const boost::json::object& kcp_vectors();

// The bytes of a member that holds hex; aborts if it does not.
std::string hex_of(const boost::json::value& value);
inline std::string hex_of(const boost::json::object& object, std::string_view key) {
  return hex_of(object.at(boost::json::string_view(key.data(), key.size())));
}
inline std::string text_of(const boost::json::object& object, std::string_view key) {
  return std::string(object.at(boost::json::string_view(key.data(), key.size())).as_string());
}
template <class T>
T number_of(const boost::json::object& object, std::string_view key) {
  return object.at(boost::json::string_view(key.data(), key.size())).to_number<T>();
}

}  // namespace wayport::transport::kcp::testing
