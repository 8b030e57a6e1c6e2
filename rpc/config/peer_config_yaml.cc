#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <sstream>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/rpc/config/config_entries.h"
#include "wayport/rpc/config/peer_config.h"

namespace wayport::rpc {
namespace {

std::size_t line_of(const YAML::Mark& mark) { return mark.line < 0 ? 0 : static_cast<std::size_t>(mark.line) + 1; }

// False: the value is reported.
bool take_value(detail::ConfigCollector& collector, detail::ConfigEntry& entry, const YAML::Node& value) {
  if (value.IsNull()) {
    entry.is_absent = true;
  } else if (value.IsScalar()) {
    entry.values.push_back(value.Scalar());
  } else if (value.IsSequence()) {
    entry.is_list = true;
    for (const YAML::Node& item : value) {
      if (!item.IsScalar()) {
        collector.add_problem(line_of(item.Mark()), entry.key, "an item of the list is no plain value");
        return false;
      }
      // One more than the most is enough to be refused.
      if (entry.values.size() <= kConfigListenAddressesMax) entry.values.push_back(item.Scalar());
    }
  } else {
    collector.add_problem(entry.line, entry.key, "is a map; the keys are not nested");
    return false;
  }
  return true;
}

void read_document(detail::ConfigCollector& collector, const YAML::Node& root) {
  if (root.IsNull()) return;
  if (!root.IsMap()) {
    collector.add_problem(line_of(root.Mark()), "", "not a map; write lines of the form key: value");
    return;
  }
  for (const auto& pair : root) {
    detail::ConfigEntry entry{.key = {}, .line = line_of(pair.first.Mark())};
    if (!pair.first.IsScalar() || pair.first.Scalar().empty()) {
      collector.add_problem(entry.line, "", "a key is no plain name");
      continue;
    }
    entry.key = pair.first.Scalar();
    // What a mistyped key holds is its second problem.
    if (detail::find_config_field(entry.key) == nullptr || take_value(collector, entry, pair.second)) {
      collector.take(entry);
    }
  }
}

// Sees where documents begin, and nothing of what is in them.
class DocumentMarks final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  YAML::Mark last;
};

// Where it begins; nullopt: there is at most one.
std::optional<YAML::Mark> second_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentMarks marks;
  if (!parser.HandleNextDocument(marks) || !parser.HandleNextDocument(marks)) return std::nullopt;
  return marks.last;
}

}  // namespace

Result<PeerConfig> parse_yaml(std::string_view text, std::string_view file_name) {
  detail::ConfigCollector collector(file_name);
  if (!collector.check_text(text)) return collector.finish();
  try {
    // Aliases are references in yaml-cpp, never copies; its depth is bounded by itself, the size by check_text().
    // LoadAll() never ends where a document takes no text (",a: 1"): it is not asked for more than one.
    if (const std::optional<YAML::Mark> second = second_document(std::string(text))) {
      collector.add_problem(line_of(*second), "", "a second document; a configuration has one");
    } else {
      read_document(collector, YAML::Load(std::string(text)));
    }
  } catch (const YAML::Exception& error) {
    collector.add_problem(line_of(error.mark), "", "not yaml: " + escape(error.msg));
  }
  return collector.finish();
}

}  // namespace wayport::rpc
