#include "tools/penstockctl/render.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "core/pci/risk.hpp"
#include "tools/penstockctl/failure.hpp"
#include "tools/penstockctl/fake_hypervisor.hpp"

namespace penstock::ctl {
namespace {

using namespace test;
using nlohmann::json;

TEST(RenderTest, CpuLists) {
  EXPECT_EQ(cpu_list(0), "-");
  EXPECT_EQ(cpu_list(0b1101), "0,2-3");
  EXPECT_EQ(cpu_list(~std::uint64_t{0}), "0-63");
}

TEST(RenderTest, ANameWithoutAnEndStaysInItsField) {
  auto domain = domain_record(1, "", control::DomainState::kOff);
  std::memset(domain.name, 'n', sizeof domain.name);
  EXPECT_EQ(name_of(domain), std::string(sizeof domain.name, 'n'));
  domain.name[0] = '\x1b';
  EXPECT_EQ(name_of(domain), "^[" + std::string(sizeof domain.name - 1, 'n'));
}

TEST(RenderTest, StatesOfANewerVersionHaveNumbers) {
  EXPECT_EQ(name_of(control::DomainState::kDying), "dying");
  EXPECT_EQ(name_of(control::DomainState{9}), "state-9");
  EXPECT_EQ(name_of(control::DeviceState{5}), "state-5");
}

TEST(RenderTest, DeviceAsJson) {
  auto device = device_record(0x0101);
  device.domain = 0x101;
  device.guest = 0x0200;
  device.flags = control::device_flag::kVirtualFunction;
  device.physical = 0x0100;
  device.risks = 1U << 31 | 1U << static_cast<unsigned>(pci::Risk::kNoReset);
  const std::vector domains = {domain_record(0x101, "store", control::DomainState::kRunning)};
  const json all = to_json(device, domains);
  EXPECT_EQ(all["device"], "0000:01:00.1");
  EXPECT_EQ(all["guest"], "02:00.0");
  EXPECT_EQ(all["owner"], "store");
  EXPECT_EQ(all["physical"], "0000:01:00.0");
  EXPECT_EQ(all["risks"], json({"no-reset", "risk-31"}));
  device.domain = control::kNoDomain;
  device.guest = control::kNoBdf;
  EXPECT_EQ(to_json(device, domains)["owner"], nullptr);
  EXPECT_EQ(to_json(device, domains)["guest"], nullptr);
  device.domain = 0x333;  // gone between two requests
  EXPECT_EQ(to_json(device, domains)["owner"], "#0x333");
}

TEST(RenderTest, Outline) {
  EXPECT_EQ(outline(json::parse(R"({"a":1,"b":["x","\u001b[2Jy"],"c":{"d":[]},"e":null})")),
            "a: 1\nb:\n  - x\n  - ^[[2Jy\nc:\n  d: none\ne: none\n");
}

TEST(RenderTest, WhatIsNoJsonIsAFailure) {
  EXPECT_THROW((void)parse_json("{\"ok\":tr", "audit"), Failure);
}

TEST(RenderTest, BytesThatAreNoTextStillMakeJson) {
  EXPECT_NO_THROW((void)json::parse(dump({{"text", "\xff\xfe"}})));
}

}  // namespace
}  // namespace penstock::ctl
