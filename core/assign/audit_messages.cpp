// Audit: interrupt messages, from the ITS to the routes.
#include "core/assign/audit_parts.hpp"
#include "core/msi/limits.hpp"

namespace penstock::assign::audit_parts {
namespace {

using Kind = Route::Kind;
using Line = Text<AuditReport::kTextBytes>;
using Mask = std::uint32_t;  // one bit per device of a domain
static_assert(kMaxDevicesPerDomain <= 32);
static_assert(kFirstLpi == msi::kFirstLpi && kRouteCount == msi::kLpiCount);

constexpr std::uint32_t kFirstGuestLpi = 8192;

bool has_messages(const Device& device) {
  return device.state == DeviceState::kAssigned && device.vectors != 0;
}

/// The vector of the device that the LPI is; `vectors` for its stray one.
std::optional<unsigned> vector_of(const Device& device, HostLpi lpi) {
  if (lpi == device.stray_lpi) return device.vectors;
  const std::uint32_t k = lpi.value() - device.first_lpi.value();
  if (lpi < device.first_lpi || k >= device.vectors) return std::nullopt;
  return k;
}

class MessageAudit final : public msi::ItsVisitor {
 public:
  MessageAudit(const msi::LpiAllocator& lpis, const AuditedDomain& domain, Devices devices,
               AuditReport& report)
      : lpis_of_(lpis), domain_(domain), devices_(devices), report_(report) {}

  void device(const msi::ItsDeviceView& view) override {
    if (view.lost) {  // its LPIs are never used again, whoever has the device now
      if (lpis_of_.owner_of(view.events.first) == domain_.id) kept_ += view.events.vectors + 1;
      return;
    }
    const auto at = find(view.device);
    if (!at) return;
    mapped_ |= Mask{1} << *at;
    const Device& device = *devices_[*at];
    if (!has_messages(device)) return complain(device, "has a table at the ITS, and no messages");
    const msi::DeviceEvents& events = view.events;
    if (events.vectors != device.vectors || events.first != device.first_lpi ||
        events.stray != device.stray_lpi) {
      complain(device, "has other LPIs at the ITS than it was given");
    }
  }
  void lpi(const msi::LpiView& view) override {
    if (!view.device || view.device->lost || !find(view.device->device)) return;
    ++lpis_;
    if (view.enabled) ++report_.lpis;
    if (view.enabled && view.priority == msi::kPriority) return;
    Line line;
    line.text(domain_.name).text(": LPI ").dec(view.lpi.value());
    report_.violation(line.text(" has a wrong configuration byte").view());
  }
  /// `held`: LPIs that the allocator has given the domain.
  void finish(unsigned held) {
    unsigned given = 0;
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (!has_messages(*devices_[i])) continue;
      given += devices_[i]->vectors + 1;
      if ((mapped_ >> i & 1) == 0) complain(*devices_[i], "has no table at the ITS");
    }
    Line line;
    line.text(domain_.name).text(": its devices have ").dec(given).text(" LPIs, the ITS ");
    line.dec(lpis_).text(", the domain ").dec(held).text(", lost ").dec(kept_);
    if (given != lpis_ || given + kept_ != held) report_.violation(line.view());
  }

 private:
  [[nodiscard]] std::optional<std::size_t> find(DeviceId id) const {
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (devices_[i]->device_id == id) return i;
    }
    return std::nullopt;
  }
  void complain(const Device& device, std::string_view what) {
    Line line;
    line.text(domain_.name).text(": ").bdf(device.info.bdf.value()).ch(' ').text(what);
    report_.violation(line.view());
  }

  const msi::LpiAllocator& lpis_of_;
  const AuditedDomain& domain_;
  Devices devices_;
  AuditReport& report_;
  Mask mapped_ = 0;
  unsigned lpis_ = 0;
  unsigned kept_ = 0;
};

class RouteAudit {
 public:
  RouteAudit(const Hardware& hw, const AuditedDomain& domain, Devices devices, AuditReport& report)
      : hw_(hw), domain_(domain), devices_(devices), report_(report) {}

  /// Routes that name the domain start at its assigned devices. Only its own devices' lock lets
  /// them be written.
  void check_own() {
    for (std::uint32_t i = 0; i < kRouteCount; ++i) {
      const HostLpi lpi(kFirstLpi + i);
      const Route route = hw_.routes->get(lpi);
      if (route.kind == Kind::kNone || route.domain != domain_.id) continue;
      if (!is_right(lpi, route)) complain(lpi, "leads into the domain, and should not");
    }
  }
  /// And what is its devices' leads nowhere else.
  void check_devices() {
    for (const Device* device : devices_) {
      if (!has_messages(*device)) continue;
      for (unsigned k = 0; k < device->vectors; ++k) {
        check_owned(HostLpi(device->first_lpi.value() + k), *device, false);
      }
      check_owned(device->stray_lpi, *device, true);
    }
  }

 private:
  [[nodiscard]] bool is_right(HostLpi lpi, const Route& route) const {
    for (const Device* device : devices_) {
      if (device->index != route.device || !has_messages(*device)) continue;
      const auto vector = vector_of(*device, lpi);
      if (!vector) return false;
      if (*vector == device->vectors) return route.kind == Kind::kStray;
      if (route.kind == Kind::kUnwanted) return true;
      return route.kind == Kind::kGuest && route.vcpu.value() < domain_.vcpus &&
             route.lpi.value() >= kFirstGuestLpi;
    }
    return false;
  }
  void check_owned(HostLpi lpi, const Device& device, bool stray) {
    const Route route = hw_.routes->get(lpi);
    const bool named = route.domain == domain_.id && route.device == device.index;
    if (route.kind == Kind::kNone ? stray : !named) complain(lpi, "does not lead to its owner");
    if (hw_.lpis->owner_of(lpi) != domain_.id) complain(lpi, "is in use, and not its owner's");
  }
  void complain(HostLpi lpi, std::string_view what) {
    Line line;
    line.text(domain_.name).text(": LPI ").dec(lpi.value()).ch(' ').text(what);
    report_.violation(line.view());
  }

  const Hardware& hw_;
  const AuditedDomain& domain_;
  Devices devices_;
  AuditReport& report_;
};

class NobodysMessages final : public msi::ItsVisitor {
 public:
  NobodysMessages(const AuditInput& input, AuditReport& report) : owned_(input), report_(report) {}

  void device(const msi::ItsDeviceView& view) override {
    const auto is_it = [&](const Device& device) { return device.device_id == view.device; };
    if (view.lost || owned_.any(is_it)) return;
    Line line;
    line.text("DeviceID ").hex(view.device.value()).text(" of no domain has a table at the ITS");
    report_.violation(line.view());
  }
  void lpi(const msi::LpiView& view) override {
    if (view.device) return;
    if (view.enabled) ++report_.lpis;
    Line line;
    line.text("LPI ").dec(view.lpi.value()).text(" of no device is configured");
    report_.violation(line.view());
  }

 private:
  Owned owned_;
  AuditReport& report_;
};

bool is_domain(const AuditInput& input, DomainId id) {
  for (const AuditedDomain& domain : input.domains) {
    if (domain.id == id) return true;
  }
  return false;
}

}  // namespace

void check_messages(const Hardware& hw, const AuditedDomain& domain, Devices devices,
                    AuditReport& report) {
  RouteAudit routes(hw, domain, devices, report);
  routes.check_own();
  routes.check_devices();
  // An ITS that has stopped answering still has what it was never told to forget.
  if (hw.its == nullptr || hw.its->dead()) return;
  MessageAudit look(*hw.lpis, domain, devices, report);
  hw.its->audit(look);
  look.finish(hw.lpis->held_by(domain.id));
}

void check_nobodys_messages(const AuditInput& input, AuditReport& report) {
  for (std::uint32_t i = 0; i < kRouteCount; ++i) {
    const HostLpi lpi(kFirstLpi + i);
    const Route route = input.hw.routes->get(lpi);
    if (route.kind == Kind::kNone || is_domain(input, route.domain)) continue;
    Line line;
    report.violation(line.text("LPI ").dec(lpi.value()).text(" leads to no domain").view());
  }
  if (input.hw.its == nullptr) return;
  if (input.hw.its->dead()) return report.violation("the ITS has stopped answering");
  if (!input.hw.its->intact()) report.violation("the ITS is off or has other tables than at boot");
  // Who has a device may have changed in between: the last look counts, unless one before is good.
  AuditReport seen;
  for (unsigned look = 0; look < kLooks; ++look) {
    seen = {};
    NobodysMessages nobodys(input, seen);
    input.hw.its->audit(nobodys);
    if (seen.ok()) break;
  }
  report.add(seen);
}

}  // namespace penstock::assign::audit_parts
