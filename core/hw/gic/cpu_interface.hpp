// GICv3 CPU interface and virtual interface: layouts of the system registers that core/ judges or
// makes (Arm IHI 0069 H, 12.2 and 12.4).
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::gic {

namespace ich_lr {  // ICH_LR<n>_EL2, 12.4.8
enum class State : std::uint8_t { kInvalid = 0, kPending = 1, kActive = 2, kPendingAndActive = 3 };
using VINTID = Field<31, 0>;
using PINTID = Field<44, 32>;  // HW = 1: the physical interrupt to deactivate
using Res0a = Field<47, 45>;
using Priority = Field<55, 48>;
using Res0b = Field<58, 56>;
using NMI = Field<59, 59>;
using Group = Field<60, 60>;
using HW = Field<61, 61>;
using StateField = Field<63, 62, State>;
static_assert(
    covers_exactly<64, VINTID, PINTID, Res0a, Priority, Res0b, NMI, Group, HW, StateField>());
/// HW = 0: the same bits as PINTID mean
using EOI = Field<41, 41>;  // deactivation raises a maintenance interrupt
static_assert((EOI::kMask & PINTID::kMask) == EOI::kMask);
inline constexpr unsigned kMaxCount = 16;
}  // namespace ich_lr

namespace ich_hcr {  // ICH_HCR_EL2, 12.4.7
using En = Field<0, 0>;
using UIE = Field<1, 1>;      // maintenance interrupt when at most one list register is valid
using LRENPIE = Field<2, 2>;  // ... when EOIcount is not zero
using NPIE = Field<3, 3>;     // ... when none is pending
using VGrp0EIE = Field<4, 4>;
using VGrp0DIE = Field<5, 5>;
using VGrp1EIE = Field<6, 6>;
using VGrp1DIE = Field<7, 7>;
using VSgiEOICount = Field<8, 8>;
using Res0a = Field<9, 9>;
using TC = Field<10, 10>;
using TALL0 = Field<11, 11>;
using TALL1 = Field<12, 12>;
using TSEI = Field<13, 13>;
using TDIR = Field<14, 14>;
using DVIM = Field<15, 15>;
using Res0b = Field<26, 16>;
using EOIcount = Field<31, 27>;
using Res0c = Field<63, 32>;
static_assert(
    covers_exactly<64, En, UIE, LRENPIE, NPIE, VGrp0EIE, VGrp0DIE, VGrp1EIE, VGrp1DIE, VSgiEOICount,
                   Res0a, TC, TALL0, TALL1, TSEI, TDIR, DVIM, Res0b, EOIcount, Res0c>());
}  // namespace ich_hcr

namespace ich_vtr {            // ICH_VTR_EL2, 12.4.12
using ListRegs = Field<4, 0>;  // count - 1
using Res0a = Field<17, 5>;
using DVIM = Field<18, 18>;
using TDS = Field<19, 19>;
using NV4 = Field<20, 20>;
using A3V = Field<21, 21>;
using SEIS = Field<22, 22>;
using IDbits = Field<25, 23>;   // 0: 16 bits, 1: 24 bits
using PREbits = Field<28, 26>;  // preemption bits - 1
using PRIbits = Field<31, 29>;  // priority bits - 1
using Res0b = Field<63, 32>;
static_assert(covers_exactly<64, ListRegs, Res0a, DVIM, TDS, NV4, A3V, SEIS, IDbits, PREbits,
                             PRIbits, Res0b>());
}  // namespace ich_vtr

namespace ich_vmcr {  // ICH_VMCR_EL2, 12.4.11
using VENG0 = Field<0, 0>;
using VENG1 = Field<1, 1>;
using VAckCtl = Field<2, 2>;
using VFIQEn = Field<3, 3>;
using VCBPR = Field<4, 4>;
using Res0a = Field<8, 5>;
using VEOIM = Field<9, 9>;
using Res0b = Field<17, 10>;
using VBPR1 = Field<20, 18>;
using VBPR0 = Field<23, 21>;
using VPMR = Field<31, 24>;
using Res0c = Field<63, 32>;
static_assert(covers_exactly<64, VENG0, VENG1, VAckCtl, VFIQEn, VCBPR, Res0a, VEOIM, Res0b, VBPR1,
                             VBPR0, VPMR, Res0c>());
}  // namespace ich_vmcr

namespace ich_misr {  // ICH_MISR_EL2, 12.4.9: why a maintenance interrupt is raised
using EOI = Field<0, 0>;
using U = Field<1, 1>;
using LRENP = Field<2, 2>;
using NP = Field<3, 3>;
using VGrp0E = Field<4, 4>;
using VGrp0D = Field<5, 5>;
using VGrp1E = Field<6, 6>;
using VGrp1D = Field<7, 7>;
using Res0 = Field<63, 8>;
static_assert(covers_exactly<64, EOI, U, LRENP, NP, VGrp0E, VGrp0D, VGrp1E, VGrp1D, Res0>());
}  // namespace ich_misr

namespace icc_sgi1r {             // ICC_SGI1R_EL1 and its siblings, 12.2.14
using TargetList = Field<15, 0>;  // bit n: Aff0 = RS * 16 + n
using Aff1 = Field<23, 16>;
using INTID = Field<27, 24>;
using Res0a = Field<31, 28>;
using Aff2 = Field<39, 32>;
using IRM = Field<40, 40>;  // 1: all CPUs but the sender, the other fields ignored
using Res0b = Field<43, 41>;
using RS = Field<47, 44>;
using Aff3 = Field<55, 48>;
using Res0c = Field<63, 56>;
static_assert(
    covers_exactly<64, TargetList, Aff1, INTID, Res0a, Aff2, IRM, Res0b, RS, Aff3, Res0c>());
}  // namespace icc_sgi1r

}  // namespace penstock::hw::gic
