// Keeps secrets of the command line out of the process list.
#pragma once

#include <string>
#include <string_view>

namespace wayport {

// Overwrites the values of key=, password= and token= in every argument that holds an address, in place.
void blank_secrets(int argc, char** argv) noexcept;

}  // namespace wayport
