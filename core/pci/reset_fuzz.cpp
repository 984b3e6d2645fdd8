// Functions and a bridge that answer whatever they like while they are reset: the machine ends in
// bounded time and steps, never lets them master the bus except in the device's own method, and
// never leaves the bus in reset.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "core/hw/pci/config.hpp"
#include "core/pci/reset.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;

void require(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint32_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  std::uint32_t word() {
    const std::uint32_t low = byte();
    const std::uint32_t high = byte();
    return low | high << 8;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

/// Real registers for what it feels like, else noise, all-ones, or "not ready".
class WildConfig final : public port::ConfigSpace {
 public:
  WildConfig(Input& input, const FunctionInfo& info) : input_(input), info_(info) {}

  std::uint32_t read(unsigned offset, unsigned size) override {
    check(offset, size);
    const std::uint32_t mood = input_.byte();
    if (mood < 0xc0 && offset == hp::kVendorId && size == 4) {
      return std::uint32_t{info_.device} << 16 | info_.vendor;
    }
    if (mood < 0xd0) return registers_[offset] & mask(size);
    if (mood < 0xe0) return mask(size);
    if (mood < 0xe8) return 0x0001 & mask(size);
    return (input_.word() | input_.word() << 16) & mask(size);
  }
  void write(unsigned offset, unsigned size, std::uint32_t value) override {
    check(offset, size);
    registers_[offset] = value & mask(size);
  }
  [[nodiscard]] std::uint32_t written(unsigned offset) const { return registers_[offset]; }
  unsigned accesses = 0;

 private:
  static std::uint32_t mask(unsigned size) { return size == 4 ? ~0U : (1U << 8 * size) - 1; }
  void check(unsigned offset, unsigned size) {
    require((size == 1 || size == 2 || size == 4) && offset % size == 0);
    require(offset + size <= hp::kConfigSize);
    ++accesses;
  }

  Input& input_;
  const FunctionInfo& info_;
  std::array<std::uint32_t, hp::kConfigSize> registers_{};
};

class WildRegisters final : public port::Mmio {
 public:
  explicit WildRegisters(Input& input) : input_(input) {}
  std::uint8_t read8(std::uint64_t) override { std::abort(); }
  std::uint16_t read16(std::uint64_t) override { std::abort(); }
  std::uint32_t read32(std::uint64_t) override { return input_.word() | input_.word() << 16; }
  std::uint64_t read64(std::uint64_t) override { std::abort(); }
  void write8(std::uint64_t, std::uint8_t) override { std::abort(); }
  void write16(std::uint64_t, std::uint16_t) override { std::abort(); }
  void write32(std::uint64_t, std::uint32_t) override {}
  void write64(std::uint64_t, std::uint64_t) override { std::abort(); }

 private:
  Input& input_;
};

FunctionInfo some_function(Input& input) {
  FunctionInfo info;
  info.bdf = HostBdf(static_cast<std::uint16_t>(input.word()));
  const auto quirks = reset_quirks();
  const std::uint32_t which = input.byte();
  if (which < quirks.size()) {
    info.vendor = quirks[which].vendor;
    info.device = quirks[which].device;
    info.class_code = std::uint32_t{quirks[which].base_class} << 16;
  } else {
    info.vendor = 0x1234;
    info.device = static_cast<std::uint16_t>(input.word());
  }
  const std::uint32_t flags = input.byte();
  info.express = (flags & 1) != 0;
  info.express_at = info.express ? 0x80 : 0;
  info.flr_express = info.express && (flags & 2) != 0;
  info.flr = info.flr_express || (flags & 4) != 0;
  info.advanced_features = (flags & 4) != 0 ? 0xd0 : 0;
  info.power = (flags & 8) != 0 ? 0x40 : 0;
  info.msix = (flags & 16) != 0 ? 0x60 : 0;
  info.is_vf = (flags & 32) != 0;
  if ((flags & 64) != 0)
    info.bars[0] = {Hpa(0x1000'0000), 0x1000'0000, 0x1000, false, false, false};
  info.bars[2] = {Hpa(0x80'0000'0000), 0x80'0000'0000, 0x4000, false, (flags & 128) != 0, false};
  return info;
}

constexpr std::uint64_t kPatienceNs = 1'000'000'000;
// Five methods: their fixed times, a drain, a delay, a link, and the patience for each thing.
constexpr std::uint64_t kMostNs = 5 * (5 * kPatienceNs);
constexpr unsigned kMostAccesses = 60'000;  // between two waits: lists of capabilities, every time

void run(Input& input) {
  const FunctionInfo info = some_function(input);
  const FunctionInfo other = some_function(input);
  FunctionInfo bridge;
  WildConfig config(input, info);
  WildConfig peer_config(input, other);
  WildConfig port(input, bridge);
  WildRegisters registers(input);
  const std::array<ResetPeer, 1> peers = {ResetPeer{&other, &peer_config}};
  const std::uint32_t have = input.byte();
  Reset reset;
  require(reset.step(0).state == ResetStep::State::kFailed);
  std::uint64_t now = 1;
  reset.start(
      {.info = &info,
       .config = &config,
       .registers = (have & 1) != 0 ? &registers : nullptr,
       .port = (have & 2) != 0 ? &port : nullptr,
       .peers = (have & 4) != 0 ? std::span<const ResetPeer>(peers) : std::span<const ResetPeer>(),
       .patience_ns = kPatienceNs},
      now);
  ResetStep step;
  for (;;) {
    config.accesses = peer_config.accesses = port.accesses = 0;
    step = reset.step(now);
    require(config.accesses + peer_config.accesses + port.accesses < kMostAccesses);
    if (reset.method() != ResetMethod::kSpecific) {
      require((config.written(hp::kCommand) & 4) == 0);
    }
    require((peer_config.written(hp::kCommand) & 4) == 0);
    if (step.state != ResetStep::State::kWait) break;
    require(step.until_ns > now);
    now = std::max(step.until_ns, now + input.byte() * 1'000'000);
    require(now < kMostNs);
  }
  require(reset.step(now).state == step.state);
  require((config.written(hp::kCommand) & 4) == 0);
  require((port.written(hp::kBridgeControl) & 0x40) == 0);
  if (step.state == ResetStep::State::kFailed && step.error.code != Code::kNoReset) {
    const ResetFailure failure = failure_of(step.error);
    require(failure.function == info.bdf || failure.function == other.bdf);
    require(failure.fault != ResetFault::kNone && failure.method != ResetMethod::kNone);
  }
}

}  // namespace
}  // namespace penstock::pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::pci::Input input(data, size);
  penstock::pci::run(input);
  return 0;
}
