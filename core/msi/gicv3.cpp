#include "core/msi/gicv3.hpp"

#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/lpi.hpp"

namespace penstock::msi {
namespace {

namespace gic = hw::gic;
namespace gicd = hw::gic::gicd;
namespace gicr = hw::gic::gicr;

constexpr std::uint64_t kSgiBase = gic::kFrameBytes;
constexpr std::uint32_t kFourPriorities = kPriority * 0x0101'0101U;

/// A register array's word with `bits` bits per interrupt that holds `intid`.
constexpr std::uint64_t word_of(std::uint64_t array, unsigned intid, unsigned bits) {
  return array + std::uint64_t{intid} * bits / 32 * 4;
}
constexpr std::uint32_t bit_of(unsigned intid) {
  return 1U << (intid % 32);
}
constexpr std::uint64_t router(unsigned intid) {
  return gicd::kIrouter + 8ULL * intid;
}

bool is_gicv3(port::Mmio& frame) {
  const unsigned revision = (frame.read32(gic::kPidr2) >> 4) & 0xf;
  return revision == 3 || revision == 4;
}

/// Whether the distributor's INTIDs reach over our LPIs (12.9.38).
bool has_lpis(std::uint32_t typer) {
  if (get<gicd::Lpis>(typer) == 0 || get<gicd::IdBits>(typer) + 1 < kLpiBits) return false;
  const std::uint64_t count = get<gicd::NumLpis>(typer);
  return count == 0 || (std::uint64_t{2} << count) >= kLpiCount;
}

}  // namespace

Status Gicv3::wait_clear(port::Mmio& mmio, std::uint64_t offset, std::uint64_t mask) const {
  port::Deadline deadline(*clock_, kWaitNs);
  for (;;) {
    const bool late = deadline.expired();  // before the look: one more look after the deadline
    if ((mmio.read32(offset) & mask) == 0) return {};
    if (late) return fail(Code::kTimeout, offset);
  }
}

Status Gicv3::wait_distributor() {
  return wait_clear(*gicd_, gicd::kCtlr, gicd::Rwp::kMask);
}

Status Gicv3::init(port::Mmio& gicd, std::uint64_t boot_mpidr, port::Clock& clock) {
  const LockGuard guard(lock_);
  gicd_ = &gicd;
  clock_ = &clock;
  if (!is_gicv3(gicd)) return fail(Code::kUnsupported, gicd.read32(gic::kPidr2));
  const std::uint32_t typer = gicd.read32(gicd::kTyper);
  if (!has_lpis(typer)) return fail(Code::kUnsupported, typer);
  const unsigned lines = static_cast<unsigned>(get<gicd::ItLinesNumber>(typer) + 1) * 32;
  spi_end_ = lines < gic::kSpiIntidEnd ? lines : gic::kSpiIntidEnd;

  // Groups off first: affinity routing may only be switched on while they are (12.9.4), and is
  // never switched off.
  const std::uint32_t routing =
      gicd.read32(gicd::kCtlr) & static_cast<std::uint32_t>(gicd::Are::kMask);
  gicd.write32(gicd::kCtlr, routing);
  TRY(wait_distributor());
  gicd.write32(gicd::kCtlr, static_cast<std::uint32_t>(gicd::Are::kMask));
  TRY(wait_distributor());
  const std::uint32_t ctlr = gicd.read32(gicd::kCtlr);
  if (get<gicd::Are>(ctlr) == 0) return fail(Code::kUnsupported, ctlr);

  TRY(quiet_spis(boot_mpidr));
  gicd.write32(gicd::kCtlr, static_cast<std::uint32_t>(gicd::Are::kMask | gicd::EnableGrp1::kMask));
  return wait_distributor();
}

Status Gicv3::quiet_spis(std::uint64_t boot_mpidr) {
  for (unsigned intid = gic::kFirstSpiIntid; intid < spi_end_; intid += 32) {
    gicd_->write32(word_of(gic::kIcenabler, intid, 1), ~0U);
  }
  TRY(wait_distributor());  // disabled everywhere before anything else of them changes
  for (unsigned intid = gic::kFirstSpiIntid; intid < spi_end_; intid += 32) {
    gicd_->write32(word_of(gic::kIcpendr, intid, 1), ~0U);
    gicd_->write32(word_of(gic::kIcactiver, intid, 1), ~0U);
    gicd_->write32(word_of(gic::kIgroupr, intid, 1), ~0U);
  }
  for (unsigned intid = gic::kFirstSpiIntid; intid < spi_end_; intid += 16) {
    gicd_->write32(word_of(gic::kIcfgr, intid, 2), 0);
  }
  for (unsigned intid = gic::kFirstSpiIntid; intid < spi_end_; intid += 4) {
    gicd_->write32(word_of(gic::kIpriorityr, intid, 8), kFourPriorities);
  }
  for (unsigned intid = gic::kFirstSpiIntid; intid < spi_end_; ++intid) {
    gicd_->write64(router(intid), gic::router_affinity(boot_mpidr));
  }
  return wait_distributor();
}

Result<std::uint64_t> Gicv3::find_redistributor(port::Mmio& region, std::uint64_t bytes,
                                                std::uint64_t mpidr) {
  const std::uint32_t wanted = gic::packed_affinity(mpidr);
  std::uint64_t offset = 0;
  while (fits(offset, gic::kRedistributorBytes, bytes)) {
    const std::uint64_t typer = region.read64(offset + gicr::kTyper);
    if (get<gicr::Affinity>(typer) == wanted) return offset;
    if (get<gicr::Last>(typer) != 0) break;
    // GICv4 has two more frames per CPU, for virtual LPIs (12.10).
    offset +=
        get<gicr::Vlpis>(typer) != 0 ? 2 * gic::kRedistributorBytes : gic::kRedistributorBytes;
  }
  return fail(Code::kNotFound, wanted);
}

std::uint16_t Gicv3::processor_number(port::Mmio& frame) {
  return static_cast<std::uint16_t>(get<gicr::ProcessorNumber>(frame.read64(gicr::kTyper)));
}

Status Gicv3::init_redistributor(port::Mmio& frame, CpuIndex cpu, LpiTables& tables) {
  if (gicd_ == nullptr) return fail(Code::kBadState);
  const std::uint64_t typer = frame.read64(gicr::kTyper);
  if (get<gicr::Plpis>(typer) == 0) return fail(Code::kUnsupported, typer);
  TRY(tables.prepare(cpu));

  const std::uint32_t waker = frame.read32(gicr::kWaker);
  frame.write32(gicr::kWaker, waker & ~static_cast<std::uint32_t>(gicr::ProcessorSleep::kMask));
  TRY(wait_clear(frame, gicr::kWaker, gicr::ChildrenAsleep::kMask));

  frame.write32(kSgiBase + gic::kIcenabler, ~0U);
  TRY(wait_clear(frame, gicr::kCtlr, gicr::Rwp::kMask));
  frame.write32(kSgiBase + gic::kIcpendr, ~0U);
  frame.write32(kSgiBase + gic::kIcactiver, ~0U);
  frame.write32(kSgiBase + gic::kIgroupr, ~0U);
  for (unsigned intid = 0; intid < gic::kFirstSpiIntid; intid += 4) {
    frame.write32(kSgiBase + word_of(gic::kIpriorityr, intid, 8), kFourPriorities);
  }
  TRY(wait_clear(frame, gicr::kCtlr, gicr::Rwp::kMask));

  TRY(stop_lpis(frame));
  return start_lpis(frame, cpu, tables);
}

Status Gicv3::stop_lpis(port::Mmio& frame) const {
  const std::uint32_t ctlr = frame.read32(gicr::kCtlr);
  if (get<gicr::EnableLpis>(ctlr) == 0) return {};
  // Whether EnableLPIs can be cleared is the implementation's choice (12.11.2): try, and look.
  // Somebody else's tables stay in use otherwise, in memory that we do not control.
  frame.write32(gicr::kCtlr, ctlr & ~static_cast<std::uint32_t>(gicr::EnableLpis::kMask));
  TRY(wait_clear(frame, gicr::kCtlr, gicr::Rwp::kMask));
  const std::uint32_t after = frame.read32(gicr::kCtlr);
  if (get<gicr::EnableLpis>(after) != 0) return fail(Code::kBadState, after);
  return {};
}

Status Gicv3::start_lpis(port::Mmio& frame, CpuIndex cpu, const LpiTables& tables) const {
  std::uint64_t prop = tables.propbaser();
  frame.write64(gicr::kPropbaser, prop);
  // A redistributor that does not snoop says so by its answer and then wants non-cacheable
  // attributes. The contents are made observable after each write anyway.
  if (get<gicr::PropShareability>(frame.read64(gicr::kPropbaser)) == gic::kNonShareable) {
    prop = with<gicr::PropInnerCache>(with<gicr::PropShareability>(prop, gic::kNonShareable),
                                      gic::kNonCacheable);
    frame.write64(gicr::kPropbaser, prop);
  }
  std::uint64_t pend = tables.pendbaser(cpu);
  frame.write64(gicr::kPendbaser, pend);
  if (get<gicr::PendShareability>(frame.read64(gicr::kPendbaser)) == gic::kNonShareable) {
    pend = with<gicr::PendInnerCache>(with<gicr::PendShareability>(pend, gic::kNonShareable),
                                      gic::kNonCacheable);
    frame.write64(gicr::kPendbaser, pend);
  }
  const bool kept =
      get<gicr::PropAddress>(frame.read64(gicr::kPropbaser)) == get<gicr::PropAddress>(prop) &&
      get<gicr::PendAddress>(frame.read64(gicr::kPendbaser)) == get<gicr::PendAddress>(pend);
  const std::uint32_t ctlr = frame.read32(gicr::kCtlr);
  if (!kept) return fail(Code::kBadState, ctlr);
  frame.write32(gicr::kCtlr, ctlr | static_cast<std::uint32_t>(gicr::EnableLpis::kMask));
  TRY(wait_clear(frame, gicr::kCtlr, gicr::Rwp::kMask));
  const std::uint32_t after = frame.read32(gicr::kCtlr);
  if (get<gicr::EnableLpis>(after) == 0) return fail(Code::kBadState, after);
  return {};
}

bool Gicv3::has_tables(port::Mmio& frame, CpuIndex cpu, const LpiTables& tables) {
  return get<gicr::EnableLpis>(frame.read32(gicr::kCtlr)) != 0 &&
         get<gicr::PropAddress>(frame.read64(gicr::kPropbaser)) ==
             get<gicr::PropAddress>(tables.propbaser()) &&
         get<gicr::PropIdBits>(frame.read64(gicr::kPropbaser)) ==
             get<gicr::PropIdBits>(tables.propbaser()) &&
         get<gicr::PendAddress>(frame.read64(gicr::kPendbaser)) ==
             get<gicr::PendAddress>(tables.pendbaser(cpu));
}

Status Gicv3::enable_ppi(port::Mmio& frame, unsigned intid) {
  if (intid >= gic::kFirstSpiIntid) return fail(Code::kOutOfRange, intid);
  frame.write32(kSgiBase + gic::kIsenabler, bit_of(intid));
  return {};
}

Status Gicv3::disable_ppi(port::Mmio& frame, unsigned intid) {
  if (intid >= gic::kFirstSpiIntid) return fail(Code::kOutOfRange, intid);
  if (clock_ == nullptr) return fail(Code::kBadState);
  frame.write32(kSgiBase + gic::kIcenabler, bit_of(intid));
  return wait_clear(frame, gicr::kCtlr, gicr::Rwp::kMask);
}

Status Gicv3::mask_spi(unsigned intid) {
  if (intid < gic::kFirstSpiIntid || intid >= spi_end_) return fail(Code::kOutOfRange, intid);
  gicd_->write32(word_of(gic::kIcenabler, intid, 1), bit_of(intid));
  return wait_distributor();
}

Status Gicv3::enable_spi(unsigned intid, std::uint64_t mpidr, bool edge) {
  const LockGuard guard(lock_);
  TRY(mask_spi(intid));
  const std::uint64_t config = word_of(gic::kIcfgr, intid, 2);
  const std::uint32_t edge_bit = 2U << (intid % 16 * 2);
  const std::uint32_t others = gicd_->read32(config) & ~edge_bit;
  gicd_->write32(config, edge ? others | edge_bit : others);
  gicd_->write64(router(intid), gic::router_affinity(mpidr));
  gicd_->write32(word_of(gic::kIsenabler, intid, 1), bit_of(intid));
  return {};
}

Status Gicv3::move_spi(unsigned intid, std::uint64_t mpidr) {
  const LockGuard guard(lock_);
  TRY(mask_spi(intid));
  gicd_->write64(router(intid), gic::router_affinity(mpidr));
  gicd_->write32(word_of(gic::kIsenabler, intid, 1), bit_of(intid));
  return {};
}

Status Gicv3::disable_spi(unsigned intid) {
  const LockGuard guard(lock_);
  return mask_spi(intid);
}

}  // namespace penstock::msi
