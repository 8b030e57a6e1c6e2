// Route names as the original derives them (spec/teleport 7).
#pragma once

#include <string>
#include <string_view>

namespace wayport::rpc {

// An underscore before every ASCII capital except at the start or after leading underscores; then all is lower-cased.
// "AaBb" -> "aa_bb", "HTTPServer" -> "h_t_t_p_server", "User_Name" -> "user__name", "_Xx" -> "_xx". Bytes above 0x7f
// stay.
std::string snake_case(std::string_view name);

// "pkg.Type" -> "Type": only the last element of a qualified name counts. Also takes C++ names ("ns::Type").
std::string_view last_element(std::string_view type_name);

// Joins and cleans: slashes collapsed, "." and ".." resolved, no trailing slash, one leading slash. Letter case stays.
std::string join_path(std::string_view prefix, std::string_view name);

}  // namespace wayport::rpc
