// The two kinds of Plumbing that lead the traffic of one network namespace through its own two devices, by routing rules.
//
// Rules and tables of ours are marked by kOrigin. In the order of their priority:
//
//   kBeforeLocal   attach: from DEVICE, tcp, udp or icmp -> table kInTable (the right device)
//   kLocal         attach: the table of this machine's addresses, which the kernel has at 0; moved behind the one above
//   kAfterLocal    attach: this machine's own packets -> table kOutTable (the left device)
//                  route: from either device -> table kOutTable or kInTable
//
// A rule that names a protocol does not see ARP, so that neighbours still get their answers for addresses whose packets take
// the link.
#pragma once

#include <memory>

#include "wayport/integration/emulator/plumbing.h"

namespace wayport::emulator {

inline constexpr std::uint32_t kMainTable = 254;
inline constexpr std::uint32_t kLocalTable = 255;
inline constexpr std::uint32_t kOutTable = 8701;
inline constexpr std::uint32_t kInTable = 8702;
inline constexpr std::uint32_t kBeforeLocal = 10;
inline constexpr std::uint32_t kLocal = 20;
inline constexpr std::uint32_t kAfterLocal = 30;
inline constexpr std::uint8_t kOrigin = 87;
inline constexpr std::uint8_t kKernelOrigin = 2;  // RTPROT_KERNEL

Result<std::unique_ptr<Plumbing>> route_between(const RouteOptions& options);
Result<std::unique_ptr<Plumbing>> attach_here(const AttachOptions& options);

}  // namespace wayport::emulator
