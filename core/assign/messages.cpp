#include "core/assign/messages.hpp"

#include "core/hw/pci/msi.hpp"

namespace penstock::assign {
namespace {

namespace msi_reg = hw::pci::msi;
namespace msix_reg = hw::pci::msix;

constexpr std::uint64_t kTranslaterInPage =
    0x40;  // GITS_TRANSLATER is at 0x0040 of its page (IHI 0069 12.18)

/// As the guest's devices see it without a stage 1, and as stage 2 leads it to the physical one.
std::uint64_t doorbell_of(const Owner& owner) {
  return (owner.doorbell_page + kTranslaterInPage).value();
}

/// A vector that may go out. Behind a stage 1 any address may be the doorbell's.
bool wanted(const Owner& owner, const vpci::VectorView& vector) {
  if (!vector.in_use) return false;
  return owner.iommu != nullptr || vector.address == doorbell_of(owner);
}

port::Mmio& table_bar(Device& device) {
  return *device.bars[device.view.msix_table().location().table_bar];
}

std::uint64_t entry_offset(const Device& device, unsigned k) {
  return device.view.msix_table().location().table_offset + k * msix_reg::entry::kSize;
}

void mask_msix_entry(Device& device, unsigned k, bool masked) {
  table_bar(device).write32(entry_offset(device, k) + msix_reg::entry::kControl, masked ? 1 : 0);
}

void write_msix_address(Device& device, unsigned k, std::uint64_t address) {
  port::Mmio& bar = table_bar(device);
  const std::uint64_t at = entry_offset(device, k);
  bar.write32(at + msix_reg::entry::kAddressLow, static_cast<std::uint32_t>(address));
  bar.write32(at + msix_reg::entry::kAddressHigh, static_cast<std::uint32_t>(address >> 32));
  if (k < device.vectors) device.vector_address[k] = address;
}

/// Behind a stage 1 the entry follows the guest's address, masked while it changes.
void follow_msix_address(const Owner& owner, Device& device, unsigned k, std::uint64_t address) {
  if (owner.iommu == nullptr || device.vector_address[k] == address) return;
  mask_msix_entry(device, k, true);
  write_msix_address(device, k, address);
}

void program_msix(const Owner& owner, Device& device) {
  port::Mmio& bar = table_bar(device);
  const unsigned entries = device.view.msix_table().location().hw_vectors;
  for (unsigned k = 0; k < entries; ++k) {
    const std::uint64_t at = entry_offset(device, k);
    bar.write32(at + msix_reg::entry::kControl, 1);
    write_msix_address(device, k, doorbell_of(owner));
    // Entries that the guest cannot see stay masked; their event is one that only raises a stray.
    bar.write32(at + msix_reg::entry::kData, k < device.vectors ? k : device.vectors);
  }
}

void write_msi_address(Device& device, std::uint64_t address) {
  const unsigned base = device.view.msi_offset();
  const std::uint32_t control = device.config->read(base + msi_reg::kControl, 2);
  device.config->write(base + msi_reg::kAddressLow, 4, static_cast<std::uint32_t>(address));
  if (get<msi_reg::control::Address64>(control) != 0) {
    device.config->write(base + msi_reg::kAddressHigh, 4,
                         static_cast<std::uint32_t>(address >> 32));
  }
  device.vector_address[0] = address;
}

void program_msi(const Owner& owner, Device& device) {
  const unsigned base = device.view.msi_offset();
  const std::uint32_t control = device.config->read(base + msi_reg::kControl, 2);
  const bool wide = get<msi_reg::control::Address64>(control) != 0;
  const auto layout = msi_reg::layout(wide, get<msi_reg::control::PerVectorMask>(control) != 0);
  write_msi_address(device, doorbell_of(owner));
  device.config->write(base + layout.data, 2, 0);  // the device adds the vector's number
}

void write_msi_control(Device& device, bool enable, unsigned vectors) {
  const unsigned at = device.view.msi_offset() + msi_reg::kControl;
  unsigned log2 = 0;
  while ((1U << log2) < vectors) ++log2;
  std::uint64_t control = device.config->read(at, 2);
  control = with<msi_reg::control::MultipleEnable>(control, log2);
  control = with<msi_reg::control::Enable>(control, enable ? 1 : 0);
  device.config->write(at, 2, static_cast<std::uint32_t>(control));
}

void write_msi_masks(Device& device, const Owner& owner) {
  const unsigned base = device.view.msi_offset();
  const std::uint32_t control = device.config->read(base + msi_reg::kControl, 2);
  if (get<msi_reg::control::PerVectorMask>(control) == 0) return;
  const auto layout = msi_reg::layout(get<msi_reg::control::Address64>(control) != 0, true);
  std::uint32_t mask = ~0U;
  for (unsigned k = 0; k < device.view.vector_count(); ++k) {
    const vpci::VectorView vector = device.view.vector(k);
    if (wanted(owner, vector) && !vector.masked) mask &= ~(1U << k);
  }
  device.config->write(base + layout.mask, 4, mask);
}

void write_msix_control(Device& device, bool enable) {
  const unsigned at = device.view.msix_offset() + msix_reg::kControl;
  std::uint64_t control = device.config->read(at, 2);
  control = with<msix_reg::control::Enable>(control, enable ? 1 : 0);
  control = with<msix_reg::control::FunctionMask>(control, 0);  // views fold it into the vectors
  device.config->write(at, 2, static_cast<std::uint32_t>(control));
}

/// True: the board's ITS was told to move the event.
bool follow_route(const Hardware& hw, const Owner& owner, Device& device, unsigned k) {
  const HostLpi lpi(device.first_lpi.value() + k);
  const vpci::VectorView vector = device.view.vector(k);
  Route route{Route::Kind::kUnwanted, owner.id, VcpuIndex(0), device.index, GuestIntId(0)};
  if (wanted(owner, vector)) {
    const auto target = owner.its->resolve(device.guest_device_id(), GuestEventId(vector.data));
    if (target) route = {Route::Kind::kGuest, owner.id, target->vcpu, device.index, target->lpi};
  }
  bool moves = false;
  if (route.kind == Route::Kind::kGuest) {
    const CpuIndex cpu = owner.cpus[route.vcpu.value()];
    moves = device.vector_cpu[k] != cpu;
    if (moves && hw.its->move_event(device.device_id, EventId(k), cpu)) device.vector_cpu[k] = cpu;
  }
  hw.routes->set(lpi, route);
  return moves;
}

}  // namespace

void program_messages(const Owner& owner, Device& device) {
  if (device.view.msi_offset() != 0) {
    write_msi_control(device, false, 1);
    program_msi(owner, device);
  }
  if (device.view.msix_offset() != 0) {
    write_msix_control(device, false);
    program_msix(owner, device);
  }
}

void follow_enable(const Hardware& hw, const Owner& owner, Device& device) {
  const vpci::MsiKind kind = device.view.kind();
  const unsigned count = device.view.vector_count();
  (void)follow_vectors(hw, owner, device, 0, count);
  for (unsigned k = count; k < device.vectors; ++k) (void)follow_route(hw, owner, device, k);
  if (device.view.msi_offset() != 0) {
    // Without mask bits a message may go out from the moment of enabling: only with an address that
    // is ours to route, or the guest's own stage 1 to translate.
    const bool on = kind == vpci::MsiKind::kMsi && wanted(owner, device.view.vector(0));
    const std::uint64_t address = device.view.vector(0).address;
    if (on && owner.iommu != nullptr && device.vector_address[0] != address) {
      write_msi_control(device, false, count);
      write_msi_address(device, address);
    }
    write_msi_control(device, on, count);
  }
  if (device.view.msix_offset() != 0) write_msix_control(device, kind == vpci::MsiKind::kMsix);
}

unsigned follow_vectors(const Hardware& hw, const Owner& owner, Device& device, unsigned first,
                        unsigned count) {
  unsigned moved = 0;
  const vpci::MsiKind kind = device.view.kind();
  for (unsigned k = first; k < first + count && k < device.vectors; ++k) {
    moved += follow_route(hw, owner, device, k) ? 1 : 0;  // before the mask opens
    const vpci::VectorView vector = device.view.vector(k);
    if (kind == vpci::MsiKind::kMsix) {
      if (vector.in_use) follow_msix_address(owner, device, k, vector.address);
      mask_msix_entry(device, k, vector.masked || !wanted(owner, vector));
    }
  }
  if (kind == vpci::MsiKind::kMsi) write_msi_masks(device, owner);
  return moved;
}

void close_routes(const Hardware& hw, Device& device) {
  for (unsigned k = 0; k < device.vectors; ++k) {
    hw.routes->set(HostLpi(device.first_lpi.value() + k), Route{});
  }
}

}  // namespace penstock::assign
