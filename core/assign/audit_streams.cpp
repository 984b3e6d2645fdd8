// Audit: the SMMU's stream table.
#include "core/assign/audit_parts.hpp"

namespace penstock::assign::audit_parts {
namespace {

namespace hw = penstock::hw::smmuv3;
using Line = Text<AuditReport::kTextBytes>;
using Mask = std::uint32_t;  // one bit per device of a domain
static_assert(kMaxDevicesPerDomain <= 32);

constexpr auto kStage2 = static_cast<std::uint8_t>(hw::SteConfig::kStage2);
constexpr auto kNested = static_cast<std::uint8_t>(hw::SteConfig::kNested);

bool is_vmid_of(const AuditedDomain& domain, Vmid vmid) {
  return (domain.dma.table != nullptr && vmid == domain.dma.vmid) ||
         (domain.with_doorbell.table != nullptr && vmid == domain.with_doorbell.vmid);
}

bool is_live(hw::Stage1Mode mode) {
  return mode == hw::Stage1Mode::kBypass || mode == hw::Stage1Mode::kTranslate;
}

/// How many streams of each device were met.
class Streams {
 public:
  void note(Devices devices, StreamId stream) {
    for (std::size_t i = 0; i < devices.size(); ++i) counts_[i] += devices[i]->uses(stream) ? 1 : 0;
  }
  /// The devices all of whose streams were.
  [[nodiscard]] Mask all_of(Devices devices) const {
    Mask mask = 0;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (counts_[i] == devices[i]->stream_count()) mask |= Mask{1} << i;
    }
    return mask;
  }

 private:
  std::array<std::size_t, kMaxDevicesPerDomain> counts_{};
};

class StreamAudit final : public iommu::StreamVisitor {
 public:
  StreamAudit(const AuditedDomain& domain, Devices devices, Mask attached, AuditReport& report)
      : domain_(domain), devices_(devices), attached_(attached), report_(report) {}

  void stream(const iommu::StreamView& view) override {
    seen_.note(devices_, view.stream);
    std::size_t user = devices_.size();
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (!devices_[i]->uses(view.stream)) continue;
      // Of several that send under this ID, one that is assigned has it.
      if (user == devices_.size() || devices_[i]->state == DeviceState::kAssigned) user = i;
    }
    if (user != devices_.size()) {
      // In quarantine with a page of its own it reaches nobody.
      if (view.scratch && devices_[user]->state != DeviceState::kAssigned) return;
      ++report_.streams;
      return judge(*devices_[user], (attached_ >> user & 1) != 0, view);
    }
    // Its VMIDs are only given to streams by this domain's own devices.
    if (is_vmid_of(domain_, view.vmid))
      complain(view.stream, "walks its tables, being none of its");
  }
  [[nodiscard]] Mask seen() const { return seen_.all_of(devices_); }

 private:
  void judge(const Device& device, bool attached, const iommu::StreamView& view) {
    if (device.state != DeviceState::kAssigned) {
      return complain(view.stream, "is let through, and its device is not assigned");
    }
    if (view.scratch) return complain(view.stream, "is in quarantine, and its device is assigned");
    // Streams are attached under the devices' lock only, so one that was not is not.
    if (!attached) return complain(view.stream, "is let through, and is not attached");
    const AuditedDmaTable& table = device.doorbell_open ? domain_.with_doorbell : domain_.dma;
    if (table.table == nullptr) return complain(view.stream, "is let through without a DMA table");
    if (view.vmid != table.vmid) complain(view.stream, "has a VMID that is not its owner's");
    if (!view.exact) complain(view.stream, "has bits that nobody asked for");
    if (view.root != table.table->root()) complain(view.stream, "walks a table not its owner's");
    judge_stage1(view);
  }
  void judge_stage1(const iommu::StreamView& view) {
    const hw::Stage1& wanted = view.wanted;
    const bool nested = domain_.has_stage1 && wanted.mode == hw::Stage1Mode::kTranslate;
    if (!is_live(wanted.mode)) return complain(view.stream, "does not abort, as stage 1 wants it");
    if (view.config != (nested ? kNested : kStage2))
      complain(view.stream, "has a wrong STE.Config");
    if (!nested) return;
    if (view.stage1_word0 != wanted.word0 || view.stage1_word1 != wanted.word1) {
      complain(view.stream, "has other stage-1 fields than asked for");
    }
  }
  void complain(StreamId stream, std::string_view what) {
    Line line;
    line.text(domain_.name).text(": stream ").hex(stream.value()).ch(' ').text(what);
    report_.violation(line.view());
  }

  const AuditedDomain& domain_;
  Devices devices_;
  Mask attached_;
  AuditReport& report_;
  Streams seen_;
};

/// Which streams the hardware lets through, and nothing else.
class SeenStreams final : public iommu::StreamVisitor {
 public:
  explicit SeenStreams(Devices devices) : devices_(devices) {}
  void stream(const iommu::StreamView& view) override { seen_.note(devices_, view.stream); }
  [[nodiscard]] Mask seen() const { return seen_.all_of(devices_); }

 private:
  Devices devices_;
  Streams seen_;
};

/// The devices for all of whose streams it is so.
template <typename Holds>
Mask all_streams(Devices devices, Holds&& holds) {
  Mask mask = 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    std::size_t count = 0;
    for (std::size_t k = 0; k < devices[i]->stream_count(); ++k) {
      count += holds(devices[i]->stream_at(k)) ? 1 : 0;
    }
    if (count == devices[i]->stream_count()) mask |= Mask{1} << i;
  }
  return mask;
}

Mask attached(const iommu::Smmu& smmu, Devices devices) {
  return all_streams(devices, [&](StreamId id) { return smmu.owner(id).has_value(); });
}

/// Streams whose stage 1 does not ask for an abort. Without a stage 1 that is every attached one.
Mask live(const iommu::Smmu& smmu, Devices devices) {
  return all_streams(devices, [&](StreamId id) {
    const auto stage1 = smmu.stage1(id);
    return stage1.has_value() && is_live(stage1->mode);
  });
}

/// One of the domain's devices that is assigned sends under this ID.
bool is_in_use(Devices devices, StreamId stream) {
  for (const Device* device : devices) {
    if (device->state == DeviceState::kAssigned && device->uses(stream)) return true;
  }
  return false;
}

/// An assigned device has its entry, unless it was cut off or its guest's stage 1 aborts it.
/// Cutting off needs no lock of the devices, but is never undone without: who is attached after the
/// look was so all the time. A guest's stage 1 may go forth and back between two looks, hence
/// several.
void check_missing(const iommu::Smmu& smmu, const AuditedDomain& domain, Devices devices, Mask seen,
                   AuditReport& report) {
  Mask missing = live(smmu, devices) & ~seen;
  for (unsigned look = 1; missing != 0 && domain.has_stage1 && look < kLooks; ++look) {
    const Mask before = live(smmu, devices);
    SeenStreams again(devices);
    smmu.audit(again);
    missing &= before & ~again.seen() & live(smmu, devices);
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Device& device = *devices[i];
    const bool is_missing = device.state == DeviceState::kAssigned && (missing >> i & 1) != 0;
    const bool left_attached =
        !is_in_use(devices, device.stream) && smmu.owner(device.stream).has_value();
    if (!is_missing && !left_attached) continue;
    Line line;
    line.text(domain.name).text(": stream ").hex(device.stream.value());
    line.text(is_missing ? " aborts, and should not" : " is attached, and not assigned");
    report.violation(line.view());
  }
}

using Suspects = StaticVector<StreamId, 8>;  // more than that are not told one by one

/// Streams of no device that any domain has.
class NobodysStreams final : public iommu::StreamVisitor {
 public:
  explicit NobodysStreams(const AuditInput& input) : owned_(input) {}
  /// One in quarantine with a page of its own reaches nobody.
  void stream(const iommu::StreamView& view) override {
    const auto is_its = [&](const Device& device) { return device.uses(view.stream); };
    if (view.scratch || suspects_.full() || owned_.any(is_its)) return;
    (void)suspects_.push_back(view.stream);  // not full
  }
  [[nodiscard]] const Suspects& suspects() const { return suspects_; }

 private:
  Owned owned_;
  Suspects suspects_;
};

/// One look. Not inlined: it takes 2 KiB of stack.
[[gnu::noinline]] Suspects suspects_of(const AuditInput& input) {
  NobodysStreams look(input);
  input.hw.smmu->audit(look);
  return look.suspects();
}

}  // namespace

void check_streams(const iommu::Smmu& smmu, const AuditedDomain& domain, Devices devices,
                   AuditReport& report) {
  StreamAudit look(domain, devices, attached(smmu, devices), report);
  smmu.audit(look);
  check_missing(smmu, domain, devices, look.seen(), report);
}

void check_nobodys_streams(const AuditInput& input, AuditReport& report) {
  // Who has a device may have changed in between: what is wrong is so at every look.
  Suspects wrong = suspects_of(input);
  for (unsigned look = 1; look < kLooks && !wrong.empty(); ++look) {
    const Suspects now = suspects_of(input);
    for (std::size_t i = wrong.size(); i != 0; --i) {
      bool still = false;
      for (const StreamId stream : now) still = still || stream == wrong[i - 1];
      if (!still) wrong.erase(i - 1);
    }
  }
  for (const StreamId stream : wrong) {
    ++report.streams;
    Line line;
    line.text("stream ").hex(stream.value());
    report.violation(line.text(" of no domain's device is let through").view());
  }
}

}  // namespace penstock::assign::audit_parts
