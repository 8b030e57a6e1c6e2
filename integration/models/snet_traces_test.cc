// What the cores of snet do, random events over a hostile link, are runs of spec/models/snet_reconnect.pml; spin says so.
//
// Method: snet_recorder.h records; spec/models/trace.sh leaves of the model only the runs that take the recorded steps and
// asks spin whether one takes them all. That it can say no is shown from three sides: traces that were altered, cores that
// are driven wrongly, and models of which a rule was taken away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "wayport/base/testing/process.h"
#include "wayport/integration/models/snet_recorder.h"

namespace wayport::models {
namespace {

using ::testing::Each;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr std::size_t kWire = 8;
constexpr int kCuts = 5;

// Rings as large as the wire lose nothing; smaller ones end sessions.
struct Family {
  const char* name;
  std::size_t ring;
};
constexpr Family kLarge{"large", kWire}, kSmall{"small", 3};

struct Recorded {
  Trace trace;
  bool went_wrong = false;
};

Recorded record(const Family& family, std::uint64_t seed, Fault fault = Fault::none) {
  SnetRecorder recorder({.seed = seed, .ring = family.ring, .wire = kWire, .cuts = kCuts, .fault = fault});
  for (int events = 0; events < 120; ++events) recorder.act();
  recorder.settle();
  if (fault == Fault::none && !recorder.over()) EXPECT_TRUE(recorder.caught_up()) << "seed " << seed;
  return {recorder.trace(), recorder.went_wrong()};
}

const std::vector<Trace>& traces_of(const Family& family) {
  static std::map<std::string, std::vector<Trace>> recorded;
  std::vector<Trace>& traces = recorded[family.name];
  for (std::uint64_t seed = traces.size() + 1; seed <= 150; ++seed) traces.push_back(record(family, seed).trace);
  return traces;
}

constexpr std::size_t kBatch = 50;  // traces for one call of spin

// What spin says of each.
std::vector<std::string> verdicts_of_batch(const Family& family, const std::vector<Trace>& traces,
                                           const std::string& mutation) {
  static int runs = 0;
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string stem = std::string(directory ? directory : "/tmp") + "/" + std::to_string(++runs) + "-";
  std::vector<std::string> arguments{wayport::testing::runfile("spec/models/trace.sh"),
                                     wayport::testing::runfile("spec/models/snet_reconnect.pml"),
                                     "-DWITH_FORGER",
                                     "-DUP=250",
                                     "-DDOWN=250",
                                     "-DWIRE=" + std::to_string(kWire),
                                     "-DRING=" + std::to_string(family.ring),
                                     "-DCUTS=" + std::to_string(kCuts)};
  if (!mutation.empty()) arguments.push_back("-DMUTATION_" + mutation);
  arguments.push_back("--");
  for (std::size_t i = 0; i < traces.size(); ++i) {
    arguments.push_back(stem + std::to_string(i));
    std::ofstream(arguments.back()) << to_text(traces[i]);
  }
  const wayport::testing::Finished finished = wayport::testing::run(arguments);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  std::vector<std::string> lines;
  for (std::size_t from = 0, to; (to = finished.out.find('\n', from)) != std::string::npos; from = to + 1) {
    lines.push_back(finished.out.substr(from, to - from));
  }
  EXPECT_EQ(lines.size(), traces.size());
  lines.resize(traces.size(), "nothing");
  return lines;
}

// Of all; or up to the batch in which `enough` is true for what was said.
std::vector<std::string> verdicts(
    const Family& family, const std::vector<Trace>& traces, const std::string& mutation = {},
    const std::function<bool(const std::vector<std::string>&)>& enough = [](const auto&) { return false; }) {
  std::vector<std::string> said;
  while (said.size() < traces.size() && !enough(said)) {
    const auto from = traces.begin() + std::ssize(said);
    const auto to = traces.begin() + static_cast<std::ptrdiff_t>(std::min(said.size() + kBatch, traces.size()));
    for (std::string& line : verdicts_of_batch(family, {from, to}, mutation)) said.push_back(std::move(line));
  }
  return said;
}

std::size_t steps_of(const std::vector<Trace>& traces) {
  std::size_t steps = 0;
  for (const Trace& trace : traces) steps += trace.size() - 1;  // "ends" is none
  return steps;
}

// --- what they do is what the model does ---

class SnetTraces : public ::testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Rings, SnetTraces, ::testing::Values(kLarge, kSmall),
                         [](const auto& info) { return info.param.name; });

TEST_P(SnetTraces, AreRunsOfTheModel) {
  const std::vector<Trace>& traces = traces_of(GetParam());
  EXPECT_THAT(verdicts(GetParam(), traces), Each("taken"));
  std::cout << traces.size() << " traces, " << steps_of(traces) << " steps\n";
}

// So that nothing above passes for want of cases.
TEST(SnetTracesTogether, TakeEveryStepWithEveryOutcome) {
  std::map<std::string, std::size_t> seen;
  const std::set<std::string> judging{"client_judges", "server_judges", "server_proves"};
  for (const Family& family : {kLarge, kSmall}) {
    for (const Trace& trace : traces_of(family)) {
      for (const Row& row : trace) {
        const bool again = row.step == "server_reads" && row.gives[0] == std::to_string(kNone);
        const bool forged = row.connection == 2 * kCuts + 1 && row.step.starts_with("server");
        ++seen[row.step + (judging.contains(row.step) ? " " + row.gives[0] : "") + (again ? " again" : "") +
               (forged ? " of the forger" : "")];
      }
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, count] : seen) {
    names.push_back(name);
    std::cout << count << " " << name << "\n";
  }
  EXPECT_THAT(names, IsSupersetOf({"client_asks",
                                   "client_judges overrun",
                                   "client_judges refused",
                                   "client_judges resumed",
                                   "client_reads",
                                   "client_sees_end",
                                   "client_sends",
                                   "forger_asks",
                                   "forger_proves",
                                   "network_cuts",
                                   "server_judges refused",
                                   "server_judges refused of the forger",
                                   "server_judges resumed",
                                   "server_judges resumed of the forger",
                                   "server_lets_go",
                                   "server_overtaken",
                                   "server_overtaken of the forger",
                                   "server_proves overrun",
                                   "server_proves resumed",
                                   "server_proves unproved of the forger",
                                   "server_reads",
                                   "server_reads again",
                                   "server_sees_end",
                                   "server_sends"}));
  EXPECT_FALSE(seen.contains("client_judges impossible"));
}

// --- that the model says no: altered traces ---

// From `at` on, in each state that is known.
void change_states(Trace& trace, std::size_t at, const std::function<void(State&)>& change) {
  for (; at < trace.size(); ++at) {
    if (trace[at].before) change(*trace[at].before);
  }
}

// The trace up to and with `at`, and then its end in that state.
void end_after(Trace& trace, std::size_t at, State state) {
  trace.resize(at + 1);
  trace.push_back({.step = "ends", .before = state});
}

bool is_byte(const Row& row) { return row.step.ends_with("_reads") && row.gives[0] != std::to_string(kNone); }

std::function<void(State&)> received(const Row& row, int more) {
  return [client = row.step == "client_reads", more](State& state) {
    (client ? state.c_received : state.s_received) += static_cast<std::uint64_t>(more);
  };
}

struct Alteration {
  const char* name;
  Family family;
  // Makes it at the first row from `at` where it can be made. False: nowhere.
  std::function<bool(Trace&, std::size_t at)> alter;
};

// Where `row` may be altered, `change` does it.
std::function<bool(Trace&, std::size_t)> first(const std::function<bool(const Row&)>& row,
                                               const std::function<void(Trace&, std::size_t)>& change) {
  return [row, change](Trace& trace, std::size_t at) {
    while (at < trace.size() && !row(trace[at])) ++at;
    if (at == trace.size()) return false;
    change(trace, at);
    return true;
  };
}

const Alteration kAlterations[] = {
    {"ADoubledByte", kLarge,
     first(is_byte,
           [](Trace& trace, std::size_t at) {
             const Row row = trace[at];
             Row again = row;
             again.before.reset();
             trace.insert(trace.begin() + static_cast<std::ptrdiff_t>(at) + 1, again);
             change_states(trace, at + 2, received(row, 1));
           })},
    {"ALostByte", kLarge,
     first(is_byte,
           [](Trace& trace, std::size_t at) {
             const Row row = trace[at];
             trace.erase(trace.begin() + static_cast<std::ptrdiff_t>(at));
             change_states(trace, at, received(row, -1));
           })},
    {"AnotherByte", kLarge,
     first(is_byte,
           [](Trace& trace, std::size_t at) {
             trace[at].gives[0] = std::to_string((std::stoi(trace[at].gives[0]) + 1) % 250);
           })},
    {"ALiveSessionThatARequestDisturbs", kLarge,
     first(
         [](const Row& row) {
           return row.step == "server_judges" && row.connection == 2 * kCuts + 1 && row.before->s_carrier != kNone;
         },
         [](Trace& trace, std::size_t at) {
           State disturbed = *trace[at].before;
           disturbed.s_carrier = kNone;
           end_after(trace, at, disturbed);
         })},
    {"AForgedProofThatIsBelieved", kLarge,
     first([](const Row& row) { return row.step == "server_proves" && row.gives[0] == "unproved"; },
           [](Trace& trace, std::size_t at) {
             trace[at].gives[0] = "resumed";
             State believed = *trace[at].before;
             believed.s_carrier = trace[at].connection;
             ++believed.s_generation;
             believed.s_sent = believed.s_written;
             end_after(trace, at, believed);
           })},
    {"ACountThatIsTooOldAndAccepted", kSmall,
     first([](const Row& row) { return row.step == "server_judges" && row.gives[0] == "refused"; },
           [](Trace& trace, std::size_t at) {
             const State state = *trace[at].before;
             trace[at].gives = {"resumed", std::to_string(state.s_written), std::to_string(state.s_received)};
             end_after(trace, at, state);
           })},
    {"ACountThatGotTooOldMeanwhileAndIsAccepted", kSmall,
     first([](const Row& row) { return row.step == "server_proves" && row.gives[0] == "overrun"; },
           [](Trace& trace, std::size_t at) {
             trace[at].gives[0] = "resumed";
             State accepted = *trace[at].before;
             accepted.s_carrier = trace[at].connection;
             ++accepted.s_generation;
             accepted.s_sent = accepted.s_written - kSmall.ring;
             end_after(trace, at, accepted);
           })},
    {"ACountThatIsTooOldForTheClientAndAccepted", kSmall,
     first([](const Row& row) { return row.step == "client_judges" && row.gives[0] == "overrun"; },
           [](Trace& trace, std::size_t at) {
             trace[at].gives[0] = "resumed";
             State accepted = *trace[at].before;
             accepted.c_sent = accepted.c_written - kSmall.ring;
             end_after(trace, at, accepted);
           })},
    {"AResumedSessionThatIsRefused", kLarge,
     first(
         [](const Row& row) {
           return row.step == "server_judges" && row.connection <= 2 * kCuts && row.gives[0] == "resumed";
         },
         [](Trace& trace, std::size_t at) {
           trace[at].gives = {"refused", "0", "0"};
           end_after(trace, at, *trace[at].before);
         })},
};

class AlteredSnetTraces : public ::testing::TestWithParam<Alteration> {};
INSTANTIATE_TEST_SUITE_P(By, AlteredSnetTraces, ::testing::ValuesIn(kAlterations),
                         [](const auto& info) { return info.param.name; });

TEST_P(AlteredSnetTraces, AreRefused) {
  std::vector<Trace> altered;
  for (const Trace& trace : traces_of(GetParam().family)) {
    Trace copy = trace;
    if (altered.size() == 25 || !GetParam().alter(copy, altered.size() * 5 % (trace.size() / 2))) continue;
    altered.push_back(copy);
  }
  EXPECT_GE(altered.size(), 10u);
  const std::vector<std::string> said = verdicts(GetParam().family, altered);
  EXPECT_THAT(said, Each(Not("taken")));
  std::cout << altered.size() << " traces, the first: " << said.front() << "\n";
}

// --- that the model says no: cores that are driven wrongly ---

struct Driven {
  const char* name;
  Fault fault;
};

class WronglyDrivenSnet : public ::testing::TestWithParam<Driven> {};
INSTANTIATE_TEST_SUITE_P(It, WronglyDrivenSnet,
                         ::testing::Values(Driven{"DoesNotSkip", Fault::no_skip}, Driven{"Freezes", Fault::freeze},
                                           Driven{"KeepsTheOldConnection", Fault::keep_old},
                                           Driven{"WritesDetached", Fault::write_detached}),
                         [](const auto& info) { return info.param.name; });

// Refused exactly where the fault made a difference.
TEST_P(WronglyDrivenSnet, LeavesTracesThatAreRefused) {
  std::vector<Trace> traces;
  std::vector<bool> wrong;
  constexpr std::ptrdiff_t kOfEach = 10;
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    const Recorded recorded = record(kLarge, seed, GetParam().fault);
    if (std::ranges::count(wrong, recorded.went_wrong) == kOfEach) continue;
    traces.push_back(recorded.trace);
    wrong.push_back(recorded.went_wrong);
    if (std::ssize(wrong) == 2 * kOfEach) break;
  }
  const std::vector<std::string> said = verdicts(kLarge, traces);
  for (std::size_t i = 0; i < traces.size(); ++i)
    EXPECT_EQ(said[i] != "taken", wrong[i]) << "seed " << i + 1 << ": " << said[i];
  const auto refused = std::ranges::count(wrong, true);
  EXPECT_EQ(refused, kOfEach);
  std::cout << refused << " of " << traces.size() << " traces refused\n";
}

// --- that the traces need the model's rules ---

struct Without {
  const char* mutation;
  Family family;
};

class SnetModelWithout : public ::testing::TestWithParam<Without> {};
INSTANTIATE_TEST_SUITE_P(Rule, SnetModelWithout,
                         ::testing::Values(Without{"ANY_PROOF", kLarge}, Without{"FREEZE", kLarge},
                                           Without{"NO_SKIP", kLarge}, Without{"TELLS_SENT", kLarge},
                                           Without{"RING_UNCHECKED", kSmall}, Without{"MEANWHILE_UNCHECKED", kSmall}),
                         [](const auto& info) { return info.param.mutation; });

// The mutations of spec/models/BUILD that forbid what the rule allows; KEEP_OLD and WRITE_DETACHED only allow more.
TEST_P(SnetModelWithout, RefusesTracesOfTheRealCores) {
  const auto refused_of = [](const std::vector<std::string>& said) {
    return std::ssize(said) - std::ranges::count(said, "taken");
  };
  const std::vector<std::string> said =
      verdicts(GetParam().family, traces_of(GetParam().family), GetParam().mutation,
               [&](const std::vector<std::string>& so_far) { return refused_of(so_far) > 0; });
  const auto refused = refused_of(said);
  EXPECT_GE(refused, 1);
  std::cout << refused << " of " << said.size() << " traces refused\n";
}

}  // namespace
}  // namespace wayport::models
