// Golden words, worked out by hand from IHI 0070 or read from a machine.
#include <gtest/gtest.h>

#include "core/hw/smmuv3/commands.hpp"
#include "core/hw/smmuv3/events.hpp"
#include "core/hw/smmuv3/registers.hpp"
#include "core/hw/smmuv3/stream_table.hpp"

namespace penstock::hw::smmuv3 {
namespace {

// IDR values as QEMU 10 `virt` shows them.
TEST(SmmuV3Layout, IdentificationRegisters) {
  constexpr std::uint32_t kIdr0Value = 0x0d44101b;
  EXPECT_EQ(get<idr0::S2P>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::S1P>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::TTF>(kIdr0Value), 2u);
  EXPECT_EQ(get<idr0::COHACC>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::HYP>(kIdr0Value), 0u);
  EXPECT_EQ(get<idr0::ASID16>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::VMID16>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::TTENDIAN>(kIdr0Value), 2u);
  EXPECT_EQ(get<idr0::STALLMODEL>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::TERMMODEL>(kIdr0Value), 1u);
  EXPECT_EQ(get<idr0::STLEVEL>(kIdr0Value), 1u);
  constexpr std::uint32_t kIdr1Value = 0x02730010;
  EXPECT_EQ(get<idr1::SIDSIZE>(kIdr1Value), 16u);
  EXPECT_EQ(get<idr1::SSIDSIZE>(kIdr1Value), 0u);
  EXPECT_EQ(get<idr1::EVENTQS>(kIdr1Value), 19u);
  EXPECT_EQ(get<idr1::CMDQS>(kIdr1Value), 19u);
  EXPECT_EQ(get<idr3::RIL>(0x1414), 1u);
  EXPECT_EQ(get<idr3::BBML>(0x1414), 2u);
  EXPECT_EQ(get<idr5::OAS>(0x74), 4u);
  EXPECT_EQ(get<idr5::GRAN4K>(0x74), 1u);
}

TEST(SmmuV3Layout, Commands) {
  EXPECT_EQ(cfgi_ste(StreamId(0x0118), true), (Command{0x0000'0118'0000'0003, 1}));
  EXPECT_EQ(cfgi_ste(StreamId(0xffff), false), (Command{0x0000'ffff'0000'0003, 0}));
  EXPECT_EQ(cfgi_all(), (Command{0x04, 0x1f}));
  EXPECT_EQ(tlbi_el2_all(), (Command{0x20, 0}));
  EXPECT_EQ(tlbi_nsnh_all(), (Command{0x30, 0}));
  EXPECT_EQ(tlbi_s12_vmall(Vmid(0x1234)), (Command{0x0000'1234'0000'0028, 0}));
  EXPECT_EQ(tlbi_s2_ipa(Vmid(5), Gpa(0x80'1234'5000)),
            (Command{0x0000'0005'0000'002a, 0x0000'0080'1234'5000}));
  EXPECT_EQ(tlbi_s2_ipa_range(Vmid(5), Gpa(0x4000'0000), 31, 9),
            (Command{0x0000'0005'0091'f02a, 0x0000'0000'4000'0400}));
  EXPECT_EQ(sync(), (Command{0x46, 0}));
}

TEST(SmmuV3Layout, StreamTableWords) {
  std::uint64_t word = with<ste0::V>(0, 1);
  EXPECT_EQ(with<ste0::Config>(word, SteConfig::kAbort), 0x1u);
  EXPECT_EQ(with<ste0::Config>(word, SteConfig::kBypass), 0x9u);
  EXPECT_EQ(with<ste0::Config>(word, SteConfig::kStage1), 0xbu);
  EXPECT_EQ(with<ste0::Config>(word, SteConfig::kStage2), 0xdu);
  EXPECT_EQ(with<ste0::Config>(word, SteConfig::kNested), 0xfu);
  // Stage 2 for VMID 3, 40-bit input from level 1, inner-shareable write-back walks, 44-bit output,
  // AArch64, faults recorded.
  word = with<ste2::S2VMID>(0, 3);
  word = with<ste2::S2T0SZ>(word, 24);
  word = with<ste2::S2SL0>(word, 1);
  word = with<ste2::S2IR0>(word, 1);
  word = with<ste2::S2OR0>(word, 1);
  word = with<ste2::S2SH0>(word, 3);
  word = with<ste2::S2PS>(word, 4);
  word = with<ste2::S2AA64>(word, 1);
  word = with<ste2::S2R>(word, 1);
  EXPECT_EQ(word, 0x040c'3558'0000'0003u);
  EXPECT_EQ(with<ste1::MEV>(0, 1), 0x0008'0000u);
  EXPECT_EQ(with<ste1::SHCFG>(0, ste1::kShareIncoming), 0x0000'1000'0000'0000u);
  EXPECT_EQ(with<l1std::Span>(0x4321'4000, 9), 0x4321'4009u);
}

TEST(SmmuV3Layout, EventRecord) {
  // F_TRANSLATION of a write by stream 0x18 at 0x4_0000_1008, found by stage 2.
  constexpr EventRecord kRecord = {0x0000'0018'0000'0010, 0x0000'0280'0000'0000,
                                   0x0000'0004'0000'1008, 0x0000'0004'0000'1000};
  EXPECT_EQ(get<event0::Type>(kRecord[0]), 0x10u);
  EXPECT_EQ(get<event0::StreamId>(kRecord[0]), 0x18u);
  EXPECT_EQ(get<event1::RnW>(kRecord[1]), 0u);
  EXPECT_EQ(get<event1::S2>(kRecord[1]), 1u);
  EXPECT_EQ(get<event1::Class>(kRecord[1]), 2u);
  EXPECT_EQ(get<event3::IPA>(kRecord[3]) << 12, 0x4'0000'1000u);
}

}  // namespace
}  // namespace penstock::hw::smmuv3
