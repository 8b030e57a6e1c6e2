// Pieces of error texts.
#pragma once

#include <cstdint>
#include <string>
#include <typeinfo>

namespace wayport::framing {

// The C++ name; "no type" for nullptr.
std::string type_name(const std::type_info* type);

// 0x78 ('x')
std::string codec_id_text(std::uint8_t id);

}  // namespace wayport::framing
