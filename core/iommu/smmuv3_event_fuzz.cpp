// Any event records, as a device can cause or a broken SMMU write them: decoding is bounded, the
// queue keeps working, and nothing is attached by it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/base/bytes.hpp"
#include "core/iommu/smmuv3.hpp"
#include "sim/clock.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/smmu.hpp"

namespace {

using namespace penstock;  // NOLINT(google-build-using-namespace)

struct Quiet final : port::Log {
  void line(port::Severity, std::string_view) override {}
};

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Hpa base{0x8000'0000};
  sim::Memory memory{base, kMiB};
  sim::Clock clock;
  sim::Smmu hw{memory, memory};
  mem::PagePool pool;
  Quiet log;
  iommu::Smmu smmu;
  require(pool.init(memory, base, kMiB).has_value());
  require(smmu.init(hw, memory, clock, pool, log).has_value());
  const std::span<const std::uint8_t> input(data, size);
  std::array<iommu::Fault, 8> out;
  std::uint64_t taken = 0;
  for (std::size_t at = 0; at + 32 <= size && at < 600 * 32; at += 32) {
    sim::Smmu::Event event;
    for (unsigned i = 0; i < 4; ++i) event[i] = load_le(input, at + 8 * i, 8);
    hw.record(event);
    if ((event[3] & 3) != 0) continue;
    const unsigned n = smmu.take_events(out);
    require(n <= out.size());
    for (unsigned i = 0; i < n; ++i) require(!iommu::name(out[i].kind).empty());
    taken += n;
  }
  for (unsigned n = smmu.take_events(out); n != 0; n = smmu.take_events(out)) taken += n;
  require(taken == hw.events_recorded());
  require(!smmu.owner(StreamId(0)).has_value());
  return 0;
}
