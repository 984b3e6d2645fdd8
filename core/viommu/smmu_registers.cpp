#include "core/viommu/smmu_registers.hpp"

#include "core/base/bits.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;

namespace {

constexpr std::uint64_t kCr0Bits =
    hw::cr0::SMMUEN::kMask | hw::cr0::EVENTQEN::kMask | hw::cr0::CMDQEN::kMask;
constexpr std::uint64_t kCr1Bits = 0xfff;
constexpr std::uint64_t kCr2Bits = hw::cr2::RECINVSID::kMask | hw::cr2::PTM::kMask;
constexpr std::uint64_t kGbpaBits =
    0xffff'ffff & ~(hw::gbpa::Res5::kMask | hw::gbpa::Res14::kMask | hw::gbpa::Res21::kMask);
constexpr std::uint64_t kGbpaReset = with<hw::gbpa::SHCFG>(0, 1);
constexpr std::uint64_t kIrqBits =
    hw::irq_ctrl::GERROR_IRQEN::kMask | hw::irq_ctrl::EVENTQ_IRQEN::kMask;
constexpr std::uint64_t kErrorBits =
    hw::gerror::CMDQ_ERR::kMask | hw::gerror::EVENTQ_ABT_ERR::kMask |
    hw::gerror::MSI_CMDQ_ABT_ERR::kMask | hw::gerror::MSI_EVENTQ_ABT_ERR::kMask |
    hw::gerror::MSI_GERROR_ABT_ERR::kMask;
constexpr std::uint64_t kMsiAddress = hw::irq_cfg0::ADDR::kMask;
constexpr std::uint64_t kMsiData = 0xffff'ffff;
constexpr std::uint64_t kMsiAttributes = 0x3f;  // SH, MemAttr
constexpr std::uint64_t kTable = hw::strtab_base::ADDR::kMask | hw::strtab_base::RA::kMask;
constexpr std::uint64_t kTableShape = hw::strtab_base_cfg::LOG2SIZE::kMask |
                                      hw::strtab_base_cfg::SPLIT::kMask |
                                      hw::strtab_base_cfg::FMT::kMask;
constexpr std::uint64_t kQueue =
    hw::queue_base::LOG2SIZE::kMask | hw::queue_base::ADDR::kMask | hw::queue_base::HINT::kMask;
constexpr std::uint64_t kIndex = hw::cmdq_cons::RD::kMask;
constexpr std::uint64_t kEventIndex =
    hw::eventq_index::Index::kMask | hw::eventq_index::Overflow::kMask;

// clang-format off
constexpr std::array<RegisterRow, kRegCount> kRows = {{
  {Reg::kIdr0,          "IDR0",            hw::kIdr0,          4, 0,              0, Gate::kReadOnly,     "what is implemented; derived from the board's"},
  {Reg::kIdr1,          "IDR1",            hw::kIdr1,          4, 0,              0, Gate::kReadOnly,     "sizes; derived from the board's"},
  {Reg::kIdr2,          "IDR2",            hw::kIdr2,          4, 0,              0, Gate::kReadOnly,     "no virtual ATOS"},
  {Reg::kIdr3,          "IDR3",            hw::kIdr3,          4, 0,              0, Gate::kReadOnly,     "extensions; derived from the board's"},
  {Reg::kIdr4,          "IDR4",            hw::kIdr4,          4, 0,              0, Gate::kReadOnly,     "implementation defined: none"},
  {Reg::kIdr5,          "IDR5",            hw::kIdr5,          4, 0,              0, Gate::kReadOnly,     "granules of the board's, outputs of 40 bits"},
  {Reg::kIidr,          "IIDR",            hw::kIidr,          4, 0,              0, Gate::kReadOnly,     "implementer 0: no errata apply"},
  {Reg::kAidr,          "AIDR",            hw::kAidr,          4, 0,              0, Gate::kReadOnly,     "architecture version of the board's"},
  {Reg::kCr0,           "CR0",             hw::kCr0,           4, kCr0Bits,       0, Gate::kAlways,       "enables; CR0ACK follows when they have taken effect"},
  {Reg::kCr0Ack,        "CR0ACK",          hw::kCr0Ack,        4, 0,              0, Gate::kReadOnly,     "enables in effect"},
  {Reg::kCr1,           "CR1",             hw::kCr1,           4, kCr1Bits,       0, Gate::kAllOff,       "attributes of table and queue accesses; kept, without effect"},
  {Reg::kCr2,           "CR2",             hw::kCr2,           4, kCr2Bits,       0, Gate::kSmmuOff,      "RECINVSID: record C_BAD_STREAMID"},
  {Reg::kStatusR,       "STATUSR",         hw::kStatusR,       4, 0,              0, Gate::kReadOnly,     "never dormant"},
  {Reg::kGbpa,          "GBPA",            hw::kGbpa,          4, kGbpaBits,      kGbpaReset, Gate::kUpdate, "traffic while SMMUEN = 0: ABORT, else stage 2 alone; attributes kept, without effect"},
  {Reg::kAgbpa,         "AGBPA",           hw::kAgbpa,         4, 0,              0, Gate::kReadOnly,     "implementation defined: none"},
  {Reg::kIrqCtrl,       "IRQ_CTRL",        hw::kIrqCtrl,       4, kIrqBits,       0, Gate::kAlways,       "interrupt enables"},
  {Reg::kIrqCtrlAck,    "IRQ_CTRLACK",     hw::kIrqCtrlAck,    4, 0,              0, Gate::kReadOnly,     "interrupt enables in effect"},
  {Reg::kGerror,        "GERROR",          hw::kGerror,        4, 0,              0, Gate::kReadOnly,     "errors: active where it differs from GERRORN"},
  {Reg::kGerrorN,       "GERRORN",         hw::kGerrorN,       4, kErrorBits,     0, Gate::kActive,       "acknowledgement of errors"},
  {Reg::kGerrorIrqCfg0, "GERROR_IRQ_CFG0", hw::kGerrorIrqCfg0, 8, kMsiAddress,    0, Gate::kGerrorIrqOff, "message address in RAM; 0: wired"},
  {Reg::kGerrorIrqCfg1, "GERROR_IRQ_CFG1", hw::kGerrorIrqCfg1, 4, kMsiData,       0, Gate::kGerrorIrqOff, "message data"},
  {Reg::kGerrorIrqCfg2, "GERROR_IRQ_CFG2", hw::kGerrorIrqCfg2, 4, kMsiAttributes, 0, Gate::kGerrorIrqOff, "message attributes; kept, without effect"},
  {Reg::kStrtabBase,    "STRTAB_BASE",     hw::kStrtabBase,    8, kTable,         0, Gate::kSmmuOff,      "stream table"},
  {Reg::kStrtabBaseCfg, "STRTAB_BASE_CFG", hw::kStrtabBaseCfg, 4, kTableShape,    0, Gate::kSmmuOff,      "its size and levels"},
  {Reg::kCmdqBase,      "CMDQ_BASE",       hw::kCmdqBase,      8, kQueue,         0, Gate::kCommandsOff,  "command queue and its size"},
  {Reg::kCmdqProd,      "CMDQ_PROD",       hw::kCmdqProd,      4, kIndex,         0, Gate::kAlways,       "commands up to here are to be executed"},
  {Reg::kCmdqCons,      "CMDQ_CONS",       hw::kCmdqCons,      4, kIndex,         0, Gate::kCommandsOff,  "commands up to here are done; ERR says why no further"},
  {Reg::kEventqBase,    "EVENTQ_BASE",     hw::kEventqBase,    8, kQueue,         0, Gate::kEventsOff,    "event queue and its size"},
  {Reg::kEventqIrqCfg0, "EVENTQ_IRQ_CFG0", hw::kEventqIrqCfg0, 8, kMsiAddress,    0, Gate::kEventqIrqOff, "message address in RAM; 0: wired"},
  {Reg::kEventqIrqCfg1, "EVENTQ_IRQ_CFG1", hw::kEventqIrqCfg1, 4, kMsiData,       0, Gate::kEventqIrqOff, "message data"},
  {Reg::kEventqIrqCfg2, "EVENTQ_IRQ_CFG2", hw::kEventqIrqCfg2, 4, kMsiAttributes, 0, Gate::kEventqIrqOff, "message attributes; kept, without effect"},
  {Reg::kEventqProd,    "EVENTQ_PROD",     hw::kEventqProd,    4, kEventIndex,    0, Gate::kEventsOff,    "events up to here are written; OVFLG"},
  {Reg::kEventqCons,    "EVENTQ_CONS",     hw::kEventqCons,    4, kEventIndex,    0, Gate::kAlways,       "events up to here are read; OVACKFLG"},
}};
// clang-format on

constexpr std::uint64_t kPage0Bytes = 0xc0;  // nothing beyond has a register
constexpr std::uint8_t kNone = 0xff;

/// Row of each 32-bit word of page 0.
consteval std::array<std::uint8_t, kPage0Bytes / 4> build_index() {
  std::array<std::uint8_t, kPage0Bytes / 4> index{};
  for (std::uint8_t& row : index) row = kNone;
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    const RegisterRow& row = kRows[i];
    if (row.offset >= kPage0Bytes) continue;
    for (unsigned byte = 0; byte < row.bytes; byte += 4) {
      index[(row.offset + byte) / 4] = static_cast<std::uint8_t>(i);
    }
  }
  return index;
}
constexpr auto kIndexOfPage0 = build_index();

consteval bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].id) != i || kRows[i].offset % kRows[i].bytes != 0) {
      return false;
    }
  }
  return true;
}
static_assert(in_order());

const RegisterRow* row_at(std::uint64_t offset) {
  if (offset < kPage0Bytes) {
    const std::uint8_t row = kIndexOfPage0[offset / 4];
    return row == kNone ? nullptr : &kRows[row];
  }
  if (offset == hw::kEventqProd) return &kRows[static_cast<std::size_t>(Reg::kEventqProd)];
  if (offset == hw::kEventqCons) return &kRows[static_cast<std::size_t>(Reg::kEventqCons)];
  return nullptr;
}

}  // namespace

const std::array<RegisterRow, kRegCount>& register_table() {
  return kRows;
}

std::optional<RegisterHit> find_register(std::uint64_t offset, unsigned size) {
  if ((size != 4 && size != 8) || offset % size != 0) return std::nullopt;
  const RegisterRow* row = row_at(offset);
  if (row == nullptr || size > row->bytes) return std::nullopt;
  return RegisterHit{row, static_cast<unsigned>(offset - row->offset) * 8};
}

hw::IdRegisters virtual_ids(const hw::IdRegisters& physical) {
  namespace idr0 = hw::idr0;
  namespace idr1 = hw::idr1;
  namespace idr3 = hw::idr3;
  namespace idr5 = hw::idr5;
  hw::IdRegisters ids;
  std::uint64_t r0 = with<idr0::S1P>(0, 1);
  r0 = with<idr0::TTF>(r0, idr0::kTtfAArch64);
  r0 = with<idr0::COHACC>(r0, 1);  // a board that is not coherent cannot nest
  r0 = with<idr0::ASID16>(r0, get<idr0::ASID16>(physical.idr0));
  r0 = with<idr0::MSI>(r0, 1);
  r0 = with<idr0::SEV>(r0, 1);
  r0 = with<idr0::CD2L>(r0, get<idr0::CD2L>(physical.idr0));
  r0 = with<idr0::TTENDIAN>(r0, get<idr0::TTENDIAN>(physical.idr0));
  r0 = with<idr0::STALLMODEL>(r0, idr0::kStallNever);
  r0 = with<idr0::TERMMODEL>(r0, get<idr0::TERMMODEL>(physical.idr0));
  r0 = with<idr0::STLEVEL>(r0, idr0::kTwoLevel);
  ids.idr0 = static_cast<std::uint32_t>(r0);
  std::uint64_t r1 = with<idr1::SIDSIZE>(0, kSmmuStreamIdBits);
  r1 = with<idr1::SSIDSIZE>(r1, get<idr1::SSIDSIZE>(physical.idr1));
  r1 = with<idr1::EVENTQS>(r1, get<idr1::EVENTQS>(physical.idr1));
  r1 = with<idr1::CMDQS>(r1, get<idr1::CMDQS>(physical.idr1));
  ids.idr1 = static_cast<std::uint32_t>(r1);
  std::uint64_t r3 = with<idr3::HAD>(0, get<idr3::HAD>(physical.idr3));
  r3 = with<idr3::RIL>(r3, get<idr3::RIL>(physical.idr3));
  r3 = with<idr3::BBML>(r3, get<idr3::BBML>(physical.idr3));
  ids.idr3 = static_cast<std::uint32_t>(r3);
  std::uint64_t r5 = with<idr5::OAS>(0, idr5::kOas40);
  r5 = with<idr5::GRAN4K>(r5, get<idr5::GRAN4K>(physical.idr5));
  r5 = with<idr5::GRAN16K>(r5, get<idr5::GRAN16K>(physical.idr5));
  r5 = with<idr5::GRAN64K>(r5, get<idr5::GRAN64K>(physical.idr5));
  r5 = with<idr5::VAX>(r5, get<idr5::VAX>(physical.idr5));
  ids.idr5 = static_cast<std::uint32_t>(r5);
  ids.aidr = physical.aidr;
  return ids;
}

}  // namespace penstock::viommu
