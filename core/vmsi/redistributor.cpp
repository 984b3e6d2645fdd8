// The redistributors' frames (IHI 0069 H 12.10, 12.11): RD_base for power and LPIs, SGI_base for
// the SGIs and PPIs of one vCPU. The pending table that a guest offers is accepted and not used:
// pending bits live in the hypervisor. LPIs can be turned off again (GICR_CTLR.CES); they keep
// their pending state until they are turned on with PTZ = 1.
#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/vmsi/frame_access.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

namespace gic = hw::gic;
namespace gicr = hw::gic::gicr;

static_assert(VirtualGic::kDistributorBytes == gic::kFrameBytes);
static_assert(VirtualGic::kRedistributorBytes == gic::kRedistributorBytes);

constexpr std::uint64_t kPropbaserMask = gicr::PropIdBits::kMask | gicr::PropInnerCache::kMask |
                                         gicr::PropShareability::kMask | gicr::PropAddress::kMask |
                                         gicr::PropOuterCache::kMask;
constexpr std::uint64_t kPendbaserMask = gicr::PendInnerCache::kMask |
                                         gicr::PendShareability::kMask | gicr::PendAddress::kMask |
                                         gicr::PendOuterCache::kMask | gicr::PendZero::kMask;

}  // namespace

std::uint64_t VirtualGic::redistributor_type(unsigned vcpu) const {
  std::uint64_t r = with<gicr::Plpis>(0, 1);
  r = with<gicr::Last>(r, vcpu + 1 == vcpu_count_ ? 1 : 0);
  r = with<gicr::ProcessorNumber>(r, vcpu);
  return with<gicr::Affinity>(r, gic::packed_affinity(affinity_[vcpu]));
}

void VirtualGic::write_redistributor_control(unsigned vcpu, std::uint64_t value) {
  RedistributorRegisters& r = redistributors_[vcpu];
  const bool enable = get<gicr::EnableLpis>(value) != 0;
  if (enable == r.enable_lpis) return;
  r.enable_lpis = enable;
  if (enable) {
    // PTZ is about this one time (12.11.27).
    if (get<gicr::PendZero>(r.pendbaser) != 0) {
      for (auto& word : vcpus_[vcpu].lpi_pending) word.store(0, std::memory_order_relaxed);
      r.pendbaser = with<gicr::PendZero>(r.pendbaser, 0);
    }
    load_lpi_configs_locked(vcpu);
  }
  refresh_lpi_gates();
}

std::uint64_t VirtualGic::lpi_frame_read(unsigned vcpu, std::uint64_t offset, unsigned size) {
  if (hits64(offset, size, gicr::kTyper)) return part_of(redistributor_type(vcpu), offset, size);
  const UnfairGuard guard(lpi_lock_);
  const RedistributorRegisters& r = redistributors_[vcpu];
  if (hits64(offset, size, gicr::kPropbaser)) return part_of(r.propbaser, offset, size);
  if (hits64(offset, size, gicr::kPendbaser)) {
    return part_of(with<gicr::PendZero>(r.pendbaser, 0), offset, size);  // reads 0 (12.11.27)
  }
  if (size != 4) return 0;
  switch (offset) {
    case gicr::kCtlr: {
      std::uint64_t control = with<gicr::EnableLpis>(0, r.enable_lpis ? 1 : 0);
      control = with<gicr::Ces>(control, 1);
      return with<gicr::Rwp>(control, fold_asked(vcpu) ? 1 : 0);
    }
    case gicr::kIidr: return gic::kIidrArm;
    case gicr::kWaker:
      return with<gicr::ChildrenAsleep>(with<gicr::ProcessorSleep>(0, r.asleep ? 1 : 0),
                                        r.asleep ? 1 : 0);
    case gic::kPidr2: return gic::kPidr2Gicv3;
    default: return 0;
  }
}

void VirtualGic::lpi_frame_write(unsigned vcpu, std::uint64_t offset, unsigned size,
                                 std::uint64_t value) {
  const UnfairGuard guard(lpi_lock_);
  RedistributorRegisters& r = redistributors_[vcpu];
  // Changing a table's address while LPIs are on is UNPREDICTABLE (12.11.27, 12.11.28): ignored.
  if (hits64(offset, size, gicr::kPropbaser)) {
    if (!r.enable_lpis) {
      r.propbaser = replace_part(r.propbaser, offset, size, value) & kPropbaserMask;
    }
    return;
  }
  if (hits64(offset, size, gicr::kPendbaser)) {
    if (!r.enable_lpis) {
      r.pendbaser = replace_part(r.pendbaser, offset, size, value) & kPendbaserMask;
    }
    return;
  }
  if (size != 4) return;
  if (offset == gicr::kCtlr) return write_redistributor_control(vcpu, value);
  if (offset == gicr::kWaker) r.asleep = get<gicr::ProcessorSleep>(value) != 0;
}

std::uint64_t VirtualGic::sgi_frame_read(unsigned vcpu, unsigned from, port::ListRegisters& own,
                                         std::uint64_t offset, unsigned size) {
  Vcpu& v = vcpus_[vcpu];
  const UnfairGuard guard(v.lock);
  if (const auto first = priority_access(offset, size, 0)) {
    return read_priorities(v.bank, *first, size);
  }
  if (size != 4 || offset % 4 != 0) return 0;
  if (offset == gic::kIcfgr) return read_config(v.bank, 0);
  if (offset == gic::kIcfgr + 4) return read_config(v.bank, 1);
  const std::optional<BitAccess> bits = bit_register(offset);
  if (!bits || bits->word != 0) return 0;
  if (shows_residents(bits->which)) look_private(v, from, own);
  return read_bits(v.bank, bits->which);
}

void VirtualGic::write_private_bits(Vcpu& v, BitRegister which, std::uint32_t value, unsigned from,
                                    port::ListRegisters& own) {
  collect_arrivals(v);  // what came before this
  write_bits(v.bank, which, value);
  v.group1.store(v.bank.group1, std::memory_order_relaxed);
  // An enable, and a new pending state, only add; anything else may take away.
  if (takes_away(which)) request_private(v, value_mask(which, value), from, own);
  announce_private(v);
}

void VirtualGic::sgi_frame_write(unsigned vcpu, unsigned from, port::ListRegisters& own,
                                 std::uint64_t offset, unsigned size, std::uint64_t value) {
  Vcpu& v = vcpus_[vcpu];
  const auto word = static_cast<std::uint32_t>(value);
  const UnfairGuard guard(v.lock);
  if (const auto first = priority_access(offset, size, 0)) {
    return write_priorities(v.bank, *first, size, word);
  }
  if (size != 4 || offset % 4 != 0) return;
  if (offset == gic::kIcfgr + 4) return write_config(v.bank, 1, word);  // SGIs are always edges
  const std::optional<BitAccess> bits = bit_register(offset);
  if (bits && bits->word == 0) write_private_bits(v, bits->which, word, from, own);
}

std::uint64_t VirtualGic::redistributor_read(VcpuIndex from, port::ListRegisters& own,
                                             std::uint64_t offset, unsigned size) {
  const std::uint64_t vcpu = offset / kRedistributorBytes;
  if (vcpu >= vcpu_count_ || from.value() >= vcpu_count_) return 0;
  const std::uint64_t inside = offset % kRedistributorBytes;
  if (inside < gic::kFrameBytes) return lpi_frame_read(static_cast<unsigned>(vcpu), inside, size);
  return sgi_frame_read(static_cast<unsigned>(vcpu), from.value(), own, inside - gic::kFrameBytes,
                        size);
}

void VirtualGic::redistributor_write(VcpuIndex from, port::ListRegisters& own, std::uint64_t offset,
                                     unsigned size, std::uint64_t value) {
  const std::uint64_t vcpu = offset / kRedistributorBytes;
  if (vcpu >= vcpu_count_ || from.value() >= vcpu_count_) return;
  const std::uint64_t inside = offset % kRedistributorBytes;
  if (inside < gic::kFrameBytes) {
    return lpi_frame_write(static_cast<unsigned>(vcpu), inside, size, value);
  }
  sgi_frame_write(static_cast<unsigned>(vcpu), from.value(), own, inside - gic::kFrameBytes, size,
                  value);
}

}  // namespace penstock::vmsi
