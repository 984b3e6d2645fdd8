// Any sequence of maps and unmaps: what the table translates is what a plain map of pages says,
// pages are never lost, and none is given back twice.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>

#include "core/base/bytes.hpp"
#include "core/mem/stage2_table.hpp"
#include "sim/memory.hpp"

namespace {

using namespace penstock;  // NOLINT(google-build-using-namespace)

struct NoTlb final : port::Stage2Tlb {
  void invalidate(Gpa, std::uint64_t) override {}
};

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::uint64_t kLimitPages = 4096;  // what the model keeps page by page

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Hpa base{0x8000'0000};
  sim::Memory memory{base, 128 * kKiB};
  mem::PagePool pool;
  NoTlb tlb;
  mem::Stage2Table table;
  require(pool.init(memory, base, 128 * kKiB).has_value());
  require(table.init(pool, memory, tlb).has_value());
  std::map<std::uint64_t, std::uint64_t> model;
  const std::span<const std::uint8_t> input(data, size);
  for (std::size_t at = 0; at + 8 <= size && at < 64 * 8; at += 8) {
    const std::uint64_t word = load_le(input, at, 8);
    const std::uint64_t page = (word >> 8) % kLimitPages;
    const std::uint64_t count = 1 + (word >> 24) % (kLimitPages - page);
    const std::uint64_t to = (word >> 40) % 0x10'0000;
    if ((word & 1) == 0) {
      const bool done =
          table.map(Gpa(page << 12), Hpa(to << 12), count << 12, mem::Stage2Attributes::ram())
              .has_value();
      for (std::uint64_t i = 0; done && i < count; ++i) {
        require(!model.contains(page + i));
        model[page + i] = to + i;
      }
    } else if (table.unmap(Gpa(page << 12), count << 12)) {
      for (std::uint64_t i = 0; i < count; ++i) require(model.erase(page + i) == 1);
    }
  }
  for (std::uint64_t page = 0; page < kLimitPages; page += 1 + page % 7) {
    const auto found = table.translate(Gpa(page << 12));
    const auto expected = model.find(page);
    require(found.has_value() == (expected != model.end()));
    if (found) require(found->hpa.value() >> 12 == expected->second);
  }
  table.destroy();
  require(pool.used_bytes() == 0 && pool.bad_returns() == 0);
  return 0;
}
