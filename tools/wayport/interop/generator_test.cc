// The numbers were computed from the words of integration/CONTRACT.md by another program, in another language.
#include "wayport/tools/wayport/interop/generator.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wayport::tools::interop {
namespace {

std::vector<std::uint32_t> steps(std::uint32_t seed, int count) {
  Generator generator(seed);
  std::vector<std::uint32_t> taken;
  for (int i = 0; i < count; ++i) taken.push_back(generator.step());
  return taken;
}

TEST(Generator, TakesTheStepsOfTheContract) {
  EXPECT_EQ(steps(1, 5), (std::vector<std::uint32_t>{0x42021, 0x4080601, 0x9dcca8c5, 0x1255994f, 0x8ef917d1}));
  EXPECT_EQ(steps(0xffffffff, 5),
            (std::vector<std::uint32_t>{0x3e01f, 0xfc07fdff, 0x74bb9843, 0xf1cc88da, 0x7a28ee91}));
  EXPECT_EQ(steps(1, 1000).back(), 0x10173c27u);
}

TEST(Generator, CountsSeedZeroAsOne) { EXPECT_EQ(steps(0, 3), steps(1, 3)); }

TEST(Generator, TakesTheLowByteOfEachStep) {
  EXPECT_EQ(Generator(1).bytes(5), "\x21\x01\xc5\x4f\xd1");
  EXPECT_EQ(Generator(20261121).bytes(8), "\x6b\xd2\x14\xb0\x17\x2f\x24\xec");
  EXPECT_EQ(Generator(1).bytes(0), "");
}

TEST(Generator, TakesALengthAndThenItsLetters) {
  Generator generator(1);
  for (const std::string expected : {"fvnfaqgfg", "bykltqyxf", "txvwzlqpe", "ylu"}) {
    const std::size_t length = generator.length(9);
    EXPECT_EQ(length, expected.size());
    EXPECT_EQ(generator.letters(length), expected);
  }
}

TEST(Generator, TakesLengthsFromNoneToTheLargest) {
  Generator generator(1);
  EXPECT_EQ(generator.length(0), 0u);
  std::vector<bool> seen(4);
  for (int i = 0; i < 100; ++i) seen.at(generator.length(3)) = true;
  EXPECT_EQ(seen, std::vector<bool>(4, true));
}

}  // namespace
}  // namespace wayport::tools::interop
