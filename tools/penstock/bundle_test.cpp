// Round trips: what the tool writes, the hypervisor's own reader understands.
#include "tools/penstock/bundle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/manifest/bundle.hpp"
#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

using ::testing::HasSubstr;

Bytes gzip(const Bytes& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(bytes.size() + 1000);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class Bundle : public ::testing::Test {
 protected:
  Bundle() {
    Bytes kernel = test::arm64_image(20'000, 0x10'0000);
    kernel.back() = 0x77;
    folder_.write("Image", kernel);
    folder_.write("Image.gz", gzip(kernel));
    folder_.write("initrd", "the initrd");
    plan_.board.name = "test-board";
    PlannedDomain store;
    store.name = "store";
    store.cpus = {0, 1};
    store.memory = 64ULL << 20;
    store.memory_base = 0x8000'0000;
    store.kernel = folder_.path() / "Image";
    store.initrd = folder_.path() / "initrd";
    store.cmdline = "console=ttyAMA0 quiet";
    store.on_reboot = "stop";
    store.on_crash = "restart";
    PlannedDevice device;
    device.host = HostBdf(1, 0, 0);
    device.guest = GuestBdf(0, 1, 0);
    device.accept_no_reset = true;
    device.capabilities.push_back({{}, 0x0b, true, 16, {{{}, 8, true, 0xf0, 0x10}}});
    device.scratch = true;
    device.denied.push_back({{0x11, false}, {}});
    device.denied.push_back({{0x03, true}, {}});
    store.devices.push_back(device);
    device = {};
    device.host = HostBdf(2, 0, 0);
    device.guest = GuestBdf(3, 0, 0);
    store.devices.push_back(device);
    store.iommu = "smmuv3";
    store.control = true;
    store.slots = 3;
    PlannedDomain net;
    net.name = "net";
    net.cpus = {2};
    net.memory = 32ULL << 20;
    net.kernel = folder_.path() / "Image.gz";
    net.on_reboot = "restart";
    net.on_crash = "stop";
    net.autostart = false;
    net.hardware = true;
    plan_.hidden = {HostBdf(3, 0, 0)};
    plan_.domains = {store, net};
  }

  Bytes build() {
    auto built = build_bundle(plan_, test::arm64_image(9000, 12288));
    EXPECT_TRUE(built.value) << built.error;
    return built.value ? built.value->file : Bytes{};
  }

  test::Folder folder_;
  Plan plan_;
};

// Covers: S2.12
TEST_F(Bundle, IsReadBackByTheHypervisorsOwnReader) {
  const Bytes file = build();
  const auto opened = open_bundle(file);
  ASSERT_TRUE(opened.value) << opened.error;
  const manifest::Manifest& m = opened.value->manifest;
  EXPECT_EQ(m.board, "test-board");
  ASSERT_EQ(m.domains.size(), 2U);
  const manifest::DomainConfig& store = m.domains[0];
  EXPECT_EQ(store.name_view(), "store");
  EXPECT_EQ(store.cpus.size(), 2U);
  EXPECT_EQ(store.memory_bytes, 64ULL << 20);
  EXPECT_EQ(store.memory_base, Hpa(0x8000'0000));
  EXPECT_EQ(store.cmdline_view(), "console=ttyAMA0 quiet");
  EXPECT_EQ(store.kernel.size, 20'000U);
  EXPECT_EQ(store.initrd.size, 10U);
  EXPECT_EQ(store.on_reboot, manifest::AfterStop::kStop);
  EXPECT_EQ(store.on_crash, manifest::AfterStop::kRestart);
  EXPECT_TRUE(store.autostart);
  EXPECT_EQ(store.iommu, manifest::IommuKind::kSmmuv3);
  EXPECT_EQ(m.domains[1].iommu, manifest::IommuKind::kNone);
  ASSERT_EQ(store.devices.size(), 2U);
  EXPECT_EQ(store.devices[0].host, HostBdf(1, 0, 0));
  EXPECT_TRUE(store.devices[0].accept_no_reset);
  EXPECT_FALSE(store.devices[0].accept_insecure);
  const auto capabilities = m.capabilities_of(store.devices[0]);
  ASSERT_EQ(capabilities.size(), 1U);
  EXPECT_EQ(capabilities[0].id, 0x0b);
  EXPECT_TRUE(capabilities[0].extended);
  EXPECT_EQ(capabilities[0].registers[0].w1c, 0x10U);
  const manifest::DomainConfig& net = m.domains[1];
  EXPECT_EQ(net.kernel.size, 20'000U) << "a compressed kernel is unpacked";
  EXPECT_EQ(net.initrd.size, 0U);
  EXPECT_FALSE(net.memory_base);
  EXPECT_FALSE(net.autostart);
}

// Covers: S3.16 S3.17 S3.19 S3.33
TEST_F(Bundle, RolesSlotsAndDenialsAreReadBack) {
  const Bytes file = build();
  const auto opened = open_bundle(file);
  ASSERT_TRUE(opened.value) << opened.error;
  const manifest::Manifest& m = opened.value->manifest;
  ASSERT_EQ(m.hidden.size(), 1U);
  EXPECT_EQ(m.hidden[0], HostBdf(3, 0, 0));
  const manifest::DomainConfig& store = m.domains[0];
  EXPECT_TRUE(store.control);
  EXPECT_FALSE(store.hardware);
  EXPECT_EQ(store.slots, 3);
  EXPECT_TRUE(store.devices[0].scratch);
  const auto denied = m.denied_of(store.devices[0]);
  ASSERT_EQ(denied.size(), 2U);
  EXPECT_EQ(denied[0].id, 0x11);
  EXPECT_FALSE(denied[0].extended);
  EXPECT_EQ(denied[1].id, 0x03);
  EXPECT_TRUE(denied[1].extended);
  EXPECT_EQ(store.devices[1].guest, GuestBdf(3, 0, 0));
  EXPECT_FALSE(store.devices[1].scratch);
  EXPECT_TRUE(m.denied_of(store.devices[1]).empty());
  EXPECT_TRUE(m.domains[1].hardware);
  EXPECT_EQ(m.domains[1].slots, 0);
}

TEST_F(Bundle, PayloadsAreWhereTheManifestSays) {
  const Bytes file = build();
  const auto opened = open_bundle(file);
  ASSERT_TRUE(opened.value);
  const manifest::Blob& initrd = opened.value->manifest.domains[0].initrd;
  const std::string found(file.begin() + static_cast<std::ptrdiff_t>(12288 + initrd.offset),
                          file.begin() + static_cast<std::ptrdiff_t>(12288 + initrd.offset + 10));
  EXPECT_EQ(found, "the initrd");
}

TEST_F(Bundle, HeaderOfTheImageCoversTheWholeFile) {
  const Bytes file = build();
  EXPECT_EQ(load_le(file, 16, 8), file.size());
  EXPECT_EQ(file.size() % 4096, 0U);
  EXPECT_TRUE(manifest::is_arm64_image(file));
  EXPECT_EQ(std::string(file.begin() + 12288, file.begin() + 12296), "PENSTOCK");
  for (std::size_t i = 9000; i < 12288; ++i) ASSERT_EQ(file[i], 0) << "zero-initialised data";
}

TEST_F(Bundle, DamageAnywhereInAPayloadIsFoundByTheTool) {
  Bytes file = build();
  const auto opened = open_bundle(file);
  const std::uint64_t middle = 12288 + opened.value->manifest.domains[0].kernel.offset + 10'000;
  file[middle] ^= 1;
  EXPECT_EQ(open_bundle(file).error,
            "the kernel of domain store is damaged: build the bundle again");
}

TEST_F(Bundle, TruncationIsFound) {
  const Bytes file = build();
  for (std::size_t size = 0; size < file.size(); size += 1021) {
    const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(open_bundle(cut).value) << size;
  }
}

TEST_F(Bundle, WhatIsNoHypervisorIsRefused) {
  EXPECT_THAT(build_bundle(plan_, Bytes(5000)).error, HasSubstr("no arm64 Image"));
  EXPECT_THAT(build_bundle(plan_, test::arm64_image(5000, 4096)).error,
              HasSubstr("no arm64 Image"));
  EXPECT_THAT(build_bundle(plan_, test::arm64_image(5000, 5000)).error,
              HasSubstr("no arm64 Image"));
  EXPECT_THAT(open_bundle(test::arm64_image(8192, 8192)).error, HasSubstr("no bundle"));
}

TEST_F(Bundle, AMissingPayloadIsNamed) {
  std::filesystem::remove(folder_.path() / "initrd");
  EXPECT_THAT(build_bundle(plan_, test::arm64_image(4096, 4096)).error,
              HasSubstr("initrd: cannot be read"));
}

TEST(Payload, DamagedGzipIsFound) {
  Bytes bytes = gzip(Bytes(5000, 0x5a));
  EXPECT_EQ(gunzip(bytes), Bytes(5000, 0x5a));
  bytes[bytes.size() - 6] ^= 1;
  EXPECT_FALSE(gunzip(bytes));
  bytes.resize(10);
  EXPECT_FALSE(gunzip(bytes));
}

}  // namespace
}  // namespace penstock::tool
