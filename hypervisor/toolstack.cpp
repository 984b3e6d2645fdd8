#include "hypervisor/toolstack.hpp"

#include "core/assign/audit.hpp"

#include "hypervisor/domain_objects.hpp"

namespace penstock {

using control::Reply;
using Answer = control::Result;

namespace {

/// Of a text that is read in one request, so that it fits behind its header.
constexpr std::size_t kTextBytes = 4096;

void reply_text(Machine& m, unsigned source, std::uint64_t position, Reply& reply) {
  std::array<char, kTextBytes> text;
  control::ConsoleResult result{position, 0};
  const std::size_t size = m.console.read(source, result.position, text, result.end);
  (void)reply.put(result);
  (void)reply.put_text({text.data(), size});
}

}  // namespace

Partition* Toolstack::find(control::DomainHandle domain, Reply& reply) {
  const unsigned id = domain & 0xff;
  Partition* found = id < machine_.partitions.size() ? machine_.partitions[id] : nullptr;
  if (found != nullptr && found->objects().generation << 8 == (domain & ~0xffU)) return found;
  Text<64> text;
  text.text("there is no domain ").hex(domain);
  reply.refuse(Answer::kNotFound, text.view());
  return nullptr;
}

void Toolstack::hello(Reply& reply) {
  reap();
  Partition* own = machine_.partitions[self_.value()];
  control::HelloResult result{};
  result.version = control::kVersionValue;
  result.cpus = machine_.cpu_count;
  result.memory_bytes = machine_.ram_bytes;
  result.memory_free_bytes = machine_.free_ram.free_bytes();
  result.pool_bytes = machine_.pool.capacity_bytes();
  result.pool_used_bytes = machine_.pool.used_bytes();
  result.now_ns = machine_.clock.now_ns();
  result.self = handle_of(*own);
  result.max_domains = kMaxDomains;
  (void)reply.put(result);
}

void Toolstack::counters(control::DomainHandle domain, Reply& reply) {
  Partition* partition = find(domain, reply);
  if (partition == nullptr) return;
  (void)reply.put(control::ListResult{static_cast<std::uint32_t>(vm::kExitNames.size()),
                                      sizeof(control::CounterRecord)});
  for (std::size_t reason = 0; reason < vm::kExitNames.size(); ++reason) {
    control::CounterRecord record{};
    const std::string_view name = vm::kExitNames[reason];
    for (std::size_t i = 0; i < name.size() && i + 1 < sizeof(record.name); ++i) {
      record.name[i] = name[i];
    }
    record.value = partition->exits_of(reason);
    (void)reply.put(record);
  }
}

void Toolstack::console_read(const control::ConsoleArgument& where, Reply& reply) {
  const Partition* partition = find(where.domain, reply);
  if (partition != nullptr) reply_text(machine_, partition->source(), where.position, reply);
}

void Toolstack::log_read(std::uint64_t position, Reply& reply) {
  reply_text(machine_, 0, position, reply);
}

void Toolstack::console_write(control::DomainHandle domain, std::string_view text, Reply& reply) {
  Partition* partition = find(domain, reply);
  if (partition == nullptr) return;
  for (const char c : text) partition->domain().type(c);
}

void Toolstack::audit(Reply& reply) {
  reap();
  Text<assign::AuditReport::kJsonBytes> json;
  machine_.audit(json);
  (void)reply.put_text(json.view());
}

void Toolstack::report(Reply& reply) {
  const LockGuard still(machine_.virtual_functions.lock());
  (void)reply.put_text("{\"devices\":[");
  bool first = true;
  for (unsigned i = 0; i < machine_.device_count; ++i) {
    if (machine_.devices[i]->state == assign::DeviceState::kAbsent) continue;
    const pci::Statement& statement = machine_.device_objects[i]->statement;
    if (!first) (void)reply.put_text(",");
    first = false;
    (void)reply.put_written([&](TextWriter& out) { pci::write_json(out, statement); });
  }
  (void)reply.put_text("],\"risks\":");
  (void)reply.put_written([](TextWriter& out) { pci::write_legend_json(out); });
  if (!reply.put_text("}")) reply.refuse(Answer::kFailed, "more devices than a report can tell of");
}

}  // namespace penstock
