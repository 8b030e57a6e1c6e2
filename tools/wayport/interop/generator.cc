#include "wayport/tools/wayport/interop/generator.h"

namespace wayport::tools::interop {

std::string Generator::bytes(std::size_t count) {
  std::string made(count, '\0');
  for (char& c : made) c = static_cast<char>(byte());
  return made;
}

std::string Generator::letters(std::size_t count) {
  std::string made(count, '\0');
  for (char& c : made) c = static_cast<char>('a' + step() % 26);
  return made;
}

}  // namespace wayport::tools::interop
