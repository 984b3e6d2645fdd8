// What an IOMMU reports about a device's access that it stopped (SMMUv3 IHI 0070, 7.3 "Event
// records").
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"

namespace penstock::iommu {

enum class FaultKind : std::uint8_t {
  // Values are those of the event records.
  kUnsupportedUpstream = 0x01,   // F_UUT
  kBadStreamId = 0x02,           // C_BAD_STREAMID: no entry for this stream
  kSteFetch = 0x03,              // F_STE_FETCH
  kBadSte = 0x04,                // C_BAD_STE: the stream's entry is not valid
  kBadAtsRequest = 0x05,         // F_BAD_ATS_TREQ
  kStreamDisabled = 0x06,        // F_STREAM_DISABLED
  kTranslationForbidden = 0x07,  // F_TRANSL_FORBIDDEN
  kBadSubstreamId = 0x08,        // C_BAD_SUBSTREAMID
  kCdFetch = 0x09,               // F_CD_FETCH
  kBadCd = 0x0a,                 // C_BAD_CD
  kWalkAbort = 0x0b,             // F_WALK_EABT
  kTranslation = 0x10,           // F_TRANSLATION: nothing is mapped there
  kAddressSize = 0x11,           // F_ADDR_SIZE
  kAccess = 0x12,                // F_ACCESS
  kPermission = 0x13,            // F_PERMISSION
  kTlbConflict = 0x20,           // F_TLB_CONFLICT
  kConfigConflict = 0x21,        // F_CFG_CONFLICT
  kPageRequest = 0x24,           // E_PAGE_REQUEST
  kOther = 0xff,                 // Fault::raw_type says what
};

/// The specification's name of the record ("F_TRANSLATION"), "unknown event" for kOther.
[[nodiscard]] std::string_view name(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kOther;
  StreamId stream;
  Iova address;  // what the device put on the bus; 0 where the record has none (has_address)
  Gpa ipa;       // 4 KiB aligned; 0 unless stage2
  bool has_address = false;
  bool write = false;    // meaningful with has_address
  bool stage2 = false;   // found by our table, not by a guest's own stage 1
  bool stalled = false;  // the transaction waits for an answer
  bool privileged = false;
  bool instruction = false;
  std::uint8_t cls = 0;  // what was accessed: 0 context descriptor, 1 table, 2 the address itself
  std::optional<std::uint32_t> substream;
  std::uint8_t raw_type = 0;
  std::uint64_t number = 0;  // counts the IOMMU's records: later ones have higher numbers
};

}  // namespace penstock::iommu
