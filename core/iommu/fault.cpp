#include "core/iommu/fault.hpp"

#include "core/hw/smmuv3/events.hpp"
#include "core/iommu/smmuv3/event_queue.hpp"

namespace penstock::iommu {

namespace {

struct Record {
  FaultKind kind;
  bool has_address;  // word 2 is the input address, word 1 says read or write
  bool has_ipa;      // word 3 is the IPA where S2 = 1
  std::string_view name;
};

// clang-format off
constexpr Record kRecords[] = {
    // kind                             address ipa    name in the specification
    {FaultKind::kUnsupportedUpstream,   true,  false, "F_UUT"},
    {FaultKind::kBadStreamId,           false, false, "C_BAD_STREAMID"},
    {FaultKind::kSteFetch,              false, false, "F_STE_FETCH"},
    {FaultKind::kBadSte,                false, false, "C_BAD_STE"},
    {FaultKind::kBadAtsRequest,         true,  false, "F_BAD_ATS_TREQ"},
    {FaultKind::kStreamDisabled,        false, false, "F_STREAM_DISABLED"},
    {FaultKind::kTranslationForbidden,  true,  false, "F_TRANSL_FORBIDDEN"},
    {FaultKind::kBadSubstreamId,        false, false, "C_BAD_SUBSTREAMID"},
    {FaultKind::kCdFetch,               false, false, "F_CD_FETCH"},
    {FaultKind::kBadCd,                 false, false, "C_BAD_CD"},
    {FaultKind::kWalkAbort,             true,  false, "F_WALK_EABT"},
    {FaultKind::kTranslation,           true,  true,  "F_TRANSLATION"},
    {FaultKind::kAddressSize,           true,  true,  "F_ADDR_SIZE"},
    {FaultKind::kAccess,                true,  true,  "F_ACCESS"},
    {FaultKind::kPermission,            true,  true,  "F_PERMISSION"},
    {FaultKind::kTlbConflict,           true,  true,  "F_TLB_CONFLICT"},
    {FaultKind::kConfigConflict,        true,  false, "F_CFG_CONFLICT"},
    {FaultKind::kPageRequest,           true,  false, "E_PAGE_REQUEST"},
};
// clang-format on

constexpr Record kUnknown = {FaultKind::kOther, false, false, "unknown event"};

const Record& record_of(std::uint64_t type) {
  for (const Record& record : kRecords) {
    if (static_cast<std::uint64_t>(record.kind) == type) return record;
  }
  return kUnknown;
}

}  // namespace

std::string_view name(FaultKind kind) {
  return record_of(static_cast<std::uint64_t>(kind)).name;
}

namespace smmuv3 {

namespace hw = penstock::hw::smmuv3;

Fault decode(const hw::EventRecord& words) {
  const Record& record = record_of(get<hw::event0::Type>(words[0]));
  Fault fault;
  fault.kind = record.kind;
  fault.raw_type = static_cast<std::uint8_t>(get<hw::event0::Type>(words[0]));
  fault.stream = StreamId(static_cast<std::uint32_t>(get<hw::event0::StreamId>(words[0])));
  fault.has_address = record.has_address;
  if (record.has_address) {
    fault.address = Iova(words[2]);
    fault.write = get<hw::event1::RnW>(words[1]) == 0;
    fault.privileged = get<hw::event1::PnU>(words[1]) != 0;
    fault.instruction = get<hw::event1::InD>(words[1]) != 0;
  }
  if (get<hw::event0::SSV>(words[0]) != 0) {
    fault.substream = static_cast<std::uint32_t>(get<hw::event0::SubstreamId>(words[0]));
  }
  if (record.has_ipa) {
    fault.cls = static_cast<std::uint8_t>(get<hw::event1::Class>(words[1]));
    fault.stalled = get<hw::event1::Stall>(words[1]) != 0;
  }
  fault.stage2 = record.has_ipa && get<hw::event1::S2>(words[1]) != 0;
  if (fault.stage2) fault.ipa = Gpa(words[3] & hw::event3::IPA::kMask);
  return fault;
}

}  // namespace smmuv3
}  // namespace penstock::iommu
