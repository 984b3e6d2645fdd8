#include "tools/penstock/qemu.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

using ::testing::ElementsAre;

BoardDescription test_board(const test::Folder& folder) {
  Diagnostics out;
  return *read_board(folder.write("test-board.toml", test::kBoard), out);
}

TEST(Qemu, CommandLine) {
  const test::Folder folder;
  QemuOptions options;
  options.bundle = "b.img";
  options.folder = "/configs";
  options.out = "/out/x";
  options.backends["net0"] = "-netdev user,id=net0,tftp={dir}/boot";
  options.arguments = {"-D {out}/qemu-trace"};
  options.raw_arguments = {"-machine", "iommu=none and more"};
  options.count_instructions = true;
  EXPECT_THAT(
      qemu_command(test_board(folder), options),
      ElementsAre("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a76", "-smp", "4",
                  "-m", "1024M", "-display", "none", "-monitor", "none", "-no-reboot", "-chardev",
                  "stdio,id=console,signal=off", "-serial", "chardev:console", "-icount",
                  "shift=0,sleep=off", "-device", "pcie-root-port,id=port1", "-blockdev",
                  "driver=null-co,node-name=nvme0", "-device", "nvme,drive=nvme0", "-netdev",
                  "user,id=net0,tftp=/configs/boot", "-device", "igb,netdev=net0", "-D",
                  "/out/x/qemu-trace", "-machine", "iommu=none and more", "-kernel", "b.img"));
}

// Covers: S2.13
TEST(Qemu, BootOptionsAreTheKernelsCommandLine) {
  const test::Folder folder;
  QemuOptions options;
  options.bundle = "b.img";
  options.boot_options = {"viommu=off", "viommu=on"};
  const auto command = qemu_command(test_board(folder), options);
  ASSERT_GE(command.size(), 4U);
  EXPECT_THAT(std::vector(command.end() - 4, command.end()),
              ElementsAre("-kernel", "b.img", "-append", "viommu=off viommu=on"));
}

TEST(Qemu, OptionsAreSplitAtTheFirstBlank) {
  EXPECT_THAT(split_option("-drive file=a b,if=none"), ElementsAre("-drive", "file=a b,if=none"));
  EXPECT_THAT(split_option("-nodefaults"), ElementsAre("-nodefaults"));
  EXPECT_THAT(split_option("just text"), ElementsAre("just text"));
}

TEST(Qemu, CommasInPathsAreDoubled) {
  QemuOptions options;
  options.folder = "/a,b/c/../d/";
  options.out = "/o";
  EXPECT_EQ(fill_placeholders("file={dir}/x,y={out}", options), "file=/a,,b/d/x,y=/o");
}

}  // namespace
}  // namespace penstock::tool
