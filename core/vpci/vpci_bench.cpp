// What a trapped config access costs, and that it does not grow with the number of functions.
#include <benchmark/benchmark.h>

#include <memory>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/topology.hpp"

namespace penstock::vpci {
namespace {

/// `count` functions spread over as many buses as they need, each bus full but the last.
struct Board {
  explicit Board(std::size_t count)
      : functions(std::make_unique<VirtualFunction[]>(count)),
        buses(std::make_unique<Topology[]>(count / 255 + 1)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!functions[i].init(rich.facts, rich.options)) std::abort();
      const GuestBdf bdf(static_cast<std::uint16_t>(i % 255 + 1));
      if (!buses[i / 255].add(bdf, &functions[i])) std::abort();
    }
  }
  test::RichFunction rich;
  std::unique_ptr<VirtualFunction[]> functions;
  std::unique_ptr<Topology[]> buses;
};

/// The same register of the same function, however many others there are.
void ConfigRead(benchmark::State& state) {
  const Board board(static_cast<std::size_t>(state.range(0)));
  const Topology& bus = board.buses[0];
  std::uint64_t offset = 1 << 12;
  for (auto _ : state) {
    benchmark::DoNotOptimize(offset);
    benchmark::DoNotOptimize(bus.config_read(offset, 4));
  }
}
BENCHMARK(ConfigRead)->Arg(1)->Arg(100)->Arg(10000);

/// A register with bits of the device, for comparison; the device itself costs nothing here.
void ConfigReadLive(benchmark::State& state) {
  const Board board(1);
  std::uint64_t offset = (1 << 12) + 6;
  for (auto _ : state) {
    benchmark::DoNotOptimize(offset);
    benchmark::DoNotOptimize(board.buses[0].config_read(offset, 2));
  }
}
BENCHMARK(ConfigReadLive);

void ConfigWriteDropped(benchmark::State& state) {
  Board board(1);
  for (auto _ : state) benchmark::DoNotOptimize(board.buses[0].config_write(1 << 12, 4, 0));
}
BENCHMARK(ConfigWriteDropped);

void MsixMaskWrite(benchmark::State& state) {
  Board board(1);
  test::FakeBar bar;
  VirtualFunction& f = board.functions[0];
  static_cast<void>(f.config_write(test::kMsixCap + 2, 2, 0x8000));
  std::uint64_t mask = 0;
  for (auto _ : state) {
    mask ^= 1;
    benchmark::DoNotOptimize(f.bar_write(0, test::kTableOffset + 12, 4, mask, bar));
  }
}
BENCHMARK(MsixMaskWrite);

}  // namespace
}  // namespace penstock::vpci
