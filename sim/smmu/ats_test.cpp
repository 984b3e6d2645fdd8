// ATS: what devices may ask for, what they may do with the answers, and how they forget them.
#include "sim/smmu/ats.hpp"

#include <gtest/gtest.h>

#include "sim/smmu/test_model.hpp"

namespace penstock::sim {
namespace {

using Status = Smmu::AtsReply::Status;

constexpr std::uint64_t kIova = 0x1'0000'0000;
constexpr std::uint64_t kPa = kGuestRam + 0x1'0000;
constexpr std::uint32_t kOn = 0b1101;
constexpr std::uint32_t kOnAndChecked = 0b1'1101;

struct Ats : Model {
  static SmmuConfig board() {
    SmmuConfig config;
    config.idr0 |= 1u << 10;
    config.idr1 |= 16u << 6;
    return config;
  }
  explicit Ats(SmmuConfig config = board()) : Model(config) {}
  void start(std::uint64_t config, std::uint64_t eats, std::uint32_t cr0 = kOnAndChecked) {
    ste1 = eats << 28;
    prepare(config);
    set_cr0(cr0);
  }
  void change(std::uint64_t config, std::uint64_t eats) {
    ste1 = eats << 28;
    write_ste(config);
    command(0x03 | std::uint64_t{kStream} << 32, 1);
    sync();
  }
  void forget(std::uint64_t address, std::uint64_t size, std::uint64_t flags = 0) {
    command(0x40 | flags | std::uint64_t{kStream} << 32, address | size);
  }
  unsigned queue_error() { return (hw.read32(0x9c) >> 24) & 0x7f; }
};

TEST_F(Ats, ARequestIsAnsweredOnlyWhereTheEntryAllowsIt) {
  start(7, 1);
  const auto reply = hw.translation_request(kStream, kIova + 0x10);
  EXPECT_EQ(reply.status, Status::kSuccess);
  EXPECT_EQ(reply.page, kPa);
  EXPECT_TRUE(reply.readable && reply.writable);
  EXPECT_FALSE(hw.translation_request(kStream, kIova + 0x1000).writable);
  EXPECT_FALSE(hw.translation_request(kStream, kIova + 0x5000).writable) << "stage 2 has its say";
  const auto missing = hw.translation_request(kStream, kIova + 0x3000);
  EXPECT_EQ(missing.status, Status::kSuccess);
  EXPECT_FALSE(missing.readable || missing.writable);
  EXPECT_EQ(hw.events_recorded(), 0u) << "a translation that is missing is no event";
  for (const std::uint64_t config : {6ull, 7ull, 4ull}) {
    change(config, config == 4 ? 1 : 0);
    EXPECT_EQ(hw.translation_request(kStream, kIova).status, Status::kUnsupportedRequest);
    const Smmu::Event event = take_event();
    EXPECT_EQ(event[0], 0x05 | std::uint64_t{kStream} << 32);
    EXPECT_EQ(event[2], kIova);
  }
  EXPECT_EQ(hw.translation_request(6, kIova).status, Status::kCompleterAbort);
  EXPECT_EQ(take_event()[0] & 0xff, 0x04u);
}

TEST_F(Ats, TranslatedAddressesAreCheckedWhenAsked) {
  start(7, 0);
  const auto out = hw.translated_access(kStream, kBase, true);
  EXPECT_FALSE(out.ok);
  EXPECT_EQ(out.event, 0x07);
  const Smmu::Event event = take_event();
  EXPECT_EQ(event[0], 0x07 | std::uint64_t{kStream} << 32);
  EXPECT_EQ(event[2], kBase);
  change(0, 1);
  EXPECT_FALSE(hw.translated_access(kStream, kBase, true).ok);
  change(4, 1);
  EXPECT_EQ(hw.translated_access(kStream, kBase, true).event, 0x07);
  change(7, 1);
  EXPECT_TRUE(hw.translated_access(kStream, kBase, true).ok) << "full ATS trusts the device";
}

TEST_F(Ats, UncheckedEveryDeviceIsTrusted) {
  start(7, 0, kOn);
  EXPECT_TRUE(hw.translated_access(kStream, kBase, true).ok);
  EXPECT_TRUE(hw.translated_access(6, kBase, true).ok) << "even without an entry";
}

TEST_F(Ats, SplitAtsKeepsStageTwo) {
  start(7, 2);
  EXPECT_EQ(hw.translation_request(kStream, kIova).page, 0x4001'0000u) << "an IPA";
  EXPECT_EQ(hw.translated_access(kStream, 0x4001'0008, true).pa, kPa + 8);
  EXPECT_EQ(hw.translated_access(kStream, kBase, true).event, 0x10);
  (void)take_event();
  EXPECT_EQ(hw.translated_access(kStream, 0x4003'c008, true).event, 0x13) << "read-only";
  (void)take_event();
  change(6, 2);
  EXPECT_EQ(hw.translation_request(kStream, 0x4001'0000).event, 0x04) << "both stages only";
  (void)take_event();
  change(7, 3);
  EXPECT_EQ(hw.translate(kStream, kIova, true).event, 0x04) << "reserved";
}

TEST_F(Ats, ADeviceKeepsWhatItWasToldUntilItMustForget) {
  start(7, 1);
  Atc atc(hw, kStream);
  ASSERT_EQ(atc.access(kIova + 8, true).pa, kPa + 8);
  put(in_ram(kLast1), 0);
  command(0x11 | 7ull << 32 | 9ull << 48);  // TLBI_NH_ASID
  sync();
  EXPECT_FALSE(hw.translate(kStream, kIova, true).ok);
  EXPECT_TRUE(atc.access(kIova, true).ok) << "the device has not heard of it";
  forget(kIova + 0x1000, 0);
  sync();
  EXPECT_TRUE(atc.access(kIova, true).ok) << "another page";
  forget(kIova, 0);
  EXPECT_TRUE(atc.access(kIova, true).ok) << "nothing is complete before CMD_SYNC";
  sync();
  EXPECT_FALSE(atc.access(kIova, true).ok);
  EXPECT_EQ(atc.entries(), 0u);
}

// The order matters: a device that forgets first may ask again and be told the old translation.
TEST_F(Ats, ADeviceThatForgetsBeforeTheSmmuLearnsTheOldAgain) {
  start(7, 1);
  Atc atc(hw, kStream);
  ASSERT_TRUE(atc.access(kIova, true).ok);
  put(in_ram(kLast1), 0);
  forget(0, 52);
  sync();
  EXPECT_TRUE(atc.access(kIova, true).ok);
  command(0x10 | 7ull << 32);
  sync();
  EXPECT_TRUE(atc.access(kIova, true).ok);
}

TEST_F(Ats, SubstreamsAreForgottenApart) {
  ste0 = 4ull << 59;
  context_address = 0x4000'8000;
  start(7, 1);
  ste1 |= 2;
  write_ste(7);
  write_context(in_ram(context_address), 9);
  write_context(in_ram(context_address) + 3 * 64, 12);
  Atc atc(hw, kStream);
  const auto fill = [&] {
    ASSERT_TRUE(atc.access(kIova, true).ok);
    ASSERT_TRUE(atc.access(kIova, true, 3).ok);
    ASSERT_TRUE(atc.access(kIova + 0x6000, true, 3).ok);
    ASSERT_EQ(atc.entries(), 3u);
  };
  fill();
  forget(kIova, 0, 1u << 11 | 3u << 12);
  sync();
  EXPECT_EQ(atc.entries(), 2u);
  fill();
  forget(0, 52);
  sync();
  EXPECT_EQ(atc.entries(), 2u) << "those with a substream stay";
  fill();
  forget(0, 52, 1u << 11 | 1u << 9);
  sync();
  EXPECT_EQ(atc.entries(), 1u) << "global: every substream";
  fill();
  forget(kIova, 3, 1u << 11 | 3u << 12);  // 32 KiB
  sync();
  EXPECT_EQ(atc.entries(), 1u);
  EXPECT_TRUE(hw.misuses().empty());
  forget(kIova + 0x1000, 3);
  EXPECT_TRUE(misused("ATC_INV"));
}

TEST_F(Ats, ADeviceThatNeverAnswersFailsTheSync) {
  start(7, 1);
  Atc atc(hw, kStream);
  ASSERT_TRUE(atc.access(kIova, true).ok);
  atc.stop_answering(true);
  put(kLast2 + 16 * 8, 0);
  command(0x28 | 7ull << 32);
  forget(0, 52);
  EXPECT_EQ(queue_error(), 0u) << "not before CMD_SYNC";
  const std::uint32_t at = hw.read32(0x98);
  sync();
  EXPECT_EQ(hw.read32(0x9c), at | 3u << 24) << "CONS names the CMD_SYNC";
  EXPECT_EQ((hw.read32(0x60) ^ hw.read32(0x64)) & 1, 1u);
  EXPECT_TRUE(hw.translate(kStream, kIova, true).ok) << "what came before it is not complete";
  hw.write32(0x64, hw.read32(0x60));
  EXPECT_EQ(hw.read32(0x9c) & 0xfffff, hw.read32(0x98)) << "the same CMD_SYNC, again";
  EXPECT_FALSE(hw.translate(kStream, kIova, true).ok);
  EXPECT_EQ(atc.entries(), 1u) << "the device still has it: it must be shut out";
  change(7, 0);
  EXPECT_FALSE(atc.access(kIova, true).ok);
}

TEST_F(Ats, WithTheSmmuOffNothingIsTranslated) {
  EXPECT_EQ(hw.translation_request(kStream, kIova).status, Status::kUnsupportedRequest);
  EXPECT_FALSE(hw.translated_access(kStream, kBase, true).ok);
}

TEST_F(Model, WithoutAtsItIsAllIllegal) {
  ste1 = 1ull << 28;
  prepare(7);
  EXPECT_EQ(hw.translation_request(kStream, 0x1'0000'0000).status, Status::kUnsupportedRequest);
  EXPECT_EQ(hw.translated_access(kStream, kBase, true).event, 0x07);
  command(0x40 | std::uint64_t{kStream} << 32, 52);
  EXPECT_EQ((hw.read32(0x9c) >> 24) & 0x7f, 1u);
}

}  // namespace
}  // namespace penstock::sim
