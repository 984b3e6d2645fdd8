#include "core/pci/io_quirks.hpp"

#include <array>

namespace penstock::pci {
namespace {

constexpr std::string_view kE1000 = "Linux e1000_main.c, e1000_is_need_ioport";

// clang-format off
//  vendor  device  last    needed driver      source
constexpr std::array kQuirks = {
  IoQuirk{0x8086, 0x1008, 0x1009, true,  "e1000",    kE1000},  // 82544EI
  IoQuirk{0x8086, 0x100c, 0x1018, true,  "e1000",    kE1000},  // 82544GC, 82540EM, 82545EM, 82546EB, 82541EI and their kin
  IoQuirk{0x8086, 0x101d, 0x101e, true,  "e1000",    kE1000},  // 82546EB quad, 82540EP
  IoQuirk{0x8086, 0x1076, 0x1078, true,  "e1000",    kE1000},  // 82541GI, 82541ER
  IoQuirk{0x8086, 0x107c, 0x107c, true,  "e1000",    kE1000},  // 82541GI LF
  IoQuirk{0x1022, 0x2000, 0x2001, true,  "pcnet32",  "Linux pcnet32.c, pcnet32_probe_pci: region 0 as I/O"},
  IoQuirk{0x10ec, 0x8029, 0x8029, true,  "ne2k_pci", "Linux ne2k-pci.c, ne2k_pci_init_one: region 0 as I/O"},
  IoQuirk{0x8086, 0x10c9, 0x10c9, false, "igb",      "in every test run"},
  IoQuirk{0x8086, 0x10d3, 0x10d3, false, "e1000e",   "Linux e1000e netdev.c, e1000_probe: region 0 as memory"},
  IoQuirk{0x1af4, 0x1000, 0x103f, false, "virtio_pci", "VIRTIO 1.2, 4.1.2.3: the registers of before version 1 alone"},
};
// clang-format on

}  // namespace

std::span<const IoQuirk> io_quirks() {
  return kQuirks;
}

bool has_io_bar(const FunctionInfo& info) {
  for (const Bar& bar : info.bars) {
    if (bar.io && bar.size != 0) return true;
  }
  return false;
}

const IoQuirk* io_quirk_of(std::uint16_t vendor, std::uint16_t device) {
  for (const IoQuirk& quirk : kQuirks) {
    if (quirk.vendor == vendor && device >= quirk.device && device <= quirk.last) return &quirk;
  }
  return nullptr;
}

}  // namespace penstock::pci
