#include "core/manifest/manifest.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/manifest/test_bundle.hpp"

namespace penstock::manifest {
namespace {

using test::Bytes;
using test::Domain;
using test::make_bundle;

struct Parsed {
  Status status;
  Manifest manifest;
  Problem problem;
  std::string text;
};

Parsed parse_bytes(std::span<const std::uint8_t> bundle) {
  Parsed p;
  p.status = parse(bundle, p.manifest, p.problem);
  Text<300> text;
  describe(p.problem, p.manifest, text);
  p.text = std::string(text.view());
  return p;
}

Parsed parse_domains(const std::vector<Domain>& domains) {
  // The bundle may go: only texts of the manifest look into it, and no test of a refusal reads
  // them.
  const Bytes bundle = make_bundle(domains);
  return parse_bytes(bundle);
}

Domain second() {
  Domain d;
  d.name = "net";
  d.cpus = {2, 3};
  return d;
}

void expect_refused(const std::vector<Domain>& domains, Code code, const std::string& words) {
  const Bytes bundle = make_bundle(domains);
  const Parsed p = parse_bytes(bundle);
  EXPECT_FALSE(p.status.has_value());
  EXPECT_EQ(p.status.error().code, code) << p.text;
  EXPECT_EQ(p.problem.code, code);
  EXPECT_NE(p.text.find(words), std::string::npos) << p.text;
}

// Covers: S3.34
TEST(Manifest, ReadsWhatTheBundleSays) {
  Domain store;
  store.memory_base = 0x8000'0000;
  store.devices.push_back({0x0100, 0x08, true, false, {0x09, 16, 8, 0xf0f, 0xff, 0x0f}});
  Domain net = second();
  net.on_crash = "restart";
  net.devices.push_back({0x0018, 0x11, false, true, {}});
  const Bytes bundle = make_bundle({store, net});
  const Parsed p = parse_bytes(bundle);
  ASSERT_TRUE(p.status.has_value()) << p.text;
  EXPECT_EQ(p.manifest.board, "a-board");
  ASSERT_EQ(p.manifest.domains.size(), 2U);
  const DomainConfig& a = p.manifest.domains[0];
  EXPECT_EQ(a.name_view(), "store");
  ASSERT_EQ(a.cpus.size(), 2U);
  EXPECT_EQ(a.cpus[1], CpuIndex(1));
  EXPECT_EQ(a.memory_bytes, 64 * kMiB);
  EXPECT_EQ(a.memory_base, Hpa(0x8000'0000));
  EXPECT_EQ(a.kernel.offset, 8192U);
  EXPECT_EQ(a.kernel.size, 4096U);
  EXPECT_EQ(a.initrd.size, 0U);
  EXPECT_EQ(a.cmdline_view(), "console=ttyAMA0");
  EXPECT_EQ(a.on_crash, AfterStop::kStop);
  EXPECT_EQ(a.on_reboot, AfterStop::kRestart);
  EXPECT_TRUE(a.autostart);
  ASSERT_EQ(a.devices.size(), 1U);
  EXPECT_EQ(a.devices[0].host, HostBdf(1, 0, 0));
  EXPECT_EQ(a.devices[0].guest, GuestBdf(0, 1, 0));
  EXPECT_TRUE(a.devices[0].accept_no_reset);
  EXPECT_FALSE(a.devices[0].accept_insecure);
  const auto capabilities = p.manifest.capabilities_of(a.devices[0]);
  ASSERT_EQ(capabilities.size(), 1U);
  EXPECT_EQ(capabilities[0].id, 0x09);
  EXPECT_FALSE(capabilities[0].extended);
  EXPECT_EQ(capabilities[0].length, 16);
  ASSERT_EQ(capabilities[0].registers.size(), 1U);
  EXPECT_EQ(capabilities[0].registers[0].offset, 8);
  EXPECT_EQ(capabilities[0].registers[0].live, 0xf0fU);
  EXPECT_EQ(capabilities[0].registers[0].write, 0xffU);
  EXPECT_EQ(capabilities[0].registers[0].w1c, 0x0fU);
  const DomainConfig& b = p.manifest.domains[1];
  EXPECT_EQ(b.on_crash, AfterStop::kRestart);
  EXPECT_TRUE(b.devices[0].accept_insecure);
  EXPECT_TRUE(p.manifest.capabilities_of(b.devices[0]).empty());
}

TEST(Manifest, MayBeFollowedByOtherMemory) {
  Bytes bundle = make_bundle({Domain{}});
  bundle.resize(bundle.size() + 5000, 0xa5);
  EXPECT_TRUE(parse_bytes(bundle).status.has_value());
}

TEST(Manifest, RefusesABundleTruncatedAnywhere) {
  const Bytes bundle = make_bundle({Domain{}, second()});
  for (std::size_t size = 0; size < bundle.size(); ++size) {
    // A heap block of exactly this size, so that a read beyond it is found.
    const Bytes cut(bundle.begin(), bundle.begin() + static_cast<std::ptrdiff_t>(size));
    const Parsed p = parse_bytes(cut);
    ASSERT_FALSE(p.status.has_value()) << size;
    ASSERT_FALSE(p.problem.text.empty()) << size;
  }
}

TEST(Manifest, RefusesEveryFlippedBitOfHeaderAndTree) {
  const Bytes bundle = make_bundle({Domain{}});
  const std::size_t end = 4096 + load_le(bundle, 28, 4);
  Bytes copy = bundle;
  for (std::size_t i = 0; i < end; ++i) {
    for (unsigned bit = 0; bit < 8; bit += 1) {
      copy[i] = static_cast<std::uint8_t>(bundle[i] ^ (1U << bit));
      // Every bit of a byte near the fields, one bit of each other byte: the checksum does not
      // care.
      ASSERT_FALSE(parse_bytes(copy).status.has_value()) << i << " bit " << bit;
      if (i > 64 && i % 16 != 0) break;
    }
    copy[i] = bundle[i];
  }
}

TEST(Manifest, RefusesADamagedPayload) {
  Bytes bundle = make_bundle({Domain{}});
  bundle[8192 + 100] ^= 1;
  const Parsed p = parse_bytes(bundle);
  EXPECT_EQ(p.status.error().code, Code::kBadChecksum);
  EXPECT_NE(p.text.find("domain store: a payload is damaged: build the bundle again"),
            std::string::npos)
      << p.text;
}

TEST(Manifest, SaysWhenThereIsNoBundle) {
  const Bytes zeros(8192);
  const Parsed p = parse_bytes(zeros);
  EXPECT_EQ(p.status.error().code, Code::kBadManifest);
  EXPECT_NE(p.text.find("boot what `penstock build` wrote"), std::string::npos) << p.text;
}

TEST(Manifest, RefusesAnotherVersion) {
  Bytes bundle = make_bundle({Domain{}});
  store_le(bundle, 8, 4, 2);
  test::put_crc(bundle);
  EXPECT_EQ(parse_bytes(bundle).status.error().code, Code::kBadVersion);
}

TEST(Manifest, RefusesAnUnalignedBundle) {
  Bytes bundle = make_bundle({Domain{}});
  bundle.insert(bundle.begin(), 0);
  EXPECT_EQ(parse_bytes(std::span<const std::uint8_t>(bundle).subspan(1)).status.error().code,
            Code::kMisaligned);
}

TEST(Manifest, RefusesATreeOutsideTheBundle) {
  for (const std::uint64_t offset : {0ULL, 8ULL, 4095ULL, 4097ULL, 12288ULL, 0xffff'fff8ULL}) {
    Bytes bundle = make_bundle({Domain{}});
    store_le(bundle, 24, 4, offset);
    test::put_crc(bundle);
    EXPECT_EQ(parse_bytes(bundle).status.error().code, Code::kBadManifest) << offset;
  }
}

TEST(Manifest, RefusesNoDomain) {
  expect_refused({}, Code::kBadManifest, "[[domain]]");
}

TEST(Manifest, RefusesMoreDomainsThanItCanRun) {
  std::vector<Domain> domains;
  for (std::uint32_t i = 0; i < 9; ++i) {
    Domain d;
    d.name = "d" + std::to_string(i);
    d.cpus = {i};
    domains.push_back(d);
  }
  expect_refused(domains, Code::kTableFull, "more domains");
}

TEST(Manifest, RefusesBadNames) {
  for (const char* name : {"", "1st", "a b", "a|b", "-x", "abcdefghijklmnopqrstuvwxyzabcdef"}) {
    Domain d;
    d.name = name;
    expect_refused({d}, Code::kBadManifest, "name must");
  }
  Domain d;
  d.name = "penstock";
  expect_refused({d}, Code::kAlreadyExists, "console");
  expect_refused({Domain{},
                  [] {
                    Domain other = second();
                    other.name = "store";
                    return other;
                  }()},
                 Code::kAlreadyExists, "same name");
}

TEST(Manifest, RefusesBadCpus) {
  Domain d;
  d.cpus = {};
  expect_refused({d}, Code::kBadManifest, "at least one CPU");
  d.cpus = {0, 0};
  expect_refused({d}, Code::kAlreadyExists, "CPU is given twice");
  d.cpus = {256};
  expect_refused({d}, Code::kOutOfRange, "too large");
  d.cpus = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  expect_refused({d}, Code::kTableFull, "more CPUs");
  Domain other = second();
  other.cpus = {1};
  expect_refused({Domain{}, other}, Code::kAlreadyExists, "domain net: a CPU is given twice");
}

TEST(Manifest, RefusesBadMemory) {
  Domain d;
  d.memory = 3 * kMiB;
  expect_refused({d}, Code::kMisaligned, "multiple of 2 MiB");
  d.memory = 0;
  expect_refused({d}, Code::kOutOfRange, "2 MiB to 255 GiB");
  d.memory = 256 * kGiB;
  expect_refused({d}, Code::kOutOfRange, "2 MiB to 255 GiB");
  d = Domain{};
  d.memory_base = 0x8010'0000;
  expect_refused({d}, Code::kMisaligned, "memory-base");
  d.memory_base = (std::uint64_t{1} << 48) - 2 * kMiB;
  expect_refused({d}, Code::kOutOfRange, "address");
  d.memory_base = 0x8000'0000;
  Domain other = second();
  other.memory_base = d.memory_base + d.memory - 2 * kMiB;
  expect_refused({d, other}, Code::kOverlap, "memory overlaps");
}

TEST(Manifest, RefusesBadPayloads) {
  Domain d;
  d.kernel_offset = 4096;  // the tree
  expect_refused({d}, Code::kBadManifest, "outside the bundle");
  d.kernel_offset = 8193;
  expect_refused({d}, Code::kBadManifest, "outside the bundle");
  d.kernel_offset = 0xffff'ffff'ffff'f000;
  expect_refused({d}, Code::kBadManifest, "outside the bundle");
  d = Domain{};
  d.kernel_size = 0;
  expect_refused({d}, Code::kBadManifest, "outside the bundle");
  d.kernel_size = 0xffff'ffff'ffff'ffff;
  expect_refused({d}, Code::kBadManifest, "outside the bundle");
}

TEST(Manifest, RawImageIsOnlyTakenWithItsPlace) {
  Domain d;
  EXPECT_FALSE(parse_domains({d}).manifest.domains[0].kernel_offset);
  d.raw_offset = 64 * kKiB;
  const Parsed p = parse_domains({d});
  ASSERT_TRUE(p.status.has_value()) << p.text;
  EXPECT_EQ(p.manifest.domains[0].kernel_offset, 64 * kKiB);
  for (const std::uint64_t wrong : {60 * kKiB, 64 * kKiB + 1, ~std::uint64_t{0}}) {
    d.raw_offset = wrong;
    expect_refused({d}, Code::kBadManifest, "a page from 64 KiB on");
  }
  d.raw_offset = d.memory;
  expect_refused({d}, Code::kOutOfRange, "beyond the domain's memory");
  d.raw_offset = ~std::uint64_t{0xfff};
  expect_refused({d}, Code::kOutOfRange, "beyond the domain's memory");
  d.raw_offset = 64 * kKiB;
  Domain plain = second();  // a kernel without a header, and no word of where it goes
  expect_refused({d, plain}, Code::kBadManifest, "no arm64 Image");
}

TEST(Manifest, RefusesABadCommandLine) {
  Domain d;
  d.bootargs = std::string(1025, 'x');
  expect_refused({d}, Code::kOutOfRange, "1024");
  d.bootargs = "a\nb";
  expect_refused({d}, Code::kBadManifest, "printable");
  d.bootargs = std::string("a\0b", 3);
  expect_refused({d}, Code::kOutOfRange, "1024");
  d.bootargs = std::string(1024, 'x');
  EXPECT_TRUE(parse_domains({d}).status.has_value());
}

TEST(Manifest, RefusesAnUnknownPolicy) {
  Domain d;
  d.on_crash = "explode";
  expect_refused({d}, Code::kBadManifest, "restart or stop");
}

// Covers: S2.12
TEST(Manifest, ADomainHasTheIommuThatItNames) {
  Domain store;
  store.devices = {{}};
  Domain net = second();
  net.devices = {{0x0200, 0x08, false, false, {}}};
  net.iommu = "smmuv3";
  Parsed p = parse_domains({store, net});
  ASSERT_TRUE(p.status.has_value()) << p.text;
  EXPECT_EQ(p.manifest.domains[0].iommu, IommuKind::kNone);
  EXPECT_EQ(p.manifest.domains[1].iommu, IommuKind::kSmmuv3);
  net.iommu = "none";
  p = parse_domains({store, net});
  ASSERT_TRUE(p.status.has_value()) << p.text;
  EXPECT_EQ(p.manifest.domains[1].iommu, IommuKind::kNone);
}

// Covers: S2.12
TEST(Manifest, RefusesAnUnknownIommuAndOneWithoutADevice) {
  Domain d;
  d.devices = {{}};
  for (const char* wrong : {"smmuv2", "SMMUV3", "smmuv3 ", "virtio"}) {
    d.iommu = wrong;
    expect_refused({d}, Code::kBadManifest, "iommu must be none or smmuv3");
  }
  d.iommu = std::string("smmuv3\0x", 8);
  expect_refused({d}, Code::kBadManifest, "iommu must be none or smmuv3");
  d.iommu = "smmuv3";
  d.devices.clear();
  expect_refused({d}, Code::kBadManifest, "an iommu but no device behind it");
  d.iommu = "none";
  EXPECT_TRUE(parse_domains({d}).status.has_value());
}

// Covers: H4
TEST(Manifest, RefusesADeviceGivenTwice) {
  Domain d;
  d.devices = {{}};
  Domain other = second();
  other.devices = {{}};
  expect_refused({d, other}, Code::kAlreadyExists, "domain net: a device is given twice");
  d.devices = {{}, {0x0100, 0x10, false, false, {}}};
  expect_refused({d}, Code::kAlreadyExists, "a device is given twice");
}

TEST(Manifest, RefusesBadDeviceAddresses) {
  Domain d;
  d.devices = {{0x1'0000, 8, false, false, {}}};
  expect_refused({d}, Code::kOutOfRange, "host address");
  d.devices = {{0x0100, 0, false, false, {}}};
  expect_refused({d}, Code::kOutOfRange, "guest address");
  d.devices = {{0x0100, 0x100, false, false, {}}};
  expect_refused({d}, Code::kOutOfRange, "guest address");
  d.devices = {{0x0100, 8, false, false, {}}, {0x0200, 8, false, false, {}}};
  expect_refused({d}, Code::kAlreadyExists, "same guest address");
  d.devices.clear();
  for (std::uint32_t i = 0; i < 33; ++i) d.devices.push_back({0x100 + i, 8 + i, false, false, {}});
  expect_refused({d}, Code::kTableFull, "more devices");
}

// Covers: S3.34
TEST(Manifest, RefusesBadCapabilities) {
  const std::vector<std::vector<std::uint32_t>> wrong = {
      {0, 16},                          // no ID
      {0x100, 16},                      // no ID of the legacy list
      {9, 0},                           // no length
      {9, 14},                          // odd length
      {9, 0xffff'fffc},                 // beyond config space
      {9, 16, 2, 0, 0, 0},              // register not on a dword
      {9, 16, 16, 0, 0, 0},             // behind the capability
      {9, 16, 0xffff'fffc, 0, 0, 0},    // wraps
      {9, 16, 8, 0, 0x0f, 0xff},        // W1C outside the writable bits
      {9, 16, 0, 0, 0x0100, 0},         // the next pointer
      {9, 16, 8, 0, 0, 0, 8, 1, 0, 0},  // two rules for one register
      {9, 16, 8, 0, 0},                 // half a register
      {9, 64, 4, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0, 16, 0, 0, 0, 20, 0, 0, 0},  // five registers
  };
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    Domain d;
    d.devices = {{0x0100, 8, false, false, wrong[i]}};
    const Bytes bundle = make_bundle({d});
    EXPECT_FALSE(parse_bytes(bundle).status.has_value()) << i;
  }
}

TEST(Manifest, ParsesAgainIntoTheSameObject) {
  const Bytes two = make_bundle({Domain{}, second()});
  const Bytes one = make_bundle({second()});
  Manifest manifest;
  Problem problem;
  ASSERT_TRUE(parse(two, manifest, problem).has_value());
  ASSERT_TRUE(parse(one, manifest, problem).has_value());
  ASSERT_EQ(manifest.domains.size(), 1U);
  EXPECT_EQ(manifest.domains[0].name_view(), "net");
  EXPECT_EQ(manifest.domains[0].cpus.size(), 2U);
}

}  // namespace
}  // namespace penstock::manifest
