// A guest that writes anything to its root ports while functions come and go. What must hold
// whatever happens:
//   - a message is sent only with bus mastering, MSI, the hot-plug interrupt and an enabled event,
//     and it is the one the guest wrote;
//   - a function is let go only after it was asked for, and never without an event;
//   - a function is found below its own port, with the fixed bus number and the link up, or not at
//     all;
//   - presence and link say what the slot's state is, what is read-only stays, the lists end;
//   - a slot can always be emptied and filled again.
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/topology.hpp"

namespace penstock::vpci {
namespace {

constexpr unsigned kSlots = 3;
constexpr unsigned kExpress = 0x40;
constexpr unsigned kMsi = 0x80;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

class Input {
 public:
  explicit Input(std::span<const std::uint8_t> data) : data_(data) {}
  [[nodiscard]] bool empty() const { return data_.empty(); }
  std::uint64_t take(unsigned size) {
    const unsigned n = size < data_.size() ? size : static_cast<unsigned>(data_.size());
    const std::uint64_t value = load_le(data_, 0, n);
    data_ = data_.subspan(n);
    return value;
  }

 private:
  std::span<const std::uint8_t> data_;
};

std::uint64_t at(GuestBdf bdf, unsigned offset) {
  return std::uint64_t{bdf.value()} << 12 | offset;
}

struct Checker {
  Topology& bus;
  bool asked[kSlots] = {};

  [[nodiscard]] std::uint64_t port(unsigned slot, unsigned offset, unsigned size) const {
    return bus.config_read(at(port_of(slot), offset), size);
  }

  void check_message(const PortEvent& event) const {
    const auto control = port(event.slot, kExpress + 0x18, 2);
    const auto status = port(event.slot, kExpress + 0x1a, 2);
    require((port(event.slot, 4, 2) & 4) != 0 && (port(event.slot, kMsi + 2, 2) & 1) != 0);
    require((control & 0x20) != 0);
    require((control & status & 9) != 0 || ((control & 0x1000) != 0 && (status & 0x100) != 0));
    require(event.address == port(event.slot, kMsi + 4, 8) && event.address % 4 == 0);
    require(event.data == port(event.slot, kMsi + 0xc, 2));
  }

  void take_events() {
    for (unsigned count = 0; const auto event = bus.take_event(); ++count) {
      require(count < kSlots && event->slot < kSlots);
      require(event->message || event->let_go || event->bus_reset);
      if (event->message) check_message(*event);
      if (event->let_go) {
        require(asked[event->slot] && bus.slot_state(event->slot) == SlotState::kReleased);
        asked[event->slot] = false;
      }
    }
  }

  void check_slot(unsigned slot, const VirtualFunction* card) const {
    const SlotState state = bus.slot_state(slot);
    const bool there = state == SlotState::kOccupied || state == SlotState::kRemoving;
    require((card == nullptr) == (state == SlotState::kEmpty));
    require(asked[slot] == (state == SlotState::kRemoving));
    const auto status = port(slot, kExpress + 0x1a, 2);
    const auto link = port(slot, kExpress + 0x12, 2);
    require(((status & 0x40) != 0) == there && (status & ~0x149ULL) == 0);
    require(there || (link & 0x2000) == 0);
    const bool reachable = (link & 0x2000) != 0 && port(slot, 0x19, 1) == slot + 1;
    require(bus.find(at(card_of(slot), 0)) == (reachable ? card : nullptr));
    require(port(slot, 0, 4) == 0x000c'1b36 && port(slot, 8, 4) == 0x0604'0000);
    require(port(slot, 0x34, 1) == kExpress && port(slot, kExpress, 4) == 0x0142'8010);
    require(port(slot, kMsi, 2) == 0x05 && port(slot, 0x100, 4) == 0);
    require((port(slot, kExpress + 0x18, 2) & 0x300) != 0);
  }
};

void run(Input input) {
  static test::RichFunction rich;
  rich.build();
  rich.options.integrated_endpoint = false;
  static VirtualFunction functions[kSlots];
  for (VirtualFunction& function : functions)
    require(function.init(rich.facts, rich.options).has_value());
  Topology bus;
  require(bus.init_slots(kSlots).has_value());
  Checker checker{bus};
  const VirtualFunction* cards[kSlots] = {};

  while (!input.empty()) {
    const auto what = static_cast<unsigned>(input.take(1));
    const unsigned slot = (what & 3) % kSlots;
    const unsigned size = 1U << ((what >> 2) & 3);
    switch (what >> 4) {
      case 0:
        if (bus.plug(slot, &functions[slot])) {
          require(cards[slot] == nullptr);
          cards[slot] = &functions[slot];
        }
        break;
      case 1:
        require(bus.unplug(slot).has_value() == (cards[slot] != nullptr));
        cards[slot] = nullptr;
        checker.asked[slot] = false;
        break;
      case 2: {
        const bool fresh = bus.slot_state(slot) == SlotState::kOccupied;
        require(bus.request_removal(slot).has_value() == (cards[slot] != nullptr));
        checker.asked[slot] |= fresh;
        break;
      }
      case 3: bus.restart(); break;
      case 4: {
        const std::uint64_t offset = input.take(4);
        require((bus.config_read(offset, size) & ~all_ones(size)) == 0);
        static_cast<void>(bus.config_write(offset, size, input.take(size)));
        break;
      }
      case 5: {
        const auto offset = static_cast<unsigned>(input.take(2)) & 0xfff;
        static_cast<void>(bus.config_write(at(card_of(slot), offset), size, input.take(size)));
        break;
      }
      default: {
        const auto offset = static_cast<unsigned>(input.take(1));
        static_cast<void>(bus.config_write(at(port_of(slot), offset), size, input.take(size)));
        break;
      }
    }
    checker.take_events();
    for (unsigned k = 0; k < kSlots; ++k) checker.check_slot(k, cards[k]);
  }
  for (unsigned k = 0; k < kSlots; ++k) {
    require(bus.unplug(k).has_value() == (cards[k] != nullptr));
    require(bus.plug(k, &functions[k]).has_value());
    require(bus.slot_state(k) == SlotState::kOccupied);
  }
}

}  // namespace
}  // namespace penstock::vpci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::vpci::run(penstock::vpci::Input({data, size}));
  return 0;
}
