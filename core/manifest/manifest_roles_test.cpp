// Who may do what on the board, slots, and what a device does not show.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/manifest/manifest.hpp"
#include "core/manifest/test_bundle.hpp"

namespace penstock::manifest {
namespace {

using test::Bytes;
using test::Domain;
using Device = test::Domain::Device;

struct Parsed {
  Bytes bundle;  // texts of the manifest are views into it
  Status status;
  Manifest manifest;
  Problem problem;

  [[nodiscard]] std::string text() const {
    Text<300> text;
    describe(problem, manifest, text);
    return std::string(text.view());
  }
};

Parsed parsed(const std::vector<Domain>& domains, const std::vector<std::uint32_t>& hidden = {}) {
  Parsed p{test::make_bundle(domains, hidden), {}, {}, {}};
  p.status = parse(p.bundle, p.manifest, p.problem);
  return p;
}

void expect_refused(const Parsed& p, Code code, const std::string& words) {
  ASSERT_FALSE(p.status.has_value());
  EXPECT_EQ(p.status.error().code, code) << p.text();
  EXPECT_NE(p.text().find(words), std::string::npos) << p.text();
}

Domain second() {
  Domain d;
  d.name = "net";
  d.cpus = {2, 3};
  return d;
}

Device at(std::uint32_t guest, std::uint32_t host = 0x0100) {
  Device device;
  device.host = host;
  device.guest = guest;
  return device;
}

// Covers: S3.19
TEST(ManifestRoles, ControlAndHardwareDomainMayBeTwo) {
  Domain control;
  control.control = true;
  control.slots = 15;
  Domain hardware = second();
  hardware.hardware = true;
  const Parsed p = parsed({control, hardware});
  ASSERT_TRUE(p.status.has_value()) << p.text();
  EXPECT_TRUE(p.manifest.domains[0].control);
  EXPECT_FALSE(p.manifest.domains[0].hardware);
  EXPECT_EQ(p.manifest.domains[0].slots, 15);
  EXPECT_FALSE(p.manifest.domains[1].control);
  EXPECT_TRUE(p.manifest.domains[1].hardware);
  EXPECT_EQ(p.manifest.domains[1].slots, 0);
}

// Covers: S3.19
TEST(ManifestRoles, ThereIsOneOfEach) {
  Domain a;
  Domain b = second();
  a.control = b.control = true;
  expect_refused(parsed({a, b}), Code::kAlreadyExists,
                 "domain net: two domains are to be the control domain");
  a.control = b.control = false;
  a.hardware = b.hardware = true;
  expect_refused(parsed({a, b}), Code::kAlreadyExists, "to be the hardware domain");
}

TEST(ManifestRoles, ADomainHasUpToFifteenSlots) {
  for (const std::uint32_t slots : {16U, 0xffff'ffffU}) {
    Domain d;
    d.slots = slots;
    expect_refused(parsed({d}), Code::kOutOfRange, "0 to 15 slots");
  }
}

// Covers: H65
TEST(ManifestRoles, ADomainHasUpToAllInterruptsOfTheBoard) {
  Domain d;
  EXPECT_EQ(parsed({d}).manifest.domains[0].interrupts, 0);
  d.interrupts = kMaxInterrupts;
  EXPECT_EQ(parsed({d}).manifest.domains[0].interrupts, kMaxInterrupts);
  for (const std::uint32_t interrupts : {kMaxInterrupts + 1, 0xffff'ffffU}) {
    d.interrupts = interrupts;
    expect_refused(parsed({d}), Code::kOutOfRange, "1 to 8192 interrupts");
  }
}

TEST(ManifestRoles, ADeviceSitsInASlotOrWhereNothingElseIsOnBus0) {
  struct Case {
    std::uint32_t guest;
    std::uint32_t slots;
    bool control;
    bool good;
  };
  for (const Case& c : {
           Case{0x0100, 1, false, true},    // slot 1
           Case{0x0f00, 15, false, true},   // slot 15
           Case{0x0100, 0, false, false},   // no slots
           Case{0x0200, 1, false, false},   // not that many
           Case{0x1000, 15, false, false},  // bus 16
           Case{0x0101, 1, false, false},   // a slot has function 0
           Case{0x0108, 1, false, false},   // and device 0
           Case{0x0008, 1, false, true},
           Case{0x007f, 1, false, true},   // the last before the root ports
           Case{0x0080, 1, false, false},  // a root port
           Case{0x0080, 0, false, true},
           Case{0x00f8, 0, false, true},
           Case{0x00f8, 0, true, false},  // the control interface
           Case{0x00f7, 0, true, true},
           Case{0x0007, 1, false, false},     // the host bridge
           Case{0x1'0100, 15, false, false},  // no routing ID
           Case{0xffff'ff00, 15, false, false},
       }) {
    Domain d;
    d.slots = c.slots;
    d.control = c.control;
    d.devices = {at(c.guest)};
    const Parsed p = parsed({d});
    EXPECT_EQ(p.status.has_value(), c.good) << std::hex << c.guest << " slots " << c.slots;
    if (c.good) {
      EXPECT_EQ(p.manifest.domains[0].devices[0].guest.value(), c.guest);
    }
  }
  Domain d;
  d.slots = 2;
  d.devices = {at(0x0100), at(0x0100, 0x0200)};
  expect_refused(parsed({d}), Code::kAlreadyExists, "same guest address");
}

// Covers: S2.12
TEST(ManifestRoles, AnIommuMayWaitForItsDevices) {
  Domain d;
  d.iommu = "smmuv3";
  EXPECT_FALSE(parsed({d}).status.has_value());
  d.slots = 1;
  EXPECT_TRUE(parsed({d}).status.has_value());
  d.slots = 0;
  d.hardware = true;
  EXPECT_TRUE(parsed({d}).status.has_value());
}

// Covers: S3.16
TEST(ManifestRoles, WhatIsHiddenIsNobodys) {
  Domain d;
  d.devices = {at(8)};
  const Parsed p = parsed({d}, {0x0300, 0x0018});
  ASSERT_TRUE(p.status.has_value()) << p.text();
  ASSERT_EQ(p.manifest.hidden.size(), 2U);
  EXPECT_EQ(p.manifest.hidden[0], HostBdf(3, 0, 0));
  EXPECT_EQ(p.manifest.hidden[1], HostBdf(0, 3, 0));
  expect_refused(parsed({d}, {0x0100}), Code::kAlreadyExists, "given and hidden");
  expect_refused(parsed({d}, {0x1'0000}), Code::kOutOfRange, "hidden device's address");
  expect_refused(parsed({d}, std::vector<std::uint32_t>(33, 0x0300)), Code::kTableFull,
                 "too many devices are hidden");
}

// Covers: S3.17 S3.33 S3.35
TEST(ManifestRoles, ADeviceDeniesCapabilities) {
  Domain d;
  Device first = at(8);
  first.deny = {0x11, 0, 0x0b, 1};
  first.scratch = true;
  Device other = at(16, 0x0200);
  other.deny = {0x03, 1};
  d.devices = {first, at(24, 0x0300), other};
  const Parsed p = parsed({d});
  ASSERT_TRUE(p.status.has_value()) << p.text();
  const auto& devices = p.manifest.domains[0].devices;
  const auto denied = p.manifest.denied_of(devices[0]);
  ASSERT_EQ(denied.size(), 2U);
  EXPECT_EQ(denied[0].id, 0x11);
  EXPECT_FALSE(denied[0].extended);
  EXPECT_EQ(denied[1].id, 0x0b);
  EXPECT_TRUE(denied[1].extended);
  EXPECT_TRUE(devices[0].scratch);
  EXPECT_TRUE(p.manifest.denied_of(devices[1]).empty());
  EXPECT_FALSE(devices[1].scratch);
  ASSERT_EQ(p.manifest.denied_of(devices[2]).size(), 1U);
  EXPECT_EQ(p.manifest.denied_of(devices[2])[0].id, 0x03);
}

// Covers: S3.33
TEST(ManifestRoles, RefusesWhatCannotBeDenied) {
  const auto deny = [](const std::vector<std::uint32_t>& cells) {
    Domain d;
    d.devices = {at(8)};
    d.devices[0].deny = cells;
    return parsed({d});
  };
  expect_refused(deny({0, 0}), Code::kOutOfRange, "denied capability's ID");
  expect_refused(deny({0x100, 0}), Code::kOutOfRange, "denied capability's ID");
  expect_refused(deny({0x1'0000, 1}), Code::kOutOfRange, "denied capability's ID");
  expect_refused(deny({0x11, 2}), Code::kOutOfRange, "denied capability's ID");
  expect_refused(deny({0x11}), Code::kTableFull, "up to 8 capabilities");
  expect_refused(deny(std::vector<std::uint32_t>(18, 1)), Code::kTableFull, "up to 8 capabilities");
  EXPECT_TRUE(deny(std::vector<std::uint32_t>(16, 1)).status.has_value());
  Domain d;
  for (std::uint32_t i = 0; i < 5; ++i) {
    d.devices.push_back(at(8 + 8 * i, 0x100 + i));
    d.devices.back().deny = std::vector<std::uint32_t>(16, 1);
  }
  expect_refused(parsed({d}), Code::kTableFull, "too many denied capabilities");
}

// Covers: S3.16 S3.19
TEST(ManifestRoles, ARunningBoardGetsNoOtherControlOrHardwareDomain) {
  const auto verdict = [](const Parsed& p) {
    Problem problem;
    const Status status = judge_created(p.manifest, problem);
    Text<200> text;
    if (!status) describe(problem, p.manifest, text);
    EXPECT_TRUE(status || status.error().code == Code::kBadManifest);
    return std::string(text.view());
  };
  Domain d = second();
  d.slots = 3;
  d.devices = {at(0x0100)};
  EXPECT_EQ(verdict(parsed({Domain{}, d})), "");
  d.control = true;
  EXPECT_NE(verdict(parsed({Domain{}, d})).find("domain net: the control domain is the boot's"),
            std::string::npos);
  d.control = false;
  d.hardware = true;
  EXPECT_NE(verdict(parsed({Domain{}, d})).find("domain net: the hardware domain is the boot's"),
            std::string::npos);
  EXPECT_NE(verdict(parsed({Domain{}}, {0x0300})).find("where the board boots from"),
            std::string::npos);
}

TEST(ManifestRoles, NothingOfAnEarlierManifestRemains) {
  Domain d;
  d.devices = {at(8)};
  d.devices[0].deny = {0x11, 0};
  Parsed p = parsed({d}, {0x0300});
  ASSERT_TRUE(p.status.has_value());
  const Bytes next = test::make_bundle({second()});
  ASSERT_TRUE(parse(next, p.manifest, p.problem).has_value());
  EXPECT_TRUE(p.manifest.hidden.empty());
  EXPECT_TRUE(p.manifest.denied.empty());
}

/// A field of the tree's header, big-endian, with the checksums made right again.
Problem with_header_field(std::size_t offset, std::uint8_t high, std::uint8_t low) {
  Bytes bundle = test::make_bundle({Domain{}});
  bundle[4096 + offset + 2] = high;
  bundle[4096 + offset + 3] = low;
  const std::uint64_t tree_bytes = load_le(bundle, 28, 4);
  store_le(bundle, 32, 4, crc32(std::span<const std::uint8_t>(bundle).subspan(4096, tree_bytes)));
  test::put_crc(bundle);
  Manifest manifest;
  Problem problem;
  EXPECT_FALSE(parse(bundle, manifest, problem).has_value());
  return problem;
}

TEST(ManifestRoles, RefusesATreeMadeToCostTime) {
  constexpr std::size_t kStringsBytes = 32;
  EXPECT_EQ(with_header_field(kStringsBytes, 0x10, 0).text,
            "the manifest's property names are too long");
}

TEST(ManifestRoles, RefusesATreeOfAnOldVersion) {
  constexpr std::size_t kVersion = 20;
  for (std::uint8_t version = 0; version < 17; ++version) {
    EXPECT_EQ(with_header_field(kVersion, 0, version).text,
              "the manifest is a device tree of another version");
  }
}

}  // namespace
}  // namespace penstock::manifest
