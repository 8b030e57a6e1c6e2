// Two sessions over a link whose loss, repetition and delay the input chooses: what arrives is always the beginning of
// what was written, and all of it once the link has stopped losing, unless an end has closed.
//
// Input: two bytes of options, then one byte per step: write, wait, change the link, or let a socket be full.
#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"

using namespace wayport;
using namespace wayport::transport::kcp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 400) return 0;
  KcpOptions options;
  options.set_nodelay((data[0] & 1) != 0, 10, data[0] >> 1 & 3, (data[0] & 8) != 0);
  if ((data[0] & 16) != 0) options.congestion = Congestion::paced;
  options.stream_mode = (data[0] & 32) != 0;
  options.write_delay = (data[0] & 64) != 0;
  if ((data[0] & 128) != 0) options.fec_data = 3, options.fec_parity = 2;
  options.mtu = 200;
  options.receive_window = 4 + data[1] % 60;
  options.extension = (data[1] & 128) != 0 ? ExtensionWish::ask : ExtensionWish::off;
  testing::KcpPair pair(options, {}, data[1]);
  std::string wrote[2];
  bool ended[2] = {false, false};
  for (std::size_t i = 2; i < size; ++i) {
    const unsigned side = data[i] & 1;
    testing::KcpEnd& end = pair.end(static_cast<int>(side));
    switch (data[i] >> 1 & 7) {
      case 0:
      case 1:
      case 2: {
        const std::string text((data[i] >> 4) * 40 + 1, static_cast<char>(i));
        wrote[side] += text;
        if (!end.session->closed()) end.write(text);
        break;
      }
      case 3:
        if ((data[i] >> 4) == 15) {
          end.rooms = i % 8;  // until the next wait is over
        } else {
          pair.links[side].loss = (data[i] >> 4) / 20.0;
        }
        break;
      case 4:
        pair.links[side].reorder = pair.links[side].duplicate = (data[i] >> 4) / 20.0;
        break;
      case 5:
        end.reading = !end.reading;
        break;
      case 6:
        if (end.session->closed()) break;
        if ((data[i] >> 4) == 15) {
          end.session->shutdown_write();
        } else if (end.unsent.empty() && !options.stream_mode && !ended[side]) {
          const std::string text((data[i] >> 4) * 400, static_cast<char>(i));  // in fragments
          const Result<bool> taken = end.session->write_message(as_bytes(text));
          WAYPORT_ASSERT(taken || text.empty(), "a message is taken whole, or later");
          if (taken && *taken) wrote[side] += text;
        }
        if ((data[i] >> 4) == 15) ended[side] = true;
        break;
      default:
        pair.run(std::chrono::milliseconds(10 << (data[i] >> 5)));
        pair.a.resume();
        pair.b.resume();
        break;
    }
    WAYPORT_ASSERT(wrote[1].starts_with(pair.a.received) && wrote[0].starts_with(pair.b.received),
                   "not what was written");
    WAYPORT_ASSERT(pair.a.closes <= 1 && pair.b.closes <= 1, "closed twice");
  }
  pair.links = {};
  for (testing::KcpEnd* const end : {&pair.a, &pair.b}) {
    end->resume();
    end->reading = true;
    if (!end->session->closed()) end->read();
  }
  pair.run(std::chrono::minutes(9));  // beyond the longest waits for resends and window probes
  if (pair.a.closes != 0 || pair.b.closes != 0) return 0;
  // What is written after the end is dropped.
  WAYPORT_ASSERT(ended[0] || pair.b.received == wrote[0], "something did not arrive at the accepted end");
  WAYPORT_ASSERT(ended[1] || pair.a.received == wrote[1], "something did not arrive at the dialer");
  return 0;
}
