// The result of a check for people and for programs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/penstock/check.hpp"
#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace {

using Row = std::vector<std::string>;

/// Columns as wide as their widest cell, two blanks between; the last one is not padded.
std::string layout(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

bool is_assigned(const Plan& plan, HostBdf bdf) {
  for (const PlannedDomain& domain : plan.domains) {
    for (const PlannedDevice& device : domain.devices) {
      if (device.host == bdf) return true;
    }
  }
  return false;
}

nlohmann::json device_json(const PlannedDevice& device) {
  nlohmann::json accepted = nlohmann::json::array();
  if (device.accept_no_reset) accepted.push_back("no-reset");
  if (device.accept_no_isolation) accepted.push_back("no-isolation");
  return {{"host", format_bdf(device.host)},
          {"guest", format_bdf(device.guest)},
          {"name", device.name},
          {"driver", device.driver},
          {"dma", device.security.dma},
          {"messages", device.security.messages},
          {"reset", device.security.reset},
          {"isolation", device.security.isolation},
          {"exposed", device.security.exposed},
          {"risks", device.security.risks},
          {"accepted", accepted}};
}

}  // namespace

std::string ownership_text(const Plan& plan) {
  std::string text =
      fmt::format("board {}: {} CPUs, {} at {:#x}\n{}\n\n", plan.board.name, plan.board.cpus,
                  format_size(plan.board.memory), plan.board.memory_base, plan.board.title);
  std::vector<Row> domains = {{"domain", "CPUs", "memory", "at", "kernel", "devices"}};
  std::vector<Row> devices = {
      {"device", "owner", "as", "memory access", "interrupts", "reset", "neighbours", "what"}};
  std::string exposed;
  std::string isolation;
  for (const PlannedDomain& domain : plan.domains) {
    domains.push_back(
        {domain.name, fmt::format("{}", fmt::join(domain.cpus, ",")), format_size(domain.memory),
         domain.memory_base ? fmt::format("{:#x}", *domain.memory_base) : "anywhere",
         domain.kernel.filename().string(), fmt::format("{}", domain.devices.size())});
    if (const std::string words = domain.isolation(); !words.empty()) {
      isolation += fmt::format("domain {}: {}\n", domain.name, words);
    }
    for (const PlannedDevice& d : domain.devices) {
      devices.push_back({format_bdf(d.host), domain.name, format_bdf(d.guest), d.security.dma,
                         d.security.messages, d.security.reset, d.security.isolation, d.name});
      for (const std::string& e : d.security.exposed) {
        exposed += fmt::format("INSECURE {} ({}): {}; accepted by the configuration\n",
                               format_bdf(d.host), domain.name, e);
      }
      for (const std::string& risk : d.security.risks) {
        exposed += fmt::format("note {} ({}): {}\n", format_bdf(d.host), domain.name, risk);
      }
    }
  }
  for (const BoardDevice& d : plan.board.devices) {
    if (!d.bdf || is_assigned(plan, *d.bdf)) continue;
    devices.push_back(
        {format_bdf(*d.bdf), "nobody", "-", "none: its stream aborts", "-", "-", "-", d.name});
  }
  text += layout(domains);
  if (devices.size() > 1) text += '\n' + layout(devices);
  if (!isolation.empty()) text += '\n' + isolation;
  if (!exposed.empty()) text += '\n' + exposed;
  return text;
}

nlohmann::json ownership_json(const Plan& plan) {
  nlohmann::json domains = nlohmann::json::array();
  for (const PlannedDomain& domain : plan.domains) {
    nlohmann::json devices = nlohmann::json::array();
    for (const PlannedDevice& device : domain.devices) devices.push_back(device_json(device));
    nlohmann::json entry = {{"name", domain.name},           {"cpus", domain.cpus},
                            {"memory", domain.memory},       {"kernel", domain.kernel.string()},
                            {"cmdline", domain.cmdline},     {"autostart", domain.autostart},
                            {"on_reboot", domain.on_reboot}, {"on_crash", domain.on_crash},
                            {"iommu", domain.iommu},         {"devices", devices}};
    if (domain.memory_base) entry["memory_base"] = *domain.memory_base;
    if (domain.iommu != "none") entry["isolation"] = domain.isolation();
    if (!domain.initrd.empty()) entry["initrd"] = domain.initrd.string();
    domains.push_back(entry);
  }
  nlohmann::json unassigned = nlohmann::json::array();
  for (const BoardDevice& device : plan.board.devices) {
    if (!device.bdf || is_assigned(plan, *device.bdf)) continue;
    unassigned.push_back({{"host", format_bdf(*device.bdf)}, {"name", device.name}});
  }
  return {{"board", plan.board.name},
          {"cpus", plan.board.cpus},
          {"memory", plan.board.memory},
          {"domains", domains},
          {"unassigned", unassigned}};
}

}  // namespace penstock::tool
