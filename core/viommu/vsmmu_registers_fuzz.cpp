// Any accesses to the register pages, faults of devices and devices that come and go: every access
// is answered within its size and its bounds, what is read-only stays, and after a reset all is as
// after power-on.
// Covers: S2.14 S2.18 H13 H52
#include "core/viommu/fake_judge.hpp"

using namespace penstock;          // NOLINT(google-build-using-namespace)
using namespace penstock::viommu;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::uint32_t kStreams[] = {0, 8, 0x10, 0xffff};

/// A register, mostly; or any offset.
std::uint64_t offset_of(fake::Choices& in) {
  const std::uint64_t kind = in.take(1);
  const auto& table = register_table();
  if (kind < 0xf0) {
    const RegisterRow& row = table[kind % table.size()];
    return row.offset + (kind / table.size() % 2 != 0 ? 4 : 0);
  }
  return in.take(kind < 0xf8 ? 3 : 8);
}

/// Addresses, mostly within RAM; or anything.
std::uint64_t value_of(fake::Choices& in) {
  const std::uint64_t kind = in.take(1);
  if (kind < 0x40) return kind;
  if (kind < 0xa0) return fake::Ram::kBase + (in.take(1) << 12) + kind % 32;
  return in.take(kind < 0xd0 ? 4 : 8);
}

StreamFault fault_of(fake::Choices& in) {
  StreamFault fault;
  fault.stream = GuestStreamId(kStreams[in.below(4)]);
  const std::uint64_t bits = in.take(2);
  fault.type = static_cast<std::uint8_t>(bits);
  fault.stage2 = (bits & 0x100) != 0;
  fault.stalled = (bits & 0x200) != 0;
  fault.write = (bits & 0x400) != 0;
  if ((bits & 0x800) != 0) fault.substream = static_cast<std::uint32_t>(in.take(3));
  fault.cls = static_cast<std::uint8_t>(bits >> 12 & 3);
  fault.address = Iova(in.take(4) << 12);
  return fault;
}

void step(fake::Choices& in, fake::Guest& guest, fake::Judge& judge) {
  const std::uint32_t stream = kStreams[in.below(4)];
  const unsigned size = 1U << in.below(4);
  switch (in.below(8)) {
    case 0:
    case 1:
    case 2: judge.bounded([&] { guest.set(offset_of(in), value_of(in), size); }); return;
    case 3:
      judge.bounded(
          [&] { fake::require((guest.get(offset_of(in), size) & ~all_ones(size)) == 0); });
      return;
    case 4: {
      const StreamFault fault = fault_of(in);
      judge.bounded([&] {
        const bool told = guest.smmu.fault(fault);
        fake::require(!told || (!fault.stage2 && !fault.stalled));
      });
      return;
    }
    case 5: judge.run(); return;
    case 6:
      if (judge.is_attached(stream))
        judge.detach(stream);
      else
        judge.attach(stream);
      return;
    default: guest.host.busy = static_cast<unsigned>(in.below(8)); return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fake::Choices in({data, size});
  fake::Guest guest;
  fake::Judge judge(guest);
  std::array<std::uint64_t, kRegCount> reset{};
  for (const RegisterRow& row : register_table()) {
    reset[static_cast<std::size_t>(row.id)] = guest.get(row.offset, row.bytes);
  }
  for (unsigned i = 0; i < 1000 && !in.done(); ++i) step(in, guest, judge);
  judge.settle();
  for (const RegisterRow& row : register_table()) {
    const std::uint64_t value = guest.get(row.offset, row.bytes);
    const bool moves = row.id == Reg::kCr0Ack || row.id == Reg::kIrqCtrlAck ||
                       row.id == Reg::kGerror || row.id == Reg::kCmdqCons;
    if (moves) continue;
    const std::uint64_t was = reset[static_cast<std::size_t>(row.id)];
    fake::require(((value ^ was) & ~row.writable) == 0);
  }
  fake::require(guest.get(fake::kCr0) == guest.get(fake::kCr0Ack));
  guest.smmu.reset();
  judge.settle();
  for (const RegisterRow& row : register_table()) {
    fake::require(guest.get(row.offset, row.bytes) == reset[static_cast<std::size_t>(row.id)]);
  }
  for (const std::uint32_t stream : kStreams) {
    const auto wanted = guest.host.now.find(fake::physical(stream).value());
    if (!judge.is_attached(stream) || wanted == guest.host.now.end()) continue;
    fake::require(wanted->second.mode == hw::smmuv3::Stage1Mode::kBypass);
  }
  return 0;
}
