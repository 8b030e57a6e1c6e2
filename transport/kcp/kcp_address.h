// What a kcp address says (kcp://host:port?...). Both ends give the same crypt and key, and the same fec to recover
// losses; the rest is each end's own. Defaults are those of kcp-go 5.6.1 for a program that sets nothing.
//
//   crypt=NAME        how datagrams are wrapped, as kcp-go spells it: aes-128-gcm, aes-192-gcm, aes-256-gcm (these
//                     authenticate), aes-128, aes-192, aes-256, aes, sm4, 3des, blowfish, cast5, xor, none. Absent: not
//                     wrapped at all, which on the wire is not "none". kcptun's default is aes
//   key=HEX           its key, exactly as long as the cipher's; or
//   key_file=F        the file that holds those hex digits; or
//   password=TEXT     the key is derived as kcptun does (PBKDF2-HMAC-SHA1, salt "kcp-go", 4096 rounds), once per dial
//                     or listen, which takes milliseconds; or
//   password_file=F   the file that holds it, without the line break at its end
//   fec=D,P           P parity datagrams after each D (default none; kcptun and gogateway: 10,3)
//   mode=NAME         kcptun's profiles of the four below: normal (0,40ms,2,1), fast (0,30ms,2,1), fast2 (1,20ms,2,1),
//                     fast3 (1,10ms,2,1); each of the four may still be given
//   nodelay=0|1       smaller least RTO, slower back-off (default 0)
//   interval=100ms    how long acknowledgements wait (default 100ms; 10ms to 5s)
//   resend=N          later segments acknowledged before a fast resend (default 0: never)
//   nc=0|1            1: no congestion control (default 0); the same as congestion=none and original
//   congestion=NAME   none, original (default: kcp-go's slow start) or paced (ours: measures the path's bandwidth)
//   mtu=1400          bytes of UDP payload (128 to 1500)
//   sndwnd, rcvwnd    windows in segments (default 32; 1 to 65535). kcptun: 128 and 512 (client), 1024 (server)
//   ack_nodelay=0|1   acknowledge at once (default 0)
//   stream=0|1        small writes share a segment (default 0)
//   write_delay=0|1   writes wait for `interval` (default 0)
//   dead_link=20      transmissions of one segment before the session ends
//   idle_timeout=10m  silence that ends a session without the extension (0: never)
//   extension=0|1     orderly close, reset, keep-alive with another wayport end that asks, too (default 0)
//   keepalive=20s, liveness_timeout=60s   with the extension: silence before we ask, and that ends the session
//   send_bytes        bytes a session takes before its stream queues (default: twice the send window, at least 64KiB)
//   sndbuf, rcvbuf    of the socket (default 4MiB, cut to what the system allows)
//   offload=0|1       GSO and GRO where the kernel has them (default 1)
// Of listeners only; the bounds of the first line are the listener's, shared out evenly among its loops:
//   sessions=65536, half_open=4096, backlog=128     sessions; those heard once; those not accepted yet
//   opener_burst=256, opener_rate=64                openings from one prefix at once, and per second; on each loop
//   replace=when_silent   may a new session take a known address: never, when_silent (10s), push_zero (as kcp-go)
//   follow_moves=0|1      a session follows its peer to a new address (default 1; only with aes-*-gcm)
//   reuseport=1       a socket for each loop, the kernel chooses (default 0: one socket, and loops hand over). Takes no
//                     part in a restart: the new process binds beside the old, whose sockets go on taking their share
//                     of openers, and drop them, until its last session has ended
//   v6only=1          on [::]: no IPv4 (default 0)
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/address.h"
#include "wayport/transport/kcp/kcp_options.h"
#include "wayport/transport/kcp/kcp_table.h"
#include "wayport/transport/kcp/packet_cipher.h"
#include "wayport/transport/kcp/reed_solomon.h"
#include "wayport/transport/kcp/udp_socket.h"

namespace wayport::transport::kcp {

struct KcpAddress {
  std::shared_ptr<const KcpOptions> session;
  UdpOptions udp;
  KcpTableOptions table;
  std::string crypt;           // empty: no header at all
  std::string cipher_warning;  // one line for a log; empty: nothing to say

  // invalid_argument: names the key, its value and what is allowed; io, not_found: key_file, password_file.
  static Result<KcpAddress> for_dial(const Address& address);
  static Result<KcpAddress> for_listen(const Address& address);

  // A cipher is one loop's: each call gives one with nonces of its own. Null: none.
  std::unique_ptr<PacketCipher> new_cipher() const;
  std::unique_ptr<ReedSolomon> new_code() const;

 private:
  static Result<KcpAddress> read(const Address& address);
  std::string key_;
};

}  // namespace wayport::transport::kcp
