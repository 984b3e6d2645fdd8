// Map and unmap in a stage-2 table that holds 1, 100 or 10,000 mappings already.
#include <benchmark/benchmark.h>

#include "core/mem/stage2_table.hpp"
#include "sim/memory.hpp"

namespace penstock::mem {
namespace {

struct NoTlb final : port::Stage2Tlb {
  void invalidate(Gpa, std::uint64_t) override {}
};

void map_unmap(benchmark::State& state, std::uint64_t size) {
  const Hpa base{0x8000'0000};
  sim::Memory memory{base, 4 * kMiB};
  PagePool pool;
  NoTlb tlb;
  Stage2Table table;
  bool ready =
      pool.init(memory, base, 4 * kMiB).has_value() && table.init(pool, memory, tlb).has_value();
  // Every second page, so that nothing merges into blocks.
  for (std::int64_t i = 0; ready && i < state.range(0); ++i) {
    const std::uint64_t at = static_cast<std::uint64_t>(i) * 2 * kPageSize;
    ready = table.map(Gpa(at), Hpa(at), kPageSize, Stage2Attributes::ram()).has_value();
  }
  if (!ready) return state.SkipWithError("set-up failed");
  const Gpa target{0x40'0000'0000};
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.map(target, Hpa(0), size, Stage2Attributes::ram()).has_value());
    benchmark::DoNotOptimize(table.unmap(target, size).has_value());
  }
}

void BM_Stage2MapUnmap4K(benchmark::State& state) {
  map_unmap(state, kPageSize);
}
void BM_Stage2MapUnmap2M(benchmark::State& state) {
  map_unmap(state, 2 * kMiB);
}
BENCHMARK(BM_Stage2MapUnmap4K)->Arg(1)->Arg(100)->Arg(10'000);
BENCHMARK(BM_Stage2MapUnmap2M)->Arg(1)->Arg(100)->Arg(10'000);

}  // namespace
}  // namespace penstock::mem
