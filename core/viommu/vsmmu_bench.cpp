// What a guest's SMMU costs, and that a command, a stream-table entry and an event cost the same
// however much of the rest there is.
#include <benchmark/benchmark.h>

#include <bit>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::Guest;

// Room for a queue of 2^19 commands, 8 MiB.
constexpr std::size_t kMemory = 0x100'0000;
constexpr std::uint64_t kRing = fake::Ram::kBase + 0x80'0000;

/// A guest whose command queue has room for `count` commands and one more.
struct Driver {
  explicit Driver(std::uint64_t count) : guest(fake::kBoard, kMemory) {
    guest.host.remembers = false;
    while ((std::uint64_t{1} << log2) <= count) ++log2;
    guest.prepare();
    guest.set(fake::kCmdqBase, kRing | log2, 8);
    guest.set(fake::kIrqCtrl, 5);
    guest.set(fake::kCr0, fake::kAllEn);
    guest.run();
  }
  /// The whole ring, once: what is measured is the SMMU, not its driver.
  template <typename Make>
  void fill(Make make) {
    for (std::uint64_t i = 0; i <= low_mask(log2); ++i) {
      const fake::Command command = make(i);
      guest.ram.put(kRing + i * 16, command[0]);
      guest.ram.put(kRing + i * 16 + 8, command[1]);
    }
  }
  /// The next `count` of the ring, executed to the end.
  void issue(std::uint64_t count) {
    prod = (prod + count) & low_mask(log2 + 1);
    guest.set(fake::kCmdqProd, prod);
    guest.run(1'000'000);
    if ((guest.get(fake::kCmdqCons) & 0xf'ffff) != prod) std::abort();
  }

  Guest guest;
  unsigned log2 = 1;
  std::uint64_t prod = 0;
};

/// Invalidations of single pages, handed over `count` at a time: more than 64 take several slices.
/// The time is of one command.
void vsmmu_command(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  Driver driver(count);
  driver.fill([](std::uint64_t i) { return fake::tlbi_va(1, 0x1000'0000 + i * 0x1000); });
  while (state.KeepRunningBatch(state.range(0))) driver.issue(count);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(vsmmu_command)->Arg(64)->Arg(4096)->Arg(262144);

/// A command that names a stream, with `count` devices attached.
void vsmmu_command_of_stream(benchmark::State& state) {
  const auto devices = static_cast<std::uint32_t>(state.range(0));
  Driver driver(1024);
  for (std::uint32_t i = 0; i < devices; ++i) driver.guest.attach(8 * i);
  driver.fill([&](std::uint64_t i) {
    return fake::cfgi_cd(8 * (static_cast<std::uint32_t>(i) % devices));
  });
  while (state.KeepRunningBatch(1024)) driver.issue(1024);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(vsmmu_command_of_stream)->Arg(1)->Arg(8)->Arg(kMaxStreams);

/// CFGI_STE, its stream's entry read, judged and given to the board's SMMU, then CMD_SYNC.
void vsmmu_refresh(benchmark::State& state) {
  const auto devices = static_cast<std::uint32_t>(state.range(0));
  Driver driver(1024);
  for (std::uint32_t i = 0; i < devices; ++i) {
    driver.guest.put_entry(8 * i, Guest::translate(fake::kContexts));
    driver.guest.attach(8 * i);
  }
  driver.fill([&](std::uint64_t i) {
    return i % 2 == 1 ? fake::sync()
                      : fake::cfgi_ste(8 * (static_cast<std::uint32_t>(i / 2) % devices));
  });
  while (state.KeepRunningBatch(512)) driver.issue(1024);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(vsmmu_refresh)->Arg(1)->Arg(8)->Arg(kMaxStreams);

/// A stream's entry out of a table of 2^n entries, two levels from 2^9 on.
void vsmmu_entry(benchmark::State& state) {
  const auto log2 = static_cast<unsigned>(std::countr_zero(static_cast<unsigned>(state.range(0))));
  constexpr unsigned kSplit = 8;
  constexpr std::uint64_t kSecond = fake::Ram::kBase + 0x60'0000;
  constexpr std::uint64_t kFirst = fake::Ram::kBase + 0x50'0000;
  const bool two = log2 > kSplit;
  fake::Ram ram(kMemory);
  const GuestStreamId last(static_cast<std::uint32_t>(low_mask(log2)));
  const std::uint64_t in_table = two ? last.value() & low_mask(kSplit) : last.value();
  ram.put(kSecond + in_table * 64, Guest::translate(fake::kContexts));
  ram.put(kFirst + (last.value() >> kSplit) * 8, kSecond | (kSplit + 1));
  const StreamTableShape shape =
      stream_table_shape(two ? kFirst : kSecond, two ? 1U << 16 | kSplit << 6 | log2 : log2);
  if (read_stream_entry(ram, shape, fake::kBoard, last).event != 0) std::abort();
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_stream_entry(ram, shape, fake::kBoard, last));
  }
}
BENCHMARK(vsmmu_entry)->Arg(1)->Arg(256)->Arg(65536);

/// A translation fault of the last of `count` devices, to the guest's queue, which it keeps empty.
void vsmmu_event(benchmark::State& state) {
  const auto devices = static_cast<std::uint32_t>(state.range(0));
  Driver driver(64);
  for (std::uint32_t i = 0; i < devices; ++i) driver.guest.attach(8 * i);
  StreamFault fault;
  fault.stream = GuestStreamId(8 * (devices - 1));
  fault.type = 0x10;  // F_TRANSLATION
  fault.cls = 2;
  fault.address = Iova(0x1234'5000);
  for (auto _ : state) {
    if (!driver.guest.smmu.fault(fault)) std::abort();
    driver.guest.set(fake::kEventqCons, driver.guest.get(fake::kEventqProd));
  }
  if (driver.guest.smmu.counters().lost_events != 0) std::abort();
}
BENCHMARK(vsmmu_event)->Arg(1)->Arg(8)->Arg(kMaxStreams);

/// The same where the guest does not look: its queue is full.
void vsmmu_event_lost(benchmark::State& state) {
  Driver driver(64);
  driver.guest.attach(0);
  StreamFault fault;
  fault.type = 0x10;
  fault.cls = 2;
  for (auto _ : state) benchmark::DoNotOptimize(driver.guest.smmu.fault(fault));
}
BENCHMARK(vsmmu_event_lost);

}  // namespace
}  // namespace penstock::viommu
