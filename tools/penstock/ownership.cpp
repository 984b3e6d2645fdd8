// The result of a check for people and for programs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tools/penstock/capability_names.hpp"
#include "tools/penstock/check.hpp"
#include "tools/penstock/table.hpp"
#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace {

bool is_assigned(const Plan& plan, HostBdf bdf) {
  for (const PlannedDomain& domain : plan.domains) {
    for (const PlannedDevice& device : domain.devices) {
      if (device.host == bdf) return true;
    }
  }
  return false;
}

const PlannedDomain* hardware_domain(const Plan& plan) {
  for (const PlannedDomain& domain : plan.domains) {
    if (domain.hardware) return &domain;
  }
  return nullptr;
}

bool is_hidden(const Plan& plan, HostBdf bdf) {
  return std::find(plan.hidden.begin(), plan.hidden.end(), bdf) != plan.hidden.end();
}

/// Why the hardware domain does not get a device that is nobody's. Empty: it does.
std::string kept_back(const Plan& plan, const BoardDevice& device) {
  if (needs_no_isolation(plan.board, device)) return "it cannot be isolated";
  if (needs_no_reset(device)) return "it has no reset";
  return {};
}

/// A device that no domain is given by name.
struct Rest {
  const BoardDevice* device;
  const PlannedDomain* owner;  // the hardware domain, or none
  bool hidden;
  std::string kept_back;  // why the hardware domain does not get it
};

/// How many more devices the domain has a place for, as the hypervisor gives them away: free slots,
/// then device numbers of bus 0 below the root ports.
std::size_t places_left(const PlannedDomain& domain) {
  constexpr unsigned kPlacesOnBus0 = 16;
  std::set<unsigned> numbers;
  std::size_t in_slots = 0;
  for (const PlannedDevice& device : domain.devices) {
    if (device.guest.bus() != 0) ++in_slots;
    if (device.guest.bus() == 0 && device.guest.device() < kPlacesOnBus0) {
      numbers.insert(device.guest.device());
    }
  }
  const std::size_t free = domain.slots - in_slots + (kPlacesOnBus0 - 1 - numbers.size());
  return std::min(free, manifest::kMaxDevicesPerDomain - domain.devices.size());
}

std::vector<Rest> the_rest(const Plan& plan) {
  std::vector<Rest> rest;
  const PlannedDomain* const hardware = hardware_domain(plan);
  std::size_t places = hardware != nullptr ? places_left(*hardware) : 0;
  for (const BoardDevice& device : plan.board.devices) {
    if (!device.bdf || is_assigned(plan, *device.bdf)) continue;
    Rest entry{&device, nullptr, is_hidden(plan, *device.bdf), {}};
    if (hardware != nullptr && !entry.hidden) {
      entry.kept_back = kept_back(plan, device);
      if (entry.kept_back.empty() && places == 0) entry.kept_back = "it has no place left";
      if (entry.kept_back.empty()) {
        entry.owner = hardware;
        --places;
      }
    }
    rest.push_back(std::move(entry));
  }
  return rest;
}

nlohmann::json statement_json(const SecurityStatement& security) {
  return {{"dma", security.dma},
          {"messages", security.messages},
          {"reset", security.reset},
          {"isolation", security.isolation},
          {"exposed", security.exposed},
          {"risks", security.risks},
          {"named_risks", security.named_risks},
          {"support", security.support},
          {"because", security.because}};
}

nlohmann::json device_json(const PlannedDevice& device) {
  nlohmann::json accepted = nlohmann::json::array();
  if (device.accept_no_reset) accepted.push_back("no-reset");
  if (device.accept_no_isolation) accepted.push_back("no-isolation");
  nlohmann::json denied = nlohmann::json::array();
  for (const auto& [capability, at] : device.denied) {
    denied.push_back(format_capability(capability.id, capability.extended));
  }
  nlohmann::json entry = statement_json(device.security);
  entry.update({{"host", format_bdf(device.host)},
                {"guest", format_bdf(device.guest)},
                {"name", device.name},
                {"driver", device.driver},
                {"quarantine", device.scratch ? "scratch" : "abort"},
                {"deny", denied},
                {"accepted", accepted}});
  return entry;
}

/// What a domain may do besides running, and where devices can come to.
std::string roles(const PlannedDomain& domain) {
  std::vector<std::string> words;
  if (domain.control) words.emplace_back("has the control interface");
  if (domain.hardware) words.emplace_back("gets the devices that are nobody else's");
  if (domain.slots != 0) words.push_back(fmt::format("has {} slots", domain.slots));
  return fmt::format("{}", fmt::join(words, ", "));
}

/// What the hardware domain gets without its being named.
nlohmann::json rest_json(const Plan& plan) {
  nlohmann::json list = nlohmann::json::array();
  for (const Rest& rest : the_rest(plan)) {
    if (rest.owner == nullptr) continue;
    nlohmann::json entry =
        statement_json(state_security(plan.board, *rest.device, rest.owner->iommu));
    entry.update({{"host", format_bdf(*rest.device->bdf)},
                  {"name", rest.device->name},
                  {"driver", rest.device->driver}});
    list.push_back(std::move(entry));
  }
  return list;
}

std::string kernel_words(const PlannedDomain& domain) {
  std::string words = domain.kernel.filename().string();
  if (domain.kernel_offset) words += fmt::format(" (raw, at {:#x})", *domain.kernel_offset);
  return words;
}

}  // namespace

std::string ownership_text(const Plan& plan) {
  std::string text =
      fmt::format("board {}: {} CPUs, {} at {:#x}\n{}\n\n", plan.board.name, plan.board.cpus,
                  format_size(plan.board.memory), plan.board.memory_base, plan.board.title);
  std::vector<Row> domains = {{"domain", "CPUs", "memory", "at", "kernel", "devices"}};
  std::vector<Row> devices = {
      {"device", "owner", "as", "memory access", "interrupts", "reset", "neighbours", "what"}};
  std::string security;
  std::string isolation;
  for (const PlannedDomain& domain : plan.domains) {
    domains.push_back({domain.name, fmt::format("{}", fmt::join(domain.cpus, ",")),
                       format_size(domain.memory),
                       domain.memory_base ? fmt::format("{:#x}", *domain.memory_base) : "anywhere",
                       kernel_words(domain), fmt::format("{}", domain.devices.size())});
    if (const std::string words = roles(domain); !words.empty()) {
      isolation += fmt::format("domain {}: {}\n", domain.name, words);
    }
    if (const std::string words = domain.isolation(); !words.empty()) {
      isolation += fmt::format("domain {}: {}\n", domain.name, words);
    }
    for (const PlannedDevice& d : domain.devices) {
      devices.push_back({format_bdf(d.host), domain.name, format_bdf(d.guest), d.security.dma,
                         d.security.messages, d.security.reset, d.security.isolation, d.name});
      security +=
          security_lines(d.security, fmt::format("{} ({})", format_bdf(d.host), domain.name));
    }
  }
  for (const Rest& rest : the_rest(plan)) {
    const BoardDevice& d = *rest.device;
    const std::string host = format_bdf(*d.bdf);
    if (rest.owner != nullptr) {
      const SecurityStatement s = state_security(plan.board, d, rest.owner->iommu);
      devices.push_back(
          {host, rest.owner->name, "any", s.dma, s.messages, s.reset, s.isolation, d.name});
      security += security_lines(s, fmt::format("{} ({})", host, rest.owner->name));
      continue;
    }
    devices.push_back({host, rest.hidden ? "hidden" : "nobody", "-", "none: its stream aborts", "-",
                       "-", "-", d.name});
    if (!rest.kept_back.empty()) {
      security +=
          fmt::format("note {}: the hardware domain does not get it: {}\n", host, rest.kept_back);
    }
  }
  text += layout(domains);
  if (devices.size() > 1) text += '\n' + layout(devices);
  if (!isolation.empty()) text += '\n' + isolation;
  if (!security.empty()) text += '\n' + security;
  return text;
}

nlohmann::json ownership_json(const Plan& plan) {
  nlohmann::json domains = nlohmann::json::array();
  for (const PlannedDomain& domain : plan.domains) {
    nlohmann::json devices = nlohmann::json::array();
    for (const PlannedDevice& device : domain.devices) devices.push_back(device_json(device));
    nlohmann::json entry = {{"name", domain.name},
                            {"cpus", domain.cpus},
                            {"memory", domain.memory},
                            {"kernel", domain.kernel.string()},
                            {"kernel_kind", domain.kernel_offset ? "raw" : "image"},
                            {"cmdline", domain.cmdline},
                            {"autostart", domain.autostart},
                            {"on_reboot", domain.on_reboot},
                            {"on_crash", domain.on_crash},
                            {"iommu", domain.iommu},
                            {"control", domain.control},
                            {"hardware", domain.hardware},
                            {"slots", domain.slots},
                            {"devices", devices}};
    if (domain.kernel_offset) entry["kernel_offset"] = *domain.kernel_offset;
    if (domain.memory_base) entry["memory_base"] = *domain.memory_base;
    if (domain.iommu != "none") entry["isolation"] = domain.isolation();
    if (!domain.initrd.empty()) entry["initrd"] = domain.initrd.string();
    if (domain.hardware) entry["rest"] = rest_json(plan);
    domains.push_back(entry);
  }
  nlohmann::json unassigned = nlohmann::json::array();
  for (const Rest& rest : the_rest(plan)) {
    if (rest.owner != nullptr) continue;
    unassigned.push_back({{"host", format_bdf(*rest.device->bdf)},
                          {"name", rest.device->name},
                          {"hidden", rest.hidden}});
  }
  return {{"board", plan.board.name},
          {"cpus", plan.board.cpus},
          {"memory", plan.board.memory},
          {"domains", domains},
          {"unassigned", unassigned}};
}

}  // namespace penstock::tool
