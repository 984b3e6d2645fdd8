#include "core/vpci/root_port.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/config.hpp"
#include "core/hw/pci/msi.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;
namespace express = hw::pci::express;
namespace msi = hw::pci::msi;
using express::PortType;
using express::slot_control::Indicator;

// The generic root port of QEMU: drivers go by class and capabilities, and this pair carries no
// quirk in any of them.
constexpr std::uint32_t kVendor = 0x1b36;
constexpr std::uint32_t kDevice = 0x000c;
constexpr std::uint32_t kClass = 0x06'0400;  // PCI-to-PCI bridge

// The link is not one: what is behind the port has its own. The fastest, widest one keeps guests
// from blaming the port for a limit that the device's own link does not have.
constexpr std::uint32_t kSpeed = 5;  // 32 GT/s
constexpr std::uint32_t kWidth = 16;
constexpr std::uint32_t kSpeeds = 0x3e;  // all up to it (7.5.3.18)

template <typename... Fields>
constexpr std::uint32_t mask_of() {
  return static_cast<std::uint32_t>((Fields::kMask | ...));
}

/// One register: what it holds after reset, what the guest may write, what it clears by writing 1.
/// A byte in no row reads 0.
struct Row {
  unsigned offset;
  unsigned bytes;
  std::uint32_t reset;
  std::uint32_t writable = 0;
  std::uint32_t clears = 0;
};

constexpr std::uint32_t kCommandBits =
    mask_of<pci::command::IoSpace, pci::command::MemorySpace, pci::command::BusMaster,
            pci::command::ParityErrorResponse, pci::command::SerrEnable,
            pci::command::InterruptDisable>();
constexpr std::uint32_t kBridgeBits =
    mask_of<pci::bridge_control::ParityErrorResponse, pci::bridge_control::SerrEnable,
            pci::bridge_control::SecondaryBusReset>();
constexpr std::uint32_t kWindowBits = 0xfff0'fff0;  // base and limit, 1 MiB each (7.5.1.3.8)

namespace devctl = express::device_control;
constexpr std::uint32_t kDeviceControlBits =
    mask_of<devctl::CorrectableEnable, devctl::NonFatalEnable, devctl::FatalEnable,
            devctl::UnsupportedEnable, devctl::MaxPayload, devctl::MaxReadRequest>();

namespace slotcap = express::slot_capabilities;
constexpr std::uint32_t kSlotCapabilityBits =
    mask_of<slotcap::AttentionButton, slotcap::PowerIndicator, slotcap::HotPlugSurprise,
            slotcap::HotPlugCapable, slotcap::NoCommandCompleted>();
namespace slotctl = express::slot_control;
constexpr std::uint32_t kSlotEnables =
    mask_of<slotctl::AttentionButtonEnable, slotctl::PresenceEnable, slotctl::LinkStateEnable>();
constexpr std::uint32_t kSlotControlBits =
    kSlotEnables | mask_of<slotctl::InterruptEnable, slotctl::PowerIndicator>();
namespace slotsta = express::slot_status;
constexpr std::uint32_t kSlotEvents =
    mask_of<slotsta::AttentionButtonPressed, slotsta::PresenceChanged, slotsta::LinkStateChanged>();

constexpr std::uint32_t kRootControlBits =
    0xf;  // error and PME enables (7.5.3.12), nothing uses them
constexpr std::uint32_t kLinkControlBits =
    0x43 | mask_of<express::link_control::LinkDisable>();  // and ASPM, common clock: kept only

}  // namespace

/// The rows spread over the bytes of the image.
struct RootPort::Tables {
  std::array<std::uint8_t, kBytes> reset{};
  std::array<std::uint8_t, kBytes> writable{};
  std::array<std::uint8_t, kBytes> clears{};

  consteval void add(const Row& row) {
    store_le(reset, row.offset, row.bytes, row.reset);
    store_le(writable, row.offset, row.bytes, row.writable);
    store_le(clears, row.offset, row.bytes, row.clears);
  }
  static consteval Tables make();
  static const Tables kAll;
};

consteval RootPort::Tables RootPort::Tables::make() {
  constexpr auto kId = [](pci::CapabilityId id, unsigned next) {
    return static_cast<std::uint32_t>(id) | next << 8;
  };
  constexpr auto kType =
      static_cast<std::uint32_t>(with<express::capabilities::Version>(0, 2) |
                                 with<express::capabilities::Type>(0, PortType::kRootPort) |
                                 express::capabilities::SlotImplemented::kMask);
  constexpr auto kLinkCapabilities =
      static_cast<std::uint32_t>(with<express::link_capabilities::MaxSpeed>(0, kSpeed) |
                                 with<express::link_capabilities::MaxWidth>(0, kWidth) |
                                 express::link_capabilities::DataLinkActiveReporting::kMask);
  constexpr auto kMsiControl = static_cast<std::uint32_t>(msi::control::Address64::kMask);
  constexpr Row kRows[] = {
      {pci::kVendorId, 4, kVendor | kDevice << 16},
      {pci::kCommand, 2, 0, kCommandBits},
      {pci::kStatus, 2, mask_of<pci::status::CapabilityList>()},
      {pci::kClassCode, 2, kClass & 0xffff},
      {pci::kClassCode + 2, 1, kClass >> 16},
      {pci::kCacheLineSize, 1, 0, 0xff},
      {pci::kHeaderType, 1, pci::header_type::kBridge},
      {pci::kPrimaryBus, 1, 0, 0xff},
      {pci::kSecondaryBus, 1, 0, 0xff},
      {pci::kSubordinateBus, 1, 0, 0xff},
      // Closed windows, no I/O window at all (7.5.1.3.6), 64-bit addresses for the prefetchable
      // one.
      {pci::kMemoryBase, 4, 0x0000'fff0, kWindowBits},
      {pci::kPrefetchBase, 4, 0x0001'fff1, kWindowBits},
      {pci::kPrefetchBaseHi, 4, 0, 0xffff'ffff},
      {pci::kPrefetchLimitHi, 4, 0, 0xffff'ffff},
      {pci::kCapabilities, 1, kExpress},
      {pci::kInterruptLine, 1, 0, 0xff},
      {pci::kBridgeControl, 2, 0, kBridgeBits},

      {kExpress, 2, kId(pci::CapabilityId::kExpress, kMsi)},
      {kExpress + express::kCapabilities, 2, kType},
      {kExpress + express::kDeviceCapabilities, 4,
       mask_of<express::device_capabilities::RoleBasedErrors>()},
      {kExpress + express::kDeviceControl, 2, 0, kDeviceControlBits},
      {kExpress + express::kLinkCapabilities, 4, kLinkCapabilities},
      {kExpress + express::kLinkControl, 2, 0, kLinkControlBits},
      {kExpress + express::kSlotCapabilities, 4, kSlotCapabilityBits},
      {kExpress + express::kSlotControl, 2, 0, kSlotControlBits},
      {kExpress + express::kSlotStatus, 2, 0, 0, kSlotEvents},
      {kExpress + express::kRootControl, 2, 0, kRootControlBits},
      {kExpress + express::kLinkCapabilities2, 4, kSpeeds},
      {kExpress + express::kLinkControl2, 2, kSpeed, 0xf},

      {kMsi, 2, kId(pci::CapabilityId::kMsi, 0)},
      {kMsi + msi::kControl, 2, kMsiControl,
       mask_of<msi::control::Enable, msi::control::MultipleEnable>()},
      {kMsi + msi::kAddressLow, 4, 0, 0xffff'fffc},
      {kMsi + msi::kAddressHigh, 4, 0, 0xffff'ffff},
      {kMsi + msi::layout(true, false).data, 2, 0, 0xffff},
  };
  Tables tables;
  for (const Row& row : kRows) tables.add(row);
  return tables;
}

constexpr RootPort::Tables RootPort::Tables::kAll = make();

void RootPort::init(unsigned slot) {
  slot_ = static_cast<std::uint8_t>(slot);
  state_ = SlotState::kEmpty;
  pending_ = {};
  reset();
}

void RootPort::reset() {
  if (state_ == SlotState::kRemoving) {
    state_ = SlotState::kReleased;
    pending_.let_go = true;
  }
  pending_.bus_reset = false;
  pending_.message = false;
  image_ = Tables::kAll.reset;
  const std::uint32_t number = slot_ + 1U;
  const unsigned link = kExpress + express::kLinkCapabilities;
  store(link, 4, with<express::link_capabilities::PortNumber>(load(link, 4), number));
  const unsigned slot = kExpress + express::kSlotCapabilities;
  store(slot, 4, with<slotcap::SlotNumber>(load(slot, 4), number));
  set_power_indicator(has_card() ? Indicator::kOn : Indicator::kOff);
  settle();
  // The changes that led here are nobody's news.
  store(kExpress + express::kSlotStatus, 2,
        load(kExpress + express::kSlotStatus, 2) & ~kSlotEvents);
}

std::uint64_t RootPort::config_read(unsigned offset, unsigned size) const {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size && i < 8; ++i) {
    const unsigned at = offset + i;
    const std::uint64_t byte = at < kBytes ? image_[at] : at < pci::kConfigSize ? 0 : 0xff;
    value |= byte << (8 * i);
  }
  return value;
}

void RootPort::config_write(unsigned offset, unsigned size, std::uint64_t value) {
  const Indicator before = power_indicator();
  const std::uint32_t bridge = load(pci::kBridgeControl, 2);
  for (unsigned i = 0; i < size && i < 8 && offset + i < kBytes; ++i) {
    const unsigned at = offset + i;
    const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    const std::uint8_t writable = Tables::kAll.writable[at];
    const unsigned kept = image_[at] & ~writable & ~(Tables::kAll.clears[at] & byte);
    image_[at] = static_cast<std::uint8_t>(kept | (byte & writable));
  }
  if (power_indicator() == Indicator::kReserved) set_power_indicator(before);
  using BusReset = pci::bridge_control::SecondaryBusReset;
  if (get<BusReset>(load(pci::kBridgeControl, 2) & ~bridge) != 0 && has_card()) {
    pending_.bus_reset = true;
  }
  if (state_ == SlotState::kRemoving) follow_removal();
  settle();
}

bool RootPort::forwards() const {
  const std::uint32_t link = load(kExpress + express::kLinkStatus, 2);
  return get<express::link_status::DataLinkActive>(link) != 0 &&
         load(pci::kSecondaryBus, 1) == slot_ + 1U;
}

void RootPort::plug() {
  state_ = SlotState::kOccupied;
  set_slot_status(slotsta::PresenceChanged::kMask);
  // Nobody will do it: the guest finds the function as if it had been there from reset.
  if (!is_attended()) set_power_indicator(Indicator::kOn);
  settle();
}

void RootPort::request_removal() {
  state_ = SlotState::kRemoving;
  pressed_ = false;
  follow_removal();
  settle();
}

void RootPort::unplug() {
  if (has_card()) set_slot_status(slotsta::PresenceChanged::kMask);
  state_ = SlotState::kEmpty;
  pending_.let_go = false;
  pending_.bus_reset = false;
  if (!is_attended()) set_power_indicator(Indicator::kOff);
  settle();
}

std::optional<PortEvent> RootPort::take_event() {
  if (!pending_.message && !pending_.let_go && !pending_.bus_reset) return std::nullopt;
  PortEvent event = pending_;
  event.slot = slot_;
  event.address = load_le(image_, kMsi + msi::kAddressLow, 8);
  event.data = load(kMsi + msi::layout(true, false).data, 2);
  pending_ = {};
  return event;
}

std::uint32_t RootPort::slot_control() const {
  return load(kExpress + express::kSlotControl, 2);
}

RootPort::Indicator RootPort::power_indicator() const {
  return get<slotctl::PowerIndicator>(slot_control());
}

void RootPort::set_power_indicator(Indicator indicator) {
  store(kExpress + express::kSlotControl, 2,
        with<slotctl::PowerIndicator>(slot_control(), indicator));
}

void RootPort::set_slot_status(std::uint64_t bits) {
  store(kExpress + express::kSlotStatus, 2, load(kExpress + express::kSlotStatus, 2) | bits);
}

/// A driver has taken the slot over: it wants to hear of at least one kind of event.
bool RootPort::is_attended() const {
  return (slot_control() & kSlotEnables) != 0;
}

bool RootPort::link_wanted() const {
  return has_card() &&
         get<express::link_control::LinkDisable>(load(kExpress + express::kLinkControl, 2)) == 0 &&
         get<pci::bridge_control::SecondaryBusReset>(load(pci::kBridgeControl, 2)) == 0;
}

/// A press that nobody hears is lost (pciehp clears old events when it starts), one that comes
/// while the indicator blinks cancels what the guest is doing or is ignored. So it waits for an
/// indicator that is on and for a driver that wants to hear of it.
void RootPort::follow_removal() {
  if (power_indicator() == Indicator::kOff) {
    state_ = SlotState::kReleased;
    pending_.let_go = true;
    set_slot_status(slotsta::PresenceChanged::kMask);
  } else if (!pressed_ && power_indicator() == Indicator::kOn &&
             get<slotctl::AttentionButtonEnable>(slot_control()) != 0) {
    pressed_ = true;
    set_slot_status(slotsta::AttentionButtonPressed::kMask);
  }
}

/// Presence, link and interrupt follow from everything else.
void RootPort::settle() {
  const unsigned slot_status = kExpress + express::kSlotStatus;
  store(slot_status, 2, with<slotsta::Present>(load(slot_status, 2), has_card() ? 1 : 0));

  const unsigned link_status = kExpress + express::kLinkStatus;
  using express::link_status::DataLinkActive;
  const bool link = link_wanted();
  if (link != (get<DataLinkActive>(load(link_status, 2)) != 0)) {
    set_slot_status(slotsta::LinkStateChanged::kMask);
    const std::uint64_t up = with<express::link_status::Speed>(0, kSpeed) |
                             with<express::link_status::Width>(0, kWidth) |
                             express::link_status::SlotClock::kMask | DataLinkActive::kMask;
    store(link_status, 2, link ? up : 0);
  }

  // PCIe 6.7.3.4: a message each time that the conjunction of all this becomes true. Without bus
  // mastering a function sends none (7.5.1.1.3).
  const std::uint32_t enables = slot_control();
  const std::uint32_t events = load(slot_status, 2);
  const bool wanted =
      (get<slotctl::AttentionButtonEnable>(enables) &
       get<slotsta::AttentionButtonPressed>(events)) |
      (get<slotctl::PresenceEnable>(enables) & get<slotsta::PresenceChanged>(events)) |
      (get<slotctl::LinkStateEnable>(enables) & get<slotsta::LinkStateChanged>(events));
  const bool asserted = wanted && get<slotctl::InterruptEnable>(enables) != 0 &&
                        get<msi::control::Enable>(load(kMsi + msi::kControl, 2)) != 0 &&
                        get<pci::command::BusMaster>(load(pci::kCommand, 2)) != 0;
  if (asserted && !asserted_) pending_.message = true;
  asserted_ = asserted;
}

}  // namespace penstock::vpci
