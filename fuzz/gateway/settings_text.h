// What the targets of the two configuration files share: what a verdict says, and that it does not depend on where in the
// file it stands.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/gateway/program/settings.h"
#include "wayport/gateway/route/options.h"
#include "wayport/gateway/route/settings.h"

namespace wayport::gateway::fuzzing {

struct Verdict {
  bool accepted = false;
  std::size_t line = 0;  // where the error is; 0: nowhere in particular
  std::string text{};    // the error without its place, or the settings

  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// The values that decide what the process listens on and whom it lets through.
inline std::string summary(const Settings& settings) {
  std::string text = settings.admin_address + "|" + settings.log_level + "|" + settings.log_file + "|" +
                     settings.pid_file + "|" + std::to_string(settings.loops) + "|" + format_duration(settings.drain);
  const auto add = [&text](std::string_view name, const std::vector<std::string>& list) {
    text += "\n" + std::string(name);
    for (const std::string& each : list) text += " " + each;
  };
  if (settings.link) {
    add("clients", settings.link->client_addresses);
    add("servers", settings.link->server_addresses);
    text += " " + settings.link->server_auth_key + " " + std::to_string(settings.link->switching.packet_bytes_max);
  }
  for (const route::RouteOptions& route : settings.routes) {
    add(route.name, route.listen);
    add(route.resolver + " " + route.backend_transport + (route.open_relay ? " open" : ""), route.allow);
  }
  add("notes", settings.notes);
  return text;
}

// Each value is read as its own kind and refused as any other, by its key; and a table of which every key was asked for
// is finished.
inline void check_settings(const route::SettingsTable& table) {
  using route::SettingsTable;
  route::SettingsReader reader(table, "resolver");
  for (const auto& [key, value] : table) {
    std::string text;
    WAYPORT_ASSERT(reader.text(key, text).has_value() == (value.text() != nullptr), "texts are texts");
    bool flag = false;
    WAYPORT_ASSERT(reader.flag(key, flag).has_value() == (value.flag() != nullptr), "flags are flags");
    std::size_t count = 7;
    const bool counts = value.number() && *value.number() >= 1 && *value.number() <= 1000;
    WAYPORT_ASSERT(reader.count(key, count, 1, 1000).has_value() == counts && (counts || count == 7),
                   "numbers have bounds");
    Duration time{0};
    if (reader.time(key, time, std::chrono::seconds(1), std::chrono::hours(1))) {
      WAYPORT_ASSERT(value.text() && time >= std::chrono::seconds(1) && time <= std::chrono::hours(1),
                     "and so have times");
    }
    std::vector<std::string> texts;
    if (reader.texts(key, texts))
      WAYPORT_ASSERT(value.text() || texts.size() == value.list()->size(), "a list of texts");
    const Result<const SettingsTable*> below = reader.table(key);
    WAYPORT_ASSERT(below.has_value() == (value.table() != nullptr), "tables are tables");
    if (below) check_settings(**below);
    if (const Result<std::vector<const SettingsTable*>> tables = reader.tables(key)) {
      for (const SettingsTable* const each : *tables) check_settings(*each);
    } else {
      WAYPORT_ASSERT(tables.error().detail.starts_with("resolver: " + key + " has to be"), "the key is named");
    }
  }
  WAYPORT_ASSERT(reader.finish(), "every key was asked for");
  WAYPORT_ASSERT(route::SettingsReader(table, "resolver").finish().has_value() == table.empty(), "else it is refused");
}

// REQUIRES: `read` came from a reader that was told that the file is called "file".
inline Verdict verdict_of(const Result<Settings>& read, std::span<const std::string> resolvers) {
  if (read) {
    WAYPORT_ASSERT(read->validate(), "what is read is valid");
    WAYPORT_ASSERT(read->link || !read->routes.empty(), "and there is something to do");
    for (const route::RouteOptions& route : read->routes) {
      WAYPORT_ASSERT(route.validate(resolvers), "and so is each route");
      bool told = false;
      for (const std::string& warning : route.warnings()) {
        WAYPORT_ASSERT(warning.find(route.name) != std::string::npos, "a warning names its route");
        told = told || warning.find("every client is refused") != std::string::npos;
      }
      check_settings(route.resolver_settings);
      WAYPORT_ASSERT(told == route.allow.empty(),
                     "where nothing is allowed, nobody is let through, and the log says so");
    }
    return {.accepted = true, .text = summary(*read)};
  }
  std::string_view why = read.error().detail;
  WAYPORT_ASSERT(why.starts_with("file:") && why.size() > 6 && why.size() < 4096,
                 "the file is named, and what is wrong");
  why.remove_prefix(5);
  Verdict verdict;
  const auto [end, failed] = std::from_chars(why.data(), why.data() + why.size(), verdict.line);
  if (failed == std::errc()) why.remove_prefix(static_cast<std::size_t>(end - why.data()));
  verdict.text = why;
  return verdict;
}

// `read(text)`: Result<Settings>. A line in front of the file moves the place of an error by one, and nothing else.
template <class Read>
Verdict check_places(std::string_view text, std::span<const std::string> resolvers, Read read) {
  const Verdict here = verdict_of(read(std::string(text)), resolvers);
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  WAYPORT_ASSERT(here.line <= lines + 1, "the place of an error is in the file");
  // A byte order mark is one only at the start.
  if (text.starts_with('\xef')) return here;
  const Verdict below = verdict_of(read("# a comment\n" + std::string(text)), resolvers);
  WAYPORT_ASSERT(below.accepted == here.accepted, "a comment changes nothing");
  // Of several things that are no TOML, the parser's blocks decide which it says first.
  if (here.text.starts_with(": no TOML")) return here;
  WAYPORT_ASSERT(below.text == here.text, "and not what is said");
  // What is missing has no line but the start of the file.
  WAYPORT_ASSERT(below.line == here.line || below.line == here.line + 1, "and moves the place by its own line");
  return here;
}

}  // namespace wayport::gateway::fuzzing
