// What a guest reads from the CPU's identification registers.
#pragma once

#include <cstdint>

namespace penstock::arch {

/// The value for a trapped read of op0=3, op1=0, CRn=0, CRm=crm (1..7), op2.
/// core/vm/id_registers.cpp says which fields a guest sees.
[[nodiscard]] std::uint64_t guest_id_register(unsigned crm, unsigned op2);

}  // namespace penstock::arch
