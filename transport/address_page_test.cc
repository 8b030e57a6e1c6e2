// The examples and tables of spec/address.md, read by the parsers that they are about. What they say of the grammar is checked
// by //spec:pages_test.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/transport/address.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/parameters.h"
#include "wayport/transport/testing/connect.h"

namespace wayport::transport {
namespace {

using Row = std::vector<std::string>;  // cells, as they stand

std::vector<std::string> read_lines() {
  std::vector<std::string> roots = {".", "../wayport"};
  if (const char* runfiles = std::getenv("TEST_SRCDIR")) roots.push_back(std::string(runfiles) + "/wayport");
  std::vector<std::string> lines;
  for (const std::string& root : roots) {
    std::ifstream file(root + "/spec/address.md");
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (!lines.empty()) break;
  }
  return lines;
}

Row cells_of(std::string_view line) {
  Row cells;
  line.remove_prefix(1);
  while (!line.empty()) {
    const std::size_t end = line.find('|');
    if (end == std::string_view::npos) break;
    std::string_view cell = line.substr(0, end);
    while (cell.starts_with(' ')) cell.remove_prefix(1);
    while (cell.ends_with(' ')) cell.remove_suffix(1);
    cells.emplace_back(cell);
    line.remove_prefix(end + 1);
  }
  return cells;
}

// The rows below the first line that is this table's head.
std::vector<Row> table(std::string_view head) {
  std::vector<Row> rows;
  bool inside = false;
  for (const std::string& line : read_lines()) {
    if (line == head) {
      inside = true;
    } else if (inside && !line.starts_with('|')) {
      break;
    } else if (inside && !line.starts_with("|---")) {
      rows.push_back(cells_of(line));
    }
  }
  return rows;
}

// What stands between backticks.
std::vector<std::string> in_backticks(std::string_view cell) {
  std::vector<std::string> texts;
  for (;;) {
    const std::size_t begin = cell.find('`');
    if (begin == std::string_view::npos) return texts;
    const std::size_t end = cell.find('`', begin + 1);
    if (end == std::string_view::npos) return texts;
    texts.emplace_back(cell.substr(begin + 1, end - begin - 1));
    cell.remove_prefix(end + 1);
  }
}

TEST(AddressPage, WhatItSaysIsTakenIsTakenAndPrintedSo) {
  const std::vector<Row> rows = table("| text | printed |");
  EXPECT_GE(rows.size(), 21u);
  for (const Row& row : rows) {
    ASSERT_EQ(row.size(), 2u);
    const std::string text = in_backticks(row[0]).at(0);
    const Result<Address> address = Address::parse(text);
    ASSERT_TRUE(address) << text << ": " << address.error().to_string();
    EXPECT_EQ(address->to_string(), in_backticks(row[1]).at(0)) << text;
    const Result<Address> again = Address::parse(address->to_string());
    ASSERT_TRUE(again) << text << ": " << again.error().to_string();
    EXPECT_EQ(*again, *address) << text;
  }
}

TEST(AddressPage, WhatItSaysIsRefusedIsRefused) {
  const std::vector<Row> rows = table("| text | why |");
  EXPECT_GE(rows.size(), 28u);
  for (const Row& row : rows) {
    ASSERT_EQ(row.size(), 2u);
    const std::string text = in_backticks(row[0]).at(0);
    const Result<Address> address = Address::parse(text);
    EXPECT_FALSE(address) << text << " was taken as " << (address ? address->to_string() : "");
  }
}

bool is_taken(std::string_view kind, const std::string& value) {
  Address address = Address::of("tcp", "h", 1);
  address.set_parameter("k", value);
  if (kind == "bool") return bool_parameter(address, "k").has_value();
  if (kind == "duration") return duration_parameter(address, "k").has_value();
  if (kind == "size") return bytes_parameter(address, "k").has_value();
  if (kind == "octal") return octal_parameter(address, "k", 0777).has_value();
  ADD_FAILURE() << "no such kind: " << kind;
  return false;
}

TEST(AddressPage, ValuesAreTakenAndRefusedAsItSays) {
  const std::vector<Row> rows = table("| kind | taken | refused |");
  EXPECT_EQ(rows.size(), 4u);
  for (const Row& row : rows) {
    ASSERT_EQ(row.size(), 3u);
    EXPECT_FALSE(in_backticks(row[1]).empty() || in_backticks(row[2]).empty()) << row[0];
    for (const std::string& value : in_backticks(row[1]))
      EXPECT_TRUE(is_taken(row[0], value)) << row[0] << " " << value;
    for (const std::string& value : in_backticks(row[2]))
      EXPECT_FALSE(is_taken(row[0], value)) << row[0] << " " << value;
  }
}

// The rows of the table of parameters below the line that begins with this scheme.
std::vector<Row> parameters_of(std::string_view scheme) {
  std::vector<Row> rows;
  bool below = false;
  for (const std::string& line : read_lines()) {
    if (line.starts_with('`')) {
      const std::vector<std::string> schemes = in_backticks(line.substr(0, line.find_first_of("(:")));
      below = std::ranges::find(schemes, scheme) != schemes.end();
    } else if (below && line.starts_with("| `")) {
      rows.push_back(cells_of(line));
    } else if (below && !rows.empty()) {
      break;
    }
  }
  return rows;
}

// Whether the layers of `place`, which has parameters or none, take this one where they stand. All of them look at names
// before they look at the network.
bool knows(const Transports& all, Loop& loop, const std::string& place, const std::string& key, bool dialing) {
  const std::string text = place + (place.contains('?') ? "&" : "?") + key + "=!";
  std::string error;
  if (dialing) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, text);
    loop.drain();
    error = outcome.error();
  } else if (const auto listener = all.listen(loop, *Address::parse(text), {}); !listener) {
    error = listener.error().detail;
  }
  if (!error.contains(key)) return true;
  return !error.contains("unknown parameter") && !error.contains("is for listeners") &&
         !error.contains("is for dialing");
}

TEST(AddressPage, EachTransportKnowsTheParametersOfItsTableOnTheirSide) {
  const struct {
    const char* scheme;
    const char* dial;
    const char* listen;       // nullptr: it does not
    bool looks_below = true;  // when it listens: not without a certificate, and link only once it is started
  } cases[] = {
      {"tcp", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0"},
      {"unix", "unix://@wayport-address-page", "unix://@wayport-address-page"},
      {"tls", "tls://127.0.0.1:1", "tls://127.0.0.1:0", false},
      {"snet", "snet://127.0.0.1:1", "snet://127.0.0.1:0"},
      {"link", "link://127.0.0.1:1/42", "link://127.0.0.1:1/42?key_file=/dev/null", false},
      {"route", "route://127.0.0.1:1/h:1", nullptr},
      {"ws", "ws://127.0.0.1:1/", "ws://127.0.0.1:0/"},
      {"wss", "wss://127.0.0.1:1/", "wss://127.0.0.1:0/", false},
      {"kcp", "kcp://127.0.0.1:1", "kcp://127.0.0.1:0"},
  };
  Loop loop;
  const Transports all = default_transports();
  EXPECT_EQ(all.schemes().size(), std::size(cases));
  for (const auto& [scheme, dial, listen, looks_below] : cases) {
    const std::vector<Row> rows = parameters_of(scheme);
    EXPECT_FALSE(rows.empty()) << scheme;
    for (const Row& row : rows) {
      ASSERT_EQ(row.size(), 5u) << scheme;
      const std::string& side = row[3];
      ASSERT_TRUE(side == "both" || side == "D" || side == "L") << scheme << " " << side;
      for (const std::string& key : in_backticks(row[0])) {
        EXPECT_EQ(knows(all, loop, dial, key, true), side != "L") << scheme << " dialing: " << key;
        if (listen != nullptr) {
          EXPECT_EQ(knows(all, loop, listen, key, false), side != "D") << scheme << " listening: " << key;
        }
      }
    }
    EXPECT_FALSE(knows(all, loop, dial, "none_such", true)) << scheme;
    if (listen != nullptr && looks_below) {
      EXPECT_FALSE(knows(all, loop, listen, "none_such", false)) << scheme;
    }
  }
}

}  // namespace
}  // namespace wayport::transport
