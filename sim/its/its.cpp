#include "sim/its/its.hpp"

namespace penstock::sim {
namespace {

// IHI 0069 H, 12.19; decoded here on its own.
constexpr std::uint64_t kValid = 1ULL << 63;
constexpr std::uint64_t kIndirect = 1ULL << 62;
constexpr std::uint64_t kShareable = 3ULL << 10;
constexpr unsigned kDeviceTable = 0;
constexpr unsigned kCollectionTable = 1;

constexpr std::uint64_t page_bytes(std::uint64_t baser) {
  return 4096ULL << (2 * (baser >> 8 & 3));
}
constexpr std::uint64_t table_bytes(std::uint64_t baser) {
  return ((baser & 0xff) + 1) * page_bytes(baser);
}
constexpr std::uint64_t table_address(std::uint64_t baser) {
  const std::uint64_t field = baser & 0x0000'ffff'ffff'f000;
  if ((baser >> 8 & 3) != 2) return field;
  return (field & ~0xffffULL) | (field >> 12 & 0xf) << 48;
}
constexpr std::uint64_t queue_bytes(std::uint64_t cbaser) {
  return ((cbaser & 0xff) + 1) * 4096;
}
constexpr std::uint64_t queue_address(std::uint64_t cbaser) {
  return cbaser & 0x000f'ffff'ffff'f000;
}

}  // namespace

Its::Its(Memory& memory, std::span<Redistributor* const> cpus, Options options)
    : memory_(memory),
      cpus_(cpus.begin(), cpus.end()),
      options_(options),
      held_(options.held_collections) {
  basers_[kDeviceTable] = 1ULL << 56 | std::uint64_t{options.device_entry_bytes - 1} << 48;
  if (options.has_collection_table) {
    basers_[kCollectionTable] = 4ULL << 56 | std::uint64_t{options.collection_entry_bytes - 1}
                                                 << 48;
  }
}

std::uint64_t Its::typer() const {
  return (options_.physical ? 1U : 0U) | (options_.itt_entry_bytes - 1) << 4 |
         (options_.event_bits - 1) << 8 | (options_.device_bits - 1) << 13 |
         (options_.pta ? 1U << 19 : 0U) | std::uint64_t{options_.held_collections} << 24 |
         std::uint64_t{options_.collection_bits - 1} << 32 | 1ULL << 36;
}

std::uint64_t Its::read(std::uint64_t offset, unsigned size) {
  if (offset == 0x00 && size == 4) {
    return control_ | (enabled() || options_.never_rests ? 0 : 1U << 31);
  }
  if (offset == 0x08 && size == 8) return typer();
  if (offset == 0x80 && size == 8) return cbaser_;
  if (offset == 0x88 && size == 8) return cwriter_;
  if (offset == 0x90 && size == 8) {
    if (claimed_position_) return *claimed_position_;
    if (options_.commands_per_look != 0) run(options_.commands_per_look);
    return creadr_ | (stalled_ ? 1 : 0);
  }
  if (offset >= 0x100 && offset < 0x140 && size == 8) return basers_[(offset - 0x100) / 8];
  if (offset == 0xffe8 && size == 4) return 0x3b;
  return 0;
}

void Its::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset == 0x00 && size == 4) {
    control_ = static_cast<std::uint32_t>(value & 1);
    if (enabled() && (cbaser_ & kValid) == 0) violation("enabled without a command queue");
    if (enabled() && (basers_[kDeviceTable] & kValid) == 0) violation("enabled without tables");
  } else if (offset == 0x80 && size == 8) {
    write_cbaser(value);
  } else if (offset == 0x88 && size == 8) {
    write_cwriter(value);
  } else if (offset >= 0x100 && offset < 0x140 && size == 8) {
    write_baser(static_cast<unsigned>(offset - 0x100) / 8, value);
  } else {
    // GITS_TRANSLATER among them: a CPU has no DeviceID.
    violation("write to an offset or with a width that no ITS register has for a CPU");
  }
}

void Its::write_cbaser(std::uint64_t value) {
  if (enabled()) violation("GITS_CBASER written while enabled");
  if ((queue_address(value) & 0xffff) != 0) violation("command queue not aligned to 64 KiB");
  cbaser_ = options_.shareable ? value : value & ~kShareable;
  creadr_ = 0;
  stalled_ = false;
}

void Its::write_baser(unsigned n, std::uint64_t value) {
  if (enabled()) violation("GITS_BASER written while enabled");
  const std::uint64_t fixed = basers_[n] & 0x071f'0000'0000'0000;
  if (fixed >> 56 == 0) return;
  std::uint64_t kept = (value & ~0x071f'0000'0000'0000ULL) | fixed;
  if ((options_.page_sizes >> (kept >> 8 & 3) & 1) == 0) {
    unsigned largest = 2;
    while ((options_.page_sizes >> largest & 1) == 0) --largest;
    kept = (kept & ~0x300ULL) | largest << 8;
  }
  if (!options_.two_levels) kept &= ~kIndirect;
  if (!options_.shareable) kept &= ~kShareable;
  if ((kept & kValid) != 0 && table_address(kept) % page_bytes(kept) != 0) {
    violation("table not aligned to its page size");
  }
  basers_[n] = kept;
}

void Its::write_cwriter(std::uint64_t value) {
  const std::uint64_t to = value & 0xf'ffe0;
  if (to >= queue_bytes(cbaser_)) {
    violation("GITS_CWRITER beyond the queue");
    return;
  }
  cwriter_ = to;
  if ((value & 1) != 0) stalled_ = false;
  if (options_.commands_per_look == 0) run(~0U);
}

void Its::run(unsigned limit) {
  while (limit-- != 0 && enabled() && !stalled_ && creadr_ != cwriter_) {
    if (stop_after_ && (*stop_after_)-- == 0) {
      stop_after_ = 0;
      return;
    }
    if (!run_one()) return;
  }
}

/// False when it stalled.
bool Its::run_one() {
  Command command{};
  for (unsigned i = 0; i < 4; ++i) {
    command[i] = load(queue_address(cbaser_) + creadr_ + 8 * i, 8);
  }
  const auto opcode = static_cast<std::uint8_t>(command[0]);
  opcodes_.push_back(opcode);
  std::string reason;
  const bool refuse = refuse_always_ || (refuse_after_ && (*refuse_after_)-- == 0);
  if (refuse) {
    refuse_after_.reset();
    reason = "refused as the test asked";
  } else {
    reason = execute(command);
  }
  if (!reason.empty()) {
    refusals_.push_back({opcode, reason});
    if (options_.stalls || refuse) {
      stalled_ = true;
      return false;
    }
  }
  creadr_ = (creadr_ + 32) % queue_bytes(cbaser_);
  return true;
}

std::string Its::execute(const Command& command) {
  switch (command[0] & 0xff) {
    case 0x01: return move_event(command);
    case 0x03:
    case 0x04:
    case 0x0c:
    case 0x0f: return on_event(command);
    case 0x05: return sync(command);
    case 0x08: return map_device(command);
    case 0x09: return map_collection(command);
    case 0x0a: return map_event(command, static_cast<std::uint32_t>(command[1] >> 32));
    case 0x0b: return map_event(command, static_cast<std::uint32_t>(command[1]));
    case 0x0d: return invalidate_all(command);
    case 0x0e: return move_all(command);
    default: return "unknown opcode";
  }
}

// ---- tables: formats of the model's own ----
// device entry      63 valid, 48:44 EventID bits - 1, 43:0 ITT address / 256
// collection entry  63 valid, 35:0 RDbase
// ITT entry         31 valid, 23:0 INTID; the next four bytes: collection

std::uint64_t Its::load(std::uint64_t at, unsigned size) const {
  std::array<std::uint8_t, 8> bytes{};
  if (!memory_.device_read(at, std::span(bytes).first(size))) return 0;
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
  return value;
}

void Its::store(std::uint64_t at, unsigned size, std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  for (unsigned i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  if (!memory_.device_write(at, std::span<const std::uint8_t>(bytes).first(size))) {
    violation("a table lies outside RAM");
  }
}

std::optional<std::uint64_t> Its::device_entry(std::uint32_t device) const {
  const std::uint64_t baser = basers_[kDeviceTable];
  if ((baser & kValid) == 0 || device >= 1ULL << options_.device_bits) return std::nullopt;
  const std::uint64_t entry = options_.device_entry_bytes;
  if ((baser & kIndirect) == 0) {
    const std::uint64_t per_page = page_bytes(baser) / entry;
    const std::uint64_t offset = device / per_page * page_bytes(baser) + device % per_page * entry;
    if (offset + entry > table_bytes(baser)) return std::nullopt;
    return table_address(baser) + offset;
  }
  const std::uint64_t per_page = page_bytes(baser) / entry;
  const std::uint64_t first = device / per_page * 8;
  if (first + 8 > table_bytes(baser)) return std::nullopt;
  const std::uint64_t level1 = load(table_address(baser) + first, 8);
  if ((level1 & kValid) == 0) return std::nullopt;
  return (level1 & 0x000f'ffff'ffff'f000) + device % per_page * entry;
}

std::optional<Its::Table> Its::table_of(std::uint32_t device) const {
  const auto at = device_entry(device);
  if (!at) return std::nullopt;
  const std::uint64_t entry = load(*at, 8);
  if ((entry & kValid) == 0) return std::nullopt;
  return Table{(entry & 0xfff'ffff'ffff) << 8, static_cast<unsigned>(entry >> 44 & 0x1f) + 1};
}

std::optional<std::uint64_t> Its::event_entry(std::uint32_t device, std::uint32_t event) const {
  const auto table = table_of(device);
  if (!table || event >= 1ULL << table->bits) return std::nullopt;
  return table->itt + std::uint64_t{event} * options_.itt_entry_bytes;
}

std::optional<std::uint64_t> Its::collection_entry(std::uint32_t icid) const {
  const std::uint64_t baser = basers_[kCollectionTable];
  const std::uint64_t offset = std::uint64_t{icid} * options_.collection_entry_bytes;
  if ((baser & kValid) == 0 || offset + 8 > table_bytes(baser)) return std::nullopt;
  return table_address(baser) + offset;
}

Redistributor* Its::cpu_of_rdbase(std::uint64_t rdbase) const {
  for (Redistributor* cpu : cpus_) {
    if (rdbase == (options_.pta ? cpu->base() >> 16 : cpu->number())) return cpu;
  }
  return nullptr;
}

Redistributor* Its::cpu_of_collection(std::uint32_t icid) const {
  if (icid < held_.size()) return held_[icid] ? cpu_of_rdbase(*held_[icid]) : nullptr;
  const auto at = collection_entry(icid);
  if (!at) return nullptr;
  const std::uint64_t entry = load(*at, 8);
  return (entry & kValid) != 0 ? cpu_of_rdbase(entry & 0xf'ffff'ffff) : nullptr;
}

std::optional<Its::Translation> Its::translate(std::uint32_t device, std::uint32_t event) const {
  const auto at = event_entry(device, event);
  if (!at) return std::nullopt;
  const std::uint64_t entry = load(*at, 4);
  if ((entry & 1ULL << 31) == 0) return std::nullopt;
  const auto collection = static_cast<std::uint32_t>(load(*at + 4, 4));
  Redistributor* cpu = cpu_of_collection(collection);
  if (cpu == nullptr) return std::nullopt;
  return Translation{static_cast<std::uint32_t>(entry & 0xff'ffff), collection, cpu};
}

bool Its::message(std::uint32_t device, std::uint32_t event) {
  const auto found = enabled() ? translate(device, event) : std::nullopt;
  if (!found) {
    ++dropped_;
    return false;
  }
  found->cpu->set_pending(found->intid);
  return true;
}

// ---- commands, IHI 0069 H, 5.3 ----

std::string Its::map_device(const Command& command) {
  const auto device = static_cast<std::uint32_t>(command[0] >> 32);
  const auto at = device_entry(device);
  if (!at) return "MAPD: DeviceID beyond the device table";
  if ((command[2] & kValid) == 0) {
    store(*at, 8, 0);
    return {};
  }
  const std::uint64_t bits = (command[1] & 0x1f) + 1;
  if (bits > options_.event_bits) return "MAPD: more EventID bits than GITS_TYPER has";
  const std::uint64_t itt = command[2] & 0x000f'ffff'ffff'ff00;
  std::array<std::uint8_t, 1> probe{};
  const std::uint64_t bytes = std::uint64_t{options_.itt_entry_bytes} << bits;
  if (!memory_.device_read(itt, probe) || !memory_.device_read(itt + bytes - 1, probe)) {
    return "MAPD: ITT outside RAM";
  }
  for (std::uint64_t i = 0; i < bytes; i += 4) {
    if (load(itt + i, 4) != 0) violation("MAPD: ITT is not zero");
  }
  if (table_of(device)) violation("MAPD over a mapped device");
  store(*at, 8, kValid | (bits - 1) << 44 | itt >> 8);
  return {};
}

std::string Its::map_collection(const Command& command) {
  const auto icid = static_cast<std::uint32_t>(command[2] & 0xffff);
  const std::uint64_t rdbase = command[2] >> 16 & 0xf'ffff'ffff;
  const bool valid = (command[2] & kValid) != 0;
  if (valid && cpu_of_rdbase(rdbase) == nullptr) return "MAPC: no such redistributor";
  if (icid >= 1U << options_.collection_bits) return "MAPC: collection beyond CIDbits";
  if (icid < held_.size()) {
    held_[icid] = valid ? std::optional(rdbase) : std::nullopt;
    return {};
  }
  const auto at = collection_entry(icid);
  if (!at) return "MAPC: collection beyond the table";
  store(*at, 8, valid ? kValid | rdbase : 0);
  return {};
}

std::string Its::map_event(const Command& command, std::uint32_t intid) {
  const auto device = static_cast<std::uint32_t>(command[0] >> 32);
  const auto event = static_cast<std::uint32_t>(command[1]);
  if (!table_of(device)) return "MAPTI: device not mapped";
  const auto at = event_entry(device, event);
  if (!at) return "MAPTI: EventID beyond the device's table";
  if (intid < 8192 || intid >= 1U << options_.intid_bits) return "MAPTI: INTID out of range";
  const auto icid = static_cast<std::uint32_t>(command[2] & 0xffff);
  Redistributor* cpu = cpu_of_collection(icid);
  if (cpu == nullptr) return "MAPTI: collection not mapped";
  cpu->touch();
  if (translate(device, event)) violation("MAPTI over a mapped event");
  store(*at, 4, 1ULL << 31 | intid);
  store(*at + 4, 4, icid);
  return {};
}

std::string Its::move_event(const Command& command) {
  const auto device = static_cast<std::uint32_t>(command[0] >> 32);
  const auto event = static_cast<std::uint32_t>(command[1]);
  const auto from = translate(device, event);
  if (!from) return "MOVI: event not mapped";
  const auto icid = static_cast<std::uint32_t>(command[2] & 0xffff);
  Redistributor* to = cpu_of_collection(icid);
  if (to == nullptr) return "MOVI: collection not mapped";
  store(*event_entry(device, event) + 4, 4, icid);
  from->cpu->touch();
  to->touch();
  if (to != from->cpu && from->cpu->is_pending(from->intid)) {
    from->cpu->clear_pending(from->intid);
    to->set_pending(from->intid);
  }
  return {};
}

std::string Its::on_event(const Command& command) {
  const auto device = static_cast<std::uint32_t>(command[0] >> 32);
  const auto event = static_cast<std::uint32_t>(command[1]);
  const auto found = translate(device, event);
  if (!found) return "event not mapped";
  found->cpu->touch();
  switch (command[0] & 0xff) {
    case 0x03: found->cpu->set_pending(found->intid); break;
    case 0x04: found->cpu->clear_pending(found->intid); break;
    case 0x0c: found->cpu->invalidate(found->intid); break;
    default:
      found->cpu->clear_pending(found->intid);
      store(*event_entry(device, event), 4, 0);
      break;
  }
  return {};
}

std::string Its::invalidate_all(const Command& command) {
  Redistributor* cpu = cpu_of_collection(static_cast<std::uint32_t>(command[2] & 0xffff));
  if (cpu == nullptr) return "INVALL: collection not mapped";
  cpu->invalidate_all();
  return {};
}

std::string Its::move_all(const Command& command) {
  Redistributor* from = cpu_of_rdbase(command[2] >> 16 & 0xf'ffff'ffff);
  Redistributor* to = cpu_of_rdbase(command[3] >> 16 & 0xf'ffff'ffff);
  if (from == nullptr || to == nullptr) return "MOVALL: no such redistributor";
  if (from != to) from->move_all(*to);
  return {};
}

std::string Its::sync(const Command& command) {
  Redistributor* cpu = cpu_of_rdbase(command[2] >> 16 & 0xf'ffff'ffff);
  if (cpu == nullptr) return "SYNC: no such redistributor";
  cpu->sync();
  return {};
}

}  // namespace penstock::sim
