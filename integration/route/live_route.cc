#include "wayport/integration/route/live_route.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "wayport/base/bytes.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/fragmenting_stream.h"

namespace wayport::route::testing {

using transport::Address;

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + i / 251 + seed) % 253);
  return text;
}

std::string without_prefixes(std::string_view bytes) {
  std::string plain;
  while (bytes.size() >= 4) {
    const std::size_t size = load_le<std::uint32_t>(as_bytes(bytes).data());
    plain += bytes.substr(4, size);
    bytes.remove_prefix(std::min(bytes.size(), size + 4));
  }
  return plain;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

Backend::Backend(const transport::Transports& all, Loop& loop, const std::string& url) {
  auto made = all.listen(loop, Address::parse(url).value(), {});
  if (!made) throw std::runtime_error(made.error().to_string());
  listener_ = *std::move(made);
  listener_->start([this](std::unique_ptr<transport::Incoming> incoming) {
    ends.push_back(std::make_unique<End>());
    End& end = *ends.back();
    end.stream = incoming->accept();
    end.stream->start(end.events);
    if (!reads) end.stream->read(false);
  });
}

Tls::Tls() {
  const transport::IssuedCertificate issued = authority_.issue({.ip_addresses = {"127.0.0.1"}});
  listen =
      "cert=" + directory_.write("cert.pem", issued.cert_pem) + "&key=" + directory_.write("key.pem", issued.key_pem);
  dial = "ca=" + directory_.write("ca.pem", authority_.cert_pem());
}
const Tls& tls() {
  static const Tls made;
  return made;
}

class Redirected::Tcp final : public transport::Transport {
 public:
  explicit Tcp(std::size_t piece) : piece_(piece) {}

  std::unique_ptr<transport::Dial> dial(const transport::Transports& table, Loop& loop, const Address& address,
                                        const transport::DialOptions& options,
                                        transport::OnDialed on_done) const override {
    Address to = address;
    if (to.port() == named) to.set_port(meant);
    return lower_.dial(table, loop, to, options, std::move(on_done));
  }
  Result<std::unique_ptr<transport::Listener>> listen(const transport::Transports& table, Loop& loop,
                                                      const Address& address,
                                                      const transport::ListenOptions& options) const override {
    auto lower = lower_.listen(table, loop, address, options);
    if (!lower || piece_ == 0) return lower;
    return std::make_unique<Cutting>(*std::move(lower), piece_);
  }

  std::atomic<std::uint16_t> named{0}, meant{0};

 private:
  class CutIncoming final : public transport::Incoming {
   public:
    CutIncoming(std::unique_ptr<transport::Incoming> lower, std::size_t piece)
        : lower_(std::move(lower)), piece_(piece) {}
    const transport::PeerInfo& peer() const noexcept override { return lower_->peer(); }
    std::unique_ptr<transport::Stream> accept() override {
      return std::make_unique<transport::FragmentingStream>(lower_->accept(), std::vector<std::size_t>{piece_});
    }
    void reject(const Error& why) override { lower_->reject(why); }

   private:
    std::unique_ptr<transport::Incoming> lower_;
    std::size_t piece_;
  };
  class Cutting final : public transport::Listener {
   public:
    Cutting(std::unique_ptr<transport::Listener> lower, std::size_t piece) : lower_(std::move(lower)), piece_(piece) {}
    void start(transport::OnIncoming on_incoming) override {
      lower_->start([piece = piece_, on_incoming = std::move(on_incoming)](std::unique_ptr<transport::Incoming> one) {
        on_incoming(std::make_unique<CutIncoming>(std::move(one), piece));
      });
    }
    void pause(bool paused) override { lower_->pause(paused); }
    const Address& address() const noexcept override { return lower_->address(); }
    std::vector<int> inheritable_fds() const override { return lower_->inheritable_fds(); }
    void take_back() override { lower_->take_back(); }
    void finish(std::move_only_function<void()> done) override { lower_->finish(std::move(done)); }

   private:
    std::unique_ptr<transport::Listener> lower_;
    std::size_t piece_;
  };

  const transport::TcpTransport lower_;
  const std::size_t piece_;
};

Redirected::Redirected(std::size_t piece) : tcp_(std::make_shared<Tcp>(piece)) { all.add("tcp", tcp_); }
void Redirected::to(std::uint16_t named, std::uint16_t meant) {
  tcp_->meant = meant;
  tcp_->named = named;
}

boost::json::object vectors() {
  std::ifstream file("spec/vectors/route.json");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return boost::json::parse(text).as_object();
}

LiveRoute::LiveRoute(RouteGatewayOptions options, unsigned loops)
    : runtime({.loops = loops, .log = &log}), gateway(runtime, std::move(options)) {
  if (const Result<void> started = gateway.start(); !started) failed = started.error().to_string();
}
LiveRoute::~LiveRoute() = default;

std::string LiveRoute::dial_url(const std::string& target, std::size_t listener, const std::string& parameters) const {
  const Address bound = Address::parse(gateway.addresses().at(listener)).value();
  const std::string& scheme = bound.layers().front();
  std::string url = "route+" + scheme + "://";
  url += scheme == "unix" ? bound.path() : "127.0.0.1:" + std::to_string(bound.port());
  if (scheme == "unix") {
    url += "?identify=" + target;
  } else if (!target.empty()) {
    url += "/" + target;
  }
  const auto add = [&url](const std::string& more) {
    if (!more.empty()) url += (url.find('?') == std::string::npos ? "?" : "&") + more;
  };
  if (scheme == "tls" || scheme == "wss") add(tls().dial);
  if (scheme == "kcp") add("mode=fast3&extension=1");
  add(parameters);
  return url;
}

std::unique_ptr<End> LiveRoute::client(const std::string& target, std::size_t listener, const std::string& parameters) {
  auto end = std::make_unique<End>();
  transport::DialOutcome outcome;
  transport::dial_into(outcome, all, loop, dial_url(target, listener, parameters));
  if (!becomes([&] { return outcome.done(); })) throw std::runtime_error("the dial did not end");
  if (!*outcome.result) throw std::runtime_error(outcome.error());
  end->stream = *std::move(*outcome.result);
  end->stream->start(end->events);
  return end;
}

std::string LiveRoute::refusal(const std::string& target, std::size_t listener, const std::string& parameters) {
  transport::DialOutcome outcome;
  transport::dial_into(outcome, all, loop, dial_url(target, listener, parameters));
  if (!becomes([&] { return outcome.done(); })) return "the dial did not end";
  return outcome.error();
}

std::unique_ptr<End> LiveRoute::raw(std::size_t listener) {
  const Address bound = Address::parse(gateway.addresses().at(listener)).value();
  auto end = std::make_unique<End>();
  transport::DialOutcome outcome;
  transport::dial_into(outcome, all, loop, "tcp://127.0.0.1:" + std::to_string(bound.port()));
  if (!becomes([&] { return outcome.done(); }) || !*outcome.result) throw std::runtime_error(outcome.error());
  end->stream = *std::move(*outcome.result);
  end->stream->start(end->events);
  return end;
}

std::uint64_t LiveRoute::sum(Counter RouteCounters::* counter) const {
  std::uint64_t all_loops = 0;
  for (std::size_t i = 0; i < gateway.loop_count(); ++i) all_loops += (gateway.counters(i).*counter).read();
  return all_loops;
}
std::int64_t LiveRoute::sum(Gauge RouteCounters::* gauge) const {
  std::int64_t all_loops = 0;
  for (std::size_t i = 0; i < gateway.loop_count(); ++i) all_loops += (gateway.counters(i).*gauge).read();
  return all_loops;
}
std::uint64_t LiveRoute::refused(RouteError code) const {
  std::uint64_t all_loops = 0;
  for (std::size_t i = 0; i < gateway.loop_count(); ++i) all_loops += gateway.counters(i).refused_as(code).read();
  return all_loops;
}
std::uint64_t LiveRoute::ended(relay::RelayEnd end) const {
  std::uint64_t all_loops = 0;
  for (std::size_t i = 0; i < gateway.loop_count(); ++i) {
    all_loops += gateway.counters(i).ended[static_cast<std::size_t>(end)].read();
  }
  return all_loops;
}

}  // namespace wayport::route::testing
