// Devices that come to two guests and go again in any order, while the guests write what they like
// and start anew: at every moment a device is one domain's or nobody's, and then it reaches nobody.
#include <cstdint>

#include "core/assign/test_fuzz_input.hpp"
#include "core/assign/test_slot_board.hpp"
#include "sim/pci/sriov.hpp"

namespace penstock::assign {
namespace {

constexpr unsigned kDevices = 3;
constexpr std::uint32_t kPortLpi = 8192;
constexpr std::uint32_t kLpi = 8200;

/// Its virtual functions are nobody's devices here; what counts is when it is asked.
class Vfs final : public SriovHost {
 public:
  Status enable(Device& pf, unsigned count) override {
    require(pf.state == DeviceState::kAssigned && count != 0 && count <= 4);
    on = true;
    return {};
  }
  void disable(Device& /*pf*/) override { on = false; }
  void after_reset(Device& /*pf*/) override { require(!on); }
  bool on = false;
};

/// Built once: a board takes longer than an input.
struct Rig {
  Rig() {
    require(static_cast<bool>(board.start_with_slots(&vfs)));
    models[0] = &board.plug(1, sim::nvme_like());
    models[1] = &board.plug(2, sim::nvme_with_vfs(4));
    models[2] = &board.plug(3, std::make_unique<sim::EduLike>());
    require(static_cast<bool>(board.enumerate()));
    for (unsigned i = 0; i < kDevices; ++i) {
      devices[i] =
          &board.device(i + 1, {.guest = {}, .accept_no_reset = i == 2, .scratch = i == 0});
    }
    facts.vfs = 4;
    facts.bars[0] = {.size = 0x4000, .is64 = true};
    devices[1]->sriov = &facts;
    require(board.ok);
    begin();
    for (Device* device : devices) {
      require(static_cast<bool>(board.attach(0, *device, vpci::card_of(device->index))));
    }
    end();
    before = board.holdings();
  }
  void begin() {
    for (unsigned d = 0; d < 2; ++d) start(d);
  }
  void start(unsigned d) {
    TestDomain& domain = *board.domains[d];
    // What was noted while it was off may have no place: then it gets none of it.
    if (!domain.devices.assign_all()) {
      drop_all(d);
      require(static_cast<bool>(domain.devices.assign_all()));
    }
    running[d] = true;
    domain.forget_queue();
    domain.start_its();
    for (unsigned slot = 0; slot < 2; ++slot) PortDriver(board, d, slot).start(kPortLpi + slot);
  }
  void stop(unsigned d) {
    board.domains[d]->devices.stop_virtual_functions();
    board.domains[d]->devices.take_all_back();
    board.domains[d]->its.reset();
    running[d] = false;
  }
  void end() {
    for (unsigned d = 0; d < 2; ++d) {
      if (running[d]) stop(d);
      drop_all(d);
      require(board.domains[d]->devices.empty());
    }
    board.log.all.clear();
    board.smmu_model.forget_commands();
  }
  void drop_all(unsigned d) {
    for (Device* device : devices) {
      if (device->domain != d) continue;
      require(static_cast<bool>(board.domains[d]->devices.detach(*device, true)));
    }
  }

  void act(Input& in) {
    const unsigned d = in.byte() & 1;
    TestDomain& domain = *board.domains[d];
    const unsigned i = in.byte() % kDevices;
    Device& device = *devices[i];
    switch (in.byte() % 10) {
      case 0: attach(d, device, place(in)); return;
      case 1: (void)domain.devices.detach(device, (in.byte() & 1) != 0); return;
      case 2: {
        const GuestBdf at = place(in);
        constexpr std::array<std::uint16_t, 8> kPlaces = {4,    0x10, 0x18,  0x3c,
                                                          0x48, 0x58, 0x108, 0};
        const unsigned base = kPlaces[in.byte() & 7];
        const unsigned offset = base != 0 ? base + (in.byte() & 0xf) : in.word() & 0xfff;
        domain.set_config(at, offset, 1U + (in.byte() & 7), in.word() * 0x1'0000'0001ULL);
        return;
      }
      case 3:
        (void)domain.devices.bar_write(bar(i) + (in.word() & 0x3fff), 1U + (in.byte() & 7),
                                       in.word());
        return;
      case 4:
        if (i != 2) domain.drive_nvme(device.placement.guest, bar(i).value(), 4, kLpi + 8 * i);
        return;
      case 5: (void)models[i]->raise(in.byte() & 0x7f); return;
      case 6: running[d] ? stop(d) : start(d); return;
      case 7: domain.devices.do_work(); return;
      case 8: {
        PortDriver port(board, d, in.byte() & 1);
        port.number_buses();
        domain.set_config(port.at(), 0x58, 2, 0x1031U | (in.byte() & 3U) << 8);
        return;
      }
      default: ask_for_vfs(domain, in.byte() & 7); return;
    }
  }

  /// A device's owner has it wholly, nobody else has anything of it.
  void judge() {
    for (const auto& seen : board.take_interrupts()) {
      if (seen.kind == Route::Kind::kNone) continue;
      require(devices[seen.device]->domain == seen.domain);
    }
    for (unsigned i = 0; i < kDevices; ++i) {
      const Device& device = *devices[i];
      const unsigned owner = device.domain;
      const bool has = owner != kNobody && running[owner];
      require((device.state == DeviceState::kAssigned) == has);
      require(has || device.state == DeviceState::kQuarantined);
      require(!device.detaching || has);
      require(!has || find(owner, device));
      if (!has) harmless(i);
    }
    require(board.violation().empty());
    require(board.pci.unclaimed() == 0);
  }
  void audit() { require(board.audited().ok()); }

  SlotBoard board;
  Vfs vfs;
  vpci::SriovFacts facts;
  std::array<sim::PciFunction*, kDevices> models{};
  std::array<Device*, kDevices> devices{};
  std::array<bool, 2> running{};
  TestBoard::Holdings before;

 private:
  static Gpa bar(unsigned i) { return kWindow64.base + i * kMiB; }
  static GuestBdf place(Input& in) {
    const unsigned byte = in.byte();
    switch (byte & 3) {
      case 0: return GuestBdf(0, byte >> 2 & 3, 0);
      case 1: return vpci::port_of(byte >> 2 & 3);
      default: return vpci::card_of(byte >> 2 & 7);
    }
  }
  void attach(unsigned d, Device& device, GuestBdf at) {
    if (device.domain != kNobody) {
      // Whoever asks holds a reservation; the device itself refuses, too, what has an owner.
      if (running[d] && running[device.domain] && device.domain != d) {
        const GuestBdf there = device.placement.guest;
        const unsigned owner = device.domain;
        require(!board.domains[d]->devices.attach(device));
        device.domain = owner;
        require(device.placement.guest == there);
      }
      return;
    }
    const bool given = board.attach(d, device, at).has_value();
    if (!given) device.domain = kNobody;  // as its reservation ends
  }
  bool find(unsigned d, const Device& device) {
    const DeviceSet& set = board.domains[d]->devices;
    unsigned times = 0;
    for (std::size_t i = 0; i < set.size(); ++i) times += &set.device(i) == &device ? 1 : 0;
    return times == 1;
  }
  void harmless(unsigned i) {
    const Device& device = *devices[i];
    require(!board.smmu.owner(device.stream).has_value() && device.vectors == 0);
    for (const bool mapped : device.bar_mapped) require(!mapped);
    require(!models[i]->bus_master());
    for (std::uint32_t k = 0; k < 256; ++k) {
      const Route route = board.routes.get(HostLpi(kFirstLpi + k));
      require(route.kind == Route::Kind::kNone || route.device != device.index);
    }
    const auto memory = board.memory.device_view();
    const std::uint64_t ram = board.domains[0]->ram - board.memory.base();
    const std::uint8_t kept = memory[ram];
    const std::array<std::uint8_t, 1> byte{static_cast<std::uint8_t>(~kept)};
    models[i]->config_write(4, 2, 6);
    const bool arrived = models[i]->dma_write(kGuestRam.value(), byte);
    models[i]->config_write(4, 2, 2);
    require(!arrived || device.placement.scratch);
    require(memory[ram] == kept);
  }
  void ask_for_vfs(TestDomain& domain, unsigned count) {
    const GuestBdf at = devices[1]->placement.guest;
    const unsigned sriov = static_cast<sim::SriovPf*>(models[1])->sriov_at();
    if (count != 0) domain.set_config(at, sriov + 0x10, 2, count);
    domain.set_config(at, sriov + 8, 2, count != 0 ? 1 : 0);
  }
};

}  // namespace
}  // namespace penstock::assign

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::assign;
  static Rig rig;
  Input in(data, size < 256 ? size : 256);
  rig.begin();
  while (in.more()) {
    rig.act(in);
    rig.judge();
  }
  rig.audit();
  rig.end();
  require(rig.board.holdings() == rig.before);
  return 0;
}
