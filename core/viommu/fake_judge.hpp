// For fuzzers: what must hold of everything that a guest's SMMU asks the board's for, whatever the
// guest does, and an input taken apart into choices.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <set>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu::fake {

inline void require(bool condition) {
  if (!condition) std::abort();
}

/// Choices out of a fuzzer's input; zeroes when it is used up.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool done() const { return at_ == bytes_.size(); }
  std::uint64_t take(unsigned size) {
    const auto left = static_cast<unsigned>(std::min<std::size_t>(size, bytes_.size() - at_));
    const std::uint64_t value = load_le(bytes_, at_, left);
    at_ += left;
    return value;
  }
  std::uint64_t below(std::uint64_t limit) { return take(1) % limit; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// Judges all that the host of `guest` hears: attached streams and no others, stage 1's fields and
/// no others, invalidations of stage 1 and no others.
class Judge {
 public:
  explicit Judge(Guest& guest) : guest_(guest) {
    guest.host.remembers = false;
    guest.host.on_configure = [this](StreamId stream, const hw::smmuv3::Stage1& wanted) {
      require(attached_.contains(stream.value()));
      judge(wanted);
    };
    guest.host.on_forward = [this](std::span<const hw::smmuv3::Command> batch) {
      require(!batch.empty() && batch.size() <= Stage1Host::kMaxBatch);
      for (const auto& command : batch) judge(command);
    };
  }
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  void attach(std::uint32_t stream) {
    attached_.insert(physical(stream).value());
    if (!guest_.smmu.attach(GuestStreamId(stream), physical(stream))) {
      attached_.erase(physical(stream).value());
    }
  }
  void detach(std::uint32_t stream) {
    guest_.smmu.detach(GuestStreamId(stream));
    attached_.erase(physical(stream).value());
  }
  [[nodiscard]] bool is_attached(std::uint32_t stream) const {
    return attached_.contains(physical(stream).value());
  }

  /// One slice, within its bounds. An access to a register does one at most.
  template <typename Work>
  void bounded(Work work) {
    const auto& counters = guest_.smmu.counters();
    const std::uint64_t calls = guest_.host.calls;
    const std::uint64_t reads = guest_.ram.reads;
    const std::uint64_t writes = guest_.ram.writes;
    const std::uint64_t commands = counters.commands;
    const std::uint64_t slices = counters.slices;
    work();
    require(counters.slices - slices <= 1);
    require(guest_.host.calls - calls <= VirtualSmmu::kUnitsPerSlice);
    require(counters.commands - commands <= VirtualSmmu::kUnitsPerSlice + 8);
    require(guest_.ram.reads - reads <= 2ULL * VirtualSmmu::kUnitsPerSlice);
    require(guest_.ram.writes - writes <= VirtualSmmu::kUnitsPerSlice + 8);
  }
  void run() {
    bounded([this] { guest_.smmu.run(); });
  }
  /// Whatever was asked for is done after so many slices, unless the host stays busy.
  void settle() {
    guest_.host.busy = 0;
    for (unsigned i = 0; i < kMostSlices && guest_.smmu.has_work(); ++i) run();
    require(!guest_.smmu.has_work());
  }

 private:
  // At most 511 commands of 64 units each, and every stream for a CR0 and a GBPA.
  static constexpr unsigned kMostSlices = 512 * kMaxStreams;

  static void judge(const hw::smmuv3::Stage1& wanted) {
    using hw::smmuv3::Stage1Mode;
    if (wanted.mode != Stage1Mode::kTranslate) {
      require(wanted.word0 == 0 && wanted.word1 == 0);
      return;
    }
    // S1Fmt, S1ContextPtr within 40 bits, S1CDMax; S1DSS, S1CIR, S1COR, S1CSH.
    require((wanted.word0 & ~0xf800'00ff'ffff'fff0ULL) == 0);
    require((wanted.word1 & ~0xffULL) == 0);
  }
  void judge(const hw::smmuv3::Command& command) const {
    const std::uint64_t op = command[0] & 0xff;
    const auto high = static_cast<std::uint32_t>(command[0] >> 32);
    switch (op) {
      case 0x10: require(command[0] == op && command[1] == 0); return;
      case 0x11: require((command[0] & 0x0000'ffff'ffff'ff00) == 0 && command[1] == 0); return;
      case 0x12:
      case 0x13: {
        require((command[0] & 0x0000'ffff'fe0e'0f00) == 0);  // neither VMID nor reserved
        require((command[1] & 0x3fe & ~0x300ULL) == 0);
        const bool range = (command[1] >> 10 & 3) != 0;
        const bool counts = (command[0] & 0x01f1'f000) != 0;
        require(range == counts);  // NUM = SCALE = TTL = 0 with a granule is reserved
        return;
      }
      case 0x05: require((command[0] & 0xf00) == 0 && (command[1] & ~1ULL) == 0); break;
      case 0x06: require((command[0] & 0xffff'ff00) == 0 && command[1] == 0); break;
      default: require(false);
    }
    require(attached_.contains(high));
  }

  Guest& guest_;
  std::set<std::uint32_t> attached_;
};

}  // namespace penstock::viommu::fake
