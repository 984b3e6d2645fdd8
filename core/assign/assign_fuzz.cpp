// Two guests that do anything to their devices, and devices that send whatever they like: what the
// hardware's message registers hold stays ours, DMA and interrupts stay with their domain, tables
// map RAM and the domain's own BARs, and after the end nothing is left.
#include <algorithm>
#include <cstdint>

#include "core/assign/test_board.hpp"
#include "core/assign/test_fuzz_input.hpp"

namespace penstock::assign {
namespace {

using Commands = vmsi::fake::ItsGuest;

constexpr GuestBdf kNvmeAt{0, 1, 0};
constexpr GuestBdf kEduAt{0, 2, 0};
constexpr std::uint64_t kBar = 0x1000'0000;
constexpr std::uint32_t kLpi = 8192;

/// Every leaf is the domain's RAM or a BAR of a device that it has.
struct Audit final : mem::MappingVisitor {
  void mapping(const mem::Stage2Mapping& leaf) override {
    bool known = leaf.hpa >= ram && fits(leaf.hpa - ram, leaf.size, kRamBytes);
    for (const Device* device : devices) {
      for (const pci::Bar& bar : device->info.bars) {
        known |=
            bar.size != 0 && leaf.hpa >= bar.host && fits(leaf.hpa - bar.host, leaf.size, bar.size);
      }
    }
    require(known);
  }
  Hpa ram;
  std::array<const Device*, 2> devices{};
};

/// Built once: a board takes longer than an input.
struct Rig {
  Rig() {
    require(static_cast<bool>(board.start()));
    for (unsigned i = 0; i < 4; ++i) {
      if (i % 2 == 0) {
        models[i] = &board.plug(i + 1, sim::nvme_like());
      } else {
        models[i] = &board.plug(i + 1, std::make_unique<sim::EduLike>());
      }
    }
    require(static_cast<bool>(board.enumerate()));
    for (unsigned i = 0; i < 4; ++i) {
      const Placement placement{.guest = i % 2 == 0 ? kNvmeAt : kEduAt,
                                .accept_no_reset = i % 2 != 0};
      devices[i] = &board.device_of(i / 2, i + 1, placement);
    }
    require(board.ok);
    begin();
    end();
    before = board.holdings();
  }

  void begin() {
    for (auto& domain : board.domains) {
      require(static_cast<bool>(domain->devices.assign_all()));
      domain->start_its();
      domain->drive_nvme(kNvmeAt, kBar, 4, kLpi);
    }
  }
  void end() {
    for (auto& domain : board.domains) {
      domain->devices.take_all_back();
      domain->its.reset();
    }
    for (const Device* device : devices) require(device->state == DeviceState::kQuarantined);
    board.log.all.clear();
    board.smmu_model.forget_commands();
  }

  void act(Input& in) {
    const unsigned i = in.byte() & 3;
    TestDomain& domain = *board.domains[i / 2];
    const GuestBdf bdf = devices[i]->placement.guest;
    switch (in.byte() & 7) {
      case 0: write_config(domain, bdf, in); return;
      case 1: {
        const std::uint64_t at = kBar + (in.word() & 0x1f'ffff);
        (void)domain.devices.bar_write(Gpa(at), 1U + (in.byte() & 7), in.word());
        return;
      }
      case 2: {
        const unsigned k = in.byte() & 0x7f;
        domain.write_entry(Gpa(kBar + 0x2000), k, in.byte() & 7,
                           (in.byte() & 1) != 0 ? kGuestDoorbell : in.word());
        return;
      }
      case 3: command(domain, bdf, in); return;
      case 4: (void)models[i]->raise(in.byte() & 0x7f); return;
      case 5: send(i, in); return;
      case 6: domain.enable_msix(bdf, (in.byte() & 1) != 0); return;
      default: (void)domain.config(bdf, in.word() & 0xfff, 1U + (in.byte() & 7)); return;
    }
  }

  void judge() {
    for (const auto& seen : board.take_interrupts()) {
      if (seen.kind == Route::Kind::kNone) continue;
      require(seen.domain == devices[seen.device]->index / 2U);
      if (seen.kind != Route::Kind::kGuest) continue;
      require(seen.cpu == 2 * seen.domain + seen.vcpu);
    }
    for (unsigned i = 0; i < 4; i += 2) {
      const auto table = models[i]->bar_memory(0).subspan(0x2000);
      for (unsigned k = 0; k < 65; ++k) {
        require(load_le(table, k * 16, 8) == board.its.doorbell_address());
        require(load_le(table, k * 16 + 8, 4) == k);
      }
    }
    for (unsigned i = 0; i < 4; ++i) {
      require(models[i]->bar_address(0) == devices[i]->info.bars[0].bus);
      require(models[i]->memory_enabled());
    }
    for (unsigned d = 0; d < 2; ++d) {
      Audit audit;
      audit.ram = board.domains[d]->ram;
      audit.devices = {devices[2 * d], devices[2 * d + 1]};
      board.domains[d]->cpu_table.audit(audit);
    }
    require(board.violation().empty());
    require(board.pci.unclaimed() == 0);
  }

  TestBoard board;
  std::array<sim::PciFunction*, 4> models{};
  std::array<Device*, 4> devices{};
  TestBoard::Holdings before;

 private:
  static void write_config(TestDomain& domain, GuestBdf bdf, Input& in) {
    // Mostly where something happens: command, BARs, capabilities.
    constexpr std::array<std::uint16_t, 8> kPlaces = {4, 0x10, 0x14, 0x40, 0x48, 0x50, 0x84, 0};
    const unsigned place = kPlaces[in.byte() & 7];
    const unsigned offset = place != 0 ? place + (in.byte() & 7) : in.word() & 0xfff;
    domain.set_config(bdf, offset, 1U + (in.byte() & 7), in.word() * 0x1'0000'0001ULL);
  }
  static void command(TestDomain& domain, GuestBdf bdf, Input& in) {
    const std::uint64_t event = in.byte() & 7;
    const std::uint64_t collection = in.byte() & 3;
    switch (in.byte() & 7) {
      case 0: domain.command(Commands::movi(bdf.value(), event, collection)); return;
      case 1: domain.command(Commands::discard(bdf.value(), event)); return;
      case 2:
        domain.command(Commands::mapti(bdf.value(), event, kLpi + in.byte(), collection));
        return;
      case 3: domain.command(Commands::mapd(bdf.value(), 5, collection != 0)); return;
      case 4: domain.command(Commands::mapc(collection, event & 1, (event & 4) == 0)); return;
      case 5: domain.command(Commands::movall(event & 1, collection & 1)); return;
      default: domain.its.write(0, 4, event & 1); return;
    }
  }
  /// DMA to anywhere: it lands in the own domain's RAM, at the doorbell, or nowhere.
  void send(unsigned i, Input& in) {
    const unsigned other = 1 - i / 2;
    const std::array<std::uint64_t, 8> targets = {kGuestRam.value(),
                                                  kGuestDoorbell,
                                                  board.domains[other]->ram.value(),
                                                  kPool.value(),
                                                  board.its.doorbell_address(),
                                                  in.word(),
                                                  kGuestRam.value() + kRamBytes - 2,
                                                  0x905'0000};
    const std::uint64_t at = targets[in.byte() & 7];
    const std::uint32_t value = in.word();
    std::array<std::uint8_t, 4> bytes{};
    store_le(bytes, 0, 4, value);
    const auto view = board.memory.device_view();
    const auto theirs = view.subspan(board.domains[other]->ram - board.memory.base(), kRamBytes);
    const std::vector<std::uint8_t> kept(theirs.begin(), theirs.end());
    const bool arrived = models[i]->dma_write(at, bytes);
    require(std::equal(kept.begin(), kept.end(), theirs.begin()));
    const bool in_ram = at >= kGuestRam.value() && at - kGuestRam.value() < kRamBytes;
    const bool in_doorbell = at - kGuestDoorbellPage.value() < kPageSize;
    if (!in_ram && !in_doorbell) require(!arrived);
    if (in_doorbell && !devices[i]->doorbell_open) require(!arrived);
  }
};

}  // namespace
}  // namespace penstock::assign

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::assign;
  static Rig rig;
  Input in(data, size < 512 ? size : 512);
  rig.begin();
  while (in.more()) {
    rig.act(in);
    rig.judge();
  }
  rig.end();
  require(rig.board.holdings() == rig.before);
  return 0;
}
