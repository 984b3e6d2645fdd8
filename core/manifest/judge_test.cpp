#include <gtest/gtest.h>

#include <string>

#include "core/manifest/manifest.hpp"

namespace penstock::manifest {
namespace {

Manifest manifest_with(const DomainConfig& domain) {
  Manifest m;
  EXPECT_TRUE(m.domains.push_back(domain).has_value());
  return m;
}

DomainConfig domain() {
  DomainConfig d;
  d.name = {'n', 'e', 't'};
  (void)d.cpus.push_back(CpuIndex(1));
  d.memory_bytes = 512 * kMiB;
  return d;
}

DomainConfig domain_with_device(bool accept) {
  DomainConfig d = domain();
  DeviceConfig device;
  device.host = HostBdf(1, 0, 0);
  device.accept_insecure = accept;
  (void)d.devices.push_back(device);
  return d;
}

Board board() {
  Board b;
  (void)b.memory.push_back({Hpa(0x4000'0000), kGiB});
  (void)b.cpus.push_back(0);
  (void)b.cpus.push_back(1);
  b.gic.emplace();
  b.gic->its = MemoryRange{Hpa(0x0808'0000), 0x2'0000};
  b.smmu.emplace();
  b.bridge.emplace();
  return b;
}

std::string refusal(const DomainConfig& config, const Board& on, Code code) {
  const Manifest m = manifest_with(config);
  Problem problem;
  const Status status = judge(m, DomainId(0), on, problem);
  EXPECT_EQ(status.error().code, code);
  Text<300> text;
  describe(problem, m, text);
  return std::string(text.view());
}

void expect_accepted(const DomainConfig& config, const Board& on) {
  const Manifest m = manifest_with(config);
  Problem problem;
  EXPECT_TRUE(judge(m, DomainId(0), on, problem).has_value()) << problem.text;
}

TEST(Judge, AcceptsWhatTheBoardHas) {
  expect_accepted(domain(), board());
  expect_accepted(domain_with_device(false), board());
}

TEST(Judge, RefusesMissingCpus) {
  DomainConfig d = domain();
  (void)d.cpus.push_back(CpuIndex(2));
  EXPECT_NE(
      refusal(d, board(), Code::kNotFound).find("domain net: the board has no such CPU (0x2)"),
      std::string::npos);
}

TEST(Judge, RefusesMissingMemory) {
  DomainConfig d = domain();
  d.memory_bytes = 2 * kGiB;
  refusal(d, board(), Code::kOutOfRange);
  d = domain();
  d.memory_base = Hpa(0x4000'0000 + kGiB - 2 * kMiB);
  refusal(d, board(), Code::kOutOfRange);
  d.memory_base = Hpa(0x2000'0000);
  refusal(d, board(), Code::kOutOfRange);
  d.memory_base = Hpa(0x4000'0000);
  expect_accepted(d, board());
}

TEST(Judge, RefusesADeviceWithoutABridge) {
  Board b = board();
  b.bridge.reset();
  refusal(domain_with_device(true), b, Code::kUnsupported);
  expect_accepted(domain(), b);
}

// Covers: H7 S0.22
TEST(Judge, RefusesADeviceWithoutAnIommuUnlessAccepted) {
  Board b = board();
  b.smmu.reset();
  EXPECT_NE(refusal(domain_with_device(false), b, Code::kNoIsolation).find("no SMMUv3"),
            std::string::npos);
  expect_accepted(domain_with_device(true), b);
  expect_accepted(domain(), b);
}

// Covers: S0.21
TEST(Judge, RefusesADeviceWithoutAnItsUnlessAccepted) {
  Board b = board();
  b.gic->its.reset();
  EXPECT_NE(refusal(domain_with_device(false), b, Code::kNoIsolation).find("no ITS"),
            std::string::npos);
  expect_accepted(domain_with_device(true), b);
}

// Covers: S2.12 H7
TEST(Judge, RefusesAnIommuOfItsOwnWithoutTheBoards) {
  Board b = board();
  DomainConfig accepted = domain_with_device(true);
  accepted.iommu = IommuKind::kSmmuv3;
  expect_accepted(accepted, b);
  b.smmu.reset();
  for (const bool accept : {false, true}) {
    DomainConfig d = domain_with_device(accept);
    d.iommu = IommuKind::kSmmuv3;
    EXPECT_NE(refusal(d, b, Code::kUnsupported).find("domain net: the board has no SMMUv3 that"),
              std::string::npos);
  }
}

TEST(Judge, RefusesAnUnknownDomain) {
  const Manifest m = manifest_with(domain());
  Problem problem;
  EXPECT_EQ(judge(m, DomainId(1), board(), problem).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace penstock::manifest
