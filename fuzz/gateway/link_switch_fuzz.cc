// Whatever clients and servers do, in whatever order loops read each other's mail: the switches do what the slow and
// obvious reference does, endpoints see sense, and nothing is left behind when all have gone (the arena aborts else).
//
// Input: decisions, one after the other; each takes one byte, or two if it is between more than 256. Options come first.
#include <cstddef>
#include <cstdint>

#include "wayport/gateway/link/testing/arena.h"

namespace wayport::link {
namespace {

class InputChoices final : public testing::Choices {
 public:
  InputChoices(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint32_t below(std::uint32_t limit) override {
    if (limit <= 1) return 0;
    std::uint32_t value = byte();
    if (limit > 256) value = value << 8 | byte();
    return value % limit;
  }
  bool empty() const { return at_ == size_; }

 private:
  std::uint32_t byte() { return at_ == size_ ? 0 : data_[at_++]; }

  const std::uint8_t* data_;
  const std::size_t size_;
  std::size_t at_ = 0;
};

}  // namespace
}  // namespace wayport::link

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wayport::link::InputChoices choices(data, size);
  wayport::link::testing::Arena arena(choices);
  for (int steps = 0; steps < 500 && !choices.empty(); ++steps) arena.step();
  arena.finish();
  return 0;
}
