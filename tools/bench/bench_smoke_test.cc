// Goal: the benchmarks run, and their counts add up. Method: each with tiny parameters, as users start them; no
// statement about time.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include "wayport/tools/bench/testing/bench_program.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;
using testing::Ran;
using testing::run;
using testing::run_json;

void expect_all_right(const json::object& side) {
  EXPECT_GT(side.at("messages").to_number<std::uint64_t>(), 0u);
  EXPECT_GT(side.at("sum").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(side.at("wrong").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(side.at("failed").to_number<std::uint64_t>(), 0u);
  EXPECT_LE(side.at("p50_us").to_number<double>(), side.at("p99_us").to_number<double>());
  EXPECT_LE(side.at("p99_us").to_number<double>(), side.at("max_us").to_number<double>());
}

// Rows of a comparison between the raw echo and `name`.
void expect_rows(const json::object& report, const char* name, std::size_t count) {
  const json::array& rows = report.at("rows").as_array();
  EXPECT_EQ(rows.size(), count);
  for (const json::value& row : rows) {
    expect_all_right(row.at("raw").as_object());
    expect_all_right(row.at(name).as_object());
  }
}

constexpr const char* kTiny = " --seconds 0.02 --rounds 2 --cores any";

TEST(Bench, ComparesPullsOnEachTransport) {
  expect_rows(run_json(std::string("rpc --transport all --outstanding 1,64") + kTiny), "rpc", 6);
}

TEST(Bench, ComparesPullsOfProtobufMessages) {
  expect_rows(run_json(std::string("rpc --transport tcp --outstanding 3 --codec protobuf") + kTiny), "rpc", 1);
}

TEST(Bench, ComparesPullsInAnOpenLoop) {
  const json::object report = run_json(std::string("rpc --transport unix --rate 2000") + kTiny);
  expect_rows(report, "rpc", 1);
  // 0.02 s at 2000 per second.
  EXPECT_EQ(report.at("rows").at(0).at("rpc").at("messages").to_number<int>(), 40);
}

TEST(Bench, ComparesPacketsOnEachTransport) {
  expect_rows(run_json(std::string("packet --transport all --outstanding 1,64") + kTiny), "packet", 6);
}

TEST(Bench, ComparesPacketsOfProtobufMessagesInAnOpenLoop) {
  expect_rows(run_json(std::string("packet --transport unix --rate 1000 --codec protobuf") + kTiny), "packet", 1);
}

TEST(Bench, ComparesLargeBodies) {
  expect_rows(run_json(std::string("packet --transport unix --outstanding 20 --body-bytes 65536") + kTiny), "packet",
              1);
  expect_rows(run_json(std::string("rpc --transport unix --outstanding 20 --body-bytes 65536") + kTiny), "rpc", 1);
}

TEST(Bench, CountsIdleSessions) {
  const json::object report = run_json("idle --transport all --sessions 20");
  const json::array& rows = report.at("rows").as_array();
  EXPECT_EQ(rows.size(), 3u);
  for (const json::value& row : rows) {
    EXPECT_EQ(row.at("sessions").to_number<int>(), 20);
    EXPECT_GT(row.at("sum").to_number<std::uint64_t>(), 0u);
  }
}

TEST(Bench, ComparesCallsWithAndWithoutOthersThatBlock) {
  const json::object report =
      run_json("blocking --rate 1000 --share 0.1 --block-ms 1 --seconds 0.2 --rounds 2 --cores any");
  ASSERT_EQ(report.at("rows").as_array().size(), 2u);
  for (const json::value& row : report.at("rows").as_array()) {
    EXPECT_GT(row.at("without").at("done").to_number<int>(), 0);
    EXPECT_GT(row.at("with").at("blocked").to_number<int>(), 0);
    EXPECT_EQ(row.at("without").at("blocked").to_number<int>(), 0);
    EXPECT_EQ(row.at("with").at("failed").to_number<int>(), 0);
  }
  EXPECT_GT(report.at("p99_ratio").to_number<double>(), 0);
}

TEST(Bench, OffersMoreThanCanBeDoneAndCountsWhatIsRefusedInItsTurn) {
  const json::object report =
      run_json("overload --work-us 2000 --turn-budget-us 1000 --seconds 0.4 --rounds 2 --cores any");
  ASSERT_EQ(report.at("rows").as_array().size(), 2u);
  EXPECT_GT(report.at("peak_per_second").to_number<double>(), 0);
  EXPECT_GT(report.at("refused_in_the_same_turn").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(report.at("refused_later").to_number<std::uint64_t>(), 0u);
}

// --- link ---

std::uint64_t count_of(const json::value& object, const char* name) {
  return object.at(name).to_number<std::uint64_t>();
}

TEST(BenchLink, ForwardsEachMessageTwiceAndComparesWithABareGateway) {
  const json::object report =
      run_json(std::string("link --part frames --clients 3 --window 4 --frame-bytes 100") + kTiny);
  const json::object& frames = report.at("frames").as_object();
  expect_all_right(frames.at("raw").as_object());
  expect_all_right(frames.at("gateway").as_object());
  EXPECT_EQ(frames.at("unexpected").to_number<int>(), 0);
  EXPECT_GE(count_of(frames, "answered"), count_of(frames.at("gateway"), "messages"));
  EXPECT_EQ(count_of(frames, "forwarded"), 2 * count_of(frames, "answered"));
  EXPECT_EQ(report.count("dial"), 0u);
}

TEST(BenchLink, AClientThatIsStuckCostsNobodyElseAFrame) {
  const json::object report =
      run_json("link --part isolation --crowd 20 --rate 2000 --flood-mb 60 --seconds 0.1 --rounds 2 --cores any");
  const json::object& isolation = report.at("isolation").as_object();
  EXPECT_EQ(count_of(isolation, "clients"), 19u);
  ASSERT_EQ(isolation.at("rows").as_array().size(), 2u);
  for (const json::value& row : isolation.at("rows").as_array()) {
    for (const char* const side : {"without", "with"}) {
      EXPECT_EQ(count_of(row.at(side), "messages"), 100u);  // 0.05 s at 2000 per second
      EXPECT_EQ(count_of(row.at(side), "wrong"), 0u);
      EXPECT_EQ(count_of(row.at(side), "failed"), 0u);
    }
  }
  EXPECT_EQ(count_of(isolation, "unexpected"), 0u);
  EXPECT_GE(count_of(isolation, "stuck_clients"), 2u);  // one in each round
  EXPECT_EQ(count_of(isolation, "stuck_virtuals"), 8 * count_of(isolation, "stuck_clients"));
  EXPECT_EQ(count_of(isolation, "stuck_closed"), count_of(isolation, "stuck_virtuals"));
  EXPECT_GE(count_of(isolation, "closed_slow"), 2u);
  EXPECT_EQ(count_of(isolation, "closed_slow") + count_of(isolation.at("gateway"), "closed_by_loss"),
            count_of(isolation, "stuck_closed"));
  EXPECT_EQ(count_of(isolation, "bound_bytes"), (12u << 20) + (64u << 10));
  EXPECT_GT(count_of(isolation, "flood_bytes"), 2u << 20);  // the bound of a virtual connection, in each round
}

TEST(BenchLink, CountsDialsAsTheGatewayDoes) {
  const json::object report = run_json(std::string("link --part dial --clients 3 --window 4") + kTiny);
  const json::object& dial = report.at("dial").as_object();
  EXPECT_GE(count_of(dial, "dials"), 2 * 12u);  // each window at least once in each round
  EXPECT_EQ(count_of(dial, "refused"), 0u);
  EXPECT_EQ(count_of(dial, "unexpected"), 0u);
  for (const char* const name : {"dials", "dials_accepted", "closed_by_endpoint"}) {
    EXPECT_EQ(count_of(dial.at("gateway"), name), count_of(dial, "dials")) << name;
  }
}

TEST(BenchLink, CountsIdleClientsAndVirtualConnections) {
  const json::object report = run_json("link --part idle --idle-clients 30 --idle-virtuals 250 --cores any");
  const json::object& idle = report.at("idle").as_object();
  EXPECT_EQ(count_of(idle, "clients"), 30u);
  EXPECT_EQ(count_of(idle, "virtuals"), 250u);
  EXPECT_EQ(count_of(idle, "virtual_clients"), 2u);
}

TEST(BenchLink, PrintsThePartsThatWereAskedFor) {
  const Ran ran = run(std::string("link --part dial,frames --no-raw --clients 2 --window 2 --loops 2") + kTiny);
  EXPECT_EQ(ran.status, 0);
  for (const char* const word : {"cpu ", "2 loops", "frames:", "gateway CPU", "dial:", "dials/s"}) {
    EXPECT_NE(ran.output.find(word), std::string::npos) << word << " in\n" << ran.output;
  }
  for (const char* const word : {"idle:", "isolation:", "raw"}) {
    EXPECT_EQ(ran.output.find(word), std::string::npos) << word << " in\n" << ran.output;
  }
  EXPECT_NE(run("link --part speed 2>&1").status, 0);
}

// --- relays ---

// Sides of each row, right in all they say; nothing came that was not sent, and nothing was sent that did not come.
void expect_section(const json::value& section, std::initializer_list<const char*> loads,
                    std::initializer_list<const char*> sides) {
  const json::array& rows = section.at("rows").as_array();
  ASSERT_EQ(rows.size(), loads.size());
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].at("load").as_string(), loads.begin()[i]);
    const json::array& all = rows[i].at("sides").as_array();
    ASSERT_EQ(all.size(), sides.size());
    for (std::size_t j = 0; j < all.size(); ++j) {
      EXPECT_EQ(all[j].at("name").as_string(), sides.begin()[j]);
      EXPECT_GE(count_of(all[j], "messages"), 2 * count_of(rows[i], "outstanding"));  // in each of two rounds
      EXPECT_GE(count_of(all[j], "answered"), count_of(all[j], "messages"));
      EXPECT_EQ(count_of(all[j], "wrong"), 0u);
      EXPECT_EQ(count_of(all[j], "failed"), 0u);
      bytes += count_of(all[j], "answered") * count_of(all[j], "reply_bytes");
    }
  }
  EXPECT_EQ(count_of(section, "answered_bytes"), bytes);
  EXPECT_EQ(count_of(section, "backend_bytes"), bytes);
  EXPECT_EQ(count_of(section, "connections"), rows.size());
}

void expect_gateway(const json::value& section, const char* name, std::uint64_t joined) {
  const json::value& counts = section.at("gateways").at(name);
  EXPECT_EQ(count_of(counts, "joined"), joined) << name;
  EXPECT_EQ(count_of(counts, "refused"), 0u) << name;
}

TEST(BenchRoute, RelaysEachByteSplicedAndCopied) {
  const json::object report = run_json(std::string("route --no-other --outstanding 1,16 --chunk-kib 64") + kTiny);
  ASSERT_EQ(report.at("sections").as_array().size(), 1u);
  const json::value& section = report.at("sections").at(0);
  expect_section(section, {"bulk", "exchange", "exchange"}, {"direct", "splice", "copy"});
  expect_gateway(section, "splice", 3);
  expect_gateway(section, "copy", 3);
  EXPECT_EQ(count_of(section.at("gateways").at("copy"), "joined_spliced"), 0u);
}

TEST(BenchWs, GivesTheBackendEachMessageBehindItsLength) {
  const json::object report = run_json(std::string("ws --no-other --outstanding 1,16 --message-bytes 200") + kTiny);
  ASSERT_EQ(report.at("sections").as_array().size(), 1u);
  const json::value& section = report.at("sections").at(0);
  expect_section(section, {"exchange", "exchange"}, {"gateway"});
  expect_gateway(section, "gateway", 2);
  EXPECT_EQ(count_of(section.at("rows").at(0).at("sides").at(0), "reply_bytes"), 4 + 200u);
}

TEST(BenchKcp, RelaysEachByteThroughBothGateways) {
  const json::object report = run_json(std::string("kcp --no-other --chunk-kib 16 --chunks 2") + kTiny);
  ASSERT_EQ(report.at("sections").as_array().size(), 2u);  // without and with cipher and FEC
  for (const json::value& section : report.at("sections").as_array()) {
    expect_section(section, {"bulk", "echo", "exchange"}, {"gateways"});
    expect_gateway(section, "near", 3);
    expect_gateway(section, "far", 3);
  }
}

TEST(BenchKcp, RelaysEachByteOverALinkThatLosesDatagrams) {
  const json::object report = run_json(std::string("kcp --no-other --chunk-kib 16 --chunks 2 --loss 0.02") + kTiny);
  EXPECT_EQ(report.at("loss").to_number<double>(), 0.02);
  ASSERT_EQ(report.at("sections").as_array().size(), 2u);
  for (const json::value& section : report.at("sections").as_array()) {
    expect_section(section, {"bulk", "echo", "exchange"}, {"gateways"});
  }
}

TEST(BenchWs, SaysWhatToInstallAndMeasuresTheRest) {
  const std::string path = std::getenv("PATH") ? std::getenv("PATH") : "";
  ::setenv("PATH", "/nowhere", 1);
  const Ran ran = run(std::string("ws --json --outstanding 1 2>/dev/null") + kTiny);
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_NE(ran.status, 0);
  boost::system::error_code error;
  const json::value report = json::parse(ran.output, error);
  ASSERT_FALSE(error) << ran.output;
  ASSERT_EQ(report.at("missing").as_array().size(), 1u);
  EXPECT_NE(report.at("missing").at(0).as_string().find("apt-get install websockify"), json::string::npos);
  expect_section(report.at("sections").at(0), {"exchange"}, {"gateway"});
}

TEST(BenchRoute, PrintsWhatItMeasuredAndHow) {
  const Ran ran = run(std::string("route --no-other --outstanding 1") + kTiny);
  EXPECT_EQ(ran.status, 0);
  for (const char* const word : {"cpu ", "control", "Gbit/s", "gateway CPU", "direct", "splice", "copy", "p99 us"}) {
    EXPECT_NE(ran.output.find(word), std::string::npos) << word << " in\n" << ran.output;
  }
  EXPECT_EQ(ran.output.find("; x: by"), std::string::npos) << ran.output;
  EXPECT_NE(run("route --loss 0.1 2>&1").status, 0);  // TCP loses nothing here
}

TEST(Bench, PrintsATableWithTheMachine) {
  const Ran ran = run(std::string("rpc --transport tcp --outstanding 1") + kTiny);
  EXPECT_EQ(ran.status, 0);
  for (const char* const word : {"cpu ", "kernel", "compiler", "messages/s", "p99.9 us", "raw", "rpc", "p50 x"}) {
    EXPECT_NE(ran.output.find(word), std::string::npos) << word << " in\n" << ran.output;
  }
}

TEST(Bench, ExplainsItself) {
  for (const char* const name :
       {"rpc", "packet", "idle", "link", "route", "ws", "kcp", "blocking", "overload", "restart"}) {
    const Ran ran = run(std::string(name) + " --help");
    EXPECT_EQ(ran.status, 0);
    EXPECT_NE(ran.output.find("Example:"), std::string::npos) << ran.output;
  }
}

TEST(Bench, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(run("rpc --transport pigeon 2>&1").status, 0);
  EXPECT_NE(run("2>&1").status, 0);
}

}  // namespace
}  // namespace wayport::tools
