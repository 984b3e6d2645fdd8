#include "core/pci/mirror_quirks.hpp"

#include <array>

namespace penstock::pci {
namespace {

using enum MirrorKind;

constexpr std::uint8_t kNetwork = 0x02;
constexpr std::uint8_t kDisplay = 0x03;

// clang-format off
// Windows in I/O BARs (NVIDIA BAR 5, AMD BAR 4, Intel graphics BAR 4) are not here: I/O space is
// never assigned.
//  vendor  device  mask    class            BAR  kind     offset   bytes   source
constexpr std::array kQuirks = {
  MirrorQuirk{0x10de, 0,      0,      kDisplay,        0, kConfig, 0x88000, 0x1000, "QEMU hw/vfio/pci-quirks.c, nvidia_bar0"},
  MirrorQuirk{0x10de, 0,      0,      kDisplay,        0, kConfig, 0x01800, 0x0100, "QEMU hw/vfio/pci-quirks.c, nvidia_bar0, older cards"},
  MirrorQuirk{0x1002, 0,      0,      kDisplay,        2, kConfig, 0x04000, 0x1000, "QEMU hw/vfio/pci-quirks.c, ati_bar2"},
  MirrorQuirk{0x8086, 0,      0,      kDisplay,        0, kConfig, 0x108000, 0x1000, "QEMU hw/vfio/igd.c: GGC and BDSM are read here too"},
  MirrorQuirk{0x10ec, 0x8168, 0xffff, kMirrorAnyClass, 2, kWindow, 0x00070, 0x0008, "QEMU hw/vfio/pci-quirks.c, rtl8168_bar2: reaches the MSI-X table"},
  MirrorQuirk{0x14e4, 0x1600, 0xff00, kNetwork,        0, kConfig, 0x00000, 0x0100, "Linux drivers/net/ethernet/broadcom/tg3.c: TG3PCI registers by way of BAR 0"},
};
// clang-format on

}  // namespace

std::span<const MirrorQuirk> mirror_quirks() {
  return kQuirks;
}

bool has_mirror(const FunctionInfo& info, const MirrorQuirk& quirk) {
  if (quirk.vendor != info.vendor) return false;
  if ((info.device & quirk.device_mask) != quirk.device) return false;
  if (quirk.base_class != kMirrorAnyClass && quirk.base_class != info.class_code >> 16)
    return false;
  const Bar& bar = info.bars[quirk.bar];
  return !bar.io && bar.size >= quirk.offset + quirk.bytes;
}

bool mirrors_config(const FunctionInfo& info) {
  for (const MirrorQuirk& quirk : kQuirks) {
    if (has_mirror(info, quirk)) return true;
  }
  return false;
}

}  // namespace penstock::pci
