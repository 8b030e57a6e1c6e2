#include "wayport/transport/snet/snet_vectors.h"

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "wayport/base/bytes.h"

namespace wayport::transport::snet {
namespace {

namespace json = boost::json;

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "spec/vectors/snet.json: " << why << '\n';
  std::abort();
}

std::string read_file() {
  // Bazel runs tests in the runfiles of the main repository; imported, ours are beside it.
  std::vector<std::string> roots = {".", "../wayport"};
  if (const char* runfiles = std::getenv("TEST_SRCDIR")) roots.push_back(std::string(runfiles) + "/wayport");
  for (const std::string& root : roots) {
    std::ifstream file(root + "/spec/vectors/snet.json", std::ios::binary);
    if (file) return {std::istreambuf_iterator<char>(file), {}};
  }
  give_up("not among the runfiles");
}

std::string text(const json::value& value) { return std::string(value.as_string()); }

std::string bytes(const json::value& value) {
  std::optional<std::string> decoded = from_hex(text(value));
  if (!decoded) give_up("bad hex: " + text(value));
  return *std::move(decoded);
}

// Big-endian hex, as the file writes numbers of 64 bits.
std::optional<std::uint64_t> number(const json::value& value) {
  const std::string digits = text(value);
  if (digits.starts_with("error")) return std::nullopt;
  const std::string raw = bytes(value);
  if (raw.size() != 8) give_up("not 64 bits: " + digits);
  return load_be<std::uint64_t>(as_bytes(raw).data());
}

Scenario read_scenario(const json::object& from) {
  Scenario scenario;
  scenario.name = text(from.at("name"));
  scenario.notes = text(from.at("notes"));
  scenario.encrypt = from.at("config").at("encrypt").as_bool();
  scenario.ring_bytes = from.at("config").at("rewriter_buffer").to_number<std::size_t>();
  const json::object& keys = from.at("keys").as_object();
  scenario.client_private = number(keys.at("client_private")).value();
  scenario.server_private = number(keys.at("server_private")).value();
  scenario.id = keys.at("conn_id").to_number<std::uint64_t>();
  scenario.key = bytes(keys.at("rc4_and_mac_key_hex"));
  scenario.keystream = bytes(keys.at("rc4_keystream_first_64_hex"));
  for (const json::value& challenge : keys.at("challenges_hex").as_array())
    scenario.challenges.push_back(bytes(challenge));
  for (const json::value& step : from.at("steps").as_array()) {
    const json::object& object = step.as_object();
    const json::value* hex = object.if_contains("hex");
    scenario.steps.push_back({object.at("tcp").to_number<int>(), text(object.at("dir")), text(object.at("what")),
                              hex ? bytes(*hex) : std::string()});
  }
  return scenario;
}

SnetVectors read() {
  const json::value all = json::parse(read_file());
  SnetVectors vectors;
  for (const json::value& each : all.at("dh64").at("vectors").as_array()) {
    vectors.dh.push_back({number(each.at("private")).value(), number(each.at("public")),
                          number(each.at("peer_public")).value(), number(each.at("secret")), text(each.at("notes"))});
  }
  for (const json::value& each : all.at("dh64").at("first_private_keys_of_every_unseeded_process").as_array()) {
    vectors.unseeded_private_keys.push_back(number(each).value());
  }
  for (const json::value& each : all.at("scenarios").as_array())
    vectors.scenarios.push_back(read_scenario(each.as_object()));
  for (const json::value& each : all.at("behaviours").as_array()) {
    Behaviour behaviour;
    for (const auto& [key, value] : each.as_object()) {
      behaviour[std::string(key)] = value.is_string() ? text(value) : json::serialize(value);
    }
    const std::string name = behaviour.at("name");
    vectors.behaviours.emplace(name, std::move(behaviour));
  }
  return vectors;
}

}  // namespace

const SnetVectors& snet_vectors() {
  static const SnetVectors vectors = read();
  return vectors;
}

}  // namespace wayport::transport::snet
