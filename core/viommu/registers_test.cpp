// The register pages as a guest meets them (IHI 0070, chapter 6). What software may rely on is
// written here once more by hand; the table that the emulation runs on must agree.
#include "core/viommu/smmu_registers.hpp"

#include <gtest/gtest.h>

#include <random>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::Guest;

/// A 32-bit word of the window: its offset, what of it can be written with everything off, and its
/// value after reset on a board like QEMU's.
struct Word {
  std::uint64_t offset;
  std::uint32_t writable;
  std::uint32_t reset;
};

constexpr Word kWords[] = {
    {0x00, 0, 0x0d40'701a},       // IDR0: S1P, AArch64, COHACC, ASID16, MSI, SEV, two levels
    {0x04, 0, 0x0273'0010},       // IDR1: 16 stream bits, queues of 2^19
    {0x08, 0, 0},                 // IDR2
    {0x0c, 0, 0x1404},            // IDR3: HAD, RIL, BBML 2
    {0x10, 0, 0},                 // IDR4
    {0x14, 0, 0x72},              // IDR5: 40 bits, 4, 16 and 64 KiB
    {0x18, 0, 0},                 // IIDR
    {0x1c, 0, 1},                 // AIDR
    {0x20, 0xd, 0},               // CR0
    {0x24, 0, 0},                 // CR0ACK
    {0x28, 0xfff, 0},             // CR1
    {0x2c, 0x6, 0},               // CR2: RECINVSID, PTM
    {0x40, 0, 0},                 // STATUSR
    {0x44, 0x801f'3f1f, 0x1000},  // GBPA; UPDATE clears by itself
    {0x48, 0, 0},                 // AGBPA
    {0x50, 0x5, 0},               // IRQ_CTRL
    {0x54, 0, 0},                 // IRQ_CTRLACK
    {0x60, 0, 0},                 // GERROR
    {0x64, 0, 0},                 // GERRORN: nothing is active
    {0x68, 0xffff'fffc, 0},       // GERROR_IRQ_CFG0
    {0x6c, 0x000f'ffff, 0},
    {0x70, 0xffff'ffff, 0},  // GERROR_IRQ_CFG1
    {0x74, 0x3f, 0},         // GERROR_IRQ_CFG2
    {0x80, 0xffff'ffc0, 0},  // STRTAB_BASE
    {0x84, 0x40ff'ffff, 0},
    {0x88, 0x0003'07ff, 0},  // STRTAB_BASE_CFG
    {0x90, 0xffff'ffff, 0},  // CMDQ_BASE
    {0x94, 0x40ff'ffff, 0},
    {0x98, 0x000f'ffff, 0},  // CMDQ_PROD
    {0x9c, 0x000f'ffff, 0},  // CMDQ_CONS
    {0xa0, 0xffff'ffff, 0},  // EVENTQ_BASE
    {0xa4, 0x40ff'ffff, 0},
    {0xb0, 0xffff'fffc, 0},  // EVENTQ_IRQ_CFG0
    {0xb4, 0x000f'ffff, 0},
    {0xb8, 0xffff'ffff, 0},      // EVENTQ_IRQ_CFG1
    {0xbc, 0x3f, 0},             // EVENTQ_IRQ_CFG2
    {0x1'00a8, 0x800f'ffff, 0},  // EVENTQ_PROD
    {0x1'00ac, 0x800f'ffff, 0},  // EVENTQ_CONS
};

const Word* word_at(std::uint64_t offset) {
  for (const Word& word : kWords) {
    if (word.offset == offset) return &word;
  }
  return nullptr;
}

constexpr bool is_wide(std::uint64_t offset) {
  constexpr std::uint64_t kWide[] = {0x68, 0x80, 0x90, 0xa0, 0xb0};
  for (const std::uint64_t one : kWide) {
    if (one == offset) return true;
  }
  return false;
}

// Covers: S2.14
TEST(SmmuRegisters, TheTableIsTheSpecifications) {
  std::size_t words = 0;
  for (const RegisterRow& row : register_table()) {
    ASSERT_EQ(row.bytes == 8, is_wide(row.offset)) << row.name;
    for (unsigned byte = 0; byte < row.bytes; byte += 4) {
      ++words;
      const Word* word = word_at(row.offset + byte);
      ASSERT_NE(word, nullptr) << row.name;
      // Enables, acknowledgements and commands are judged by what they do, below.
      if (row.gate == Gate::kActive) continue;
      EXPECT_EQ(static_cast<std::uint32_t>(row.writable >> (8 * byte)), word->writable) << row.name;
    }
  }
  EXPECT_EQ(words, std::size(kWords));
}

// Covers: S2.14 H13
TEST(SmmuRegisters, EveryOffsetReadsItsResetValueOrZeroInEverySize) {
  Guest guest;
  for (std::uint64_t offset = 0; offset < kSmmuWindowBytes; ++offset) {
    const Word* word = word_at(offset);
    EXPECT_EQ(guest.get(offset, 1), 0u);
    EXPECT_EQ(guest.get(offset, 2), 0u);
    ASSERT_EQ(guest.get(offset, 4), word != nullptr ? word->reset : 0u) << std::hex << offset;
    const std::uint64_t both =
        is_wide(offset) ? word->reset | std::uint64_t{word_at(offset + 4)->reset} << 32 : 0;
    ASSERT_EQ(guest.get(offset, 8), both) << std::hex << offset;
  }
  for (const std::uint64_t beyond : {kSmmuWindowBytes, ~std::uint64_t{0}, ~std::uint64_t{3}}) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      EXPECT_EQ(guest.get(beyond, size), 0u);
      guest.set(beyond, ~0ULL, size);
    }
  }
}

// Covers: S2.14 H13
TEST(SmmuRegisters, EveryWordKeepsItsWritableBitsAndNoOthers) {
  for (const Word& word : kWords) {
    Guest guest;
    for (const std::uint32_t pattern : {0xffff'ffffU, 0xaaaa'aaaaU, 0x5555'5555U, 0U}) {
      if (word.offset == fake::kCmdqCons) guest.set(fake::kCr0, 0);
      guest.set(word.offset, pattern);
      guest.run();
      std::uint32_t expected = pattern & word.writable;
      if (word.offset == fake::kGbpa) {
        if ((pattern >> 31) == 0) continue;  // ignored without UPDATE
        expected &= 0x7fff'ffff;
      }
      if (word.writable == 0) expected = word.reset;
      EXPECT_EQ(guest.get(word.offset), expected) << std::hex << word.offset << " " << pattern;
      // Nothing else has changed, but what follows it by design.
      for (const Word& other : kWords) {
        const bool follows = (word.offset == fake::kCr0 && other.offset == fake::kCr0Ack) ||
                             (word.offset == fake::kIrqCtrl && other.offset == fake::kIrqCtrlAck);
        if (other.offset == word.offset || follows) continue;
        // CMDQEN with both indices 0 executes nothing.
        EXPECT_EQ(guest.get(other.offset), other.reset)
            << std::hex << word.offset << " changed " << other.offset;
      }
    }
  }
}

// Covers: S2.14 H13
TEST(SmmuRegisters, WritesOfOtherSizesOrUnalignedOnesAreIgnored) {
  Guest guest;
  for (std::uint64_t offset = 0; offset < 0x100; ++offset) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      const bool word = size == 4 && word_at(offset) != nullptr;
      const bool wide = size == 8 && is_wide(offset);
      if (!word && !wide) guest.set(offset, ~0ULL, size);
    }
  }
  for (std::uint64_t offset = 0x1'0000; offset < 0x1'0200; ++offset) {
    for (const unsigned size : {1U, 2U, 8U}) guest.set(offset, ~0ULL, size);
    if (offset % 4 != 0) guest.set(offset, ~0ULL, 4);
  }
  for (const Word& word : kWords) EXPECT_EQ(guest.get(word.offset), word.reset);
  EXPECT_EQ(guest.host.calls, 0u);
}

// Covers: S2.14
TEST(SmmuRegisters, A64BitRegisterIsItsTwoHalves) {
  for (const std::uint64_t offset : {0x68U, 0x80U, 0x90U, 0xa0U, 0xb0U}) {
    Guest guest;
    const std::uint64_t mask =
        word_at(offset)->writable | std::uint64_t{word_at(offset + 4)->writable} << 32;
    guest.set(offset, 0x1234'5678'9abc'def0 & mask, 8);
    EXPECT_EQ(guest.get(offset, 8), 0x1234'5678'9abc'def0 & mask);
    EXPECT_EQ(guest.get(offset), 0x9abc'def0 & mask);
    EXPECT_EQ(guest.get(offset + 4), (0x1234'5678'9abc'def0 & mask) >> 32);
    guest.set(offset + 4, 0);
    EXPECT_EQ(guest.get(offset, 8), 0x9abc'def0 & mask);
    guest.set(offset, 0);
    guest.set(offset + 4, 0x0000'0081);
    EXPECT_EQ(guest.get(offset, 8), 0x81'0000'0000ULL);
    EXPECT_EQ(guest.get(offset + 4, 8), 0u);  // does not start there
  }
}

/// Writes are ignored while CR0 has one of these bits, and as long as CR0ACK has.
struct Gated {
  std::uint64_t offset;
  std::uint32_t closed_by;
};
constexpr Gated kGated[] = {
    {0x28, 13}, {0x2c, 1}, {0x80, 1}, {0x84, 1}, {0x88, 1},     {0x90, 8},
    {0x94, 8},  {0x9c, 8}, {0xa0, 4}, {0xa4, 4}, {0x1'00a8, 4},
};

// Covers: S2.14 H52
TEST(SmmuRegisters, WhatIsInUseCannotBeChanged) {
  for (const Gated& one : kGated) {
    const std::uint32_t mask = word_at(one.offset)->writable;
    for (const std::uint32_t enable : {1U, 4U, 8U}) {
      Guest guest;
      guest.set(one.offset, 0);
      guest.set(fake::kCr0, enable);
      guest.run();
      guest.set(one.offset, 0xffff'ffff);
      const bool closed = (one.closed_by & enable) != 0;
      EXPECT_EQ(guest.get(one.offset), closed ? 0 : mask) << std::hex << one.offset << enable;
      guest.set(fake::kCr0, 0);
      guest.run();
      guest.set(one.offset, 0xffff'ffff);
      EXPECT_EQ(guest.get(one.offset), mask) << std::hex << one.offset;
    }
  }
}

// Covers: S2.14 H52
TEST(SmmuRegisters, InUseLastsUntilTheAcknowledgement) {
  Guest guest;
  guest.attach(8);
  guest.prepare();
  guest.set(fake::kCr0, fake::kSmmuEn);
  guest.run();
  ASSERT_EQ(guest.get(fake::kCr0Ack), fake::kSmmuEn);
  guest.host.busy = 1'000'000;
  guest.set(fake::kCr0, 0);
  EXPECT_EQ(guest.get(fake::kCr0), 0u);
  EXPECT_EQ(guest.get(fake::kCr0Ack), fake::kSmmuEn);
  guest.set(fake::kStrtabBase, 0, 8);
  EXPECT_EQ(guest.get(fake::kStrtabBase, 8), fake::kTable);
  guest.host.busy = 0;
  guest.run();
  EXPECT_EQ(guest.get(fake::kCr0Ack), 0u);
  guest.set(fake::kStrtabBase, 0, 8);
  EXPECT_EQ(guest.get(fake::kStrtabBase, 8), 0u);
}

// Covers: S2.14
TEST(SmmuRegisters, MessagesAreConfiguredWhileTheirInterruptIsOff) {
  Guest guest;
  guest.set(fake::kIrqCtrl, 5);
  EXPECT_EQ(guest.get(fake::kIrqCtrlAck), 5u);
  for (const std::uint64_t offset : {0x68U, 0x6cU, 0x70U, 0x74U, 0xb0U, 0xb4U, 0xb8U, 0xbcU}) {
    guest.set(offset, 4);
    EXPECT_EQ(guest.get(offset), 0u) << std::hex << offset;
  }
  guest.set(fake::kIrqCtrl, 1);
  guest.set(fake::kEventqData, 7);
  guest.set(fake::kGerrorData, 7);
  EXPECT_EQ(guest.get(fake::kEventqData), 7u);
  EXPECT_EQ(guest.get(fake::kGerrorData), 0u);
}

// Covers: S2.14 H52
TEST(SmmuRegisters, ErrorsThatAreNotActiveCannotBeAcknowledged) {
  Guest guest;
  guest.set(fake::kGerrorN, 0xffff'ffff);
  EXPECT_EQ(guest.get(fake::kGerrorN), 0u);
  EXPECT_EQ(guest.errors(), 0u);
}

// Covers: S2.14 H53
TEST(SmmuRegisters, OfAnyBoardTheGuestSeesOnlyWhatIsEmulated) {
  namespace hw = hw::smmuv3;
  std::minstd_rand random(1);
  for (unsigned i = 0; i < 2000; ++i) {
    const auto any = [&] { return static_cast<std::uint32_t>(random() ^ random() << 16); };
    const hw::IdRegisters board{any(), any(), any(), any(), any()};
    const hw::IdRegisters ids = virtual_ids(board);
    EXPECT_EQ(get<hw::idr0::S1P>(ids.idr0), 1u);
    EXPECT_EQ(get<hw::idr0::COHACC>(ids.idr0), 1u);
    EXPECT_EQ(get<hw::idr0::TTF>(ids.idr0), 2u);
    EXPECT_EQ(get<hw::idr0::STALLMODEL>(ids.idr0), 1u);
    EXPECT_EQ(get<hw::idr0::STLEVEL>(ids.idr0), 1u);
    EXPECT_EQ(get<hw::idr0::ASID16>(ids.idr0), get<hw::idr0::ASID16>(board.idr0));
    for (const std::uint64_t absent :
         {hw::idr0::S2P::kMask, hw::idr0::BTM::kMask, hw::idr0::HTTU::kMask, hw::idr0::HYP::kMask,
          hw::idr0::ATS::kMask, hw::idr0::NS1ATS::kMask, hw::idr0::ATOS::kMask,
          hw::idr0::PRI::kMask, hw::idr0::VMW::kMask, hw::idr0::VMID16::kMask,
          hw::idr0::VATOS::kMask, hw::idr0::ATSRECERR::kMask}) {
      EXPECT_EQ(ids.idr0 & absent, 0u);
    }
    EXPECT_EQ(get<hw::idr1::SIDSIZE>(ids.idr1), 16u);
    EXPECT_EQ(get<hw::idr1::SSIDSIZE>(ids.idr1), get<hw::idr1::SSIDSIZE>(board.idr1));
    EXPECT_LE(get<hw::idr1::CMDQS>(ids.idr1), get<hw::idr1::CMDQS>(board.idr1));
    EXPECT_EQ(ids.idr1 & 0xfc00'0000, 0u);  // nothing preset, no ECMDQ, no overrides
    EXPECT_EQ(ids.idr3 & ~std::uint32_t{0x1c04}, 0u);
    EXPECT_EQ(ids.idr3 & ~board.idr3, 0u);
    EXPECT_EQ(get<hw::idr5::OAS>(ids.idr5), hw::idr5::kOas40);
    EXPECT_EQ((ids.idr5 & 0x70) & ~board.idr5, 0u);
    EXPECT_EQ(ids.idr5 >> 12, 0u);
  }
}

// Covers: S2.14 H13
TEST(SmmuRegisters, AnySequenceOfAccessesIsAnswered) {
  Guest guest;
  guest.attach(8);
  std::minstd_rand random(2);
  for (unsigned i = 0; i < 200'000; ++i) {
    const std::uint64_t offset = (random() % 2 != 0 ? 0x1'0000 : 0) + random() % 0x100;
    const unsigned size = 1U << random() % 4;
    const std::uint64_t value = std::uint64_t{random()} << 32 | random();
    if (random() % 4 != 0)
      guest.set(offset, value, size);
    else
      EXPECT_EQ(guest.get(offset, size) & ~all_ones(size), 0u);
  }
  guest.smmu.reset();
  guest.run();
  for (const Word& word : kWords) EXPECT_EQ(guest.get(word.offset), word.reset);
}

}  // namespace
}  // namespace penstock::viommu
