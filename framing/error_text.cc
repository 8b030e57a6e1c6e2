#include "wayport/framing/error_text.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "wayport/base/bytes.h"

namespace wayport::framing {

std::string type_name(const std::type_info* type) {
  if (type == nullptr) return "no type";
  int status = 0;
  struct Free {
    void operator()(char* text) const noexcept { std::free(text); }
  };
  const std::unique_ptr<char, Free> demangled(abi::__cxa_demangle(type->name(), nullptr, nullptr, &status));
  return demangled ? demangled.get() : type->name();
}

std::string codec_id_text(std::uint8_t id) {
  const char letter = static_cast<char>(id);
  return "0x" + to_hex(as_bytes({&letter, 1})) + " ('" + escape({&letter, 1}) + "')";
}

}  // namespace wayport::framing
