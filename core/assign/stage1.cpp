#include "core/assign/stage1.hpp"

#include "core/base/text.hpp"

namespace penstock::assign {

void SmmuStage1::say(std::string_view what, Error why) {
  constexpr unsigned kMostLines = 8;
  // A device that was cut off: that was told when it happened.
  if (why.code == Code::kNotFound || why.code == Code::kNotOwner) return;
  if (why.code == Code::kBusy || lines_ == kMostLines) return;
  ++lines_;
  Text<160> line;
  line.text(domain_).text(": ").text(what).text(": ").text(describe(why.code));
  log_.line(port::Severity::kError, line.text(" (").hex(why.arg).ch(')').view());
}

Status SmmuStage1::configure(StreamId stream, const hw::smmuv3::Stage1& wanted) {
  const Status done = smmu_.configure(stream, wanted);
  if (!done) say("the SMMU does not take a stage 1, its device is cut off", done.error());
  return done;
}

Status SmmuStage1::forward(std::span<hw::smmuv3::Command> batch) {
  const Status done = smmu_.forward(vmid_, batch);
  if (!done) say("the SMMU does not take the guest's invalidations", done.error());
  return done;
}

bool is_old(const Device& device, const iommu::Fault& fault) {
  return fault.number < device.first_event.load(std::memory_order_acquire);
}

bool tell_guest(viommu::VirtualIommu& iommu, const Device& device, const iommu::Fault& fault) {
  if (device.state != DeviceState::kAssigned || is_old(device, fault)) return false;
  viommu::StreamFault told;
  told.stream = device.guest_stream();
  told.type = fault.raw_type;
  told.stage2 = fault.stage2;
  told.stalled = fault.stalled;
  told.write = fault.write;
  told.privileged = fault.privileged;
  told.instruction = fault.instruction;
  told.cls = fault.cls;
  told.substream = fault.substream;
  told.address = fault.address;
  return iommu.fault(told);
}

}  // namespace penstock::assign
