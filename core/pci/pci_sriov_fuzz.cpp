// An SR-IOV capability that says whatever it likes and changes its mind: measuring and switching
// end, stay inside the ECAM window, and what comes out as a VF lies on the PF's buses and has BARs
// in the windows, apart from everybody else's.
#include <cstdint>
#include <cstdlib>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/pci/enumerate.hpp"
#include "core/pci/sriov.hpp"

namespace penstock::pci {
namespace {

constexpr std::uint64_t kEcamBytes = std::uint64_t{4} << 20;
constexpr HostWindow kMem32{0x1000'0000, Hpa(0x1000'0000), 0x2eff'0000};
constexpr HostWindow kMem64{0x80'0000'0000, Hpa(0x80'0000'0000), 512 * kGiB};
constexpr unsigned kPfAt = 1 << 20;  // 01:00.0
constexpr unsigned kCapability = 0x100;

void require(bool holds) {
  if (!holds) std::abort();
}

/// A root port and a PF behind it that are what they should be, but for the PF's SR-IOV capability;
/// every other function answers or does not as the input says.
class WildPf final : public port::Mmio {
 public:
  WildPf(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {
    put(0x8000, 0x000c'1b36, 0x0604'0000, 0x0001'0000);
    put(kPfAt, 0x10c9'8086, 0x0200'0000, 0);
    store_le(bytes_, kPfAt + kCapability, 4, 0x0001'0010);
    for (unsigned at = 4; at < 0x40; ++at) bytes_[kPfAt + kCapability + at] = next();
    bytes_[kPfAt + kCapability + 0x08] = 0;
  }
  std::uint8_t read8(std::uint64_t o) override { return static_cast<std::uint8_t>(read(o, 1)); }
  std::uint16_t read16(std::uint64_t o) override { return static_cast<std::uint16_t>(read(o, 2)); }
  std::uint32_t read32(std::uint64_t o) override { return read(o, 4); }
  std::uint64_t read64(std::uint64_t) override { std::abort(); }
  void write8(std::uint64_t o, std::uint8_t v) override { write(o, 1, v); }
  void write16(std::uint64_t o, std::uint16_t v) override { write(o, 2, v); }
  void write32(std::uint64_t o, std::uint32_t v) override { write(o, 4, v); }
  void write64(std::uint64_t, std::uint64_t) override { std::abort(); }
  std::uint8_t next() { return at_ < size_ ? data_[at_++] : 0; }
  [[nodiscard]] bool empty() const { return at_ >= size_; }

 private:
  static constexpr unsigned kKept = (1 << 20) + 0x1000;
  void put(unsigned at, std::uint32_t ids, std::uint32_t type, std::uint32_t header) {
    store_le(bytes_, at, 4, ids);
    store_le(bytes_, at + 8, 4, type);
    store_le(bytes_, at + 0xc, 4, header);
    store_le(bytes_, at + 4, 4, 0x0010'0000);
    store_le(bytes_, at + 0x34, 4, 0x40);
    store_le(bytes_, at + 0x40, 4, at == kPfAt ? 0x0002'0010 : 0x0042'0010);
  }
  std::uint32_t read(std::uint64_t offset, unsigned size) {
    check(offset, size);
    const bool capability = offset >= kPfAt + kCapability + 4 && offset < kPfAt + 0x140;
    if (capability && (next() & 0x80) != 0) return next() * 0x0101'0101U;
    if (offset < 0x8000 || (offset >= 0x9000 && offset < kPfAt) || offset >= kKept) {
      return (next() & 1) != 0 ? 0x0010'0000U : ~0U;
    }
    return static_cast<std::uint32_t>(load_le(bytes_, offset, size));
  }
  void write(std::uint64_t offset, unsigned size, std::uint32_t value) {
    check(offset, size);
    const bool ours = offset >= kPfAt + kCapability + 8 && offset < kPfAt + 0x140;
    const bool numbers = offset >= 0x8018 && offset < 0x801c;
    if (ours || numbers) store_le(bytes_, offset, size, value);
  }
  void check(std::uint64_t offset, unsigned size) {
    require(offset + size <= kEcamBytes && offset % size == 0);
    require(++accesses_ < 2'000'000);
  }

  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  std::uint64_t accesses_ = 0;
  std::array<std::uint8_t, kKept> bytes_{};
};

bool inside(const Bar& bar, const HostWindow& window) {
  return bar.bus >= window.bus && fits(bar.bus - window.bus, bar.size, window.size);
}

void judge(SriovPf& pf) {
  const SriovInfo& info = pf.info();
  require(pf.count() <= info.usable);
  for (unsigned i = 0; i < pf.count(); ++i) {
    const std::optional<FunctionInfo> vf = pf.vf(i);
    require(vf && vf->is_vf && vf->pf == info.pf && vf->bdf.value() > info.pf.value());
    require(vf->bdf.bus() <= 3);
    for (const Bar& bar : vf->bars) {
      if (bar.size == 0) continue;
      require(bar.size >= kPageSize && bar.bus % kPageSize == 0);
      require(inside(bar, kMem32) || (bar.is64 && inside(bar, kMem64)));
    }
  }
  require(!pf.vf(pf.count()));
}

void run(WildPf& wild) {
  Ecam ecam;
  ecam.init(wild, kEcamBytes, 0, 3);
  Inventory inventory;
  enumerate(ecam, std::array{kMem32, kMem64}, inventory);
  std::uint64_t now = 0;
  SriovPf pf;
  if (inventory.sriov.empty() || !pf.init(inventory, inventory.sriov[0].pf, ecam)) return;
  while (!wild.empty()) {
    switch (wild.next() & 7) {
      case 0:
      case 1: (void)pf.start(wild.next(), now); break;
      case 2: pf.stop(now); break;
      case 3: pf.after_reset(); break;
      default: {
        const Result<std::uint64_t> until = pf.step(now);
        if (until && *until > now) now = *until;
      }
    }
    judge(pf);
  }
  // Whatever it was doing: it comes to an end, and quickly.
  for (unsigned steps = 0;; ++steps) {
    require(steps < 300);
    const Result<std::uint64_t> until = pf.step(now);
    if (until && *until == 0) break;
    now = until ? *until : now + 1;
  }
}

}  // namespace
}  // namespace penstock::pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::optional<penstock::pci::WildPf> wild;
  wild.emplace(data, size);
  penstock::pci::run(*wild);
  return 0;
}
