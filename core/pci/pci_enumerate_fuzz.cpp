// Config space that answers whatever it likes: enumeration and reset must end, stay inside the
// window, and hand out BARs that lie in the windows and apart from one another.
#include <cstdint>
#include <cstdlib>

#include "core/pci/enumerate.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/reset.hpp"
#include "core/pci/statement.hpp"

namespace penstock::pci {
namespace {

constexpr std::uint64_t kEcamBytes = std::uint64_t{16} << 20;
constexpr HostWindow kMem32{0x1000'0000, Hpa(0x1000'0000), 0x2eff'0000};
constexpr HostWindow kMem64{0x80'0000'0000, Hpa(0x80'0000'0000), 512 * kGiB};

void require(bool holds) {
  if (!holds) std::abort();
}

/// Answers from the input, 32 bits per config read, and sometimes with what was written last.
class WildConfig final : public port::Mmio {
 public:
  WildConfig(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t read8(std::uint64_t o) override { return static_cast<std::uint8_t>(read(o, 1)); }
  std::uint16_t read16(std::uint64_t o) override { return static_cast<std::uint16_t>(read(o, 2)); }
  std::uint32_t read32(std::uint64_t o) override { return read(o, 4); }
  std::uint64_t read64(std::uint64_t) override { std::abort(); }
  void write8(std::uint64_t o, std::uint8_t v) override { write(o, 1, v); }
  void write16(std::uint64_t o, std::uint16_t v) override { write(o, 2, v); }
  void write32(std::uint64_t o, std::uint32_t v) override { write(o, 4, v); }
  void write64(std::uint64_t, std::uint64_t) override { std::abort(); }

 private:
  std::uint32_t read(std::uint64_t offset, unsigned size) {
    check(offset, size);
    const std::uint32_t a = next();
    if ((a & 1) != 0 && offset == last_offset_) return last_value_ & next();
    return a == 0 ? ~0U : a | next() << 8 | next() << 16 | next() << 24;
  }
  void write(std::uint64_t offset, unsigned size, std::uint32_t value) {
    check(offset, size);
    last_offset_ = offset;
    last_value_ = value;
  }
  void check(std::uint64_t offset, unsigned size) {
    require(offset + size <= kEcamBytes && offset % size == 0);
    require(++accesses_ < 20'000'000);
  }
  std::uint32_t next() { return at_ < size_ ? data_[at_++] : 0; }

  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  std::uint64_t last_offset_ = ~0ULL;
  std::uint32_t last_value_ = 0;
  std::uint64_t accesses_ = 0;
};

class FastClock final : public port::Clock {
 public:
  std::uint64_t now_ns() override { return now_ += 50'000'000; }

 private:
  std::uint64_t now_ = 0;
};

bool inside(const Bar& bar, const HostWindow& window) {
  return bar.bus >= window.bus && fits(bar.bus - window.bus, bar.size, window.size);
}

void judge(const Inventory& inventory) {
  for (const FunctionInfo& info : inventory.functions) {
    require(!info.bridge || info.subordinate >= info.secondary);
    for (const Bar& bar : info.bars) {
      if (bar.size == 0 || bar.io) continue;
      require(bar.bus % bar.size == 0);
      require(inside(bar, kMem32) || (bar.is64 && inside(bar, kMem64)));
      for (const FunctionInfo& other : inventory.functions) {
        for (const Bar& b : other.bars) {
          if (&b == &bar || b.size == 0 || b.io) continue;
          require(b.bus + b.size <= bar.bus || bar.bus + bar.size <= b.bus);
        }
      }
    }
  }
}

/// Whatever a function says of itself, its statement is whole, and its group is one group.
void judge(const Inventory& inventory, const FunctionInfo& info, const Statement& statement) {
  Text<kMaxStatementJson> json;
  write_json(json, statement);
  require(json.view().back() == '}');
  Text<kMaxStatementLine> line;
  write_line(line, statement);
  require(line.view().size() < kMaxStatementLine);
  for (const HostBdf member : group_members(inventory, info.group)) {
    require(find(inventory, member)->group == info.group);
  }
  const RequesterIds ids = requester_ids(inventory, info.bdf);
  require(ids.size() < RequesterIds::capacity() && ids[0] == info.bdf.value());
}

}  // namespace
}  // namespace penstock::pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::pci;
  WildConfig wild(data, size);
  Ecam ecam;
  ecam.init(wild, kEcamBytes, 0, 255);
  Inventory inventory;
  enumerate(ecam, std::array{kMem32, kMem64}, inventory);
  judge(inventory);
  FastClock clock;
  for (const FunctionInfo& info : inventory.functions) {
    EcamFunction config = ecam.function(info.bdf);
    judge(inventory, info, statement_of(inventory, info, config));
    (void)reset_function({.info = &info, .config = &config}, clock);
  }
  return 0;
}
