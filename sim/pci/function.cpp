#include "sim/pci/function.hpp"

#include <algorithm>

#include "core/base/bytes.hpp"
#include "sim/pci/host.hpp"

namespace penstock::sim {
namespace {

constexpr unsigned kCommand = 0x04;
constexpr unsigned kStatus = 0x06;
constexpr unsigned kBar0 = 0x10;
constexpr unsigned kRom = 0x30;
constexpr std::uint32_t kCommandWritable =
    0x0547;  // I/O, memory, master, parity, SERR, INTx disable

}  // namespace

PciFunction::PciFunction(const PciIdentity& identity) {
  fix(0x00, 2, identity.vendor);
  fix(0x02, 2, identity.device);
  fix(0x08, 4, identity.class_code << 8 | 1);
  set_writable(kCommand, 2, kCommandWritable);
  store(clears_, kStatus, 2, 0xf900);
  set_writable(0x0c, 1, 0xff);  // cache line size
  set_writable(0x3c, 1, 0xff);  // interrupt line
}

void PciFunction::store(std::array<std::uint8_t, kBytes>& to, unsigned offset, unsigned size,
                        std::uint32_t value) {
  store_le(to, offset, size, value);
}

void PciFunction::fix(unsigned offset, unsigned size, std::uint32_t value) {
  store(regs_, offset, size, value);
  store(initial_, offset, size, value);
}

void PciFunction::poke(unsigned offset, unsigned size, std::uint32_t value) {
  fix(offset, size, value);
}

void PciFunction::set_writable(unsigned offset, unsigned size, std::uint32_t mask) {
  store(writable_, offset, size, mask);
}

void PciFunction::set_multi_function() {
  fix(0x0e, 1, regs_[0x0e] | 0x80U);
}

void PciFunction::add_bar(unsigned index, std::uint64_t size, BarKind kind) {
  bars_[index].size = size;
  bars_[index].kind = kind;
  if (!kind.io) bars_[index].bytes.resize(std::min(size, kBarStorage));
  const unsigned at = kBar0 + 4 * index;
  const std::uint64_t mask = ~(size - 1);
  std::uint32_t flags = 0;
  if (kind.io) {
    flags = 1;
  } else {
    flags = (kind.is64 ? 4U : 0U) | (kind.prefetchable ? 8U : 0U);
  }
  fix(at, 4, flags);
  set_writable(at, 4, static_cast<std::uint32_t>(mask) & ~(kind.io ? 3U : 0xfU));
  if (kind.is64) set_writable(at + 4, 4, static_cast<std::uint32_t>(mask >> 32));
}

void PciFunction::add_rom(std::uint32_t size) {
  set_writable(is_bridge() ? 0x38 : kRom, 4, ~(size - 1) | 1);
}

unsigned PciFunction::add_capability(std::uint8_t id, unsigned bytes) {
  const unsigned at = next_capability_;
  next_capability_ = (at + bytes + 3) & ~3U;
  fix(last_capability_ + 1, 1, at);
  fix(at, 1, id);
  fix(kStatus, 2, peek(kStatus, 2) | 0x10);
  last_capability_ = at;
  return at;
}

unsigned PciFunction::add_extended(std::uint16_t id, unsigned bytes) {
  const unsigned at = next_extended_;
  next_extended_ = (at + bytes + 3) & ~3U;
  fix(at, 4, id | 1U << 16);
  if (last_extended_ != 0) fix(last_extended_, 4, peek(last_extended_, 4) | at << 20);
  last_extended_ = at;
  return at;
}

unsigned PciFunction::add_express(PciPortType type, bool flr) {
  express_ = add_capability(0x10, 0x3c);
  fix(express_ + 2, 2, 2U | static_cast<std::uint32_t>(type) << 4);
  fix(express_ + 4, 4, 0x8000U | (flr ? 1U << 28 : 0U));
  // Reset value: relaxed ordering, 512-byte read requests, no-snoop allowed (PCIe 7.5.3.4).
  fix(express_ + 8, 2, 0x2810);
  set_writable(express_ + 8, 2, 0x7fff);
  store(clears_, express_ + 0xa, 2, 0x000f);
  set_writable(express_ + 0x28, 2, 0xffff);
  return express_;
}

unsigned PciFunction::add_power(bool no_soft_reset) {
  power_ = add_capability(0x01, 8);
  fix(power_ + 2, 2, 3);
  fix(power_ + 4, 2, no_soft_reset ? 8 : 0);
  set_writable(power_ + 4, 2, 0x0103);
  return power_;
}

unsigned PciFunction::add_advanced_features(bool flr) {
  advanced_ = add_capability(0x13, 6);
  fix(advanced_ + 2, 1, 6);
  fix(advanced_ + 3, 1, flr ? 3 : 1);
  return advanced_;
}

unsigned PciFunction::add_msi(unsigned log2_vectors, bool address64, bool maskable) {
  const unsigned data = address64 ? 0xc : 0x8;
  msi_ = add_capability(0x05, maskable ? data + 0xc : data + 2);
  fix(msi_ + 2, 2, log2_vectors << 1 | (address64 ? 1U << 7 : 0) | (maskable ? 1U << 8 : 0));
  set_writable(msi_ + 2, 2, 0x71);
  set_writable(msi_ + 4, 4, ~3U);
  if (address64) set_writable(msi_ + 8, 4, ~0U);
  set_writable(msi_ + data, 2, 0xffff);
  if (maskable) set_writable(msi_ + data + 4, 4, ~0U);
  return msi_;
}

unsigned PciFunction::add_msix(unsigned vectors, unsigned table_bar, std::uint32_t table_offset,
                               unsigned pba_bar, std::uint32_t pba_offset) {
  msix_ = add_capability(0x11, 0xc);
  fix(msix_ + 2, 2, vectors - 1);
  set_writable(msix_ + 2, 2, 0xc000);
  fix(msix_ + 4, 4, table_offset | table_bar);
  fix(msix_ + 8, 4, pba_offset | pba_bar);
  reset();
  resets_ = 0;
  return msix_;
}

unsigned PciFunction::add_acs(std::uint16_t can) {
  const unsigned at = add_extended(0x000d, 8);
  fix(at + 4, 2, can);
  set_writable(at + 6, 2, can);
  return at;
}

PciPortType PciFunction::port_type() const {
  return static_cast<PciPortType>((regs_[express_ + 2] >> 4) & 0xf);
}

void PciFunction::set_transactions_pending(bool pending) {
  const std::uint32_t status = peek(express_ + 0xa, 2) & ~0x20U;
  store(regs_, express_ + 0xa, 2, status | (pending ? 0x20U : 0U));
}

std::uint32_t PciFunction::peek(unsigned offset, unsigned size) const {
  return static_cast<std::uint32_t>(load_le(regs_, offset, size));
}

std::uint32_t PciFunction::config_read(unsigned offset, unsigned size) {
  const auto nobody = static_cast<std::uint32_t>(all_ones(size));
  if (dead_ || held_) return nobody;
  if (not_ready_left_ != 0) {
    --not_ready_left_;
    return offset == 0 && size >= 2 ? nobody << 16 | 0x0001 : nobody;
  }
  if (!is_express() && offset >= 256) return nobody;
  return peek(offset, size);
}

void PciFunction::config_write(unsigned offset, unsigned size, std::uint32_t value) {
  if (dead_ || held_ || not_ready_left_ != 0) return;
  if (!is_express() && offset >= 256) return;
  const std::uint32_t power_before = power_ != 0 ? peek(power_ + 4, 1) & 3 : 0;
  for (unsigned i = 0; i < size; ++i) {
    const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    std::uint8_t& reg = regs_[offset + i];
    const std::uint8_t mask = writable_[offset + i];
    reg = static_cast<std::uint8_t>((reg & ~mask) | (byte & mask));
    reg = static_cast<std::uint8_t>(reg & ~(byte & clears_[offset + i]));
  }
  follow_express(offset, size, value);
  follow_power(power_before);
  if (!dead_) send_pending();
}

void PciFunction::follow_express(unsigned offset, unsigned size, std::uint32_t value) {
  const auto byte_written = [&](unsigned at) {
    return offset <= at && at < offset + size ? (value >> (8 * (at - offset))) & 0xff : 0U;
  };
  const bool express = express_ != 0 && (peek(express_ + 4, 4) & 1U << 28) != 0 &&
                       (byte_written(express_ + 9) & 0x80) != 0;
  const bool advanced =
      advanced_ != 0 && (regs_[advanced_ + 3] & 2) != 0 && (byte_written(advanced_ + 4) & 1) != 0;
  if ((express || advanced) && !ignores_reset_) started_reset();
}

void PciFunction::follow_power(std::uint32_t before) {
  if (power_ == 0 || before != 3 || (regs_[power_ + 4] & 3) != 0) return;
  const bool soft = (regs_[power_ + 4] & 8) == 0;
  if (soft && !ignores_reset_) started_reset();
}

void PciFunction::started_reset() {
  reset();
  dead_ = dies_;
  not_ready_left_ = not_ready_reads_;
}

void PciFunction::reset() {
  ++resets_;
  regs_ = initial_;
  for (BarState& bar : bars_) std::fill(bar.bytes.begin(), bar.bytes.end(), std::uint8_t{0});
  if (msix_ == 0) return;
  for (unsigned v = 0; v <= (peek(msix_ + 2, 2) & 0x7ff); ++v) {
    store_le(bars_[peek(msix_ + 4, 4) & 7].bytes, msix_place(v) + 12, 4, 1);
  }
}

void PciFunction::hold_in_reset(bool held) {
  if (held_ && !held && !ignores_reset_) started_reset();
  held_ = held;
}

void PciFunction::plug(PciBus* bus, unsigned devfn) {
  bus_ = bus;
  devfn_ = devfn;
}

bool PciFunction::in_low_power() const {
  return power_ != 0 && (regs_[power_ + 4] & 3) != 0;
}

std::uint64_t PciFunction::bar_address(unsigned index) const {
  const unsigned at = kBar0 + 4 * index;
  std::uint64_t address = peek(at, 4) & ~0xfU;
  if (bars_[index].kind.is64) address |= std::uint64_t{peek(at + 4, 4)} << 32;
  return address;
}

bool PciFunction::decodes(std::uint64_t address, unsigned size, unsigned& bar,
                          std::uint64_t& at) const {
  if (!memory_enabled() || dead_ || held_) return false;
  for (unsigned i = 0; i < bars_.size(); ++i) {
    if (bars_[i].size == 0 || bars_[i].kind.io) continue;
    const std::uint64_t base = bar_address(i);
    if (address < base || address - base >= bars_[i].size) continue;
    if (bars_[i].size - (address - base) < size) continue;
    bar = i;
    at = address - base;
    return true;
  }
  return false;
}

std::uint64_t PciFunction::bar_read(unsigned bar, std::uint64_t at, unsigned size) {
  const auto& bytes = bars_[bar].bytes;
  return at + size <= bytes.size() ? load_le(bytes, at, size) : 0;
}

void PciFunction::bar_write(unsigned bar, std::uint64_t at, unsigned size, std::uint64_t value) {
  auto& bytes = bars_[bar].bytes;
  if (at + size > bytes.size()) return;
  if (msix_ != 0 && (peek(msix_ + 8, 4) & 7) == bar) {
    const std::uint32_t pba = peek(msix_ + 8, 4) & ~7U;
    const unsigned pba_bytes = ((peek(msix_ + 2, 2) & 0x7ff) + 64) / 64 * 8;
    if (at < pba + pba_bytes && at + size > pba) return;  // read-only (PCIe 7.7.2.9)
  }
  store_le(bytes, at, size, value);
  send_pending();
}

bool PciFunction::dma_read(std::uint64_t iova, std::span<std::uint8_t> to) {
  return bus_ != nullptr && bus_master() && !dead_ && bus_->dma_read(*this, iova, to);
}

bool PciFunction::dma_write(std::uint64_t iova, std::span<const std::uint8_t> from) {
  return bus_ != nullptr && bus_master() && !dead_ && bus_->dma_write(*this, iova, from);
}

bool PciFunction::send(std::uint64_t address, std::uint32_t data) {
  std::array<std::uint8_t, 4> bytes{};
  store_le(bytes, 0, 4, data);
  return dma_write(address, bytes);  // a message is a memory write like any other (PCIe 6.1.4)
}

std::uint64_t PciFunction::msix_place(unsigned vector) const {
  return (peek(msix_ + 4, 4) & ~7U) + std::uint64_t{16} * vector;
}

bool PciFunction::is_pending(unsigned vector) const {
  const auto& bytes = bars_[peek(msix_ + 8, 4) & 7].bytes;
  return (bytes[(peek(msix_ + 8, 4) & ~7U) + vector / 8] & 1 << vector % 8) != 0;
}

void PciFunction::set_pending(unsigned vector, bool pending) {
  auto& bytes = bars_[peek(msix_ + 8, 4) & 7].bytes;
  std::uint8_t& byte = bytes[(peek(msix_ + 8, 4) & ~7U) + vector / 8];
  const auto bit = static_cast<std::uint8_t>(1U << vector % 8);
  byte = static_cast<std::uint8_t>(pending ? byte | bit : byte & ~bit);
}

bool PciFunction::raise(unsigned vector) {
  if (msix_ != 0 && (peek(msix_ + 2, 2) & 0x8000) != 0) {
    if (vector > (peek(msix_ + 2, 2) & 0x7ff)) return false;
    const auto& table = bars_[peek(msix_ + 4, 4) & 7].bytes;
    const std::uint64_t at = msix_place(vector);
    if ((peek(msix_ + 2, 2) & 0x4000) != 0 || (table[at + 12] & 1) != 0) {
      set_pending(vector, true);
      return false;
    }
    return send(load_le(table, at, 8), static_cast<std::uint32_t>(load_le(table, at + 8, 4)));
  }
  return msi_ != 0 && (peek(msi_ + 2, 2) & 1) != 0 && raise_msi(vector);
}

bool PciFunction::raise_msi(unsigned vector) {
  const std::uint32_t control = peek(msi_ + 2, 2);
  const unsigned granted = 1U << ((control >> 4) & 7);
  const bool wide = (control & 0x80) != 0;
  const unsigned data_at = msi_ + (wide ? 0xc : 8);
  vector &= granted - 1;
  if ((control & 0x100) != 0 && (peek(data_at + 4, 4) >> vector & 1) != 0) {
    store(regs_, data_at + 8, 4, peek(data_at + 8, 4) | 1U << vector);
    return false;
  }
  const std::uint64_t address =
      peek(msi_ + 4, 4) | (wide ? std::uint64_t{peek(msi_ + 8, 4)} << 32 : 0);
  return send(address, (peek(data_at, 2) & ~(granted - 1)) | vector);
}

/// What was masked and is not any more.
void PciFunction::send_pending_msi() {
  const std::uint32_t control = msi_ != 0 ? peek(msi_ + 2, 2) : 0;
  if ((control & 0x101) != 0x101) return;
  const unsigned mask_at = msi_ + ((control & 0x80) != 0 ? 0x10 : 0xc);
  for (unsigned v = 0; v < 32; ++v) {
    const std::uint32_t pending = peek(mask_at + 4, 4);
    if ((pending >> v & 1) == 0 || (peek(mask_at, 4) >> v & 1) != 0) continue;
    store(regs_, mask_at + 4, 4, pending & ~(1U << v));
    (void)raise_msi(v);
  }
}

void PciFunction::send_pending() {
  send_pending_msi();
  if (msix_ == 0 || (peek(msix_ + 2, 2) & 0xc000) != 0x8000) return;
  const auto& table = bars_[peek(msix_ + 4, 4) & 7].bytes;
  for (unsigned v = 0; v <= (peek(msix_ + 2, 2) & 0x7ff); ++v) {
    if (!is_pending(v) || (table[msix_place(v) + 12] & 1) != 0) continue;
    set_pending(v, false);
    (void)raise(v);
  }
}

}  // namespace penstock::sim
