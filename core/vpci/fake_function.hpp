// A physical function for tests, fuzzers and benchmarks of core/vpci: bytes that remember who wrote
// them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "core/base/bytes.hpp"
#include "core/base/static_vector.hpp"
#include "core/port/config_space.hpp"
#include "core/port/mmio.hpp"
#include "core/vpci/facts.hpp"

namespace penstock::vpci::test {

/// A window of bytes behind a BAR; every write is counted.
class FakeBar final : public port::Mmio {
 public:
  explicit FakeBar(std::uint64_t size = 64 * kKiB) : size_(size) {}
  std::uint8_t read8(std::uint64_t o) override { return static_cast<std::uint8_t>(load(o, 1)); }
  std::uint16_t read16(std::uint64_t o) override { return static_cast<std::uint16_t>(load(o, 2)); }
  std::uint32_t read32(std::uint64_t o) override { return static_cast<std::uint32_t>(load(o, 4)); }
  std::uint64_t read64(std::uint64_t o) override { return load(o, 8); }
  void write8(std::uint64_t o, std::uint8_t v) override { store(o, 1, v); }
  void write16(std::uint64_t o, std::uint16_t v) override { store(o, 2, v); }
  void write32(std::uint64_t o, std::uint32_t v) override { store(o, 4, v); }
  void write64(std::uint64_t o, std::uint64_t v) override { store(o, 8, v); }

  struct Access {
    std::uint64_t offset = 0;
    unsigned size = 0;
    std::uint64_t value = 0;
    friend bool operator==(const Access&, const Access&) = default;
  };
  void forget() {
    reads.clear();
    writes.clear();
  }

  std::array<std::uint8_t, 64 * kKiB> bytes{};
  StaticVector<Access, 16> reads;  // since forget(); what comes after the 16th is not kept
  StaticVector<Access, 16> writes;
  bool misused = false;  // an access that was misaligned or outside

 private:
  bool ok(std::uint64_t offset, unsigned size) {
    const bool good = offset % size == 0 && fits(offset, size, size_);
    misused |= !good;
    return good;
  }
  std::uint64_t load(std::uint64_t offset, unsigned size) {
    if (!ok(offset, size)) return 0;
    const std::uint64_t value = load_le(bytes, offset, size);
    static_cast<void>(reads.push_back({offset, size, value}));
    return value;
  }
  void store(std::uint64_t offset, unsigned size, std::uint64_t value) {
    if (!ok(offset, size)) return;
    static_cast<void>(writes.push_back({offset, size, value}));
    store_le(bytes, offset, size, value);
  }

  std::uint64_t size_;
};

/// Config space as bytes. It has no behaviour of its own: what is tested is who may touch it.
class FakeConfig final : public port::ConfigSpace {
 public:
  std::uint32_t read(unsigned offset, unsigned size) override {
    ++reads;
    misused |= (size != 1 && size != 2 && size != 4) || offset % size != 0 || offset >= 4096;
    return misused ? 0 : static_cast<std::uint32_t>(load_le(bytes, offset, size));
  }
  void write(unsigned offset, unsigned size, std::uint32_t value) override {
    ++writes;
    store_le(bytes, offset, size, value);
  }
  void put(unsigned offset, unsigned size, std::uint64_t value) {
    store_le(bytes, offset, size, value);
  }
  /// A capability header, its next pointer and the bytes after it.
  void capability(unsigned at, unsigned id, unsigned next,
                  std::initializer_list<std::uint8_t> rest = {}) {
    put(at, 1, id);
    put(at + 1, 1, next);
    for (const std::uint8_t byte : rest) put(at++ + 2, 1, byte);
  }
  void extended(unsigned at, unsigned id, unsigned version, unsigned next) {
    put(at, 4, id | version << 16 | next << 20);
  }

  std::array<std::uint8_t, 4096> bytes{};
  unsigned reads = 0;
  unsigned writes = 0;
  bool misused = false;
};

inline constexpr unsigned kPm = 0x40;
inline constexpr unsigned kMsiCap = 0x50;
inline constexpr unsigned kMsixCap = 0x70;
inline constexpr unsigned kExp = 0x80;
inline constexpr unsigned kVendorCap = 0xc0;
inline constexpr unsigned kAf = 0xd0;
inline constexpr unsigned kVpd = 0xd8;
inline constexpr unsigned kDsn = 0x140;
inline constexpr unsigned kVsec = 0x1b0;
inline constexpr std::uint64_t kTableOffset = 0x2000;
inline constexpr std::uint64_t kPbaOffset = 0x2800;
inline constexpr unsigned kHwVectors = 80;
inline constexpr unsigned kShownVectors = 64;
inline constexpr Gpa kWindow32{0x1000'0000};
inline constexpr Gpa kWindow64{0x80'0000'0000};

/// A function with one of everything. BAR 0 (64-bit, 64 KiB) holds the MSI-X table and its PBA in
/// one page with other registers; BAR 2 is 1 MiB, BAR 3 is smaller than a page, BAR 4 is I/O.
class RichFunction {
 public:
  RichFunction() { build(); }
  RichFunction(const RichFunction&) = delete;
  RichFunction& operator=(const RichFunction&) = delete;

  /// As new.
  void build() {
    namespace pci = hw::pci;
    config.bytes.fill(0);
    config.reads = config.writes = 0;
    config.misused = false;
    facts = {};
    options = {};
    for (unsigned i = 0x40; i < 4096; ++i)
      config.bytes[i] = 0xa5;  // what nobody described must not be seen
    config.put(pci::kVendorId, 2, 0x8086);
    config.put(pci::kDeviceId, 2, 0x10c9);
    config.put(pci::kCommand, 2, 0x0002);
    config.put(pci::kStatus, 2, 0x0010);
    config.put(pci::kRevisionId, 1, 0x01);
    config.put(pci::kClassCode, 1, 0x00);
    config.put(pci::kClassCode + 1, 2, 0x0200);
    config.put(pci::kHeaderType, 1, 0x80);
    config.put(pci::kSubsystemVendor, 2, 0x8086);
    config.put(pci::kSubsystemId, 2, 0xa03c);
    config.put(pci::kInterruptPin, 1, 1);
    config.put(pci::kCapabilities, 1, kPm);
    config.capability(kPm, 0x01, kMsiCap, {0x23, 0xc8, 0x08, 0x20, 0, 0});
    config.capability(kMsiCap, 0x05, kMsixCap, {0x86, 0x01});  // 8 messages, 64-bit, masks
    for (unsigned i = 4; i < 0x18; ++i) config.put(kMsiCap + i, 1, 0x5a);
    config.put(kMsiCap + 0x14, 4, 0xffffff21);  // pending: 0 and 5, and rubbish beyond the 8
    config.capability(kMsixCap, 0x11, kExp);
    config.put(kMsixCap + 2, 2, kHwVectors - 1);
    config.put(kMsixCap + 4, 4, kTableOffset);  // BAR 0
    config.put(kMsixCap + 8, 4, kPbaOffset);
    config.capability(kExp, 0x10, kVendorCap, {0x02, 0x00});
    config.put(kExp + 0x04, 4, 0x10008fc2 | 0x18);  // FLR, phantom functions
    config.put(kExp + 0x08, 2, 0x2810);  // relaxed ordering and no-snoop on, 512-byte reads
    config.put(kExp + 0x0a, 2, 0x0009);  // correctable and unsupported-request detected
    config.put(kExp + 0x0c, 4, 0x00036c41);
    config.put(kExp + 0x10, 2, 0x0040);
    config.put(kExp + 0x12, 2, 0xd041);  // 2.5 GT/s x4, and change bits set
    config.put(kExp + 0x24, 4, 0x0000001f);
    config.put(kExp + 0x28, 2, 0x0000);
    config.capability(kVendorCap, 0x09, kAf, {0x10});
    config.capability(kAf, 0x13, kVpd, {6, 3, 0, 0});
    config.capability(kVpd, 0x03, 0);
    config.extended(0x100, 0x0001, 2, kDsn);  // AER
    config.extended(kDsn, 0x0003, 1, 0x160);
    config.put(kDsn + 4, 4, 0xff554433);
    config.put(kDsn + 8, 4, 0x001b21ff);
    config.extended(0x160, 0x0010, 1, kVsec);  // SR-IOV
    config.extended(kVsec, 0x000b, 1, 0);

    facts.bars[0] = {
        .host = Hpa(0x9000'0000'0000), .size = 64 * kKiB, .is64 = true, .prefetchable = true};
    facts.bars[2] = {.host = Hpa(0x1080'0000), .size = kMiB};
    facts.bars[3] = {.host = Hpa(0x1090'0100), .size = 256};
    facts.bars[4] = {.host = Hpa(0x3000), .size = 32, .io = true};
    facts.rom = {.host = Hpa(0x10a0'0000), .size = 128 * kKiB};
    facts.hw = &config;
    options.max_vectors = kShownVectors;
    options.windows = {Window{kWindow32, 0x2eff'0000}, Window{kWindow64, 512 * kGiB}};
  }

  FakeConfig config;
  FunctionFacts facts;
  PolicyOptions options;
};

}  // namespace penstock::vpci::test
