// The golden bytes of spec/vectors/snet.json (format: the README.md beside it).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wayport::transport::snet {

struct DhVector {
  std::uint64_t private_key = 0;
  std::optional<std::uint64_t> public_key;  // nullopt: the original has an error
  std::uint64_t peer_public = 0;
  std::optional<std::uint64_t> secret;  // nullopt: the original has an error
  std::string notes;
};

struct ScenarioStep {
  int connection = 0;  // 0: an event of an application
  std::string who;     // "client", "server", "client->server", "server->client", "-"
  std::string what;
  std::string bytes;
};

struct Scenario {
  std::string name;
  bool encrypt = false;
  std::size_t ring_bytes = 0;
  std::uint64_t client_private = 0;
  std::uint64_t server_private = 0;
  std::uint64_t id = 0;
  std::string key;
  std::string keystream;
  std::vector<std::string> challenges;
  std::vector<ScenarioStep> steps;
  std::string notes;
};

// What the original did when it was provoked. Values that are neither text nor number are their JSON.
using Behaviour = std::map<std::string, std::string>;

struct SnetVectors {
  std::vector<DhVector> dh;
  std::vector<std::uint64_t> unseeded_private_keys;
  std::vector<Scenario> scenarios;
  std::map<std::string, Behaviour> behaviours;  // by name
};

// Read once per process; a missing or odd file aborts with the reason.
const SnetVectors& snet_vectors();

}  // namespace wayport::transport::snet
