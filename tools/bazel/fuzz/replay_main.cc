// Feeds each file named on the command line to the fuzz function: the main() of every *_regression test.
// Under --config=fuzz the engine's own initialiser is absent here too, so that both see the same function.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" [[gnu::weak]] int LLVMFuzzerInitialize(int* argc, char*** argv);

int main(int argc, char** argv) {
  if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
  int replayed = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).ends_with(".dict")) continue;
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    std::fprintf(stderr, "%s (%zu bytes)\n", argv[i], bytes.size());  // before the call: a crash then names its input
    // An exact copy on the heap, so that the sanitizers see a read past the end.
    const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++replayed;
  }
  if (replayed == 0) {
    std::fprintf(stderr, "no corpus\n");
    return 1;
  }
  std::fprintf(stderr, "%d inputs replayed\n", replayed);
  return 0;
}
