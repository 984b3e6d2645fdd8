#include "core/pci/reset.hpp"

#include <array>

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;

constexpr std::uint64_t kBusHeldNs = 2'000'000;  // at least 1 ms (PCIe 6.6.1)

template <typename F>
void clear_bit(port::ConfigSpace& config, unsigned at) {
  config.write(at, 2, static_cast<std::uint32_t>(with<F>(config.read(at, 2), 0)));
}

struct Saved {
  std::uint32_t command = 0;
  std::uint32_t device_control = 0;
  std::array<std::uint32_t, hp::kBarCount> bars{};
};

Saved save(const FunctionInfo& info, port::ConfigSpace& config) {
  Saved saved;
  saved.command = config.read(hp::kCommand, 2);
  if (info.express) {
    saved.device_control = config.read(info.express_at + hp::express::kDeviceControl, 2);
  }
  for (unsigned i = 0; i < saved.bars.size(); ++i) {
    saved.bars[i] = config.read(hp::bar_offset(i), 4);
  }
  return saved;
}

void restore(const FunctionInfo& info, port::ConfigSpace& config, const Saved& saved) {
  for (unsigned i = 0; i < saved.bars.size(); ++i) {
    config.write(hp::bar_offset(i), 4, saved.bars[i]);
  }
  // Payload sizes must fit the rest of the path again.
  if (info.express) {
    config.write(info.express_at + hp::express::kDeviceControl, 2, saved.device_control);
  }
  config.write(hp::kCommand, 2, saved.command);
}

bool restored(port::ConfigSpace& config, const Saved& saved) {
  for (unsigned i = 0; i < saved.bars.size(); ++i) {
    if (config.read(hp::bar_offset(i), 4) != saved.bars[i]) return false;
  }
  return true;
}

bool resets_by_power(const FunctionInfo& info, port::ConfigSpace& config) {
  if (info.power == 0) return false;
  const std::uint32_t status = config.read(info.power + hp::power::kControlStatus, 2);
  return get<hp::power::control_status::NoSoftReset>(status) == 0;
}

void set_power(const FunctionInfo& info, port::ConfigSpace& config, std::uint64_t state) {
  const unsigned at = info.power + hp::power::kControlStatus;
  const std::uint64_t status = with<hp::power::control_status::PmeStatus>(config.read(at, 2), 0);
  config.write(
      at, 2,
      static_cast<std::uint32_t>(with<hp::power::control_status::PowerState>(status, state)));
}

bool has_method(const FunctionInfo& info, port::ConfigSpace& config, ResetMethod method,
                bool has_port) {
  switch (method) {
    case ResetMethod::kNone: return false;
    case ResetMethod::kExpressFlr: return info.flr_express;
    case ResetMethod::kAdvancedFlr: return info.flr && !info.flr_express;
    case ResetMethod::kPower: return resets_by_power(info, config);
    case ResetMethod::kSecondaryBus: return has_port;
  }
  return false;
}

/// Requests under way would be completed to a function that has forgotten them (PCIe 6.6.2). A
/// function that never finishes is reset all the same: that is what the reset is for.
void drain(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock) {
  if (!info.express) return;
  port::Deadline deadline(clock, hp::express::kFlrNs);
  const unsigned at = info.express_at + hp::express::kDeviceStatus;
  while (get<hp::express::device_status::TransactionsPending>(config.read(at, 2)) != 0) {
    if (deadline.expired()) return;
  }
}

void pulse_bus(port::ConfigSpace& port, port::Clock& clock) {
  const std::uint64_t control = port.read(hp::kBridgeControl, 2);
  const auto held = with<hp::bridge_control::SecondaryBusReset>(control, 1);
  const auto released = with<hp::bridge_control::SecondaryBusReset>(control, 0);
  port.write(hp::kBridgeControl, 2, static_cast<std::uint32_t>(held));
  clock.wait(kBusHeldNs);
  port.write(hp::kBridgeControl, 2, static_cast<std::uint32_t>(released));
  clock.wait(hp::express::kFlrNs);
}

/// Starts the reset and waits the time in which the function must not be touched.
void start(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock,
           ResetMethod method, port::ConfigSpace* port) {
  switch (method) {
    case ResetMethod::kNone: return;
    case ResetMethod::kExpressFlr: {
      const unsigned at = info.express_at + hp::express::kDeviceControl;
      const std::uint64_t control = config.read(at, 2);
      config.write(
          at, 2,
          static_cast<std::uint32_t>(with<hp::express::device_control::InitiateFlr>(control, 1)));
      clock.wait(hp::express::kFlrNs);
      return;
    }
    case ResetMethod::kAdvancedFlr:
      config.write(info.advanced_features + hp::advanced_features::kControl, 1, 1);
      clock.wait(hp::express::kFlrNs);
      return;
    case ResetMethod::kPower:
      set_power(info, config, hp::power::control_status::kD3Hot);
      clock.wait(hp::power::kD3HotToD0Ns);
      set_power(info, config, hp::power::control_status::kD0);
      clock.wait(hp::power::kD3HotToD0Ns);
      return;
    case ResetMethod::kSecondaryBus: pulse_bus(*port, clock); return;
  }
}

/// A function that is not ready yet answers all-ones or, with CRS software visibility, vendor 0001
/// (PCIe 2.3.1).
Status await(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock) {
  const std::uint32_t identity = std::uint32_t{info.device} << 16 | info.vendor;
  port::Deadline deadline(clock, hp::express::kReadyAfterResetNs);
  while (config.read(hp::kVendorId, 4) != identity) {
    if (deadline.expired()) return fail(Code::kTimeout, info.bdf.value());
  }
  return {};
}

/// INTx is disabled before and enabled after every kind of reset (PCIe 7.5.1.1.3): harmless
/// evidence that one happened. A conventional function from before PCI 2.3 does not have the bit
/// and gives none.
void mark(port::ConfigSpace& config) {
  const auto marked = with<hp::command::InterruptDisable>(config.read(hp::kCommand, 2), 1);
  config.write(hp::kCommand, 2, static_cast<std::uint32_t>(marked));
}

bool mark_is_gone(port::ConfigSpace& config) {
  return get<hp::command::InterruptDisable>(config.read(hp::kCommand, 2)) == 0;
}

/// No-snoop requests would bypass caches and could show a page's former owner's bytes, phantom
/// functions would use other requester IDs: both stay off, whatever the reset value (No Snoop's is
/// on, PCIe 7.5.3.4).
void tame_express(const FunctionInfo& info, port::ConfigSpace& config) {
  if (!info.express) return;
  const unsigned at = info.express_at + hp::express::kDeviceControl;
  std::uint64_t control = config.read(at, 2);
  control = with<hp::express::device_control::NoSnoop>(control, 0);
  control = with<hp::express::device_control::PhantomFunctions>(control, 0);
  config.write(at, 2, static_cast<std::uint32_t>(control));
}

}  // namespace

void quiesce(port::ConfigSpace& config, const FunctionInfo& info) {
  clear_bit<hp::command::BusMaster>(config, hp::kCommand);
  tame_express(info, config);
  if (info.msi != 0) clear_bit<hp::msi::control::Enable>(config, info.msi + hp::msi::kControl);
  if (info.msix != 0) clear_bit<hp::msix::control::Enable>(config, info.msix + hp::msix::kControl);
}

ResetMethod reset_method(const FunctionInfo& info, port::ConfigSpace& config, bool has_port) {
  for (const ResetMethod method : reset_order(info)) {
    if (has_method(info, config, method, has_port)) return method;
  }
  return ResetMethod::kNone;
}

Status reset_function(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock,
                      port::ConfigSpace* port) {
  quiesce(config, info);
  drain(info, config, clock);
  const Saved saved = save(info, config);
  Status outcome = fail(Code::kNoReset, info.bdf.value());
  for (const ResetMethod method : reset_order(info)) {
    if (!has_method(info, config, method, port != nullptr)) continue;
    mark(config);
    start(info, config, clock, method, port);
    TRY(await(info, config, clock));  // a function that is gone is not asked again
    const bool happened = mark_is_gone(config);
    restore(info, config, saved);
    tame_express(info, config);
    if (happened && restored(config, saved)) return {};
    outcome = fail(Code::kHardwareError, info.bdf.value());
  }
  return outcome;
}

}  // namespace penstock::pci
