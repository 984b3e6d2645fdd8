#include "tools/penstockctl/render.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/pci/risk.hpp"
#include "tools/penstock/console.hpp"
#include "tools/penstock/values.hpp"
#include "tools/penstockctl/failure.hpp"

namespace penstock::ctl {
namespace {

using control::DeviceRecord;
using control::DomainRecord;
using nlohmann::json;
using tool::format_size;
using tool::Row;

constexpr std::array<std::string_view, 6> kDomainStates = {"off",      "running", "paused",
                                                           "stopping", "crashed", "dying"};
constexpr std::array<std::string_view, 5> kDeviceStates = {"free", "assigned", "detaching",
                                                           "hidden", "broken"};

template <typename State, std::size_t N>
std::string state_name(State state, const std::array<std::string_view, N>& names) {
  const auto index = static_cast<std::size_t>(state);
  return index < N ? std::string(names[index]) : fmt::format("state-{}", index);
}

/// A zero-terminated text in a field of N bytes; the hypervisor may have forgotten the zero.
template <std::size_t N>
std::string text_of(const char (&field)[N]) {
  return tool::printable({field, std::find(field, field + N, '\0')});
}

std::string yes(bool value, const char* word) {
  return value ? word : "";
}

std::string flags_of(const DomainRecord& domain) {
  std::string all;
  for (const auto& [flag, word] : {std::pair{control::domain_flag::kControl, "control"},
                                   {control::domain_flag::kHardware, "hardware"},
                                   {control::domain_flag::kIommu, "iommu"}}) {
    if ((domain.flags & flag) != 0) all += (all.empty() ? "" : ",") + std::string(word);
  }
  return all.empty() ? "-" : all;
}

std::string kind_of(const DeviceRecord& device) {
  if ((device.flags & control::device_flag::kBridge) != 0) return "bridge";
  if ((device.flags & control::device_flag::kVirtualFunction) != 0) {
    return fmt::format("VF of {}", tool::format_bdf(HostBdf(device.physical)));
  }
  return yes((device.flags & control::device_flag::kPhysicalFunction) != 0, "PF");
}

std::string class_of(const DeviceRecord& device) {
  return fmt::format("{:06x}", device.class_code & 0xff'ffff);
}

void outline_into(std::string& text, const json& value, const std::string& indent) {
  const auto one = [&](const std::string& name, const json& item) {
    if (item.is_structured() && !item.empty()) {
      text += fmt::format("{}{}\n", indent, name);
      outline_into(text, item, indent + "  ");
      return;
    }
    const std::string words = item.is_string() ? tool::printable(item.get<std::string>())
                              : item.empty()   ? "none"
                                               : item.dump();
    text += fmt::format("{}{} {}\n", indent, name, words);
  };
  if (value.is_object()) {
    for (const auto& [name, item] : value.items()) one(tool::printable(name) + ":", item);
  } else if (value.is_array()) {
    for (const json& item : value) one("-", item);
  } else {
    one("-", value);
  }
}

}  // namespace

std::string name_of(const DomainRecord& domain) {
  return text_of(domain.name);
}

std::string name_of(control::DomainState state) {
  return state_name(state, kDomainStates);
}

std::string name_of(control::DeviceState state) {
  return state_name(state, kDeviceStates);
}

std::string board_address(const DeviceRecord& device) {
  return tool::format_bdf(HostBdf(device.bdf));
}

std::string guest_address(std::uint16_t guest) {
  return guest == control::kNoBdf ? "-" : tool::format_bdf(GuestBdf(guest));
}

std::string owner_of(const DeviceRecord& device, std::span<const DomainRecord> domains) {
  if (device.domain == control::kNoDomain) return "-";
  for (const DomainRecord& domain : domains) {
    if (domain.domain == device.domain) return name_of(domain);
  }
  return fmt::format("#{:#x}", device.domain);
}

std::vector<std::string> risk_names(std::uint32_t bits) {
  std::vector<std::string> names;
  for (unsigned bit = 0; bit < 32; ++bit) {
    if ((bits >> bit & 1) == 0) continue;
    names.push_back(bit < pci::kRiskCount ? std::string(pci::risk_table()[bit].name)
                                          : fmt::format("risk-{}", bit));
  }
  return names;
}

std::string cpu_list(std::uint64_t mask) {
  std::string text;
  for (unsigned cpu = 0; cpu < 64; ++cpu) {
    const auto has = [mask](unsigned n) { return n < 64 && (mask >> n & 1) != 0; };
    if (!has(cpu)) continue;
    unsigned last = cpu;
    while (has(last + 1)) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpu);
    if (last != cpu) text += fmt::format("-{}", last);
    cpu = last;
  }
  return text.empty() ? "-" : text;
}

json to_json(const DomainRecord& domain) {
  json cpus = json::array();
  for (unsigned cpu = 0; cpu < 64; ++cpu) {
    if ((domain.cpus >> cpu & 1) != 0) cpus.push_back(cpu);
  }
  return {{"domain", domain.domain},
          {"name", name_of(domain)},
          {"state", name_of(domain.state)},
          {"control", (domain.flags & control::domain_flag::kControl) != 0},
          {"hardware", (domain.flags & control::domain_flag::kHardware) != 0},
          {"iommu", (domain.flags & control::domain_flag::kIommu) != 0},
          {"vcpus", domain.vcpus},
          {"cpus", cpus},
          {"memory", domain.memory_bytes},
          {"hypervisor_memory", domain.own_bytes},
          {"restarts", domain.restarts},
          {"devices", domain.devices},
          {"traps", domain.exits},
          {"interrupts", domain.interrupts},
          {"faults", domain.faults}};
}

json to_json(const DeviceRecord& device, std::span<const DomainRecord> domains) {
  const auto address = [](std::uint16_t bdf, const std::string& text) {
    return bdf == control::kNoBdf ? json() : json(text);
  };
  const auto has = [&device](std::uint32_t flag) { return (device.flags & flag) != 0; };
  return {{"device", board_address(device)},
          {"guest", address(device.guest, guest_address(device.guest))},
          {"state", name_of(device.state)},
          {"owner", device.domain == control::kNoDomain ? json() : json(owner_of(device, domains))},
          {"domain", device.domain == control::kNoDomain ? json() : json(device.domain)},
          {"id", fmt::format("{:04x}:{:04x}", device.vendor, device.device)},
          {"class", class_of(device)},
          {"group", device.group},
          {"bridge", has(control::device_flag::kBridge)},
          {"virtual_function", has(control::device_flag::kVirtualFunction)},
          {"physical_function", has(control::device_flag::kPhysicalFunction)},
          {"physical", address(device.physical, tool::format_bdf(HostBdf(device.physical)))},
          {"reset", text_of(device.reset)},
          {"risks", risk_names(device.risks)},
          {"interrupts", device.interrupts},
          {"faults", device.faults},
          {"strays", device.strays}};
}

json to_json(const control::HelloResult& hello) {
  return {{"version", fmt::format("{}.{}", hello.version >> 16, hello.version & 0xffff)},
          {"cpus", hello.cpus},
          {"memory", hello.memory_bytes},
          {"memory_free", hello.memory_free_bytes},
          {"pool", hello.pool_bytes},
          {"pool_used", hello.pool_used_bytes},
          {"now_ns", hello.now_ns},
          {"self", hello.self},
          {"max_domains", hello.max_domains}};
}

json to_json(std::span<const control::CounterRecord> counters) {
  json all = json::object();
  for (const control::CounterRecord& counter : counters) all[text_of(counter.name)] = counter.value;
  return all;
}

std::string domain_table(std::span<const DomainRecord> domains) {
  std::vector<Row> rows = {
      {"domain", "name", "state", "CPUs", "memory", "devices", "restarts", "role"}};
  for (const DomainRecord& d : domains) {
    rows.push_back({fmt::format("{:#x}", d.domain), name_of(d), name_of(d.state), cpu_list(d.cpus),
                    format_size(d.memory_bytes), fmt::format("{}", d.devices),
                    fmt::format("{}", d.restarts), flags_of(d)});
  }
  return tool::layout(rows);
}

std::string device_table(std::span<const DeviceRecord> devices,
                         std::span<const DomainRecord> domains) {
  std::vector<Row> rows = {
      {"device", "state", "owner", "as", "id", "class", "group", "reset", "kind", "risks"}};
  for (const DeviceRecord& d : devices) {
    rows.push_back({board_address(d), name_of(d.state), owner_of(d, domains),
                    guest_address(d.guest), fmt::format("{:04x}:{:04x}", d.vendor, d.device),
                    class_of(d), fmt::format("{}", d.group), text_of(d.reset), kind_of(d),
                    fmt::format("{}", fmt::join(risk_names(d.risks), ","))});
  }
  return tool::layout(rows);
}

std::string outline(const json& value) {
  std::string text;
  outline_into(text, value, "");
  return text;
}

json parse_json(const std::string& text, const std::string& what) {
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    throw Failure(Exit::kFailed, fmt::format("the hypervisor's {} is no JSON: {}", what,
                                             tool::printable(text.substr(0, 200))));
  }
  return value;
}

std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace penstock::ctl
