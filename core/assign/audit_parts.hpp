// The parts of the audit, one subject each; only audit.cpp calls them. `devices` are the domain's,
// held still by their set's lock.
#pragma once

#include <span>

#include "core/assign/audit.hpp"

namespace penstock::assign::audit_parts {

using Devices = std::span<const Device* const>;

/// Which devices a domain has, as of one moment: they come and go while others are looked at, so
/// what is wrong between two domains, or between a domain and the hardware, has to be so at several
/// looks. Taken without any other lock.
class Members final : public DevicesVisitor {
 public:
  explicit Members(const AuditedDomain& domain) { domain.devices->visit(*this); }
  void devices(std::span<const Device* const> devices) override {
    for (const Device* device : devices)
      (void)list_.push_back(device);  // as many as a set can have
  }
  [[nodiscard]] const Device* const* begin() const { return list_.begin(); }
  [[nodiscard]] const Device* const* end() const { return list_.end(); }

 private:
  StaticVector<const Device*, kMaxDevicesPerDomain> list_;
};

/// By Device::index, which devices some domain has, as of one moment each.
class Owned {
 public:
  explicit Owned(const AuditInput& input) {
    for (const AuditedDomain& domain : input.domains) {
      for (const Device* device : Members(domain)) devices_[device->index] = device;
    }
  }
  template <typename Match>
  [[nodiscard]] bool any(Match match) const {
    for (const Device* device : devices_) {
      if (device != nullptr && match(*device)) return true;
    }
    return false;
  }

 private:
  std::array<const Device*, 256> devices_{};
};

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
