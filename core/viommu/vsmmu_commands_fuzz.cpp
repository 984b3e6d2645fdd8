// Any command stream, also one that other CPUs rewrite while it is read, before a host that is busy
// or refuses. Whatever comes: bounded slices, only this guest's streams and invalidations, and with
// nothing wrong the consumer arrives where the producer is.
//
// Input: a byte of circumstances, then steps.
// Covers: S2.15 H51 H52
#include "core/viommu/fake_judge.hpp"

using namespace penstock;          // NOLINT(google-build-using-namespace)
using namespace penstock::viommu;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::uint32_t kStreams[] = {0, 8, 9, 0xff};
constexpr std::uint8_t kOpcodes[] = {0x01, 0x03, 0x04, 0x05, 0x06, 0x10,
                                     0x11, 0x12, 0x13, 0x30, 0x46, 0x46};

/// Mostly commands that exist, for streams that do; now and then anything.
fake::Command command_of(fake::Choices& in) {
  const std::uint64_t kind = in.take(1);
  if (kind >= 0xe0) return {in.take(8), in.take(8)};
  const std::uint64_t op = kOpcodes[kind % std::size(kOpcodes)];
  if (op == 0x46) return fake::sync(static_cast<unsigned>(in.below(4)), in.take(5), in.take(2));
  if (op >= 0x10) return {op | in.take(4) << 12 | in.take(2) << 48, in.take(6)};
  return {op | std::uint64_t{kStreams[in.below(4)]} << 32 | in.take(1) << 8, in.take(1)};
}

struct Run {
  explicit Run(fake::Choices& choices, const hw::smmuv3::IdRegisters& board)
      : in(choices), guest(board), judge(guest) {
    for (const std::uint32_t stream : kStreams) judge.attach(stream);
    guest.start();
  }
  void step() {
    switch (in.below(8)) {
      case 0:
        for (std::uint64_t i = in.below(32); i != 0; --i) guest.queue(command_of(in));
        judge.bounded([this] { guest.produce(); });
        return;
      case 1: judge.run(); return;
      case 2: judge.bounded([this] { guest.set(fake::kCmdqProd, in.take(3)); }); return;
      case 3: guest.host.busy = static_cast<unsigned>(in.below(8)); return;
      case 4: guest.host.broken_with = in.below(4) == 0 ? fail(Code::kTimeout) : Error{}; return;
      case 5: guest.put_entry(kStreams[in.below(4)], in.take(5), in.take(2)); return;
      case 6: {
        // As a driver: the culprit becomes a sync.
        guest.ram.put(fake::kQueue + (guest.get(fake::kCmdqCons) & 0xff) * 16, 0x46);
        const std::uint64_t seen = guest.get(fake::kGerror);
        judge.bounded([&] { guest.set(fake::kGerrorN, seen); });
        return;
      }
      default: judge.bounded([this] { guest.set(fake::kCr0, in.take(1)); }); return;
    }
  }
  void finish() {
    guest.host.broken_with = {};
    judge.settle();
    const std::uint64_t cons = guest.get(fake::kCmdqCons);
    const bool on = (guest.get(fake::kCr0Ack) & fake::kCmdqEn) != 0;
    if (!on || (guest.errors() & fake::kCmdqErr) != 0) return;
    fake::require((cons & 0x1ff) == (guest.get(fake::kCmdqProd) & 0x1ff));
  }
  fake::Choices& in;
  fake::Guest guest;
  fake::Judge judge;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fake::Choices in({data, size});
  const std::uint64_t circumstances = in.take(1);
  Run run(in, (circumstances & 1) != 0 ? fake::kBoardWithSubstreams : fake::kBoard);
  run.guest.ram.changes_after_read = (circumstances & 2) != 0;
  for (unsigned i = 0; i < 400 && !in.done(); ++i) run.step();
  run.finish();
  return 0;
}
