// The pass behind check(): check.cpp has the domains, check_devices.cpp their devices.
#pragma once

#include <fmt/format.h>

#include <map>

#include "tools/penstock/check.hpp"
#include "tools/penstock/payload.hpp"

namespace penstock::tool {

inline std::string said_at(const Position& at) {
  return fmt::format("line {}", at.line);
}

inline std::string label(const DomainSpec& domain) {
  return domain.name ? fmt::format("domain \"{}\"", domain.name->value) : "a domain";
}

/// One pass over a configuration; the order of the checks is the order of the file.
class Checker {
 public:
  Checker(const Config& config, const CheckOptions& options, Diagnostics& out, Plan& plan)
      : config_(config), options_(options), out_(out), plan_(plan) {}

  void run();

 private:
  void check_name(const DomainSpec& domain);
  void check_cpus(const DomainSpec& domain, PlannedDomain& planned);
  void check_memory(const DomainSpec& domain, PlannedDomain& planned);
  void check_base(const DomainSpec& domain, const Located<std::uint64_t>& base);
  void check_payloads(const DomainSpec& domain, PlannedDomain& planned);
  std::uint64_t check_kernel(const DomainSpec& domain, PlannedDomain& planned);
  void check_kernel_offset(const DomainSpec& domain, const Kernel& kernel, PlannedDomain& planned);
  void check_cmdline(const DomainSpec& domain, PlannedDomain& planned);
  void check_iommu(const DomainSpec& domain);
  void check_isolation(const DomainSpec& domain);
  void check_roles(const DomainSpec& domain, PlannedDomain& planned);
  void check_hidden();
  void check_devices(const DomainSpec& domain, PlannedDomain& planned);
  void check_device(const DomainSpec& domain, const DeviceSpec& device, PlannedDomain& planned);
  void check_on_board(const DeviceSpec& device, const BoardDevice& on_board);
  void check_capabilities(const DeviceSpec& device);
  void check_capability(const CapabilitySpec& capability);
  void check_registers(const CapabilitySpec& capability);
  void check_denied(const DeviceSpec& device);
  void check_buses();
  void check_aliases();
  void check_ids(const DomainSpec& domain, const DeviceSpec& device, const BoardDevice& on_board);
  void check_place(const DomainSpec& domain, const Located<GuestBdf>& guest);
  void place_devices(const DomainSpec& domain, PlannedDomain& planned);
  void check_interrupts(const DomainSpec& domain, PlannedDomain& planned);
  void check_total();
  void check_taken();
  void check_taken(std::uint64_t base, std::uint64_t size, std::string_view by);

  void check_single(const Located<bool>& role, std::string_view name,
                    std::optional<Position>& known);

  struct Place {
    Position at;
    std::uint64_t base;
    std::uint64_t size;
    std::string owner;
  };

  const Config& config_;
  const CheckOptions& options_;
  Diagnostics& out_;
  Plan& plan_;
  std::map<std::string, Position> names_;
  std::map<std::uint64_t, std::pair<Position, std::string>> cpus_;
  std::map<std::uint16_t, std::pair<Position, std::string>> devices_;
  std::vector<Place> places_;
  std::optional<Position> control_;
  std::optional<Position> hardware_;
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t interrupts_ = 0;  // that the devices of all domains need
  std::size_t capabilities_ = 0;
  std::size_t denied_ = 0;
};

}  // namespace penstock::tool
