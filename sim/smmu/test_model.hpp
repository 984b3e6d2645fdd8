// An SMMU model with tables written by hand, and the commands to drive it: what the model's own
// tests share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/base/bytes.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

inline constexpr std::uint64_t kBase = 0x8000'0000;
inline constexpr std::uint64_t kStreams = kBase + 0x10000;   // linear, 64 entries
inline constexpr std::uint64_t kCommands = kBase + 0x20000;  // 16 entries
inline constexpr std::uint64_t kEvents = kBase + 0x21000;    // 4 entries
inline constexpr std::uint64_t kRoot2 =
    kBase + 0x30000;  // stage 2, two concatenated level-1 tables
inline constexpr std::uint64_t kMid2 = kBase + 0x32000;
inline constexpr std::uint64_t kLast2 = kBase + 0x33000;
inline constexpr std::uint64_t kContext =
    0x4000'1000;  // IPA; stage 2 maps 0x4000_0000 up to kGuestRam
inline constexpr std::uint64_t kRoot1 = 0x4000'2000;  // IPA; stage 1: 39 bits, level 1
inline constexpr std::uint64_t kMid1 = 0x4000'3000;
inline constexpr std::uint64_t kLast1 = 0x4000'4000;
inline constexpr std::uint64_t kGuestRam = kBase + 0x80000;
inline constexpr std::uint32_t kStream = 5;

struct Model : testing::Test {
  explicit Model(SmmuConfig config = {}) : hw(memory, memory, config) {}

  void put(std::uint64_t pa, std::uint64_t value) {
    std::array<std::uint8_t, 8> raw{};
    store_le(raw, 0, 8, value);
    ASSERT_TRUE(memory.device_write(pa, raw));
  }
  std::uint64_t in_ram(std::uint64_t ipa) const { return ipa - 0x4000'0000 + kGuestRam; }
  void set_cr0(std::uint32_t value) {
    hw.write32(0x20, value);
    for (int i = 0; i < 10 && hw.read32(0x24) != value; ++i) {
    }
    ASSERT_EQ(hw.read32(0x24), value);
  }
  /// Everything on, a linear table of 64 streams.
  void enable() {
    hw.write64(0x80, kStreams);
    hw.write32(0x88, 6);
    hw.write32(0x2c, 2);  // RECINVSID
    hw.write64(0x90, kCommands | 4);
    hw.write64(0xa0, kEvents | 2);
    set_cr0(0b1101);
  }
  void command(std::uint64_t word0, std::uint64_t word1 = 0) {
    const std::uint32_t prod = hw.read32(0x98);
    put(kCommands + (prod & 15) * 16, word0);
    put(kCommands + (prod & 15) * 16 + 8, word1);
    hw.write32(0x98, (prod + 1) & 31);
  }
  void sync() { command(0x46); }
  void write_ste(std::uint64_t config) {
    put(kStreams + kStream * 64, 1 | config << 1 | (config % 2 != 0 ? context_address : 0) | ste0);
    put(kStreams + kStream * 64 + 8, ste1);
    put(kStreams + kStream * 64 + 16, ste2);
    put(kStreams + kStream * 64 + 24, kRoot2);
  }
  /// 0x4000_0000 up: 64 pages of kGuestRam; page 60 read-only, 61 write-only, 62 without access
  /// flag, 63 device memory.
  void write_stage2() {
    put(kRoot2 + 8, kMid2 | 3);
    put(kMid2, kLast2 | 3);
    for (std::uint64_t i = 0; i < 64; ++i) {
      const std::uint64_t access = i == 60 ? 0x40 : i == 61 ? 0x80 : 0xc0;
      const std::uint64_t flag = i == 62 ? 0 : 0x400;
      const std::uint64_t attr = i == 63 ? 0x4 : 0x3c;
      put(kLast2 + i * 8, (kGuestRam + i * 4096) | access | flag | attr | 0x300 | 3);
    }
  }
  /// IOVA 0x1_0000_0000 up: IPA 0x4001_0000 up, 16 pages; page 1 read-only, 2 privileged only, 3
  /// without access flag, 4 leads to an IPA that stage 2 does not map, 5 to one that it maps
  /// read-only.
  void write_stage1(std::uint64_t root, std::uint64_t mid, std::uint64_t last) {
    put(root + 4 * 8, kMid1 | 3);
    put(mid, kLast1 | 3);
    for (std::uint64_t i = 0; i < 16; ++i) {
      const std::uint64_t access = i == 1 ? 0xc0 : i == 2 ? 0 : 0x40;
      const std::uint64_t flag = i == 3 ? 0 : 0x400;
      const std::uint64_t ipa = i == 4   ? 0x5000'0000
                                : i == 5 ? 0x4000'0000 + 60 * 4096
                                         : 0x4001'0000 + i * 4096;
      put(last + i * 8, ipa | access | flag | 3);
    }
  }
  void write_context(std::uint64_t at, std::uint64_t asid = 9) {
    // T0SZ 25, EPD1, V, IPS 40 bits, AA64, R, A, ASET
    put(at, 25 | 1ull << 30 | 1ull << 31 | 2ull << 32 | 1ull << 41 | 1ull << 45 | 1ull << 46 |
                1ull << 47 | asid << 48 | context0);
    put(at + 8, kRoot1);
  }
  /// Both stages in place, the stream's entry says `config`.
  void prepare(std::uint64_t config) {
    write_stage2();
    write_stage1(in_ram(kRoot1), in_ram(kMid1), in_ram(kLast1));
    write_context(in_ram(kContext));
    write_ste(config);
    enable();
  }
  Smmu::Event take_event() {
    const std::uint32_t prod = hw.read32(0x100a8);
    const std::uint32_t cons = hw.read32(0x100ac);
    EXPECT_NE(prod & 7, cons & 7) << "no event";
    Smmu::Event event{};
    for (unsigned i = 0; i < 4; ++i) {
      std::array<std::uint8_t, 8> raw{};
      EXPECT_TRUE(memory.device_read(kEvents + (cons & 3) * 32 + i * 8, raw));
      event[i] = load_le(raw, 0, 8);
    }
    hw.write32(0x100ac, (cons & 0x8000'0000) | ((cons + 1) & 7));
    return event;
  }
  /// The event word 1 of a data access: RnW, S2, class.
  static std::uint64_t word1(bool is_write, bool stage2, std::uint64_t cls = 2) {
    return (is_write ? 0 : 1ull << 35) | (stage2 ? 1ull << 39 : 0) | cls << 40;
  }
  void expect_fault(std::uint8_t type, std::uint64_t iova, bool is_write, bool stage2,
                    std::uint64_t ipa = 0, std::uint64_t cls = 2) {
    const auto out = hw.translate(kStream, iova, is_write);
    EXPECT_FALSE(out.ok) << std::hex << iova;
    EXPECT_EQ(out.event, type) << std::hex << iova;
    const Smmu::Event event = take_event();
    EXPECT_EQ(event[0], type | std::uint64_t{kStream} << 32) << std::hex << iova;
    EXPECT_EQ(event[1], word1(is_write, stage2, cls)) << std::hex << iova;
    EXPECT_EQ(event[2], iova);
    if (stage2) EXPECT_EQ(event[3], ipa) << std::hex << iova;
  }
  bool misused(const std::string& what) const {
    for (const std::string& one : hw.misuses()) {
      if (one.find(what) != std::string::npos) return true;
    }
    return false;
  }

  Memory memory{Hpa(kBase), kMiB};
  Smmu hw;
  std::uint64_t context_address = kContext;
  std::uint64_t ste0 = 0;  // further bits of the stream's entry and of the context descriptor
  std::uint64_t ste1 = 0;
  std::uint64_t context0 = 0;
  // VMID 7, T0SZ 24, SL0 1, IR0 OR0 1, SH0 3, PS 44 bits, AA64, PTW, R
  std::uint64_t ste2 = 7 | 24ull << 32 | 1ull << 38 | 1ull << 40 | 1ull << 42 | 3ull << 44 |
                       4ull << 48 | 1ull << 51 | 1ull << 54 | 1ull << 58;
};

}  // namespace penstock::sim
