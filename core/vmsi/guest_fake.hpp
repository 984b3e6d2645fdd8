// For tests, fuzzers and benchmarks: a guest's CPUs and RAM as the virtual GIC meets them. The list
// registers behave as hardware's do (IHI 0069 H 4.8, 12.4): acknowledge, end and deactivate work on
// them without the hypervisor.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/port/guest_mem.hpp"
#include "core/port/list_registers.hpp"
#include "core/port/vcpu_kick.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi::fake {

/// RAM from 1 GiB on; everything else is not RAM.
class Ram final : public port::GuestMem {
 public:
  static constexpr std::uint64_t kBase = 0x4000'0000;
  explicit Ram(std::size_t bytes = 0x4'0000) : bytes_(bytes) {}
  Status read(Gpa from, std::span<std::uint8_t> to) override {
    ++reads;
    if (!holds(from, to.size())) return fail(Code::kNotMapped, from.value());
    std::uint8_t* source = bytes_.data() + (from.value() - kBase);
    std::memcpy(to.data(), source, to.size());
    if (changes_after_read) source[reads % to.size()] ^= static_cast<std::uint8_t>(reads);
    return {};
  }
  Status write(Gpa to, std::span<const std::uint8_t> from) override {
    ++writes;
    if (!holds(to, from.size())) return fail(Code::kNotMapped, to.value());
    std::memcpy(bytes_.data() + (to.value() - kBase), from.data(), from.size());
    return {};
  }
  Status store32(Gpa to, std::uint32_t value) override {
    if (!to.is_aligned(4)) return fail(Code::kMisaligned, to.value());
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(value));
    return write(to, bytes);
  }
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  unsigned reads = 0;
  unsigned writes = 0;
  bool changes_after_read = false;  // another CPU of the guest is at it

 private:
  [[nodiscard]] bool holds(Gpa start, std::size_t size) const {
    return start.value() >= kBase && fits(start.value() - kBase, size, bytes_.size());
  }
  std::vector<std::uint8_t> bytes_;
};

class Kicks final : public port::VcpuKick {
 public:
  void kick(VcpuIndex vcpu) override {
    mask |= 1U << vcpu.value();
    ++count;
  }
  void send_event() override { ++events; }
  unsigned events = 0;
  std::uint32_t mask = 0;
  unsigned count = 0;
};

/// One CPU's list registers, and the guest code that runs on it.
class Cpu final : public port::ListRegisters {
 public:
  explicit Cpu(unsigned count = 4) : count_(count) {}

  // hypervisor's side
  [[nodiscard]] unsigned count() const override { return count_; }
  [[nodiscard]] std::uint64_t read(unsigned i) const override { return lr_.at(i); }
  void write(unsigned i, std::uint64_t value) override { lr_.at(i) = value; }
  [[nodiscard]] std::uint32_t empty_mask() const override {
    std::uint32_t mask = 0;
    for (unsigned i = 0; i < count_; ++i) {
      if (!valid(i) && !eoi_request(i)) mask |= 1U << i;
    }
    return mask;
  }
  void set_maintenance(bool no_pending, bool unlisted_end) override {
    no_pending_ = no_pending;
    unlisted_end_ = unlisted_end;
    unlisted_ends_ = 0;  // the count is in the same register
  }
  unsigned take_unlisted_ends() override {
    const unsigned ends = std::exchange(unlisted_ends_, 0U);
    return apart ? 0 : ends;
  }
  [[nodiscard]] bool deactivates_apart() const override { return apart; }
  [[nodiscard]] bool line_is_high(unsigned intid) const override {
    return (low_lines >> intid & 1) == 0;
  }
  void deactivate_physical(unsigned intid) override {
    physical_active &= ~(1U << intid);
    ++deactivations;
  }

  // hardware's side
  /// ICH_MISR_EL2 != 0: the maintenance interrupt is asserted.
  [[nodiscard]] bool maintenance_asserted() const {
    bool any_pending = false;
    for (unsigned i = 0; i < count_; ++i) {
      if (eoi_request(i)) return true;
      any_pending |= lr_[i] >> 62 == 1;
    }
    return (no_pending_ && !any_pending) || (unlisted_end_ && unlisted_ends_ != 0);
  }
  [[nodiscard]] bool asks_for_more() const { return no_pending_; }

  // guest's side
  /// ICC_IAR1_EL1: the most urgent pending interrupt, or none; without regard to the running
  /// priority unless interrupts are taken `in_turn`.
  std::optional<std::uint32_t> acknowledge() {
    std::optional<unsigned> best;
    for (unsigned i = 0; i < count_; ++i) {
      if ((lr_[i] >> 62 & 3) != 1) continue;
      if (!best || (lr_[i] >> 48 & 0xff) < (lr_[*best] >> 48 & 0xff)) best = i;
    }
    if (!best) return std::nullopt;
    std::uint64_t& lr = lr_[*best];
    const auto priority = static_cast<std::uint8_t>(lr >> 48 & 0xf8);
    if (in_turn && !running_.empty() && priority >= running_.back()) return std::nullopt;
    running_.push_back(priority);
    const auto intid = static_cast<std::uint32_t>(lr);
    lr &= ~(std::uint64_t{1} << 62);
    if (intid < 8192 || lpis_become_active) lr |= std::uint64_t{1} << 63;
    return intid;
  }
  /// ICC_EOIR1_EL1: ends, and deactivates unless that is `apart`. LPIs that never became active
  /// have nothing to deactivate.
  void end(std::uint32_t intid) {
    if (!running_.empty()) running_.pop_back();
    if (apart && intid < 8192) return;
    for (unsigned i = 0; i < count_; ++i) {
      if (static_cast<std::uint32_t>(lr_[i]) != intid || lr_[i] >> 63 == 0) continue;
      lr_[i] &= ~(std::uint64_t{1} << 63);
      if ((lr_[i] >> 61 & 1) != 0) physical_active &= ~(1U << (lr_[i] >> 32 & 0x1fff));
      return;
    }
    if (intid < 8192) ++unlisted_ends_;
  }
  /// The registers that hold `intid` and are valid.
  [[nodiscard]] unsigned holders(std::uint32_t intid) const {
    unsigned n = 0;
    for (unsigned i = 0; i < count_; ++i) {
      n += valid(i) && static_cast<std::uint32_t>(lr_[i]) == intid ? 1 : 0;
    }
    return n;
  }
  [[nodiscard]] bool is_pending(std::uint32_t intid) const { return state(intid) & 1; }
  [[nodiscard]] bool is_active(std::uint32_t intid) const { return state(intid) & 2; }
  [[nodiscard]] unsigned valid_count() const {
    unsigned n = 0;
    for (unsigned i = 0; i < count_; ++i) n += valid(i) ? 1 : 0;
    return n;
  }
  /// What no hypervisor may do: one INTID in two registers, pending and active with HW = 1, INTIDs
  /// without meaning.
  [[nodiscard]] bool sane() const {
    for (unsigned i = 0; i < count_; ++i) {
      if (!valid(i)) continue;
      const auto intid = static_cast<std::uint32_t>(lr_[i]);
      if (holders(intid) != 1) return false;
      if ((lr_[i] >> 61 & 1) != 0 && (lr_[i] >> 62) == 3) return false;
      if ((lr_[i] >> 61 & 1) != 0 && (lr_[i] >> 32 & 0x1fff) != intid) return false;
      if (intid >= 64 && (intid < 8192 || intid >= 8192 + kLpiCount)) return false;
    }
    return true;
  }

  bool lpis_become_active = true;  // QEMU's way; the architecture's LPIs have no active state
  bool in_turn = false;            // an interrupt is taken only if it preempts what runs
  bool apart = false;              // EOImode = 1
  std::uint32_t physical_active = 0;
  std::uint32_t low_lines = 0;  // of the physical PPIs; all others are high
  unsigned deactivations = 0;

 private:
  [[nodiscard]] bool valid(unsigned i) const { return lr_[i] >> 62 != 0; }
  [[nodiscard]] bool eoi_request(unsigned i) const {
    return !valid(i) && (lr_[i] >> 61 & 1) == 0 && (lr_[i] >> 41 & 1) != 0;
  }
  [[nodiscard]] unsigned state(std::uint32_t intid) const {
    for (unsigned i = 0; i < count_; ++i) {
      if (valid(i) && static_cast<std::uint32_t>(lr_[i]) == intid) {
        return static_cast<unsigned>(lr_[i] >> 62);
      }
    }
    return 0;
  }
  unsigned count_;
  std::array<std::uint64_t, 16> lr_{};
  bool no_pending_ = false;
  bool unlisted_end_ = false;
  unsigned unlisted_ends_ = 0;
  std::vector<std::uint8_t> running_;
};

constexpr VcpuIndex vcpu(unsigned i) {
  return VcpuIndex(static_cast<std::uint8_t>(i));
}

/// A domain with its GIC, and the CPUs' part of the hypervisor's loop.
class Guest {
 public:
  static constexpr std::uint64_t kPropertyTable = Ram::kBase + 0x1'0000;

  explicit Guest(unsigned vcpus = 2, unsigned list_registers = 4)
      : cpus(vcpus, Cpu(list_registers)) {
    std::vector<std::uint64_t> mpidrs;
    for (unsigned i = 0; i < vcpus; ++i) mpidrs.push_back(i);
    if (!gic.init(vcpus, mpidrs, ram, kicks)) std::abort();
    for (unsigned i = 0; i < vcpus; ++i) gic.start_vcpu(vcpu(i), cpus[i]);
  }
  /// Distributor on, all wired interrupts and LPIs enabled with priority 0xa0, LPI tables in place.
  void enable_all() {
    gicd_write(0, 0x0000, 4, 0x2);
    gicd_write(0, 0x0104, 4, ~0U);
    for (unsigned i = 0; i < 32; ++i) gicd_write(0, 0x0420 + i, 1, 0xa0);
    for (unsigned i = 0; i < kLpiCount; ++i) ram.bytes()[0x1'0000 + i] = 0xa1;
    for (unsigned v = 0; v < cpus.size(); ++v) {
      gicr_write(v, v * 0x2'0000 + 0x70, 8, kPropertyTable | 15);
      gicr_write(v, v * 0x2'0000 + 0x00, 4, 1);
      gicr_write(v, v * 0x2'0000 + 0x1'0100, 4, ~0U);
      for (unsigned i = 0; i < 32; ++i) gicr_write(v, v * 0x2'0000 + 0x1'0400 + i, 1, 0xa0);
    }
    run();
  }
  /// What the hypervisor does before each guest runs on: maintenance interrupts, then deliver().
  void run() {
    for (unsigned round = 0; round < 8; ++round) {
      for (unsigned i = 0; i < cpus.size(); ++i) run(i);
    }
  }
  void run(unsigned i) {
    if (cpus[i].maintenance_asserted()) gic.maintenance(vcpu(i), cpus[i]);
    if (gic.needs_delivery(vcpu(i))) gic.deliver(vcpu(i), cpus[i]);
  }
  /// The guest on vCPU i takes one interrupt and ends it.
  std::optional<std::uint32_t> take(unsigned i) {
    run();
    const auto intid = cpus[i].acknowledge();
    if (intid) cpus[i].end(*intid);
    run();
    return intid;
  }
  /// The guest on vCPU i writes ICC_DIR_EL1, which traps.
  void deactivate(unsigned i, std::uint32_t intid) {
    gic.deactivate(vcpu(i), cpus[i], intid);
    run(i);
  }
  std::uint64_t gicd_read(unsigned v, std::uint64_t offset, unsigned size = 4) {
    return gic.distributor_read(vcpu(v), cpus[v], offset, size);
  }
  void gicd_write(unsigned v, std::uint64_t offset, unsigned size, std::uint64_t value) {
    gic.distributor_write(vcpu(v), cpus[v], offset, size, value);
  }
  std::uint64_t gicr_read(unsigned v, std::uint64_t offset, unsigned size = 4) {
    return gic.redistributor_read(vcpu(v), cpus[v], offset, size);
  }
  void gicr_write(unsigned v, std::uint64_t offset, unsigned size, std::uint64_t value) {
    gic.redistributor_write(vcpu(v), cpus[v], offset, size, value);
  }

  Ram ram;
  Kicks kicks;
  std::vector<Cpu> cpus;
  VirtualGic gic;
};

}  // namespace penstock::vmsi::fake
