// The simulated SMMU's register pages (IHI 0070, 6.1 to 6.3).
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

namespace {

/// One look at a register whose effect comes late: true once the looks it takes are used up.
bool elapsed(unsigned& countdown) {
  if (countdown != 0) --countdown;
  return countdown == 0;
}

}  // namespace

Smmu::Smmu(Memory& memory, DmaBus& downstream, SmmuConfig config)
    : memory_(memory), downstream_(downstream), config_(config), gbpa_(config.gbpa) {}

std::uint8_t Smmu::read8(std::uint64_t /*offset*/) {
  misuse("8-bit register access");
  return 0;
}
std::uint16_t Smmu::read16(std::uint64_t /*offset*/) {
  misuse("16-bit register access");
  return 0;
}
void Smmu::write8(std::uint64_t /*offset*/, std::uint8_t /*value*/) {
  misuse("8-bit register access");
}
void Smmu::write16(std::uint64_t /*offset*/, std::uint16_t /*value*/) {
  misuse("16-bit register access");
}

std::uint32_t Smmu::read32(std::uint64_t offset) {
  if (offset % 4 != 0) {
    misuse("unaligned register access");
    return 0;
  }
  const std::uint64_t value = read_register(offset & ~std::uint64_t{7});
  if (read_hook_.first == offset && read_hook_.second) {
    std::exchange(read_hook_.second, nullptr)();
  }
  return static_cast<std::uint32_t>((offset & 4) != 0 ? value >> 32 : value);
}

std::uint64_t Smmu::read64(std::uint64_t offset) {
  if (offset % 8 != 0) {
    misuse("unaligned register access");
    return 0;
  }
  return read_register(offset);
}

void Smmu::write32(std::uint64_t offset, std::uint32_t value) {
  if (offset % 4 != 0) {
    misuse("unaligned register access");
    return;
  }
  write_register(offset, value);
}

void Smmu::write64(std::uint64_t offset, std::uint64_t value) {
  if (offset % 8 != 0) {
    misuse("unaligned register access");
    return;
  }
  write_register(offset, static_cast<std::uint32_t>(value));
  write_register(offset + 4, static_cast<std::uint32_t>(value >> 32));
}

/// Lets time pass for registers whose effect comes late.
void Smmu::settle() {
  if (acks_stopped_) return;
  if (cr0_ != cr0_written_ && elapsed(cr0_countdown_)) {
    cr0_ = cr0_written_;
    store_waiting();
    run_commands();
  }
  if ((gbpa_written_ >> 31) != 0 && elapsed(gbpa_countdown_)) {
    gbpa_ = gbpa_written_ & 0x7fff'ffff;
    gbpa_written_ = 0;
  }
}

/// The aligned pair of 32-bit registers at `offset`.
std::uint64_t Smmu::read_register(std::uint64_t offset) {
  const auto pair = [](std::uint64_t low, std::uint64_t high) { return low | high << 32; };
  switch (offset) {
    case 0x00: return pair(config_.idr0, config_.idr1);
    case 0x08: return pair(0, config_.idr3);
    case 0x10: return pair(0, config_.idr5);
    case 0x18: return pair(0, 1);
    case 0x20: settle(); return pair(cr0_written_, cr0_);
    case 0x28: return pair(cr1_, cr2_);
    case 0x40: settle(); return pair(0, (gbpa_written_ >> 31) != 0 ? gbpa_ | 0x8000'0000 : gbpa_);
    case 0x50: return pair(irq_ctrl_, irq_ctrl_);
    case 0x60: return pair(gerror_, gerrorn_);
    case 0x68: return gerror_irq_.address;
    case 0x70: return gerror_irq_.data;
    case 0x80: return strtab_base_;
    case 0x88: return strtab_base_cfg_;
    case 0x90: return cmdq_base_;
    case 0x98: return pair(cmdq_prod_, cmdq_cons_);
    case 0xa0: return eventq_base_;
    case 0xb0: return eventq_irq_.address;
    case 0xb8: return eventq_irq_.data;
    case 0x100a8: return pair(eventq_prod_, eventq_cons_);
    default: return 0;
  }
}

void Smmu::write_base(std::uint64_t& reg, std::uint64_t value, bool locked, const char* name) {
  if (locked) {
    misuse(std::string(name) + " written while in use");
    return;
  }
  reg = value;
}

/// xxx_IRQ_CFG0 to 2: reserved without MSIs, and fixed while the interrupt is
/// on.
void Smmu::write_interrupt(std::uint64_t& reg, std::uint64_t value, std::uint32_t enable) {
  if (!has(13)) {
    if (value != 0) misuse("IRQ_CFG: an MSI of an SMMU without IDR0.MSI");
    return;
  }
  if ((irq_ctrl_ & enable) != 0) {
    misuse("IRQ_CFG written while its interrupt is on");
    return;
  }
  reg = value;
}

void Smmu::write_cr0(std::uint32_t value) {
  std::uint32_t implemented = 0b1101;                           // SMMUEN, EVENTQEN, CMDQEN
  if (((config_.idr0 >> 10) & 1) != 0) implemented |= 1u << 4;  // ATSCHK with ATS
  if ((value & ~implemented) != 0) misuse("CR0: bits of features that do not exist");
  if (cr0_ != cr0_written_) misuse("CR0 written before the last write was acknowledged");
  cr0_written_ = value & implemented;
  cr0_countdown_ = config_.ack_reads;
}

void Smmu::write_register(std::uint64_t offset, std::uint32_t value) {
  const auto low = [value](std::uint64_t reg) { return (reg & ~0xffff'ffffULL) | value; };
  const auto high = [value](std::uint64_t reg) {
    return (reg & 0xffff'ffffULL) | std::uint64_t{value} << 32;
  };
  const bool smmu_on = ((cr0_ | cr0_written_) & 1) != 0;
  const bool eventq_on = ((cr0_ | cr0_written_) & 4) != 0;
  const bool cmdq_on = ((cr0_ | cr0_written_) & 8) != 0;
  switch (offset) {
    case 0x20: write_cr0(value); return;
    case 0x28:
      if (smmu_on || cmdq_on || eventq_on) misuse("CR1 written while in use");
      cr1_ = value;
      return;
    case 0x2c:
      if (smmu_on) misuse("CR2 written while in use");
      cr2_ = value;
      return;
    case 0x44:
      if ((gbpa_written_ >> 31) != 0) misuse("GBPA written while an update is under way");
      if ((value >> 31) == 0)
        misuse("GBPA written without UPDATE");
      else
        gbpa_written_ = value;
      gbpa_countdown_ = config_.ack_reads;
      return;
    case 0x50: irq_ctrl_ = value & 7; return;
    case 0x64:
      if (((value ^ gerrorn_) & ~(gerror_ ^ gerrorn_)) != 0) {
        misuse("GERRORN: an error acknowledged that is not active");
      }
      gerrorn_ = value;
      run_commands();
      return;
    case 0x68: write_interrupt(gerror_irq_.address, low(gerror_irq_.address), 1); return;
    case 0x6c: write_interrupt(gerror_irq_.address, high(gerror_irq_.address), 1); return;
    case 0x70: write_interrupt(gerror_irq_.data, low(gerror_irq_.data), 1); return;
    case 0x74: write_interrupt(gerror_irq_.data, high(gerror_irq_.data), 1); return;
    case 0x80: write_base(strtab_base_, low(strtab_base_), smmu_on, "STRTAB_BASE"); return;
    case 0x84: write_base(strtab_base_, high(strtab_base_), smmu_on, "STRTAB_BASE"); return;
    case 0x88:
      if (smmu_on)
        misuse("STRTAB_BASE_CFG written while in use");
      else
        strtab_base_cfg_ = value;
      return;
    case 0x90: write_base(cmdq_base_, low(cmdq_base_), cmdq_on, "CMDQ_BASE"); return;
    case 0x94: write_base(cmdq_base_, high(cmdq_base_), cmdq_on, "CMDQ_BASE"); return;
    case 0x98:
      cmdq_prod_ = value & 0xfffff;
      run_commands();
      return;
    case 0x9c:
      if (cmdq_on)
        misuse("CMDQ_CONS written while in use");
      else
        cmdq_cons_ = value;
      return;
    case 0xa0: write_base(eventq_base_, low(eventq_base_), eventq_on, "EVENTQ_BASE"); return;
    case 0xa4: write_base(eventq_base_, high(eventq_base_), eventq_on, "EVENTQ_BASE"); return;
    case 0xb0: write_interrupt(eventq_irq_.address, low(eventq_irq_.address), 4); return;
    case 0xb4: write_interrupt(eventq_irq_.address, high(eventq_irq_.address), 4); return;
    case 0xb8: write_interrupt(eventq_irq_.data, low(eventq_irq_.data), 4); return;
    case 0xbc: write_interrupt(eventq_irq_.data, high(eventq_irq_.data), 4); return;
    case 0x100a8:
      if (eventq_on)
        misuse("EVENTQ_PROD written while in use");
      else
        eventq_prod_ = value & 0x800f'ffff;
      return;
    case 0x100ac:
      eventq_cons_ = value & 0x800f'ffff;
      store_waiting();
      return;
    default: misuse("write to a register that is read-only or absent"); return;
  }
}

void Smmu::raise_gerror(std::uint32_t bits) {
  const std::uint32_t inactive = ~(gerror_ ^ gerrorn_);
  gerror_ ^= bits & inactive;
  // An edge for each error that becomes active, none for one that is (3.18).
  if ((bits & inactive) == 0 || (irq_ctrl_ & 1) == 0) return;
  const std::uint64_t address = gerror_irq_.address & 0x000f'ffff'ffff'fffcu;
  if (has(13) && address != 0 &&
      !send_message(address, static_cast<std::uint32_t>(gerror_irq_.data))) {
    // Of this one nothing can tell (7.5).
    gerror_ ^= kErrorMessageAborted & ~(gerror_ ^ gerrorn_);
    return;
  }
  ++gerror_interrupts_;
}

}  // namespace penstock::sim
