// Smmu: from any state to "enabled, every stream aborts" (IHI 0070, 6.3.9.6 and 3.11).
#include "core/hw/smmuv3/registers.hpp"
#include "core/iommu/smmuv3.hpp"

namespace penstock::iommu {

namespace hw = penstock::hw::smmuv3;

Status Smmu::init(port::Mmio& registers, port::PhysMem& memory, port::Clock& clock,
                  mem::PagePool& pool, port::Log& log) {
  LockGuard guard(lock_);
  if (registers_ != nullptr) return fail(Code::kBadState);
  registers_ = &registers;
  memory_ = &memory;
  clock_ = &clock;
  pool_ = &pool;
  log_ = &log;

  if (Status ok = abort_all(); !ok) return ok;
  if (Status ok = check_features(); !ok) return ok;
  if (Status ok = table_.init(memory, pool, features_); !ok) return ok;
  if (Status ok = commands_.init(registers, memory, clock, pool, log, features_.cmdq_log2, kWaitNs);
      !ok) {
    return ok;
  }
  {
    LockGuard events(event_lock_);
    if (Status ok =
            events_.init(registers, memory, pool, features_.coherent, features_.eventq_log2);
        !ok) {
      return ok;
    }
  }
  if (Status ok = enable(); !ok) {
    if (Status aborted = abort_all(); !aborted) return aborted;
    return ok;
  }
  ready_ = true;
  return {};
}

/// GBPA first: from the moment that SMMUEN reads 0, it decides what happens to traffic.
Status Smmu::abort_all() {
  port::Deadline deadline(*clock_, kWaitNs);
  while (get<hw::gbpa::UPDATE>(registers_->read32(hw::kGbpa)) != 0) {
    if (deadline.expired()) return fail(Code::kTimeout, hw::kGbpa);
  }
  std::uint64_t gbpa = registers_->read32(hw::kGbpa);
  gbpa = with<hw::gbpa::UPDATE>(with<hw::gbpa::ABORT>(gbpa, 1), 1);
  registers_->write32(hw::kGbpa, static_cast<std::uint32_t>(gbpa));
  while (get<hw::gbpa::UPDATE>(registers_->read32(hw::kGbpa)) != 0) {
    if (deadline.expired()) return fail(Code::kTimeout, hw::kGbpa);
  }
  return write_acknowledged(hw::kCr0, hw::kCr0Ack, 0);
}

Status Smmu::write_acknowledged(std::uint64_t reg, std::uint64_t ack, std::uint32_t value) {
  registers_->write32(reg, value);
  port::Deadline deadline(*clock_, kWaitNs);
  while (registers_->read32(ack) != value) {
    if (deadline.expired()) return fail(Code::kTimeout, ack);
  }
  return {};
}

Status Smmu::check_features() {
  const std::uint32_t idr0 = registers_->read32(hw::kIdr0);
  const std::uint32_t idr1 = registers_->read32(hw::kIdr1);
  const std::uint32_t idr3 = registers_->read32(hw::kIdr3);
  const std::uint32_t idr5 = registers_->read32(hw::kIdr5);

  ids_ = {idr0, idr1, idr3, idr5, registers_->read32(hw::kAidr)};
  // Such an SMMU takes no entry that does not stall faults of stage 2 (5.2, S2S): each would wait
  // for an answer, and hold its device's other accesses up meanwhile.
  if (get<hw::idr0::STALLMODEL>(idr0) == hw::idr0::kStallAlways) {
    return fail(Code::kUnsupported, hw::kIdr0);
  }
  const std::uint64_t endian = get<hw::idr0::TTENDIAN>(idr0);
  if (get<hw::idr0::S2P>(idr0) == 0 || (get<hw::idr0::TTF>(idr0) & hw::idr0::kTtfAArch64) == 0 ||
      (endian != 0 && endian != 2)) {
    return fail(Code::kUnsupported, hw::kIdr0);
  }
  // A queue must hold the longest batch and its CMD_SYNC without becoming full.
  if (get<hw::idr1::TABLESPRESET>(idr1) != 0 || get<hw::idr1::QUEUESPRESET>(idr1) != 0 ||
      get<hw::idr1::CMDQS>(idr1) < 7) {
    return fail(Code::kUnsupported, hw::kIdr1);
  }
  const std::uint64_t oas = get<hw::idr5::OAS>(idr5);
  if (get<hw::idr5::GRAN4K>(idr5) == 0 || oas < hw::idr5::kOas40) {
    return fail(Code::kUnsupported, hw::kIdr5);
  }

  features_.coherent = get<hw::idr0::COHACC>(idr0) != 0;
  features_.two_level = get<hw::idr0::STLEVEL>(idr0) == 1;
  features_.el2 = get<hw::idr0::HYP>(idr0) != 0;
  features_.ats = get<hw::idr0::ATS>(idr0) != 0;
  features_.vmid16 = get<hw::idr0::VMID16>(idr0) != 0;
  features_.ranges = get<hw::idr3::RIL>(idr3) != 0;
  features_.stall_choice = get<hw::idr0::STALLMODEL>(idr0) == hw::idr0::kStallChoice;
  features_.sid_bits = static_cast<unsigned>(get<hw::idr1::SIDSIZE>(idr1));
  features_.cmdq_log2 = static_cast<unsigned>(get<hw::idr1::CMDQS>(idr1));
  features_.eventq_log2 = static_cast<unsigned>(get<hw::idr1::EVENTQS>(idr1));
  features_.output_size = static_cast<unsigned>(oas < hw::idr5::kOas48 ? oas : hw::idr5::kOas48);
  return {};
}

Status Smmu::enable() {
  if (Status ok = write_acknowledged(hw::kIrqCtrl, hw::kIrqCtrlAck, 0); !ok) return ok;

  const std::uint64_t cache = features_.coherent ? 1 : 0;  // write-back, or non-cacheable
  const std::uint64_t share = features_.coherent ? 3 : 2;  // inner, or outer
  std::uint64_t cr1 = with<hw::cr1::QUEUE_IC>(0, cache);
  cr1 = with<hw::cr1::QUEUE_OC>(cr1, cache);
  cr1 = with<hw::cr1::QUEUE_SH>(cr1, share);
  cr1 = with<hw::cr1::TABLE_IC>(cr1, cache);
  cr1 = with<hw::cr1::TABLE_OC>(cr1, cache);
  cr1 = with<hw::cr1::TABLE_SH>(cr1, share);
  registers_->write32(hw::kCr1, static_cast<std::uint32_t>(cr1));
  // Streams that nobody named are worth an event; TLB maintenance of the CPUs is none of this
  // SMMU's business, its VMIDs are numbered apart from theirs.
  const std::uint64_t cr2 = with<hw::cr2::PTM>(with<hw::cr2::RECINVSID>(0, 1), 1);
  registers_->write32(hw::kCr2, static_cast<std::uint32_t>(cr2));
  table_.program(*registers_);

  commands_.program();
  std::uint64_t cr0 = with<hw::cr0::CMDQEN>(0, 1);
  // Without ATSCHK a device could send any machine address as "translated" and would not be looked
  // at.
  if (features_.ats) cr0 = with<hw::cr0::ATSCHK>(cr0, 1);
  // Errors of whoever drove the SMMU before are not ours.
  registers_->write32(hw::kGerrorN, registers_->read32(hw::kGerror));
  if (Status ok = write_acknowledged(hw::kCr0, hw::kCr0Ack, static_cast<std::uint32_t>(cr0)); !ok) {
    return ok;
  }
  const hw::Command forget[] = {hw::cfgi_all(), hw::tlbi_nsnh_all(), hw::tlbi_el2_all()};
  if (Status ok = commands_.issue(std::span(forget).first(features_.el2 ? 3 : 2)); !ok) return ok;

  {
    LockGuard events(event_lock_);
    events_.program();
  }
  cr0 = with<hw::cr0::EVENTQEN>(cr0, 1);
  if (Status ok = write_acknowledged(hw::kCr0, hw::kCr0Ack, static_cast<std::uint32_t>(cr0)); !ok) {
    return ok;
  }
  registers_->write64(hw::kGerrorIrqCfg0, 0);  // no MSI: the wired interrupts
  registers_->write64(hw::kEventqIrqCfg0, 0);
  const std::uint64_t irqs =
      with<hw::irq_ctrl::EVENTQ_IRQEN>(with<hw::irq_ctrl::GERROR_IRQEN>(0, 1), 1);
  if (Status ok =
          write_acknowledged(hw::kIrqCtrl, hw::kIrqCtrlAck, static_cast<std::uint32_t>(irqs));
      !ok) {
    return ok;
  }
  cr0 = with<hw::cr0::SMMUEN>(cr0, 1);
  return write_acknowledged(hw::kCr0, hw::kCr0Ack, static_cast<std::uint32_t>(cr0));
}

Status Smmu::stop() {
  LockGuard guard(lock_);
  if (registers_ == nullptr) return fail(Code::kBadState);
  ready_ = false;
  log_->line(port::Severity::kError, "smmu: stopped, all DMA of all devices aborts");
  return abort_all();
}

}  // namespace penstock::iommu
