#include "wayport/base/intrusive_list.h"

#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Item : ListNode<Item> {
  explicit Item(int v) : value(v) {}
  int value;
};

std::vector<int> values(List<Item>& list) {
  std::vector<int> all;
  list.for_each([&](Item& item) { all.push_back(item.value); });
  return all;
}

TEST(IntrusiveList, KeepsTheOrderOfArrival) {
  Item a(1), b(2), c(3);
  List<Item> list;
  list.push_back(a);
  list.push_back(b);
  list.push_back(c);
  EXPECT_THAT(values(list), ElementsAre(1, 2, 3));
  list.push_back(a);
  EXPECT_THAT(values(list), ElementsAre(2, 3, 1)) << "a node that is in the list moves";
  EXPECT_EQ(list.pop_front(), &b);
  EXPECT_FALSE(b.linked());
}

TEST(IntrusiveList, LosesNodesThatAreDestroyed) {
  List<Item> list;
  Item a(1);
  list.push_back(a);
  {
    Item b(2);
    list.push_back(b);
  }
  EXPECT_THAT(values(list), ElementsAre(1));
}

TEST(IntrusiveList, ReleasesItsNodesWhenItGoes) {
  Item a(1);
  {
    List<Item> list;
    list.push_back(a);
  }
  EXPECT_FALSE(a.linked());
}

TEST(IntrusiveList, SplicesAllNodesToTheEnd) {
  Item a(1), b(2), c(3);
  List<Item> first, second;
  first.push_back(a);
  second.push_back(b);
  second.push_back(c);
  first.splice_back(second);
  EXPECT_THAT(values(first), ElementsAre(1, 2, 3));
  EXPECT_TRUE(second.empty());
  first.splice_back(second);
  EXPECT_THAT(values(first), ElementsAre(1, 2, 3));
  second.splice_back(first);
  EXPECT_THAT(values(second), ElementsAre(1, 2, 3));
}

TEST(IntrusiveList, LetsAVisitorDestroyTheNodeItIsGiven) {
  List<Item> list;
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 3; ++i) list.push_back(*items.emplace_back(std::make_unique<Item>(i)));
  list.for_each([&](Item& item) { items[static_cast<std::size_t>(item.value)].reset(); });
  EXPECT_THAT(values(list), IsEmpty());
}

}  // namespace
}  // namespace wayport
