#include "core/pci/reset_leftovers.hpp"

#include <array>

namespace penstock::pci {
namespace {

// AQA, ASQ, ACQ (NVM Express Base, 3.1.4). A Controller Reset keeps them by specification.
constexpr std::array<std::uint16_t, 5> kNvmeAdminQueue = {0x24, 0x28, 0x2c, 0x30, 0x34};

// The two queues of a virtual function: base, length, head, tail and control of the rings that
// receive (2800h, 2900h) and send (3800h, 3900h). Intel 82576 datasheet, 8.26.
constexpr std::array<std::uint16_t, 24> k82576VfRings = {
    0x2828, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2928, 0x2900, 0x2904, 0x2908, 0x2910, 0x2918,
    0x3828, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3928, 0x3900, 0x3904, 0x3908, 0x3910, 0x3918};

constexpr std::array kTable = {
    Leftovers{.class_code = 0x01'0802,
              .registers = kNvmeAdminQueue,
              .what = "addresses and sizes of the admin queues",
              .source = "NVM Express Base, 3.1.4; QEMU hw/nvme/ctrl.c, nvme_ctrl_reset"},
    Leftovers{.vendor = 0x8086,
              .device = 0x10ca,
              .registers = k82576VfRings,
              .what = "addresses and positions of the rings",
              .source = "QEMU hw/net/igb_core.c, igb_core_vf_reset"},
};

bool names(const Leftovers& row, const FunctionInfo& info) {
  if (row.vendor == 0) return row.class_code == info.class_code;
  return row.vendor == info.vendor && row.device == info.device;
}

}  // namespace

std::span<const Leftovers> reset_leftovers() {
  return kTable;
}

const Leftovers* leftovers_of(const FunctionInfo& info) {
  for (const Leftovers& row : kTable) {
    if (names(row, info)) return &row;
  }
  return nullptr;
}

void clear_leftovers(const FunctionInfo& info, port::Mmio* registers) {
  const Leftovers* row = leftovers_of(info);
  if (row == nullptr || registers == nullptr || !info.placed) return;
  for (const std::uint16_t at : row->registers) {
    if (at + 4U <= info.bars[0].size) registers->write32(at, 0);
  }
}

}  // namespace penstock::pci
