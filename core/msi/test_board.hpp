// A board for the tests of this folder: RAM, a distributor, four CPUs with their redistributors,
// one ITS.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/mem/page_pool.hpp"
#include "core/msi/gicv3.hpp"
#include "core/msi/its.hpp"
#include "core/msi/lpi_allocator.hpp"
#include "core/msi/lpi_tables.hpp"
#include "core/port/log.hpp"
#include "sim/clock.hpp"
#include "sim/its/distributor.hpp"
#include "sim/its/its.hpp"
#include "sim/its/redistributor.hpp"
#include "sim/memory.hpp"

namespace penstock::msi {

class Lines final : public port::Log {
 public:
  void line(port::Severity /*severity*/, std::string_view text) override { all.emplace_back(text); }
  std::vector<std::string> all;
};

struct TestBoard {
  static constexpr unsigned kCpus = 4;
  static constexpr std::uint64_t kRam = 0x8000'0000;
  static constexpr std::uint64_t kRedistributors = 0x80a'0000;

  explicit TestBoard(sim::Its::Options its_options = {},
                     sim::Memory::Coherency coherency = sim::Memory::Coherency::kNonCoherent,
                     std::uint64_t pool_bytes = 2 * kMiB)
      : memory(Hpa(kRam), pool_bytes, coherency), model(memory, pointers(), its_options) {
    ok = static_cast<bool>(pool.init(memory, Hpa(kRam), pool_bytes));
  }

  /// Everything up to a collection for each CPU.
  Status start() {
    TRY(start_cpus());
    TRY(its.init(model, Hpa(0x808'0000), memory, pool, clock, log, lpis));
    for (std::uint8_t i = 0; i < kCpus; ++i) TRY(map_cpu(i));
    return {};
  }
  Status start_cpus() {
    TRY(gic.init(distributor, 0, clock));
    TRY(lpis.init(pool, memory));
    for (std::uint8_t i = 0; i < kCpus; ++i) {
      TRY(gic.init_redistributor(cpus[i], CpuIndex(i), lpis));
    }
    return {};
  }
  Status map_cpu(std::uint8_t i) {
    return its.map_collection(CpuIndex(i), Gicv3::processor_number(cpus[i]), Hpa(cpus[i].base()));
  }
  /// Whether nothing unpredictable was done.
  [[nodiscard]] bool clean() const {
    bool none = model.violations().empty() && distributor.violations().empty();
    for (const sim::Redistributor& cpu : cpus) {
      none = none && cpu.violations().empty() && cpu.unsynchronised() == 0;
    }
    return none;
  }
  /// The CPU that takes `lpi` next, if one does; kCpus when none.
  unsigned taken_by(std::uint32_t lpi) {
    for (unsigned i = 0; i < kCpus; ++i) {
      while (const auto got = cpus[i].acknowledge()) {
        if (*got == lpi) return i;
      }
    }
    return kCpus;
  }

  static sim::Redistributor::Options cpu_options(std::uint16_t i) {
    // Numbers unlike the indices, so that a mix-up shows.
    return {.number = static_cast<std::uint16_t>(7 - i),
            .affinity = i,
            .base = kRedistributors + i * 0x2'0000ULL};
  }

  sim::Memory memory;
  sim::Clock clock;
  Lines log;
  mem::PagePool pool;
  sim::Distributor distributor;
  std::array<sim::Redistributor, kCpus> cpus{{{memory, cpu_options(0)},
                                              {memory, cpu_options(1)},
                                              {memory, cpu_options(2)},
                                              {memory, cpu_options(3)}}};
  sim::Its model;
  Gicv3 gic;
  LpiTables lpis;
  Its its;
  bool ok = false;

 private:
  std::array<sim::Redistributor*, kCpus> pointers() {
    return {&cpus[0], &cpus[1], &cpus[2], &cpus[3]};
  }
};

}  // namespace penstock::msi
