#include "hypervisor/arch/aarch64/guest_access.hpp"

#include <optional>

#include "core/vm/load_store.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

constexpr unsigned kStackPointer = 31;

// SPSR_EL2.M of AArch64 state: bit 0 chooses the stack pointer of the level, bits 3..2 are the
// level. Bit 4: AArch32 state.
bool is_aarch32(const GuestFrame& frame) {
  return (frame.spsr & 0x10) != 0;
}
bool is_el1(const GuestFrame& frame) {
  return (frame.spsr & 0xc) != 0;
}
bool has_own_stack(const GuestFrame& frame) {
  return (frame.spsr & 1) != 0;
}

std::uint64_t read_base(const GuestFrame& frame, unsigned reg) {
  if (reg != kStackPointer) return frame.x[reg];
  return has_own_stack(frame) ? PENSTOCK_READ_SYSREG(sp_el1) : PENSTOCK_READ_SYSREG(sp_el0);
}

void write_base(GuestFrame& frame, unsigned reg, std::uint64_t value) {
  if (reg != kStackPointer) {
    frame.x[reg] = value;
  } else if (has_own_stack(frame)) {
    PENSTOCK_WRITE_SYSREG(sp_el1, value);
  } else {
    PENSTOCK_WRITE_SYSREG(sp_el0, value);
  }
}

/// The instruction that trapped, read once. Nothing when the guest's own tables, which it may have
/// changed since, do not lead to it any more, or not to RAM.
std::optional<std::uint32_t> trapped_instruction(vm::Domain& domain, const GuestFrame& frame) {
  // PAR_EL1 (DDI 0487 D19.2.110): bit 0, the walk failed; bits 51..12, the page.
  constexpr std::uint64_t kFailed = 1;
  constexpr std::uint64_t kPage = 0x000f'ffff'ffff'f000;
  if (is_aarch32(frame)) return std::nullopt;
  const std::uint64_t found =
      is_el1(frame) ? read_translation_of_el1(frame.elr) : read_translation_of_el0(frame.elr);
  if ((found & kFailed) != 0) return std::nullopt;
  return domain.instruction_at(Gpa((found & kPage) | (frame.elr & (kPageSize - 1))));
}

/// Of a pair of which the second element lies in the next page, only one page is known; and an
/// instruction that does not lead to the address that trapped is not the one that did.
bool is_the_access(const vm::LoadStore& what, const GuestFrame& frame,
                   const TrappedAccess& trapped) {
  constexpr std::uint64_t kWithoutTag = ~std::uint64_t{0} >> 8;
  const std::uint64_t first = read_base(frame, what.base) + static_cast<std::uint64_t>(what.offset);
  return ((first ^ trapped.address) & kWithoutTag) == 0 &&
         first % kPageSize + what.bytes() <= kPageSize;
}

}  // namespace

bool carry_out_instruction(Vcpu& vcpu, GuestFrame& frame, const TrappedAccess& trapped,
                           vm::Exit& reason) {
  const auto instruction = trapped_instruction(vcpu.partition->domain(), frame);
  const auto what = instruction ? vm::decode_load_store(*instruction) : std::nullopt;
  if (!what || !is_the_access(*what, frame, trapped)) return false;
  const GuestFrame before = frame;
  const std::uint64_t base = read_base(frame, what->base);
  for (unsigned i = 0; i < what->count; ++i) {
    const Access access{what->size, what->regs[i], what->write, what->sign_extend, what->wide};
    if (!carry_out(vcpu, frame, trapped.at + i * what->size, access, reason)) {
      frame = before;  // a base that the first element was loaded into
      return false;
    }
  }
  if (what->write_back != 0) {
    write_base(frame, what->base, base + static_cast<std::uint64_t>(what->write_back));
  }
  return true;
}

}  // namespace penstock::arch
