// What the identification registers of one SMMU say, as far as the driver depends on it.
#pragma once

#include <cstdint>

namespace penstock::iommu::smmuv3 {

struct Features {
  bool coherent = false;   // IDR0.COHACC: tables and queues are accessed coherently
  bool two_level = false;  // IDR0.ST_LEVEL
  bool el2 = false;        // IDR0.HYP: EL2 contexts exist, so something of them might be cached
  bool ats = false;        // IDR0.ATS: devices may send translated requests, which must be checked
  bool vmid16 = false;     // IDR0.VMID16
  bool ranges = false;     // IDR3.RIL
  bool stall_choice = false;  // IDR0.STALL_MODEL = 0: a context descriptor may ask for stalls
  unsigned sid_bits = 0;      // IDR1.SIDSIZE
  unsigned cmdq_log2 = 0;     // IDR1.CMDQS
  unsigned eventq_log2 = 0;   // IDR1.EVENTQS
  unsigned output_size = 0;   // IDR5.OAS as encoded, at most 48 bits
};

}  // namespace penstock::iommu::smmuv3
