// The layouts against an oracle that somebody else wrote: Linux's own copy of the same
// specifications.
#include <gtest/gtest.h>
#include <linux/pci_regs.h>

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/config.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"
#include "core/hw/pci/sriov.hpp"

namespace penstock::hw::pci {
namespace {

static_assert(kVendorId == PCI_VENDOR_ID && kDeviceId == PCI_DEVICE_ID && kCommand == PCI_COMMAND);
static_assert(kStatus == PCI_STATUS && kRevisionId == PCI_CLASS_REVISION);
static_assert(kClassCode == PCI_CLASS_PROG && kCacheLineSize == PCI_CACHE_LINE_SIZE);
static_assert(kLatencyTimer == PCI_LATENCY_TIMER && kHeaderType == PCI_HEADER_TYPE);
static_assert(kBist == PCI_BIST && kBar0 == PCI_BASE_ADDRESS_0);
static_assert(bar_offset(5) == PCI_BASE_ADDRESS_5 && kCardbusCis == PCI_CARDBUS_CIS);
static_assert(kSubsystemVendor == PCI_SUBSYSTEM_VENDOR_ID && kSubsystemId == PCI_SUBSYSTEM_ID);
static_assert(kRomBar == PCI_ROM_ADDRESS && kCapabilities == PCI_CAPABILITY_LIST);
static_assert(kInterruptLine == PCI_INTERRUPT_LINE && kInterruptPin == PCI_INTERRUPT_PIN);
static_assert(kMinGrant == PCI_MIN_GNT && kMaxLatency == PCI_MAX_LAT);
static_assert(kPrimaryBus == PCI_PRIMARY_BUS && kSecondaryBus == PCI_SECONDARY_BUS);
static_assert(kSubordinateBus == PCI_SUBORDINATE_BUS && kIoBase == PCI_IO_BASE);
static_assert(kSecondaryLatency == PCI_SEC_LATENCY_TIMER && kIoLimit == PCI_IO_LIMIT);
static_assert(kSecondaryStatus == PCI_SEC_STATUS && kMemoryBase == PCI_MEMORY_BASE);
static_assert(kMemoryLimit == PCI_MEMORY_LIMIT && kPrefetchBase == PCI_PREF_MEMORY_BASE);
static_assert(kPrefetchLimit == PCI_PREF_MEMORY_LIMIT && kPrefetchBaseHi == PCI_PREF_BASE_UPPER32);
static_assert(kPrefetchLimitHi == PCI_PREF_LIMIT_UPPER32 && kIoBaseHi == PCI_IO_BASE_UPPER16);
static_assert(kIoLimitHi == PCI_IO_LIMIT_UPPER16 && kBridgeRomBar == PCI_ROM_ADDRESS1);
static_assert(kBridgeControl == PCI_BRIDGE_CONTROL);

static_assert(command::IoSpace::kMask == PCI_COMMAND_IO);
static_assert(command::MemorySpace::kMask == PCI_COMMAND_MEMORY);
static_assert(command::BusMaster::kMask == PCI_COMMAND_MASTER);
static_assert(command::ParityErrorResponse::kMask == PCI_COMMAND_PARITY);
static_assert(command::SerrEnable::kMask == PCI_COMMAND_SERR);
static_assert(command::InterruptDisable::kMask == PCI_COMMAND_INTX_DISABLE);
static_assert(status::InterruptStatus::kMask == PCI_STATUS_INTERRUPT);
static_assert(status::CapabilityList::kMask == PCI_STATUS_CAP_LIST);
static_assert(status::MasterDataParityError::kMask == PCI_STATUS_PARITY);
static_assert(status::SignaledTargetAbort::kMask == PCI_STATUS_SIG_TARGET_ABORT);
static_assert(status::ReceivedTargetAbort::kMask == PCI_STATUS_REC_TARGET_ABORT);
static_assert(status::ReceivedMasterAbort::kMask == PCI_STATUS_REC_MASTER_ABORT);
static_assert(status::SignaledSystemError::kMask == PCI_STATUS_SIG_SYSTEM_ERROR);
static_assert(status::DetectedParityError::kMask == PCI_STATUS_DETECTED_PARITY);
static_assert(bar::IoSpace::kMask == PCI_BASE_ADDRESS_SPACE_IO);
static_assert(with<bar::Type>(0, bar::kType64) == PCI_BASE_ADDRESS_MEM_TYPE_64);
static_assert(bar::Prefetchable::kMask == PCI_BASE_ADDRESS_MEM_PREFETCH);
static_assert(rom_bar::Enable::kMask == PCI_ROM_ADDRESS_ENABLE);
static_assert(rom_bar::Address::kMask == (PCI_ROM_ADDRESS_MASK & 0xffffffff));
static_assert(bridge_control::SecondaryBusReset::kMask == PCI_BRIDGE_CTL_BUS_RESET);
static_assert(header_type::kBridge == PCI_HEADER_TYPE_BRIDGE);
static_assert(header_type::kCardbus == PCI_HEADER_TYPE_CARDBUS);

constexpr unsigned id(CapabilityId value) {
  return static_cast<unsigned>(value);
}
constexpr unsigned id(ExtendedId value) {
  return static_cast<unsigned>(value);
}
static_assert(id(CapabilityId::kPowerManagement) == PCI_CAP_ID_PM);
static_assert(id(CapabilityId::kVpd) == PCI_CAP_ID_VPD);
static_assert(id(CapabilityId::kMsi) == PCI_CAP_ID_MSI);
static_assert(id(CapabilityId::kPciX) == PCI_CAP_ID_PCIX);
static_assert(id(CapabilityId::kHyperTransport) == PCI_CAP_ID_HT);
static_assert(id(CapabilityId::kVendorSpecific) == PCI_CAP_ID_VNDR);
static_assert(id(CapabilityId::kBridgeSubsystem) == PCI_CAP_ID_SSVID);
static_assert(id(CapabilityId::kExpress) == PCI_CAP_ID_EXP);
static_assert(id(CapabilityId::kMsix) == PCI_CAP_ID_MSIX);
static_assert(id(CapabilityId::kSata) == PCI_CAP_ID_SATA);
static_assert(id(CapabilityId::kAdvancedFeatures) == PCI_CAP_ID_AF);
static_assert(id(CapabilityId::kEnhancedAllocation) == PCI_CAP_ID_EA);
static_assert(id(ExtendedId::kAdvancedErrorReporting) == PCI_EXT_CAP_ID_ERR);
static_assert(id(ExtendedId::kVirtualChannel) == PCI_EXT_CAP_ID_VC);
static_assert(id(ExtendedId::kDeviceSerialNumber) == PCI_EXT_CAP_ID_DSN);
static_assert(id(ExtendedId::kPowerBudgeting) == PCI_EXT_CAP_ID_PWR);
static_assert(id(ExtendedId::kVendorSpecific) == PCI_EXT_CAP_ID_VNDR);
static_assert(id(ExtendedId::kAccessControlServices) == PCI_EXT_CAP_ID_ACS);
static_assert(id(ExtendedId::kAlternativeRoutingId) == PCI_EXT_CAP_ID_ARI);
static_assert(id(ExtendedId::kAddressTranslationServices) == PCI_EXT_CAP_ID_ATS);
static_assert(id(ExtendedId::kSingleRootIov) == PCI_EXT_CAP_ID_SRIOV);
static_assert(id(ExtendedId::kPageRequest) == PCI_EXT_CAP_ID_PRI);
static_assert(id(ExtendedId::kResizableBar) == PCI_EXT_CAP_ID_REBAR);
static_assert(id(ExtendedId::kDynamicPowerAllocation) == PCI_EXT_CAP_ID_DPA);
static_assert(id(ExtendedId::kTphRequester) == PCI_EXT_CAP_ID_TPH);
static_assert(id(ExtendedId::kLatencyToleranceReporting) == PCI_EXT_CAP_ID_LTR);
static_assert(id(ExtendedId::kSecondaryExpress) == PCI_EXT_CAP_ID_SECPCI);
static_assert(id(ExtendedId::kProcessAddressSpaceId) == PCI_EXT_CAP_ID_PASID);
static_assert(id(ExtendedId::kDownstreamPortContainment) == PCI_EXT_CAP_ID_DPC);
static_assert(id(ExtendedId::kL1PmSubstates) == PCI_EXT_CAP_ID_L1SS);
static_assert(id(ExtendedId::kPrecisionTime) == PCI_EXT_CAP_ID_PTM);
static_assert(id(ExtendedId::kDesignatedVendorSpecific) == PCI_EXT_CAP_ID_DVSEC);

static_assert(msi::kControl == PCI_MSI_FLAGS && msi::kAddressLow == PCI_MSI_ADDRESS_LO);
static_assert(msi::kAddressHigh == PCI_MSI_ADDRESS_HI);
static_assert(msi::layout(false, true).data == PCI_MSI_DATA_32);
static_assert(msi::layout(false, true).mask == PCI_MSI_MASK_32);
static_assert(msi::layout(false, true).pending == PCI_MSI_PENDING_32);
static_assert(msi::layout(true, true).data == PCI_MSI_DATA_64);
static_assert(msi::layout(true, true).mask == PCI_MSI_MASK_64);
static_assert(msi::layout(true, true).pending == PCI_MSI_PENDING_64);
static_assert(msi::control::Enable::kMask == PCI_MSI_FLAGS_ENABLE);
static_assert(msi::control::MultipleCapable::kMask == PCI_MSI_FLAGS_QMASK);
static_assert(msi::control::MultipleEnable::kMask == PCI_MSI_FLAGS_QSIZE);
static_assert(msi::control::Address64::kMask == PCI_MSI_FLAGS_64BIT);
static_assert(msi::control::PerVectorMask::kMask == PCI_MSI_FLAGS_MASKBIT);
static_assert(msix::kControl == PCI_MSIX_FLAGS && msix::kTable == PCI_MSIX_TABLE);
static_assert(msix::kPba == PCI_MSIX_PBA && msix::kSize == PCI_CAP_MSIX_SIZEOF);
static_assert(msix::control::TableSize::kMask == PCI_MSIX_FLAGS_QSIZE);
static_assert(msix::control::FunctionMask::kMask == PCI_MSIX_FLAGS_MASKALL);
static_assert(msix::control::Enable::kMask == PCI_MSIX_FLAGS_ENABLE);
static_assert(msix::location::Bir::kMask == PCI_MSIX_TABLE_BIR);
static_assert(msix::location::Offset::kMask == PCI_MSIX_TABLE_OFFSET);
static_assert(msix::entry::kSize == PCI_MSIX_ENTRY_SIZE);
static_assert(msix::entry::kData == PCI_MSIX_ENTRY_DATA);
static_assert(msix::entry::kControl == PCI_MSIX_ENTRY_VECTOR_CTRL);

static_assert(power::kCapabilities == PCI_PM_PMC && power::kControlStatus == PCI_PM_CTRL);
static_assert(power::kSize == PCI_PM_SIZEOF);
static_assert(power::control_status::PowerState::kMask == PCI_PM_CTRL_STATE_MASK);
static_assert(power::control_status::NoSoftReset::kMask == PCI_PM_CTRL_NO_SOFT_RESET);

static_assert(express::kCapabilities == PCI_EXP_FLAGS);
static_assert(express::kDeviceCapabilities == PCI_EXP_DEVCAP);
static_assert(express::kDeviceControl == PCI_EXP_DEVCTL);
static_assert(express::kDeviceStatus == PCI_EXP_DEVSTA);
static_assert(express::kLinkCapabilities == PCI_EXP_LNKCAP);
static_assert(express::kLinkControl == PCI_EXP_LNKCTL && express::kLinkStatus == PCI_EXP_LNKSTA);
static_assert(express::kSlotCapabilities == PCI_EXP_SLTCAP);
static_assert(express::kRootControl == PCI_EXP_RTCTL && express::kRootStatus == PCI_EXP_RTSTA);
static_assert(express::kDeviceCapabilities2 == PCI_EXP_DEVCAP2);
static_assert(express::kDeviceControl2 == PCI_EXP_DEVCTL2);
static_assert(express::kLinkControl2 == PCI_EXP_LNKCTL2);
static_assert(express::kLinkStatus2 == PCI_EXP_LNKSTA2);
static_assert(express::device_capabilities::FunctionLevelReset::kMask == PCI_EXP_DEVCAP_FLR);
static_assert(express::device_capabilities::PhantomFunctions::kMask == PCI_EXP_DEVCAP_PHANTOM);
static_assert(express::device_control::InitiateFlr::kMask == PCI_EXP_DEVCTL_BCR_FLR);
static_assert(express::device_control::RelaxedOrdering::kMask == PCI_EXP_DEVCTL_RELAX_EN);
static_assert(express::device_control::NoSnoop::kMask == PCI_EXP_DEVCTL_NOSNOOP_EN);
static_assert(express::device_control::MaxPayload::kMask == PCI_EXP_DEVCTL_PAYLOAD);
static_assert(express::device_control::MaxReadRequest::kMask == PCI_EXP_DEVCTL_READRQ);
static_assert(express::device_status::TransactionsPending::kMask == PCI_EXP_DEVSTA_TRPND);
static_assert(express::device_control2::AriForwarding::kMask == PCI_EXP_DEVCTL2_ARI);
static_assert(express::link_status::Training::kMask == PCI_EXP_LNKSTA_LT);
static_assert(express::link_status::DataLinkActive::kMask == PCI_EXP_LNKSTA_DLLLA);

static_assert(advanced_features::kCaps == PCI_AF_CAP && advanced_features::kControl == PCI_AF_CTRL);
static_assert(advanced_features::FlrCapable::kMask == PCI_AF_CAP_FLR);
static_assert(acs::kCapability == PCI_ACS_CAP && acs::kControl == PCI_ACS_CTRL);
static_assert(acs::SourceValidation::kMask == PCI_ACS_SV);
static_assert(acs::UpstreamForwarding::kMask == PCI_ACS_UF);
static_assert(ari::NextFunction::kLow == 8 && ari::kCapability == PCI_ARI_CAP);
static_assert(ats::kControl == PCI_ATS_CTRL && ats::Enable::kMask == PCI_ATS_CTRL_ENABLE);
static_assert(sriov::kControl == PCI_SRIOV_CTRL && sriov::kTotalVfs == PCI_SRIOV_TOTAL_VF);
static_assert(sriov::kNumVfs == PCI_SRIOV_NUM_VF && sriov::kFirstVfOffset == PCI_SRIOV_VF_OFFSET);
static_assert(sriov::kVfStride == PCI_SRIOV_VF_STRIDE && sriov::kVfBar0 == PCI_SRIOV_BAR);
static_assert(sriov::kSystemPageSize == PCI_SRIOV_SYS_PGSIZE);
static_assert(sriov::kSupportedPageSizes == PCI_SRIOV_SUP_PGSIZE);
static_assert(sriov::kVfDeviceId == PCI_SRIOV_VF_DID && sriov::kInitialVfs == PCI_SRIOV_INITIAL_VF);
static_assert(sriov::kFunctionDependency == PCI_SRIOV_FUNC_LINK);
static_assert(sriov::kVfMigrationArray == PCI_SRIOV_VFM &&
              sriov::kSize == PCI_EXT_CAP_SRIOV_SIZEOF);
static_assert(sriov::control::VfEnable::kMask == PCI_SRIOV_CTRL_VFE);
static_assert(sriov::control::VfMemorySpace::kMask == PCI_SRIOV_CTRL_MSE);
static_assert(sriov::control::AriHierarchy::kMask == PCI_SRIOV_CTRL_ARI);
static_assert(express::device_capabilities2::AriForwarding::kMask == PCI_EXP_DEVCAP2_ARI);

/// Golden vectors, read by hand from the specification's figures.
TEST(PciLayout, WordsDecodeAsTheSpecificationDrawsThem) {
  EXPECT_EQ(get<msix::control::TableSize>(0xc040), 0x40u);  // enabled, masked, 65 entries
  EXPECT_EQ(get<extended_header::Next>(0x14820001), 0x148u);
  EXPECT_EQ(get<extended_header::Version>(0x14820001), 2u);
  EXPECT_EQ(get<express::capabilities::Type>(0x0042), express::PortType::kRootPort);
  EXPECT_EQ(get<msi::control::MultipleCapable>(0x018a), 5u);
  EXPECT_EQ(get<ecam::Bus>(0x0123456), 1u);
  EXPECT_EQ(get<ecam::Device>(0x0123456), 4u);
  EXPECT_EQ(get<ecam::Function>(0x0123456), 3u);
  EXPECT_EQ(msix::pba_bytes(1), 8u);
  EXPECT_EQ(msix::pba_bytes(65), 16u);
  EXPECT_EQ(msi::layout(false, false).size, 10u);
}

}  // namespace
}  // namespace penstock::hw::pci
