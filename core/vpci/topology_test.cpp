#include "core/vpci/topology.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "core/vpci/fake_function.hpp"

namespace penstock::vpci {
namespace {

using test::RichFunction;

// Covers: S3.4 S3.13
TEST(Topology, AbsentFunctionsReadAllOnesAndDropWrites) {
  const auto bus = std::make_unique<Topology>();
  EXPECT_EQ(bus->config_read(0, 4), 0x00081b36u);
  EXPECT_EQ(bus->config_read(8, 4), 0x06000000u);
  EXPECT_EQ(bus->config_read(0x10, 8), 0u);
  EXPECT_EQ(bus->config_read(0x34, 1), 0u);
  EXPECT_TRUE(bus->config_write(4, 8, ~0ULL).empty());
  for (const std::uint64_t at :
       {0x1000ULL, 0x8000ULL, 0xff000ULL, 0x100000ULL, 0xfffffffULL, ~0ULL}) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      EXPECT_EQ(bus->config_read(at, size), all_ones(size));
      EXPECT_TRUE(bus->config_write(at, size, 0).empty());
    }
  }
}

TEST(Topology, FunctionsComeAndGo) {
  RichFunction rich;
  const auto bus = std::make_unique<Topology>();
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  EXPECT_EQ(bus->add(GuestBdf(1, 0, 0), &f).error(), fail(Code::kOutOfRange, 0x100));
  EXPECT_EQ(bus->add(GuestBdf(0, 0, 0), &f).error(), fail(Code::kAlreadyExists, 0));
  EXPECT_EQ(bus->add(GuestBdf(0, 3, 0), nullptr).error().code, Code::kOutOfRange);
  ASSERT_TRUE(bus->add(GuestBdf(0, 3, 1), &f));
  EXPECT_EQ(bus->add(GuestBdf(0, 3, 1), &f).error().code, Code::kAlreadyExists);
  EXPECT_EQ(bus->find(3 << 15 | 1 << 12 | 0xffc), &f);
  EXPECT_EQ(bus->config_read(3 << 15 | 1 << 12, 4), 0x10c98086u);
  EXPECT_EQ(bus->config_read((3 << 15 | 1 << 12) + 4094, 4), 0xffff0000u);  // spans the end
  EXPECT_EQ(bus->config_read(3 << 15, 4), 0xffffffffu);
  EXPECT_EQ(bus->config_write(3 << 15 | 1 << 12 | 4, 2, 4).size(), 1u);
  EXPECT_TRUE(bus->remove(GuestBdf(0, 3, 1)));
  EXPECT_EQ(bus->remove(GuestBdf(0, 3, 1)).error().code, Code::kNotFound);
  EXPECT_EQ(bus->remove(GuestBdf(0, 0, 0)).error().code, Code::kNotFound);
  EXPECT_EQ(bus->find(3 << 15 | 1 << 12), nullptr);
}

// Covers: H43
TEST(Topology, AddressesLeadToBars) {
  RichFunction rich;
  const auto bus = std::make_unique<Topology>();
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  ASSERT_TRUE(bus->add(GuestBdf(0, 1, 0), &f));
  static_cast<void>(f.config_write(0x10, 8, 0x80'0001'0000));
  EXPECT_FALSE(bus->find_bar(Gpa(0x80'0001'2000)).has_value());
  static_cast<void>(f.config_write(4, 2, 2));
  const std::optional<BarHit> hit = bus->find_bar(Gpa(0x80'0001'2010));
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->function, &f);
  EXPECT_EQ(hit->bdf, GuestBdf(0, 1, 0));
  EXPECT_EQ(hit->bar, 0u);
  EXPECT_EQ(hit->offset, 0x2010u);
  EXPECT_FALSE(bus->find_bar(Gpa(0x80'0002'0000)).has_value());
  EXPECT_FALSE(bus->find_bar(Gpa(0x1'2010)).has_value());
}

}  // namespace
}  // namespace penstock::vpci
