#include "tools/penstock/values.hpp"

#include <gtest/gtest.h>

namespace penstock::tool {
namespace {

TEST(Values, Sizes) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("512M"), 512ULL << 20);
  EXPECT_EQ(parse_size("2G"), 2ULL << 30);
  EXPECT_EQ(parse_size("64 KiB"), 64ULL << 10);
  EXPECT_EQ(parse_size("1TB"), 1ULL << 40);
  for (const char* wrong : {"", "M", "-1", "1.5G", "12 parsecs", "5Mb", "0x10", "99999999999T",
                            "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(wrong)) << wrong;
  }
  EXPECT_EQ(format_size(512ULL << 20), "512 MiB");
  EXPECT_EQ(format_size(1025), "1025 bytes");
  EXPECT_EQ(format_size(0), "0 bytes");
}

TEST(Values, PciAddresses) {
  EXPECT_EQ(parse_host_bdf("0000:01:02.3"), HostBdf(1, 2, 3));
  EXPECT_EQ(parse_host_bdf("ff:1f.7"), HostBdf(0xff, 31, 7));
  for (const char* wrong : {"", "1", "01:00", "01:20.0", "01:00.8", "0001:01:00.0", "01:00.0x",
                            "0000:0000:00.0", ":00.0", "01:.0"}) {
    EXPECT_FALSE(parse_host_bdf(wrong)) << wrong;
  }
  EXPECT_EQ(format_bdf(HostBdf(1, 2, 3)), "0000:01:02.3");
  EXPECT_EQ(format_bdf(GuestBdf(0, 31, 0)), "00:1f.0");
}

}  // namespace
}  // namespace penstock::tool
