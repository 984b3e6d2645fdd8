// Any stream table in guest memory, of any shape, compared with a second reading of the
// specification (IHI 0070, 3.3.1, 5.1, 5.2); and while it is rewritten, only what is sane gets
// through.
//
// Input: shape, then what lies in memory around the places that count.
// Covers: S2.4 S2.16 H52
#include "core/viommu/fake_judge.hpp"

using namespace penstock;          // NOLINT(google-build-using-namespace)
using namespace penstock::viommu;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::uint32_t kStreams[] = {0, 5, 8, 0x41, 0x400, 0xffff};

using hw::smmuv3::Stage1;
using hw::smmuv3::Stage1Mode;

struct Model {
  fake::Ram& ram;
  std::uint64_t base;
  std::uint32_t config;
  const hw::smmuv3::IdRegisters& ids;  // the board's

  bool load(std::uint64_t at, std::uint64_t& word) const {
    std::array<std::uint8_t, 8> bytes{};
    if (!ram.read(Gpa(at), bytes)) return false;
    word = load_le(bytes, 0, 8);
    return true;
  }
  static std::uint64_t aligned(std::uint64_t address, std::uint64_t size) {
    return address & 0x00ff'ffff'ffff'ffc0 & ~((size < 64 ? 64 : size) - 1);
  }
  [[nodiscard]] static Stage1 bad() { return {Stage1Mode::kInvalid, 0, 0}; }

  [[nodiscard]] Stage1 entry(std::uint32_t stream) const {
    const unsigned log2 = std::min(config & 0x3f, 16U);
    if (stream >> log2 != 0) return bad();
    std::uint64_t at = aligned(base, 64ULL << log2) + stream * 64ULL;
    if ((config >> 16 & 3) == 1) {
      const unsigned asked = config >> 6 & 0x1f;
      const unsigned split = asked == 8 || asked == 10 ? asked : 6;
      const std::uint64_t tables = log2 > split ? 1ULL << (log2 - split) : 1;
      std::uint64_t descriptor = 0;
      if (!load(aligned(base, 8 * tables) + (stream >> split) * 8ULL, descriptor)) return bad();
      const std::uint64_t span = descriptor & 0x1f;
      if (span == 0 || span > split + 1) return bad();
      const std::uint64_t index = stream % (1ULL << split);
      if (index >= 1ULL << (span - 1)) return bad();
      at = aligned(descriptor, 64ULL << (span - 1)) + index * 64;
    }
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::uint64_t last = 0;
    if (!load(at, first) || !load(at + 8, second) || !load(at + 56, last)) return bad();
    return judge(first, second);
  }
  [[nodiscard]] Stage1 judge(std::uint64_t first, std::uint64_t second) const {
    if ((first & 1) == 0) return bad();
    switch (first >> 1 & 7) {
      case 0:
      case 1:
      case 2:
      case 3: return {Stage1Mode::kAbort, 0, 0};
      case 4: return {};
      case 5: break;
      default: return bad();
    }
    const std::uint64_t pointer = first & 0x00ff'ffff'ffff'ffc0;
    const std::uint64_t substreams = first >> 59;
    const std::uint64_t format = first >> 4 & 3;
    if (pointer >> 40 != 0 || (second >> 27 & 1) != 0) return bad();
    if (substreams == 0) return {Stage1Mode::kTranslate, pointer, second & 0xfc};
    if (substreams > (ids.idr1 >> 6 & 0x1f)) return bad();
    if (format == 3 || (format != 0 && (ids.idr0 >> 19 & 1) == 0)) return bad();
    if ((second & 3) == 3) return bad();
    return {Stage1Mode::kTranslate, pointer | substreams << 59 | format << 4, second & 0xff};
  }
};

/// Words of the input into memory, first where descriptors and entries of the streams are.
void fill(fake::Choices& in, fake::Guest& guest) {
  for (unsigned i = 0; i < 300 && !in.done(); ++i) {
    const std::uint64_t place = in.take(1);
    const std::uint32_t stream = kStreams[place % std::size(kStreams)];
    const std::uint64_t word = place >> 5 & 7;
    const std::uint64_t at = place < 0x80 ? fake::kTable + stream % 256 * 64 + word % 2 * 8
                                          : fake::kTable + in.take(1) * 8;
    std::uint64_t value = in.take(2);
    if ((value & 0x10) != 0) value |= fake::Ram::kBase;
    if ((value & 0x20) != 0) value ^= in.take(8);
    guest.ram.put(at, value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fake::Choices in({data, size});
  const std::uint64_t circumstances = in.take(1);
  const auto& board = (circumstances & 1) != 0 ? fake::kBoardWithSubstreams : fake::kBoard;
  fake::Guest guest(board);
  fake::Judge judge(guest);
  for (const std::uint32_t stream : kStreams) judge.attach(stream);
  const std::uint64_t base = (circumstances & 2) != 0 ? in.take(8) : fake::kTable;
  const auto config = static_cast<std::uint32_t>(in.take(3));
  fill(in, guest);
  guest.set(fake::kStrtabBase, base, 8);
  guest.set(fake::kStrtabCfg, config);
  guest.set(fake::kCr0, fake::kAllEn);
  judge.settle();
  const Model model{guest.ram, base, config, board};
  for (const std::uint32_t stream : kStreams) {
    const Stage1& got = guest.host.now.at(fake::physical(stream).value());
    fake::require(got == model.entry(stream));
    StreamFault fault;
    fault.stream = GuestStreamId(stream);
    fault.type = 4;
    fake::require(guest.smmu.fault(fault) == (got.mode == Stage1Mode::kInvalid));
  }
  // Rewritten while it is read: the judge's rules still hold.
  guest.ram.changes_after_read = true;
  for (unsigned i = 0; i < 8; ++i) {
    guest.set(fake::kCr0, 0);
    judge.settle();
    guest.set(fake::kCr0, fake::kAllEn);
    judge.settle();
  }
  return 0;
}
