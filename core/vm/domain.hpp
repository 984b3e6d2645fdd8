// One domain as a machine: its memory map and everything in it, independent of the CPU it runs on.
//
// A trap's way: find_region() or the devices' BARs say who answers; the answer is computed there;
// interrupts that result are left with the virtual GIC, which the caller asks before it returns to
// the guest.
//
// Locks: none of its own but uart_lock_ around the virtual UART and gpio_lock_ around the power
// button. The parts have theirs; order: devices -> ITS -> GIC.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/assign/device_set.hpp"
#include "core/base/byte_ring.hpp"
#include "core/base/lock.hpp"
#include "core/control/function.hpp"
#include "core/iommu/smmuv3.hpp"
#include "core/mem/guest_ram.hpp"
#include "core/mem/page_pool.hpp"
#include "core/mem/stage2_table.hpp"
#include "core/viommu/virtual_iommu.hpp"
#include "core/vm/address_map.hpp"
#include "core/vm/exits.hpp"
#include "core/vm/virtual_pl011.hpp"
#include "core/vm/virtual_pl061.hpp"
#include "core/vmsi/virtual_gic.hpp"
#include "core/vmsi/virtual_its.hpp"

namespace penstock::vm {

/// What a domain is made of; every reference outlives it.
struct DomainParts {
  DomainId id;
  std::string_view name;
  Vmid vmid;  // of the CPU table; the SMMU's are numbered apart
  unsigned vcpus = 1;
  Hpa ram;  // contiguous machine memory, 2 MiB aligned
  std::uint64_t ram_bytes = 0;
  Hpa quota;  // the domain's share of hypervisor memory
  std::uint64_t quota_bytes = 0;
  port::PhysMem* memory = nullptr;
  port::Stage2Tlb* cpu_tlb = nullptr;
  // Absent for a domain without devices, which then has no DMA tables (S1.10).
  port::Stage2Tlb* dma_tlb = nullptr;  // absent with an IOMMU of its own, too: one table does
  port::Stage2Tlb* doorbell_tlb = nullptr;
  viommu::VirtualIommu* iommu = nullptr;  // the guest's own, absent for most
  Hpa doorbell_page;                      // the ITS's, machine-physical
  bool has_bus = false;                   // devices, now or later: the guest is shown a host bridge
  bool dma_coherent = true;               // of the board's host bridge: what the guest is told
  control::Function* control = nullptr;   // the control interface, of one domain at most
  port::VcpuKick* kicks = nullptr;
  ConsoleSink* console = nullptr;
  port::Log* log = nullptr;
};

/// What a domain boots. The kernel is entered at its first byte.
struct Images {
  std::span<const std::uint8_t> kernel;     // an arm64 Image, or a raw image
  std::optional<std::uint64_t> raw_offset;  // of a raw image, from the start of RAM
  std::span<const std::uint8_t> initrd;     // empty: none
};

using Randomness = std::optional<std::array<std::uint8_t, 64>>;

class Domain {
 public:
  explicit Domain(port::PhysMem& memory) : ram_(memory), wires_(*this) {}
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  /// Builds the tables and the virtual machine. kNoMemory when the quota is too small; nothing is
  /// left behind then but the quota itself. Boot only.
  Status init(const DomainParts& parts);

  /// Puts kernel, initial RAM disk and a new device tree into the domain's RAM. kNoMemory (arg:
  /// bytes) when they do not fit; kBadDeviceTree. The domain's CPUs are off. `randomness` is for
  /// this start of this domain only: half of it is the guest's rng-seed, a part its kaslr-seed;
  /// absent where the board has none.
  Status load_images(const Images& images, std::string_view command_line,
                     const Randomness& randomness);
  /// Where the loaded kernel starts.
  [[nodiscard]] Gpa entry() const { return entry_; }

  /// A trapped access of `size` bytes (1, 2, 4, 8) by `from`, whose list registers are `own`. No
  /// value, false: nothing answers at that address. `reason` says which kind of trap it was.
  std::optional<std::uint64_t> read(VcpuIndex from, Gpa at, unsigned size, port::ListRegisters& own,
                                    Exit& reason);
  bool write(VcpuIndex from, Gpa at, unsigned size, std::uint64_t value, port::ListRegisters& own,
             Exit& reason);
  /// True when the CPU table maps the address by now: the access met a change and is made again.
  [[nodiscard]] bool retry(Gpa at) const { return cpu_table_.translate(at).has_value(); }
  /// The word at an address in RAM, read once: an instruction that the guest can change at any
  /// time. Nothing where no RAM is.
  std::optional<std::uint32_t> instruction_at(Gpa at);
  [[nodiscard]] bool is_ram(Gpa at, std::uint64_t size) const {
    return at >= kGuestRam && fits(at - kGuestRam, size, ram_bytes_);
  }
  /// Traps have left something to do: do_work() on one of the domain's CPUs, soon.
  [[nodiscard]] bool has_work() const {
    return devices_.has_work() || its_.has_pending_commands() ||
           (parts_.iommu != nullptr && parts_.iommu->has_work()) ||
           (parts_.control != nullptr && parts_.control->has_work());
  }
  /// Does a share of it: a bounded one of the IOMMU's and of the ITS's commands, one request to the
  /// control interface.
  void do_work();
  /// A character that a person or the control domain typed for this domain. What the guest is slow
  /// to read waits; of more than that the oldest is lost.
  void type(char c);
  /// The console's wire may have taken something meanwhile: a guest that waits for it goes on.
  void look_for_console_room();
  /// Presses the guest's power button, which is released when the guest has seen it. What the
  /// guest makes of it is its own affair. From any CPU, while the domain runs or is paused: stop()
  /// forgets a press, a later one would meet the next start.
  void press_power_button();

  /// Hands the domain's devices over, for the first time or again. All or none.
  Status take_devices() { return devices_.assign_all(); }
  /// Every vCPU is off: devices go to quarantine, the virtual machine is as it was after init().
  void stop();

  /// Its CPUs and devices are gone: takes the tables apart and invalidates what is cached of them,
  /// so that RAM, quota and VMIDs can have another owner (H36). Whatever init() had come to.
  void destroy();

  [[nodiscard]] DomainId id() const { return parts_.id; }
  [[nodiscard]] std::string_view name() const { return parts_.name; }
  [[nodiscard]] Vmid vmid() const { return parts_.vmid; }
  [[nodiscard]] Hpa ram() const { return parts_.ram; }
  [[nodiscard]] std::uint64_t ram_bytes() const { return ram_bytes_; }
  [[nodiscard]] vmsi::VirtualGic& gic() { return gic_; }
  [[nodiscard]] vmsi::VirtualIts& its() { return its_; }
  [[nodiscard]] mem::Stage2Table& cpu_table() { return cpu_table_; }
  [[nodiscard]] mem::Stage2Table& dma_table() { return dma_table_; }
  [[nodiscard]] mem::Stage2Table& dma_doorbell_table() { return dma_doorbell_table_; }
  [[nodiscard]] assign::DeviceSet& devices() { return devices_; }
  [[nodiscard]] mem::PagePool& quota() { return quota_; }
  [[nodiscard]] viommu::VirtualIommu* iommu() const { return parts_.iommu; }

 private:
  /// Edges of emulated devices' wired interrupts.
  class Wires final : public port::IrqSink {
   public:
    explicit Wires(Domain& domain) : domain_(domain) {}
    void pulse(GuestIntId intid) override {
      domain_.gic_.set_spi_level(intid.value(), true);
      domain_.gic_.set_spi_level(intid.value(), false);
    }
    void send_event() override { domain_.parts_.kicks->send_event(); }

   private:
    Domain& domain_;
  };
  Status build_dma_tables();
  Status place(Gpa at, std::span<const std::uint8_t> bytes);
  Status place_tree(std::string_view command_line, Gpa initrd, std::uint64_t initrd_bytes,
                    const Randomness& randomness);
  void update_uart_line() REQUIRES(uart_lock_);
  void update_gpio_line() REQUIRES(gpio_lock_);
  void feed_uart() REQUIRES(uart_lock_);

  DomainParts parts_;
  std::uint64_t ram_bytes_ = 0;
  Gpa entry_;
  mem::PagePool quota_;
  mem::Stage2Table cpu_table_;  // what the CPUs see: RAM and BARs
  mem::Stage2Table dma_table_;  // what devices see: RAM
  /// What devices see with their interrupts on: RAM and the ITS's doorbell page, write-only.
  mem::Stage2Table dma_doorbell_table_;
  mem::GuestRam ram_;
  Wires wires_;
  vmsi::VirtualGic gic_;
  vmsi::VirtualIts its_;
  assign::DeviceSet devices_;
  SpinLock uart_lock_;
  VirtualPl011 uart_ GUARDED_BY(uart_lock_);
  ByteRing<1024> typed_ GUARDED_BY(uart_lock_);
  std::uint64_t fed_ GUARDED_BY(uart_lock_) = 0;  // position in typed_ of what comes next
  SpinLock gpio_lock_;
  VirtualPl061 gpio_ GUARDED_BY(gpio_lock_);
};

}  // namespace penstock::vm
