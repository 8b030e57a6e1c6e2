// Puts values in place of each "{}" of a pattern; "{{" and "}}" are braces. For texts of requests and errors.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace wayport::rpc::etcd {

inline std::string fill_texts(std::string_view pattern, std::initializer_list<std::string> values) {
  std::string to;
  auto value = values.begin();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view two = pattern.substr(i, 2);
    if (two == "{}") {
      if (value != values.end()) to += *value++;
      ++i;
    } else {
      to += pattern[i];
      if (two == "{{" || two == "}}") ++i;
    }
  }
  return to;
}

inline std::string fill_text(std::string_view text) { return std::string(text); }
template <std::integral T>
std::string fill_text(T number) {
  return std::to_string(number);
}

template <class... T>
std::string fill(std::string_view pattern, const T&... values) {
  return fill_texts(pattern, {fill_text(values)...});
}

}  // namespace wayport::rpc::etcd
