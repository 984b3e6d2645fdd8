// The model itself, driven register by register with tables written by hand: it judges the driver,
// so its own reading of the specification is shown here.
#include <gtest/gtest.h>

#include <string>

#include "sim/smmu/test_model.hpp"

namespace penstock::sim {
namespace {

TEST_F(Model, OffItBypassesOrAbortsAsGbpaSays) {
  EXPECT_EQ(hw.translate(kStream, 0x1234, true).pa, 0x1234u);
  hw.write32(0x44, 0x8010'0000);
  for (int i = 0; i < 10 && (hw.read32(0x44) >> 31) != 0; ++i) {
  }
  EXPECT_FALSE(hw.translate(kStream, 0x1234, true).ok);
}

TEST_F(Model, StageTwoAlone) {
  prepare(6);
  EXPECT_EQ(hw.translate(kStream, 0x4000'0123, true).pa, kGuestRam + 0x123);
  EXPECT_EQ(hw.translate(kStream, 0x4003'b008, false).ok, true);
  expect_fault(0x10, 0x4004'0000, true, true, 0x4004'0000);   // not mapped
  expect_fault(0x13, 0x4003'c010, true, true, 0x4003'c000);   // read-only
  expect_fault(0x13, 0x4003'd010, false, true, 0x4003'd000);  // write-only
  expect_fault(0x12, 0x4003'e000, false, true, 0x4003'e000);  // access flag
  EXPECT_TRUE(hw.translate(kStream, 0x4003'f000, true).device_memory);
  EXPECT_FALSE(hw.translate(kStream, 1ull << 40, true).ok);  // beyond 40 bits
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

TEST_F(Model, StageTwoAddressSizeAndAbortedWalk) {
  write_stage2();
  put(kRoot2 + 2 * 8, 0x1000'0000'0000u | 0x7fd);  // a block at 2^44
  put(kRoot2 + 3 * 8, 0x7000'0000u | 3);           // a table where no memory is
  write_ste(6);
  enable();
  expect_fault(0x11, 0x8000'0000, true, true, 0x8000'0000);
  EXPECT_EQ(hw.translate(kStream, 0xc000'0000, true).event, 0x0b);
}

TEST_F(Model, StageOneAlone) {
  // Without stage 2 the tables' addresses are machine addresses.
  context_address = in_ram(kContext);
  write_context(context_address);
  put(context_address + 8, in_ram(kRoot1));
  put(in_ram(kRoot1) + 4 * 8, in_ram(kMid1) | 3);
  put(in_ram(kMid1), in_ram(kLast1) | 3);
  put(in_ram(kLast1), 0x4001'0000u | 0x440 | 3);
  put(in_ram(kLast1) + 8, 0x4001'1000u | 0x4c0 | 3);
  put(in_ram(kLast1) + 16, 0x4001'2000u | 0x400 | 3);
  write_ste(5);
  enable();
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0010, true).pa, 0x4001'0010u);
  EXPECT_TRUE(hw.translate(kStream, 0x1'0000'1000, false).ok);
  expect_fault(0x13, 0x1'0000'1000, true, false);   // read-only
  expect_fault(0x13, 0x1'0000'2000, false, false);  // privileged only; PCIe is not
  expect_fault(0x10, 0x1'0000'3000, false, false);  // not mapped
  expect_fault(0x10, 1ull << 39, false, false);     // beyond T0SZ
}

TEST_F(Model, Nested) {
  prepare(7);
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0010, true).pa, kGuestRam + 0x1'0010);
  EXPECT_TRUE(hw.translate(kStream, 0x1'0000'1000, false).ok);
  expect_fault(0x13, 0x1'0000'1000, true, false);
  expect_fault(0x12, 0x1'0000'3000, true, false);
  expect_fault(0x10, 0x1'0000'4008, true, true, 0x5000'0000);
  expect_fault(0x13, 0x1'0000'5008, true, true, 0x4003'c000);
  // A context descriptor, then a stage 1 table, that stage 2 does not map: class CD (0) and TT (1).
  put(kLast2 + 1 * 8, 0);
  command(0x05 | std::uint64_t{kStream} << 32);  // CFGI_CD
  command(0x28 | 7ull << 32);                    // TLBI_S12_VMALL
  sync();
  expect_fault(0x10, 0x1'0000'0000, true, true, kContext, 0);
  put(kLast2 + 1 * 8, (kGuestRam + 4096) | 0x7fc | 3);
  put(kLast2 + 3 * 8, 0);
  expect_fault(0x10, 0x1'0000'0000, true, true, kMid1, 1);
}

TEST_F(Model, ConfigurationErrors) {
  prepare(6);
  EXPECT_EQ(hw.translate(64, 0, true).event, 0x02);  // beyond the table
  EXPECT_EQ(hw.translate(6, 0, true).event, 0x04);   // V = 0
  EXPECT_EQ(take_event(), (Smmu::Event{64ull << 32 | 2, 0, 0, 0}));
  EXPECT_EQ(take_event(), (Smmu::Event{6ull << 32 | 4, 0, 0, 0}));
  const std::uint64_t good = ste2;
  for (const std::uint64_t bad : {good & ~(1ull << 51),                      // S2AA64 = 0
                                  good | 1ull << 46,                         // 64 KiB granule
                                  good | 1ull << 52,                         // big-endian
                                  good | 1ull << 57,                         // stall
                                  good | 3ull << 38,                         // SL0
                                  (good & ~(3ull << 38)),                    // level 2 for 40 bits
                                  (good & ~(63ull << 32)) | 10ull << 32}) {  // T0SZ 10: 54 bits
    ste2 = bad;
    write_ste(6);
    command(0x03 | std::uint64_t{kStream} << 32, 1);
    sync();
    EXPECT_EQ(hw.translate(kStream, 0x4000'0000, true).event, 0x04) << std::hex << bad;
    (void)take_event();
  }
  write_ste(0);
  command(0x03 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_FALSE(hw.translate(kStream, 0x4000'0000, true).ok);
  EXPECT_EQ(hw.read32(0x100a8) & 7, hw.read32(0x100ac) & 7) << "abort records no event";
}

TEST_F(Model, CachesAreStaleUntilTheCommandAndItsSync) {
  prepare(6);
  ASSERT_TRUE(hw.translate(kStream, 0x4000'0000, true).ok);
  put(kLast2, 0);
  EXPECT_TRUE(hw.translate(kStream, 0x4000'0000, true).ok) << "the TLB forgets nothing by itself";
  command(0x2a | 7ull << 32, 0x4000'0000);  // TLBI_S2_IPA
  EXPECT_TRUE(hw.translate(kStream, 0x4000'0000, true).ok) << "nothing is complete before CMD_SYNC";
  sync();
  EXPECT_FALSE(hw.translate(kStream, 0x4000'0000, true).ok);
  // A table pointer survives TLBI_S2_IPA with Leaf = 1.
  put(kMid2, 0);
  command(0x2a | 7ull << 32, 0x4000'1000 | 1);
  sync();
  EXPECT_TRUE(hw.translate(kStream, 0x4000'1000, true).ok);
  command(0x2a | 7ull << 32, 0x4000'1000);
  sync();
  EXPECT_FALSE(hw.translate(kStream, 0x4000'1000, true).ok);
  // The stream's entry.
  put(kMid2, kLast2 | 3);
  ASSERT_TRUE(hw.translate(kStream, 0x4000'2000, true).ok);
  write_ste(0);
  sync();
  EXPECT_TRUE(hw.translate(kStream, 0x4000'2000, true).ok);
  command(0x03 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_FALSE(hw.translate(kStream, 0x4000'2000, true).ok);
}

TEST_F(Model, AnInvalidEntryIsCachedToo) {
  enable();
  EXPECT_EQ(hw.translate(kStream, 0x4000'0000, true).event, 0x04);
  write_stage2();
  write_ste(6);
  EXPECT_EQ(hw.translate(kStream, 0x4000'0000, true).event, 0x04);
  command(0x03 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_TRUE(hw.translate(kStream, 0x4000'0000, true).ok);
}

TEST_F(Model, AWrongCommandStopsTheQueueUntilItIsReplacedAndAcknowledged) {
  enable();
  const std::uint32_t at = hw.read32(0x98);
  command(0x77);
  sync();
  EXPECT_EQ(hw.read32(0x9c), at | 1u << 24);
  EXPECT_EQ(hw.read32(0x60) ^ hw.read32(0x64), 1u);
  put(kCommands + at * 16, 0x46);
  hw.write32(0x64, hw.read32(0x60));
  EXPECT_EQ(hw.read32(0x9c) & 0xfffff, hw.read32(0x98));
}

TEST_F(Model, AFullEventQueueLosesEventsAndSaysSoOnce) {
  enable();
  for (int i = 0; i < 7; ++i) (void)hw.translate(6, 0, true);
  EXPECT_EQ(hw.events_recorded(), 4u);
  EXPECT_EQ(hw.events_lost(), 3u);
  EXPECT_EQ(hw.read32(0x100a8) >> 31, 1u);
  (void)take_event();
  // Room again: the next event is recorded although the overflow has not been acknowledged (7.4).
  (void)hw.translate(6, 0, true);
  EXPECT_EQ(hw.events_recorded(), 5u);
}

// What QEMU accepts and hardware does not: addresses that are not aligned to the size of what they
// point to.
TEST_F(Model, AlignmentRules) {
  prepare(6);
  ASSERT_TRUE(hw.translate(kStream, 0x4000'0000, true).ok);
  sync();
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();

  Smmu root(memory, memory);
  const auto bring_up = [&](Smmu& smmu, std::uint64_t strtab, std::uint32_t cfg, std::uint64_t cmdq,
                            std::uint64_t eventq) {
    smmu.write64(0x80, strtab);
    smmu.write32(0x88, cfg);
    smmu.write64(0x90, cmdq);
    smmu.write64(0xa0, eventq);
    smmu.write32(0x20, 0b1101);
    for (int i = 0; i < 10 && smmu.read32(0x24) != 0b1101; ++i) {
    }
  };
  const auto complaints = [](const Smmu& smmu) {
    std::string all;
    for (const std::string& one : smmu.misuses()) all += one + ";";
    return all;
  };
  Smmu strtab(memory, memory);
  bring_up(strtab, kStreams + 64, 6, kCommands | 4, kEvents | 2);  // 4 KiB of entries at +64
  (void)strtab.translate(kStream, 0, true);
  EXPECT_NE(complaints(strtab), "") << "linear STRTAB_BASE";

  Smmu level1(memory, memory);
  bring_up(level1, kStreams + 64, 16 | 8 << 6 | 1 << 16, kCommands | 4, kEvents | 2);
  (void)level1.translate(kStream, 0, true);
  EXPECT_NE(complaints(level1), "") << "two-level STRTAB_BASE: 2 KiB of descriptors at +64";

  put(kBase + 0x40000, (kStreams + 4096) | 9);  // 16 KiB of entries at a 4 KiB boundary
  Smmu level2(memory, memory);
  bring_up(level2, kBase + 0x40000, 16 | 8 << 6 | 1 << 16, kCommands | 4, kEvents | 2);
  (void)level2.translate(kStream, 0, true);
  EXPECT_NE(complaints(level2), "") << "L2Ptr";

  Smmu commands(memory, memory);
  bring_up(commands, kStreams, 6, (kCommands + 32) | 4, kEvents | 2);
  commands.write32(0x98, 1);
  EXPECT_NE(complaints(commands), "") << "CMDQ_BASE";

  Smmu events(memory, memory);
  bring_up(events, kStreams, 6, kCommands | 4, (kEvents + 32) | 2);
  (void)events.translate(6, 0, true);
  EXPECT_NE(complaints(events), "") << "EVENTQ_BASE";

  put(kStreams + kStream * 64 + 24, kRoot2 + 4096);  // two concatenated tables at an odd page
  Smmu stage2(memory, memory);
  bring_up(stage2, kStreams, 6, kCommands | 4, kEvents | 2);
  (void)stage2.translate(kStream, 0x4000'0000, true);
  EXPECT_NE(complaints(stage2), "") << "S2TTB";
}

TEST_F(Model, DataOfAnAccessIsSplitAtPages) {
  prepare(6);
  const std::array<std::uint8_t, 8> data{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_TRUE(hw.write(kStream, 0x4000'5ffc, data));
  std::array<std::uint8_t, 8> back{};
  EXPECT_TRUE(hw.read(kStream, 0x4000'5ffc, back));
  EXPECT_EQ(back, data);
  EXPECT_FALSE(hw.write(kStream, 0x4003'fffc, data));  // the second half is not mapped
}

TEST_F(Model, RegisterAccessesOfAnyKindHaveAnAnswer) {
  for (std::uint64_t offset = 0; offset < 0x20000; offset += 1 + offset % 61) {
    (void)hw.read8(offset);
    (void)hw.read16(offset);
    (void)hw.read32(offset);
    (void)hw.read64(offset);
    hw.write8(offset, 0xff);
    hw.write16(offset, 0xffff);
    hw.write32(offset, 0x1234'5678);
    hw.write64(offset, ~0ull);
  }
  EXPECT_FALSE(hw.misuses().empty());
  EXPECT_TRUE(misused("unaligned"));
}

}  // namespace
}  // namespace penstock::sim
