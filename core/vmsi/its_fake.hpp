// For tests, fuzzers and benchmarks: a guest with an ITS and a driver's way of giving it commands.
// Encodings are written out from IHI 0069 H 5.3 here, not taken from the code under test.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_its.hpp"

namespace penstock::vmsi::fake {

class ItsGuest final : public Guest, public ItsListener {
 public:
  using Command = std::array<std::uint64_t, 4>;

  explicit ItsGuest(ItsLimits limits = {}, unsigned vcpus = 2) : Guest(vcpus) {
    if (!its.init(gic, ram, *this, limits)) std::abort();
  }
  /// Guest::enable_all(), a queue of 4 KiB at the start of RAM, collection i on vCPU i.
  void enable_all() {
    Guest::enable_all();
    queue_at(Ram::kBase, 1);
    for (unsigned i = 0; i < cpus.size(); ++i) command(mapc(i, i));
  }
  void queue_at(std::uint64_t address, unsigned pages) {
    its.write(0x00, 4, 0);
    its.write(0x80, 8, 1ULL << 63 | address | (pages - 1));
    its.write(0x88, 8, 0);
    its.write(0x00, 4, 1);
    queue_ = address;
    next = 0;
    commands_ = pages * 128;
  }
  void put(std::uint64_t index, const Command& c) {
    const std::uint64_t offset = queue_ - Ram::kBase + index * 32;
    if (offset + 32 <= ram.bytes().size()) std::memcpy(ram.bytes().data() + offset, c.data(), 32);
  }
  /// Puts one command into the queue and waits for it.
  void command(const Command& c) {
    put(next, c);
    next = (next + 1) % commands_;
    its.write(0x88, 8, next * 32);
    while (its.has_pending_commands()) its.run_commands(VirtualIts::kCommandsPerTrap);
  }

  static Command mapd(std::uint64_t device, unsigned event_bits, bool valid = true,
                      std::uint64_t itt = Ram::kBase) {
    return {0x08 | device << 32, (event_bits - 1) & 0x1fU, itt | std::uint64_t{valid} << 63, 0};
  }
  static Command mapc(std::uint64_t collection, std::uint64_t cpu, bool valid = true) {
    return {0x09, 0, collection | cpu << 16 | std::uint64_t{valid} << 63, 0};
  }
  static Command mapti(std::uint64_t device, std::uint64_t event, std::uint64_t lpi,
                       std::uint64_t collection) {
    return {0x0a | device << 32, event | lpi << 32, collection, 0};
  }
  static Command mapi(std::uint64_t device, std::uint64_t event, std::uint64_t collection) {
    return {0x0b | device << 32, event, collection, 0};
  }
  static Command movi(std::uint64_t device, std::uint64_t event, std::uint64_t collection) {
    return {0x01 | device << 32, event, collection, 0};
  }
  static Command movall(std::uint64_t from, std::uint64_t to) {
    return {0x0e, 0, from << 16, to << 16};
  }
  static Command discard(std::uint64_t device, std::uint64_t event) {
    return {0x0f | device << 32, event, 0, 0};
  }
  static Command clear(std::uint64_t device, std::uint64_t event) {
    return {0x04 | device << 32, event, 0, 0};
  }
  static Command interrupt(std::uint64_t device, std::uint64_t event) {
    return {0x03 | device << 32, event, 0, 0};
  }
  static Command inv(std::uint64_t device, std::uint64_t event) {
    return {0x0c | device << 32, event, 0, 0};
  }
  static Command invall(std::uint64_t collection) { return {0x0d, 0, collection, 0}; }
  static Command sync(std::uint64_t cpu) { return {0x05, 0, cpu << 16, 0}; }

  ItsProgress follow(const ItsChange& change, bool first, unsigned /*budget*/) override {
    if (first) note(text_of(change));
    if (parts_left != 0) --parts_left;
    return {.units = 1, .done = parts_left == 0};
  }

  VirtualIts its;
  std::vector<std::string> log;
  std::uint64_t next = 0;
  bool keep_log = true;
  unsigned parts_left = 0;  // of what it follows next: so many calls until it is done

 private:
  static std::string text_of(const ItsChange& change) {
    const std::string device = std::to_string(change.device.value());
    switch (change.kind) {
      case ItsChange::Kind::kNone: return "none";
      case ItsChange::Kind::kEvent:
        return "event " + device + " " + std::to_string(change.event.value());
      case ItsChange::Kind::kDevice: return "device " + device;
      case ItsChange::Kind::kAll: return "all";
    }
    return "";
  }
  void note(std::string text) {
    if (keep_log) log.push_back(std::move(text));
  }
  std::uint64_t queue_ = Ram::kBase;
  std::uint64_t commands_ = 128;
};

}  // namespace penstock::vmsi::fake
