// The parts of the audit, one subject each; only audit.cpp calls them. `devices` are the domain's,
// held still by their set's lock.
#pragma once

#include <span>

#include "core/assign/audit.hpp"

namespace penstock::assign::audit_parts {

using Devices = std::span<const Device* const>;

// audit_tables.cpp
void check_tables(const AuditInput& input, const AuditedDomain& domain, Devices devices,
                  AuditReport& report);
/// The configuration itself: no memory and no device is two domains'.
void check_configuration(const AuditInput& input, AuditReport& report);

// audit_streams.cpp
void check_streams(const iommu::Smmu& smmu, const AuditedDomain& domain, Devices devices,
                   AuditReport& report);

// audit_messages.cpp
void check_messages(const Hardware& hw, const AuditedDomain& domain, Devices devices,
                    AuditReport& report);

// audit_streams.cpp, audit_messages.cpp
void check_nobodys_streams(const AuditInput& input, AuditReport& report);
void check_nobodys_messages(const AuditInput& input, AuditReport& report);

inline void check_what_is_nobodys(const AuditInput& input, AuditReport& report) {
  if (input.hw.smmu != nullptr) check_nobodys_streams(input, report);
  check_nobodys_messages(input, report);
}

}  // namespace penstock::assign::audit_parts
