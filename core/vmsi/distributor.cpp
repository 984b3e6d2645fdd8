// The distributor's frame (IHI 0069 H 12.9), one rank of SPIs. Every access is one of: a 32-bit
// register, a byte or word of IPRIORITYR, a 64-bit or half IROUTER; anything else reads 0 and
// ignores writes (H12, H13).
#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/vmsi/frame_access.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

namespace gic = hw::gic;
namespace gicd = hw::gic::gicd;

/// The rank of 32 interrupts that the only SPIs are in: register 1 of each bit array. Register 0 is
/// the redistributors' with affinity routing, those above are reserved.
constexpr unsigned kSpiRank = 1;
static_assert(kFirstSpi == 32 * kSpiRank && kSpiCount == 32);

constexpr std::uint32_t type_register() {
  std::uint64_t r = with<gicd::ItLinesNumber>(0, kSpiRank);
  r = with<gicd::NumLpis>(r, std::bit_width(kLpiCount) - 2);
  r = with<gicd::Lpis>(r, 1);
  r = with<gicd::IdBits>(r, 15);
  r = with<gicd::A3v>(r, 1);
  return static_cast<std::uint32_t>(with<gicd::No1n>(r, 1));
}
static_assert(std::has_single_bit(kLpiCount) &&
              (2U << get<gicd::NumLpis>(type_register())) == kLpiCount);

}  // namespace

std::uint32_t VirtualGic::distributor_control(unsigned from) const {
  const std::uint8_t on = groups_.load(std::memory_order_relaxed);
  std::uint64_t r = with<gicd::EnableGrp0>(0, (on & kGroup0) != 0 ? 1 : 0);
  r = with<gicd::EnableGrp1>(r, (on & kGroup1) != 0 ? 1 : 0);
  r = with<gicd::Ds>(with<gicd::Are>(r, 1), 1);
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (i != from && fold_asked(i)) r = with<gicd::Rwp>(r, 1);
  }
  return static_cast<std::uint32_t>(r);
}

void VirtualGic::write_distributor_control(std::uint32_t value) {
  const auto on = static_cast<std::uint8_t>((get<gicd::EnableGrp0>(value) != 0 ? kGroup0 : 0) |
                                            (get<gicd::EnableGrp1>(value) != 0 ? kGroup1 : 0));
  if (groups_.exchange(on, std::memory_order_acq_rel) == on) return;
  {
    const UnfairGuard guard(lpi_lock_);
    refresh_lpi_gates();
  }
  post_all(kPrivate | kSpis | kFold);
}

void VirtualGic::write_route(unsigned spi, std::uint64_t offset, unsigned size, std::uint64_t value,
                             unsigned from, port::ListRegisters& own) {
  bool ours = false;
  {
    const UnfairGuard guard(spi_lock_);
    route_spi(spi, replace_part(spi_route_[spi], offset, size, value));
    ours = ask_holders(1U << spi, from);
    announce_spis();
  }
  if (ours) serve_own(from, own);
}

void VirtualGic::write_spi_bits(BitRegister which, std::uint32_t value, unsigned from,
                                port::ListRegisters& own) {
  bool ours = false;
  {
    const UnfairGuard guard(spi_lock_);
    write_bits(spis_, which, value);
    // An enable, and a new pending state, only add; anything else may take away.
    if (takes_away(which)) ours = ask_holders(value_mask(which, value), from);
    announce_spis();
  }
  if (ours) serve_own(from, own);
}

std::uint32_t VirtualGic::distributor_word(std::uint64_t offset, unsigned from,
                                           port::ListRegisters& own) {
  switch (offset) {
    case gicd::kCtlr: return distributor_control(from);
    case gicd::kTyper: return type_register();
    case gicd::kIidr: return gic::kIidrArm;
    case gic::kPidr2: return gic::kPidr2Gicv3;
    default: break;
  }
  const std::optional<BitAccess> bits = bit_register(offset);
  const bool is_bits = bits && bits->word == kSpiRank;
  if (is_bits && shows_residents(bits->which)) look_spis(from, own);
  const UnfairGuard guard(spi_lock_);
  if (offset == gic::kIcfgr + 8) return read_config(spis_, 0);
  if (offset == gic::kIcfgr + 12) return read_config(spis_, 1);
  return is_bits ? read_bits(spis_, bits->which) : 0;
}

void VirtualGic::write_distributor_word(std::uint64_t offset, std::uint32_t value, unsigned from,
                                        port::ListRegisters& own) {
  if (offset == gicd::kCtlr) return write_distributor_control(value);
  if (offset == gic::kIcfgr + 8 || offset == gic::kIcfgr + 12) {
    const UnfairGuard guard(spi_lock_);
    write_config(spis_, offset == gic::kIcfgr + 8 ? 0 : 1, value);
    return announce_spis();
  }
  const std::optional<BitAccess> bits = bit_register(offset);
  if (bits && bits->word == kSpiRank) write_spi_bits(bits->which, value, from, own);
}

std::uint64_t VirtualGic::distributor_read(VcpuIndex from, port::ListRegisters& own,
                                           std::uint64_t offset, unsigned size) {
  if (from.value() >= vcpu_count_) return 0;
  if (const auto first = priority_access(offset, size, kFirstSpi)) {
    const UnfairGuard guard(spi_lock_);
    return read_priorities(spis_, *first, size);
  }
  if (const auto spi = route_access(offset, size)) {
    const UnfairGuard guard(spi_lock_);
    return part_of(spi_route_[*spi], offset, size);
  }
  if (size != 4 || offset % 4 != 0) return 0;
  return distributor_word(offset, from.value(), own);
}

void VirtualGic::distributor_write(VcpuIndex from, port::ListRegisters& own, std::uint64_t offset,
                                   unsigned size, std::uint64_t value) {
  if (from.value() >= vcpu_count_) return;
  if (const auto first = priority_access(offset, size, kFirstSpi)) {
    const UnfairGuard guard(spi_lock_);
    return write_priorities(spis_, *first, size, static_cast<std::uint32_t>(value));
  }
  if (const auto spi = route_access(offset, size)) {
    return write_route(*spi, offset, size, value, from.value(), own);
  }
  if (size != 4 || offset % 4 != 0) return;
  write_distributor_word(offset, static_cast<std::uint32_t>(value), from.value(), own);
}

}  // namespace penstock::vmsi
