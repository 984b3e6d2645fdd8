// Controls of capabilities that no guest is shown, as far as a reset has to know them. Offsets are
// from the capability, in bytes.
#pragma once

#include "core/base/bits.hpp"

namespace penstock::hw::pci {

namespace page_request {                   // PCIe 10.5.2
inline constexpr unsigned kControl = 0x4;  // 2 bytes
using Enable = Field<0, 0>;                // in kControl
}  // namespace page_request

namespace process_address_space {          // PCIe 7.8.9
inline constexpr unsigned kControl = 0x6;  // 2 bytes
using Enable = Field<0, 0>;                // in kControl
}  // namespace process_address_space

namespace latency_tolerance {                   // PCIe 7.8.2
inline constexpr unsigned kMaxLatencies = 0x4;  // 4 bytes: snoop, no-snoop
}  // namespace latency_tolerance

namespace pci_x {                          // PCI-X 2.0, 7.2
inline constexpr unsigned kCommand = 0x2;  // 2 bytes
}  // namespace pci_x

namespace link_capabilities {                   // PCIe 7.5.3.6
using DataLinkActiveReporting = Field<20, 20>;  // link_status::DataLinkActive means something
}  // namespace link_capabilities

}  // namespace penstock::hw::pci
