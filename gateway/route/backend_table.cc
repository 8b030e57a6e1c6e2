#include "wayport/gateway/route/backend_table.h"

#include <algorithm>

#include "wayport/base/bytes.h"
#include "wayport/base/time.h"
#include "wayport/framing/route/handshake.h"

namespace wayport::route {
namespace {

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The next word of `text`, which loses it; empty: there is none.
std::string_view take_word(std::string_view& text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  std::size_t size = 0;
  while (size < text.size() && !is_blank(text[size])) ++size;
  const std::string_view word = text.substr(0, size);
  text.remove_prefix(size);
  return word;
}

}  // namespace

Result<BackendTable::Backends> BackendTable::parse_backends(std::string_view text, const Limits& limits) {
  Backends backends;
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    if (backends.size() == limits.backends_max) {
      return fail(ErrorCode::invalid_argument,
                  "there are more than " + std::to_string(limits.backends_max) + " backends");
    }
    WAYPORT_TRY_ASSIGN(Backend backend, Backend::parse(word));
    backends.push_back(std::move(backend));
  }
  if (backends.empty())
    return fail(ErrorCode::invalid_argument, "there is no backend; write for instance 10.0.0.7:9000");
  return backends;
}

Result<BackendTable> BackendTable::parse(std::string_view text, Limits limits) {
  if (text.size() > limits.text_bytes_max) {
    return fail(ErrorCode::too_large, "a table has at most " + format_bytes(limits.text_bytes_max));
  }
  BackendTable table(limits);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view identify = take_word(line);
    if (identify.empty() || identify.starts_with('#')) continue;
    Result<Backends> backends = parse_backends(line, limits);
    const Result<void> added = backends ? table.add(std::string(identify), *std::move(backends))
                                        : Result<void>(std::unexpected<Error>(backends.error()));
    if (!added) return fail(added.error().code, "line " + std::to_string(number) + ": " + added.error().detail);
  }
  return table;
}

Result<void> BackendTable::check(std::string_view identify, const Backends& backends) const {
  if (identify.empty()) return fail(ErrorCode::invalid_argument, "an identify is empty");
  if (identify.size() > kIdentifyBytesMax) {
    return fail(ErrorCode::invalid_argument, "an identify has " + std::to_string(identify.size()) + " bytes; at most " +
                                                 std::to_string(kIdentifyBytesMax));
  }
  if (backends.empty() || backends.size() > limits_.backends_max) {
    return fail(ErrorCode::invalid_argument, "\"" + escape(identify, 64) + "\" has " + std::to_string(backends.size()) +
                                                 " backends; 1 to " + std::to_string(limits_.backends_max) +
                                                 " are taken");
  }
  return {};
}

Result<void> BackendTable::add(std::string identify, Backends backends) {
  if (entries_.contains(identify)) {
    return fail(ErrorCode::invalid_argument, "\"" + escape(identify, 64) + "\" is there twice");
  }
  return set(std::move(identify), std::move(backends));
}

Result<void> BackendTable::set(std::string identify, Backends backends) {
  WAYPORT_TRY(check(identify, backends));
  if (entries_.size() >= limits_.entries_max && !entries_.contains(identify)) {
    return fail(ErrorCode::too_large,
                "the table is full: at most " + std::to_string(limits_.entries_max) + " entries (entries_max)");
  }
  entries_.insert_or_assign(std::move(identify), std::make_shared<const Backends>(std::move(backends)));
  return {};
}

bool BackendTable::erase(std::string_view identify) {
  const auto found = entries_.find(identify);
  if (found == entries_.end()) return false;
  entries_.erase(found);
  return true;
}

Result<void> BackendTable::join(const BackendTable& other) {
  for (const auto& [identify, backends] : other.entries_) WAYPORT_TRY(add(identify, *backends));
  return {};
}

std::shared_ptr<const BackendTable::Backends> BackendTable::find(std::string_view identify) const {
  const auto found = entries_.find(identify);
  return found == entries_.end() ? nullptr : found->second;
}

std::string BackendTable::to_text() const {
  std::vector<std::string_view> identifies;
  for (const auto& [identify, backends] : entries_) identifies.push_back(identify);
  std::ranges::sort(identifies);
  std::string text;
  for (const std::string_view identify : identifies) {
    text += identify;
    for (const Backend& backend : *find(identify)) text += " " + backend.to_string();
    text += '\n';
  }
  return text;
}

bool operator==(const BackendTable& a, const BackendTable& b) {
  return a.entries_.size() == b.entries_.size() && std::ranges::all_of(a.entries_, [&](const auto& entry) {
           const auto other = b.find(entry.first);
           return other && *other == *entry.second;
         });
}

}  // namespace wayport::route
