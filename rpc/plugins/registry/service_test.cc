// Registrations and directories with a real etcd that is killed, restarted, and cut off.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wayport/base/log_testing.h"
#include "wayport/rpc/discovery/testing/etcd_fixture.h"
#include "wayport/rpc/discovery/testing/tcp_relay.h"
#include "wayport/rpc/plugins/registry/service_directory.h"
#include "wayport/rpc/plugins/registry/service_registration.h"

namespace wayport::rpc {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Mode = TcpRelay::Mode;

class ServiceTest : public EtcdTest {
 protected:
  void SetUp() override {
    EtcdTest::SetUp();
    relay.emplace(loop, transports, "127.0.0.1:" + std::to_string(server->port()));
    through = make({.endpoints = {"http://" + relay->address()}, .retry_first = 10ms, .retry_max = 50ms});
  }
  static std::string record(const std::string& address) { return write_record({{address}, {}, {}, {}}).value(); }
  std::unique_ptr<ServiceRegistration> announce(EtcdClient& client, const std::string& id, std::int64_t ttl = 10) {
    return std::make_unique<ServiceRegistration>(loop, client,
                                                 ServiceRegistrationOptions{.key = "/wayport/services/home/" + id,
                                                                            .value = record("tcp://" + id + ":1"),
                                                                            .ttl_seconds = ttl,
                                                                            .retry_first = 10ms},
                                                 log);
  }
  ServiceDirectory::OnChange recorder_of_ids() {
    return [this](const ServiceInstances& all) {
      last.clear();
      for (const ServiceInstance& instance : all) last.push_back(instance.id);
      ++changes;
    };
  }
  bool until_ids(const std::vector<std::string>& ids) {
    return run_until([&] { return changes > 0 && last == ids; });
  }

  MemoryLog log;
  std::optional<TcpRelay> relay;
  std::unique_ptr<EtcdClient> through;
  std::vector<std::string> last;
  int changes = 0;
};

TEST_F(ServiceTest, InstancesComeAndGoAtOnce) {
  ServiceDirectory directory(loop, *client, {.service = "home"}, recorder_of_ids());
  ASSERT_TRUE(until_ids({}));
  EXPECT_TRUE(directory.synced());
  auto b = announce(*client, "b");
  ASSERT_TRUE(until_ids({"b"}));
  auto a = announce(*client, "a");
  ASSERT_TRUE(until_ids({"a", "b"}));
  EXPECT_TRUE(run_until([&] { return a->registered() && b->registered(); }));
  EXPECT_THAT(addresses_of(directory.instances()), ElementsAre("tcp://a:1", "tcp://b:1"));
  ASSERT_TRUE(await(b->withdraw()));
  EXPECT_FALSE(b->registered());
  ASSERT_TRUE(until_ids({"a"}));
  EXPECT_EQ(a->counters().registered, 1U);
}

TEST_F(ServiceTest, AProcessThatDiesIsListedUntilItsLeaseEnds) {
  ServiceDirectory directory(loop, *client, {.service = "home"}, recorder_of_ids());
  auto dies = announce(*through, "a", 1);
  ASSERT_TRUE(until_ids({"a"}));
  relay->set_mode(Mode::refuse);
  relay->cut();
  dies.reset();
  through.reset();
  EXPECT_TRUE(until_ids({}));
}

TEST_F(ServiceTest, ALostLeaseIsRegisteredAnew) {
  ServiceDirectory directory(loop, *client, {.service = "home"}, recorder_of_ids());
  auto a = announce(*through, "a", 1);
  ASSERT_TRUE(until_ids({"a"}));
  relay->set_mode(Mode::refuse);
  relay->cut();
  ASSERT_TRUE(until_ids({}));  // its time was over
  ASSERT_TRUE(run_until([&] { return a->counters().lost == 1; }));
  EXPECT_FALSE(a->registered());
  relay->set_mode(Mode::forward);
  ASSERT_TRUE(until_ids({"a"}));
  EXPECT_TRUE(run_until([&] { return a->registered(); }));  // the watch may be told before the put is answered
  EXPECT_EQ(a->counters().registered, 2U);
  EXPECT_GE(log.count("registration lost"), 1U);
}

TEST_F(ServiceTest, ARestartOfEtcdLosesNobody) {
  ServiceDirectory directory(loop, *through, {.service = "home"}, recorder_of_ids());
  auto a = announce(*through, "a", 5);
  ASSERT_TRUE(until_ids({"a"}));
  const int before = changes;
  server->kill();
  ASSERT_TRUE(run_until([&] { return through->counters().watch_reconnects >= 2; }));
  EXPECT_THAT(last, ElementsAre("a"));  // a registry that is down takes nobody out of service
  ASSERT_TRUE(server->restart());
  auto b = announce(*through, "b", 5);
  ASSERT_TRUE(until_ids({"a", "b"}));
  EXPECT_EQ(changes, before + 1);
  EXPECT_TRUE(a->registered());
}

TEST_F(ServiceTest, AWatchThatWasCutOffTellsWhatItMissedOnce) {
  auto stays = announce(*client, "a");
  auto goes = announce(*client, "b");
  ServiceDirectory directory(loop, *through, {.service = "home"}, recorder_of_ids());
  ASSERT_TRUE(until_ids({"a", "b"}));
  relay->set_mode(Mode::refuse);
  relay->cut();
  ASSERT_TRUE(await(goes->withdraw()));
  auto comes = announce(*client, "c");
  ASSERT_TRUE(run_until([&] { return comes->registered() && through->counters().watch_reconnects >= 1; }));
  EXPECT_THAT(last, ElementsAre("a", "b"));
  relay->set_mode(Mode::forward);
  EXPECT_TRUE(until_ids({"a", "c"}));
}

TEST_F(ServiceTest, RegisteringWaitsForAnEtcdThatIsNotThereYet) {
  relay->set_mode(Mode::refuse);
  auto a = announce(*through, "a");
  ASSERT_TRUE(run_until([&] { return relay->accepted() >= 3; }));
  EXPECT_FALSE(a->registered());
  relay->set_mode(Mode::forward);
  EXPECT_TRUE(run_until([&] { return a->registered(); }));
}

TEST_F(ServiceTest, RecordsThatCannotBeReadAreLeftOutAndCounted) {
  ASSERT_TRUE(await(client->put("/wayport/services/home/bad", "{}")));
  ASSERT_TRUE(await(client->put("/wayport/services/home/good", record("tcp://g:1"))));
  ASSERT_TRUE(await(client->put("/wayport/services/homeless/other", record("tcp://o:1"))));
  ServiceDirectory directory(loop, *client, {.service = "home"}, recorder_of_ids(), log);
  ASSERT_TRUE(until_ids({"good"}));
  EXPECT_EQ(directory.counters().records_bad, 1U);
  EXPECT_EQ(log.count("cannot be read"), 1U);
  ASSERT_TRUE(await(client->put("/wayport/services/home/good", "spoiled")));
  EXPECT_TRUE(until_ids({}));
}

TEST_F(ServiceTest, InstancesMaxBitesOnBothSides) {
  ServiceDirectory directory(loop, *client, {.service = "home", .instances_max = 2}, recorder_of_ids(), log);
  for (const char* id : {"a", "b"}) {
    ASSERT_TRUE(await(client->put("/wayport/services/home/" + std::string(id), record("tcp://h:1"))));
  }
  ASSERT_TRUE(until_ids({"a", "b"}));
  EXPECT_EQ(directory.counters().too_many, 0U);
  ASSERT_TRUE(await(client->put("/wayport/services/home/c", record("tcp://h:1"))));
  ASSERT_TRUE(run_until([&] { return directory.counters().too_many == 1; }));
  EXPECT_THAT(last, ElementsAre("a", "b"));
}

TEST_F(ServiceTest, WhoWasLeftOutComesInWhenAnotherGoes) {
  const std::string at = "/wayport/services/home/";
  for (const char* id : {"a", "b", "c", "d"}) ASSERT_TRUE(await(client->put(at + id, record("tcp://h:1"))));
  ServiceDirectory directory(loop, *client, {.service = "home", .instances_max = 2}, recorder_of_ids(), log);
  ASSERT_TRUE(until_ids({"a", "b"}));
  EXPECT_EQ(directory.counters().too_many, 2U);
  ASSERT_TRUE(await(client->erase(at + "a")));
  ASSERT_TRUE(until_ids({"b", "c"}));
  EXPECT_EQ(directory.counters().too_many, 3U);          // d, once more
  ASSERT_TRUE(await(client->put(at + "c", "spoiled")));  // leaves room, too
  ASSERT_TRUE(until_ids({"b", "d"}));
  // Nobody is left out now, so there is nothing to list.
  const std::uint64_t lists = client->counters().watch_lists;
  ASSERT_TRUE(await(client->erase(at + "b")));
  ASSERT_TRUE(until_ids({"d"}));
  ASSERT_TRUE(await(client->put(at + "e", record("tcp://h:1"))));
  ASSERT_TRUE(until_ids({"d", "e"}));
  EXPECT_EQ(client->counters().watch_lists, lists);
}

TEST_F(ServiceTest, ADirectoryMayGoInsideItsCallback) {
  std::optional<ServiceDirectory> directory;
  directory.emplace(loop, *client, ServiceDirectoryOptions{.service = "home"},
                    [&](const ServiceInstances&) { directory.reset(); });
  EXPECT_TRUE(run_until([&] { return !directory; }));
}

TEST(AddressesOf, TakesTheFirstOfAKnownSchemeOfEachInstance) {
  const ServiceInstances all = {{"a", {{"unix:///x", "tcp://a:1", "tls://a:2"}, {}, {}, {}}},
                                {"b", {{"unix:///y"}, {}, {}, {}}},
                                {"c", {{"tls://c:2"}, {}, {}, {}}}};
  EXPECT_THAT(addresses_of(all), ElementsAre("tcp://a:1", "tls://c:2"));
  EXPECT_THAT(addresses_of(all, {"unix"}), ElementsAre("unix:///x", "unix:///y"));
  EXPECT_THAT(addresses_of(all, {}), IsEmpty());
}

}  // namespace
}  // namespace wayport::rpc
