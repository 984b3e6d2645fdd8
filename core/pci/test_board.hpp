// A host bridge of the simulated board with devices of a test's choice, for tests of this folder.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/pci/enumerate.hpp"
#include "sim/clock.hpp"
#include "sim/memory.hpp"
#include "sim/pci/devices.hpp"

namespace penstock::pci {

struct TestBoard {
  static constexpr HostWindow kMem32{0x1000'0000, Hpa(0x1000'0000), 0x2eff'0000};
  static constexpr HostWindow kMem64{0x80'0000'0000, Hpa(0x80'0000'0000), 512 * kGiB};
  static constexpr std::array kWindows = {kMem32, kMem64};

  TestBoard() { ecam.init(host, sim::PciHost::kEcamBytes, 0, 255); }

  template <typename T>
  T& plug(sim::PciBus& bus, unsigned device, unsigned function, std::unique_ptr<T> what) {
    T& plugged = *what;
    bus.plug(device, function, plugged);
    parts.push_back(std::move(what));
    return plugged;
  }
  /// Whether all of it fits.
  bool enumerate() {
    pci::enumerate(ecam, kWindows, inventory);
    return inventory.functions_left.count == 0 && inventory.bridges_left.count == 0;
  }

  sim::Memory memory{Hpa(0x4000'0000), 1 * kMiB};
  sim::PciHost host{memory};
  std::vector<std::unique_ptr<sim::PciFunction>> parts;
  Ecam ecam;
  Inventory inventory;
  sim::Clock clock{1'000'000};
};

}  // namespace penstock::pci
