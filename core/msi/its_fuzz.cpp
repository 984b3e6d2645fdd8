// Any sequence of calls of the ITS driver, with any arguments, and messages of any device in
// between. Invariants: the hardware never sees a command that the architecture calls an error or
// unpredictable, a message raises exactly what a plain model of the calls says, and nothing leaks.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "core/msi/test_board.hpp"

namespace {

using namespace penstock;
using msi::DeviceEvents;

void require(bool truth, const char* what) {
  if (truth) return;
  std::fprintf(stderr, "invariant broken: %s\n", what);
  std::abort();
}

/// What the calls so far promise.
struct Promise {
  DeviceEvents events;
  unsigned stray_cpu = 0;
  std::map<std::uint32_t, unsigned> cpus;  // by event
};

class Session {
 public:
  Session() { require(static_cast<bool>(board_.start()), "start"); }

  void step(const std::uint8_t* b) {
    const DeviceId device(b[1] % 8U * (b[1] >= 248 ? 0x4000U : 1U));
    const EventId event(b[2] % 80U);
    const CpuIndex cpu(static_cast<std::uint8_t>(b[3] % 5));
    switch (b[0] % 8) {
      case 0: map_device(device, b, cpu); break;
      case 1: map_event(device, event, cpu); break;
      case 2: map_events(device, cpu); break;
      case 3: move(device, event, cpu); break;
      case 4: discard(device, event); break;
      case 5: unmap(device); break;
      case 6: message(device, event.value()); break;
      default:
        static_cast<void>(board_.its.configure(HostLpi(8192U + b[2] % 80U), (b[3] & 1) != 0));
        break;
    }
    require(board_.clean() && board_.model.refusals().empty(), "only valid commands");
    require(board_.its.devices() == promises_.size(), "number of devices");
  }

  void finish() {
    while (!promises_.empty()) unmap(DeviceId(promises_.begin()->first));
    require(board_.pool.bad_returns() == 0, "nothing returned twice");
    for (auto& one : board_.cpus) {
      require(!one.acknowledge().has_value(), "nothing pending after the last device");
    }
  }

 private:
  static bool overlap(const DeviceEvents& a, const DeviceEvents& b) {
    const auto has = [](const DeviceEvents& e, std::uint32_t lpi) {
      return lpi == e.stray.value() ||
             (lpi >= e.first.value() && lpi < e.first.value() + e.vectors);
    };
    for (std::uint32_t i = 0; i < b.vectors; ++i) {
      if (has(a, b.first.value() + i)) return true;
    }
    return has(a, b.stray.value());
  }
  void map_device(DeviceId device, const std::uint8_t* b, CpuIndex cpu) {
    const DeviceEvents events{
        .vectors = b[2] % 70U, .first = HostLpi(8191U + b[4]), .stray = HostLpi(8191U + b[5])};
    bool right = device.value() < 0x1'0000 && events.vectors != 0 && cpu.value() < 4 &&
                 events.first.value() >= 8192 && events.stray.value() >= 8192 &&
                 !promises_.contains(device.value()) &&
                 (events.stray < events.first ||
                  events.stray.value() >= events.first.value() + events.vectors);
    for (const auto& [id, other] : promises_) right = right && !overlap(other.events, events);
    require(static_cast<bool>(board_.its.map_device(device, events, cpu)) == right, "map_device");
    if (right) promises_[device.value()] = {events, cpu.value(), {}};
  }
  void map_event(DeviceId device, EventId event, CpuIndex cpu) {
    const auto found = promises_.find(device.value());
    const bool right = found != promises_.end() && cpu.value() < 4 &&
                       event.value() < found->second.events.vectors &&
                       !found->second.cpus.contains(event.value());
    require(static_cast<bool>(board_.its.map_event(device, event, cpu)) == right, "map_event");
    if (right) found->second.cpus[event.value()] = cpu.value();
  }
  void map_events(DeviceId device, CpuIndex cpu) {
    const auto found = promises_.find(device.value());
    const bool right = found != promises_.end() && cpu.value() < 4;
    require(static_cast<bool>(board_.its.map_events(device, cpu)) == right, "map_events");
    if (!right) return;
    for (std::uint32_t n = 0; n < found->second.events.vectors; ++n) {
      found->second.cpus.try_emplace(n, cpu.value());
    }
  }
  [[nodiscard]] bool is_mapped(DeviceId device, EventId event) const {
    const auto found = promises_.find(device.value());
    return found != promises_.end() && found->second.cpus.contains(event.value());
  }
  void move(DeviceId device, EventId event, CpuIndex cpu) {
    const bool right = is_mapped(device, event) && cpu.value() < 4;
    require(static_cast<bool>(board_.its.move_event(device, event, cpu)) == right, "move_event");
    if (right) promises_[device.value()].cpus[event.value()] = cpu.value();
  }
  void discard(DeviceId device, EventId event) {
    const bool right = is_mapped(device, event);
    require(static_cast<bool>(board_.its.discard_event(device, event)) == right, "discard_event");
    if (right) promises_[device.value()].cpus.erase(event.value());
  }
  void unmap(DeviceId device) {
    const bool right = promises_.erase(device.value()) != 0;
    require(static_cast<bool>(board_.its.unmap_device(device)) == right, "unmap_device");
  }
  void message(DeviceId device, std::uint32_t event) {
    const auto found = promises_.find(device.value());
    unsigned cpu = 4;
    std::uint32_t lpi = 0;
    if (found != promises_.end()) {
      const DeviceEvents& e = found->second.events;
      const auto vector = found->second.cpus.find(event);
      unsigned size = 32;
      while (size <= e.vectors) size *= 2;
      if (vector != found->second.cpus.end()) {
        cpu = vector->second;
        lpi = e.first.value() + event;
      } else if (event >= e.vectors && event < size) {
        cpu = found->second.stray_cpu;
        lpi = e.stray.value();
      }
    }
    require(board_.model.message(device.value(), event) == (cpu < 4), "a message arrives or not");
    for (unsigned i = 0; i < 4; ++i) {
      if (i == cpu) require(board_.cpus[i].is_pending(lpi), "at the right CPU");
    }
  }

  msi::TestBoard board_{{}, sim::Memory::Coherency::kCoherent, 512 * kKiB};
  std::map<std::uint32_t, Promise> promises_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kStep = 6;
  const auto session = std::make_unique<Session>();
  for (std::size_t i = 0; i + kStep <= size && i < 200 * kStep; i += kStep) session->step(data + i);
  session->finish();
  return 0;
}
