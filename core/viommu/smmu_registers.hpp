// The registers of a guest's SMMUv3: one table that the emulation runs on, the tests walk and
// docs/vsmmuv3.md is rendered from (IHI 0070, chapter 6).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/hw/smmuv3/registers.hpp"

namespace penstock::viommu {

inline constexpr std::uint64_t kSmmuWindowBytes = 0x2'0000;  // register pages 0 and 1
/// Requester IDs are the stream IDs.
inline constexpr unsigned kSmmuStreamIdBits = 16;

enum class Reg : std::uint8_t {
  kIdr0,
  kIdr1,
  kIdr2,
  kIdr3,
  kIdr4,
  kIdr5,
  kIidr,
  kAidr,
  kCr0,
  kCr0Ack,
  kCr1,
  kCr2,
  kStatusR,
  kGbpa,
  kAgbpa,
  kIrqCtrl,
  kIrqCtrlAck,
  kGerror,
  kGerrorN,
  kGerrorIrqCfg0,
  kGerrorIrqCfg1,
  kGerrorIrqCfg2,
  kStrtabBase,
  kStrtabBaseCfg,
  kCmdqBase,
  kCmdqProd,
  kCmdqCons,
  kEventqBase,
  kEventqIrqCfg0,
  kEventqIrqCfg1,
  kEventqIrqCfg2,
  kEventqProd,
  kEventqCons,
  kCount,
};
inline constexpr auto kRegCount = static_cast<std::size_t>(Reg::kCount);

/// When a write takes effect. At other times the architecture leaves it open; here it is ignored.
enum class Gate : std::uint8_t {
  kReadOnly,
  kAlways,
  kSmmuOff,       // CR0.SMMUEN and CR0ACK.SMMUEN are 0
  kCommandsOff,   // CMDQEN, likewise
  kEventsOff,     // EVENTQEN, likewise
  kAllOff,        // all three
  kGerrorIrqOff,  // IRQ_CTRL.GERROR_IRQEN is 0
  kEventqIrqOff,  // IRQ_CTRL.EVENTQ_IRQEN is 0
  kUpdate,        // with GBPA.UPDATE set, and no update under way
  kActive,        // bits of errors that are active
};

struct RegisterRow {
  Reg id;
  std::string_view name;
  std::uint32_t offset;  // bytes from the window's start
  std::uint8_t bytes;    // 4 or 8; 8: each half may be accessed alone
  std::uint64_t writable;
  std::uint64_t reset;  // of those that do not derive from the board's SMMU
  Gate gate;
  std::string_view meaning;
};

/// In the order of Reg.
[[nodiscard]] const std::array<RegisterRow, kRegCount>& register_table();

/// The register at `offset`, for an access of `size` bytes: the register and the byte in it. None
/// for 8 and 16-bit accesses, unaligned ones, 64-bit ones to 32-bit registers, and where nothing
/// is.
struct RegisterHit {
  const RegisterRow* row;
  unsigned shift;  // bits
};
[[nodiscard]] std::optional<RegisterHit> find_register(std::uint64_t offset, unsigned size);

/// What a guest's SMMU says of itself on a board whose SMMU says `physical`: never more than that,
/// and only what is emulated. Stage 1 alone, outputs of 40 bits, no ATS, PRI, HTTU, BTM, no stalls;
/// with MSI and SEV, which are emulated wholly.
[[nodiscard]] hw::smmuv3::IdRegisters virtual_ids(const hw::smmuv3::IdRegisters& physical);

}  // namespace penstock::viommu
