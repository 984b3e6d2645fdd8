#include "tools/penstock/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/manifest/boot_options.hpp"

namespace penstock::tool {
namespace {

// clang-format off
constexpr std::array kConfigKeys = std::to_array<Key>({
  {"", "board", Type::kText, true, "The board: a name in `boards/`, or the path of a board description"},
  {"", "domain", Type::kTables, true, "One virtual machine each, 1 to 8"},
  {"", "hidden", Type::kTexts, false, "Functions of the board that nobody gets and nobody is told of, `0000:03:00.0`, up to 32"},
  {"", "run", Type::kTable, false, "What `penstock run` gives to QEMU; the hypervisor never sees it"},

  {"domain", "name", Type::kText, true, "1 to 31 letters, digits, `-` and `_`, a letter first; names the console and the log"},
  {"domain", "cpus", Type::kNumbers, true, "Physical CPUs, each owned by one domain; the first is the domain's CPU 0"},
  {"domain", "memory", Type::kSize, true, "RAM of the domain, a multiple of 2 MiB"},
  {"domain", "memory_base", Type::kNumber, false, "Machine address of that RAM, a multiple of 2 MiB; by default the hypervisor chooses"},
  {"domain", "kernel", Type::kText, true, "An arm64 Image or a raw image without its header, also compressed with gzip; a relative path starts at the configuration's folder"},
  {"domain", "kernel_offset", Type::kSize, false, "Of a raw image: where it lies from the start of RAM, a multiple of 4 KiB from 64 KiB on, `512K` by default; it is entered at its first byte, with the address of the device tree in x0"},
  {"domain", "initrd", Type::kText, false, "An initial RAM disk for the kernel"},
  {"domain", "cmdline", Type::kText, false, "The kernel's command line, up to 1024 printable ASCII characters"},
  {"domain", "autostart", Type::kFlag, false, "Start it at boot; `true` by default"},
  {"domain", "on_reboot", Type::kText, false, "`restart` (default) or `stop`: what a reboot by the guest does; after 16 restarts in short order each waits for 2 s"},
  {"domain", "on_crash", Type::kText, false, "`stop` (default) or `restart`: what the hypervisor does after it had to stop the domain"},
  {"domain", "iommu", Type::kText, false, "`none` (default) or `smmuv3`: the IOMMU that the guest sees, to isolate its own devices from each other with its stock driver"},
  {"domain", "control", Type::kFlag, false, "It gets the control interface, which `penstockctl` uses; one domain at most, `false` by default"},
  {"domain", "hardware", Type::kFlag, false, "It gets every device that is given to no domain, is not hidden and needs no risk accepted, and full access to the configuration space of all its devices but for what Penstock protects; one domain at most, `false` by default"},
  {"domain", "slots", Type::kNumber, false, "Root ports with a hot-plug slot each, for devices that come and go, 0 (default) to 15"},
  {"domain", "interrupts", Type::kNumber, false, "Message interrupts that all its devices may have, 1 to 8192: for each device its vectors, 128 at most, and one more; by default as many as its devices need, and at least 1024 for those that come later"},
  {"domain", "device", Type::kTables, false, "One physical PCI function each, up to 32"},

  {"domain.device", "host", Type::kText, true, "Where the function is on the board, `0000:01:00.0`"},
  {"domain.device", "guest", Type::kText, false, "Where the domain sees it: `00:01.0` to `00:1f.7` (to `00:0f.7` where it has slots), or `01:00.0` to `0f:00.0` for slot 1 to 15; by default the next free slot, or place on bus 0 where the domain has no slots"},
  {"domain.device", "accept", Type::kTexts, false, "Risks taken for this device by name: `no-reset` (it changes owner without a reset), `no-isolation` (a shared isolation group, a bridge's requester ID, or a BAR that shows the configuration space)"},
  {"domain.device", "quarantine", Type::kText, false, "What its accesses meet while it is nobody's: `abort` (default), or `scratch`, a page of its own, for devices that hang on aborts"},
  {"domain.device", "deny", Type::kTexts, false, "Capabilities that it does not show, whoever allows them: names such as `msi-x`, IDs such as `0x11`, or `ext 0x1` of the extended list; up to 8, and 32 in the whole configuration"},
  {"domain.device", "capabilities", Type::kTables, false, "Capabilities to show beyond the built-in allow-list; up to 16 in the whole configuration"},

  {"domain.device.capabilities", "id", Type::kNumber, true, "Capability ID"},
  {"domain.device.capabilities", "extended", Type::kFlag, false, "It is in the extended list (from 0x100 on); `false` by default"},
  {"domain.device.capabilities", "length", Type::kNumber, true, "Bytes with the header, a multiple of 4"},
  {"domain.device.capabilities", "registers", Type::kTables, false, "Registers that are more than a read-only copy, up to 4"},

  {"domain.device.capabilities.registers", "offset", Type::kNumber, true, "Bytes from the capability's start, a multiple of 4 from 4 on"},
  {"domain.device.capabilities.registers", "live", Type::kNumber, false, "Mask of bits that are read from the device each time, as those of `write` always are; 0 by default: all from a copy made at assignment"},
  {"domain.device.capabilities.registers", "write", Type::kNumber, false, "Mask of bits that the guest may write; 0 by default"},
  {"domain.device.capabilities.registers", "w1c", Type::kNumber, false, "Mask of bits, out of `write`, that a written 1 clears; 0 by default"},

  {"run", "cpus", Type::kNumber, false, "CPUs of the emulated board instead of the board description's"},
  {"run", "memory", Type::kSize, false, "RAM of the emulated board instead of the board description's"},
  {"run", "timeout", Type::kNumber, false, "Seconds after which the run is ended; 0, the default, means never"},
  {"run", "arguments", Type::kTexts, false, "More arguments for QEMU; `-drive x` in one text is an option and its value"},
  {"run", "backend", Type::kTable, false, "Back ends of the board's devices by name, such as `nvme0 = \"-drive ...\"`, instead of the board's own"},
  {"run", "device", Type::kTables, false, "Devices plugged into the emulated board; the same keys as a board's `[[device]]`"},
});

constexpr std::array kBoardKeys = std::to_array<Key>({
  {"", "name", Type::kText, true, "The board's name, as configurations write it"},
  {"", "title", Type::kText, true, "One line for people"},
  {"", "cpus", Type::kNumber, true, "Number of CPUs"},
  {"", "memory_base", Type::kNumber, true, "Machine address of the RAM"},
  {"", "memory", Type::kSize, true, "Size of the RAM"},
  {"", "iommu", Type::kText, true, "`smmuv3` or `none`"},
  {"", "iommu_stages", Type::kNumber, false, "Stages of translation that the SMMU can do for one access: 1 (default), or 2 when stage 1 and stage 2 nest; a domain's `iommu` needs 2"},
  {"", "msi", Type::kText, true, "`its`, `gicv2m` or `none`: who receives message interrupts"},
  {"", "bridge", Type::kText, true, "`ecam` or `none`: how configuration space is reached"},
  {"", "qemu", Type::kTable, false, "How QEMU emulates the board"},
  {"", "device", Type::kTables, false, "What is plugged in"},

  {"qemu", "machine", Type::kText, true, "`-machine`"},
  {"qemu", "cpu", Type::kText, true, "`-cpu`"},
  {"qemu", "arguments", Type::kTexts, false, "More arguments; `-device x` in one text is an option and its value"},

  {"device", "bdf", Type::kText, false, "Where it is, `0000:01:00.0`, once buses are numbered; without it the device cannot be assigned"},
  {"device", "name", Type::kText, false, "For people"},
  {"device", "driver", Type::kText, false, "The Linux driver that a guest uses for it"},
  {"device", "class", Type::kText, false, "Class code, six hexadecimal digits such as `010802`; what is claimed for a device depends on it"},
  {"device", "vectors", Type::kNumber, false, "Interrupt messages that it can have, MSI-X or MSI; what `interrupts` of its domain is checked against"},
  {"device", "reset", Type::kText, false, "`flr`, `pm`, `bus` or `none` (default): the best reset that affects nobody else"},
  {"device", "isolation", Type::kText, false, "`acs` (behind a port with ACS, alone), `integrated` (a root complex function, alone) or `shared` (default)"},
  {"device", "risks", Type::kTexts, false, "What else an owner should know, printed by `check`: names of risks from SUPPORT.md such as `sr-iov`, or whole clauses"},
  {"device", "qemu", Type::kText, false, "QEMU's `-device`"},
  {"device", "backend", Type::kText, false, "Name of the back end that it needs"},
  {"device", "default_backend", Type::kText, false, "The back end when a configuration names none"},
});
// clang-format on

/// Levenshtein distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kText: return "text";
    case Type::kFlag: return "true or false";
    case Type::kNumber: return "number";
    case Type::kSize: return "size";
    case Type::kNumbers: return "list of numbers";
    case Type::kTexts: return "list of texts";
    case Type::kTable: return "table";
    case Type::kTables: return "list of tables";
  }
  return "";
}

bool is_list_of_tables(std::span<const Key> keys, std::string_view table) {
  const std::size_t dot = table.rfind('.');
  const bool nested = dot != std::string_view::npos;
  const Key* key =
      find_key(keys, nested ? table.substr(0, dot) : "", nested ? table.substr(dot + 1) : table);
  return key != nullptr && key->type == Type::kTables;
}

}  // namespace

std::span<const Key> config_keys() {
  return kConfigKeys;
}
std::span<const Key> board_keys() {
  return kBoardKeys;
}

const Key* find_key(std::span<const Key> keys, std::string_view table, std::string_view name) {
  for (const Key& key : keys) {
    if (key.table == table && key.name == name) return &key;
  }
  return nullptr;
}

std::string_view describe(Type type) {
  switch (type) {
    case Type::kText: return "a text such as \"abc\"";
    case Type::kFlag: return "true or false";
    case Type::kNumber: return "a number such as 3 or 0x40000000";
    case Type::kSize: return "a size such as \"512M\" or \"2G\"";
    case Type::kNumbers: return "a list of numbers such as [0, 1]";
    case Type::kTexts: return "a list of texts such as [\"a\", \"b\"]";
    case Type::kTable: return "a table";
    case Type::kTables: return "a list of tables";
  }
  return "";
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t d = distance(word, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::string render_boot_options() {
  std::string text = "| word | value | meaning |\n|---|---|---|\n";
  for (const manifest::BootOption& option : manifest::kBootOptions) {
    text += fmt::format("| `{}=` | {} | {} |\n", option.name, option.values, option.meaning);
  }
  return text;
}

std::string render_keys(std::span<const Key> keys) {
  std::string text;
  std::string_view table = "?";
  for (const Key& key : keys) {
    if (key.table != table) {
      table = key.table;
      if (!text.empty()) text += '\n';
      const std::string title = table.empty()                    ? "Top of the file"
                                : is_list_of_tables(keys, table) ? fmt::format("`[[{}]]`", table)
                                                                 : fmt::format("`[{}]`", table);
      text += fmt::format("### {}\n\n| key | value | | meaning |\n|---|---|---|---|\n", title);
    }
    text += fmt::format("| `{}` | {} | {} | {} |\n", key.name, type_name(key.type),
                        key.required ? "required" : "", key.meaning);
  }
  return text;
}

}  // namespace penstock::tool
