// docs/vsmmuv3.md is rendered from the register table and from what the emulation does with each
// command, asked one by one. To renew it after a change, run this test with
// PENSTOCK_UPDATE_GOLDEN=1 in the environment and review the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::Guest;

constexpr std::uint32_t kDevice = 8;

std::string hex(std::uint64_t value, unsigned digits = 1) {
  std::ostringstream out;
  out << "0x" << std::hex << std::setfill('0') << std::setw(static_cast<int>(digits)) << value;
  return out.str();
}

std::string_view name(Gate gate) {
  switch (gate) {
    case Gate::kReadOnly: return "never";
    case Gate::kAlways: return "always";
    case Gate::kSmmuOff: return "SMMUEN = 0";
    case Gate::kCommandsOff: return "CMDQEN = 0";
    case Gate::kEventsOff: return "EVENTQEN = 0";
    case Gate::kAllOff: return "all enables 0";
    case Gate::kGerrorIrqOff: return "GERROR_IRQEN = 0";
    case Gate::kEventqIrqOff: return "EVENTQ_IRQEN = 0";
    case Gate::kUpdate: return "with UPDATE, while UPDATE reads 0";
    case Gate::kActive: return "bits of active errors";
  }
  return "";
}

void render_registers(std::ostream& out) {
  Guest guest;
  out << "| Offset | Register | Bits | Reset | Writable | When | Meaning |\n"
         "|---|---|---|---|---|---|---|\n";
  for (const RegisterRow& row : register_table()) {
    out << "| " << hex(row.offset, 5) << " | " << row.name << " | " << row.bytes * 8U << " | "
        << hex(guest.get(row.offset, row.bytes)) << " | " << hex(row.writable) << " | "
        << name(row.gate) << " | " << row.meaning << " |\n";
  }
}

struct Opcode {
  unsigned number;
  std::string_view name;
};
constexpr Opcode kOpcodes[] = {
    {0x01, "PREFETCH_CONFIG"},
    {0x02, "PREFETCH_ADDR"},
    {0x03, "CFGI_STE"},
    {0x04, "CFGI_STE_RANGE, CFGI_ALL"},
    {0x05, "CFGI_CD"},
    {0x06, "CFGI_CD_ALL"},
    {0x07, "CFGI_VMS_PIDM"},
    {0x10, "TLBI_NH_ALL"},
    {0x11, "TLBI_NH_ASID"},
    {0x12, "TLBI_NH_VA"},
    {0x13, "TLBI_NH_VAA"},
    {0x18, "TLBI_EL3_ALL"},
    {0x1a, "TLBI_EL3_VA"},
    {0x20, "TLBI_EL2_ALL"},
    {0x21, "TLBI_EL2_ASID"},
    {0x22, "TLBI_EL2_VA"},
    {0x23, "TLBI_EL2_VAA"},
    {0x28, "TLBI_S12_VMALL"},
    {0x2a, "TLBI_S2_IPA"},
    {0x30, "TLBI_NSNH_ALL"},
    {0x40, "ATC_INV"},
    {0x41, "PRI_RESP"},
    {0x44, "RESUME"},
    {0x45, "STALL_TERM"},
    {0x46, "SYNC"},
};

std::string_view name(std::uint64_t number) {
  for (const Opcode& opcode : kOpcodes) {
    if (opcode.number == number) return opcode.name;
  }
  return "";
}

/// What one command of this number, for the one device that there is, leads to.
std::string effect_of(unsigned number) {
  Guest guest;
  guest.put_entry(kDevice, Guest::kBypass);
  guest.attach(kDevice);
  guest.start();
  guest.host.configured.clear();
  guest.issue({{number | std::uint64_t{kDevice} << 32 | 1ULL << 12, 0}});
  if (guest.command_error() != 0) return "CERROR_ILL";
  if (!guest.host.forwarded.empty()) {
    const auto as = guest.host.forwarded[0][0] & 0xff;
    return as == number ? "forwarded" : "forwarded as " + std::string(name(as));
  }
  if (!guest.host.configured.empty()) return "executed: the guest's entry is read and published";
  if (guest.irqs.pulses[fake::kSyncIntid] != 0) {
    return "executed: everything before it is done; none, interrupt or message, SEV";
  }
  return "nothing: a hint";
}

void render_commands(std::ostream& out) {
  out << "| Opcode | Command | Effect |\n|---|---|---|\n";
  for (const Opcode& opcode : kOpcodes) {
    out << "| " << hex(opcode.number, 2) << " | " << opcode.name << " | "
        << effect_of(opcode.number) << " |\n";
  }
  std::string others;
  for (unsigned number = 0; number < 256; ++number) {
    if (!name(number).empty()) continue;
    const std::string effect = effect_of(number);
    if (others.empty()) others = effect;
    EXPECT_EQ(effect, others) << number;
  }
  out << "| others | reserved, implementation defined | " << others << " |\n";
}

std::string document() {
  std::ostringstream out;
  out << R"(# The vSMMUv3, register by register and command by command

A domain with `iommu = "smmuv3"` finds an Arm SMMUv3 (IHI 0070) at 0x9050000, 128 KiB. Its stage 1 is
the guest's; behind it lies the domain's stage 2, of which the guest sees nothing. Both tables below
are rendered from the code by `core/viommu/document_test.cpp`.

## Registers

Reset values are those on QEMU's `virt`; IDR0 to IDR5 and AIDR are cut down from the board's SMMU
(`virtual_ids`). 32-bit accesses to every register, and to each half of a 64-bit one; 64-bit accesses
to 64-bit registers. Everything else in the window, and every other size or alignment, reads as zero
and ignores writes. Bits that are not writable read as zero. A write at another time than the table
says is ignored; enables count as long as CR0 or CR0ACK has them.

)";
  render_registers(out);
  out << R"(
## Commands

Forwarded: executed by the board's SMMU with this domain's VMID and the device's own stream, in
batches, and complete before the guest's next SYNC completes. A stream without a device is nobody's:
commands for it do nothing. SSec set is CERROR_ILL for every command.

)";
  render_commands(out);
  out << R"(
Bits that a command's form does not use are dropped before it is forwarded. TG, NUM and SCALE count
where IDR3.RIL is set; a granule that IDR5 does not have is CERROR_ILL. A queue that cannot be read,
and a batch that the board's SMMU refuses, is CERROR_ABT. After an error the queue stands until
GERRORN acknowledges it.
)";
  return out.str();
}

// Covers: S2.14 S2.15 S2.28
TEST(Document, IsWhatTheCodeDoes) {
  const std::string text = document();
  const std::string path = PENSTOCK_SOURCE_DIR "/docs/vsmmuv3.md";
  if (std::getenv("PENSTOCK_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(text, golden.str()) << "docs/vsmmuv3.md is not what the code does";
}

}  // namespace
}  // namespace penstock::viommu
