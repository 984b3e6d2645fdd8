#include "tools/penstockctl/sysfs_channel.hpp"

#include <gtest/gtest.h>

#include "core/control/abi.hpp"
#include "tools/penstock/test_files.hpp"
#include "tools/penstockctl/client.hpp"

namespace penstock::ctl {
namespace {

namespace fs = std::filesystem;

/// Files as sysfs has them for a PCI function; its BARs are plain files.
struct SysfsTest : testing::Test {
  tool::test::Folder folder;

  fs::path function(const std::string& name, const char* vendor = "0x5053\n") {
    const fs::path at = folder.path() / name;
    fs::create_directory(at);
    folder.write(name + "/class", "0xff0000\n");
    folder.write(name + "/vendor", vendor);
    folder.write(name + "/device", "0x0001\n");
    folder.write(name + "/enable", "0\n");
    std::string registers(control::kRegisterBytes, '\0');
    registers.replace(0, 8, std::string("PNST\0\0\x01\0", 8));
    folder.write(name + "/resource0", registers);
    folder.write(name + "/resource2", std::string(control::kWindowBytes, '\0'));
    return at;
  }
  Exit exit_of(const std::string& wanted) {
    try {
      (void)open_function(find_function(folder.path(), wanted));
    } catch (const Failure& failure) {
      return failure.exit();
    }
    return Exit::kDone;
  }
};

TEST_F(SysfsTest, TheFunctionIsFoundByItsIds) {
  function("0000:00:02.0", "0x1af4\n");
  EXPECT_EQ(exit_of(""), Exit::kNoInterface);
  const fs::path ours = function("0000:00:1f.0");
  EXPECT_EQ(find_function(folder.path(), ""), ours);
  EXPECT_EQ(find_function(folder.path(), "0000:00:1f.0"), ours);
  EXPECT_EQ(find_function(folder.path(), "00:1f.0"), ours);
  EXPECT_EQ(find_function(folder.path(), ours.string()), ours);
  EXPECT_EQ(exit_of("00:03.0"), Exit::kUsage);
  function("0000:00:1e.0");
  EXPECT_EQ(exit_of(""), Exit::kNoInterface);  // which one?
}

TEST_F(SysfsTest, NothingThereAtAll) {
  EXPECT_THROW((void)find_function(folder.path() / "none", ""), Failure);
}

TEST_F(SysfsTest, ItsMemoryIsSwitchedOnOnce) {
  const fs::path ours = function("0000:00:1f.0");
  (void)open_function(ours);
  EXPECT_EQ(tool::test::text_of(ours / "enable"), "1");
  folder.write("0000:00:1f.0/enable", "2\n");
  (void)open_function(ours);
  EXPECT_EQ(tool::test::text_of(ours / "enable"), "2\n");
}

TEST_F(SysfsTest, ABarOfAnotherSizeIsNoInterface) {
  function("0000:00:1f.0");
  folder.write("0000:00:1f.0/resource2", std::string(4096, '\0'));
  EXPECT_EQ(exit_of(""), Exit::kNoInterface);
  fs::remove(folder.path() / "0000:00:1f.0/resource2");
  EXPECT_EQ(exit_of(""), Exit::kNoInterface);
}

TEST_F(SysfsTest, RegistersAndWindowAreTheFunctions) {
  const auto channel = open_function(function("0000:00:1f.0"));
  EXPECT_EQ(channel->read(control::kMagic), control::kMagicValue);
  EXPECT_NO_THROW(Client(*channel, std::chrono::milliseconds(1)));
  channel->write(control::kDoorbell, 0x1234'5678);
  EXPECT_EQ(tool::test::text_of(folder.path() / "0000:00:1f.0/resource0").substr(8, 4),
            "\x78\x56\x34\x12");
  const Bytes text = {'h', 'e', 'l', 'l', 'o', ' ', 'w', 'i', 'n', 'd', 'o', 'w'};
  channel->write_window(control::kDataOffset, text);
  Bytes back(text.size());
  channel->read_window(control::kDataOffset, back);
  EXPECT_EQ(back, text);
}

TEST_F(SysfsTest, TheFasterMappingIsTakenWhereThereIsOne) {
  const fs::path ours = function("0000:00:1f.0");
  folder.write("0000:00:1f.0/resource2_wc", std::string(control::kWindowBytes, 'w'));
  Bytes bytes(3);
  open_function(ours)->read_window(0, bytes);
  EXPECT_EQ(bytes, Bytes(3, 'w'));
}

TEST_F(SysfsTest, OneProgramAtATime) {
  const fs::path ours = function("0000:00:1f.0");
  const auto first = open_function(ours);
  const auto second = open_function(ours);
  for (const auto turn : {Channel::Turn::kRequest, Channel::Turn::kUpload}) {
    EXPECT_TRUE(first->try_lock(turn));
    EXPECT_FALSE(second->try_lock(turn));
  }
  first->unlock(Channel::Turn::kRequest);
  EXPECT_TRUE(second->try_lock(Channel::Turn::kRequest));
  EXPECT_FALSE(second->try_lock(Channel::Turn::kUpload));
}

}  // namespace
}  // namespace penstock::ctl
