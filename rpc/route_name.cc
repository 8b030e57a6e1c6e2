#include "wayport/rpc/route_name.h"

#include <vector>

namespace wayport::rpc {

std::string snake_case(std::string_view name) {
  std::string out;
  out.reserve(name.size() + 8);
  bool leading = true;  // only underscores so far
  for (const char c : name) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && !leading) out.push_back('_');
    out.push_back(capital ? static_cast<char>(c - 'A' + 'a') : c);
    if (c != '_') leading = false;
  }
  return out;
}

std::string_view last_element(std::string_view type_name) {
  const std::size_t cut = type_name.find_last_of(".:");
  return cut == std::string_view::npos ? type_name : type_name.substr(cut + 1);
}

std::string join_path(std::string_view prefix, std::string_view name) {
  std::vector<std::string_view> elements;
  for (std::string_view part : {prefix, name}) {
    while (!part.empty()) {
      const std::size_t slash = part.find('/');
      const std::string_view element = part.substr(0, slash);
      part.remove_prefix(slash == std::string_view::npos ? part.size() : slash + 1);
      if (element.empty() || element == ".") continue;
      if (element != "..") {
        elements.push_back(element);
      } else if (!elements.empty()) {
        elements.pop_back();
      }
    }
  }
  std::string out;
  for (const std::string_view element : elements) out.append("/").append(element);
  return out.empty() ? "/" : out;
}

}  // namespace wayport::rpc
