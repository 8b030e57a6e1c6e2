#include "wayport/base/secrets.h"

#include <algorithm>

namespace wayport {
namespace {

constexpr std::string_view kSecretKeys[] = {"key=", "password=", "token="};

void blank_parameters(char* text, std::string_view view) noexcept {
  std::size_t at = view.find('?');
  while (at != std::string_view::npos) {
    ++at;  // past '?' or '&'
    const std::string_view rest = view.substr(at);
    const std::size_t next = view.find('&', at);
    for (const std::string_view key : kSecretKeys) {
      if (rest.starts_with(key)) std::fill(text + at + key.size(), text + std::min(next, view.size()), '*');
    }
    at = next;
  }
}

}  // namespace

void blank_secrets(int argc, char** argv) noexcept {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument.contains("://")) blank_parameters(argv[i], argument);
  }
}

}  // namespace wayport
