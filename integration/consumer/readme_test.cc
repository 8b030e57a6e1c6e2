// usage: readme_test README.md readme_example.cc
//
// What README.md shows as its example is what is compiled and run here.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

namespace {

std::string read(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string readme = read(argv[1]);
  const std::string source = read(argv[2]);
  const std::string begin = "// readme:begin\n";
  const std::size_t from = source.find(begin);
  const std::size_t to = source.find("// readme:end\n");
  if (from == std::string::npos || to == std::string::npos || readme.empty()) {
    std::cerr << "no marks in " << argv[2] << ", or no " << argv[1] << "\n";
    return 1;
  }
  const std::string block = "```cpp\n" + source.substr(from + begin.size(), to - from - begin.size()) + "```\n";
  if (readme.find(block) != std::string::npos) return 0;
  std::cerr << "README.md does not show what integration/consumer/readme_example.cc runs; it must contain:\n\n"
            << block;
  return 1;
}
