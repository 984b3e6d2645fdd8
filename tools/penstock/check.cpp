#include "tools/penstock/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/address.hpp"
#include "core/manifest/manifest.hpp"
#include "tools/penstock/checker.hpp"
#include "tools/penstock/payload.hpp"
#include "tools/penstock/values.hpp"

namespace penstock::tool {

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
    check_isolation(domain);
    check_roles(domain, planned);
    check_devices(domain, planned);
    check_interrupts(domain, planned);
    plan_.domains.push_back(std::move(planned));
  }
  check_buses();
  check_aliases();
  check_hidden();
  check_total();
  check_taken();
}

/// One domain of a kind: `known` remembers the first.
void Checker::check_single(const Located<bool>& role, std::string_view name,
                           std::optional<Position>& known) {
  if (!role.value) return;
  if (known) {
    out_.error(role.at, fmt::format("two domains are to be the {} domain", name),
               fmt::format("the other one is at {}; leave it out here", said_at(*known)));
  } else {
    known = role.at;
  }
}

void Checker::check_roles(const DomainSpec& domain, PlannedDomain& planned) {
  check_single(domain.control, "control", control_);
  check_single(domain.hardware, "hardware", hardware_);
  planned.control = domain.control.value;
  planned.hardware = domain.hardware.value;
  if (domain.slots.value > manifest::kMaxSlots) {
    out_.error(domain.slots.at, fmt::format("{} has {} slots", label(domain), domain.slots.value),
               fmt::format("write 0 to {}", manifest::kMaxSlots));
    return;
  }
  planned.slots = static_cast<unsigned>(domain.slots.value);
  if (plan_.board.bridge != "none") return;
  for (const auto& [wanted, at] : {std::pair(planned.slots != 0, domain.slots.at),
                                   std::pair(planned.hardware, domain.hardware.at)}) {
    if (wanted) out_.error(at, "the board has no PCI host bridge that Penstock can drive");
  }
}

void Checker::check_hidden() {
  if (config_.hidden.size() > manifest::kMaxHidden) {
    out_.error(config_.hidden[manifest::kMaxHidden].at,
               fmt::format("more than {} devices are hidden", manifest::kMaxHidden));
    return;
  }
  std::map<std::uint16_t, Position> known;
  for (const auto& [host, at] : config_.hidden) {
    const auto given = devices_.find(host.value());
    if (given != devices_.end()) {
      out_.error(
          at, fmt::format("device {} is hidden and given away", format_bdf(host)),
          fmt::format("{} has it, at {}", given->second.second, said_at(given->second.first)));
    } else if (const auto [other, is_new] = known.insert({host.value(), at}); !is_new) {
      out_.error(at, fmt::format("device {} is hidden twice", format_bdf(host)),
                 "take one of them out");
    } else if (plan_.board.find(host) == nullptr) {
      out_.warning(at, fmt::format("the board's description has no device {}", format_bdf(host)),
                   "it is hidden if it is there");
    }
    plan_.hidden.push_back(host);
  }
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

/// What the kernel was taken for, and where it goes when it does not say so itself.
void Checker::check_kernel_offset(const DomainSpec& domain, const Kernel& kernel,
                                  PlannedDomain& planned) {
  const auto& wanted = domain.kernel_offset;
  if (!kernel.raw) {
    if (!wanted) return;
    out_.error(wanted->at,
               fmt::format("{} is an arm64 Image, whose header says where it goes",
                           planned.kernel.string()),
               "leave kernel_offset out");
    return;
  }
  // Where other loaders of the field put a raw image; what is linked for it runs here too.
  constexpr std::uint64_t kUsualOffset = 512 * kKiB;
  planned.kernel_offset = wanted ? wanted->value : kUsualOffset;
  if (!manifest::is_kernel_offset(*planned.kernel_offset)) {
    out_.error(wanted->at, fmt::format("a kernel cannot lie at {:#x}", wanted->value),
               "write a multiple of 4 KiB from 64 KiB on: before it lies the device tree");
  } else if (!wanted) {
    out_.warning(domain.kernel->at,
                 fmt::format("{} has no arm64 Image's header: it is taken for a raw image, lies {} "
                             "after the start of RAM and is entered at its first byte",
                             planned.kernel.string(), format_size(kUsualOffset)),
                 "kernel_offset = \"512K\" says that this is meant");
  }
  if (domain.memory && !fits(*planned.kernel_offset, kernel.bytes.size(), domain.memory->value)) {
    out_.error(wanted ? wanted->at : domain.kernel->at,
               fmt::format("the kernel of {} would end beyond its memory", label(domain)));
  }
}

std::uint64_t Checker::check_kernel(const DomainSpec& domain, PlannedDomain& planned) {
  const Located<std::string>& kernel = *domain.kernel;
  const std::filesystem::path& path = planned.kernel;
  const Result<Kernel> image = read_kernel(path);
  if (image) {
    check_kernel_offset(domain, *image, planned);
    return image->bytes.size();
  }
  const Code code = image.error().code;
  if (code == Code::kNotFound) {
    out_.error(kernel.at, fmt::format("the kernel {} cannot be read", path.string()),
               "relative paths start at the configuration's folder");
  } else if (code == Code::kBadChecksum) {
    out_.error(kernel.at, fmt::format("the kernel {} is a damaged gzip file", path.string()));
  } else {
    out_.error(
        kernel.at, fmt::format("{} is neither an arm64 Image nor a raw image", path.string()),
        "give arch/arm64/boot/Image or Image.gz, or what `objcopy -O binary` makes of an ELF "
        "file");
  }
  return 0;
}

void Checker::check_payloads(const DomainSpec& domain, PlannedDomain& planned) {
  std::uint64_t bytes = 0;
  if (domain.kernel) {
    planned.kernel = (config_.folder / domain.kernel->value).lexically_normal();
    if (options_.payloads) bytes += check_kernel(domain, planned);
  }
  if (domain.initrd) {
    planned.initrd = (config_.folder / domain.initrd->value).lexically_normal();
    std::error_code missing;
    const std::uintmax_t size =
        options_.payloads ? std::filesystem::file_size(planned.initrd, missing) : 1;
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

void Checker::check_taken(std::uint64_t base, std::uint64_t size, std::string_view by) {
  for (const Place& place : places_) {
    if (!overlaps(place.base, place.size, base, size)) continue;
    out_.error(place.at, fmt::format("the memory of {} is where {} is", place.owner, by),
               fmt::format("that is {:#x} to {:#x}; write another place, or leave memory_base out",
                           base, base + size - 1));
  }
}

/// What is in use before the first domain gets its memory. Firmware may keep more, of which only
/// the board's own tree tells.
void Checker::check_taken() {
  const BoardDescription& board = plan_.board;
  if (board.memory < kHypervisorMemory) return;
  const std::uint64_t end = board.memory_base + board.memory;
  check_taken(end - kHypervisorTop, kHypervisorTop, "the hypervisor's own");
  const std::uint64_t bundle =
      align_up(kHypervisorImage + payload_bytes_, manifest::kMemoryGranule);
  check_taken(board.memory_base, bundle, "the hypervisor's image with the payloads");
  if (board.qemu_machine.empty()) return;
  // QEMU puts the tree 128 MiB into the RAM, or behind half of it, or behind what it loads,
  // whatever is first and what is last of these (hw/arm/boot.c).
  const std::uint64_t tree = std::max(std::min(board.memory / 2, 128 * kMiB), bundle);
  check_taken(board.memory_base + align_up(tree, manifest::kMemoryGranule),
              manifest::kMemoryGranule, "the board's device tree, as QEMU loads it,");
}

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
  const std::filesystem::path base = named_by_option ? std::filesystem::path() : config->folder;
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
