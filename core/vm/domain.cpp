#include "core/vm/domain.hpp"

#include "core/base/bytes.hpp"
#include "core/vm/guest_tree.hpp"
#include "core/vm/kernel_place.hpp"

namespace penstock::vm {
namespace {

// RAM from the bottom: device tree, kernel, initial RAM disk.
constexpr std::uint64_t kInitrdAlign = 2 * kMiB;

}  // namespace

Status Domain::init(const DomainParts& parts) {
  parts_ = parts;
  ram_bytes_ = parts.ram_bytes;
  TRY(quota_.init(*parts.memory, parts.quota, parts.quota_bytes));
  TRY(cpu_table_.init(quota_, *parts.memory, *parts.cpu_tlb));
  TRY(cpu_table_.map(kGuestRam, parts.ram, parts.ram_bytes, mem::Stage2Attributes::ram()));
  if (parts.doorbell_tlb != nullptr) TRY(build_dma_tables());
  TRY(ram_.add({kGuestRam, parts.ram, parts.ram_bytes}));
  std::array<std::uint64_t, vmsi::kMaxVcpus> affinities{};
  for (unsigned i = 0; i < parts.vcpus && i < affinities.size(); ++i) affinities[i] = i;
  TRY(gic_.init(parts.vcpus, affinities, ram_, *parts.kicks));
  TRY(its_.init(gic_, ram_, devices_));
  if (parts.iommu != nullptr) {
    parts.iommu->connect({kGuestIommu, GuestIntId(kGuestIommuFirstIntId), &ram_, &wires_});
  }
  if (parts.control != nullptr) TRY(devices_.add_built_in(kGuestControl, *parts.control));
  const LockGuard guard(uart_lock_);
  uart_.attach(*parts.console);
  return {};
}

void Domain::do_work() {
  if (parts_.iommu != nullptr && parts_.iommu->has_work()) parts_.iommu->run();
  if (its_.has_pending_commands()) its_.run_commands(vmsi::VirtualIts::kCommandsPerTrap);
  if (devices_.has_work()) devices_.do_work();
  if (parts_.control != nullptr) parts_.control->run();
}

void Domain::destroy() {
  cpu_table_.destroy();
  dma_table_.destroy();
  dma_doorbell_table_.destroy();
}

Status Domain::build_dma_tables() {
  const auto ram = mem::Stage2Attributes::dma_ram();
  if (parts_.dma_tlb != nullptr) {
    TRY(dma_table_.init(quota_, *parts_.memory, *parts_.dma_tlb));
    TRY(dma_table_.map(kGuestRam, parts_.ram, parts_.ram_bytes, ram));
  }
  TRY(dma_doorbell_table_.init(quota_, *parts_.memory, *parts_.doorbell_tlb));
  TRY(dma_doorbell_table_.map(kGuestRam, parts_.ram, parts_.ram_bytes, ram));
  return dma_doorbell_table_.map(kGuestDoorbellPage, parts_.doorbell_page, kPageSize,
                                 mem::Stage2Attributes::doorbell());
}

Status Domain::place(Gpa at, std::span<const std::uint8_t> bytes) {
  if (!is_ram(at, bytes.size())) return fail(Code::kNoMemory, bytes.size());
  TRY(ram_.write(at, bytes));
  // The guest starts with its caches off: what it reads must be in memory.
  parts_.memory->make_observable(TRY(ram_.translate(at)), bytes.size());
  return {};
}

Status Domain::place_tree(std::string_view command_line, Gpa initrd, std::uint64_t initrd_bytes,
                          const Randomness& randomness) {
  GuestTreeConfig config;
  config.memory_bytes = ram_bytes_;
  config.bootargs = command_line;
  config.has_pci = parts_.has_bus;
  config.dma_coherent = parts_.dma_coherent;
  config.initrd = initrd;
  config.initrd_bytes = initrd_bytes;
  if (parts_.iommu != nullptr) config.iommu = parts_.iommu->description();
  if (randomness) {
    config.rng_seed.emplace();
    for (std::size_t i = 0; i < kSeedBytes; ++i) (*config.rng_seed)[i] = (*randomness)[i];
    config.kaslr_seed = load_le(*randomness, kSeedBytes, 8);
  }
  for (unsigned i = 0; i < parts_.vcpus; ++i) TRY(config.mpidrs.push_back(i));
  const Hpa home = TRY(ram_.translate(kGuestRam));
  auto* bytes = reinterpret_cast<std::uint8_t*>(parts_.memory->map(home, kTreeBytes));
  (void)TRY(build_guest_tree(config, {bytes, kTreeBytes}));
  parts_.memory->make_observable(home, kTreeBytes);
  return {};
}

Status Domain::load_images(const Images& images, std::string_view command_line,
                           const Randomness& randomness) {
  const auto& [kernel, raw_offset, initrd] = images;
  if (kernel.empty()) return fail(Code::kBadManifest);
  const KernelPlace where = TRY(place_kernel(kernel, raw_offset, ram_bytes_));
  entry_ = kGuestRam + where.offset;
  TRY(place(entry_, kernel));
  Gpa initrd_at;
  if (!initrd.empty()) {
    initrd_at = (entry_ + where.bytes).align_up(kInitrdAlign);
    TRY(place(initrd_at, initrd));
  }
  return place_tree(command_line, initrd_at, initrd.size(), randomness);
}

void Domain::update_uart_line() {
  gic_.set_spi_level(kGuestUartIntId, uart_.irq_level());
}

void Domain::update_gpio_line() {
  gic_.set_spi_level(kGuestGpioIntId, gpio_.irq_level());
}

std::optional<std::uint64_t> Domain::read(VcpuIndex from, Gpa at, unsigned size,
                                          port::ListRegisters& own, Exit& reason) {
  const auto target = find_region(at, size, parts_.vcpus, parts_.iommu != nullptr);
  if (!target) {
    reason = Exit::kBar;
    const auto value = devices_.bar_read(at, size);
    // Nobody claims the address: all-ones, as on a bus (PCIe 2.3.2). A driver whose device was
    // pulled out finds that, and goes.
    if (!value && is_in_pci_window(at, size) && !retry(at)) return all_ones(size);
    return value;
  }
  switch (target->region) {
    case Region::kDistributor:
      reason = Exit::kDistributor;
      return gic_.distributor_read(from, own, target->offset, size);
    case Region::kRedistributor:
      reason = Exit::kRedistributor;
      return gic_.redistributor_read(from, own, target->offset, size);
    case Region::kIts:
      // A guest that waits for its commands reads GITS_CREADR: each look runs the next slice of
      // them.
      reason = Exit::kIts;
      if (its_.has_pending_commands()) its_.run_commands(vmsi::VirtualIts::kCommandsPerTrap);
      return its_.read(target->offset, size);
    case Region::kUart: {
      reason = Exit::kUart;
      const LockGuard guard(uart_lock_);
      const std::uint64_t value = uart_.read(target->offset, size);
      feed_uart();
      update_uart_line();
      return value;
    }
    case Region::kGpio: {
      reason = Exit::kGpio;
      const LockGuard guard(gpio_lock_);
      const std::uint64_t value = gpio_.read(target->offset, size);
      update_gpio_line();
      return value;
    }
    case Region::kIommu: reason = Exit::kIommu; return parts_.iommu->read(target->offset, size);
    case Region::kEcam:
      reason = Exit::kConfigSpace;
      return devices_.config_read(target->offset, size);
  }
  return std::nullopt;
}

bool Domain::write(VcpuIndex from, Gpa at, unsigned size, std::uint64_t value,
                   port::ListRegisters& own, Exit& reason) {
  const auto target = find_region(at, size, parts_.vcpus, parts_.iommu != nullptr);
  if (!target) {
    reason = Exit::kBar;
    return devices_.bar_write(at, size, value) || (is_in_pci_window(at, size) && !retry(at));
  }
  switch (target->region) {
    case Region::kDistributor:
      reason = Exit::kDistributor;
      gic_.distributor_write(from, own, target->offset, size, value);
      return true;
    case Region::kRedistributor:
      reason = Exit::kRedistributor;
      gic_.redistributor_write(from, own, target->offset, size, value);
      return true;
    case Region::kIts:
      reason = Exit::kIts;
      its_.write(target->offset, size, value);
      return true;
    case Region::kUart: {
      reason = Exit::kUart;
      const LockGuard guard(uart_lock_);
      uart_.write(target->offset, size, value);
      update_uart_line();
      return true;
    }
    case Region::kGpio: {
      reason = Exit::kGpio;
      const LockGuard guard(gpio_lock_);
      gpio_.write(target->offset, size, value);
      update_gpio_line();
      return true;
    }
    case Region::kIommu:
      reason = Exit::kIommu;
      parts_.iommu->write(target->offset, size, value);
      return true;
    case Region::kEcam:
      reason = Exit::kConfigSpace;
      devices_.config_write(target->offset, size, value);
      return true;
  }
  return false;
}

std::optional<std::uint32_t> Domain::instruction_at(Gpa at) {
  std::array<std::uint8_t, 4> bytes{};
  if (!ram_.read(at, bytes)) return std::nullopt;
  return static_cast<std::uint32_t>(load_le(bytes, 0, 4));  // whatever the guest's data are
}

void Domain::type(char c) {
  const LockGuard guard(uart_lock_);
  typed_.put(c);
  feed_uart();
  update_uart_line();
}

void Domain::look_for_console_room() {
  const LockGuard guard(uart_lock_);
  uart_.look_for_room();
  update_uart_line();
}

void Domain::feed_uart() {
  std::array<char, 1> next{};
  while (typed_.read(fed_, next) == 1 && uart_.push_input(next[0])) ++fed_;
}

void Domain::press_power_button() {
  const LockGuard guard(gpio_lock_);
  gpio_.press();
  update_gpio_line();
}

void Domain::stop() {
  devices_.stop_virtual_functions();
  devices_.take_all_back();
  if (parts_.iommu != nullptr) parts_.iommu->reset();
  its_.reset();
  gic_.reset();
  {
    const LockGuard guard(gpio_lock_);
    gpio_.reset();
  }
  const LockGuard guard(uart_lock_);
  uart_.reset();
  fed_ = typed_.end();
}

}  // namespace penstock::vm
