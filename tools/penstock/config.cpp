#include "tools/penstock/config.hpp"

#include <fmt/format.h>

#include "tools/penstock/capability_names.hpp"
#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace {

RegisterSpec read_register(const TableReader& reader) {
  RegisterSpec result;
  result.at = reader.at();
  if (const auto offset = reader.number("offset")) result.offset = offset->value;
  if (const auto live = reader.number("live")) result.live = live->value;
  if (const auto write = reader.number("write")) result.write = write->value;
  if (const auto w1c = reader.number("w1c")) result.w1c = w1c->value;
  return result;
}

CapabilitySpec read_capability(const TableReader& reader) {
  CapabilitySpec capability;
  capability.at = reader.at();
  if (const auto id = reader.number("id")) capability.id = id->value;
  if (const auto extended = reader.flag("extended")) capability.extended = extended->value;
  if (const auto length = reader.number("length")) capability.length = length->value;
  for (const TableReader& r : reader.tables("registers")) {
    capability.registers.push_back(read_register(r));
  }
  return capability;
}

void read_accept(const TableReader& reader, DeviceSpec& device, Diagnostics& out) {
  for (const auto& word : reader.texts("accept")) {
    if (word.value == "no-reset") {
      device.accept_no_reset = true;
    } else if (word.value == "no-isolation") {
      device.accept_no_isolation = true;
    } else {
      const std::string near = nearest(word.value, {"no-reset", "no-isolation"});
      out.error(word.at, fmt::format("\"{}\" is no risk that can be accepted", word.value),
                near.empty() ? "write \"no-reset\" or \"no-isolation\""
                             : fmt::format("did you mean \"{}\"?", near));
    }
  }
}

void read_denied(const TableReader& reader, DeviceSpec& device, Diagnostics& out) {
  for (const auto& word : reader.texts("deny")) {
    if (const auto capability = parse_capability(word.value)) {
      device.denied.push_back(Located{*capability, word.at});
      continue;
    }
    std::vector<std::string> names;
    for (const KnownCapability& known : known_capabilities()) names.emplace_back(known.name);
    const std::string near = nearest(word.value, names);
    out.error(word.at, fmt::format("\"{}\" is no capability", word.value),
              near.empty() ? "write a name such as \"msi-x\", an ID such as \"0x11\", or "
                             "\"ext 0x1\" for one of the extended list"
                           : fmt::format("did you mean \"{}\"?", near));
  }
}

DeviceSpec read_device(const TableReader& reader, Diagnostics& out) {
  DeviceSpec device;
  device.at = reader.at();
  if (const auto host = reader.text("host")) {
    if (const auto bdf = parse_host_bdf(host->value)) {
      device.host = Located{*bdf, host->at};
    } else {
      out.error(host->at, fmt::format("\"{}\" is no PCI address on segment 0", host->value),
                "write it like \"0000:01:00.0\", as lspci -D prints it");
    }
  }
  if (const auto guest = reader.text("guest")) {
    const auto bdf = parse_guest_bdf(guest->value);
    const bool on_bus0 = bdf && bdf->bus() == 0 && bdf->device() != 0;
    const bool in_slot = bdf && bdf->bus() != 0 && bdf->bus() <= manifest::kMaxSlots &&
                         bdf->device() == 0 && bdf->function() == 0;
    if (on_bus0 || in_slot) {
      device.guest = Located{*bdf, guest->at};
    } else {
      out.error(guest->at, fmt::format("\"{}\" is no place in the domain's topology", guest->value),
                "write \"00:01.0\" to \"00:1f.7\", or \"01:00.0\" to \"0f:00.0\" for a slot, or "
                "leave it out; 00:00 is the host bridge");
    }
  }
  read_accept(reader, device, out);
  if (const auto kind = reader.choice("quarantine", {"abort", "scratch"})) {
    device.scratch = kind->value == "scratch";
  }
  read_denied(reader, device, out);
  for (const TableReader& capability : reader.tables("capabilities")) {
    device.capabilities.push_back(read_capability(capability));
  }
  return device;
}

DomainSpec read_domain(const TableReader& reader, Diagnostics& out) {
  DomainSpec domain;
  domain.at = reader.at();
  domain.name = reader.text("name");
  domain.cpus = reader.numbers("cpus");
  domain.memory = reader.size("memory");
  domain.memory_base = reader.number("memory_base");
  domain.kernel = reader.text("kernel");
  domain.kernel_offset = reader.size("kernel_offset");
  domain.initrd = reader.text("initrd");
  domain.cmdline = reader.text("cmdline");
  if (const auto autostart = reader.flag("autostart")) domain.autostart = autostart->value;
  if (const auto after = reader.choice("on_reboot", {"restart", "stop"})) {
    domain.on_reboot = after->value;
  }
  if (const auto after = reader.choice("on_crash", {"restart", "stop"})) {
    domain.on_crash = after->value;
  }
  if (const auto kind = reader.choice("iommu", {"none", "smmuv3"})) domain.iommu = *kind;
  if (const auto control = reader.flag("control")) domain.control = *control;
  if (const auto hardware = reader.flag("hardware")) domain.hardware = *hardware;
  if (const auto slots = reader.number("slots")) domain.slots = *slots;
  domain.interrupts = reader.number("interrupts");
  for (const TableReader& device : reader.tables("device")) {
    domain.devices.push_back(read_device(device, out));
  }
  return domain;
}

RunSpec read_run(const TableReader& reader, Diagnostics& out) {
  RunSpec run;
  if (const auto cpus = reader.number("cpus")) run.cpus = static_cast<unsigned>(cpus->value);
  if (const auto memory = reader.size("memory")) run.memory = memory->value;
  if (const auto timeout = reader.number("timeout")) {
    run.timeout = static_cast<unsigned>(timeout->value);
  }
  for (const auto& argument : reader.texts("arguments")) run.arguments.push_back(argument.value);
  for (const auto& [name, value] : reader.dictionary("backend")) run.backends[name] = value;
  for (const TableReader& device : reader.tables("device", board_keys(), "device")) {
    run.devices.push_back(read_board_device(device, out));
  }
  return run;
}

}  // namespace

std::optional<Config> read_config(const std::string& file, Diagnostics& out) {
  const auto table = parse_toml_file(file, out);
  if (!table) return {};
  Config config;
  config.file = file;
  config.folder = std::filesystem::path(file).parent_path();
  const TableReader reader(*table, "", config_keys(), file, out);
  config.board = reader.text("board");
  for (const TableReader& domain : reader.tables("domain")) {
    config.domains.push_back(read_domain(domain, out));
  }
  for (const auto& word : reader.texts("hidden")) {
    if (const auto bdf = parse_host_bdf(word.value)) {
      config.hidden.push_back(Located{*bdf, word.at});
    } else {
      out.error(word.at, fmt::format("\"{}\" is no PCI address on segment 0", word.value),
                "write it like \"0000:01:00.0\", as lspci -D prints it");
    }
  }
  if (const auto run = reader.table("run")) config.run = read_run(*run, out);
  return config;
}

}  // namespace penstock::tool
