// What a guest sees of the CPU's identification registers (DDI 0487 D23.2): an allow-list of
// fields. A field that nobody has looked at, or whose feature the hypervisor keeps for itself or
// does not enable, reads as "not implemented", whatever a later CPU has. Pure; the caller reads the
// CPU.
#pragma once

#include <cstdint>

namespace penstock::vm {

/// Bits of an address that a guest sees as physical: the input of stage 2 (VTCR_EL2.T0SZ).
inline constexpr unsigned kIpaBits = 40;

/// The register op0=3, op1=0, CRn=0, CRm=`crm` (1..7), op2=`op2` (0..7) as a guest of a CPU where
/// it holds `physical` reads it. Registers that are not allocated, or not known here, read as zero.
[[nodiscard]] std::uint64_t visible_id_register(unsigned crm, unsigned op2, std::uint64_t physical);

}  // namespace penstock::vm
