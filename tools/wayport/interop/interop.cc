#include "wayport/tools/wayport/interop/interop.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/link_cases.h"
#include "wayport/tools/wayport/interop/stream_cases.h"
#include "wayport/tools/wayport/interop/teleport_cases.h"
#include "wayport/tools/wayport/session_options.h"

namespace wayport::tools::interop {
namespace {

// --broken frame.
constexpr std::uint32_t kLeftOutEach = 100;

void print_ready(Console& console, const std::vector<std::string>& addresses) {
  console.out << "READY";
  for (const std::string& address : addresses) console.out << ' ' << place_of(address);
  console.out << std::endl;
}

void run_role(Runtime& runtime, const Settings& settings, const InteropOptions& options, Console& console,
              Interrupt& interrupt) {
  switch (settings.role) {
    case Role::server:
      return run_teleport_server(
          runtime, settings, options.broken == InteropOptions::Broken::status, interrupt,
          [&console](const std::vector<std::string>& addresses) { print_ready(console, addresses); });
    case Role::client:
      return run_teleport_case(runtime, settings);
    case Role::link_server:
      return run_link_server(runtime, settings, options.broken == InteropOptions::Broken::frame ? kLeftOutEach : 0,
                             interrupt, [&console] { print_ready(console, {}); });
    case Role::link_client:
      return run_link_case(runtime, settings);
    case Role::stream_server:
      return run_stream_server(runtime, settings, interrupt,
                               [&console](const std::string& address) { print_ready(console, {address}); });
    case Role::stream_client:
      return run_stream_case(runtime, settings);
  }
}

bool is_client(Role role) noexcept {
  return role == Role::client || role == Role::link_client || role == Role::stream_client;
}

}  // namespace

bool is_served(const Lookup& lookup) {
  const char* const role = lookup("INTEROP_ROLE");
  return role != nullptr && std::string_view(role).ends_with("server");
}

int interop(Runtime& runtime, const InteropOptions& options, const Lookup& lookup, Console& console,
            Interrupt& interrupt) {
  const Result<Settings> settings = read_settings(lookup);
  if (!settings) {
    console.err << "error: " << settings.error().detail << "\n";
    return settings.error().code == ErrorCode::unsupported ? kExitUnsupported : kExitUsage;
  }
  const TimePoint start = runtime.clock().now();
  try {
    run_role(runtime, *settings, options, console, interrupt);
  } catch (const Failure& failure) {
    console.err << "error: " << to_string(settings->what) << ": " << failure.what() << "\n";
    return kExitFailure;
  }
  if (is_client(settings->role)) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(runtime.clock().now() - start);
    console.out << "RESULT {\"milliseconds\":" << ms.count() << "}" << std::endl;
  }
  return kExitSuccess;
}

}  // namespace wayport::tools::interop
