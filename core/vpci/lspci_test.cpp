// An oracle that somebody else wrote: the real lspci reads a dump of the virtual config space.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <string>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

void write_dump(const std::string& path, const VirtualFunction& f) {
  std::ofstream out(path);
  out << "00:01.0 virtual function\n" << std::hex << std::setfill('0');
  for (unsigned line = 0; line < 4096; line += 16) {
    out << std::setw(line < 256 ? 2 : 3) << line << ":";
    for (unsigned i = 0; i < 16; ++i) out << " " << std::setw(2) << f.config_read(line + i, 1);
    out << "\n";
  }
}

std::string run(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char buffer[512];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) text += buffer;
  pclose(pipe);
  return text;
}

// Covers: S3.12 S3.38
TEST(Lspci, ReadsTheVirtualFunction) {
  test::RichFunction rich;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  const std::string path = ::testing::TempDir() + "penstock_vpci_lspci.txt";
  write_dump(path, f);
  const std::string text = run("lspci -n -vvv -F '" + path + "' 2>&1");
  for (const char* expected : {
           "00:01.0 0200: 8086:10c9 (rev 01)",
           "Subsystem: 8086:a03c",
           "Capabilities: [40] Power Management version 3",
           "Flags: PMEClk- DSI+ D1- D2- AuxCurrent=0mA PME(D0-,D1-,D2-,D3hot-,D3cold-)",
           "Status: D0 NoSoftRst+",
           "Capabilities: [50] MSI: Enable- Count=1/8 Maskable+ 64bit+",
           "Capabilities: [70] MSI-X: Enable- Count=64 Masked-",
           "Vector table: BAR=0 offset=00002000",
           "PBA: BAR=0 offset=00002800",
           "Capabilities: [80] Express (v2) Root Complex Integrated Endpoint, MSI 00",
           "FLReset+",
           "Capabilities: [d0] PCI Advanced Features",
           "Capabilities: [140 v1] Device Serial Number 00-1b-21-ff-ff-55-44-33",
       }) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\n" << text;
  }
  for (const char* hidden : {"Vendor Specific", "Vital Product", "Error Reporting", "SR-IOV",
                             "<chain", "LnkCap", "Interrupt: pin", "unknown"}) {
    EXPECT_EQ(text.find(hidden), std::string::npos) << hidden << "\n" << text;
  }
  std::remove(path.c_str());
}

// Covers: S3.10 S3.11 S3.38
TEST(Lspci, ReadsWhatTheHardwareDomainIsShownOfAPhysicalFunction) {
  test::RichFunction rich;
  SriovFacts sriov;
  sriov.vfs = 4;
  sriov.bars[0] = {.size = 16 * kKiB, .is64 = true, .prefetchable = true};
  rich.options.sriov = &sriov;
  rich.options.integrated_endpoint = false;
  rich.options.full_access = true;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  const std::string path = ::testing::TempDir() + "penstock_vpci_lspci_pf.txt";
  write_dump(path, f);
  const std::string text = run("lspci -n -vvv -F '" + path + "' 2>&1");
  for (const char* expected : {
           "Capabilities: [80] Express (v2) Endpoint",
           "Capabilities: [c0] Vendor Specific Information",
           "Capabilities: [d8] Vital Product Data",
           "Capabilities: [100 v2] Advanced Error Reporting",
           "Capabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)",
           "Initial VFs: 4, Total VFs: 4, Number of VFs: 0, Function Dependency Link: 00",
           "VF offset: 1, stride: 1, Device ID: ffff",
           "Supported Page Size: 00000001, System Page Size: 00000001",
           "Capabilities: [1b0 v1] Vendor Specific Information",
       }) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\n" << text;
  }
  EXPECT_EQ(text.find("<chain"), std::string::npos) << text;
  std::remove(path.c_str());
}

}  // namespace
}  // namespace penstock::vpci
