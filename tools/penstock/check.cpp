#include "tools/penstock/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "core/base/address.hpp"
#include "core/manifest/bundle.hpp"
#include "core/manifest/manifest.hpp"
#include "tools/penstock/payload.hpp"
#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace fs = std::filesystem;
namespace {

std::string said_at(const Position& at) {
  return fmt::format("line {}", at.line);
}

std::string label(const DomainSpec& domain) {
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
  std::uint64_t check_kernel(const Located<std::string>& kernel, const fs::path& path);
  void check_cmdline(const DomainSpec& domain, PlannedDomain& planned);
  void check_iommu(const DomainSpec& domain);
  void check_devices(const DomainSpec& domain, PlannedDomain& planned);
  void check_device(const DomainSpec& domain, const DeviceSpec& device, PlannedDomain& planned);
  void check_on_board(const DeviceSpec& device, const BoardDevice& on_board);
  void check_capabilities(const DeviceSpec& device);
  void place_devices(const DomainSpec& domain, PlannedDomain& planned);
  void check_total();

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
  std::uint64_t payload_bytes_ = 0;
  std::size_t capabilities_ = 0;
};

void Checker::run() {
  if (config_.domains.size() > manifest::kMaxDomains) {
    out_.error(config_.domains[manifest::kMaxDomains].at,
               fmt::format("{} domains are more than the hypervisor runs", config_.domains.size()),
               fmt::format("write at most {}", manifest::kMaxDomains));
  }
  for (const DomainSpec& domain : config_.domains) {
    PlannedDomain planned;
    check_name(domain);
    planned.name = domain.name ? domain.name->value : "";
    planned.autostart = domain.autostart;
    planned.on_reboot = domain.on_reboot;
    planned.on_crash = domain.on_crash;
    planned.iommu = domain.iommu.value;
    check_cpus(domain, planned);
    check_memory(domain, planned);
    check_payloads(domain, planned);
    check_cmdline(domain, planned);
    check_iommu(domain);
    check_devices(domain, planned);
    plan_.domains.push_back(std::move(planned));
  }
  check_total();
}

void Checker::check_name(const DomainSpec& domain) {
  if (!domain.name) return;
  const auto& [name, at] = *domain.name;
  const bool fits =
      !name.empty() && name.size() <= manifest::kMaxName &&
      std::isalpha(static_cast<unsigned char>(name[0])) != 0 &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
      });
  if (!fits) {
    out_.error(at, fmt::format("\"{}\" cannot be a domain's name", name),
               "write 1 to 31 letters, digits, '-' and '_', a letter first");
  } else if (name == "penstock") {
    out_.error(at, "a domain cannot be called \"penstock\": that is the hypervisor's console",
               "choose another name");
  } else if (const auto [other, is_new] = names_.insert({name, at}); !is_new) {
    out_.error(at, fmt::format("two domains are called \"{}\"", name),
               fmt::format("the other one is at {}; choose another name", said_at(other->second)));
  }
}

void Checker::check_cpus(const DomainSpec& domain, PlannedDomain& planned) {
  if (domain.cpus.size() > manifest::kMaxCpusPerDomain) {
    out_.error(domain.cpus[manifest::kMaxCpusPerDomain].at,
               fmt::format("{} has more than {} CPUs", label(domain), manifest::kMaxCpusPerDomain));
  }
  for (const auto& [cpu, at] : domain.cpus) {
    if (cpu >= plan_.board.cpus) {
      out_.error(at, fmt::format("the board has no CPU {}", cpu),
                 fmt::format("write numbers from 0 to {}", plan_.board.cpus - 1));
      continue;
    }
    const auto [other, is_new] = cpus_.insert({cpu, {at, label(domain)}});
    if (!is_new) {
      std::vector<std::uint64_t> free;
      for (std::uint64_t c = 0; c < plan_.board.cpus; ++c) {
        const bool used =
            std::any_of(config_.domains.begin(), config_.domains.end(), [c](const DomainSpec& d) {
              return std::any_of(d.cpus.begin(), d.cpus.end(),
                                 [c](const auto& used_cpu) { return used_cpu.value == c; });
            });
        if (!used) free.push_back(c);
      }
      out_.error(
          at, fmt::format("CPU {} is given twice", cpu),
          fmt::format(
              "{} has it already, at {}; {}", other->second.second, said_at(other->second.first),
              free.empty() ? "no CPU is free" : fmt::format("free: {}", fmt::join(free, ", "))));
      continue;
    }
    planned.cpus.push_back(static_cast<unsigned>(cpu));
  }
  if (domain.cpus.empty() && domain.name) {
    out_.error(domain.at, fmt::format("{} has no CPU", label(domain)),
               "write cpus = [...] with at least one");
  }
}

void Checker::check_memory(const DomainSpec& domain, PlannedDomain& planned) {
  if (!domain.memory) return;
  const auto& [bytes, at] = *domain.memory;
  planned.memory = bytes;
  if (bytes == 0 || bytes % manifest::kMemoryGranule != 0) {
    const std::uint64_t better =
        std::max(align_up(bytes, manifest::kMemoryGranule), manifest::kMemoryGranule);
    out_.error(at, fmt::format("{} is not a multiple of 2 MiB", format_size(bytes)),
               fmt::format("write memory = \"{}M\"", better / kMiB));
    return;
  }
  if (bytes > plan_.board.memory || bytes > manifest::kMaxMemory) {
    out_.error(at,
               fmt::format("{} wants {}, but the board has {}", label(domain), format_size(bytes),
                           format_size(plan_.board.memory)),
               "give it less, or the board more");
    return;
  }
  if (domain.memory_base) {
    planned.memory_base = domain.memory_base->value;
    check_base(domain, *domain.memory_base);
  }
}

void Checker::check_base(const DomainSpec& domain, const Located<std::uint64_t>& base) {
  const std::uint64_t bytes = domain.memory->value;
  const BoardDescription& board = plan_.board;
  if (base.value % manifest::kMemoryGranule != 0) {
    out_.error(
        base.at, fmt::format("{:#x} is not a multiple of 2 MiB", base.value),
        fmt::format("write memory_base = {:#x}", align_down(base.value, manifest::kMemoryGranule)));
    return;
  }
  if (base.value < board.memory_base ||
      !fits(base.value - board.memory_base, bytes, board.memory)) {
    out_.error(base.at,
               fmt::format("{} at {:#x} is not in the board's RAM", format_size(bytes), base.value),
               fmt::format("the RAM is {:#x} to {:#x}; or leave memory_base out", board.memory_base,
                           board.memory_base + board.memory - 1));
    return;
  }
  for (const Place& place : places_) {
    if (overlaps(place.base, place.size, base.value, bytes)) {
      out_.error(base.at,
                 fmt::format("the memory of {} overlaps that of {}", label(domain), place.owner),
                 fmt::format("that one is {:#x} to {:#x} ({}); or leave memory_base out",
                             place.base, place.base + place.size - 1, said_at(place.at)));
    }
  }
  places_.push_back({base.at, base.value, bytes, label(domain)});
}

std::uint64_t Checker::check_kernel(const Located<std::string>& kernel, const fs::path& path) {
  const Result<Bytes> image = read_kernel(path);
  if (image) return image->size();
  const Code code = image.error().code;
  if (code == Code::kNotFound) {
    out_.error(kernel.at, fmt::format("the kernel {} cannot be read", path.string()),
               "relative paths start at the configuration's folder");
  } else if (code == Code::kBadChecksum) {
    out_.error(kernel.at, fmt::format("the kernel {} is a damaged gzip file", path.string()));
  } else {
    out_.error(kernel.at, fmt::format("{} is no arm64 Image", path.string()),
               "give arch/arm64/boot/Image or Image.gz; an ELF file or another CPU's kernel "
               "cannot be booted");
  }
  return 0;
}

void Checker::check_payloads(const DomainSpec& domain, PlannedDomain& planned) {
  std::uint64_t bytes = 0;
  if (domain.kernel) {
    planned.kernel = (config_.folder / domain.kernel->value).lexically_normal();
    if (options_.payloads) bytes += check_kernel(*domain.kernel, planned.kernel);
  }
  if (domain.initrd) {
    planned.initrd = (config_.folder / domain.initrd->value).lexically_normal();
    std::error_code missing;
    const std::uintmax_t size = options_.payloads ? fs::file_size(planned.initrd, missing) : 1;
    if (missing || size == 0) {
      out_.error(domain.initrd->at,
                 fmt::format("the initrd {} {}", planned.initrd.string(),
                             missing ? "cannot be read" : "is empty"),
                 "relative paths start at the configuration's folder");
    } else {
      bytes += size;
    }
  }
  payload_bytes_ += bytes;
  if (domain.memory && bytes != 0 && bytes >= domain.memory->value) {
    out_.error(domain.memory->at,
               fmt::format("kernel and initrd of {} are larger than its memory", label(domain)),
               fmt::format("together they have {}", format_size(align_up(bytes, kMiB))));
  }
}

void Checker::check_cmdline(const DomainSpec& domain, PlannedDomain& planned) {
  if (!domain.cmdline) return;
  const auto& [text, at] = *domain.cmdline;
  planned.cmdline = text;
  if (text.size() > manifest::kMaxCommandLine) {
    out_.error(at, fmt::format("the command line has {} characters", text.size()),
               fmt::format("write at most {}", manifest::kMaxCommandLine));
  }
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; })) {
    out_.error(at, "the command line has a character that is not printable ASCII");
  }
}

void Checker::check_capabilities(const DeviceSpec& device) {
  for (const CapabilitySpec& capability : device.capabilities) {
    if (++capabilities_ == manifest::kMaxExtraCapabilities + 1) {
      out_.error(capability.at, fmt::format("there are more than {} extra capabilities",
                                            manifest::kMaxExtraCapabilities));
    }
    const std::uint64_t limit = capability.extended ? 0xffff : 0xff;
    if (capability.id == 0 || capability.id > limit) {
      out_.error(capability.at, fmt::format("{:#x} is no capability ID", capability.id),
                 fmt::format("write 1 to {:#x}", limit));
    }
    const std::uint64_t space = capability.extended ? 4096 - 256 : 256 - 64;
    if (capability.length < 4 || capability.length % 4 != 0 || capability.length > space) {
      out_.error(capability.at, fmt::format("a capability cannot have {} bytes", capability.length),
                 fmt::format("write a multiple of 4 from 4 to {}", space));
    }
    if (capability.registers.size() > manifest::kMaxCapabilityRegisters) {
      out_.error(capability.at, fmt::format("a capability has more than {} registers of its own",
                                            manifest::kMaxCapabilityRegisters));
    }
    for (const RegisterSpec& r : capability.registers) {
      const std::uint64_t header = capability.extended ? 0xffff'ffff : 0xffff;
      if (r.offset % 4 != 0 || r.offset >= capability.length) {
        out_.error(r.at, fmt::format("there is no register at {}", r.offset),
                   "write a multiple of 4 below the capability's length");
      } else if (r.write > 0xffff'ffff || (r.w1c & ~r.write) != 0 ||
                 (r.offset == 0 && (r.write & header) != 0)) {
        out_.error(r.at, "impossible masks",
                   "\"write\" has up to 32 bits, \"w1c\" lies within it, and a capability's header "
                   "is read-only");
      }
    }
  }
}

void Checker::check_on_board(const DeviceSpec& device, const BoardDevice& on_board) {
  const SecurityStatement security = state_security(plan_.board, on_board);
  const std::string who = format_bdf(*on_board.bdf);
  if (needs_no_isolation(plan_.board, on_board) && !device.accept_no_isolation) {
    std::string why;
    for (const std::string& e : security.exposed) {
      if (e.find("no reset") == std::string::npos) why += (why.empty() ? "" : "; ") + e;
    }
    out_.error(device.host->at, fmt::format("{} cannot be isolated: {}", who, why),
               "take it out, or write accept = [\"no-isolation\"] for it and live with that");
  }
  if (needs_no_reset(on_board) && !device.accept_no_reset) {
    out_.error(
        device.host->at,
        fmt::format("{} has no reset: its next owner would find it as the last one left it", who),
        "take it out, or write accept = [\"no-reset\"] for it and live with that");
  }
}

void Checker::check_device(const DomainSpec& domain, const DeviceSpec& device,
                           PlannedDomain& planned) {
  check_capabilities(device);
  if (!device.host) return;
  const auto& [host, at] = *device.host;
  const auto [other, is_new] = devices_.insert({host.value(), {at, label(domain)}});
  if (!is_new) {
    out_.error(at, fmt::format("device {} is given twice", format_bdf(host)),
               fmt::format("{} has it already, at {}", other->second.second,
                           said_at(other->second.first)));
    return;
  }
  const BoardDevice* on_board = plan_.board.find(host);
  if (on_board == nullptr) {
    std::string there;
    for (const BoardDevice& d : plan_.board.devices) {
      if (!d.bdf) continue;
      there += fmt::format("{}{} ({})", there.empty() ? "" : ", ", format_bdf(*d.bdf), d.name);
    }
    out_.error(at, fmt::format("the board has no device {}", format_bdf(host)),
               there.empty() ? "its description names no device" : fmt::format("it has {}", there));
    return;
  }
  if (plan_.board.bridge == "none") {
    out_.error(at, "the board has no PCI host bridge that Penstock can drive");
    return;
  }
  check_on_board(device, *on_board);
  const SecurityStatement security = state_security(plan_.board, *on_board, domain.iommu.value);
  planned.devices.push_back({host, device.guest ? device.guest->value : GuestBdf(), on_board->name,
                             on_board->driver, device.accept_no_reset, device.accept_no_isolation,
                             device.capabilities, security});
}

void Checker::check_iommu(const DomainSpec& domain) {
  if (domain.iommu.value == "none") return;
  const Position& at = domain.iommu.at;
  if (domain.devices.empty()) {
    out_.error(at, fmt::format("{} has an iommu but no device behind it", label(domain)),
               "leave iommu out, or give the domain a device");
  }
  if (plan_.board.iommu != "smmuv3") {
    out_.error(at, fmt::format("{} cannot have an iommu: the board has no SMMUv3", label(domain)),
               "write iommu = \"none\"; accepting \"no-isolation\" does not stand in for it");
  } else if (plan_.board.iommu_stages < 2) {
    out_.error(
        at,
        fmt::format("{} cannot have an iommu: the board's SMMUv3 translates in one stage, and "
                    "that one is Penstock's",
                    label(domain)),
        "write iommu = \"none\", or iommu_stages = 2 in the board's description if it can do both");
  }
}

void Checker::check_devices(const DomainSpec& domain, PlannedDomain& planned) {
  if (domain.devices.size() > manifest::kMaxDevicesPerDomain) {
    out_.error(
        domain.devices[manifest::kMaxDevicesPerDomain].at,
        fmt::format("{} has more than {} devices", label(domain), manifest::kMaxDevicesPerDomain));
    return;
  }
  std::map<std::uint16_t, Position> guests;
  for (const DeviceSpec& device : domain.devices) {
    check_device(domain, device, planned);
    if (!device.guest) continue;
    const auto [other, is_new] = guests.insert({device.guest->value.value(), device.guest->at});
    if (!is_new) {
      out_.error(
          device.guest->at,
          fmt::format("{} has two devices at {}", label(domain), format_bdf(device.guest->value)),
          fmt::format("the other one is at {}; leave \"guest\" out to get the next free slot",
                      said_at(other->second)));
    }
  }
  for (const DeviceSpec& device : domain.devices) {
    if (!device.guest || device.guest->value.function() == 0) continue;
    const GuestBdf first(0, device.guest->value.device(), 0);
    if (!guests.contains(first.value())) {
      out_.error(
          device.guest->at,
          fmt::format("nothing is at {}: a guest looks for function 0 first", format_bdf(first)),
          fmt::format("write guest = \"{}\"", format_bdf(first)));
    }
  }
  place_devices(domain, planned);
}

/// Devices without a place get the lowest slots that are free, in the order of the file.
void Checker::place_devices(const DomainSpec& domain, PlannedDomain& planned) {
  std::array<bool, 32> used{};
  used[0] = true;  // the virtual host bridge
  for (const DeviceSpec& device : domain.devices) {
    if (device.guest) used[device.guest->value.device()] = true;
  }
  for (PlannedDevice& device : planned.devices) {
    if (device.guest != GuestBdf()) continue;
    const auto* free = std::find(used.begin(), used.end(), false);
    if (free == used.end()) {
      out_.error(domain.devices.back().at,
                 fmt::format("{} has more devices than its bus has free slots; give some of them a "
                             "`guest` address with another function number, like \"00:01.1\"",
                             label(domain)));
      return;
    }
    device.guest = GuestBdf(0, static_cast<unsigned>(free - used.begin()), 0);
    used[device.guest.device()] = true;
  }
}

void Checker::check_total() {
  std::uint64_t wanted = kHypervisorMemory + payload_bytes_;
  for (const PlannedDomain& domain : plan_.domains) {
    if (domain.memory > plan_.board.memory) return;  // said already
    wanted += domain.memory;
  }
  if (plan_.board.memory != 0 && wanted > plan_.board.memory) {
    const Position at = config_.domains.back().memory ? config_.domains.back().memory->at
                                                      : config_.domains.back().at;
    out_.error(
        at,
        fmt::format("the domains, their payloads and the hypervisor need {}, but the board "
                    "has {}",
                    format_size(align_up(wanted, kMiB)), format_size(plan_.board.memory)),
        fmt::format("give the domains {} less",
                    format_size(align_up(wanted - plan_.board.memory, manifest::kMemoryGranule))));
  }
}

}  // namespace

std::optional<Plan> check(const Config& config, const BoardDescription& board,
                          const CheckOptions& options, Diagnostics& out) {
  Plan plan;
  plan.board = board;
  if (config.run.cpus) plan.board.cpus = *config.run.cpus;
  if (config.run.memory) plan.board.memory = *config.run.memory;
  for (const BoardDevice& device : config.run.devices) plan.board.devices.push_back(device);
  Checker(config, options, out, plan).run();
  for (const auto& [name, backend] : config.run.backends) {
    std::vector<std::string> names;
    for (const BoardDevice& d : plan.board.devices) {
      if (!d.backend.empty()) names.push_back(d.backend);
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = nearest(name, names);
      out.error(backend.at, fmt::format("no device of the board has the back end \"{}\"", name),
                near.empty() ? fmt::format("it has {}", fmt::join(names, ", "))
                             : fmt::format("did you mean \"{}\"?", near));
    }
  }
  if (out.has_errors()) return {};
  return plan;
}

std::optional<Plan> check(const std::string& file, const CheckOptions& options, Diagnostics& out) {
  const auto config = read_config(file, out);
  if (!config) return {};
  const bool named_by_option = !options.board.empty();
  if (!named_by_option && !config->board) return {};
  const std::string name = named_by_option ? options.board : config->board->value;
  const fs::path base = named_by_option ? fs::path() : config->folder;
  const auto path = find_board(name, base, options.board_folders);
  if (!path) {
    const auto known = known_boards(options.board_folders);
    const std::string near = nearest(name, known);
    out.error(named_by_option ? Position{"--board"} : config->board->at,
              fmt::format("there is no board \"{}\"", name),
              near.empty() ? fmt::format("known: {}; or give the path of a .toml file",
                                         fmt::join(known, ", "))
                           : fmt::format("did you mean \"{}\"?", near));
    return {};
  }
  const auto board = read_board(*path, out);
  if (!board) return {};
  return check(*config, *board, options, out);
}

}  // namespace penstock::tool
