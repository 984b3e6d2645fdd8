// A guest that does anything with its ITS. First half of an input's steps: commands with chosen
// arguments, compared with the simplest model of what they mean; and raw register writes, queues
// anywhere, a ring that changes while it is read. Always: bounded work per trap, pointers inside
// the queue, targets that exist, guest memory never written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "core/vmsi/its_fake.hpp"

namespace {

using penstock::GuestDeviceId;
using penstock::GuestEventId;
using penstock::vmsi::kFirstLpi;
using penstock::vmsi::kLpiCount;
using penstock::vmsi::VirtualIts;
using penstock::vmsi::fake::ItsGuest;
using penstock::vmsi::fake::Ram;

void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return size_ == 0; }
  std::uint64_t take(unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes && size_ != 0; ++i, --size_) {
      value |= std::uint64_t{*data_++} << (8 * i);
    }
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

/// What the commands mean, in maps.
class Model {
 public:
  void apply(const ItsGuest::Command& c, bool exhausted) {
    const std::uint64_t device = c[0] >> 32;
    const std::uint64_t event = c[1] & 0xffff'ffff;
    const std::uint64_t collection = c[2] & 0xffff;
    const std::uint64_t cpu = c[2] >> 16 & 0xf'ffff'ffff;
    const bool valid = c[2] >> 63 != 0;
    const std::pair key{device, event};
    switch (c[0] & 0xff) {
      case 0x08: return mapd(device, (c[1] & 0x1f) + 1, valid, exhausted);
      case 0x09:
        if (collection >= 16 || (valid && cpu >= 2)) return;
        if (valid) {
          collections_[collection] = cpu;
        } else {
          collections_.erase(collection);
        }
        for (auto& [k, e] : events_) {
          if (e.second == collection) route(e.first, collection);
        }
        return;
      case 0x0a:
      case 0x0b: {
        const std::uint64_t lpi = (c[0] & 0xff) == 0x0a ? c[1] >> 32 : event;
        if (!devices_.count(device) || event >> devices_[device] != 0 || collection >= 16) return;
        if (lpi < kFirstLpi || lpi >= kFirstLpi + kLpiCount || events_.count(key) || exhausted)
          return;
        events_[key] = {lpi, collection};
        route(lpi, collection);
        return;
      }
      case 0x01:
        if (!events_.count(key) || collection >= 16 || !collections_.count(collection)) return;
        events_[key].second = collection;
        route(events_[key].first, collection);
        return;
      case 0x0e: {
        const std::uint64_t to = c[3] >> 16 & 0xf'ffff'ffff;
        if (cpu >= 2 || to >= 2) return;
        for (auto& [lpi, target] : routes_) {
          if (target == cpu) target = to;
        }
        return;
      }
      case 0x0f:
        if (!events_.count(key)) return;
        routes_.erase(events_[key].first);
        events_.erase(key);
        return;
      default: return;
    }
  }
  [[nodiscard]] std::optional<std::pair<std::uint64_t, std::uint64_t>> resolve(
      std::uint64_t device, std::uint64_t event) const {
    const auto mapped = events_.find({device, event});
    if (mapped == events_.end()) return std::nullopt;
    const auto target = routes_.find(mapped->second.first);
    if (target == routes_.end()) return std::nullopt;
    return std::pair{target->second, mapped->second.first};
  }

 private:
  void mapd(std::uint64_t device, std::uint64_t bits, bool valid, bool exhausted) {
    if (device >= 0x1'0000 || (valid && bits > 11)) return;
    for (auto it = events_.begin(); it != events_.end();) {
      if (it->first.first == device) {
        routes_.erase(it->second.first);
        it = events_.erase(it);
      } else {
        ++it;
      }
    }
    devices_.erase(device);
    if (valid && !exhausted) devices_[device] = bits;
  }
  void route(std::uint64_t lpi, std::uint64_t collection) {
    const auto cpu = collections_.find(collection);
    if (cpu == collections_.end()) {
      routes_.erase(lpi);
    } else {
      routes_[lpi] = cpu->second;
    }
  }
  std::map<std::uint64_t, std::uint64_t> devices_;
  std::map<std::uint64_t, std::uint64_t> collections_{{0, 0}, {1, 1}};
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<std::uint64_t, std::uint64_t>>
      events_;
  std::map<std::uint64_t, std::uint64_t> routes_;
};

constexpr std::uint8_t kOpcodes[] = {0x08, 0x09, 0x0a, 0x0b, 0x01, 0x0e, 0x0f, 0x03,
                                     0x04, 0x0c, 0x0d, 0x05, 0x29, 0xff, 0x0a, 0x0a};

ItsGuest::Command command_from(Input& in) {
  const std::uint64_t op = in.take(1);
  const std::uint64_t a = in.take(1);
  const std::uint64_t b = in.take(1);
  const std::uint64_t code = kOpcodes[op & 0xf];
  const std::uint64_t device = (a & 7) == 7 ? 0x1'0000 : a & 7;
  const std::uint64_t event = a >> 3;
  const std::uint64_t second = code == 0x08 ? (b & 0xf) : event | (8190 + b % 64) << 32;
  const std::uint64_t third = (op >> 4 & 3) | (b & 3) << 16 | ((op >> 6 & 3) != 0 ? 1ULL << 63 : 0);
  return {code | device << 32, second, third, (b >> 2 & 3) << 16};
}

void check_model(ItsGuest& g, const Model& model) {
  for (unsigned device = 0; device < 7; ++device) {
    for (unsigned event = 0; event < 32; ++event) {
      const auto real = g.its.resolve(GuestDeviceId(device), GuestEventId(event));
      const auto wanted = model.resolve(device, event);
      require(real.has_value() == wanted.has_value());
      if (!wanted) continue;
      require(real->vcpu.value() == wanted->first && real->lpi.value() == wanted->second);
    }
  }
}

void check_always(ItsGuest& g) {
  const std::uint64_t bytes = ((g.its.read(0x80, 8) & 0xff) + 1) * 4096;
  require(g.its.read(0x90, 8) < bytes && g.its.read(0x90, 8) % 32 == 0);
  require(g.its.read(0x88, 8) < bytes && g.its.read(0x88, 8) % 32 == 0);
  require(g.ram.writes == 0);
  g.run();
  for (const auto& cpu : g.cpus) require(cpu.sane());
}

void wild_step(ItsGuest& g, Input& in) {
  static constexpr std::uint64_t kOffsets[] = {0x00, 0x80,  0x84,  0x88,    0x8c,
                                               0x90, 0x100, 0x108, 0x1'0040};
  static constexpr std::uint64_t kQueues[] = {Ram::kBase, Ram::kBase + 0x3'f000, 0x0808'0000,
                                              0xf'ffff'ffff'f000ULL};
  const std::uint64_t op = in.take(1);
  const auto before = g.its.counters().commands;
  const unsigned reads = g.ram.reads;
  const unsigned size = 1U << (op >> 4 & 3);
  switch (op & 7) {
    case 0: g.its.write(kOffsets[in.take(1) % 9], size, in.take(8)); break;
    case 1: g.its.write(in.take(3), size, in.take(8)); break;
    case 2: (void)g.its.read(in.take(3), size); break;
    case 3: g.put(in.take(1), {in.take(8), in.take(8), in.take(8), in.take(4) << 16}); break;
    case 4: g.put(in.take(1), command_from(in)); break;
    case 5: g.its.write(0x88, 8, in.take(2) * 32); break;
    case 6: g.queue_at(kQueues[op >> 6], 1 + static_cast<unsigned>(in.take(1))); break;
    default: g.its.run_commands(static_cast<unsigned>(op >> 3)); break;
  }
  // Bounded work: 32 commands, or the last of them heavy; a heavy one reads the property table
  // once.
  require(g.its.counters().commands - before <= VirtualIts::kCommandsPerTrap);
  require(g.ram.reads - reads <= 2 * VirtualIts::kCommandsPerTrap + 3 * kLpiCount / 64);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  Input in(data, size);
  ItsGuest g;
  g.keep_log = false;
  g.enable_all();
  Model model;
  const std::uint64_t orderly = in.take(1);
  for (std::uint64_t n = 0; n < orderly && !in.empty(); ++n) {
    const ItsGuest::Command c = command_from(in);
    const auto before = g.its.counters().exhausted;
    g.command(c);
    model.apply(c, g.its.counters().exhausted != before);
    check_always(g);
    if (n % 8 == 7) check_model(g, model);
  }
  check_model(g, model);
  g.ram.changes_after_read = true;
  while (!in.empty()) {
    wild_step(g, in);
    check_always(g);
  }
  return 0;
}
