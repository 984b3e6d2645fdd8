// Arbitrary accesses to trapped BARs, mixed with MSI-X switching. What must hold:
//   - the device's table and pending bits are never written, its table never read;
//   - every access that reaches the device is aligned and inside the BAR;
//   - the guest reads its table as it wrote it, checked against a plain model of bytes;
//   - a vector that changes is one that the guest was shown, and the views agree with the table.
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

constexpr unsigned kShownBytes = 16 * test::kShownVectors;
constexpr unsigned kHwBytes = 16 * test::kHwVectors;

/// The table as an array of bytes with the reserved bits of PCIe 7.7.2.5 to .8 forced to 0.
class TableModel {
 public:
  TableModel() { reset(); }
  void reset() {
    for (unsigned i = 0; i < kShownBytes; ++i) bytes_[i] = i % 16 == 12 ? 1 : 0;
  }
  void write(std::uint64_t at, std::uint8_t value) {
    if (at >= kShownBytes) return;
    switch (at % 16) {
      case 0: bytes_[at] = value & 0xfc; break;
      case 12: bytes_[at] = value & 1; break;
      case 13:
      case 14:
      case 15: break;
      default: bytes_[at] = value;
    }
  }
  [[nodiscard]] std::uint8_t read(std::uint64_t at) const {
    return at < kShownBytes ? bytes_[at] : 0;
  }
  [[nodiscard]] std::uint64_t field(unsigned k, unsigned at, unsigned size) const {
    return load_le(bytes_, 16 * k + at, size);
  }

 private:
  std::array<std::uint8_t, kShownBytes> bytes_{};
};

void check_effects(const Effects& effects, const VirtualFunction& f) {
  require(!effects.full());
  for (const Effect& effect : effects) {
    require(effect.kind == Effect::Kind::kVectorChanged);
    require(effect.count == 1 && effect.first < test::kShownVectors && f.kind() == MsiKind::kMsix);
  }
}

void check_device(test::FakeBar& bar) {
  require(!bar.misused);
  for (const auto& access : bar.writes) {
    require(!overlaps(access.offset, access.size, test::kTableOffset, kHwBytes));
    require(!overlaps(access.offset, access.size, test::kPbaOffset, 16));
  }
  for (const auto& access : bar.reads) {
    require(!overlaps(access.offset, access.size, test::kTableOffset, kHwBytes));
  }
  bar.forget();
}

void run(std::span<const std::uint8_t> data) {
  static test::RichFunction rich;
  static VirtualFunction f;
  static test::FakeBar bar;
  rich.build();
  bar.bytes.fill(0x96);
  require(f.init(rich.facts, rich.options).has_value());
  TableModel model;
  constexpr unsigned kSizes[] = {1, 2, 4, 8};
  constexpr std::size_t kStep = 11;
  for (; data.size() >= kStep; data = data.subspan(kStep)) {
    const std::uint8_t op = data[0];
    const unsigned size = kSizes[op & 3];
    std::uint64_t offset = load_le(data, 1, 2);
    // Most accesses near the table, some anywhere, even far outside.
    offset = (op & 4) != 0 ? test::kTableOffset - 16 + offset % 0x1020
                           : offset << ((op & 8) != 0 ? 48 : 0);
    const std::uint64_t value = load_le(data, 3, 8) & all_ones(size);
    if ((op & 0x30) == 0x30) {
      static_cast<void>(f.config_write(test::kMsixCap + 2, 2, value));
    } else if ((op & 0x30) == 0x20) {
      static_cast<void>(f.reset());
      model.reset();
    } else if ((op & 0x30) == 0x10) {
      check_effects(f.bar_write(0, offset, size, value, bar), f);
      for (unsigned i = 0; i < size; ++i) {
        const std::uint64_t at = offset + i;
        if (at >= test::kTableOffset) {
          model.write(at - test::kTableOffset, static_cast<std::uint8_t>(value >> (8 * i)));
        }
      }
    } else {
      const std::uint64_t read = f.bar_read(0, offset, size, bar);
      for (unsigned i = 0; i < size; ++i) {
        const std::uint64_t at = offset + i;
        if (!overlaps(at, 1, test::kTableOffset, kHwBytes)) continue;
        require(((read >> (8 * i)) & 0xff) == model.read(at - test::kTableOffset));
      }
    }
    check_device(bar);
  }
  for (unsigned k = 0; k < f.vector_count(); ++k) {
    const VectorView view = f.vector(k);
    require(view.in_use && view.address == model.field(k, 0, 8) &&
            view.data == model.field(k, 8, 4));
  }
}

}  // namespace
}  // namespace penstock::vpci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::vpci::run({data, size});
  return 0;
}
