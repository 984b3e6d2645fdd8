// Arbitrary config accesses, on a function whose own config space is arbitrary too. What must hold
// whatever happens:
//   - nothing is written to the hardware from here, and hardware is read at legal places only;
//   - a hardware write that is asked for changes bits of the three registers that may, by masks
//   written down here; with full access it may be anywhere but in what is protected;
//   - virtual functions are switched on and off in turns, and never more than there may be;
//   - effects alternate: no BAR is mapped twice or unmapped when it is not, and it is mapped inside
//   a window;
//   - the virtual capability list ends.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

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

constexpr std::uint16_t kMostVfs = 5;

struct Model {
  bool mapped[6] = {};
  std::uint64_t gpa[6] = {};
  unsigned express = 0;             // where the guest sees it, 0: nowhere
  std::array<bool, 1024> banned{};  // dwords that no write of full access may reach
  unsigned vfs = 0;
};

/// What even the hardware domain must not reach, from a walk of its own: the header, the beginning
/// of each capability that is virtual, and everything between a forbidden one and the next. Marks
/// dwords; an ill-formed list marks all.
void find_protected(const test::FakeConfig& hw, std::array<bool, 1024>& marks) {
  constexpr unsigned kVirtual[] = {0x01, 0x05, 0x10, 0x11, 0x13};
  constexpr unsigned kForbidden[] = {0x02, 0x08, 0x0c, 0x0e, 0x14};
  constexpr unsigned kForbiddenExtended[] = {0x0d, 0x0e, 0x0f, 0x11, 0x12, 0x13, 0x15,
                                             0x1b, 0x1d, 0x24, 0x23, 0x2e, 0x30};
  const auto has = [](std::span<const unsigned> list, unsigned id) {
    return std::find(list.begin(), list.end(), id) != list.end();
  };
  for (unsigned d = 0; d < 16; ++d) marks[d] = true;
  std::array<bool, 1024> starts{};
  std::array<bool, 1024> forbidden{};
  bool express = false;
  unsigned at = (hw.bytes[0x06] & 0x10) != 0 ? hw.bytes[0x34] & 0xfcU : 0;
  for (; at >= 0x40 && !starts[at / 4]; at = hw.bytes[at + 1] & 0xfcU) {
    starts[at / 4] = true;
    marks[at / 4] |= has(kVirtual, hw.bytes[at]);
    forbidden[at / 4] = has(kForbidden, hw.bytes[at]);
    express |= hw.bytes[at] == 0x10;
  }
  bool broken = at != 0;
  for (at = 0x100; express && at >= 0x100 && !starts[at / 4];) {
    const auto header = static_cast<std::uint32_t>(load_le(hw.bytes, at, 4));
    if (header == 0 || header == 0xffffffff) {
      broken |= at != 0x100;
      break;
    }
    starts[at / 4] = true;
    forbidden[at / 4] = has(kForbiddenExtended, header & 0xffff);
    marks[at / 4] |= (header & 0xffff) == 0x10;  // SR-IOV is virtual, where it is shown
    at = (header >> 20) & 0xffcU;
    broken |= at != 0 && (at < 0x100 || starts[at / 4]);
  }
  for (unsigned d = 16; d < 1024; ++d) {
    if (!starts[d] && d != 64) forbidden[d] = forbidden[d - 1];
    marks[d] |= forbidden[d] || broken || (d >= 64 && !express);
  }
}

void check_hardware_write(const Effect& effect, const Model& model, const test::FakeConfig& hw) {
  std::uint32_t writable = 0;
  std::uint32_t clears = 0;
  if (effect.offset == 0x06) {
    writable = clears = 0xf900;
  } else if (model.express != 0 && effect.offset == model.express + 0x08) {
    writable = 0x0010;
  } else if (model.express != 0 && effect.offset == model.express + 0x0a) {
    writable = 0x000f;
    clears = 0x004f;
  } else {
    require(effect.offset < 4096 && !model.banned[effect.offset / 4]);
    require(effect.size <= 4 && effect.offset % effect.size == 0);
    return;
  }
  require(effect.size == 2 && effect.value <= 0xffff);
  const auto old = static_cast<std::uint32_t>(load_le(hw.bytes, effect.offset, 2));
  require((effect.value & clears & ~writable) == 0);
  // Initiate FLR reads 0 by specification; a device that shows 1 must not be told to reset by a
  // copy of it.
  const std::uint32_t reset = effect.offset == model.express + 0x08U ? 0x8000 : 0;
  require(((effect.value ^ old) & ~writable & ~clears & ~reset) == 0);
  require((effect.value & reset) == 0);
}

void check(const Effects& effects, Model& model, const VirtualFunction& f,
           test::RichFunction& rich) {
  require(!effects.full());
  for (const Effect& effect : effects) {
    switch (effect.kind) {
      case Effect::Kind::kMapBar:
        require(effect.bar < 6 && !model.mapped[effect.bar]);
        require(effect.gpa >= test::kWindow32);
        require(f.bar(effect.bar).mapped && f.bar(effect.bar).gpa == effect.gpa);
        model.mapped[effect.bar] = true;
        model.gpa[effect.bar] = effect.gpa.value();
        break;
      case Effect::Kind::kUnmapBar:
        require(effect.bar < 6 && model.mapped[effect.bar]);
        require(model.gpa[effect.bar] == effect.gpa.value());
        model.mapped[effect.bar] = false;
        break;
      case Effect::Kind::kMsiEnable:
      case Effect::Kind::kMsixEnable: require(effect.count <= f.max_vectors()); break;
      case Effect::Kind::kVectorChanged:
        require(effect.first + effect.count <= f.vector_count());
        break;
      case Effect::Kind::kHardwareWrite: check_hardware_write(effect, model, rich.config); break;
      case Effect::Kind::kSriovEnable:
        require(model.vfs == 0 && effect.count != 0 && effect.count <= kMostVfs);
        model.vfs = effect.count;
        break;
      case Effect::Kind::kSriovDisable:
        require(model.vfs != 0);
        model.vfs = 0;
        break;
      case Effect::Kind::kBusMaster: break;
      case Effect::Kind::kFunctionReset: require(model.vfs == 0); break;
    }
  }
}

/// Walks the virtual list as a guest would and returns where PCI Express is.
unsigned walk(const VirtualFunction& f) {
  unsigned express = 0;
  auto at = static_cast<unsigned>(f.config_read(0x34, 1));
  for (unsigned steps = 0; at != 0; ++steps) {
    require(steps < 48 && at >= 0x40 && at % 4 == 0);
    if (f.config_read(at, 1) == 0x10) express = at;
    at = static_cast<unsigned>(f.config_read(at + 1, 1));
  }
  at = 0x100;
  for (unsigned steps = 0; at != 0 && f.config_read(at, 4) != 0; ++steps) {
    require(steps < 64 && at >= 0x100 && at % 4 == 0);
    at = static_cast<unsigned>(f.config_read(at, 4) >> 20);
  }
  return express;
}

void run(Input input) {
  static test::RichFunction rich;
  rich.build();
  // The device first: a few bytes of its config space changed at will, below the point where it
  // would be refused.
  for (auto patches = input.take(1) % 32; patches != 0; --patches) {
    const auto at = static_cast<unsigned>(input.take(2)) % 4096;
    rich.config.bytes[at] = static_cast<std::uint8_t>(input.take(1));
  }
  const auto wishes = input.take(1);
  SriovFacts sriov;
  sriov.vfs = (wishes & 1) != 0 ? kMostVfs : 0;
  sriov.bars[0] = {.size = 16 * kKiB, .is64 = true};
  rich.options.sriov = &sriov;
  rich.options.integrated_endpoint = (wishes & 2) != 0;
  rich.options.full_access = (wishes & 4) != 0;
  static VirtualFunction f;
  if (!f.init(rich.facts, rich.options)) return;
  Model model;
  model.banned.fill(true);
  if (rich.options.full_access) {
    model.banned.fill(false);
    find_protected(rich.config, model.banned);
  }
  model.express = walk(f);
  constexpr unsigned kSizes[] = {1, 2, 4, 8};
  while (!input.empty()) {
    const auto kind = input.take(1);
    const unsigned size = kSizes[kind & 3];
    const auto offset = static_cast<unsigned>(input.take(2)) & 0x1fff;
    if ((kind & 4) != 0) {
      check(f.config_write(offset, size, input.take(size)), model, f, rich);
    } else if ((kind & 8) != 0) {
      check(f.reset(), model, f, rich);
    } else if ((kind & 16) != 0) {
      f.vfs_lost();
      model.vfs = 0;
    } else {
      require((f.config_read(offset, size) & ~all_ones(size)) == 0);
      require((f.vf_placeholder_read(offset, size) & ~all_ones(size)) == 0);
    }
    require(rich.config.writes == 0 && !rich.config.misused && f.vfs() == model.vfs);
  }
  require(walk(f) == model.express);
}

}  // namespace
}  // namespace penstock::vpci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::vpci::run(penstock::vpci::Input({data, size}));
  return 0;
}
