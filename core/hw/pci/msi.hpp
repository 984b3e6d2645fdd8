// Message-signalled interrupts: MSI (PCIe 7.7.1) and MSI-X (PCIe 7.7.2). Offsets from the
// capability, in bytes.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::pci {

namespace msi {
inline constexpr unsigned kControl = 0x2;      // 2 bytes
inline constexpr unsigned kAddressLow = 0x4;   // 4 bytes, bits 1:0 are zero
inline constexpr unsigned kAddressHigh = 0x8;  // 4 bytes, only with control::Address64

namespace control {  // PCIe 7.7.1.2
using Enable = Field<0, 0>;
using MultipleCapable = Field<3, 1>;  // RO, log2 of the messages wanted; 6 and 7 are reserved
using MultipleEnable = Field<6, 4>;   // RW, log2 of the messages granted
using Address64 = Field<7, 7>;        // RO
using PerVectorMask = Field<8, 8>;    // RO
using ExtendedDataCapable = Field<9, 9>;
using ExtendedDataEnable = Field<10, 10>;
using Reserved = Field<15, 11>;
static_assert(covers_exactly<16, Enable, MultipleCapable, MultipleEnable, Address64, PerVectorMask,
                             ExtendedDataCapable, ExtendedDataEnable, Reserved>());
}  // namespace control

inline constexpr unsigned kMaxVectors = 32;

/// Where the registers behind the address lie, which depends on two read-only bits (PCIe figure
/// 7-46).
struct Layout {
  unsigned data;     // 2 bytes
  unsigned mask;     // 4 bytes, 0: absent
  unsigned pending;  // 4 bytes, 0: absent
  unsigned size;     // bytes of the whole capability
};
[[nodiscard]] constexpr Layout layout(bool address64, bool per_vector_mask) {
  const unsigned data = address64 ? 0xc : 0x8;
  if (!per_vector_mask) return {data, 0, 0, data + 2};
  return {data, data + 4, data + 8, data + 12};
}
}  // namespace msi

namespace msix {
inline constexpr unsigned kControl = 0x2;  // 2 bytes
inline constexpr unsigned kTable = 0x4;    // 4 bytes
inline constexpr unsigned kPba = 0x8;      // 4 bytes
inline constexpr unsigned kSize = 0xc;

namespace control {              // PCIe 7.7.2.2
using TableSize = Field<10, 0>;  // RO, entries - 1
using Reserved = Field<13, 11>;
using FunctionMask = Field<14, 14>;
using Enable = Field<15, 15>;
static_assert(covers_exactly<16, TableSize, Reserved, FunctionMask, Enable>());
}  // namespace control

namespace location {          // of kTable and kPba, PCIe 7.7.2.3 and .4
using Bir = Field<2, 0>;      // index of the BAR; 6 and 7 are reserved
using Offset = Field<31, 3>;  // in units of 8 bytes; mask the register to get bytes
static_assert(covers_exactly<32, Bir, Offset>());
}  // namespace location

/// One table entry (PCIe 7.7.2.5 to .8).
namespace entry {
inline constexpr unsigned kSize = 16;
inline constexpr unsigned kAddressLow = 0x0;   // 4 bytes, bits 1:0 are zero
inline constexpr unsigned kAddressHigh = 0x4;  // 4 bytes
inline constexpr unsigned kData = 0x8;         // 4 bytes
inline constexpr unsigned kControl = 0xc;      // 4 bytes
using Masked = Field<0, 0>;                    // in kControl, 1 after reset
}  // namespace entry

inline constexpr unsigned kMaxVectors = 2048;

/// Bytes of the pending-bit array: whole 64-bit words (PCIe 7.7.2.9).
[[nodiscard]] constexpr unsigned pba_bytes(unsigned vectors) {
  return (vectors + 63) / 64 * 8;
}
}  // namespace msix

}  // namespace penstock::hw::pci
