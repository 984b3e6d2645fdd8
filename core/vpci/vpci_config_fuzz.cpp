// Arbitrary config accesses, on a function whose own config space is arbitrary too. What must hold
// whatever happens:
//   - nothing is written to the hardware from here, and hardware is read at legal places only;
//   - a hardware write that is asked for changes bits of the three registers that may, by masks
//   written down here;
//   - effects alternate: no BAR is mapped twice or unmapped when it is not, and it is mapped inside
//   a window;
//   - the virtual capability list ends.
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

struct Model {
  bool mapped[6] = {};
  std::uint64_t gpa[6] = {};
  unsigned express = 0;  // where the guest sees it, 0: nowhere
};

void check_hardware_write(const Effect& effect, const Model& model, const test::FakeConfig& hw) {
  std::uint32_t writable = 0;
  std::uint32_t clears = 0;
  if (effect.offset == 0x06) {
    writable = clears = 0xf900;
  } else if (model.express != 0 && effect.offset == model.express + 0x08) {
    writable = 0x0010;
  } else {
    require(model.express != 0 && effect.offset == model.express + 0x0a);
    writable = 0x000f;
    clears = 0x004f;
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
      case Effect::Kind::kBusMaster:
      case Effect::Kind::kFunctionReset: break;
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
  static VirtualFunction f;
  if (!f.init(rich.facts, rich.options)) return;
  Model model;
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
    } else {
      require((f.config_read(offset, size) & ~all_ones(size)) == 0);
    }
    require(rich.config.writes == 0 && !rich.config.misused);
  }
  require(walk(f) == model.express);
}

}  // namespace
}  // namespace penstock::vpci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::vpci::run(penstock::vpci::Input({data, size}));
  return 0;
}
