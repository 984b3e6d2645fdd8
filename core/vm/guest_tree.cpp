#include "core/vm/guest_tree.hpp"

#include <libfdt.h>

#include "core/base/text.hpp"
#include "core/vm/address_map.hpp"
#include "core/vm/virtual_pl061.hpp"

namespace penstock::vm {
namespace {

// phandles
constexpr std::uint32_t kGicHandle = 1;
constexpr std::uint32_t kItsHandle = 2;
constexpr std::uint32_t kClockHandle = 3;
constexpr std::uint32_t kIommuHandle = 4;
constexpr std::uint32_t kGpioHandle = 5;

// interrupt specifiers (arm,gic-v3 binding)
constexpr std::uint32_t kSpi = 0;
constexpr std::uint32_t kPpi = 1;
constexpr std::uint32_t kEdgeRising = 1;
constexpr std::uint32_t kLevelHigh = 4;

// Linux's input event codes
constexpr std::uint32_t kKeyPower = 116;

// PCI address space codes (IEEE 1275 PCI binding)
constexpr std::uint32_t kMemory32 = 0x0200'0000;
constexpr std::uint32_t kMemory64 = 0x0300'0000;

/// libfdt's sequential writer with one sticky error, so that the tree below reads as a tree.
class Writer {
 public:
  explicit Writer(std::span<std::uint8_t> out) : fdt_(out.data()) {
    note(fdt_create(fdt_, static_cast<int>(out.size())));
    note(fdt_finish_reservemap(fdt_));
  }
  void begin(const char* name) { note(fdt_begin_node(fdt_, name)); }
  void end() { note(fdt_end_node(fdt_)); }
  void flag(const char* name) { note(fdt_property(fdt_, name, nullptr, 0)); }
  void text(const char* name, std::string_view value) {
    void* place = nullptr;
    note(fdt_property_placeholder(fdt_, name, static_cast<int>(value.size() + 1), &place));
    if (error_ != 0) return;
    auto* bytes = static_cast<char*>(place);
    for (const char c : value) *bytes++ = c;
    *bytes = 0;
  }
  void bytes(const char* name, std::span<const std::uint8_t> value) {
    note(fdt_property(fdt_, name, value.data(), static_cast<int>(value.size())));
  }
  template <typename... Cells>
  void cells(const char* name, Cells... values) {
    const std::uint32_t list[] = {static_cast<std::uint32_t>(values)...};
    cell_list(name, list);
  }
  void cell_list(const char* name, std::span<const std::uint32_t> list) {
    void* place = nullptr;
    note(fdt_property_placeholder(fdt_, name, static_cast<int>(list.size_bytes()), &place));
    if (error_ != 0) return;
    auto* bytes = static_cast<std::uint8_t*>(place);
    for (const std::uint32_t value : list) {
      for (int shift = 24; shift >= 0; shift -= 8) {
        *bytes++ = static_cast<std::uint8_t>(value >> shift);
      }
    }
  }
  Result<std::size_t> finish(std::size_t capacity) {
    note(fdt_finish(fdt_));
    if (error_ == -FDT_ERR_NOSPACE) return fail(Code::kNoMemory, capacity);
    if (error_ != 0) return fail(Code::kBadDeviceTree, static_cast<std::uint64_t>(-error_));
    return static_cast<std::size_t>(fdt_totalsize(fdt_));
  }

 private:
  void note(int result) {
    if (error_ == 0 && result < 0) error_ = result;
  }
  void* fdt_;
  int error_ = 0;
};

constexpr std::uint32_t high(std::uint64_t v) {
  return static_cast<std::uint32_t>(v >> 32);
}
constexpr std::uint32_t low(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}

void chosen(Writer& w, const GuestTreeConfig& config) {
  w.begin("chosen");
  w.text("stdout-path", "/pl011@9000000");
  w.text("bootargs", config.bootargs);
  if (config.initrd_bytes != 0) {
    const std::uint64_t start = config.initrd.value();
    const std::uint64_t stop = start + config.initrd_bytes;
    w.cells("linux,initrd-start", high(start), low(start));
    w.cells("linux,initrd-end", high(stop), low(stop));
  }
  if (config.rng_seed) w.bytes("rng-seed", *config.rng_seed);
  if (config.kaslr_seed != 0) {
    w.cells("kaslr-seed", high(config.kaslr_seed), low(config.kaslr_seed));
  }
  w.end();
}

void memory(Writer& w, const GuestTreeConfig& config) {
  w.begin("memory@40000000");
  w.text("device_type", "memory");
  w.cells("reg", high(kGuestRam.value()), low(kGuestRam.value()), high(config.memory_bytes),
          low(config.memory_bytes));
  w.end();
}

void cpus(Writer& w, const GuestTreeConfig& config) {
  w.begin("cpus");
  w.cells("#address-cells", 1);
  w.cells("#size-cells", 0);
  for (const std::uint64_t mpidr : config.mpidrs) {
    // Affinities are small indices here (vcpu.hpp), so decimal digits serve as the unit address.
    Text<24> name;
    name.text("cpu@").dec(mpidr).ch('\0');
    w.begin(name.view().data());
    w.text("device_type", "cpu");
    w.text("compatible", "arm,armv8");
    w.cells("reg", mpidr);
    w.text("enable-method", "psci");
    w.end();
  }
  w.end();
}

void firmware(Writer& w) {
  w.begin("psci");
  constexpr std::string_view kVersions{"arm,psci-1.0\0arm,psci-0.2", 25};
  w.text("compatible", kVersions);
  w.text("method", "hvc");
  w.end();
  w.begin("timer");
  w.text("compatible", "arm,armv8-timer");
  w.flag("always-on");
  w.cells("interrupts", kPpi, 13, kLevelHigh, kPpi, 14, kLevelHigh, kPpi, 11, kLevelHigh, kPpi, 10,
          kLevelHigh);
  w.end();
}

void interrupt_controller(Writer& w, const GuestTreeConfig& config) {
  w.begin("intc@8000000");
  w.text("compatible", "arm,gic-v3");
  w.cells("#interrupt-cells", 3);
  w.flag("interrupt-controller");
  w.cells("#address-cells", 2);
  w.cells("#size-cells", 2);
  w.flag("ranges");
  w.cells("#redistributor-regions", 1);
  const std::uint64_t frames = kGuestRedistStride * config.mpidrs.size();
  w.cells("reg", 0, kGuestDistributor.value(), 0, kGuestDistributorSize, 0, kGuestRedist.value(),
          high(frames), low(frames));
  w.cells("phandle", kGicHandle);
  w.begin("its@8080000");
  w.text("compatible", "arm,gic-v3-its");
  w.flag("msi-controller");
  w.cells("#msi-cells", 1);
  w.cells("reg", 0, kGuestIts.value(), 0, kGuestItsSize);
  w.cells("phandle", kItsHandle);
  w.end();
  w.end();
}

void uart(Writer& w) {
  w.begin("apb-pclk");
  w.text("compatible", "fixed-clock");
  w.cells("#clock-cells", 0);
  w.cells("clock-frequency", 24'000'000);
  w.text("clock-output-names", "clk24mhz");
  w.cells("phandle", kClockHandle);
  w.end();
  w.begin("pl011@9000000");
  constexpr std::string_view kKinds{"arm,pl011\0arm,primecell", 23};
  w.text("compatible", kKinds);
  w.cells("reg", 0, kGuestUart.value(), 0, kGuestUartSize);
  w.cells("interrupts", kSpi, kGuestUartIntId - 32, kLevelHigh);
  w.cells("clocks", kClockHandle, kClockHandle);
  constexpr std::string_view kClocks{"uartclk\0apb_pclk", 16};
  w.text("clock-names", kClocks);
  w.end();
}

void power_button(Writer& w) {
  w.begin("pl061@9030000");
  constexpr std::string_view kKinds{"arm,pl061\0arm,primecell", 23};
  w.text("compatible", kKinds);
  w.cells("reg", 0, kGuestGpio.value(), 0, kGuestGpioSize);
  w.cells("interrupts", kSpi, kGuestGpioIntId - 32, kLevelHigh);
  w.flag("gpio-controller");
  w.cells("#gpio-cells", 2);
  w.cells("clocks", kClockHandle);
  w.text("clock-names", "apb_pclk");
  w.cells("phandle", kGpioHandle);
  w.end();
  w.begin("gpio-keys");
  w.text("compatible", "gpio-keys");
  w.begin("poweroff");
  w.text("label", "GPIO Key Poweroff");
  w.cells("linux,code", kKeyPower);
  w.cells("gpios", kGpioHandle, VirtualPl061::kPowerLine, 0);  // 0: high is pressed
  w.end();
  w.end();
}

void iommu(Writer& w, const viommu::Description& description) {
  Text<48> name;
  name.text(description.node).ch('@').hex_digits(description.base.value(), 1).ch('\0');
  w.begin(name.view().data());
  w.text("compatible", description.compatible);
  w.cells("reg", high(description.base.value()), low(description.base.value()),
          high(description.size), low(description.size));
  StaticVector<std::uint32_t, 12> interrupts;
  Text<96> names;
  for (const viommu::Interrupt& each : description.interrupts) {
    for (const std::uint32_t cell : {kSpi, each.intid.value() - 32, kEdgeRising}) {
      (void)interrupts.push_back(cell);
    }
    if (!names.view().empty()) names.ch('\0');
    names.text(each.name);
  }
  w.cell_list("interrupts", {interrupts.begin(), interrupts.size()});
  w.text("interrupt-names", names.view());
  w.cells("#iommu-cells", description.iommu_cells);
  if (description.coherent) w.flag("dma-coherent");
  w.cells("phandle", kIommuHandle);
  w.end();
}

void host_bridge(Writer& w, const GuestTreeConfig& config) {
  w.begin("pcie@4010000000");
  w.text("compatible", "pci-host-ecam-generic");
  w.text("device_type", "pci");
  w.cells("#address-cells", 3);
  w.cells("#size-cells", 2);
  w.cells("#interrupt-cells", 1);
  w.cells("linux,pci-domain", 0);
  w.cells("bus-range", 0, 255);
  if (config.dma_coherent) w.flag("dma-coherent");
  w.cells("reg", high(kGuestEcam.value()), low(kGuestEcam.value()), 0, kGuestEcamSize);
  w.cells("ranges", kMemory32, 0, kGuestMmio32.value(), 0, kGuestMmio32.value(), 0,
          kGuestMmio32Size, kMemory64, high(kGuestMmio64.value()), low(kGuestMmio64.value()),
          high(kGuestMmio64.value()), low(kGuestMmio64.value()), high(kGuestMmio64Size),
          low(kGuestMmio64Size));
  w.cells("msi-map", 0, kItsHandle, 0, 0x10000);
  // Requester IDs are the virtual stream IDs.
  if (config.iommu) w.cells("iommu-map", 0, kIommuHandle, 0, 0x10000);
  w.end();
}

}  // namespace

Result<std::size_t> build_guest_tree(const GuestTreeConfig& config, std::span<std::uint8_t> out) {
  Writer w(out);
  w.begin("");
  w.text("compatible", "linux,dummy-virt");
  w.text("model", "Penstock domain");
  w.cells("#address-cells", 2);
  w.cells("#size-cells", 2);
  w.cells("interrupt-parent", kGicHandle);
  chosen(w, config);
  memory(w, config);
  cpus(w, config);
  firmware(w);
  interrupt_controller(w, config);
  uart(w);
  power_button(w);
  if (config.iommu) iommu(w, *config.iommu);
  if (config.has_pci) host_bridge(w, config);
  w.end();
  return w.finish(out.size());
}

}  // namespace penstock::vm
