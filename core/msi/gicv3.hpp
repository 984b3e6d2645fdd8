// The board's GICv3 distributor and redistributors (Arm IHI 0069 H): made ready for the hypervisor,
// which takes every physical interrupt as non-secure group 1. The CPU interface (ICC_*) is system
// registers and not here.
//
// Order at boot: init() on the boot CPU; then for each CPU, by itself or by the boot CPU,
// init_redistributor(); then Its::init() and Its::map_collection() per CPU. LPIs reach a CPU only
// after its init_redistributor().
//
// lock_ protects the distributor's read-modify-write registers, shared by all CPUs; rank: a leaf. A
// redistributor's frame is touched by its own CPU, or at boot before that CPU runs.
#pragma once

#include <cstdint>

#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/msi/lpi_tables.hpp"
#include "core/port/clock.hpp"
#include "core/port/mmio.hpp"

namespace penstock::msi {

class Gicv3 {
 public:
  /// Takes over the distributor, whatever state firmware left it in: affinity routing on, every SPI
  /// disabled, not pending, not active, group 1, level, kPriority, routed to the CPU with MPIDR_EL1
  /// `boot_mpidr`; then group 1 on. kUnsupported (arg: the register) when it is no GICv3, lacks
  /// affinity routing, or has not kLpiBits of INTIDs for LPIs; kTimeout (arg: GICD_CTLR's offset).
  Status init(port::Mmio& gicd, std::uint64_t boot_mpidr, port::Clock& clock) EXCLUDES(lock_);

  /// Where in a region of redistributors (`bytes` long, as the device tree has it) the one of the
  /// CPU with MPIDR_EL1 `mpidr` lies: the offset of its RD_base. kNotFound (arg: the affinity),
  /// after at most bytes / 128 KiB steps.
  [[nodiscard]] static Result<std::uint64_t> find_redistributor(port::Mmio& region,
                                                                std::uint64_t bytes,
                                                                std::uint64_t mpidr);

  /// Wakes the redistributor of `cpu` behind `frame` (RD_base, then SGI_base) and makes its SGIs
  /// and PPIs disabled, not pending, not active, group 1, kPriority; then turns LPIs on with tables
  /// from `tables`. LPIs that firmware left on are turned off first, where the hardware lets us.
  /// kUnsupported (arg: GICR_TYPER) without physical LPIs; kBadState (arg: GICR_CTLR) when LPIs
  /// cannot be turned off or it did not keep our tables; kTimeout (arg: offset); and prepare()'s
  /// errors. After init().
  Status init_redistributor(port::Mmio& frame, CpuIndex cpu, LpiTables& tables);

  /// What an ITS with PTA = 0 calls this redistributor: GICR_TYPER.Processor_Number.
  [[nodiscard]] static std::uint16_t processor_number(port::Mmio& frame);

  /// For audits: LPIs are on at the redistributor behind `frame`, with the tables of `cpu`.
  [[nodiscard]] static bool has_tables(port::Mmio& frame, CpuIndex cpu, const LpiTables& tables);

  /// SGI or PPI `intid` (0..31) of the CPU whose frame this is. kOutOfRange (arg: intid).
  /// disable_ppi() waits until no new one can be taken: kTimeout.
  Status enable_ppi(port::Mmio& frame, unsigned intid);
  Status disable_ppi(port::Mmio& frame, unsigned intid);

  /// Lets SPI `intid` through to the CPU with MPIDR_EL1 `mpidr`. Disabled while it is changed.
  /// kOutOfRange (arg: intid) for what is no SPI of this board; kTimeout. Any CPU, after init().
  Status enable_spi(unsigned intid, std::uint64_t mpidr, bool edge) EXCLUDES(lock_);
  /// Sends an enabled SPI to another CPU from now on; one that is pending goes there, one that is
  /// active stays so. Errors as of enable_spi().
  Status move_spi(unsigned intid, std::uint64_t mpidr) EXCLUDES(lock_);
  /// Returns when no CPU can take a new one; one that is active stays so.
  Status disable_spi(unsigned intid) EXCLUDES(lock_);

  /// One past the last INTID of the board's SPIs.
  [[nodiscard]] unsigned spi_end() const { return spi_end_; }

 private:
  /// Waits until `mask` bits of the 32-bit register at `offset` read as zero.
  Status wait_clear(port::Mmio& mmio, std::uint64_t offset, std::uint64_t mask) const;
  Status wait_distributor() REQUIRES(lock_);
  Status quiet_spis(std::uint64_t boot_mpidr) REQUIRES(lock_);
  Status mask_spi(unsigned intid) REQUIRES(lock_);
  Status stop_lpis(port::Mmio& frame) const;
  Status start_lpis(port::Mmio& frame, CpuIndex cpu, const LpiTables& tables) const;

  port::Mmio* gicd_ = nullptr;  // set once by init()
  port::Clock* clock_ = nullptr;
  unsigned spi_end_ = 0;
  SpinLock lock_;
};

}  // namespace penstock::msi
