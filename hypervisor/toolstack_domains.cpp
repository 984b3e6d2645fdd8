// The control domain's requests about domains.
#include "core/base/text.hpp"
#include "core/manifest/bundle.hpp"
#include "hypervisor/domain_objects.hpp"
#include "hypervisor/toolstack.hpp"

namespace penstock {

using control::DomainState;
using control::Opcode;
using control::Reply;
using Answer = control::Result;
using State = Partition::State;

namespace {

constexpr std::uint64_t kLargestBundle = 1 * kGiB;

DomainState state_of(const Partition& partition) {
  if (partition.doomed()) return DomainState::kDying;
  switch (partition.state()) {
    case State::kOff: return partition.crashed() ? DomainState::kCrashed : DomainState::kOff;
    case State::kLoading:
    case State::kRunning: return DomainState::kRunning;
    case State::kPaused: return DomainState::kPaused;
    case State::kStopping:
    case State::kEnding: return DomainState::kStopping;
    case State::kDying:
    case State::kDead: return DomainState::kDying;
  }
  return DomainState::kDying;
}

control::DomainRecord record_of(Partition& partition) {
  control::DomainRecord record{};
  DomainObjects& o = partition.objects();
  record.domain = Toolstack::handle_of(partition);
  record.state = state_of(partition);
  record.flags = (o.config.control ? control::domain_flag::kControl : 0) |
                 (o.config.hardware ? control::domain_flag::kHardware : 0) |
                 (o.smmu != nullptr ? control::domain_flag::kIommu : 0);
  record.vcpus = partition.vcpu_count();
  record.memory_bytes = o.ram.size;
  for (const CpuIndex cpu : o.config.cpus) record.cpus |= std::uint64_t{1} << cpu.value();
  record.restarts = partition.restarts();
  for (std::size_t reason = 0; reason < vm::kExitNames.size(); ++reason) {
    record.exits += partition.exits_of(reason);
  }
  record.own_bytes = o.domain.quota().used_bytes();
  const std::string_view name = partition.name();
  for (std::size_t i = 0; i < name.size() && i + 1 < sizeof(record.name); ++i) {
    record.name[i] = name[i];
  }
  return record;
}

void add_devices(const Machine& m, unsigned domain, control::DomainRecord& record) {
  for (unsigned i = 0; i < m.device_count; ++i) {
    const assign::Device& device = *m.devices[i];
    if (device.domain != domain) continue;
    ++record.devices;
    record.interrupts += device.interrupts.load(std::memory_order_relaxed);
    record.faults += device.faults.total;
  }
}

void refuse_state(const Partition& partition, std::string_view what, Error why, Reply& reply) {
  Text<160> text;
  text.text("domain ").text(partition.name()).text(": cannot be ").text(what).text(": ");
  text.text(describe(why.code));
  reply.refuse(why.code == Code::kBadState ? Answer::kBadState : Answer::kFailed, text.view());
}

bool name_is_taken(const Machine& m, std::string_view name) {
  for (const Partition* partition : m.partitions) {
    if (partition != nullptr && partition->name() == name) return true;
  }
  return false;
}

}  // namespace

control::DomainHandle Toolstack::handle_of(Partition& partition) {
  return partition.objects().generation << 8 | partition.domain().id().value();
}

/// Takes domains apart that have ended. What a domain had is free again after the first request
/// that finds all its CPUs idle.
void Toolstack::reap() {
  for (Partition* partition : machine_.partitions) {
    if (partition != nullptr && partition->state() == State::kDead) {
      (void)discard_domain(machine_, *partition);
    }
  }
}

bool Toolstack::ready() {
  if (const auto slice = machine_.dirty_ram.take_slice()) {
    machine_.memory.scrub(slice->base, slice->size);
    give_ram_back(machine_, {slice->base, slice->size});
  }
  return machine_.dirty_ram.empty();
}

void Toolstack::list_domains(Reply& reply) {
  reap();
  control::ListResult head{0, sizeof(control::DomainRecord)};
  (void)reply.put(head);
  for (unsigned id = 0; id < machine_.partitions.size(); ++id) {
    Partition* partition = machine_.partitions[id];
    if (partition == nullptr) continue;
    control::DomainRecord record = record_of(*partition);
    add_devices(machine_, id, record);
    head.count += reply.put(record) ? 1 : 0;
  }
  reply.amend(0, head);
}

bool Toolstack::has_upload(std::uint32_t handle, Reply& reply) const {
  if (handle != 0 && upload_.handle == handle) return true;
  reply.refuse(Answer::kNotFound, "there is no such bundle");
  return false;
}

void Toolstack::drop_upload() {
  if (upload_.handle != 0) retire_ram(machine_, {upload_.base, upload_.room});
  upload_ = {};
}

void Toolstack::bundle_begin(std::uint64_t bytes, Reply& reply) {
  reap();
  if (bytes < manifest::kBundleHeaderBytes || bytes > kLargestBundle) {
    return reply.refuse(Answer::kBadRequest, "a bundle has between 4 KiB and 1 GiB");
  }
  drop_upload();  // a control domain that begins anew has lost the one before
  const std::uint64_t room = align_up(bytes, 2 * kMiB);
  const auto base = machine_.free_ram.take_highest(room, 2 * kMiB);
  if (!base) {
    Text<96> text;
    text.text("no memory for the bundle: ").dec(machine_.free_ram.free_bytes() / kMiB);
    return reply.refuse(Answer::kNoMemory, text.text(" MiB are free").view());
  }
  upload_ = {++uploads_, *base, bytes, room};
  (void)reply.put(control::BundleResult{upload_.handle, 0});
}

void Toolstack::bundle_write(const control::BundleArgument& where,
                             std::span<const std::uint8_t> data, Reply& reply) {
  if (!has_upload(where.handle, reply)) return;
  if (!fits(where.offset, where.bytes, upload_.bytes)) {
    return reply.refuse(Answer::kBadRequest, "beyond the end of the bundle");
  }
  std::byte* to = machine_.memory.map(upload_.base + where.offset, where.bytes);
  __builtin_memcpy(to, data.data(), data.size());
}

void Toolstack::bundle_drop(std::uint32_t handle, Reply& reply) {
  if (has_upload(handle, reply)) drop_upload();
}

void Toolstack::create(std::uint32_t handle, Reply& reply) {
  reap();
  if (!has_upload(handle, reply)) return;
  create_from({reinterpret_cast<const std::uint8_t*>(upload_.base.value()), upload_.bytes}, reply);
}

void Toolstack::create_from(std::span<const std::uint8_t> bundle, Reply& reply) {
  manifest::Problem problem;
  Text<240> text;
  Status good = manifest::parse(bundle, manifest_, problem);
  if (good) good = manifest::judge_created(manifest_, problem);
  if (good) good = manifest::judge(manifest_, DomainId(0), machine_.board, problem);
  if (!good) {
    manifest::describe(problem, manifest_, text);
    return reply.refuse(Answer::kRefused, text.view());
  }
  const std::string_view name = manifest_.domains[0].name_view();
  text.text("domain ").text(name).text(": ");
  if (manifest_.domains.size() != 1) {
    return reply.refuse(Answer::kRefused, "a bundle for a running board has one domain");
  }
  if (name_is_taken(machine_, name)) {
    return reply.refuse(Answer::kRefused, text.text("there is one of this name").view());
  }
  unsigned id = 0;
  while (id < machine_.partitions.size() && machine_.partitions[id] != nullptr) ++id;
  if (id == machine_.partitions.size()) {
    return reply.refuse(Answer::kNoMemory, text.text("there are as many as can be").view());
  }
  const DomainId domain(static_cast<std::uint8_t>(id));
  const Status built =
      build_domain(machine_, domain, {manifest_, 0, bundle, {upload_.base, upload_.room}}, text);
  if (!built) {
    const bool memory = built.error().code == Code::kNoMemory;
    return reply.refuse(memory ? Answer::kNoMemory : Answer::kRefused, text.view());
  }
  upload_ = {};  // its memory is the domain's now
  Partition& partition = *machine_.partitions[id];
  announce(machine_, partition);
  control::CreateResult result{1, {handle_of(partition)}};
  (void)reply.put(result);
  if (!partition.config().autostart) return;
  const Status started = partition.start();
  if (!started) refuse_state(partition, "started, it was made and is off", started.error(), reply);
}

void Toolstack::change_domain(Opcode what, control::DomainHandle domain, Reply& reply) {
  reap();
  Partition* partition = find(domain, reply);
  if (partition == nullptr) return;
  const bool self = partition->domain().id() == self_;
  if (self && what != Opcode::kStart && what != Opcode::kUnpause) {
    return reply.refuse(Answer::kRefused, "the control domain cannot do this to itself");
  }
  Status done{};
  std::string_view verb;
  if (what == Opcode::kStart) {
    verb = "started";
    done = partition->start();
  } else if (what == Opcode::kPause) {
    verb = "paused";
    done = partition->pause();
  } else if (what == Opcode::kUnpause) {
    verb = "unpaused";
    done = partition->unpause();
  } else if (what == Opcode::kShutdown) {
    verb = "shut down";
    done = partition->press_power_button();
  } else {
    partition->destroy();
  }
  if (!done) refuse_state(*partition, verb, done.error(), reply);
}

void Toolstack::abandoned() {
  drop_upload();
}

}  // namespace penstock
